//! A due time of a schedule as an event: the moment is all that it says.

use jiff::Timestamp;

use super::{Attributes, Event, EventIdentity};
use crate::resource::event_job::cron::Cron;

/// Why a moment became an event. Each tells its ids from those of senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<'a> {
    /// It is a due time of the schedule.
    Due(Timestamp),
    /// It was a due time, and somebody asked for its Job. The same occurrence as [`Moment::Due`].
    Backfill(Timestamp),
    /// Somebody asked for a Job at this moment.
    Trigger {
        /// Of the request.
        id: &'a str,
        /// When it was asked for.
        at: Timestamp,
    },
}

impl Moment<'_> {
    /// The moment itself.
    pub fn time(self) -> Timestamp {
        match self {
            Self::Due(time) | Self::Backfill(time) | Self::Trigger { at: time, .. } => time,
        }
    }

    /// What tells it from others of its kind: the due time in UTC, or the request's id.
    pub fn id(self) -> String {
        match self {
            Self::Due(due) | Self::Backfill(due) => format!("{due:.0}"),
            Self::Trigger { id, .. } => id.to_owned(),
        }
    }

    fn identity(self) -> EventIdentity {
        let source = match self {
            Self::Due(_) | Self::Backfill(_) => "slipway.dev/schedule",
            Self::Trigger { .. } => "slipway.dev/trigger",
        };
        EventIdentity {
            source: source.to_owned(),
            id: self.id(),
            replay: None,
        }
    }
}

impl Event {
    /// A moment of a schedule as an event. One due time is one event, whatever the zone.
    pub fn of_moment(cron: &Cron, moment: Moment<'_>) -> Self {
        let value = cron.event(moment.time());
        Self {
            text: value.to_string(),
            value,
            has_doubtful_names: false,
            attributes: Attributes::default(),
            identity: Ok(moment.identity()),
            trace: None,
            element: None,
        }
    }
}
