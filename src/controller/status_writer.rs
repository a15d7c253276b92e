//! Writes statuses and Kubernetes Events. One writer for each kind of object.
//!
//! No decision needs them, so a failure here ends nothing: it is logged once and
//! tried again. `record` says what is written and when, `notes` what is told.
//! Each object's own task calls for it; no call waits for another object's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, warn};

use self::notes::{Announcer, Notes};
use self::record::{NextWrite, PACE, StatusRecord};
use crate::cluster::{Answer, Budget, Call, Cluster, NoAnswer};
use crate::controller::announce::{Note, Regarding, announce};
use crate::controller::event_jobs::outcomes::LastRefusal;
use crate::controller::status::{self, Report};
use crate::controller::{Identity, Reporter, event_jobs};
use crate::resource::Api;

pub(super) mod notes;
mod patch;
mod record;

/// Writes the statuses of one kind of object. A status that says nothing new costs no call.
#[derive(Debug)]
pub struct StatusWriter {
    cluster: Cluster,
    /// This process, for Events: the Pod's name.
    instance: String,
    kind: &'static str,
    /// The fields of a status that are ours to write.
    fields: fn(Api) -> &'static [&'static str],
    /// By UID.
    objects: Mutex<HashMap<String, (StatusRecord, Announcer)>>,
}

impl StatusWriter {
    /// A writer for ScaledJobs that signs its Events as `instance`.
    pub fn scaled_jobs(cluster: Cluster, instance: impl Into<String>) -> Self {
        Self::new("ScaledJob", status::fields, cluster, instance.into())
    }

    /// A writer for EventJobs that signs its Events as `instance`.
    pub fn event_jobs(cluster: Cluster, instance: impl Into<String>) -> Self {
        Self::new(
            "EventJob",
            |_| event_jobs::status::FIELDS,
            cluster,
            instance.into(),
        )
    }

    fn new(
        kind: &'static str,
        fields: fn(Api) -> &'static [&'static str],
        cluster: Cluster,
        instance: String,
    ) -> Self {
        Self {
            cluster: cluster.with(Budget::Statuses),
            instance,
            kind,
            fields,
            objects: Mutex::default(),
        }
    }

    /// Brings the object's status up to what `wanted` makes of the one before, and tells the notes that are due.
    ///
    /// Returns when to call [`flush`](Self::flush); `None` when the object says what it should.
    pub(super) async fn write(
        &self,
        object: &Identity,
        now: Timestamp,
        wanted: impl FnOnce(&Value) -> (Value, Notes),
    ) -> Option<Duration> {
        let (mut record, mut announcer) = self
            .objects()
            .remove(&object.uid)
            .unwrap_or_else(|| (StatusRecord::new(self.ours(object)), Announcer::default()));
        let (wanted, notes) = wanted(&record.wanted.value());
        record.wanted = wanted.into();
        for note in announcer.due(notes, now) {
            self.announce(object, &note, now).await;
        }
        self.send(object, record, announcer).await
    }

    /// Writes what was held back or could not be written. Returns when to call it again.
    pub(super) async fn flush(&self, object: &Identity) -> Option<Duration> {
        let (record, announcer) = self.objects().remove(&object.uid)?;
        self.send(object, record, announcer).await
    }

    /// Makes an Event about the object.
    pub(super) async fn announce(&self, object: &Identity, note: &Note, now: Timestamp) {
        let regarding = Regarding {
            api_version: &format!("{}/v1alpha1", group(object.api)),
            kind: self.kind,
            id: &object.id,
            uid: &object.uid,
        };
        announce(&self.cluster, &self.instance, &regarding, note, now).await;
    }

    /// Writes `status.lastRefusal` and nothing else: whichever replica refused the request. A call that fails is not repeated.
    pub(super) async fn write_refusal(&self, object: &Identity, refusal: &LastRefusal) {
        let change = json!({ "lastRefusal": refusal.to_json() });
        match self.send_change(object, change).await {
            Ok(answer) if answer.is_success() || answer.status == 404 => {}
            Ok(answer) => debug!(object = %object.id, "lastRefusal: {}", answer.words()),
            Err(error) => debug!(object = %object.id, "lastRefusal: {}", error.detail),
        }
    }

    /// Drops what is kept of an object, by its UID: it is gone, or another process writes its status now.
    pub(super) fn forget(&self, uid: &str) {
        self.objects().remove(uid);
    }

    async fn send(
        &self,
        object: &Identity,
        mut record: StatusRecord,
        announcer: Announcer,
    ) -> Option<Duration> {
        let again = match record.next(&self.ours(object), now()) {
            NextWrite::Nothing => None,
            NextWrite::Later(pause) => Some(pause),
            NextWrite::Now(change) => Some(self.patch(object, &mut record, change).await?),
        };
        self.objects()
            .insert(object.uid.clone(), (record, announcer));
        again
    }

    /// When to look again; `None` when the object is gone.
    async fn patch(
        &self,
        object: &Identity,
        record: &mut StatusRecord,
        change: Value,
    ) -> Option<Duration> {
        let (kind, id) = (self.kind, &object.id);
        let failure = match self.send_change(object, change).await {
            Ok(answer) if answer.is_success() => {
                let answered = answer.json::<Value>().ok();
                let answered =
                    answered.map(|answered| self.ours_of(object.api, &answered["status"]));
                let answered = answered.unwrap_or_else(|| record.wanted.value());
                return Some(record.written(&answered, now()));
            }
            Ok(answer) if answer.status == 404 => return None,
            Ok(answer) => answer.words(),
            // Many have something to say at this moment.
            Err(error) if error.is_unsent => return Some(PACE),
            Err(error) => error.detail,
        };
        let (pause, is_first) = record.failed();
        if is_first {
            warn!(object = %id, "cannot write the status of {kind} {id}: {failure}");
        }
        Some(pause)
    }

    /// Patches the status of this very object, and not of one that came after it.
    async fn send_change(&self, object: &Identity, change: Value) -> Result<Answer, NoAnswer> {
        let id = &object.id;
        let path = format!(
            "/apis/{}/v1alpha1/namespaces/{}/{}s/{}/status",
            group(object.api),
            id.namespace,
            self.kind.to_lowercase(),
            id.name,
        );
        let mut body = json!({"metadata": {"uid": object.uid}});
        body["status"] = change;
        let call = Call::merge_patch(path, body).from_sending();
        self.cluster.send(call).await
    }

    fn ours(&self, object: &Identity) -> Value {
        self.ours_of(object.api, &object.status.value())
    }

    /// The part of a status that is ours to write.
    fn ours_of(&self, api: Api, status: &Value) -> Value {
        Value::Object(status::part(status, (self.fields)(api)))
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<String, (StatusRecord, Announcer)>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for StatusWriter {
    fn report<'a>(
        &'a self,
        object: &'a Identity,
        report: Report,
    ) -> BoxFuture<'a, Option<Duration>> {
        let now = report.now;
        let wanted = move |before: &Value| {
            let wanted = status::wanted(object.api, before, &report);
            let notes = status::notes(before, &wanted, &report);
            (wanted, notes)
        };
        Box::pin(self.write(object, now, wanted))
    }

    fn flush<'a>(&'a self, object: &'a Identity) -> BoxFuture<'a, Option<Duration>> {
        Box::pin(StatusWriter::flush(self, object))
    }

    fn forget(&self, object: &Identity) {
        StatusWriter::forget(self, &object.uid);
    }
}

fn group(api: Api) -> &'static str {
    match api {
        Api::Slipway => "slipway.dev",
        Api::Keda => "keda.sh",
    }
}

/// By the runtime's clock.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
