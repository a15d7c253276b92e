//! Another attempt of an occurrence: what somebody asks about a Job that failed, and the Job that comes of it. Pure.
//!
//! 1. `slipway rerun` writes [`RERUN_ANNOTATION`] on the failed Job: it asks, and creates nothing.
//! 2. The leader writes there which attempt it will be. From then on the Job's name is fixed, whoever goes on.
//! 3. The Job is made under that name. It is the failed one once more: its template and its values, not those of today.
//! 4. The leader writes what became of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::launch::delivered::{
    DEDUPLICATE_FOR_ANNOTATION, Delivery, GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate,
    PAYLOAD_ANNOTATION, RECEIVED_ANNOTATION, file, is_gated, owner,
};
use crate::launch::job::name::{self, Reserved};
use crate::launch::job::spec::{object, pod_labels};
use crate::launch::ports::DeliveredJob;
use crate::launch::{JobOutcome, Launch, OCCURRENCE_ANNOTATION};
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// Annotation of a failed Job that somebody asks to run again: a [`RerunRequest`].
pub const RERUN_ANNOTATION: &str = "slipway.dev/rerun";
/// Annotation with the number of an attempt, from the second on.
pub const ATTEMPT_ANNOTATION: &str = "slipway.dev/attempt";
/// Annotation with the hash of the first attempt, from the second on: 64 hexadecimal digits.
pub const FIRST_OCCURRENCE_ANNOTATION: &str = "slipway.dev/first-occurrence";
/// Attempts of one occurrence. Who needs more has another trouble.
pub const MOST_ATTEMPTS: u32 = 100;

/// Labels that the API server gives a Job's Pods.
const SERVERS_LABELS: [&str; 4] = [
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

/// What is asked about a Job that failed, and what became of it. Whoever may write annotations may write it, so nothing in
/// it is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunRequest {
    /// When it was asked; tells it from an earlier one.
    pub asked: Timestamp,
    /// Which attempt it will be: 2 and up. Written before its Job is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `Done` or `Failed`; `None` while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The Job that there is for it.
    #[serde(default, rename = "jobName", skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl RerunRequest {
    /// One that nobody has looked at.
    pub fn new(asked: Timestamp) -> Self {
        Self {
            asked,
            attempt: None,
            result: None,
            message: None,
            job: None,
        }
    }

    /// Reads the annotation; `None` for what is no request.
    pub fn parse(text: &str) -> Option<Self> {
        let request: Self = serde_json::from_str(text).ok()?;
        let is_possible = |attempt: u32| (2..=MOST_ATTEMPTS).contains(&attempt);
        request.attempt.is_none_or(is_possible).then_some(request)
    }

    /// The annotation that says it.
    pub fn to_text(&self) -> String {
        json!(self).to_string()
    }

    /// Whether somebody waits for an answer.
    pub fn is_open(&self) -> bool {
        self.result.is_none()
    }

    /// The same, answered.
    #[must_use]
    pub fn answered(self, is_done: bool, message: impl Into<String>, job: Option<String>) -> Self {
        let result = if is_done { "Done" } else { "Failed" };
        Self {
            result: Some(result.to_owned()),
            message: Some(message.into()),
            job,
            ..self
        }
    }
}

/// A failed Job, as it is written.
#[derive(Clone, PartialEq)]
pub struct FailedJob {
    /// The Job.
    pub manifest: Value,
    /// A change based on an older version is refused.
    pub version: String,
    /// The Secret with its event, if it has one: its `data`.
    pub file: Option<Value>,
}

impl FailedJob {
    /// What is asked about it, while that is open.
    pub fn request(&self) -> Option<RerunRequest> {
        let text = self.annotation(RERUN_ANNOTATION)?;
        RerunRequest::parse(text).filter(RerunRequest::is_open)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.manifest["metadata"]["annotations"][name].as_str()
    }
}

/// What a request comes to, by what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextAttempt {
    /// This attempt is the next.
    Make(u32),
    /// There is one that has not ended.
    Runs {
        /// Which.
        attempt: u32,
        /// Its Job.
        job: String,
    },
    /// None may be made, and why.
    Never(String),
}

/// Which attempt comes next when a Job is to run again: one above the highest of `jobs`, and only once that has failed.
pub fn next(failed: &DeliveredJob, jobs: &[Arc<DeliveredJob>]) -> NextAttempt {
    match failed.ended {
        Some((JobOutcome::Failed, _)) => {}
        Some((JobOutcome::Complete, _)) => return never("it has succeeded"),
        None => return never("it has not ended"),
    }
    if failed.gate == Some(Gate::Dropped) || failed.is_going {
        return never("it is being removed");
    }
    let same = jobs
        .iter()
        .map(Arc::as_ref)
        .filter(|job| job.first_occurrence() == failed.first_occurrence());
    let newest = same.max_by_key(|job| job.attempt).unwrap_or(failed);
    let (attempt, job) = (newest.attempt, newest.id.name.to_string());
    match newest.ended {
        None => return NextAttempt::Runs { attempt, job },
        Some((JobOutcome::Complete, _)) => {
            return NextAttempt::Never(format!("attempt {attempt}, job {job}, has succeeded"));
        }
        Some((JobOutcome::Failed, _)) => {}
    }
    match attempt.max(failed.attempt) {
        last @ ..MOST_ATTEMPTS => NextAttempt::Make(last + 1),
        _ => never("it has been tried 100 times"),
    }
}

fn never(why: &str) -> NextAttempt {
    NextAttempt::Never(format!("{why}: only a Job that failed runs again"))
}

/// The name of an attempt, from the second on. Six parts, where an event's name has at most five: no event has this name.
pub fn reserved(prefix: &str, event_job: &ObjectId, first: &str, attempt: u32) -> Reserved {
    let attempt = attempt.to_string();
    let parts = [
        &*event_job.namespace,
        &*event_job.name,
        "attempt",
        first,
        &attempt,
        "",
    ];
    name::reserved(prefix, &parts)
}

impl Delivery {
    /// A failed Job once more, under the name of this attempt. `asked_at` counts as when it was received.
    ///
    /// # Errors
    ///
    /// In words, what of the failed Job is not as it was made.
    pub fn again(
        event_job: &EventJob,
        failed: &FailedJob,
        attempt: u32,
        asked_at: Timestamp,
    ) -> Result<Self, String> {
        let written = failed.manifest["metadata"]["name"].as_str();
        let prefix = match failed.manifest["metadata"]["generateName"].as_str() {
            Some(prefix) => prefix.to_owned(),
            None => name::prefix(&event_job.id.name),
        };
        let text = |annotation| failed.annotation(annotation).map(str::to_owned);
        let occurrence = text(OCCURRENCE_ANNOTATION).ok_or("it has no occurrence")?;
        let first = text(FIRST_OCCURRENCE_ANNOTATION).unwrap_or(occurrence);
        let payload = text(PAYLOAD_ANNOTATION).unwrap_or_default();
        let reserved = reserved(&prefix, &event_job.id, &first, attempt);
        let is_gated = is_gated(event_job);

        let mut manifest = failed.manifest.clone();
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), reserved.name.as_str().into());
        metadata.insert("generateName".to_owned(), prefix.into());
        metadata.insert("namespace".to_owned(), json!(*event_job.id.namespace));
        for kept in ["labels", "annotations"] {
            metadata.insert(kept.to_owned(), manifest["metadata"][kept].take());
        }
        metadata.insert("ownerReferences".to_owned(), json!([owner(event_job)]));
        without(&mut metadata["labels"], &SERVERS_LABELS);
        let annotations = &mut metadata["annotations"];
        without(
            annotations,
            &[
                RERUN_ANNOTATION,
                GATE_ANNOTATION,
                GATE_HOLDER_ANNOTATION,
                "kubectl.kubernetes.io/last-applied-configuration",
                "batch.kubernetes.io/job-tracking",
            ],
        );
        annotations[OCCURRENCE_ANNOTATION] = reserved.occurrence.as_str().into();
        annotations[FIRST_OCCURRENCE_ANNOTATION] = first.into();
        annotations[ATTEMPT_ANNOTATION] = attempt.to_string().into();
        annotations[RECEIVED_ANNOTATION] = format!("{asked_at:.3}").into();
        if is_gated {
            annotations[GATE_ANNOTATION] = Gate::Waiting.name().into();
        }
        let spec = again_spec(manifest["spec"].take(), event_job, written, &reserved.name);
        let launch = Launch {
            id: ObjectId::new(&event_job.id.namespace, reserved.name),
            occurrence: reserved.occurrence,
            manifest: json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec,
            }),
        };
        let remember_for = failed
            .annotation(DEDUPLICATE_FOR_ANNOTATION)
            .and_then(|text| text.parse::<SignedDuration>().ok())
            .and_then(|duration| Duration::try_from(duration).ok());
        let file = failed.file.clone();
        Ok(Self {
            event_job: event_job.id.clone(),
            file: file.map(|data| file::of(&launch, &data, &payload)),
            launch,
            payload,
            due: None,
            is_gated,
            remember_for: remember_for.unwrap_or(event_job.deduplicate_for),
        })
    }
}

/// The spec as it was, without what the API server has put in, and with the new Job's own Secret.
fn again_spec(mut spec: Value, event_job: &EventJob, old: Option<&str>, new: &str) -> Value {
    let template = event_job.job_template.value();
    let fields = object(&mut spec);
    for of_server in ["selector", "manualSelector"] {
        fields.shift_remove(of_server);
    }
    let waits = is_gated(event_job) || template["spec"]["suspend"] == true;
    fields.insert("suspend".to_owned(), waits.into());
    for label in SERVERS_LABELS {
        pod_labels(fields).shift_remove(label);
    }
    if let Some(volumes) = spec["template"]["spec"]["volumes"].as_array_mut() {
        for volume in volumes {
            let secret = &mut volume["secret"];
            if secret.is_object() && secret["secretName"].as_str() == old {
                secret["secretName"] = new.into();
            }
        }
    }
    spec
}

fn without(map: &mut Value, keys: &[&str]) {
    let map = object(map);
    for key in keys {
        map.shift_remove(*key);
    }
}

/// Whether a Job mounts a Secret of its own name: its event.
pub fn has_file(manifest: &Value) -> bool {
    let name = &manifest["metadata"]["name"];
    let volumes = manifest["spec"]["template"]["spec"]["volumes"].as_array();
    let mut volumes = volumes.into_iter().flatten();
    name.is_string() && volumes.any(|volume| volume["secret"]["secretName"] == *name)
}

#[cfg(test)]
mod tests;
