//! Puts an EventJob's status and Events where people look for them.
//!
//! Neither is ever needed for a decision, so a failure here ends nothing: it is
//! logged once, and the next look brings what was missed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::warn;

use super::status::{Facts, wanted};
use crate::cluster::{Budget, Call, Cluster};
use crate::controller::Identity;
use crate::controller::announce::{Note, Regarding, announce};
use crate::controller::status::patch;

/// Writes statuses. Remembers what it wrote, so that an unchanged object costs no call.
#[derive(Debug)]
pub struct Writer {
    cluster: Cluster,
    /// This process, for Events: the Pod's name.
    instance: String,
    /// What was written last, by UID.
    written: Mutex<HashMap<String, Written>>,
}

#[derive(Debug, Clone, Default)]
struct Written {
    status: Value,
    is_failing: bool,
}

impl Writer {
    /// A writer that signs its Events as `instance`.
    pub fn new(cluster: Cluster, instance: impl Into<String>) -> Self {
        Self {
            cluster: cluster.with(Budget::Statuses),
            instance: instance.into(),
            written: Mutex::default(),
        }
    }

    /// Brings the object's status up to date. Whether it is.
    pub(in crate::controller) async fn write(&self, object: &Identity, facts: &Facts) -> bool {
        let mut written = self
            .written()
            .get(&object.uid)
            .cloned()
            .unwrap_or_else(|| Written {
                status: object.status.clone(),
                is_failing: false,
            });
        let next = wanted(&object.id, &written.status, facts);
        let Some(change) = patch::difference(&written.status, &next) else {
            return true;
        };
        let id = &object.id;
        let path = format!(
            "/apis/slipway.dev/v1alpha1/namespaces/{}/eventjobs/{}/status",
            id.namespace, id.name
        );
        let body = json!({"metadata": {"uid": object.uid}, "status": change});
        let failure = match self.cluster.send(Call::merge_patch(path, body)).await {
            Ok(answer) if answer.is_success() => None,
            // Deleted, or replaced by another of its name (409, by the UID): nobody misses this status.
            Ok(answer) if matches!(answer.status, 404 | 409) => return true,
            Ok(answer) => Some(answer.words()),
            Err(error) => Some(error.detail),
        };
        match &failure {
            None => written.status = next,
            Some(failure) if !written.is_failing => {
                warn!("cannot write the status of EventJob {id}: {failure}");
            }
            Some(_) => {}
        }
        written.is_failing = failure.is_some();
        self.written().insert(object.uid.clone(), written);
        failure.is_none()
    }

    /// Makes an Event about the object.
    pub(in crate::controller) async fn announce(
        &self,
        object: &Identity,
        note: &Note,
        now: Timestamp,
    ) {
        let regarding = Regarding {
            api_version: "slipway.dev/v1alpha1",
            kind: "EventJob",
            id: &object.id,
            uid: &object.uid,
        };
        announce(&self.cluster, &self.instance, &regarding, note, now).await;
    }

    /// Drops what is kept for an object that is gone.
    pub(in crate::controller) fn forget(&self, object: &Identity) {
        self.written().remove(&object.uid);
    }

    fn written(&self) -> MutexGuard<'_, HashMap<String, Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
