//! From an object and a round to Jobs: names, labels, annotations, the manifest.
//!
//! Nothing here knows a clock or a cluster: the same object and round always
//! give the same Jobs, so a round can be sent again by another process.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::delivered::ASKED_FOR_ANNOTATION;
use super::{
    GENERATION_ANNOTATION, KEDA_GENERATION_ANNOTATION, KEDA_SCALED_JOB_LABEL, Launch,
    OCCURRENCE_ANNOTATION, ROUND_ANNOTATION, SCALED_JOB_LABEL,
};
use crate::resource::requests::{ANSWERS_ANNOTATION, REQUESTS_ANNOTATION};
use crate::resource::{Api, ObjectId, Round, ScaledJob};

pub mod name;
pub(crate) mod spec;

use name::label_value;
use spec::{MANAGED_BY_LABEL, object, object_in, owner_reference, pod_labels};

/// The KEDA whose Jobs ours look like on objects managed in place. Source: `version.Version` at the
/// commit the vectors were recorded from.
const KEDA_VERSION: &str = "main";

/// Annotations that list, comma-separated and not trimmed, labels of the object its Jobs do not get.
const EXCLUDED_LABELS_ANNOTATIONS: [&str; 2] = [
    "scaledjob.keda.sh/job-excluded-labels",
    "slipway.dev/job-excluded-labels",
];

/// Tools that find their own objects by these would take a Job for one of theirs.
const TOOL_PREFIXES: [&str; 3] = [
    "kubectl.kubernetes.io/",
    "argocd.argoproj.io/",
    "meta.helm.sh/",
];

/// What is said to the controller about the object, and means nothing on a Job.
const CONTROL_ANNOTATIONS: [&str; 5] = [
    "autoscaling.keda.sh/paused",
    "slipway.dev/paused",
    "slipway.dev/managed",
    REQUESTS_ANNOTATION,
    ANSWERS_ANNOTATION,
];

/// What finds a Job again. An object's own label or annotation of such a name never replaces it;
/// KEDA's do not even get onto the Jobs of an object that KEDA does not know, because KEDA deletes by label alone.
const TRACKING: [&str; 6] = [
    SCALED_JOB_LABEL,
    KEDA_SCALED_JOB_LABEL,
    OCCURRENCE_ANNOTATION,
    ROUND_ANNOTATION,
    GENERATION_ANNOTATION,
    KEDA_GENERATION_ANNOTATION,
];

impl Launch {
    /// The one Job of a round that somebody asked for.
    pub fn asked(scaled_job: &ScaledJob, number: u64) -> Self {
        let generate_name = name::prefix(&scaled_job.id.name);
        let reserved = name::counted(&generate_name, &scaled_job.uid, number, 0);
        let round = Round { number, jobs: 1 };
        let mut manifest = manifest(scaled_job, round, &generate_name);
        let metadata = &mut manifest["metadata"];
        metadata["name"] = reserved.name.as_str().into();
        metadata["annotations"][OCCURRENCE_ANNOTATION] = reserved.occurrence.as_str().into();
        metadata["annotations"][ASKED_FOR_ANNOTATION] = "trigger".into();
        Self {
            id: ObjectId::new(&scaled_job.id.namespace, reserved.name),
            occurrence: reserved.occurrence,
            manifest,
        }
    }

    /// The Jobs of a round, in the order of their ordinals.
    ///
    /// `spec.jobTargetRef` passes through as it is, with what KEDA adds to it:
    /// the Pod's labels and `generateName`, and `restartPolicy: OnFailure` where none is written.
    pub fn counted(
        scaled_job: &ScaledJob,
        round: Round,
    ) -> impl ExactSizeIterator<Item = Self> + use<> {
        let id = scaled_job.id.clone();
        let uid = scaled_job.uid.clone();
        let generate_name = name::prefix(&id.name);
        let template = manifest(scaled_job, round, &generate_name);
        (0..round.jobs).map(move |ordinal| {
            let reserved = name::counted(&generate_name, &uid, round.number, ordinal);
            let mut manifest = template.clone();
            manifest["metadata"]["name"] = Value::from(reserved.name.clone());
            manifest["metadata"]["annotations"][OCCURRENCE_ANNOTATION] =
                Value::from(reserved.occurrence.clone());
            Self {
                id: ObjectId::new(&id.namespace, reserved.name),
                occurrence: reserved.occurrence,
                manifest,
            }
        })
    }
}

/// What all Jobs of a round have in common: everything but name and occurrence.
fn manifest(scaled_job: &ScaledJob, round: Round, generate_name: &str) -> Value {
    let api_version = match scaled_job.api {
        Api::Slipway => "slipway.dev/v1alpha1",
        Api::Keda => "keda.sh/v1alpha1",
    };
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            // Filled in for each Job; here, so that it stands first.
            "name": null,
            "generateName": generate_name,
            "namespace": *scaled_job.id.namespace,
            "labels": labels(scaled_job),
            "annotations": annotations(scaled_job, round),
            "ownerReferences": [owner_reference(api_version, "ScaledJob", &scaled_job.id.name, &scaled_job.uid)],
        },
        "spec": job_spec(scaled_job),
    })
}

/// The labels by which the object's Jobs and their Pods are found.
fn tracking_labels(scaled_job: &ScaledJob) -> BTreeMap<&'static str, String> {
    let name = label_value(&scaled_job.id.name);
    let mut labels = BTreeMap::from([(SCALED_JOB_LABEL, name.clone())]);
    if scaled_job.api == Api::Keda {
        labels.insert(KEDA_SCALED_JOB_LABEL, name);
    }
    labels
}

fn labels(scaled_job: &ScaledJob) -> BTreeMap<&str, String> {
    // The object's own label of this name wins, as in KEDA.
    let mut labels = match scaled_job.api {
        Api::Slipway => BTreeMap::from([(MANAGED_BY_LABEL, "slipway".to_owned())]),
        Api::Keda => {
            let name = label_value(&scaled_job.id.name);
            BTreeMap::from([
                ("app.kubernetes.io/name", name.clone()),
                ("app.kubernetes.io/version", KEDA_VERSION.to_owned()),
                ("app.kubernetes.io/part-of", name),
                (MANAGED_BY_LABEL, "keda-operator".to_owned()),
            ])
        }
    };
    let excluded: Vec<&str> = EXCLUDED_LABELS_ANNOTATIONS
        .iter()
        .filter_map(|annotation| scaled_job.annotations.get(*annotation))
        .flat_map(|list| list.split(','))
        .collect();
    let copied = copied(&scaled_job.labels).filter(|(key, _)| !excluded.contains(key));
    labels.extend(copied);
    labels.extend(tracking_labels(scaled_job));
    labels
}

fn annotations(scaled_job: &ScaledJob, round: Round) -> BTreeMap<&str, String> {
    let mut annotations: BTreeMap<&str, String> = copied(&scaled_job.annotations).collect();
    let generation = scaled_job.generation.to_string();
    if scaled_job.api == Api::Keda {
        annotations.insert(KEDA_GENERATION_ANNOTATION, generation.clone());
    }
    annotations.insert(GENERATION_ANNOTATION, generation);
    annotations.insert(ROUND_ANNOTATION, round.number.to_string());
    annotations
}

/// What an object's labels or annotations give to its Jobs.
fn copied(written: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, String)> {
    written
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .filter(|(key, _)| {
            !TOOL_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
                && !CONTROL_ANNOTATIONS.contains(key)
                && !TRACKING.contains(key)
        })
}

fn job_spec(scaled_job: &ScaledJob) -> Value {
    let mut spec = scaled_job.job_target.value();
    let fields = object(&mut spec);
    let template = object_in(fields, "template");
    object_in(template, "metadata").insert(
        "generateName".to_owned(),
        Value::from(format!("{}-", scaled_job.id.name)),
    );
    let labels = pod_labels(fields);
    for (key, value) in tracking_labels(scaled_job) {
        labels.insert(key.to_owned(), Value::from(value));
    }

    let pod = object_in(object_in(fields, "template"), "spec");
    // The API server would make it `Always`, which no Job may have.
    let policy = pod.entry("restartPolicy").or_insert(Value::Null);
    if policy.is_null() || policy == "" {
        *policy = Value::from("OnFailure");
    }
    spec
}

#[cfg(test)]
mod tests;
