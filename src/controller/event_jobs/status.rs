//! What an EventJob's status says. Pure: what is known in, the status out.
//!
//! What can be seen from the Jobs is taken from them, so that it does not matter
//! which replica received an event.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::outcomes::{Latest, Trouble};
use crate::controller::proof::proof;
use crate::intake::auth::credentials::CredentialsTrouble;
use crate::launch::JobOutcome;
use crate::launch::delivered::Gate;
use crate::launch::ports::DeliveredJob;
use crate::resource::{Fault, ObjectId};

/// What is known of an EventJob.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `metadata.generation` of the object that was looked at.
    pub generation: i64,
    /// Whether it takes events.
    pub standing: EventJobStanding,
    /// The generation whose template the API server has taken in a dry run, when that is the one that takes events.
    pub proof: Option<i64>,
    /// Whether it has a schedule in place of senders; `None` when it is not valid, so that it cannot be told.
    pub has_schedule: Option<bool>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Its Jobs; `None` when they have not been seen.
    pub jobs: Option<Vec<Arc<DeliveredJob>>>,
    /// What became of the last event.
    pub latest: Option<Latest>,
    /// Why no due time becomes a Job.
    pub schedule: Option<Trouble>,
    /// When this is.
    pub now: Timestamp,
}

/// Whether an EventJob takes events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventJobStanding {
    /// It does.
    Ready,
    /// Not as it is.
    Invalid(Vec<Fault>),
    /// Not now, and why.
    NotReady(String),
    /// Nobody can tell who sends to it, or not everybody who may.
    Closed(CredentialsTrouble),
    /// A bug ended the work on it.
    Broken(&'static str),
}

/// The fields of a status that this writes.
pub(in crate::controller) const FIELDS: &[&str] = &[
    "observedGeneration",
    "url",
    "conditions",
    "proof",
    "active",
    "waiting",
    "lastEventTime",
    "lastJobName",
    "lastSuccessfulTime",
    "lastDecision",
];
/// Those of them that stay as they are while nothing new is known.
const KEPT: &[&str] = FIELDS.split_at(4).1;

/// The status, with what `before` says where nothing is known.
pub fn wanted(id: &ObjectId, before: &Value, facts: &Facts) -> Value {
    let has_schedule = facts.has_schedule.unwrap_or(before["schedule"].is_object());
    let mut status = json!({"observedGeneration": facts.generation});
    if !has_schedule {
        status["url"] = format!("/events/{}/{}", id.namespace, id.name).into();
    }
    for field in KEPT {
        if let Some(value) = before.get(field) {
            status[field] = value.clone();
        }
    }
    if let Some(generation) = facts.proof {
        status["proof"] = proof(generation);
    }
    if let Some(jobs) = &facts.jobs {
        jobs_in(&mut status, jobs);
    }
    if let Some(latest) = &facts.latest {
        later(&mut status, "lastEventTime", latest.at);
        status["lastDecision"] = json!({
            "time": text(latest.at),
            "result": latest.result,
            "reason": latest.reason,
        });
        if let Some(job) = &latest.job {
            status["lastDecision"]["jobName"] = job.clone().into();
        }
    }
    status["conditions"] = conditions(before, facts, has_schedule);
    status
}

/// Jobs that run, or are about to, and Jobs that wait for their turn.
pub fn counts(jobs: &[Arc<DeliveredJob>]) -> (usize, usize) {
    let unfinished = || {
        jobs.iter()
            .map(Arc::as_ref)
            .filter(|job| job.ended.is_none() && !job.is_going)
    };
    let waits = |job: &&DeliveredJob| job.gate == Some(Gate::Waiting) && job.is_suspended;
    let is_active = |job: &&DeliveredJob| !job.is_suspended || job.active_pods > 0;
    (
        unfinished().filter(is_active).count(),
        unfinished().filter(waits).count(),
    )
}

fn jobs_in(status: &mut Value, jobs: &[Arc<DeliveredJob>]) {
    let (active, waiting) = counts(jobs);
    status["active"] = active.into();
    status["waiting"] = waiting.into();
    let newest = jobs
        .iter()
        .max_by_key(|job| (job.received_at, &job.id.name));
    if let Some(newest) = newest {
        later(status, "lastEventTime", newest.received_at);
        status["lastJobName"] = (&*newest.id.name).into();
    }
    if let Some(at) = last_success(jobs) {
        later(status, "lastSuccessfulTime", at);
    }
}

/// A time of a status, if it is one.
pub(in crate::controller) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Since when a condition of a status says so; `None` while it does not.
pub(in crate::controller) fn since(status: &Value, kind: &str, says: &str) -> Option<Timestamp> {
    let conditions = status["conditions"].as_array()?;
    let mut conditions = conditions.iter();
    let is = |condition: &&Value| condition["type"] == kind && condition["status"] == says;
    time(&conditions.find(is)?["lastTransitionTime"])
}

/// When the last of these succeeded.
pub fn last_success(jobs: &[Arc<DeliveredJob>]) -> Option<Timestamp> {
    let successes = jobs.iter().filter_map(|job| match job.ended {
        Some((JobOutcome::Complete, at)) => Some(at),
        _ => None,
    });
    successes.max()
}

/// A time goes forward only.
fn later(status: &mut Value, field: &str, at: Timestamp) {
    let before = time(&status[field]);
    if before.is_none_or(|before| before < at) {
        status[field] = text(at).into();
    }
}

/// To the second, as Kubernetes writes times.
fn text(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// What the conditions of a sound EventJob say.
struct Words {
    ready: &'static str,
    launching: &'static str,
    not_launching: &'static str,
    suspended: &'static str,
    not_suspended: &'static str,
}

const OF_EVENTS: Words = Words {
    ready: "it takes events",
    launching: "events become Jobs",
    not_launching: "it takes no events",
    suspended: "events are answered 503, and come again later",
    not_suspended: "events are taken",
};

const OF_DUE_TIMES: Words = Words {
    ready: "its schedule is looked after",
    launching: "due times become Jobs",
    not_launching: "no due time becomes a Job",
    suspended: "due times pass; source.cron.catchUp decides about them when it is resumed",
    not_suspended: "due times are looked after",
};

fn conditions(before: &Value, facts: &Facts, has_schedule: bool) -> Value {
    let of = if has_schedule {
        OF_DUE_TIMES
    } else {
        OF_EVENTS
    };
    let (ready, reason, message) = match &facts.standing {
        EventJobStanding::Ready => (true, "Ready", of.ready.to_owned()),
        EventJobStanding::Invalid(faults) => (false, "Invalid", Fault::list(faults)),
        EventJobStanding::NotReady(why) => (false, "NotReady", why.clone()),
        EventJobStanding::Closed(trouble) => (
            false,
            trouble.reason,
            format!(
                "{}; a request that no other key proves is answered 503",
                trouble.text
            ),
        ),
        EventJobStanding::Broken(why) => (false, "InternalError", (*why).to_owned()),
    };
    let latest = facts.latest.as_ref();
    let trouble = latest.and_then(|latest| latest.trouble.as_ref());
    let trouble = facts.schedule.as_ref().or(trouble);
    let (launching, why, words) = match trouble {
        _ if !ready => (false, "NotReady", of.not_launching.to_owned()),
        Some(trouble) => (false, trouble.reason, trouble.text.clone()),
        None if facts.suspended => (false, "Suspended", "spec.suspend is true".to_owned()),
        None => (true, "Launching", of.launching.to_owned()),
    };
    let (stops, says) = if facts.suspended {
        ("Suspended", of.suspended)
    } else {
        ("NotSuspended", of.not_suspended)
    };
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let earlier = before["conditions"].as_array().into_iter().flatten();
        let since = earlier
            .filter(|condition| condition["type"] == kind && condition["status"] == status)
            .find_map(|condition| condition["lastTransitionTime"].as_str());
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since.map_or_else(|| text(facts.now), str::to_owned),
            "observedGeneration": facts.generation,
        })
    };
    json!([
        condition("Ready", ready, reason, &message),
        condition("Launching", launching, why, &words),
        condition("Suspended", facts.suspended, stops, says),
    ])
}

#[cfg(test)]
mod tests;
