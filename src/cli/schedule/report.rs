//! What is said of one schedule.

use std::io::Write;

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::manifest::{Finding, Manifests};
use crate::resource::traps;
use crate::schedule::{ClockChange, ClockChangeEffect, DayOrInstant, Exclude, Schedule};

/// Due times that are listed for one schedule.
const MOST_LISTED: usize = 1_000;
/// Jumps of the clock that are listed.
const MOST_CHANGES: usize = 20;
/// How many due times "next" is.
const NEXT: usize = 5;

/// One schedule of the files.
pub(super) struct ScheduleReport {
    kind: String,
    namespace: String,
    name: String,
    texts: Vec<String>,
    zone: String,
    next: Vec<String>,
    range: Option<RangeReport>,
    warnings: Vec<String>,
}

/// The due times of a range.
struct RangeReport {
    due: Vec<String>,
    count: u64,
    is_exact: bool,
    left_out: Vec<String>,
    clock: Vec<String>,
}

/// Every schedule in the files, in their order.
pub(super) fn of_files(
    manifests: &Manifests,
    name: Option<&str>,
    from: DayOrInstant,
    to: Option<DayOrInstant>,
) -> Vec<ScheduleReport> {
    let mut found = Vec::new();
    for (index, event_job) in &manifests.event_jobs {
        if let Some(cron) = event_job.cron() {
            let value = &manifests.entries[*index].document.value;
            let warnings = traps::of_event_job(event_job, value);
            found.push((*index, &cron.schedule, warnings));
        }
    }
    for (index, cron_job) in &manifests.cron_jobs {
        found.push((*index, &cron_job.schedule, traps::of_cron_job(cron_job)));
    }
    found.sort_by_key(|(index, ..)| *index);
    let mut reports = Vec::new();
    for (index, schedule, warnings) in found {
        let entry = &manifests.entries[index];
        let id = &entry.document.id;
        if name.is_some_and(|name| *name != *id.name) {
            continue;
        }
        let zone = &schedule.time_zone;
        // What is due at its begin counts.
        let after = from.begin(zone).checked_sub(1.nanosecond());
        let after = after.unwrap_or(Timestamp::MIN);
        let until = to.map(|to| to.end(zone));
        let warnings = warnings.into_iter();
        let warnings = warnings.map(|fault| -> Finding { entry.finding(fault) });
        reports.push(ScheduleReport {
            kind: entry.document.kind.clone(),
            namespace: id.namespace.to_string(),
            name: id.name.to_string(),
            texts: schedule
                .expressions
                .iter()
                .map(ToString::to_string)
                .collect(),
            zone: schedule.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            next: listed(
                schedule,
                schedule.due_between(after, Timestamp::MAX).take(NEXT),
            ),
            range: until.map(|until| range(schedule, after, until)),
            warnings: warnings.map(|finding| finding.fault.to_string()).collect(),
        });
    }
    reports
}

fn range(schedule: &Schedule, from: Timestamp, to: Timestamp) -> RangeReport {
    let (count, is_exact) = schedule.count_between(from, to);
    let whole = Schedule {
        exclude: Exclude::default(),
        ..schedule.clone()
    };
    // What is due without the exclusions and not with them.
    let mut due = schedule.due_between(from, to).peekable();
    let mut left_out = Vec::new();
    if schedule.exclude != Exclude::default() {
        for candidate in whole.due_between(from, to).take(MOST_LISTED) {
            if due.next_if_eq(&candidate).is_none() {
                left_out.push(candidate);
            }
        }
    }
    let changes = schedule.clock_changes(from, to, MOST_CHANGES);
    RangeReport {
        due: listed(schedule, schedule.due_between(from, to).take(MOST_LISTED)),
        count,
        is_exact,
        left_out: listed(schedule, left_out.into_iter()),
        clock: changes
            .iter()
            .map(|change| told(schedule, change))
            .collect(),
    }
}

/// Instants as the wall shows them, with the offset.
fn listed(schedule: &Schedule, due: impl Iterator<Item = Timestamp>) -> Vec<String> {
    due.map(|due| shown(schedule, due)).collect()
}

fn shown(schedule: &Schedule, due: Timestamp) -> String {
    let local = due.to_zoned(schedule.time_zone.clone());
    local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A jump of the clock in words.
fn told(schedule: &Schedule, change: &ClockChange) -> String {
    let time = |at: jiff::civil::DateTime| at.strftime("%H:%M").to_string();
    let effects = change.affected.iter().map(|(wall, effect)| {
        let what = match effect {
            ClockChangeEffect::Moved(to) => format!("is due at {}", shown(schedule, *to)),
            ClockChangeEffect::Skipped => "is not due".to_owned(),
            ClockChangeEffect::Once => "is due once, the first time".to_owned(),
            ClockChangeEffect::Twice => "is due both times".to_owned(),
        };
        format!("{} {what}", time(*wall))
    });
    let effects: Vec<String> = effects.collect();
    format!(
        "{}: the clock goes from {} to {}: {}",
        change.from.strftime("%F"),
        time(change.from),
        time(change.to),
        effects.join(", ")
    )
}

/// Lines for people.
pub(super) fn print_text(
    reports: &[ScheduleReport],
    faults: &[String],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    for fault in faults {
        writeln!(out, "error: {fault}")?;
    }
    for report in reports {
        let ScheduleReport {
            kind,
            namespace,
            name,
            zone,
            ..
        } = report;
        writeln!(
            out,
            "{kind} {namespace}/{name}: {} in {zone}",
            report.texts.join("; ")
        )?;
        for warning in &report.warnings {
            writeln!(out, "  warning: {warning}")?;
        }
        if report.next.is_empty() {
            writeln!(out, "  next: never")?;
        }
        for next in &report.next {
            writeln!(out, "  next: {next}")?;
        }
        let Some(range) = &report.range else { continue };
        for clock in &range.clock {
            writeln!(out, "  clock: {clock}")?;
        }
        for left_out in &range.left_out {
            writeln!(out, "  excluded: {left_out}")?;
        }
        for due in &range.due {
            writeln!(out, "  due: {due}")?;
        }
        let at_least = if range.is_exact { "" } else { "at least " };
        let shown = range.due.len();
        if usize::try_from(range.count).is_ok_and(|count| count == shown) {
            writeln!(out, "  {shown} due times")?;
        } else {
            writeln!(
                out,
                "  {at_least}{} due times, of which the first {shown} are listed",
                range.count
            )?;
        }
    }
    Ok(())
}

/// One object with all schedules.
pub(super) fn print_json(
    reports: &[ScheduleReport],
    faults: &[String],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let schedules: Vec<Value> = reports.iter().map(ScheduleReport::to_json).collect();
    let all = json!({ "schedules": schedules, "faults": faults });
    serde_json::to_writer_pretty(&mut *out, &all)?;
    writeln!(out)?;
    Ok(())
}

impl ScheduleReport {
    fn to_json(&self) -> Value {
        let range = self.range.as_ref();
        json!({
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "schedules": self.texts,
            "timeZone": self.zone,
            "warnings": self.warnings,
            "next": self.next,
            "due": range.map(|range| &range.due),
            "count": range.map(|range| range.count),
            "countIsExact": range.map(|range| range.is_exact),
            "excluded": range.map(|range| &range.left_out),
            "clockChanges": range.map(|range| &range.clock),
        })
    }
}
