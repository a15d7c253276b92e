//! What is due now, and what was missed.

use super::*;

#[test]
fn a_minute_late_is_on_time_under_every_policy() {
    let hourly = schedule("0 * * * *", "UTC");
    let last = instant("2026-05-01T08:00:00Z");
    for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
        for (now, made) in [("08:59:59.999", 0), ("09:00:00", 1), ("09:01:00", 1)] {
            let now = instant(&format!("2026-05-01T{now}Z"));
            let decided = hourly.due_times(last, now, catch_up, None);
            assert_eq!(decided.make.len(), made, "{catch_up:?} {now}");
            assert!(decided.missed.is_empty());
        }
    }
    let late = instant("2026-05-01T09:01:00.001Z");
    let decided = hourly.due_times(last, late, CatchUp::None, None);
    assert_eq!(
        (decided.make.len(), decided.through),
        (0, Some(instant("2026-05-01T09:00:00Z")))
    );
    assert_eq!(told(&decided), [(MissReason::NotCaughtUp, 1)]);
    let decided = hourly.due_times(last, late, CatchUp::Last, None);
    assert_eq!((decided.make.len(), decided.missed.len()), (1, 0));
}

#[test]
fn after_an_outage_each_policy_makes_its_own_and_tells_the_others() {
    let schedule = schedule("*/5 * * * *", "UTC");
    let last = instant("2026-05-01T08:00:00Z");
    let now = instant("2026-05-02T20:02:00Z");
    let decided = schedule.due_times(last, now, CatchUp::Last, None);
    assert_eq!(decided.make, [instant("2026-05-02T20:00:00Z")]);
    assert_eq!(told(&decided), [(MissReason::NewerOne, 431)]);
    assert_eq!(decided.missed[0].newest[0], instant("2026-05-02T19:55:00Z"));
    assert_eq!(decided.missed[0].newest.len(), 5);

    let decided = schedule.due_times(last, now, CatchUp::All, None);
    assert_eq!(decided.make.len(), MOST_CAUGHT_UP);
    assert!(decided.make.is_sorted());
    assert_eq!(decided.make.last(), decided.through.as_ref());
    assert_eq!(told(&decided), [(MissReason::TooMany, 332)]);

    let decided = schedule.due_times(last, now, CatchUp::None, None);
    assert_eq!(told(&decided), [(MissReason::NotCaughtUp, 432)]);
    assert_eq!(decided.through, Some(instant("2026-05-02T20:00:00Z")));
}

#[test]
fn later_than_the_deadline_is_missed_whatever_the_policy() {
    let schedule = schedule("*/5 * * * *", "UTC");
    let last = instant("2026-05-01T08:00:00Z");
    let now = instant("2026-05-01T09:02:00Z");
    let deadline = |seconds| Some(Duration::from_secs(seconds));
    let decided = schedule.due_times(last, now, CatchUp::All, deadline(720));
    assert_eq!(
        decided.make,
        ["08:50", "08:55", "09:00"].map(|time| instant(&format!("2026-05-01T{time}:00Z")))
    );
    assert_eq!(told(&decided), [(MissReason::Deadline, 9)]);
    let decided = schedule.due_times(last, now, CatchUp::Last, deadline(720));
    assert_eq!(
        told(&decided),
        [(MissReason::Deadline, 9), (MissReason::NewerOne, 2)]
    );
    let decided = schedule.due_times(last, now, CatchUp::Last, deadline(119));
    assert_eq!(
        (decided.make.len(), told(&decided)),
        (0, vec![(MissReason::Deadline, 12)])
    );
    // Exactly as late as is allowed.
    let decided = schedule.due_times(last, now, CatchUp::Last, deadline(120));
    assert_eq!(decided.make.len(), 1);
    // On time, and too late all the same.
    let now = instant("2026-05-01T08:05:30Z");
    let decided = schedule.due_times(last, now, CatchUp::None, deadline(10));
    assert_eq!(told(&decided), [(MissReason::Deadline, 1)]);
}

#[test]
fn two_on_time_are_both_made() {
    let minutes = schedule("* * * * *", "UTC");
    let decided = minutes.due_times(
        instant("2026-05-01T08:00:00Z"),
        instant("2026-05-01T08:03:00Z"),
        CatchUp::Last,
        None,
    );
    assert_eq!(
        decided.make,
        [
            instant("2026-05-01T08:02:00Z"),
            instant("2026-05-01T08:03:00Z")
        ]
    );
    assert_eq!(told(&decided), [(MissReason::NewerOne, 1)]);
}

#[test]
fn a_clock_stepped_back_finds_nothing_due_and_forth_catches_up() {
    let hourly = schedule("0 * * * *", "UTC");
    let last = instant("2026-05-01T08:00:00Z");
    let back = hourly.due_times(last, instant("2026-05-01T06:30:00Z"), CatchUp::All, None);
    assert_eq!(back, DueTimes::default());
    let forth = hourly.due_times(last, instant("2026-05-01T11:30:00Z"), CatchUp::All, None);
    assert_eq!(forth.make.len(), 3);
}

#[test]
fn splay_shifts_the_start_and_not_the_due_time() {
    let mut hourly = schedule("0 * * * *", "UTC");
    hourly.splay = Duration::from_mins(10);
    let last = instant("2026-05-01T08:00:00Z");
    let early = hourly.due_times(last, instant("2026-05-01T09:09:59Z"), CatchUp::None, None);
    assert_eq!(early, DueTimes::default());
    let now = instant("2026-05-01T09:10:30Z");
    let decided = hourly.due_times(last, now, CatchUp::None, Some(Duration::from_mins(1)));
    assert_eq!(decided.make, [instant("2026-05-01T09:00:00Z")]);
    assert_eq!(
        hourly.start_of(decided.make[0]),
        instant("2026-05-01T09:10:00Z")
    );
}

#[test]
fn an_outage_of_decades_is_counted_for_eight_years() {
    let minutes = schedule("* * * * *", "Europe/Berlin");
    let decided = minutes.due_times(
        instant("1990-01-01T00:00:00Z"),
        instant("2026-01-01T00:00:00Z"),
        CatchUp::All,
        None,
    );
    assert_eq!(decided.make.len(), MOST_CAUGHT_UP);
    assert!(!decided.missed[0].is_exact);
    assert!(decided.missed[0].count > 4_000_000);
}

fn told(decided: &DueTimes) -> Vec<(MissReason, u64)> {
    let told = decided
        .missed
        .iter()
        .map(|missed| (missed.reason, missed.count));
    told.collect()
}
