//! Which due times to make now, how far the ledger may move, and which were missed and why.

use std::time::Duration;

use jiff::Timestamp;

use super::Schedule;
use super::pieces::{floor, timestamp};

/// Up to so much after its start time a due time is on time, also under [`CatchUp::None`].
pub const ON_TIME: Duration = Duration::from_mins(1);

/// Due times that are made at once under [`CatchUp::All`], the newest ones.
pub const MOST_CAUGHT_UP: usize = 100;

/// Missed due times that are named, for each reason.
const MOST_NAMED: usize = 5;

/// What becomes of due times that nobody was there to make: `catchUp`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CatchUp {
    /// They are missed.
    None,
    /// The newest of all that are due is made.
    #[default]
    Last,
    /// The newest [`MOST_CAUGHT_UP`] are made.
    All,
}

/// What to do about the due times since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueTimes {
    /// To be made, oldest first; at most [`MOST_CAUGHT_UP`].
    pub make: Vec<Timestamp>,
    /// Where `lastScheduleTime` may move once those have their Jobs and the missed ones are told: the newest due time.
    /// `None` when nothing is due.
    pub through: Option<Timestamp>,
    /// Not to be made, by reason, the reason of the older ones first.
    pub missed: Vec<MissedTimes>,
}

/// Due times that are not made, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedTimes {
    /// Why.
    pub reason: MissReason,
    /// How many.
    pub count: u64,
    /// Whether there are no more than `count`: they are not counted without end, see [`Schedule::count_between`].
    pub is_exact: bool,
    /// The newest, at most five, newest first.
    pub newest: Vec<Timestamp>,
}

/// Why a due time is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MissReason {
    /// Later than `startingDeadlineSeconds`.
    Deadline,
    /// More than a minute late under `catchUp: None`.
    NotCaughtUp,
    /// A newer one is due, and `catchUp: Last` makes only the newest.
    NewerOne,
    /// More than `catchUp: All` makes at once.
    TooMany,
}

impl MissReason {
    /// One word for a status, an Event or a metric.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deadline => "StartingDeadline",
            Self::NotCaughtUp => "CatchUpNone",
            Self::NewerOne => "CatchUpLast",
            Self::TooMany => "CatchUpAll",
        }
    }

    /// The same in the words of the fields, to follow "missed: ".
    pub fn text(self) -> &'static str {
        match self {
            Self::Deadline => "later than startingDeadlineSeconds allows",
            Self::NotCaughtUp => "more than a minute late, and catchUp is None",
            Self::NewerOne => "a newer one was due, and catchUp: Last makes only the newest",
            Self::TooMany => "older than the 100 newest, the most that catchUp: All makes",
        }
    }
}

impl Schedule {
    /// Decides about the due times after `last` (`lastScheduleTime`, or since when the schedule counts) up to `now`.
    ///
    /// `splay` counts as part of the schedule: a due time is looked at once its start time has come, and is late by what
    /// has passed since then. A clock stepped back finds nothing due.
    pub fn due_times(
        &self,
        last: Timestamp,
        now: Timestamp,
        catch_up: CatchUp,
        starting_deadline: Option<Duration>,
    ) -> DueTimes {
        let now = now.saturating_sub(self.splay).unwrap_or(Timestamp::MIN);
        let mut due = self.due_between(last, now);
        let Some(first) = due.next() else {
            return DueTimes::default();
        };
        // The common case: one, and in time.
        let cutoff = starting_deadline.map(|deadline| just_before(now, deadline));
        let on_time_after = just_before(now, ON_TIME);
        if due.next().is_none() && first > cutoff.unwrap_or(Timestamp::MIN).max(on_time_after) {
            return DueTimes {
                make: vec![first],
                through: Some(first),
                missed: Vec::new(),
            };
        }
        let too_late = cutoff.map_or(last, |cutoff| cutoff.clamp(last, now));
        let make = match catch_up {
            CatchUp::All => self.newest(too_late, now, MOST_CAUGHT_UP),
            CatchUp::None => self.newest(too_late.max(on_time_after), now, MOST_CAUGHT_UP),
            CatchUp::Last => {
                let on_time = self.newest(too_late.max(on_time_after), now, MOST_CAUGHT_UP);
                if on_time.is_empty() {
                    self.newest(too_late, now, 1)
                } else {
                    on_time
                }
            }
        };
        let reason = match catch_up {
            CatchUp::None => MissReason::NotCaughtUp,
            CatchUp::Last => MissReason::NewerOne,
            CatchUp::All => MissReason::TooMany,
        };
        // Those in between the deadline and the oldest that is made.
        let passed = make
            .last()
            .map_or(now, |oldest| timestamp(floor(*oldest) - 1));
        let missed = [
            self.missed(MissReason::Deadline, last, too_late),
            self.missed(reason, too_late, passed),
        ];
        DueTimes {
            through: self.last_at_or_before(now),
            make: make.into_iter().rev().collect(),
            missed: missed.into_iter().flatten().collect(),
        }
    }

    /// The newest due times after one instant and up to another, newest first.
    fn newest(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut newest = Vec::new();
        let mut walk = super::walk::Walk::new(self);
        let after = floor(after);
        let mut until = floor(until);
        while newest.len() < most {
            match walk.before(until) {
                Some(due) if due > after => {
                    newest.push(timestamp(due));
                    until = due - 1;
                }
                _ => break,
            }
        }
        newest
    }

    fn missed(
        &self,
        reason: MissReason,
        after: Timestamp,
        until: Timestamp,
    ) -> Option<MissedTimes> {
        let (count, is_exact) = self.count_between(after, until);
        (count > 0 || !is_exact).then(|| MissedTimes {
            reason,
            count,
            is_exact,
            newest: self.newest(after, until, MOST_NAMED),
        })
    }
}

/// The last second of which everything is later than allowed.
fn just_before(now: Timestamp, allowed: Duration) -> Timestamp {
    let earliest = now.saturating_sub(allowed).unwrap_or(Timestamp::MIN);
    let second = floor(earliest);
    let is_whole = earliest.subsec_nanosecond() == 0;
    timestamp(if is_whole { second - 1 } else { second })
}
