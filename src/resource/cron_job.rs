//! Kubernetes' own CronJob, read as the API server reads it.
//!
//! What it means to Slipway, and how it becomes an EventJob, is in `convert`; its traps are in `traps`. Whether the Job
//! template is a good one is left to `template`.

mod convert;
mod in_place;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::resource::fields::{Faults, Fields};
use crate::resource::{Fault, HistoryLimits, KeptJson, ObjectId};
use crate::schedule::{self, Expression, Schedule};

pub use convert::{Converted, convert};
pub use in_place::{CronJobInPlace, in_place, is_handed_over};

/// Characters of a name. Source: Kubernetes, `pkg/apis/batch/validation`: the names of Jobs have eleven more.
const LONGEST_NAME: usize = 52;

/// A valid CronJob.
#[derive(Debug, Clone, PartialEq)]
pub struct CronJob {
    /// Namespace and name.
    pub id: ObjectId,
    /// When it is due, with CronJob's own ways with jumps of the clock.
    pub schedule: Schedule,
    /// `startingDeadlineSeconds`; `None` for no limit. Zero is accepted, and nothing runs then.
    pub starting_deadline: Option<Duration>,
    /// `concurrencyPolicy`.
    pub concurrency_policy: CronJobPolicy,
    /// `suspend`.
    pub suspend: bool,
    /// How many finished Jobs are kept; 3 and 1 by default.
    pub history: HistoryLimits,
    /// `jobTemplate`, untouched.
    pub job_template: KeptJson,
}

/// `concurrencyPolicy` of a CronJob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronJobPolicy {
    /// Any number of Jobs at once.
    Allow,
    /// A due time waits while a Job runs; the newest then starts late, however late.
    Forbid,
    /// The running Job is deleted.
    Replace,
}

/// Reads a `batch/v1` CronJob.
///
/// # Errors
///
/// Everything that the API server would refuse in a new one, but for the Job template.
pub fn parse(value: &Value) -> Result<CronJob, Vec<Fault>> {
    let faults = Faults::default();
    let parsed = read(value, &faults);
    match parsed {
        Some(cron_job) if faults.is_empty() => Ok(cron_job),
        _ => Err(faults.into_vec()),
    }
}

fn read(value: &Value, faults: &Faults) -> Option<CronJob> {
    let object = Fields::new("", value, faults)?;
    object.required("spec");
    let metadata = object.fields("metadata")?;
    let name = metadata.required_text("name");
    if name.is_some_and(|name| name.len() > LONGEST_NAME) {
        let message = format!(
            "must have at most {LONGEST_NAME} characters: the names of Jobs have eleven more"
        );
        metadata.fault("name", message);
    }
    let namespace = metadata.text("namespace").filter(|text| !text.is_empty());
    let created = value["metadata"]["creationTimestamp"].as_str();
    let created = created.and_then(|text| text.parse().ok());
    let spec = object.fields("spec")?;
    let expression = spec.required_text("schedule").and_then(|text| {
        let read = Expression::parse(text);
        or_fault(&spec, "schedule", read)
    });
    if let Some(expression) = &expression
        && let Some(refusal @ schedule::Error::ZoneInside { .. }) = expression.refusal()
    {
        spec.fault("schedule", refusal.to_string());
    }
    let zone = match spec.text("timeZone") {
        Some(name) => or_fault(&spec, "timeZone", schedule::zone(name)),
        None => Some(TimeZone::UTC),
    };
    let deadline = spec.count("startingDeadlineSeconds", 0);
    let policy = match spec.choice("concurrencyPolicy", &["Allow", "Forbid", "Replace"]) {
        Some("Forbid") => CronJobPolicy::Forbid,
        Some("Replace") => CronJobPolicy::Replace,
        _ => CronJobPolicy::Allow,
    };
    let suspend = spec.switch("suspend");
    let history = HistoryLimits {
        successful: spec.count("successfulJobsHistoryLimit", 0).unwrap_or(3),
        failed: spec.count("failedJobsHistoryLimit", 0).unwrap_or(1),
    };
    spec.required("jobTemplate");
    let template = spec.fields("jobTemplate");
    if let Some(template) = &template {
        template.required("spec");
        template.fields("spec");
        template.get("metadata");
        template.refuse_others();
    }
    spec.refuse_others();
    let created = created.unwrap_or(Timestamp::UNIX_EPOCH);
    Some(CronJob {
        id: ObjectId::new(namespace.unwrap_or("default"), name?),
        schedule: Schedule::new(expression?, zone?, created).as_cron_job(),
        starting_deadline: deadline.map(|seconds| Duration::from_secs(seconds.into())),
        concurrency_policy: policy,
        suspend,
        history,
        job_template: template?.whole().into(),
    })
}

fn or_fault<T>(fields: &Fields<'_>, key: &str, read: Result<T, schedule::Error>) -> Option<T> {
    read.map_err(|error| fields.fault(key, error.to_string()))
        .ok()
}

#[cfg(test)]
mod tests;
