//! When an object should have had a success: how long ago the last one was, and how long one may be waited for.

use std::time::Duration;

use jiff::Timestamp;

use crate::schedule::Schedule;

/// What is shown of the successes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::controller) struct SuccessTimes {
    /// When a Job last succeeded.
    pub(in crate::controller) last: Option<Timestamp>,
    /// Since when the next one is waited for: the last one, or what made the object begin later than that.
    pub(in crate::controller) awaited_since: Option<Timestamp>,
    /// How long it takes from one to the next, as its owner wants it.
    pub(in crate::controller) interval: Option<Duration>,
}

/// The time from one due time to the next, around `now`: the longer of the interval that runs and the one before it, so
/// that after a weekend the first morning has time for its Job. `None` where fewer than two due times are near.
pub(in crate::controller) fn interval_around(
    schedule: &Schedule,
    now: Timestamp,
) -> Option<Duration> {
    let last = schedule.last_at_or_before(now);
    let before = last.and_then(|last| {
        let earlier = last.checked_sub(Duration::from_secs(1)).ok()?;
        schedule.last_at_or_before(earlier)
    });
    let dues = [before, last, schedule.first_after(now)];
    let pairs = dues.windows(2).filter_map(|pair| match pair {
        [Some(from), Some(to)] => Some(to.duration_since(*from).unsigned_abs()),
        _ => None,
    });
    // Before the first two there is one interval: the first.
    pairs.max().or_else(|| {
        let first = schedule.first_after(now)?;
        let second = schedule.first_after(first)?;
        Some(second.duration_since(first).unsigned_abs())
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::schedule::Expression;

    #[test]
    fn the_interval_is_the_longer_of_the_running_one_and_the_one_before() {
        let rows = [
            // Monday 2026-11-30 to Friday at nine.
            ("0 9 * * 1-5", "2026-12-02T12:00:00Z", 24),
            ("0 9 * * 1-5", "2026-12-04T08:00:00Z", 24),
            ("0 9 * * 1-5", "2026-12-05T12:00:00Z", 72),
            ("0 9 * * 1-5", "2026-12-07T09:00:00Z", 72),
            ("0 9 * * 1-5", "2026-12-08T09:00:00Z", 24),
            ("0 0 1 * *", "2026-12-15T00:00:00Z", 31 * 24),
            ("@every 2h", "2026-12-15T00:00:00Z", 2),
        ];
        for (text, now, hours) in rows {
            let expression = Expression::parse(text).unwrap();
            let created = "2026-11-01T00:00:00Z".parse().unwrap();
            let schedule = Schedule::new(expression, TimeZone::UTC, created);
            let interval = interval_around(&schedule, now.parse().unwrap());
            let expected = Duration::from_secs(hours * 3600);
            assert_eq!(interval, Some(expected), "{text} at {now}");
        }
    }

    #[test]
    fn what_is_due_once_or_never_has_no_interval_and_what_begins_later_has_its_first() {
        let expression = || Expression::parse("0 0 * * *").unwrap();
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let now = at("2026-11-30T12:00:00Z");
        let mut schedule = Schedule::new(expression(), TimeZone::UTC, now);
        schedule.start_at = Some(at("2027-01-01T00:00:00Z"));
        let day = Duration::from_hours(24);
        assert_eq!(interval_around(&schedule, now), Some(day));
        schedule.end_at = schedule.start_at;
        assert_eq!(interval_around(&schedule, now), None);
    }
}
