//! Every time zone, from 2026 to 2046, against what an independent program recorded: `tests/env/python/zones/record.py`,
//! which enumerates local dates with Python's zoneinfo over the same release of the time zone database.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use sha2::{Digest, Sha256};
use slipway::schedule::{Expression, Fold, Gap, Schedule, zone};

/// Each with what becomes of it in gap and fold; `None` for the rule. The same list stands in the program that recorded.
const SCHEDULES: [(&str, Option<(Gap, Fold)>); 5] = [
    ("*/30 * * * *", None),
    ("15,45 0-3,22-23 * * *", None),
    ("0,30 0-4,23 * * *", Some((Gap::Skip, Fold::Both))),
    ("0 * * * *", Some((Gap::Next, Fold::First))),
    ("15 1 */2 * 1", None),
];

const RECORDED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/zones.txt"
));

const DAY: i64 = 86_400;

#[test]
fn every_zone_is_as_recorded_from_2026_to_2046() {
    let lines: Vec<&str> = RECORDED.lines().collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    // Two halves, for two processors.
    let wrong = std::thread::scope(|scope| {
        let second = scope.spawn(|| wrong_zones(second));
        [wrong_zones(first), second.join().unwrap()].concat()
    });
    assert!(
        wrong.is_empty(),
        "these differ; `record.py ZONE` prints a zone's days: {wrong:?}"
    );
    let zones: usize = lines.iter().map(|line| line.split(' ').count() - 2).sum();
    assert!(zones > 590, "{zones} zones");
}

fn wrong_zones<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let mut wrong = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let [hash, count, first, others @ ..] = &words[..] else {
            panic!("{line}");
        };
        let leader = zone(first).unwrap();
        let (hashed, number) = told(&leader);
        if (hashed.as_str(), number.to_string().as_str()) != (*hash, *count) {
            wrong.push(*first);
        }
        let same = |other: &&&str| changes(&zone(other).unwrap()) != changes(&leader);
        wrong.extend(others.iter().filter(same));
    }
    wrong
}

/// A hash of all days that are looked at, and how many due times they have.
fn told(zone: &TimeZone) -> (String, usize) {
    let schedules = SCHEDULES.map(|(text, rules)| {
        let expression = Expression::parse(text).unwrap();
        let mut schedule = Schedule::new(expression, zone.clone(), Timestamp::UNIX_EPOCH);
        schedule.gap = rules.map(|(gap, _)| gap);
        schedule.fold = rules.map(|(_, fold)| fold);
        schedule
    });
    let mut hash = Sha256::new();
    let mut count = 0;
    let mut line = String::new();
    for (day, is_change) in days(zone) {
        for (index, schedule) in (0..).zip(&schedules) {
            if !is_change && day % 5 != index {
                continue;
            }
            line.clear();
            write!(line, "{day} {index} ").unwrap();
            let due = schedule.due_between(at(day * DAY - 1), at((day + 1) * DAY - 1));
            for (place, due) in due.enumerate() {
                let blank = if place == 0 { "" } else { " " };
                write!(line, "{blank}{}", due.as_second() - day * DAY).unwrap();
                count += 1;
            }
            line.push('\n');
            hash.update(line.as_bytes());
        }
    }
    let hex = hash
        .finalize()
        .iter()
        .take(8)
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
    (hex, count)
}

/// Days since 1970 that are looked at; true for those around a change of the offset.
fn days(zone: &TimeZone) -> std::collections::BTreeMap<i64, bool> {
    let mut days = std::collections::BTreeMap::new();
    let offset = |day: i64| zone.to_offset(at(day * DAY));
    for (place, day) in (day(2026, 1, 1)..=day(2046, 12, 31)).enumerate() {
        if place % 10 == 0 {
            days.entry(day).or_insert(false);
        }
        if offset(day) != offset(day + 1) {
            days.extend((day - 2..=day + 2).map(|near| (near, true)));
        }
    }
    days
}

fn day(year: i16, month: i8, day: i8) -> i64 {
    let midnight = Date::new(year, month, day).unwrap().at(0, 0, 0, 0);
    Offset::UTC.to_timestamp(midnight).unwrap().as_second() / DAY
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// When a zone's offset changes, and to what.
fn changes(zone: &TimeZone) -> Vec<(Timestamp, Offset)> {
    let (from, until) = (at(day(2025, 12, 1) * DAY), at(day(2047, 1, 2) * DAY));
    let changes = zone
        .following(from)
        .take_while(|change| change.timestamp() < until);
    let mut changes: Vec<_> = changes
        .map(|change| (change.timestamp(), change.offset()))
        .collect();
    changes.insert(0, (from, zone.to_offset(from)));
    changes
}
