use super::*;

mod decisions;
mod jumps;
mod language;

/// One expression in a zone.
fn schedule(text: &str, zone_name: &str) -> Schedule {
    let expression = Expression::parse(text).unwrap();
    Schedule::new(
        expression,
        zone(zone_name).unwrap(),
        instant("2026-01-01T00:00:00Z"),
    )
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first due times after an instant, in the zone's own clock.
fn due(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let due = schedule
        .due_between(instant(after), Timestamp::MAX)
        .take(count);
    let zone = &schedule.time_zone;
    due.map(|due| {
        zone.to_datetime(due).strftime("%F %H:%M").to_string() + &zone.to_offset(due).to_string()
    })
    .collect()
}
