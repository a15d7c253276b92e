//! An EventJob, or a CronJob in place: its last answers, its schedule, and what is in the way.

use jiff::Timestamp;
use serde_json::Value;

use super::scaled_job::{by_time, condition, earlier};
use super::times::beside;
use super::{Cause, Explanation, ObjectEvidence, causes, seen};
use crate::history::{AnswerOrigin, HistoryFact, HistoryRecord, SubjectKind};
use crate::resource::cron_job::in_place;
use crate::resource::event_job::{self, Concurrency, EventJob};

pub(super) fn explain(evidence: &ObjectEvidence) -> Explanation {
    let mut explanation = Explanation::default();
    let parse = match evidence.subject.kind {
        SubjectKind::CronJob => in_place,
        _ => event_job::parse,
    };
    let parsed = evidence.object.as_ref().map(parse);
    let event_job = parsed.as_ref().and_then(|parsed| parsed.as_ref().ok());
    let is_scheduled = event_job.is_some_and(|event_job| event_job.cron().is_some());
    let status = evidence.status();
    let records = by_time(evidence);
    if evidence.at.is_none() {
        tell_status(status, event_job, evidence, &mut explanation);
    }
    let mut found = Vec::new();
    if evidence.is_missing {
        found.push(causes::missing(evidence));
    }
    match &parsed {
        Some(Err(faults)) => {
            found.push(causes::invalid(
                evidence,
                &crate::resource::Fault::list(faults),
            ));
        }
        Some(Ok(event_job)) if evidence.at.is_none() => {
            of_object(evidence, Some(event_job), status, &mut found);
        }
        // Of what a page or a state folder shows, the status is enough.
        None if evidence.at.is_none() => of_object(evidence, None, status, &mut found),
        _ => {}
    }
    let last = records
        .iter()
        .rev()
        .find(|record| matches!(record.fact, HistoryFact::Answer(_)));
    let mut in_words = None;
    if let Some(record) = last
        && let HistoryFact::Answer(answer) = &record.fact
    {
        let text = super::sentence(record);
        explanation.facts.push((
            "answered".to_owned(),
            format!("{}: {text}", beside(record.at, evidence.now)),
        ));
        let is_said = |cause: &Cause| cause.word == standing_word(&answer.result);
        if answer.job.is_none() && !found.iter().any(is_said) {
            found.push(unanswered(evidence, &answer.result, &answer.message));
        }
        let job = answer.job.as_deref();
        let became = job.and_then(|job| became(job, evidence));
        in_words =
            Some(became.map_or(text, |became| format!("{}: {became}", seen::origin(answer))));
    }
    let needs_leader = is_scheduled || status["waiting"].as_u64().unwrap_or_default() > 0;
    if needs_leader && evidence.at.is_none() {
        found.extend(causes::no_leader(evidence));
    }
    let words: Vec<&str> = found.iter().map(|cause| cause.word).collect();
    let last = in_words.or_else(|| status_decision(status));
    let last = match last {
        Some(last) => format!("the last: {last}"),
        None if status["lastScheduleTime"].is_string() => {
            "of its due times only the last is known here".to_owned()
        }
        None if is_scheduled => "no due time has come that is known of".to_owned(),
        None => "no event has come that is known of".to_owned(),
    };
    explanation.summary = if words.is_empty() {
        format!("{last}; nothing is in the way")
    } else {
        format!("{last}; in the way: {}", words.join(", "))
    };
    explanation.earlier = earlier(evidence);
    explanation.causes = found;
    explanation
}

/// The word of what stands in the way, where an answer says that an object does.
fn standing_word(result: &str) -> &str {
    match result {
        "NotReady" | "Suspended" => result,
        _ => "",
    }
}

/// What has become of a Job, in words; `None` when it is not known.
fn became(name: &str, evidence: &ObjectEvidence) -> Option<String> {
    let mut jobs = evidence.jobs.iter();
    let job = jobs.find(|job| job["metadata"]["name"] == name)?;
    let end = condition(&job["status"], "Failed");
    if end["status"] == "True" {
        let reason = end["reason"].as_str().unwrap_or_default();
        return Some(format!("job {name} failed, {reason}"));
    }
    if condition(&job["status"], "Complete")["status"] == "True" {
        return Some(format!("job {name} succeeded"));
    }
    if job["spec"]["suspend"] == true {
        // Its answer says why.
        return None;
    }
    Some(format!("job {name} was released, and has not ended"))
}

fn status_decision(status: &Value) -> Option<String> {
    let decision = &status["lastDecision"];
    let (result, reason) = (decision["result"].as_str()?, decision["reason"].as_str()?);
    Some(format!("{result}: {reason}"))
}

/// What the status has in numbers.
fn tell_status(
    status: &Value,
    event_job: Option<&EventJob>,
    evidence: &ObjectEvidence,
    explanation: &mut Explanation,
) {
    let mut tell = |word: &str, text: String| explanation.facts.push((word.to_owned(), text));
    let time = |value: &Value| {
        let time = value.as_str()?.parse().ok()?;
        Some(beside(time, evidence.now))
    };
    if let Some(at) = time(&status["lastEventTime"]) {
        tell("last event", at);
    }
    if let Some(job) = status["lastJobName"].as_str() {
        tell("last Job", job.to_owned());
    }
    if status["active"].is_u64() {
        tell(
            "Jobs",
            format!(
                "{} active, {} waiting for their turn",
                status["active"], status["waiting"]
            ),
        );
    }
    if let Some(at) = time(&status["lastScheduleTime"]) {
        tell("decided up to", at);
    }
    let due = |record: &HistoryRecord| match &record.fact {
        HistoryFact::Answer(answer) => match answer.origin {
            AnswerOrigin::Due(due) => Some(due),
            _ => None,
        },
        _ => None,
    };
    if let Some(at) = evidence.records.iter().filter_map(due).max() {
        tell("last due", beside(at, evidence.now));
    }
    let next = status["schedule"]["next"].as_array().into_iter().flatten();
    let mut next = next.filter_map(|at| at.as_str()?.parse().ok());
    // One that is past was written by a process that has ended since. A CronJob's status has no place for them.
    let next = next.find(|at: &Timestamp| *at >= evidence.now);
    let in_place = event_job.filter(|event_job| event_job.cron_job.is_some() && !event_job.suspend);
    let cron = in_place.and_then(EventJob::cron);
    let due = cron.and_then(|cron| {
        let mut due = cron.schedule.due_between(evidence.now, Timestamp::MAX);
        due.next()
    });
    if let Some(at) = next.or(due) {
        tell("next due", beside(at, evidence.now));
    }
    let refusal = &status["lastRefusal"];
    if let (Some(reason), Some(at)) = (refusal["reason"].as_str(), time(&refusal["time"])) {
        let text = |field: &str| refusal[field].as_str().unwrap_or_default();
        tell(
            "refused",
            format!(
                "{at}: {reason}, {} times: {}: {}",
                refusal["count"],
                text("field"),
                text("message")
            ),
        );
    }
}

/// What the object and its status say of now.
fn of_object(
    evidence: &ObjectEvidence,
    event_job: Option<&EventJob>,
    status: &Value,
    found: &mut Vec<Cause>,
) {
    let suspends = condition(status, "Suspended")["status"] == "True";
    let is_suspended = event_job.map_or(suspends, |event_job| event_job.suspend);
    if is_suspended && evidence.subject.kind == SubjectKind::CronJob {
        found.push(causes::paused(evidence));
    } else if is_suspended {
        found.push(Cause {
            word: "Suspended",
            cause: "It is suspended: spec.suspend is true, and 0 events are taken. Senders are told to come again.".to_owned(),
            next: "Set spec.suspend to false. What was due meanwhile is caught up as catchUp says.".to_owned(),
            command: evidence.tools.patch(&evidence.subject, "{\"suspend\":false}"),
        });
    }
    let ready = condition(status, "Ready");
    let message = ready["message"].as_str().unwrap_or_default();
    if ready["status"] == "False" {
        found.push(not_ready(
            evidence,
            ready["reason"].as_str().unwrap_or_default(),
            message,
        ));
    } else {
        let launching = condition(status, "Launching");
        let reason = launching["reason"].as_str().unwrap_or_default();
        if launching["status"] == "False" && reason != "Suspended" {
            let message = launching["message"].as_str().unwrap_or_default();
            found.push(unanswered(evidence, reason, message));
        }
    }
    let waiting = status["waiting"].as_u64().unwrap_or_default();
    if waiting > 0 {
        found.push(waiting_for_turn(
            evidence,
            event_job,
            waiting,
            status["active"].as_u64(),
        ));
    }
    let missed = &status["schedule"]["missed"][0];
    if let (Some(time), Some(message)) = (missed["time"].as_str(), missed["message"].as_str()) {
        let count = missed["count"].as_u64().unwrap_or(1);
        found.push(Cause {
            word: "Missed",
            cause: format!(
                "{count} due times up to {time} have no Job: {}",
                causes::full(message)
            ),
            next: "Make them now, if they are still of use. Each is made once.".to_owned(),
            command: evidence.tools.backfill(&evidence.subject, time),
        });
    }
}

/// It takes no events.
fn not_ready(evidence: &ObjectEvidence, reason: &str, message: &str) -> Cause {
    if causes::is_about_missing_secret(message) {
        return causes::secret_missing(evidence, message, None);
    }
    match reason {
        "Invalid" => causes::invalid(evidence, message),
        "InternalError" => causes::broken(evidence),
        "NotReady" if message.contains("refused") => causes::template_refused(evidence, message),
        _ => Cause {
            word: "NotReady",
            cause: format!("It takes 0 events now: {}", causes::full(message)),
            next: "Correct what is named. Senders that were told 503 come again.".to_owned(),
            command: evidence.tools.describe(&evidence.subject),
        },
    }
}

/// Jobs wait for their turn.
pub(super) fn waiting_for_turn(
    evidence: &ObjectEvidence,
    event_job: Option<&EventJob>,
    waiting: u64,
    active: Option<u64>,
) -> Cause {
    let limit = event_job.and_then(|event_job| match &event_job.concurrency {
        Concurrency::Gated { limit, .. } => Some(limit.get()),
        Concurrency::Allow => None,
    });
    let running = match (active, limit) {
        (Some(active), Some(limit)) => format!("{active} run, and at most {limit} of a key may"),
        (None, Some(limit)) => format!("at most {limit} of a key may run"),
        _ => "others of their key run".to_owned(),
    };
    let more = limit.map_or(2, |limit| limit.saturating_mul(2));
    Cause {
        word: "WaitingForTurn",
        cause: format!("{waiting} Jobs wait for their turn: {running}."),
        next: format!(
            "They start as others end, first come first. For more at once, raise spec.concurrency.limit, to {more} for example."
        ),
        command: evidence.tools.jobs(&evidence.subject.id.namespace),
    }
}

/// An event has no Job.
pub(super) fn unanswered(evidence: &ObjectEvidence, result: &str, message: &str) -> Cause {
    let (word, next): (&'static str, &str) = match result {
        "Filtered" => (
            "Filtered",
            "Compare the event with spec.pattern and spec.match, if it was meant.",
        ),
        "RateLimited" => (
            "RateLimited",
            "The sender comes again. For more at once, raise spec.rateLimit.",
        ),
        "WaitingListFull" => (
            "WaitingListFull",
            "The sender comes again. Raise spec.concurrency.maxWaiting or limit.",
        ),
        "Suspended" => ("Suspended", "Set spec.suspend to false."),
        "BadRequest" => (
            "BadRequest",
            "Correct the event, or the field of spec that reads it.",
        ),
        "Rejected" => (
            "Refused",
            "The sender was told the API server's words. Look at the values that are bound.",
        ),
        "Quota" | "QuotaExceeded" => ("Quota", "Raise the quota, or wait until Jobs are removed."),
        "LedgerFull" => (
            "LedgerFull",
            "Lower spec.deduplicateFor, or use another namespace.",
        ),
        "NotReady" => ("NotReady", "Correct what is named. The sender comes again."),
        _ => (
            "NotMade",
            "The sender comes again. Look at the API server if it lasts.",
        ),
    };
    if causes::is_about_missing_secret(message) {
        return causes::secret_missing(evidence, message, None);
    }
    let command = match word {
        "Filtered" => "slipway test-event FILE EVENT".to_owned(),
        "Quota" => evidence
            .tools
            .get(&evidence.subject.id.namespace, "resourcequota"),
        _ => evidence.tools.describe(&evidence.subject),
    };
    Cause {
        word,
        cause: format!(
            "The last event has 0 Jobs, {result}: {}",
            causes::full(message)
        ),
        next: next.to_owned(),
        command,
    }
}
