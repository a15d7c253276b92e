//! What a turn's outcome looks like on the object.
//!
//! Pure: from the status as it was and a [`Report`] to the status as it should
//! be. KEDA's fields, conditions, reasons and messages come first
//! (`reference`: KEDA's `scaledjob_controller.go` and `scale_jobs.go`); ours stand
//! beside them. `notes` says which changes are worth an Event; `writer` is the
//! one file here that talks to the cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::conditions::{Conditions, State};
use crate::resource::{Api, Fault};
use crate::scaling::{Decision, JobCounts};

mod conditions;
mod notes;
pub(super) mod patch;
pub mod writer;

/// What there is to say about an object now.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// `metadata.generation` of the object that was looked at.
    pub generation: i64,
    /// When.
    pub now: Timestamp,
    /// What happened.
    pub turn: Turn,
}

/// How far a turn came.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// The object is valid; nothing has been read yet.
    Accepted,
    /// The object is paused.
    Paused,
    /// The object cannot be used as it is. Not empty.
    Invalid(Vec<Fault>),
    /// A bug ended the object's task; it is tried again later.
    Broken,
    /// The sources may have been read, but nothing could be decided: Jobs not counted, round not opened.
    Failed(Failure),
    /// A decision was made.
    Polled(Poll),
    /// A Job finished, and what the cap had kept back was launched in its place.
    ToppedUp(TopUp),
}

/// The outcome of a turn that read no source.
#[derive(Debug, Clone, PartialEq)]
pub struct TopUp {
    /// The Jobs there were.
    pub counts: JobCounts,
    /// Jobs to start.
    pub launch: u32,
    /// Jobs that the cap still keeps back.
    pub held_back: u32,
    /// The reason, in words and numbers.
    pub reason: String,
    /// Jobs that are known to exist because of this turn.
    pub launched: u32,
    /// Launches that failed.
    pub launch_errors: Vec<Failure>,
}

/// The outcome of a turn that ended in a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// Every trigger, in the object's order.
    pub triggers: Vec<TriggerReport>,
    /// The one trigger that a push was about; the others' activity is then left as it was.
    pub pushed: Option<String>,
    /// The Jobs that the decision counted with.
    pub counts: JobCounts,
    /// What was decided.
    pub decision: Decision,
    /// Jobs that are known to exist because of this decision.
    pub launched: u32,
    /// Launches that failed.
    pub launch_errors: Vec<Failure>,
}

/// One trigger's part.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerReport {
    /// KEDA's metric name, `s0-…`.
    pub metric_name: String,
    /// What was read, or why not.
    pub result: Result<Measured, Failure>,
}

/// What a trigger read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Units of work, 0 and up.
    pub waiting: f64,
    /// Above its activation threshold.
    pub active: bool,
}

/// An error as it is shown: no secret, no payload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// One word from the closed list of the room it comes from.
    pub reason: &'static str,
    /// What happened.
    pub text: String,
}

/// The status that an object should have, from the one it has. Fields of others
/// (`round`, KEDA's own) are not in it.
pub fn wanted(api: Api, previous: &Value, report: &Report) -> Value {
    let mut status = ours(previous);
    let mut conditions = Conditions::of(previous);
    judge(&mut conditions, report);
    let transition = (api == Api::Slipway).then(|| stamp(report.now));
    status.insert(
        "conditions".into(),
        conditions.into_value(previous, transition.as_deref()),
    );
    match &report.turn {
        Turn::Polled(poll) => record(&mut status, previous, poll, report.now),
        Turn::ToppedUp(top_up) => record_top_up(&mut status, top_up, report.now),
        Turn::Accepted | Turn::Paused | Turn::Invalid(_) | Turn::Broken | Turn::Failed(_) => {}
    }
    match api {
        Api::Slipway => {
            status.insert("observedGeneration".into(), report.generation.into());
        }
        // The CRD of keda.sh would drop the rest; what is not sent is not compared either.
        Api::Keda => status.retain(|field, _| KEDA_FIELDS.contains(&field.as_str())),
    }
    Value::Object(status)
}

/// What the owner of an object is told after a panic. What it said stands in the log.
pub(super) const INTERNAL_ERROR: &str = "a bug in Slipway ended the work on this object; it is tried again when the object changes, or after 10 minutes";

/// Fields that this program writes in KEDA's status.
const KEDA_FIELDS: [&str; 3] = ["conditions", "lastActiveTime", "triggersActivity"];
/// Fields that this program writes in its own.
const OUR_FIELDS: [&str; 8] = [
    "conditions",
    "lastActiveTime",
    "triggersActivity",
    "observedGeneration",
    "backlog",
    "runningJobs",
    "lastLaunchTime",
    "lastDecision",
];

/// The part of a status that [`wanted`] answers for.
pub(crate) fn ours(status: &Value) -> Map<String, Value> {
    let fields = status.as_object().into_iter().flatten();
    fields
        .filter(|(field, _)| OUR_FIELDS.contains(&field.as_str()))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect()
}

const READY_FOR_SCALING: &str = "ScaledJob is defined correctly and is ready for scaling";
/// KEDA's reconciler says "to" where its poll says "for".
const READY_TO_SCALING: &str = "ScaledJob is defined correctly and is ready to scaling";

fn judge(conditions: &mut Conditions, report: &Report) {
    if report.turn == Turn::Paused {
        let message = "ScaledJob is paused, skipping reconcile loop";
        conditions.set("Ready", State::True, "ScaledJobReady", message);
        conditions.set(
            "Paused",
            State::True,
            "ScaledJobPaused",
            "ScaledJob is paused",
        );
        return;
    }
    if conditions.is("Paused", State::True) {
        let message = "ScaledJob is unpaused";
        conditions.set("Paused", State::False, "ScaledJobUnpaused", message);
    }
    match &report.turn {
        // No source was read: what was found out about them stays.
        Turn::Paused | Turn::ToppedUp(_) => {}
        Turn::Accepted => {
            conditions.set("Ready", State::True, "ScaledJobReady", READY_TO_SCALING);
        }
        Turn::Invalid(faults) => {
            let message = texts(faults);
            conditions.set("Ready", State::False, "ScaledJobCheckFailed", &message);
            let message = "ScaledJob check failed";
            conditions.set("Active", State::Unknown, "UnknownState", message);
        }
        Turn::Broken => conditions.set("Ready", State::False, "InternalError", INTERNAL_ERROR),
        // Whether it is active was not found out, so that stays as it was.
        Turn::Failed(failure) => {
            conditions.set("Ready", State::Unknown, failure.reason, &failure.text);
        }
        Turn::Polled(poll) => judge_poll(conditions, poll),
    }
}

fn judge_poll(conditions: &mut Conditions, poll: &Poll) {
    let failed = poll.triggers.iter().any(|trigger| trigger.result.is_err());
    let active = poll.decision.active;
    let (state, reason, message) = match (active, failed) {
        (_, false) => (State::True, "ScaledJobReady", READY_FOR_SCALING),
        (false, true) => (
            State::False,
            "TriggerError",
            "Triggers defined in ScaledJob are not working correctly",
        ),
        (true, true) => (
            State::Unknown,
            "PartialTriggerError",
            "Some triggers defined in ScaledJob are not working correctly",
        ),
    };
    conditions.set("Ready", state, reason, message);
    if active {
        conditions.set("Active", State::True, "ScalerActive", notes::ACTIVE);
    } else {
        conditions.set("Active", State::False, "ScalerNotActive", notes::INACTIVE);
    }
}

fn record(status: &mut Map<String, Value>, previous: &Value, poll: &Poll, now: Timestamp) {
    let time = Value::from(stamp(now));
    if poll.decision.active {
        status.insert("lastActiveTime".into(), time.clone());
    }
    if poll.launched > 0 {
        status.insert("lastLaunchTime".into(), time.clone());
    }
    let activity = activity(&poll.triggers, poll.pushed.as_deref(), previous);
    status.insert("triggersActivity".into(), activity);
    match backlog(&poll.triggers).map(whole) {
        Some(backlog) => status.insert("backlog".into(), backlog.into()),
        None => status.remove("backlog"),
    };
    let running = poll.counts.unfinished.saturating_add(poll.launched);
    status.insert("runningJobs".into(), running.into());
    let decision = &poll.decision;
    status.insert(
        "lastDecision".into(),
        json!({
            "time": time,
            "active": decision.active,
            "keda": decision.keda,
            "launch": decision.launch,
            "heldBack": decision.held_back,
            "launched": poll.launched,
            "reason": decision.reason,
            "unfinished": poll.counts.unfinished,
            "pending": poll.counts.pending,
            "triggers": poll.triggers.iter().map(trigger).collect::<Vec<_>>(),
        }),
    );
}

/// The decision stays the one that the triggers led to; what it still comes to changes.
fn record_top_up(status: &mut Map<String, Value>, top_up: &TopUp, now: Timestamp) {
    let time = Value::from(stamp(now));
    if top_up.launched > 0 {
        status.insert("lastLaunchTime".into(), time.clone());
    }
    let running = top_up.counts.unfinished.saturating_add(top_up.launched);
    status.insert("runningJobs".into(), running.into());
    if let Some(decision) = status
        .get_mut("lastDecision")
        .and_then(Value::as_object_mut)
    {
        decision.insert("time".into(), time);
        decision.insert("launch".into(), top_up.launch.into());
        decision.insert("heldBack".into(), top_up.held_back.into());
        decision.insert("launched".into(), top_up.launched.into());
        decision.insert("reason".into(), top_up.reason.clone().into());
        decision.insert("unfinished".into(), top_up.counts.unfinished.into());
        decision.insert("pending".into(), top_up.counts.pending.into());
    }
}

fn trigger(trigger: &TriggerReport) -> Value {
    let name = &trigger.metric_name;
    match &trigger.result {
        Ok(measured) => {
            json!({"name": name, "backlog": measured.waiting, "active": measured.active})
        }
        Err(failure) => json!({"name": name, "error": failure.text}),
    }
}

/// `triggersActivity`: whether each trigger is active, by metric name. A push
/// touches its own entry only; otherwise entries of triggers that are gone go.
fn activity(triggers: &[TriggerReport], pushed: Option<&str>, previous: &Value) -> Value {
    let mut activity: BTreeMap<String, Value> = BTreeMap::new();
    if pushed.is_some() {
        let before = previous["triggersActivity"].as_object();
        activity.extend(
            before
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone())),
        );
    }
    for trigger in triggers {
        if pushed.is_none_or(|pushed| pushed == trigger.metric_name) {
            let active = trigger
                .result
                .as_ref()
                .is_ok_and(|measured| measured.active);
            activity.insert(trigger.metric_name.clone(), json!({"isActive": active}));
        }
    }
    activity.into_iter().collect::<Map<_, _>>().into()
}

/// The triggers' work together; `None` when one of them is not known.
pub fn backlog(triggers: &[TriggerReport]) -> Option<f64> {
    let waiting = |trigger: &TriggerReport| {
        trigger
            .result
            .as_ref()
            .ok()
            .map(|measured| measured.waiting)
    };
    triggers.iter().map(waiting).sum()
}

/// In whole units, as a column can show it.
fn whole(backlog: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float beyond i64 becomes its largest value, which is what a column can show"
    )]
    {
        backlog.ceil() as i64
    }
}

/// A time as the API server writes its own: whole seconds.
fn stamp(now: Timestamp) -> String {
    format!("{now:.0}")
}

/// Faults in one line.
fn texts(faults: &[Fault]) -> String {
    let texts: Vec<String> = faults.iter().map(Fault::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
