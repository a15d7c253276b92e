//! The last turn of a ScaledJob as somebody saw it: from a record, or from the status.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::history::{
    AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, ObjectStanding, TurnRecord, TurnStep,
    WakeWord,
};
use crate::scaling::{JobCounts, Measure};

/// A turn.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SeenTurn {
    pub(super) at: Timestamp,
    /// Since when it was so, and how often.
    pub(super) since: Timestamp,
    pub(super) times: u32,
    /// Why it was taken, in words.
    pub(super) wake: Option<&'static str>,
    pub(super) triggers: Vec<SeenTrigger>,
    pub(super) counts: Option<JobCounts>,
    pub(super) launch: Option<u32>,
    pub(super) held_back: u32,
    pub(super) active: bool,
    pub(super) launched: u32,
    pub(super) reason: Option<String>,
    /// Why Jobs were not made or counted: a word where one is known, and the text.
    pub(super) trouble: Option<(Option<String>, String)>,
    pub(super) next_look: Option<Timestamp>,
}

/// A trigger of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeenTrigger {
    pub(super) name: String,
    pub(super) reading: Result<SeenReading, SeenFailure>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeenReading {
    pub(super) waiting: f64,
    pub(super) per_job: Option<f64>,
    pub(super) active: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeenFailure {
    pub(super) reason: Option<String>,
    pub(super) message: String,
}

impl SeenTurn {
    /// Of a record, if it is of a turn.
    pub(super) fn of_record(record: &HistoryRecord) -> Option<Self> {
        let HistoryFact::Turn(turn) = &record.fact else {
            return None;
        };
        let measures: &[Measure] = match &turn.step {
            TurnStep::Decided { measures, .. } => measures,
            _ => &[],
        };
        let read = measures.iter().map(|measure| SeenTrigger {
            name: measure.label.clone(),
            reading: Ok(SeenReading {
                waiting: measure.reading.waiting(),
                per_job: Some(measure.target),
                active: measure.is_active(),
            }),
        });
        let unread = turn.unread.iter().map(|trigger| SeenTrigger {
            name: trigger.name.to_string(),
            reading: Err(SeenFailure {
                reason: Some(trigger.reason.to_string()),
                message: trigger.message.to_string(),
            }),
        });
        let mut triggers: Vec<SeenTrigger> = read.chain(unread).collect();
        triggers.sort_by(|one, other| one.name.cmp(&other.name));
        let result = turn.step.result();
        Some(Self {
            at: record.at,
            since: record.since,
            times: record.times,
            wake: Some(wake(turn.wake)),
            triggers,
            counts: turn.step.counts(),
            launch: result.map(|result| result.launch),
            held_back: result.map_or(0, |result| result.held_back),
            active: result.is_some_and(|result| result.active),
            launched: turn.launched,
            reason: decided(&turn.step),
            trouble: turn.trouble.as_ref().map(|trouble| {
                (
                    Some(trouble.reason.to_string()),
                    trouble.message.to_string(),
                )
            }),
            next_look: turn.next_look,
        })
    }

    /// Of a ScaledJob's `status`, if it has a decision.
    pub(super) fn of_status(status: &Value, polling_interval: Duration) -> Option<Self> {
        let decision = &status["lastDecision"];
        let at: Timestamp = decision["time"].as_str()?.parse().ok()?;
        let number = |value: &Value| {
            let number = value.as_u64().unwrap_or_default();
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let triggers = decision["triggers"].as_array().into_iter().flatten();
        let triggers = triggers.map(|trigger| SeenTrigger {
            name: text(&trigger["name"]).unwrap_or_default(),
            reading: match text(&trigger["error"]) {
                Some(message) => Err(SeenFailure {
                    reason: None,
                    message,
                }),
                None => Ok(SeenReading {
                    waiting: trigger["backlog"].as_f64().unwrap_or_default(),
                    per_job: None,
                    active: trigger["active"] == true,
                }),
            },
        });
        let (launch, launched) = (number(&decision["launch"]), number(&decision["launched"]));
        let reason = text(&decision["reason"]).unwrap_or_default();
        // What `controller::status` wrote behind the reason.
        let mark = format!("; launched {launched} of {launch}: ");
        let (reason, trouble) = match reason.split_once(&mark) {
            Some((reason, trouble)) => (reason.to_owned(), Some((None, trouble.to_owned()))),
            None => (reason, None),
        };
        Some(Self {
            at,
            since: at,
            times: 1,
            wake: None,
            triggers: triggers.collect(),
            counts: Some(JobCounts {
                unfinished: number(&decision["unfinished"]),
                pending: number(&decision["pending"]),
            }),
            launch: Some(launch),
            held_back: number(&decision["heldBack"]),
            active: decision["active"] == true,
            launched,
            reason: Some(reason),
            trouble,
            next_look: at.checked_add(polling_interval).ok(),
        })
    }

    /// The triggers that could not be read.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &SeenFailure)> {
        let failure = |trigger: &'_ SeenTrigger| trigger.reading.is_err();
        let failed = self.triggers.iter().filter(move |trigger| failure(trigger));
        failed.filter_map(|trigger| Some((&*trigger.name, trigger.reading.as_ref().err()?)))
    }
}

fn wake(wake: WakeWord) -> &'static str {
    match wake {
        WakeWord::Began => "because the object was new to this replica, or the lead changed",
        WakeWord::Edited => "because the object, or what it refers to, was edited",
        WakeWord::Timer => "because the polling interval was over",
        WakeWord::JobFinished => "because a Job ended and the cap had held some back",
        WakeWord::Pushed => "because a source said that there is something new",
    }
}

/// A record in a sentence.
pub(super) fn sentence(record: &HistoryRecord) -> String {
    let text = match &record.fact {
        HistoryFact::Turn(turn) => of_turn(turn),
        HistoryFact::Standing(standing) => match standing {
            ObjectStanding::Paused => "it was paused".to_owned(),
            ObjectStanding::Invalid(why) => format!("it was not valid: {why}"),
            ObjectStanding::StandsBy => "this replica stood by, because it did not lead".to_owned(),
            ObjectStanding::Broken => "a bug ended the work on it".to_owned(),
        },
        HistoryFact::Answer(answer) => {
            let what = origin(answer);
            let job = match &answer.job {
                Some(job) => format!(", job {job}"),
                None => String::new(),
            };
            let status = match answer.status {
                0 => String::new(),
                status => format!(" ({status})"),
            };
            format!("{what}: {}{status}{job}: {}", answer.result, answer.message)
        }
        HistoryFact::Refused(refused) => format!(
            "a request was refused, {}: {}: {}",
            refused.reason, refused.field, refused.message
        ),
        HistoryFact::Missed(missed) => format!(
            "no Job for {:.0}, {}: {}",
            missed.due, missed.reason, missed.message
        ),
    };
    match record.times {
        1 => text,
        times => format!("{text} ({times} times since {:.0})", record.since),
    }
}

/// What was answered.
pub(super) fn origin(answer: &AnswerRecord) -> String {
    match answer.origin {
        AnswerOrigin::Webhook => match &answer.event {
            Some(id) => format!("event {id}"),
            None => "an event".to_owned(),
        },
        AnswerOrigin::Due(due) => format!("due time {due:.0}"),
        AnswerOrigin::Backfill(due) => format!("due time {due:.0}, asked for again"),
        AnswerOrigin::Trigger(at) => format!("a Job that was asked for at {at:.0}"),
    }
}

/// What was decided and why, as far as the record knows; `None` when nothing was.
fn decided(step: &TurnStep) -> Option<String> {
    let TurnStep::LeftOut {
        triggers,
        counts,
        result,
    } = step
    else {
        return step.again().map(|(_, reason)| reason);
    };
    Some(format!(
        "{triggers} triggers were read, more than a record has room for, so their readings are not kept; {} wanted by KEDA's arithmetic; {} unfinished; launching {}, {} held back",
        result.keda, counts.unfinished, result.launch, result.held_back
    ))
}

fn of_turn(turn: &TurnRecord) -> String {
    let uncounted = || "its Jobs could not be counted".to_owned();
    let mut text = decided(&turn.step).unwrap_or_else(uncounted);
    if let Some(trouble) = &turn.trouble {
        let launched = turn.launched;
        text = format!("{text}; {launched} launched: {}", trouble.message);
    }
    if !turn.unread.is_empty() {
        let names: Vec<&str> = turn.unread.iter().map(|trigger| &*trigger.name).collect();
        text = format!("{text}; not read: {}", names.join(", "));
    }
    text
}
