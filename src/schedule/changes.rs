//! Where a zone's clock jumps, and what that does to due times: for people who want to see it before it happens.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::pieces::{ClockPiece, floor, timestamp};
use super::plan::{DAY, Minutes, Which};
use super::{Fold, Gap, Schedule};

/// Wall times that are named for one change.
const MOST_NAMED: usize = 10;

/// A jump of the clock that due times fall into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockChange {
    /// When it happens.
    pub at: Timestamp,
    /// What the clock would show if it did not jump.
    pub from: DateTime,
    /// What it shows.
    pub to: DateTime,
    /// The due wall times that it jumps over, or that it shows twice, the first ten, each with what becomes of it.
    pub affected: Vec<(DateTime, ClockChangeEffect)>,
}

/// What becomes of a due wall time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockChangeEffect {
    /// In a gap: due at this instant.
    Moved(Timestamp),
    /// In a gap: not due that day.
    Skipped,
    /// In a fold: due the first time.
    Once,
    /// In a fold: due both times.
    Twice,
}

impl Schedule {
    /// The jumps of the clock after one instant and up to another that due times fall into, at most `most`.
    pub fn clock_changes(
        &self,
        after: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Vec<ClockChange> {
        let mut found = Vec::new();
        let mut piece = ClockPiece::at(&self.time_zone, floor(after));
        // Two jumps a year, and never without end.
        for _ in 0..10_000 {
            if piece.until > floor(until) || found.len() >= most {
                break;
            }
            let Some(next) = piece.next(&self.time_zone) else {
                break;
            };
            piece = next;
            let affected = self.affected(piece);
            if affected.is_empty() {
                continue;
            }
            found.push(ClockChange {
                at: timestamp(piece.from),
                from: wall(piece.from + piece.before),
                to: wall(piece.wall_from()),
                affected,
            });
        }
        found
    }

    fn affected(&self, piece: ClockPiece) -> Vec<(DateTime, ClockChangeEffect)> {
        let (gap_from, gap_until) = piece.gap();
        let is_gap = gap_from < gap_until;
        let (from, until, which) = if is_gap {
            (gap_from, gap_until, Which::InGap)
        } else {
            (piece.wall_from(), piece.fold_until(), Which::InFold)
        };
        let mut affected = Vec::new();
        let mut at = from + (-from).rem_euclid(60);
        while at < until && affected.len() < MOST_NAMED {
            let (day, minute) = (at.div_euclid(DAY), at.rem_euclid(DAY) / 60);
            let has = |which| {
                Minutes::due(self, day, which).is_some_and(|minutes: Minutes| minutes.has(minute))
            };
            if has(Which::All) {
                let effect = match (is_gap, has(which)) {
                    (true, true) => ClockChangeEffect::Moved(timestamp(piece.first_minute())),
                    (true, false) => ClockChangeEffect::Skipped,
                    (false, true) => ClockChangeEffect::Twice,
                    (false, false) => ClockChangeEffect::Once,
                };
                affected.push((wall(at), effect));
            }
            at += 60;
        }
        affected
    }

    /// The same schedule with the jumps of the clock as Kubernetes' CronJob takes them.
    #[must_use]
    pub fn as_cron_job(mut self) -> Self {
        self.gap = Some(Gap::Skip);
        self.fold = Some(Fold::Both);
        self
    }
}

fn wall(seconds: i64) -> DateTime {
    Offset::UTC.to_datetime(timestamp(seconds))
}
