//! Puts statuses and Events where people look for them.
//!
//! Neither is ever needed for a decision, so a failure here ends nothing: it is
//! logged once, and the next report brings what was missed.

use std::collections::HashMap;
use std::sync::Mutex;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tracing::warn;

use super::notes::{Announcer, Notes};
use super::{Report, ours, patch, wanted};
use crate::cluster::{Budget, Call, Cluster};
use crate::controller::announce::{Note, Regarding, announce};
use crate::controller::{Identity, Reporter};
use crate::resource::Api;

/// Writes statuses. Remembers what it wrote, so that an unchanged object costs no call.
#[derive(Debug)]
pub struct Writer {
    cluster: Cluster,
    /// This process, for Events: the Pod's name.
    instance: String,
    memories: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of one object.
#[derive(Debug, Default)]
struct Memory {
    /// The status as it was last written; before that, as it was found.
    written: Value,
    /// The status as it should be; ahead of `written` when only times changed, or a write failed.
    wanted: Value,
    announcer: Announcer,
    failing: bool,
}

impl Writer {
    /// A writer that signs its Events as `instance`.
    pub fn new(cluster: Cluster, instance: impl Into<String>) -> Self {
        Self {
            cluster: cluster.with(Budget::Statuses),
            instance: instance.into(),
            memories: Mutex::default(),
        }
    }

    /// Brings the object's status up to the report, and tells what changed.
    ///
    /// The status that the object had when it was last read matters only the first
    /// time. Calls for one object come one after the other.
    pub async fn write(&self, object: &Identity, report: &Report) {
        let mut memory = self.take(object).unwrap_or_else(|| {
            let found = Value::Object(ours(&object.status));
            Memory {
                written: found.clone(),
                wanted: found,
                ..Memory::default()
            }
        });
        let next = wanted(object.api, &memory.wanted, report);
        let notes = Notes::of(&memory.wanted, &next, report);
        memory.wanted = next;
        for note in memory.announcer.due(notes, report.now) {
            self.announce(object, &note, report).await;
        }
        if patch::without_times(&memory.written) != patch::without_times(&memory.wanted) {
            self.send(object, &mut memory).await;
        }
        self.memories().insert(object.uid.clone(), memory);
    }

    /// Drops what is kept for an object that is gone, by its UID.
    pub fn forget(&self, uid: &str) {
        self.memories().remove(uid);
    }

    async fn send(&self, object: &Identity, memory: &mut Memory) {
        let Some(change) = patch::difference(&memory.written, &memory.wanted) else {
            return;
        };
        let group = group(object.api);
        let path = format!(
            "/apis/{group}/v1alpha1/namespaces/{}/scaledjobs/{}/status",
            object.id.namespace, object.id.name
        );
        let body = json!({"metadata": {"uid": object.uid}, "status": change});
        let failure = match self.cluster.send(Call::merge_patch(path, body)).await {
            Ok(answer) if answer.is_success() => {
                memory.written = memory.wanted.clone();
                memory.failing = false;
                return;
            }
            // Deleted, or replaced by another of its name (409, by the UID): nobody misses this status.
            Ok(answer) if matches!(answer.status, 404 | 409) => return,
            Ok(answer) => answer.words(),
            Err(error) => error.detail,
        };
        if !std::mem::replace(&mut memory.failing, true) {
            warn!(scaledjob = %object.id, "cannot write the status of scaledjob {}: {failure}", object.id);
        }
    }

    async fn announce(&self, object: &Identity, note: &Note, report: &Report) {
        let regarding = Regarding {
            api_version: &format!("{}/v1alpha1", group(object.api)),
            kind: "ScaledJob",
            id: &object.id,
            uid: &object.uid,
        };
        announce(&self.cluster, &self.instance, &regarding, note, report.now).await;
    }

    fn take(&self, object: &Identity) -> Option<Memory> {
        self.memories().remove(&object.uid)
    }

    fn memories(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().expect("no panic under the lock")
    }
}

impl Reporter for Writer {
    fn report<'a>(&'a self, object: &'a Identity, report: Report) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.write(object, &report).await })
    }

    fn forget(&self, object: &Identity) {
        Writer::forget(self, &object.uid);
    }
}

fn group(api: Api) -> &'static str {
    match api {
        Api::Slipway => "slipway.dev",
        Api::Keda => "keda.sh",
    }
}
