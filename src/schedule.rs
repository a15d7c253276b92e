//! Schedules: which instants are due, which of them to make, and which were missed and why.
//!
//! The language is that of Kubernetes' CronJob, accepted and refused alike. The evaluator is our own: no crate reads that
//! language, and gaps and folds of a time zone's clock are parameters here. It knows a zone's clock as pieces in which the
//! offset stays the same; inside a piece the wall clock runs like a ruler, so nothing about it is ambiguous.
//!
//! This room does no I/O and knows no clock. Zones come from the database in the binary, never from the machine. What a
//! due time becomes is left to the rooms above.

mod changes;
mod day;
mod decide;
mod error;
mod every;
mod expression;
mod fields;
mod interval;
mod pieces;
mod plan;
mod splay;
mod traps;
mod walk;
mod zone;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub use changes::{ClockChange, ClockChangeEffect};
pub use day::DayOrInstant;
pub use decide::{CatchUp, DueTimes, MOST_CAUGHT_UP, MissReason, MissedTimes, ON_TIME};
pub use error::Error;
pub use expression::Expression;
pub use splay::splay;
pub use walk::DueBetween;
pub use zone::{ZONES_RELEASE, zone};

/// Expressions that one schedule may have.
pub const MOST_EXPRESSIONS: usize = 16;

/// When something is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// 1 to [`MOST_EXPRESSIONS`]; an instant is due once, however many of them name it.
    pub expressions: Vec<Expression>,
    /// The clock on the wall.
    pub time_zone: TimeZone,
    /// What becomes of due times in a gap of the clock; `None`: [`Expression::gap`] of each.
    pub gap: Option<Gap>,
    /// What becomes of due times in a fold of the clock; `None`: [`Expression::fold`] of each.
    pub fold: Option<Fold>,
    /// When nothing is due.
    pub exclude: Exclude,
    /// Nothing is due before it.
    pub start_at: Option<Timestamp>,
    /// Nothing is due after it.
    pub end_at: Option<Timestamp>,
    /// When the object was created: `@every` counts from here if there is no `start_at`.
    pub created: Timestamp,
    /// How much later than its due time a Job starts. It shifts the start, never the due time.
    pub splay: Duration,
}

/// Wall times at which nothing is due, whatever the expressions say.
///
/// They are compared with the wall time that an expression names, before a gap of the clock moves it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exclude {
    /// Whole days.
    pub dates: BTreeSet<Date>,
    /// The minutes they name; `@every` names none.
    pub expressions: Vec<Expression>,
}

/// What becomes of a due time that the clock jumps over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gap {
    /// It is due at the first valid minute after the gap.
    Next,
    /// It is not due that day.
    Skip,
}

/// What becomes of a due time that the clock shows twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fold {
    /// It is due the first time.
    First,
    /// It is due both times.
    Both,
}

impl Schedule {
    /// One expression in a zone, with everything else left out.
    pub fn new(expression: Expression, time_zone: TimeZone, created: Timestamp) -> Self {
        Self {
            expressions: vec![expression],
            time_zone,
            gap: None,
            fold: None,
            exclude: Exclude::default(),
            start_at: None,
            end_at: None,
            created,
            splay: Duration::ZERO,
        }
    }

    /// What becomes of one expression's due times in a gap.
    pub fn gap_of(&self, expression: &Expression) -> Gap {
        self.gap.unwrap_or_else(|| expression.gap())
    }

    /// What becomes of one expression's due times in a fold.
    pub fn fold_of(&self, expression: &Expression) -> Fold {
        self.fold.unwrap_or_else(|| expression.fold())
    }

    /// When a Job for a due time starts: later by `splay`.
    pub fn start_of(&self, due: Timestamp) -> Timestamp {
        due.saturating_add(self.splay).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests;
