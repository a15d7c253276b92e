//! The way of one event: request, answer, Job, its turn, Pod, end; and what was waited for between them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::event_job::unanswered;
use super::times::{beside, length};
use super::{Cause, Explanation, ObjectEvidence, WayStep, seen};
use crate::history::record::{is_of_event, is_of_job};
use crate::history::{AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord};
use crate::launch::attempt::ATTEMPT_ANNOTATION;

mod job;

/// What the time between a request and its answer is for.
const ANSWERING: &str = "for the answer: credentials, pattern, ledger, create";
/// The same of a due time, or of a Job that somebody asked for.
const MAKING: &str = "for its Job to be made: turn on the schedule, ledger, create";
/// What a container of an event's Job is told the event's id by.
const EVENT_ID: &str = "SLIPWAY_EVENT_ID";

/// The id of the event that a Job was made for.
pub(super) fn event_of(job: &Value) -> Option<&str> {
    let containers = job["spec"]["template"]["spec"]["containers"].as_array()?;
    let mut variables = containers
        .iter()
        .filter_map(|container| container["env"].as_array())
        .flatten();
    let variable = variables.find(|variable| variable["name"] == EVENT_ID)?;
    variable["value"].as_str()
}

/// Which attempt a Job is: 1 and up.
fn attempt_of(job: &Value) -> u32 {
    let attempt = job["metadata"]["annotations"][ATTEMPT_ANNOTATION].as_str();
    attempt
        .and_then(|attempt| attempt.parse().ok())
        .unwrap_or(1)
}

pub(super) fn of_event(id: &str, evidence: &ObjectEvidence) -> Explanation {
    let mut answers: Vec<&HistoryRecord> = evidence
        .records
        .iter()
        .filter(|record| is_of_event(record, id))
        .collect();
    answers.sort_by_key(|record| record.at);
    let made = answers.iter().find_map(|record| match &record.fact {
        HistoryFact::Answer(answer) => answer.job.clone(),
        _ => None,
    });
    let mut jobs: Vec<&Value> = evidence.jobs.iter().collect();
    jobs.sort_by_key(|job| attempt_of(job));
    // Its first Job, and every later attempt.
    jobs.retain(|job| match &made {
        Some(name) => job["metadata"]["name"] == **name || attempt_of(job) > 1,
        None => event_of(job) == Some(id),
    });
    follow(evidence, &answers, made.as_deref(), &jobs, &|| {
        unknown_event(id, evidence)
    })
}

pub(super) fn of_job(name: &str, evidence: &ObjectEvidence) -> Explanation {
    let mut records: Vec<&HistoryRecord> = evidence
        .records
        .iter()
        .filter(|record| is_of_job(record, name))
        .collect();
    records.sort_by_key(|record| record.at);
    let mut jobs: Vec<&Value> = evidence.jobs.iter().collect();
    jobs.retain(|job| job["metadata"]["name"] == *name);
    follow(evidence, &records, Some(name), &jobs, &|| {
        unknown_job(name, evidence)
    })
}

fn follow(
    evidence: &ObjectEvidence,
    records: &[&HistoryRecord],
    made: Option<&str>,
    jobs: &[&Value],
    unknown: &dyn Fn() -> Cause,
) -> Explanation {
    let mut explanation = Explanation::default();
    if records.is_empty() && jobs.is_empty() && evidence.page_steps.is_empty() {
        explanation.summary = String::from("nothing is known of it here");
        explanation.causes.push(unknown());
        return explanation;
    }
    let mut way = Way::default();
    let mut repeats = Vec::new();
    for record in records {
        match &record.fact {
            HistoryFact::Answer(answer) if way.is_answered => repeats.push((record, answer)),
            HistoryFact::Answer(answer) => way.answer(record, answer),
            HistoryFact::Turn(_) => {
                way.step(
                    record.at,
                    format!("a turn launched it: {}", seen::sentence(record)),
                    "",
                );
            }
            _ => {}
        }
    }
    let end = way.jobs(jobs, made.unwrap_or_default(), evidence);
    let took = way.took();
    for (record, answer) in repeats {
        way.repeat(record, answer);
    }
    let last = records.iter().rev().find_map(|record| match &record.fact {
        HistoryFact::Answer(answer) => Some(answer),
        _ => None,
    });
    explanation.summary = match (&end, made, last) {
        (Some((text, cause)), ..) => {
            explanation.causes.extend(cause.clone());
            text.clone()
        }
        (None, Some(name), _) if !evidence.are_jobs_known => {
            explanation.causes.push(unasked(name, evidence));
            format!(
                "its job {name} was made; Jobs were not asked for, so what became of it is not known"
            )
        }
        (None, Some(name), _) => {
            explanation.causes.push(gone(name, evidence));
            format!("its job {name} was made, and is not there any more")
        }
        (None, None, Some(answer)) => {
            explanation
                .causes
                .push(unanswered(evidence, &answer.result, &answer.message));
            format!("it has no Job: {}", answer.result)
        }
        (None, None, None) => "it has no Job".to_owned(),
    };
    if let Some(took) = took {
        let (took, summary) = (length(took), &explanation.summary);
        explanation.summary = format!("{summary}; {took} from the first step to the last");
    }
    explanation.way = way.steps;
    explanation
}

#[derive(Default)]
struct Way {
    steps: Vec<WayStep>,
    /// Since when the next step is waited for.
    reached: Option<Timestamp>,
    is_answered: bool,
}

impl Way {
    /// One more step; `waited`: what the time since the step before was waited for.
    fn step(&mut self, at: Timestamp, what: String, waited: &str) {
        let reached = self.reached.filter(|_| !waited.is_empty());
        // Times of the API server are whole seconds: one may seem to be before the other.
        let waited = reached.map(|before| {
            let time = at.duration_since(before).max(SignedDuration::ZERO);
            (time, waited.to_owned())
        });
        self.steps.push(WayStep { at, what, waited });
        self.reached = Some(at);
    }

    /// The first answer that is known.
    fn answer(&mut self, record: &HistoryRecord, answer: &AnswerRecord) {
        let (what, waited) = match answer.origin {
            AnswerOrigin::Webhook => ("the request came".to_owned(), ""),
            AnswerOrigin::Due(due) => {
                self.step(due, "it was due".to_owned(), "");
                (
                    "its turn on the schedule came".to_owned(),
                    "for the leader to look at the schedule",
                )
            }
            AnswerOrigin::Backfill(due) => (format!("its due time {due:.0} was asked for"), ""),
            AnswerOrigin::Trigger(_) => ("a Job was asked for".to_owned(), ""),
        };
        let answering = match answer.origin {
            AnswerOrigin::Webhook => ANSWERING,
            _ => MAKING,
        };
        self.step(came(record, answer), what, waited);
        self.step(record.since, answered(answer), answering);
        self.is_answered = true;
    }

    /// An answer after the first: its steps stand between those that the Job takes, which waited for nothing of it.
    fn repeat(&mut self, record: &HistoryRecord, answer: &AnswerRecord) {
        let came = came(record, answer);
        let index = self.steps.partition_point(|step| step.at <= came);
        let again = [
            WayStep {
                at: came,
                what: "it came again".to_owned(),
                waited: None,
            },
            WayStep {
                at: record.since,
                what: answered(answer),
                waited: Some((record.since.duration_since(came), ANSWERING.to_owned())),
            },
        ];
        self.steps.splice(index..index, again);
    }

    /// The Job was created: before an answer that may be later, where the API server's whole second leaves that open.
    fn created(&mut self, at: Timestamp, what: String) {
        let is_later = |other: Timestamp| match at.subsec_nanosecond() {
            0 => other.as_second() > at.as_second(),
            _ => other > at,
        };
        let index = self.steps.iter().position(|step| {
            let is_answer = step
                .waited
                .as_ref()
                .is_some_and(|it| [ANSWERING, MAKING].contains(&&*it.1));
            is_later(step.at) || is_answer && step.at >= at
        });
        let index = index.unwrap_or(self.steps.len());
        let waited = None;
        self.steps.insert(index, WayStep { at, what, waited });
        self.reached = Some(at);
    }

    fn took(&self) -> Option<SignedDuration> {
        let first = self.steps.first()?;
        let last = self.steps.last()?;
        Some(last.at.duration_since(first.at))
    }
}

/// When what was answered had come.
fn came(record: &HistoryRecord, answer: &AnswerRecord) -> Timestamp {
    record
        .since
        .checked_sub(answer.took)
        .unwrap_or(record.since)
}

fn answered(answer: &AnswerRecord) -> String {
    let status = match answer.status {
        0 => String::new(),
        status => format!(" with {status}"),
    };
    let AnswerRecord {
        result, message, ..
    } = answer;
    format!("it was answered{status}, {result}: {message}")
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Nobody was asked for Jobs who knows them all.
fn unasked(name: &str, evidence: &ObjectEvidence) -> Cause {
    let namespace = &evidence.subject.id.namespace;
    Cause {
        word: "JobsUnasked",
        cause: format!(
            "0 places that know Jobs could be asked, so whether job {name} runs or has ended is not known."
        ),
        next: "Ask where it runs: with a kubeconfig, with --admin of a replica, or with --state."
            .to_owned(),
        command: evidence.tools.explain(namespace, &format!("job/{name}")),
    }
}

fn gone(name: &str, evidence: &ObjectEvidence) -> Cause {
    Cause {
        word: "JobGone",
        cause: format!(
            "0 Jobs have the name {name} now: it was removed by its TTL, a history limit or somebody."
        ),
        next: "Nothing. It is not made again while its event is remembered (deduplicateFor)."
            .to_owned(),
        command: evidence.tools.jobs(&evidence.subject.id.namespace),
    }
}

fn unknown_event(id: &str, evidence: &ObjectEvidence) -> Cause {
    let namespace = &evidence.subject.id.namespace;
    let jobs = jobs_that_were_asked(evidence);
    Cause {
        word: "UnknownEvent",
        cause: format!(
            "0 records tell of event {id}, and {jobs} were made for it. It did not come, or it was filtered or refused, or its Job and its records are gone."
        ),
        next:
            "Ask each replica with --admin, which knows of refusals too; or look at the EventJob."
                .to_owned(),
        command: evidence.tools.explain(namespace, "eventjob/NAME"),
    }
}

/// Whose Jobs were looked through, in words.
fn jobs_that_were_asked(evidence: &ObjectEvidence) -> String {
    let namespace = &evidence.subject.id.namespace;
    if evidence.are_jobs_known {
        return format!("0 Jobs in namespace {namespace}");
    }
    "of Jobs, which were not asked for, it is not known which".to_owned()
}

fn unknown_job(name: &str, evidence: &ObjectEvidence) -> Cause {
    let namespace = &evidence.subject.id.namespace;
    let jobs = jobs_that_were_asked(evidence);
    let ago = evidence.at.map_or(String::new(), |at| {
        format!(" at {}", beside(at, evidence.now))
    });
    Cause {
        word: "UnknownJob",
        cause: format!("0 records tell of job {name}{ago}, and {jobs} have that name."),
        next: "Look which Jobs there are.".to_owned(),
        command: evidence.tools.jobs(namespace),
    }
}
