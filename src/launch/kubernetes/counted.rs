//! What is kept of a counted Job and of its Pods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ended::{Condition, ended};
use super::informer::{Kept, version_number};
use super::watched::Watched;
use crate::launch::{
    GENERATION_ANNOTATION, JobState, KEDA_GENERATION_ANNOTATION, OCCURRENCE_ANNOTATION, PodState,
    ROUND_ANNOTATION,
};
use crate::resource::ObjectId;

/// A Job without its spec.
pub(super) type JobShape = Watched<IgnoredAny, JobStatus>;
/// A Pod without its spec.
pub(super) type PodShape = Watched<IgnoredAny, PodStatus>;

/// What is read of a Job's `status`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
    completion_time: Option<Timestamp>,
}

/// What is read of a Pod's `status`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    conditions: Vec<PodCondition>,
}

#[derive(Debug, Clone, Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// A Job that counts for a ScaledJob.
#[derive(Debug, Clone)]
pub(super) struct CountedJob {
    id: ObjectId,
    /// Namespace, and the value of the label with the ScaledJob's name.
    label: ObjectId,
    /// The object that controls it. Where none does, the label is the best name of it.
    pub(super) scaled_job: ObjectId,
    version: u64,
    pub(super) state: JobState,
}

/// A Pod of a Job that counts.
#[derive(Debug, Clone)]
pub(super) struct CountedPod {
    id: ObjectId,
    /// Namespace and name of its Job.
    job: ObjectId,
    uid: String,
    version: u64,
    pub(super) state: PodState,
}

impl Kept for CountedJob {
    fn id(&self) -> &ObjectId {
        &self.id
    }

    fn owner(&self) -> &ObjectId {
        &self.label
    }

    fn uid(&self) -> &str {
        self.state.uid.as_deref().unwrap_or_default()
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Kept for CountedPod {
    fn id(&self) -> &ObjectId {
        &self.id
    }

    fn owner(&self) -> &ObjectId {
        &self.job
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// What is kept of a Job with this label.
pub(super) fn counted(job: JobShape, label: &str) -> CountedJob {
    let id = job.id();
    let version = version_number(job.metadata.resource_version.as_deref());
    let labels = job.metadata.labels.as_ref();
    let value = labels.and_then(|labels| labels.get(label).cloned());
    let value = value.unwrap_or_default();
    let owners = job.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true));
    let scaled_job = owner.map_or(&value, |owner| &owner.name);
    CountedJob {
        scaled_job: ObjectId::new(&id.namespace, scaled_job),
        label: ObjectId::new(&id.namespace, value),
        id,
        version,
        state: state_of(job),
    }
}

/// What counting needs of a Job.
pub(super) fn state_of(job: JobShape) -> JobState {
    const KEPT: [&str; 4] = [
        OCCURRENCE_ANNOTATION,
        ROUND_ANNOTATION,
        GENERATION_ANNOTATION,
        KEDA_GENERATION_ANNOTATION,
    ];
    let status = job.status.unwrap_or_default();
    let ended = ended(&status.conditions);
    let annotations: BTreeMap<String, String> = job
        .metadata
        .annotations
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| KEPT.contains(&key.as_str()))
        .collect();
    JobState {
        name: job.metadata.name.unwrap_or_default(),
        uid: job.metadata.uid,
        owner_uid: job
            .metadata
            .owner_references
            .unwrap_or_default()
            .into_iter()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| owner.uid),
        annotations,
        outcome: ended.map(|end| end.outcome),
        end_reason: ended.map_or("", |end| end.reason),
        created_at: job.metadata.creation_timestamp.map(|time| time.0),
        finished_at: status.completion_time.or(ended.and_then(|end| end.said_at)),
        pods: Vec::new(),
    }
}

/// What is kept of a Pod; none when it does not say whose it is.
pub(super) fn pod(pod: PodShape) -> Option<CountedPod> {
    let id = pod.id();
    let labels = pod.metadata.labels.unwrap_or_default();
    let job = labels
        .get("batch.kubernetes.io/job-name")
        .or_else(|| labels.get("job-name"))?;
    let status = pod.status.unwrap_or_default();
    let is_true = |condition: &PodCondition| condition.status == "True";
    let conditions = status.conditions.into_iter().filter(is_true);
    Some(CountedPod {
        job: ObjectId::new(&id.namespace, job),
        id,
        uid: pod.metadata.uid.unwrap_or_default(),
        version: version_number(pod.metadata.resource_version.as_deref()),
        state: PodState {
            phase: status.phase,
            true_conditions: conditions.map(|condition| condition.kind).collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::launch::{JobOutcome, SCALED_JOB_LABEL};

    fn job(condition: Option<&str>) -> JobShape {
        let conditions: Vec<_> = condition
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}))
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {}},
            "metadata": {
                "name": "a", "namespace": "production", "uid": "uid of a", "resourceVersion": "7",
                "labels": {SCALED_JOB_LABEL: "resi-cut"},
                "annotations": {OCCURRENCE_ANNOTATION: "hash", "other": "dropped"},
                "ownerReferences": [{"apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
                    "name": "resize", "uid": "owner", "controller": true}],
            },
            "status": {"conditions": conditions},
        }))
        .expect("a Job")
    }

    #[test]
    fn only_a_true_complete_or_failed_ends_a_job() {
        for (kind, outcome) in [
            ("Complete", Some(JobOutcome::Complete)),
            ("Failed", Some(JobOutcome::Failed)),
            ("Suspended", None),
            ("FailureTarget", None),
            ("SuccessCriteriaMet", None),
        ] {
            assert_eq!(state_of(job(Some(kind))).outcome, outcome, "{kind}");
        }
    }

    #[test]
    fn a_state_keeps_our_annotations_and_the_controlling_owner() {
        let state = state_of(job(Some("Failed")));
        assert_eq!(state.annotations.len(), 1);
        assert_eq!(state.owner_uid.as_deref(), Some("owner"));
        assert!(state.finished_at.is_some(), "the Failed condition's time");
    }

    #[test]
    fn a_job_is_kept_by_its_label_and_told_of_by_its_owner() {
        let counted = counted(job(None), SCALED_JOB_LABEL);
        assert_eq!(counted.owner(), &ObjectId::new("production", "resi-cut"));
        assert_eq!(counted.scaled_job, ObjectId::new("production", "resize"));
        assert_eq!((counted.uid(), counted.version()), ("uid of a", 7));
    }

    #[test]
    fn a_pod_is_kept_by_its_job() {
        let pod_of = |labels: serde_json::Value| {
            let shown = json!({
                "metadata": {"name": "a-1", "namespace": "production", "labels": labels},
                "spec": {},
                "status": {"phase": "Running", "conditions": [
                    {"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "False"},
                ]},
            });
            pod(serde_json::from_value(shown).expect("a Pod"))
        };
        let kept = pod_of(json!({"job-name": "a"})).expect("kept");
        assert_eq!(kept.owner(), &ObjectId::new("production", "a"));
        assert_eq!(kept.state.true_conditions, ["Ready"]);
        assert!(pod_of(json!({})).is_none());
    }
}
