//! Gaps, folds, exclusions and windows.

use super::*;

#[test]
fn a_fixed_time_in_a_gap_is_due_after_it_and_in_a_fold_once() {
    let berlin = schedule("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        due(&berlin, "2026-03-28T00:00:00Z", 3),
        [
            "2026-03-28 02:30+01",
            "2026-03-29 03:00+02",
            "2026-03-30 02:30+02"
        ]
    );
    assert_eq!(
        due(&berlin, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30+02", "2026-10-26 02:30+01"]
    );
}

#[test]
fn times_in_one_gap_are_due_once_together_and_once_with_what_is_due_there_anyway() {
    for text in ["15,45 2 * * *", "0,15,45 2,3 * * *", "0 2,3 * * *"] {
        let berlin = schedule(text, "Europe/Berlin");
        let due = due(&berlin, "2026-03-29T00:00:00Z", 2);
        assert_eq!(due[0], "2026-03-29 03:00+02", "{text}");
        assert_ne!(due[1], due[0], "{text}");
        let (from, until) = (
            instant("2026-03-28T22:59:00Z"),
            instant("2026-03-29T21:59:00Z"),
        );
        let listed = berlin.due_between(from, until).count() as u64;
        assert_eq!(berlin.count_between(from, until), (listed, true), "{text}");
    }
}

#[test]
fn an_interval_keeps_its_pace_through_gap_and_fold() {
    let berlin = schedule("*/30 * * * *", "Europe/Berlin");
    let half_hours =
        |from: &str, until: &str| berlin.due_between(instant(from), instant(until)).count();
    assert_eq!(
        half_hours("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        46
    );
    assert_eq!(
        half_hours("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        50
    );
}

#[test]
fn what_is_written_goes_before_the_rule() {
    let mut berlin = schedule("30 2 * * *", "Europe/Berlin");
    (berlin.gap, berlin.fold) = (Some(Gap::Skip), Some(Fold::Both));
    assert_eq!(
        due(&berlin, "2026-03-28T12:00:00Z", 1),
        ["2026-03-30 02:30+02"]
    );
    assert_eq!(
        due(&berlin, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30+02", "2026-10-25 02:30+01"]
    );
    let mut hourly = schedule("30 * * * *", "Europe/Berlin");
    (hourly.gap, hourly.fold) = (Some(Gap::Next), Some(Fold::First));
    assert_eq!(
        due(&hourly, "2026-03-29T00:30:00Z", 2),
        ["2026-03-29 03:00+02", "2026-03-29 03:30+02"]
    );
    assert_eq!(
        due(&hourly, "2026-10-25T00:00:00Z", 2),
        ["2026-10-25 02:30+02", "2026-10-25 03:30+01"]
    );
}

#[test]
fn a_day_that_was_not_there_and_a_midnight_that_was_not_are_due_after_it() {
    assert_eq!(
        due(
            &schedule("0 12 * * *", "Pacific/Apia"),
            "2011-12-29T00:00:00Z",
            4
        ),
        [
            "2011-12-29 12:00-10",
            "2011-12-31 00:00+14",
            "2011-12-31 12:00+14",
            "2012-01-01 12:00+14"
        ]
    );
    assert_eq!(
        due(
            &schedule("0 0 * * *", "Asia/Beirut"),
            "2026-03-27T22:00:00Z",
            2
        ),
        ["2026-03-29 01:00+03", "2026-03-30 00:00+03"]
    );
    assert_eq!(
        due(
            &schedule("0 0 4 11 *", "America/Sao_Paulo"),
            "2018-10-02T12:00:00Z",
            2
        ),
        ["2018-11-04 01:00-02", "2019-11-04 00:00-03"]
    );
    assert_eq!(
        due(
            &schedule("15 2 * * *", "Australia/Lord_Howe"),
            "2026-10-03T12:00:00Z",
            2
        ),
        ["2026-10-04 02:30+11", "2026-10-05 02:15+11"]
    );
    assert_eq!(
        due(
            &schedule("45 1 * * *", "Australia/Lord_Howe"),
            "2026-04-04T12:00:00Z",
            2
        ),
        ["2026-04-05 01:45+11", "2026-04-06 01:45+10:30"]
    );
}

#[test]
fn a_clock_set_back_over_midnight_names_the_day_before_twice() {
    // Until 2006 St John's clocks went back at 00:01, to 23:01 of the day before.
    let both = schedule("30 * * * *", "America/St_Johns");
    assert_eq!(
        due(&both, "2006-10-29T01:30:00Z", 4),
        [
            "2006-10-28 23:30-02:30",
            "2006-10-28 23:30-03:30",
            "2006-10-29 00:30-03:30",
            "2006-10-29 01:30-03:30"
        ]
    );
    let once = schedule("0,30 0,23 * * *", "America/St_Johns");
    assert_eq!(
        due(&once, "2006-10-29T01:00:00Z", 4),
        [
            "2006-10-28 23:00-02:30",
            "2006-10-28 23:30-02:30",
            "2006-10-29 00:00-02:30",
            "2006-10-29 00:30-03:30"
        ]
    );
}

#[test]
fn a_leap_day_is_found_eight_years_later() {
    assert_eq!(
        due(&schedule("0 0 29 2 *", "UTC"), "2096-03-01T00:00:00Z", 1),
        ["2104-02-29 00:00+00"]
    );
    let leap = schedule("0 0 29 2 *", "UTC");
    assert_eq!(
        leap.last_at_or_before(instant("2104-02-28T00:00:00Z")),
        Some(instant("2096-02-29T00:00:00Z"))
    );
}

#[test]
fn several_expressions_are_one_schedule_and_exclusions_take_from_all() {
    let mut both = schedule("0 2 * * *", "Europe/Berlin");
    both.expressions
        .push(Expression::parse("0 */2 * * *").unwrap());
    both.expressions
        .push(Expression::parse("@every 1h").unwrap());
    both.exclude
        .expressions
        .push(Expression::parse("* 4-22 * * *").unwrap());
    both.exclude.dates.insert("2026-12-25".parse().unwrap());
    assert_eq!(
        due(&both, "2026-12-24T00:30:00Z", 6),
        [
            "2026-12-24 02:00+01",
            "2026-12-24 03:00+01",
            "2026-12-24 23:00+01",
            "2026-12-26 00:00+01",
            "2026-12-26 01:00+01",
            "2026-12-26 02:00+01"
        ]
    );
    let (from, until) = (
        instant("2026-12-24T00:30:00Z"),
        instant("2026-12-26T01:00:00Z"),
    );
    assert_eq!(both.count_between(from, until), (6, true));
    assert_eq!(both.last_at_or_before(until), Some(until));
}

#[test]
fn what_excludes_everything_ends_the_search() {
    for text in ["* * * * *", "@every 1m", "@every 7m"] {
        let mut never = schedule(text, "Europe/Berlin");
        never
            .exclude
            .expressions
            .push(Expression::parse("* * * * *").unwrap());
        assert_eq!(never.first_after(instant("2026-01-01T00:00:00Z")), None);
        assert_eq!(
            never.last_at_or_before(instant("2026-01-01T00:00:00Z")),
            None
        );
        assert_eq!(
            never.count_between(
                instant("2026-01-01T00:00:00Z"),
                instant("2027-01-01T00:00:00Z")
            ),
            (0, true)
        );
    }
}

#[test]
fn nothing_is_due_outside_its_time() {
    let mut window = schedule("0 * * * *", "UTC");
    window.start_at = Some(instant("2026-05-01T09:00:00Z"));
    window.end_at = Some(instant("2026-05-01T11:00:00Z"));
    let all = window.due_between(instant("2026-01-01T00:00:00Z"), Timestamp::MAX);
    let all: Vec<String> = all.map(|due| due.to_string()).collect();
    assert_eq!(
        all,
        [
            "2026-05-01T09:00:00Z",
            "2026-05-01T10:00:00Z",
            "2026-05-01T11:00:00Z"
        ]
    );
    assert_eq!(
        window.last_at_or_before(instant("2026-05-01T08:59:59Z")),
        None
    );
    assert_eq!(
        window.last_at_or_before(Timestamp::MAX),
        Some(instant("2026-05-01T11:00:00Z"))
    );
}

#[test]
fn every_counts_from_its_start_or_from_a_step_after_creation() {
    let mut every = schedule("@every 90m", "Europe/Berlin");
    every.created = instant("2026-05-01T09:10:07Z");
    assert_eq!(
        every.first_after(every.created),
        Some(instant("2026-05-01T10:40:07Z"))
    );
    every.start_at = Some(instant("2026-05-01T12:00:00Z"));
    assert_eq!(
        every.first_after(every.created),
        Some(instant("2026-05-01T12:00:00Z"))
    );
    let far = instant("2126-05-01T12:00:00Z");
    assert_eq!(
        every.count_between(instant("2126-05-01T00:00:00Z"), far),
        (8, true)
    );
}

#[test]
fn the_shortest_interval_is_the_one_on_the_wall() {
    for (text, seconds) in [
        ("* * * * *", Some(60)),
        ("0 2 * * *", Some(86_400)),
        ("0,1 0 1 * *", Some(60)),
        ("0 8,9 * * *", Some(3_600)),
        ("59 23 31 12 *", None),
        ("@every 90m", Some(5_400)),
        ("0 23 31 12 *", None),
    ] {
        let shortest = schedule(text, "UTC").shortest_interval();
        assert_eq!(shortest, seconds.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn jumps_that_due_times_fall_into_are_told() {
    let told = |text: &str| {
        let berlin = schedule(text, "Europe/Berlin");
        let (from, until) = (
            instant("2026-01-01T00:00:00Z"),
            instant("2026-12-31T00:00:00Z"),
        );
        let changes = berlin.clock_changes(from, until, 10);
        let told = changes
            .iter()
            .map(|change| format!("{} {} {:?}", change.from, change.to, change.affected[0]));
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        told("30 2 * * *"),
        [
            "2026-03-29T02:00:00 2026-03-29T03:00:00 (2026-03-29T02:30:00, Moved(2026-03-29T01:00:00Z))",
            "2026-10-25T03:00:00 2026-10-25T02:00:00 (2026-10-25T02:30:00, Once)",
        ]
    );
    assert_eq!(
        told("*/30 * * * *"),
        [
            "2026-03-29T02:00:00 2026-03-29T03:00:00 (2026-03-29T02:00:00, Skipped)",
            "2026-10-25T03:00:00 2026-10-25T02:00:00 (2026-10-25T02:00:00, Twice)",
        ]
    );
    assert_eq!(told("0 4 * * *"), Vec::<String>::new());
}

#[test]
fn due_times_are_even_when_all_are_as_far_apart() {
    for (text, is_uneven) in [
        ("*/5 * * * *", false),
        ("0 2 * * *", false),
        ("@every 90m", false),
        ("0,5 14 * * *", true),
        ("0 9-17 * * 1-5", true),
        ("*/7 * * * *", true),
    ] {
        assert_eq!(schedule(text, "UTC").is_uneven(), is_uneven, "{text}");
    }
}
