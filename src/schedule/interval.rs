//! How far apart due times are.

use std::time::Duration;

use super::pieces::timestamp;
use super::plan::{DAY, Minutes, Which};
use super::{Expression, Schedule};

/// 2028, a leap year: its first day and the one behind it, counted from 1970.
const YEAR: std::ops::Range<i64> = 21_184..21_550;

/// Due times that are looked at where `@every` stands beside something else.
const MOST_LOOKED_AT: usize = 10_000;

impl Schedule {
    /// The shortest time between two due times on the wall, in a leap year; `None` with fewer than two.
    pub fn shortest_interval(&self) -> Option<Duration> {
        let mut shortest: Option<i64> = None;
        self.intervals(|between| {
            shortest = Some(shortest.map_or(between, |shortest| shortest.min(between)));
            between > 60
        });
        let every = self.expressions.iter().filter_map(Expression::every);
        let shortest = shortest.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        every.chain(shortest).min()
    }

    /// Whether some due times on the wall are farther apart than others, in a leap year.
    pub fn is_uneven(&self) -> bool {
        let mut first = None;
        let mut is_uneven = false;
        self.intervals(|between| {
            is_uneven = *first.get_or_insert(between) != between;
            !is_uneven
        });
        is_uneven
    }

    /// Hands over the seconds between each two due times until it is told to stop.
    fn intervals(&self, mut goes_on: impl FnMut(i64) -> bool) {
        let mut last: Option<i64> = None;
        let mut note = |at: i64| last.replace(at).is_none_or(|last| goes_on(at - last));
        if self
            .expressions
            .iter()
            .any(|expression| expression.every().is_some())
        {
            let walk = self.due_between(timestamp(YEAR.start * DAY), timestamp(YEAR.end * DAY));
            for due in walk.take(MOST_LOOKED_AT) {
                if !note(due.as_second()) {
                    return;
                }
            }
            return;
        }
        for day in YEAR {
            let Some(minutes) = Minutes::due(self, day, Which::All) else {
                continue;
            };
            let mut from = 0;
            while let Some(minute) = minutes.first_from(from) {
                if !note(day * DAY + minute * 60) {
                    return;
                }
                from = minute + 1;
            }
        }
    }
}
