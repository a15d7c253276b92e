//! A schedule that somebody wrote: it is refused, or its due times are in order, end, and are found from both sides.
//!
//! Input: lines; the first is the schedule, the second a time zone, the others schedules beside it or, after `!`, excluded.
#![no_main]

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use libfuzzer_sys::fuzz_target;
use slipway::schedule::{self, Exclude, Expression, MOST_EXPRESSIONS, Schedule};

/// Due times that are looked at.
const LOOKED_AT: usize = 20;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.lines();
    let Ok(first) = Expression::parse(lines.next().unwrap_or_default()) else {
        return;
    };
    let zone = schedule::zone(lines.next().unwrap_or_default()).unwrap_or(TimeZone::UTC);
    let created: Timestamp = "2026-03-28T22:17:05Z".parse().expect("an instant");
    let mut schedule = Schedule::new(first, zone, created);
    let mut exclude = Exclude::default();
    for line in lines.take(MOST_EXPRESSIONS) {
        let (text, others) = match line.strip_prefix('!') {
            Some(text) => (text, &mut exclude.expressions),
            None => (line, &mut schedule.expressions),
        };
        others.extend(Expression::parse(text).ok());
    }
    schedule.exclude = exclude;
    let _ = (schedule.shortest_interval(), schedule.is_uneven());
    for expression in &schedule.expressions {
        let _ = (expression.traps(), expression.refusal());
    }
    look(&schedule, created);
});

fn look(schedule: &Schedule, after: Timestamp) {
    let until = after + (24 * 366).hours();
    let due: Vec<_> = schedule.due_between(after, until).take(LOOKED_AT).collect();
    assert!(
        due.is_sorted_by(|one, next| one < next),
        "an instant is due once"
    );
    let mut before = after;
    for due in due {
        assert!(before < due && due <= until);
        assert_eq!(schedule.first_after(before), Some(due));
        assert_eq!(schedule.last_at_or_before(due), Some(due));
        before = due;
    }
}
