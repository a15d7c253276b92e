//! The Jobs of events as the API server writes them, and what is kept of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::core::ObjectMeta;
use serde::Deserialize;

use super::super::ended::{Condition, ended};
use super::super::informer::{Kept, version_number};
use super::super::watched::Watched;
use super::super::{job_path, unavailable, unreadable};
use crate::cluster::{Call, Cluster};
use crate::launch::attempt::{
    ATTEMPT_ANNOTATION, FIRST_OCCURRENCE_ANNOTATION, RERUN_ANNOTATION, RerunRequest,
};
use crate::launch::delivered::{
    ASKED_FOR_ANNOTATION, CONCURRENCY_KEY_ANNOTATION, DEDUPLICATE_FOR_ANNOTATION, GATE_ANNOTATION,
    GATE_HOLDER_ANNOTATION, Gate, Owners, PAYLOAD_ANNOTATION, RECEIVED_ANNOTATION,
    REMOVED_ANNOTATION, SCHEDULED_ANNOTATION,
};
use crate::launch::ports::DeliveredJob;
use crate::launch::{Error, OCCURRENCE_ANNOTATION};
use crate::resource::ObjectId;

/// Remembered for this long when a Job does not say: DESIGN §2.3, `deduplicateFor`.
const REMEMBER_FOR: Duration = Duration::from_hours(25);

/// A Job with the little of its spec and status that matters here.
pub(super) type WatchedJob = Watched<WatchedJobSpec, WatchedJobStatus>;

/// What is kept of `spec`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct WatchedJobSpec {
    #[serde(default)]
    suspend: bool,
}

/// What is kept of `status`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WatchedJobStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
    completion_time: Option<Timestamp>,
    #[serde(default)]
    active: u32,
    #[serde(default)]
    ready: u32,
}

/// A Job as it is kept.
#[derive(Debug, Clone)]
pub(super) struct KeptJob {
    pub(super) job: Arc<DeliveredJob>,
    /// The hash of the event it was made for; empty when it does not say.
    pub(super) payload: String,
}

impl Kept for KeptJob {
    fn id(&self) -> &ObjectId {
        &self.job.id
    }

    fn owner(&self) -> &ObjectId {
        &self.job.event_job
    }

    fn uid(&self) -> &str {
        &self.job.uid
    }

    fn version(&self) -> u64 {
        version_number(Some(&self.job.version))
    }
}

/// A Job that was read by name.
pub(super) struct Named {
    /// `metadata.uid`.
    pub(super) uid: String,
    annotations: BTreeMap<String, String>,
}

impl Named {
    /// The full hash behind its name; empty when it has none.
    pub(super) fn occurrence(&self) -> &str {
        self.text(OCCURRENCE_ANNOTATION)
    }

    /// The hash of its event; empty when it has none.
    pub(super) fn payload(&self) -> &str {
        self.text(PAYLOAD_ANNOTATION)
    }

    fn text(&self, annotation: &str) -> &str {
        self.annotations.get(annotation).map_or("", String::as_str)
    }
}

/// A consistent read by name; `None` when there is no such Job.
pub(super) async fn read(
    cluster: &Cluster,
    id: &ObjectId,
    within: Duration,
) -> Result<Option<Named>, Error> {
    let object = format!("job {id}");
    let answer = cluster
        .send(Call::get(job_path(id)).within(within))
        .await
        .map_err(|error| unavailable(&object, &error))?;
    match answer.status {
        404 => Ok(None),
        200..300 => {
            let job: WatchedJob = answer
                .json()
                .map_err(|error| unavailable(&object, &error))?;
            Ok(Some(Named {
                uid: job.metadata.uid.unwrap_or_default(),
                annotations: job.metadata.annotations.unwrap_or_default(),
            }))
        }
        _ => Err(unreadable(&object, &answer)),
    }
}

/// What is kept of a Job of one kind of owner; `None` when it is not one of ours, whatever its label says.
pub(super) fn kept(job: &WatchedJob, owners: Owners) -> Option<KeptJob> {
    let metadata = &job.metadata;
    let annotations = metadata.annotations.as_ref()?;
    let text = |name: &str| annotations.get(name).map(String::as_str);
    let occurrence = text(OCCURRENCE_ANNOTATION)?.to_owned();
    let id = ObjectId::new(metadata.namespace.clone()?, metadata.name.clone()?);
    let created_at = metadata.creation_timestamp.as_ref()?.0;
    let received_at = text(RECEIVED_ANNOTATION).and_then(|text| text.parse().ok());
    let remember_for = text(DEDUPLICATE_FOR_ANNOTATION)
        .and_then(|text| text.parse::<SignedDuration>().ok())
        .and_then(|duration| Duration::try_from(duration).ok());
    let status = job.status.clone().unwrap_or_default();
    let payload = text(PAYLOAD_ANNOTATION).unwrap_or_default().to_owned();
    let end = ended(&status.conditions);
    let job = DeliveredJob {
        uid: metadata.uid.clone()?,
        version: metadata.resource_version.clone()?,
        event_job: event_job_of(metadata, &id.namespace, owners)?,
        id,
        occurrence,
        gate: text(GATE_ANNOTATION).and_then(Gate::parse),
        is_suspended: job.spec.suspend,
        claimed_by: text(GATE_HOLDER_ANNOTATION).map(str::to_owned),
        key: text(CONCURRENCY_KEY_ANNOTATION)
            .unwrap_or_default()
            .to_owned(),
        received_at: received_at.unwrap_or(created_at),
        due: text(SCHEDULED_ANNOTATION).and_then(|text| text.parse().ok()),
        is_asked_for: text(ASKED_FOR_ANNOTATION).is_some(),
        attempt: text(ATTEMPT_ANNOTATION)
            .and_then(|text| text.parse().ok())
            .unwrap_or(1),
        first: text(FIRST_OCCURRENCE_ANNOTATION).map(str::to_owned),
        wants_rerun: text(RERUN_ANNOTATION)
            .and_then(RerunRequest::parse)
            .is_some_and(|request| request.is_open()),
        created_at,
        ended: end.map(|end| {
            let at = status.completion_time.or(end.said_at);
            (end.outcome, at.unwrap_or(created_at))
        }),
        end_reason: end.map_or("", |end| end.reason),
        is_removed: text(REMOVED_ANNOTATION).is_some(),
        is_going: metadata.deletion_timestamp.is_some(),
        active_pods: status.active,
        ready_pods: status.ready,
        remember_for: remember_for.unwrap_or(REMEMBER_FOR),
    };
    let job = Arc::new(job);
    Some(KeptJob { job, payload })
}

/// What owns it. The label is cut for long names, and is all there is when the owner was taken off.
fn event_job_of(metadata: &ObjectMeta, namespace: &str, of: Owners) -> Option<ObjectId> {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.kind == of.kind());
    let name = match owner {
        Some(owner) => &owner.name,
        None => metadata.labels.as_ref()?.get(of.label())?,
    };
    Some(ObjectId::new(namespace, name.clone()))
}
