//! What a turn's outcome looks like on the object.
//!
//! Pure: from the status as it was and a [`Report`] to the status as it should
//! be. KEDA's fields, conditions, reasons and messages come first
//! (`reference`: KEDA's `scaledjob_controller.go` and `scale_jobs.go`); ours stand
//! beside them. `notes` says which changes are worth an Event; `writer` is the
//! one file here that talks to the cluster.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::conditions::{Conditions, KedaCondition, State};
use crate::controller::proof::proof;
use crate::cycle::{TriggerOutcome, TurnOutcome, Verdict};
use crate::launch;
use crate::resource::{Api, Fault};
use crate::scaling::Decision;

pub(super) use self::notes::notes;

mod conditions;
mod notes;

/// What there is to say about an object now.
#[derive(Debug)]
pub struct Report {
    /// `metadata.generation` of the object that was looked at.
    pub generation: i64,
    /// When.
    pub now: Timestamp,
    /// What was found out.
    pub observed: Observed,
    /// Whether the API server takes its Jobs.
    pub template: TemplateVerdict,
}

/// Whether the API server takes an object's Jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TemplateVerdict {
    /// It has not been asked, or has not answered.
    #[default]
    Unknown,
    /// It took one in a dry run.
    Proved,
    /// It refuses them, and says why.
    Refused(String),
}

/// What was found out about an object.
#[derive(Debug)]
pub enum Observed {
    /// It is paused.
    Paused,
    /// It cannot be used as it is. Not empty.
    Invalid(Vec<Fault>),
    /// A bug ended the object's task; it is tried again later.
    Broken,
    /// What a turn saw and did.
    Turn(TurnOutcome),
}

/// Why a turn came to nothing: its Jobs could not be counted, or another process opened the round.
pub(crate) fn failure(outcome: &TurnOutcome) -> Option<&launch::Error> {
    let is_conflict = |error: &&launch::Error| matches!(error, launch::Error::Conflict { .. });
    let conflict = outcome.errors.iter().find(is_conflict);
    let conflict = conflict.filter(|_| outcome.launched == 0);
    outcome.jobs.as_ref().err().or(conflict)
}

/// What a turn decided from new readings; `None` when it failed, or only launched what had been kept back.
pub(crate) fn decision(outcome: &TurnOutcome) -> Option<&Decision> {
    match &outcome.verdict {
        Some(Verdict::Decided(decision)) if failure(outcome).is_none() => Some(decision),
        _ => None,
    }
}

/// The status that an object should have, from the one it has. Fields of others
/// (`round`, KEDA's own) are not in it.
pub fn wanted(api: Api, previous: &Value, report: &Report) -> Value {
    let mut status = part(previous, fields(api));
    let mut conditions = Conditions::of(previous);
    // An edit may have mended the template; of KEDA's objects a Job that is made says so.
    let generation = &previous["observedGeneration"];
    let is_edited = generation.is_i64() && *generation != report.generation;
    let refused = conditions.with_reason("Ready", CREATE_FAILED);
    judge(&mut conditions, report);
    judge_creates(&mut conditions, report, refused.filter(|_| !is_edited));
    let transition = (api == Api::Slipway).then(|| stamp(report.now));
    status.insert(
        "conditions".into(),
        conditions.into_value(previous, transition.as_deref()),
    );
    if let Observed::Turn(outcome) = &report.observed {
        record(&mut status, outcome, report.now);
    }
    match api {
        Api::Slipway => {
            status.insert("observedGeneration".into(), report.generation.into());
            match report.template {
                TemplateVerdict::Proved => {
                    status.insert("proof".into(), proof(report.generation));
                }
                TemplateVerdict::Refused(_) => {
                    status.remove("proof");
                }
                TemplateVerdict::Unknown => {}
            }
        }
        // The CRD of keda.sh would drop the rest; what is not sent is not compared either.
        Api::Keda => status.retain(|field, _| fields(api).contains(&field.as_str())),
    }
    Value::Object(status)
}

/// What the owner of an object is told after a panic. What it said stands in the log.
pub(super) const INTERNAL_ERROR: &str = "a bug in Slipway ended the work on this object; it is tried again when the object changes, or after 10 minutes";

/// The fields of a status that this program writes: of KEDA's, and of its own.
pub(super) fn fields(api: Api) -> &'static [&'static str] {
    match api {
        Api::Keda => &["conditions", "lastActiveTime", "triggersActivity"],
        Api::Slipway => &[
            "conditions",
            "lastActiveTime",
            "triggersActivity",
            "observedGeneration",
            "proof",
            "backlog",
            "runningJobs",
            "lastLaunchTime",
            "lastDecision",
        ],
    }
}

/// The part of a status that is in these fields.
pub(super) fn part(status: &Value, fields: &[&str]) -> Map<String, Value> {
    let found = |field: &&str| Some(((*field).to_owned(), status.get(*field)?.clone()));
    fields.iter().filter_map(found).collect()
}

const READY: &str = "ScaledJob is defined correctly and is ready for scaling";
fn judge(conditions: &mut Conditions, report: &Report) {
    if matches!(report.observed, Observed::Paused) {
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
    match &report.observed {
        Observed::Paused => {}
        Observed::Invalid(faults) => {
            let message = Fault::list(faults);
            conditions.set("Ready", State::False, "ScaledJobCheckFailed", &message);
            let message = "ScaledJob check failed";
            conditions.set("Active", State::Unknown, "UnknownState", message);
        }
        Observed::Broken => {
            conditions.set("Ready", State::False, "InternalError", INTERNAL_ERROR);
        }
        Observed::Turn(outcome) => {
            if let Some(error) = failure(outcome) {
                // Whether it is active was not found out, so that stays as it was.
                conditions.set("Ready", State::Unknown, error.reason(), &error.to_string());
            } else if let Some(decision) = decision(outcome) {
                judge_triggers(conditions, &outcome.triggers, decision.active);
            }
        }
    }
}

/// Ready's reason while the API server refuses every Job of the template: KEDA's word.
const CREATE_FAILED: &str = "KEDAJobCreateFailed";

/// An object whose Jobs are refused is not ready, until one is made. `refused`: what its Ready said before.
fn judge_creates(conditions: &mut Conditions, report: &Report, refused: Option<KedaCondition>) {
    let Observed::Turn(outcome) = &report.observed else {
        return;
    };
    let mut errors = outcome.errors.iter();
    let rejected = errors.find(|error| matches!(error, launch::Error::Rejected { .. }));
    match (rejected, &report.template, refused) {
        // Some were made: the template can be.
        _ if outcome.launched > 0 => {}
        (Some(error), ..) => {
            conditions.set("Ready", State::False, CREATE_FAILED, &error.to_string());
        }
        (None, TemplateVerdict::Refused(why), _) => {
            conditions.set("Ready", State::False, CREATE_FAILED, why);
        }
        (None, TemplateVerdict::Unknown, Some(refused)) => conditions.restore("Ready", refused),
        (None, TemplateVerdict::Unknown | TemplateVerdict::Proved, _) => {}
    }
}

fn judge_triggers(conditions: &mut Conditions, triggers: &[TriggerOutcome], active: bool) {
    let failed = triggers.iter().any(|trigger| trigger.result.is_err());
    let (state, reason, message) = match (active, failed) {
        (_, false) => (State::True, "ScaledJobReady", READY),
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

/// What a turn that did something leaves in the status.
///
/// Jobs that the cap had kept back change only what the last decision comes to:
/// the decision stays the one that the triggers led to.
fn record(status: &mut Map<String, Value>, outcome: &TurnOutcome, now: Timestamp) {
    let (None, Some(counts), Some(verdict)) = (failure(outcome), outcome.counts, &outcome.verdict)
    else {
        return;
    };
    let decision = decision(outcome);
    if decision.is_none() && verdict.launch() == 0 {
        return;
    }
    let time = Value::from(stamp(now));
    if outcome.launched > 0 {
        status.insert("lastLaunchTime".into(), time.clone());
    }
    let running = counts.unfinished.saturating_add(outcome.launched);
    status.insert("runningJobs".into(), running.into());
    if let Some(decision) = decision {
        record_readings(status, outcome, decision, &time);
    }
    let record = status
        .get_mut("lastDecision")
        .and_then(Value::as_object_mut);
    if let Some(record) = record {
        let fields = [
            ("time", time),
            ("launch", verdict.launch().into()),
            ("heldBack", verdict.held_back().into()),
            ("launched", outcome.launched.into()),
            ("reason", reason(outcome, verdict).into()),
            ("unfinished", counts.unfinished.into()),
            ("pending", counts.pending.into()),
        ];
        record.extend(fields.map(|(field, value)| (field.to_owned(), value)));
    }
}

fn record_readings(
    status: &mut Map<String, Value>,
    outcome: &TurnOutcome,
    decision: &Decision,
    time: &Value,
) {
    let triggers = &outcome.triggers;
    if decision.active {
        status.insert("lastActiveTime".into(), time.clone());
    }
    // A push makes every trigger be read, as a poll does: each has an entry, and no other stays.
    let activity = triggers.iter().map(|trigger| {
        let active = matches!(trigger.result, Ok((_, true)));
        (trigger.metric_name.clone(), json!({"isActive": active}))
    });
    let activity: Map<_, _> = activity.collect();
    status.insert("triggersActivity".into(), activity.into());
    match backlog(triggers).map(whole) {
        Some(backlog) => status.insert("backlog".into(), backlog.into()),
        None => status.remove("backlog"),
    };
    let record = json!({
        "active": decision.active,
        "keda": decision.keda,
        "triggers": triggers.iter().map(trigger).collect::<Vec<_>>(),
    });
    status.insert("lastDecision".into(), record);
}

/// Why so many Jobs, and what became of them if some could not be made.
fn reason(outcome: &TurnOutcome, verdict: &Verdict) -> String {
    let reason = verdict.reason();
    let (launched, launch) = (outcome.launched, verdict.launch());
    match outcome.errors.first() {
        None => reason.to_owned(),
        Some(error) => format!("{reason}; launched {launched} of {launch}: {error}"),
    }
}

fn trigger(trigger: &TriggerOutcome) -> Value {
    let name = &trigger.metric_name;
    match &trigger.result {
        Ok((reading, active)) => {
            let backlog = number(reading.waiting());
            let mut read = json!({"name": name, "backlog": backlog, "active": active});
            if let Some(warning) = &trigger.warning {
                read["warning"] = warning.as_str().into();
            }
            read
        }
        Err(failure) => json!({"name": name, "error": failure.message}),
    }
}

/// The triggers' work together; `None` when one of them is not known.
pub(crate) fn backlog(triggers: &[TriggerOutcome]) -> Option<f64> {
    let waiting = |trigger: &TriggerOutcome| {
        let (reading, _) = trigger.result.as_ref().ok()?;
        Some(reading.waiting())
    };
    triggers.iter().map(waiting).sum()
}

/// As the API server gives it back: whole numbers without a fraction.
fn number(number: f64) -> Value {
    if number.fract() == 0.0 {
        whole(number).into()
    } else {
        number.into()
    }
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

#[cfg(test)]
mod tests;
