//! The loop: objects → turns → reports.
//!
//! Every object has a task of its own (`workers`), so that a broken or slow one
//! disturbs no other. Changes of objects, finished Jobs and timers start turns;
//! what a turn saw and did goes to a [`Reporter`]. Only the leader takes turns;
//! the other replicas know the objects and stand by. Where objects come from
//! (`watch`, files) and what Jobs are (`launch`) are left to others.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::workers::{ObjectTask, Reconciler, Workers};
use crate::controller::lead::Lead;
use crate::controller::status::{Observed, Report, TemplateVerdict};
use crate::history::{HistoryFact, HistoryRecord, ObjectStanding, SharedHistory, Subject};
use crate::launch::Launcher;
use crate::lookup::Lookup;
use crate::resource::{Api, Fault, KeptJson, ObjectId, ScaledJob};
use crate::source::Connect;

pub mod admission;
pub(crate) mod announce;
pub mod cleanup;
mod event_job;
pub mod event_jobs;
pub mod lead;
pub mod lease;
pub mod metrics;
pub mod object;
mod proof;
pub mod recording;
mod requeue;
mod schedule_progress;
pub mod scheduling;
pub mod status;
pub mod status_writer;
pub mod watch;
mod workers;

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
    /// An object is being deleted: nothing is done for it any more. It is removed later.
    Deleting {
        /// Namespace and name.
        id: ObjectId,
        /// Which API it came through.
        api: Api,
    },
    /// Every object that this namespace had at the start has been read; `None`: that all namespaces had.
    Listed(Option<String>),
    /// Every object there was at the start has been read. Comes once.
    Synced,
    /// Something that triggers refer to changed in a namespace; `None`: something of the whole cluster.
    ReferencesChanged(Option<String>),
    /// A Job of the object of this name finished or went away.
    JobFinished(ObjectId),
}

/// Changes that may wait for the loop, each with a whole object. A slower loop slows the watches down, and loses nothing.
pub const WAITING_CHANGES: usize = 64;

/// Takes what a turn saw and did to where its user looks.
pub trait Reporter: Send + Sync {
    /// Takes note of a report on the object it is about; [`flush`](Self::flush) shows it.
    fn report(&self, object: &Identity, report: Report);

    /// Shows what is new, was held back, or could not be shown. Must not fail the turn: what cannot be shown is logged.
    ///
    /// Returns after which time to call it again; `None` when nothing is left to show.
    fn flush<'a>(&'a self, _object: &'a Identity) -> BoxFuture<'a, Option<Duration>> {
        Box::pin(std::future::ready(None))
    }

    /// The object is gone, or another process reports on it: drops what is kept for it.
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
    pub status: KeptJson,
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
pub struct TurnPorts {
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
    /// Where each turn is written down with what it was decided from.
    pub history: Arc<SharedHistory>,
    /// The wall clock, for what users see, and for the age of Jobs.
    pub clock: fn() -> jiff::Timestamp,
    /// How long a create may be under way: no Job is removed for the history limits before it is so old.
    pub latest_create: Duration,
}

/// Runs a turn for every object whenever one is due, until `stop` or the end of `changes`.
///
/// Nothing here waits for a call: that is done in the tasks of objects. Turns under way when `stop` comes are
/// finished first.
pub async fn run(shared: TurnPorts, mut changes: mpsc::Receiver<Change>, stop: CancellationToken) {
    let (lookup, metrics) = (Arc::clone(&shared.lookup), shared.metrics.clone());
    let mut workers = Workers::new(shared, metrics.panics());
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => break,
            () = workers.ended() => continue,
            change = changes.recv() => match change {
                Some(change) => change,
                None => break,
            },
        };
        match change {
            Change::Applied(value) => workers.apply(desired(&value)),
            // A controller stops at the deletionTimestamp: what it made later would keep the object from going.
            Change::Deleting { id, api } => workers.remove(&(id, api), true),
            Change::Removed { id, api } => workers.remove(&(id, api), false),
            Change::ReferencesChanged(namespace) => {
                lookup.forget(namespace.as_deref());
                let is_concerned =
                    |id: &ObjectId| namespace.iter().all(|name| *id.namespace == **name);
                workers.wake(is_concerned);
            }
            Change::JobFinished(id) => {
                for api in [Api::Slipway, Api::Keda] {
                    workers.jobs_changed(&(id.clone(), api));
                }
            }
            Change::Listed(_) => {}
            Change::Synced => metrics.synced(),
        }
    }
    workers.drain().await;
}

impl Reconciler for TurnPorts {
    type Object = Desired;

    fn identity(desired: &Desired) -> &Arc<Identity> {
        &desired.identity
    }

    fn update(current: &mut Desired, read: Desired) -> bool {
        let is_edited = !same_wish(current, &read);
        // Turns hold on to parts of the object that was read first: it is not kept twice.
        if current.scaled_job == read.scaled_job {
            current.identity = read.identity.in_place_of(&current.identity);
        } else {
            *current = read;
        }
        is_edited
    }

    fn run(self: Arc<Self>, task: ObjectTask<Desired>) -> BoxFuture<'static, ()> {
        object::run(self, task).boxed()
    }

    fn panicked<'a>(&'a self, desired: &'a Desired) -> BoxFuture<'a, ()> {
        async {
            if !self.lead.is_held() {
                return;
            }
            let Identity { id, api, .. } = &*desired.identity;
            let now = (self.clock)();
            let fact = HistoryFact::Standing(ObjectStanding::Broken);
            let subject = Subject::scaled_job(*api, id);
            self.history.record(HistoryRecord::new(subject, now, fact));
            let report = Report {
                generation: desired.identity.generation,
                now,
                observed: Observed::Broken,
                template: TemplateVerdict::Unknown,
            };
            self.reporter.report(&desired.identity, report);
            self.reporter.flush(&desired.identity).await;
        }
        .boxed()
    }

    fn forget(&self, desired: &Desired) {
        let identity = &desired.identity;
        self.metrics.forget(&identity.id, identity.api);
        self.reporter.forget(identity);
        self.launcher.forget(&identity.uid);
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
    /// The same object as it was read later: what both hold of its name is kept once.
    fn in_place_of(mut self: Arc<Self>, before: &Self) -> Arc<Self> {
        Arc::make_mut(&mut self).id = before.id.clone();
        self
    }

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
            status: value.get("status").map(KeptJson::from).unwrap_or_default(),
        }
    }
}

fn desired(value: &Value) -> Desired {
    let mut identity = Identity::of(value);
    let scaled_job = crate::resource::scaled_job::parse(value).map(Arc::new);
    if let Ok(scaled_job) = &scaled_job {
        identity.id = scaled_job.id.clone();
    }
    Desired {
        identity: Arc::new(identity),
        scaled_job,
    }
}
