//! The loop: objects → turns → reports.
//!
//! Every object has a task of its own, so that a broken or slow one disturbs no
//! other. Changes of objects, finished Jobs and timers start turns; what a turn
//! saw and did goes to a [`Reporter`]. Only who leads takes turns; the others
//! know the objects and stand by. Where objects come from (`watch`, files) and
//! what Jobs are (`launch`) are left to others.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch as latest};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

use crate::controller::lead::Lead;
use crate::controller::status::Report;
use crate::launch::Launcher;
use crate::lookup::Lookup;
use crate::resource::{Api, Fault, ObjectId, ScaledJob};
use crate::source::Connect;

pub mod admission;
mod announce;
pub mod cleanup;
pub mod event_jobs;
pub mod lead;
pub mod lease;
pub mod metrics;
pub mod object;
mod report;
pub mod status;
pub mod watch;

/// What happened to the objects that are ours to act on.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An object was read, for the first time or anew: the whole object.
    Applied(Value),
    /// An object is gone, or not ours any more.
    Removed {
        /// Namespace and name.
        id: ObjectId,
        /// Which API it came through.
        api: Api,
    },
    /// Every object there was at the start has been read, or refused with a line in the log. Comes once.
    Synced,
    /// Something that triggers refer to changed in a namespace; `None`: something of the whole cluster.
    ReferencesChanged(Option<String>),
    /// A Job of the object of this name finished or went away.
    JobFinished(ObjectId),
}

/// Changes that may wait for the loop. A page of a list fits; a slower loop slows the watches down, and loses nothing.
pub const WAITING_CHANGES: usize = 512;

/// Takes what a turn saw and did to where its user looks.
pub trait Reporter: Send + Sync {
    /// Shows a report on the object it is about. Must not fail the turn: what cannot be shown is logged.
    fn report<'a>(&'a self, object: &'a Identity, report: Report) -> BoxFuture<'a, ()>;

    /// The object is gone: drops what is kept for it.
    fn forget(&self, object: &Identity);
}

/// Which object a report is about, valid or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Namespace and name.
    pub id: ObjectId,
    /// Which API it came through.
    pub api: Api,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `status` as last read, `null` when there is none.
    pub status: Value,
}

/// What somebody asked for, as the object's task sees it.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Whose it is.
    pub identity: Arc<Identity>,
    /// The valid object, or what is wrong with it.
    pub scaled_job: Result<Arc<ScaledJob>, Vec<Fault>>,
}

/// The ports and numbers that every object's task shares.
#[derive(Clone)]
pub struct Shared {
    /// Whether turns are ours to take.
    pub lead: Arc<dyn Lead>,
    /// Makes Jobs.
    pub launcher: Arc<dyn Launcher>,
    /// Connects to sources.
    pub sources: Arc<dyn Connect>,
    /// Reads what triggers refer to.
    pub lookup: Arc<dyn Lookup>,
    /// Where outcomes are shown.
    pub reporter: Arc<dyn Reporter>,
    /// What is counted about turns.
    pub metrics: metrics::Metrics,
    /// The wall clock, for what users see.
    pub clock: fn() -> jiff::Timestamp,
}

/// Runs a turn for every object whenever one is due, until `stop` or the end of `changes`.
///
/// Turns under way when `stop` comes are finished first.
///
/// # Errors
///
/// A message when an object's task panicked: a bug, after which nothing here can be trusted.
pub async fn run(
    shared: Shared,
    mut changes: mpsc::Receiver<Change>,
    stop: CancellationToken,
) -> Result<(), String> {
    let lead = Arc::clone(&shared.lead);
    let mut leads = lead.is_held();
    let mut lead_changed = lead.changed(leads);
    let mut objects = Objects {
        shared,
        stop: stop.clone(),
        tasks: JoinSet::new(),
        handles: HashMap::new(),
    };
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = objects.tasks.join_next() => {
                objects.ended(ended)?;
                continue;
            }
            () = &mut lead_changed => {
                leads = !leads;
                lead_changed = lead.changed(leads);
                objects.wake(|_| true);
                continue;
            }
            change = changes.recv() => match change {
                Some(change) => change,
                None => break,
            },
        };
        objects.take(change);
    }
    objects.drain().await
}

/// Which object: two of one name may come through two APIs.
type Key = (ObjectId, Api);

/// Every object that is ours, with its task.
struct Objects {
    shared: Shared,
    stop: CancellationToken,
    tasks: JoinSet<Key>,
    handles: HashMap<Key, Handle>,
}

/// How the loop reaches an object's task.
struct Handle {
    desired: latest::Sender<Desired>,
    job_finished: Arc<Notify>,
    removed: CancellationToken,
    /// Another object of the same name, to begin when this one's last turn has ended.
    successor: Option<Desired>,
}

impl Objects {
    fn take(&mut self, change: Change) {
        match change {
            Change::Applied(value) => self.apply(desired(&value)),
            Change::Removed { id, api } => {
                if let Some(handle) = self.handles.get_mut(&(id, api)) {
                    handle.removed.cancel();
                    handle.successor = None;
                }
            }
            Change::ReferencesChanged(namespace) => {
                self.shared.lookup.forget(namespace.as_deref());
                self.wake(|id| {
                    namespace
                        .as_ref()
                        .is_none_or(|namespace| id.namespace == *namespace)
                });
            }
            Change::JobFinished(id) => {
                for api in [Api::Slipway, Api::Keda] {
                    if let Some(handle) = self.handles.get(&(id.clone(), api)) {
                        handle.job_finished.notify_one();
                    }
                }
            }
            Change::Synced => self.shared.metrics.synced(),
        }
    }

    /// Starts turns of these objects, as if they had been edited.
    fn wake(&self, is_concerned: impl Fn(&ObjectId) -> bool) {
        for ((id, _), handle) in &self.handles {
            if is_concerned(id) {
                handle.desired.send_modify(|_| ());
            }
        }
    }

    fn apply(&mut self, desired: Desired) {
        let key = (desired.identity.id.clone(), desired.identity.api);
        let Some(handle) = self.handles.get_mut(&key) else {
            self.begin(key, desired);
            return;
        };
        // Deleted and made again, whether the deletion was seen or not: nothing of the old one holds for it.
        let is_another = handle.desired.borrow().identity.uid != desired.identity.uid;
        if is_another || handle.removed.is_cancelled() {
            handle.removed.cancel();
            handle.successor = Some(desired);
            return;
        }
        // Our own status writes come back as changes; only what a person wrote starts a turn.
        handle.desired.send_if_modified(|current| {
            let edited = !same_wish(current, &desired);
            *current = desired;
            edited
        });
    }

    fn begin(&mut self, key: Key, desired: Desired) {
        let removed = CancellationToken::new();
        let job_finished = Arc::new(Notify::new());
        let span = info_span!(
            "object",
            object.namespace = key.0.namespace,
            object.name = key.0.name
        );
        let (sender, receiver) = latest::channel(desired);
        let task = object::run(
            self.shared.clone(),
            receiver,
            Arc::clone(&job_finished),
            removed.clone(),
            self.stop.clone(),
        );
        let handle = Handle {
            desired: sender,
            job_finished,
            removed,
            successor: None,
        };
        self.handles.insert(key.clone(), handle);
        let task = async move {
            task.await;
            key
        };
        self.tasks.spawn(task.instrument(span));
    }

    /// An object's task ended: nothing is left of it, and another of its name may begin.
    fn ended(&mut self, ended: Result<Key, JoinError>) -> Result<(), String> {
        let key =
            ended.map_err(|error| format!("the task of an object ended unexpectedly: {error}"))?;
        let successor = self
            .handles
            .remove(&key)
            .and_then(|handle| handle.successor);
        if let Some(desired) = successor {
            self.begin(key, desired);
        }
        Ok(())
    }

    /// Waits for the turns under way.
    async fn drain(mut self) -> Result<(), String> {
        self.handles.clear();
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended)?;
        }
        Ok(())
    }
}

/// Whether two readings of an object ask for the same.
fn same_wish(left: &Desired, right: &Desired) -> bool {
    match (&left.scaled_job, &right.scaled_job) {
        (Ok(left), Ok(right)) => left.asks_the_same(right),
        (Err(left), Err(right)) => left == right,
        _ => false,
    }
}

impl Identity {
    /// Whose object this is, valid or not.
    pub(crate) fn of(value: &Value) -> Self {
        let text = |path: &str| {
            value
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let namespace = match text("/metadata/namespace") {
            namespace if namespace.is_empty() => "default".to_owned(),
            namespace => namespace,
        };
        let api = if text("/apiVersion").starts_with("keda.sh/") {
            Api::Keda
        } else {
            Api::Slipway
        };
        Self {
            id: ObjectId::new(namespace, text("/metadata/name")),
            api,
            uid: text("/metadata/uid"),
            generation: value
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            status: value.get("status").cloned().unwrap_or_default(),
        }
    }
}

fn desired(value: &Value) -> Desired {
    Desired {
        identity: Arc::new(Identity::of(value)),
        scaled_job: crate::resource::scaled_job::parse(value).map(Arc::new),
    }
}
