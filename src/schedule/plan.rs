//! The due minutes of one day on the wall: one bit for each, so that looking and counting cost the same for every schedule.

use jiff::civil::Date;
use jiff::tz::Offset;

use super::pieces::timestamp;
use super::{Expression, Fold, Gap, Schedule};

/// Seconds of a day on the wall.
pub(super) const DAY: i64 = 86_400;

/// Which of the expressions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All.
    All,
    /// Those whose due times in a gap are due after it.
    InGap,
    /// Those that are due in both turns of a fold.
    InFold,
}

/// The minutes of a day: a word for each hour, a bit for each minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Minutes([u64; 24]);

impl Minutes {
    /// Due minutes of a day; `None` when there are none.
    pub(super) fn due(schedule: &Schedule, day: i64, which: Which) -> Option<Self> {
        let date = date(day)?;
        let mut minutes = Self([0; 24]);
        let counted = |expression: &&Expression| match which {
            Which::All => true,
            Which::InGap => schedule.gap_of(expression) == Gap::Next,
            Which::InFold => schedule.fold_of(expression) == Fold::Both,
        };
        let mut any = false;
        for expression in schedule.expressions.iter().filter(counted) {
            any |= minutes.add(expression, date);
        }
        if !any {
            return None;
        }
        if let Some(excluded) = Self::excluded(schedule, date) {
            for (word, excluded) in minutes.0.iter_mut().zip(excluded.0) {
                *word &= !excluded;
            }
        }
        Some(minutes).filter(|minutes| *minutes != Self([0; 24]))
    }

    /// Minutes of a day that are left out; `None` when none are.
    pub(super) fn excluded(schedule: &Schedule, date: Date) -> Option<Self> {
        let exclude = &schedule.exclude;
        if exclude.dates.contains(&date) {
            return Some(Self([u64::MAX >> 4; 24]));
        }
        let mut minutes = Self([0; 24]);
        let mut any = false;
        for expression in &exclude.expressions {
            any |= minutes.add(expression, date);
        }
        any.then_some(minutes)
    }

    /// Adds an expression's minutes of a day; says whether it is due then at all.
    fn add(&mut self, expression: &Expression, date: Date) -> bool {
        let Some(sets) = expression.sets() else {
            return false;
        };
        let [month, day, weekday] = [
            date.month(),
            date.day(),
            date.weekday().to_sunday_zero_offset(),
        ]
        .map(i8::unsigned_abs);
        if !sets.is_day(month, day, weekday) {
            return false;
        }
        for (hour, word) in (0..).zip(&mut self.0) {
            if sets.hour.has(hour) {
                *word |= sets.minute.bits;
            }
        }
        true
    }

    /// The first minute at or after one; both are minutes of the day.
    pub(super) fn first_from(&self, minute: i64) -> Option<i64> {
        let (hour, within) = split(minute)?;
        let head = self.0[hour] & (u64::MAX << within);
        if head != 0 {
            return Some(join(hour, head.trailing_zeros()));
        }
        let later = hour + 1..24;
        later
            .into_iter()
            .find(|hour| self.0[*hour] != 0)
            .map(|hour| join(hour, self.0[hour].trailing_zeros()))
    }

    /// The last minute at or before one.
    pub(super) fn last_to(&self, minute: i64) -> Option<i64> {
        let (hour, within) = split(minute)?;
        let head = self.0[hour] & (u64::MAX >> (63 - within));
        if head != 0 {
            return Some(join(hour, head.ilog2()));
        }
        (0..hour)
            .rev()
            .find(|hour| self.0[*hour] != 0)
            .map(|hour| join(hour, self.0[hour].ilog2()))
    }

    /// How many minutes there are from one up to another, without it.
    pub(super) fn count(&self, from: i64, until: i64) -> u64 {
        let before = |minute: i64| -> u64 {
            let Some((hour, within)) = split(minute) else {
                return self.0.iter().map(|word| u64::from(word.count_ones())).sum();
            };
            let whole: u32 = self.0[..hour].iter().map(|word| word.count_ones()).sum();
            let part = self.0[hour] & !(u64::MAX << within);
            u64::from(whole + part.count_ones())
        };
        before(until).saturating_sub(before(from))
    }

    /// The first minute at or after one that is not here.
    pub(super) fn first_absent(&self, minute: i64) -> Option<i64> {
        Self(self.0.map(|word| !word & (u64::MAX >> 4))).first_from(minute)
    }

    pub(super) fn has(&self, minute: i64) -> bool {
        self.first_from(minute) == Some(minute)
    }
}

/// Hour, and minute in it; `None` beyond the day.
fn split(minute: i64) -> Option<(usize, u32)> {
    let hour = usize::try_from(minute / 60)
        .ok()
        .filter(|hour| *hour < 24)?;
    let within = u32::try_from(minute % 60).ok()?;
    Some((hour, within))
}

fn join(hour: usize, minute: u32) -> i64 {
    let hour = i64::try_from(hour).unwrap_or_default();
    hour * 60 + i64::from(minute)
}

/// The date of a day, counted from 1970.
pub(super) fn date(day: i64) -> Option<Date> {
    let seconds = day.checked_mul(DAY)?;
    let timestamp = timestamp(seconds);
    (timestamp.as_second() == seconds).then(|| Offset::UTC.to_datetime(timestamp).date())
}
