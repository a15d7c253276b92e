//! A ScaledJob: its last turn in numbers, and what is in the way.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::seen::{SeenTurn, sentence};
use super::times::beside;
use super::{Cause, Explanation, ObjectEvidence, causes};
use crate::history::{HistoryFact, HistoryRecord, ObjectStanding, SubjectKind};
use crate::resource::ScaledJob;

/// Records that are told beside the last.
const EARLIER: usize = 5;
/// So many polling intervals without a look are too many.
const MOST_INTERVALS: u32 = 3;
/// What a look may be late beside that: a failed one is repeated within a minute.
const LATE: Duration = Duration::from_secs(90);

pub(super) fn explain(evidence: &ObjectEvidence) -> Explanation {
    let mut explanation = Explanation::default();
    let parsed = evidence
        .object
        .as_ref()
        .and_then(|object| crate::resource::scaled_job::parse(object).ok());
    let interval = parsed
        .as_ref()
        .map_or(Duration::from_secs(30), |scaled_job| {
            scaled_job.polling_interval
        });
    let status = evidence.status();
    let records = by_time(evidence);
    let turn = last_turn(evidence, &records, status, interval);
    let standing = last_standing(evidence, &records, turn.as_ref(), interval);
    if let Some(turn) = &turn {
        tell(turn, evidence.now, &mut explanation);
    }
    let mut found = Vec::new();
    if evidence.is_missing {
        found.push(causes::missing(evidence));
    }
    of_object(evidence, status, standing, parsed.as_ref(), &mut found);
    if let Some(turn) = &turn {
        of_turn(evidence, turn, parsed.as_ref(), &mut found);
    }
    if evidence.at.is_none() {
        found.extend(causes::no_leader(evidence));
        let is_quiet = found.is_empty();
        match &turn {
            None if is_quiet => found.push(causes::not_yet(evidence)),
            Some(turn) if is_quiet && is_stale(turn, interval, evidence.now) => {
                found.push(causes::stale(evidence, turn.at, interval));
            }
            _ => {}
        }
    }
    explanation.summary = summary(turn.as_ref(), &found);
    explanation.causes = found;
    explanation.earlier = if records.is_empty() {
        earlier_events(evidence)
    } else {
        earlier_records(&records, turn.as_ref().map(|turn| turn.at))
    };
    explanation
}

/// The records up to the time that is asked about, the oldest first.
pub(super) fn by_time(evidence: &ObjectEvidence) -> Vec<&HistoryRecord> {
    let at = evidence.at.unwrap_or(Timestamp::MAX);
    let records = evidence.records.iter();
    let mut records: Vec<&HistoryRecord> = records
        .filter(|record| record.subject == evidence.subject && record.since <= at)
        .collect();
    records.sort_by_key(|record| (record.at.min(at), record.since));
    records
}

/// The last turn that is known: a record's, else the status'.
fn last_turn(
    evidence: &ObjectEvidence,
    records: &[&HistoryRecord],
    status: &Value,
    interval: Duration,
) -> Option<SeenTurn> {
    let at = evidence.at.unwrap_or(Timestamp::MAX);
    let mut recorded = records.iter().rev();
    let recorded = recorded.find_map(|record| SeenTurn::of_record(record));
    let recorded = recorded.map(|turn| SeenTurn {
        at: turn.at.min(at),
        ..turn
    });
    let shown = SeenTurn::of_status(status, interval).filter(|turn| turn.at <= at);
    match (recorded, shown) {
        // The status is told to the second.
        (Some(recorded), Some(shown)) if shown.at.as_second() > recorded.at.as_second() => {
            Some(shown)
        }
        (Some(recorded), _) => Some(recorded),
        (None, shown) => shown,
    }
}

/// How it stood when no turn was taken, if that is not over.
fn last_standing<'a>(
    evidence: &ObjectEvidence,
    records: &[&'a HistoryRecord],
    turn: Option<&SeenTurn>,
    interval: Duration,
) -> Option<&'a ObjectStanding> {
    let mut stands_by = None;
    for record in records.iter().rev() {
        match &record.fact {
            // Replicas stand by beside the one that leads, and say nothing of what it found.
            HistoryFact::Standing(standing @ ObjectStanding::StandsBy) => {
                stands_by = stands_by.or(Some(standing));
            }
            HistoryFact::Standing(standing) if turn.is_none_or(|turn| turn.at <= record.at) => {
                return Some(standing);
            }
            _ => {}
        }
    }
    let is_led = turn.is_some_and(|turn| !is_stale(turn, interval, evidence.now));
    stands_by.filter(|_| !is_led)
}

fn is_stale(turn: &SeenTurn, interval: Duration, now: Timestamp) -> bool {
    // A status is not written while nothing changes: only a record, which knows what started it, tells of each look.
    if turn.wake.is_none() {
        return false;
    }
    let longest = interval * MOST_INTERVALS + LATE;
    now.duration_since(turn.at).unsigned_abs() > longest
}

fn tell(turn: &SeenTurn, now: Timestamp, explanation: &mut Explanation) {
    let mut tell = |word: &str, text: String| explanation.facts.push((word.to_owned(), text));
    let wake = turn.wake.map_or(String::new(), |wake| format!(", {wake}"));
    let times = match turn.times {
        0 | 1 => String::new(),
        times => format!("; the same {times} times since {:.0}", turn.since),
    };
    tell("looked", format!("{}{wake}{times}", beside(turn.at, now)));
    for trigger in &turn.triggers {
        let text = match &trigger.reading {
            Ok(reading) => {
                let per_job = reading
                    .per_job
                    .map_or(String::new(), |per_job| format!(", {per_job} per Job"));
                let active = if reading.active {
                    "active"
                } else {
                    "not active"
                };
                format!(
                    "{}: {} waiting{per_job}, {active}",
                    trigger.name, reading.waiting
                )
            }
            Err(failure) => format!("{}: not read: {}", trigger.name, failure.message),
        };
        tell("read", text);
    }
    match turn.counts {
        Some(counts) => tell(
            "counted",
            format!(
                "{} unfinished Jobs, {} pending",
                counts.unfinished, counts.pending
            ),
        ),
        None => tell("counted", "its Jobs could not be counted".to_owned()),
    }
    if let Some(reason) = &turn.reason {
        tell("wanted", reason.clone());
    }
    if let Some(launch) = turn.launch {
        if turn.held_back > 0 {
            tell("capped", format!("{} Jobs held back", turn.held_back));
        }
        tell("launched", format!("{} of {launch} Jobs", turn.launched));
    }
    if let Some((_, trouble)) = &turn.trouble {
        tell("refused", trouble.clone());
    }
    match turn.next_look {
        Some(next) => tell("next look", beside(next, now)),
        None => tell("next look", "when the object is edited".to_owned()),
    }
}

/// What the object itself, and its conditions, say.
fn of_object(
    evidence: &ObjectEvidence,
    status: &Value,
    standing: Option<&ObjectStanding>,
    parsed: Option<&ScaledJob>,
    found: &mut Vec<Cause>,
) {
    let object = evidence.object.as_ref();
    let is_now = evidence.at.is_none();
    match standing {
        Some(ObjectStanding::Paused) => found.push(causes::paused(evidence)),
        Some(ObjectStanding::Invalid(why)) => found.push(causes::invalid(evidence, why)),
        Some(ObjectStanding::Broken) => found.push(causes::broken(evidence)),
        Some(ObjectStanding::StandsBy) if is_now => found.push(causes::stands_by(evidence)),
        Some(ObjectStanding::StandsBy) | None => {}
    }
    if !is_now || !found.is_empty() {
        return;
    }
    if parsed.is_some_and(|scaled_job| scaled_job.paused) {
        found.push(causes::paused(evidence));
        return;
    }
    if let (Some(object), None) = (object, parsed) {
        let why = crate::resource::scaled_job::parse(object).err();
        let why = why.map(|faults| crate::resource::Fault::list(&faults));
        found.push(causes::invalid(evidence, &why.unwrap_or_default()));
        return;
    }
    let ready = condition(status, "Ready");
    let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
    let (reason, message) = (text("reason"), text("message"));
    match (ready["status"].as_str(), reason.as_str()) {
        (Some("False"), "KEDAJobCreateFailed") => {
            found.push(causes::template_refused(evidence, &message));
        }
        (Some("False"), "ScaledJobCheckFailed") => found.push(causes::invalid(evidence, &message)),
        (Some("False"), "InternalError") => found.push(causes::broken(evidence)),
        // The Jobs were not counted: `status::judge` takes the error's word.
        (Some("Unknown"), reason) if reason != "PartialTriggerError" && !reason.is_empty() => {
            found.push(causes::uncounted(evidence, &message));
        }
        _ => {}
    }
}

pub(super) fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}

/// What the turn says.
fn of_turn(
    evidence: &ObjectEvidence,
    turn: &SeenTurn,
    parsed: Option<&ScaledJob>,
    found: &mut Vec<Cause>,
) {
    let failed = turn.failures().count();
    for (name, failure) in turn.failures() {
        let what = (name, &*failure.message, failure.reason.as_deref());
        let since = (turn.since, turn.times);
        let counts = (failed, turn.triggers.len());
        found.push(causes::unread(evidence, what, counts, Some(since)));
    }
    if turn.counts.is_none() {
        let message = turn.trouble.as_ref().map_or("", |(_, message)| message);
        found.push(causes::uncounted(evidence, message));
        return;
    }
    if let Some((reason, message)) = &turn.trouble {
        let is_said = |cause: &Cause| cause.word == "Refused";
        if !found.iter().any(is_said) {
            let counts = (turn.launched, turn.launch.unwrap_or_default());
            let why = (reason.as_deref(), message.as_str());
            found.push(causes::not_made(evidence, counts, why));
        }
    }
    if turn.held_back > 0 {
        let unfinished = turn.counts.map_or(0, |counts| counts.unfinished);
        let cap = parsed.map(|scaled_job| scaled_job.policy.bounds.cap());
        let unfinished = unfinished.saturating_add(turn.launched);
        found.push(causes::capped(evidence, turn.held_back, unfinished, cap));
    }
}

fn summary(turn: Option<&SeenTurn>, found: &[Cause]) -> String {
    let words: Vec<&str> = found.iter().map(|cause| cause.word).collect();
    let Some(turn) = turn else {
        return match words.first() {
            Some(word) => format!("it launched nothing ({word})"),
            None => "nothing is known of it".to_owned(),
        };
    };
    let launched = match (turn.launch, turn.launched) {
        (None, _) => "it decided nothing".to_owned(),
        (Some(0), _) if !turn.active => {
            "it launched 0 Jobs, because nothing is waiting above its threshold".to_owned()
        }
        (Some(0), _) => "it launched 0 Jobs".to_owned(),
        (Some(wanted), launched) if wanted == launched => format!("it launched {launched} Jobs"),
        (Some(wanted), launched) => format!("it launched {launched} of {wanted} Jobs"),
    };
    if words.is_empty() {
        format!("{launched}; nothing is in the way")
    } else {
        format!("{launched}; in the way: {}", words.join(", "))
    }
}

/// What came before: by records, else by Kubernetes Events.
pub(super) fn earlier(evidence: &ObjectEvidence) -> Vec<(Timestamp, String)> {
    let records = by_time(evidence);
    if records.is_empty() {
        earlier_events(evidence)
    } else {
        earlier_records(&records, None)
    }
}

/// What came before, the newest first.
fn earlier_records(
    records: &[&HistoryRecord],
    skip: Option<Timestamp>,
) -> Vec<(Timestamp, String)> {
    let earlier = records.iter().rev();
    let earlier = earlier.filter(|record| skip.is_none_or(|skip| record.at < skip));
    let earlier = earlier.take(EARLIER);
    earlier
        .map(|record| (record.at, sentence(record)))
        .collect()
}

/// What Kubernetes Events say, the newest first: where there are no records.
fn earlier_events(evidence: &ObjectEvidence) -> Vec<(Timestamp, String)> {
    let kind = match evidence.subject.kind {
        SubjectKind::ScaledJob | SubjectKind::KedaScaledJob => "ScaledJob",
        kind => kind.name(),
    };
    let until = evidence.at.unwrap_or(Timestamp::MAX);
    let event = |event: &Value| {
        let time = |field: &str| event[field].as_str()?.parse::<Timestamp>().ok();
        let at = time("eventTime").or_else(|| time("deprecatedLastTimestamp"))?;
        let (reason, note) = (event["reason"].as_str()?, event["note"].as_str()?);
        let is_of_it = event["regarding"]["kind"] == kind && at <= until;
        is_of_it.then(|| (at, format!("Event {reason}: {note}")))
    };
    let mut events: Vec<_> = evidence.events.iter().filter_map(event).collect();
    events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    events.truncate(EARLIER);
    events
}
