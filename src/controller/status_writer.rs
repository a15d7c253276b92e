//! Writes statuses and Kubernetes Events. One writer for each kind of object.
//!
//! No decision needs them, so a failure here ends nothing: it is logged once and
//! tried again. `record` says what is written and when, `notes` what is told.
//! Each object's own task calls for it; no call waits for another object's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use self::notes::{Announcer, Notes};
pub(super) use self::record::PACE;
use self::record::{NextWrite, StatusRecord};
use crate::cluster::{Budget, Call, Cluster, Turn};
use crate::controller::announce::{LONGEST_TURN, Note, Regarding, announce};
use crate::controller::event_jobs::outcomes::LastRefusal;
use crate::controller::status::{self, Report};
use crate::controller::{Identity, Reporter, event_jobs};
use crate::resource::Api;

pub(super) mod notes;
mod patch;
mod record;

/// The kind whose status is somebody else's.
const CRON_JOB: &str = "CronJob";

/// Writes the statuses of one kind of object. A status that says nothing new costs no call.
#[derive(Debug)]
pub struct StatusWriter {
    cluster: Cluster,
    /// This process, for Events: the Pod's name.
    instance: String,
    kind: &'static str,
    /// The fields of a status that are ours to write.
    fields: fn(Api) -> &'static [&'static str],
    /// By UID: those of which there is something to remember.
    objects: Mutex<HashMap<String, Box<Told>>>,
}

/// What is remembered of one object.
#[derive(Debug, Default)]
struct Told {
    record: StatusRecord,
    announcer: Announcer,
    /// What is to be told, and since when.
    due: Vec<(Timestamp, Note)>,
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

    /// One that tells Events of CronJobs, signed as `instance`, and writes no status.
    pub fn cron_jobs(cluster: Cluster, instance: impl Into<String>) -> Self {
        Self::new(CRON_JOB, |_| &[], cluster, instance.into())
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

    /// Takes note of what the object's status should be, made of the one before, and of what there is to tell.
    /// [`flush`](Self::flush) writes and tells it.
    pub(super) fn want(
        &self,
        object: &Identity,
        now: Timestamp,
        wanted: impl FnOnce(&Value) -> (Value, Notes),
    ) {
        let mut told = self.objects().remove(&object.uid).unwrap_or_default();
        let seen = self.ours(object);
        let (wanted, notes) = wanted(&told.record.wanted(&seen));
        told.record.want(&wanted, &seen);
        let due = told.announcer.due(notes, now);
        told.due.extend(due.into_iter().map(|note| (now, note)));
        self.objects().insert(object.uid.clone(), told);
    }

    /// Writes what is new, was held back, or could not be written, and tells the notes that are due.
    ///
    /// Returns when to call it again; `None` when the object says what it should. `turn`: that of a write, if the caller
    /// has waited for it.
    pub(super) async fn flush(
        &self,
        object: &Identity,
        mut turn: Option<Turn<'_>>,
    ) -> Option<Duration> {
        let mut told = self.objects().remove(&object.uid)?;
        for (at, note) in std::mem::take(&mut told.due) {
            // Nobody holds one place while waiting for another.
            turn = None;
            Box::pin(self.announce(object, &note, at)).await;
        }
        self.send(object, told, turn).await
    }

    /// Waits for the turn of a write of this object's status; `None` when it does not come in time.
    pub(super) async fn turn(&self, object: &Identity) -> Option<Turn<'_>> {
        let path = self.path(object);
        let turn = self.cluster.turn(&Method::PATCH, &path);
        timeout(LONGEST_TURN, turn).await.ok()
    }

    /// Makes an Event about the object.
    pub(super) async fn announce(&self, object: &Identity, note: &Note, now: Timestamp) {
        let regarding = Regarding {
            api_version: &match self.kind {
                CRON_JOB => "batch/v1".to_owned(),
                _ => format!("{}/v1alpha1", group(object.api)),
            },
            kind: self.kind,
            id: &object.id,
            uid: &object.uid,
        };
        announce(&self.cluster, &self.instance, &regarding, note, now).await;
    }

    /// Writes `status.lastRefusal` and nothing else: whichever replica refused the request. A call that fails is not repeated.
    pub(super) async fn write_refusal(&self, object: &Identity, refusal: &LastRefusal) {
        let change = json!({ "lastRefusal": refusal.to_json() });
        let answer = self.cluster.send(self.change(object, change)).await;
        match answer {
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
        mut told: Box<Told>,
        mut turn: Option<Turn<'_>>,
    ) -> Option<Duration> {
        let record = &mut told.record;
        let mut next = record.next(&self.ours(object), now());
        if turn.is_none()
            && let NextWrite::Now(change) = next
        {
            // Thousands may wait: what is written is made when it is this object's turn.
            drop(change);
            turn = self.turn(object).await;
            next = record.next(&self.ours(object), now());
        }
        let again = match (next, turn) {
            (NextWrite::Nothing, _) => None,
            (NextWrite::Later(pause), _) => Some(pause),
            // Many have something to say at this moment: it is tried again.
            (NextWrite::Now(_), None) => Some(PACE),
            (NextWrite::Now(change), Some(turn)) => {
                Some(Box::pin(self.patch(turn, object, record, change)).await?)
            }
        };
        if !record.is_at_rest(now()) || !told.announcer.is_silent() {
            self.objects().insert(object.uid.clone(), told);
        }
        again
    }

    /// When to look again; `None` when the object is gone.
    async fn patch(
        &self,
        turn: Turn<'_>,
        object: &Identity,
        record: &mut StatusRecord,
        change: Value,
    ) -> Option<Duration> {
        let (kind, id) = (self.kind, &object.id);
        let failure = match turn.send(self.change(object, change)).await {
            Ok(answer) if answer.is_success() => {
                let answered = answer.json::<Value>().ok();
                let answered =
                    answered.map(|answered| self.ours_of(object.api, &answered["status"]));
                let wanted = record.wanted(&self.ours(object));
                let answered = answered.unwrap_or_else(|| wanted.clone());
                return Some(record.written(&answered, &wanted, now()));
            }
            Ok(answer) if answer.status == 404 => return None,
            Ok(answer) => answer.words(),
            Err(error) => error.detail,
        };
        let (pause, is_first) = record.failed();
        if is_first {
            warn!(object = %id, "cannot write the status of {kind} {id}: {failure}");
        }
        Some(pause)
    }

    /// A patch of the status of this very object, and not of one that came after it.
    fn change(&self, object: &Identity, change: Value) -> Call {
        let mut body = json!({"metadata": {"uid": object.uid}});
        body["status"] = change;
        Call::merge_patch(self.path(object), body)
    }

    fn path(&self, object: &Identity) -> String {
        let id = &object.id;
        format!(
            "/apis/{}/v1alpha1/namespaces/{}/{}s/{}/status",
            group(object.api),
            id.namespace,
            self.kind.to_lowercase(),
            id.name,
        )
    }

    fn ours(&self, object: &Identity) -> Value {
        self.ours_of(object.api, &object.status.value())
    }

    /// The part of a status that is ours to write.
    fn ours_of(&self, api: Api, status: &Value) -> Value {
        Value::Object(status::part(status, (self.fields)(api)))
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<String, Box<Told>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for StatusWriter {
    fn report(&self, object: &Identity, report: Report) {
        self.want(object, report.now, |before| {
            let wanted = status::wanted(object.api, before, &report);
            let notes = status::notes(before, &wanted, &report);
            (wanted, notes)
        });
    }

    fn flush<'a>(&'a self, object: &'a Identity) -> BoxFuture<'a, Option<Duration>> {
        Box::pin(StatusWriter::flush(self, object, None))
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
