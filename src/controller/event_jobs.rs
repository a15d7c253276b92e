//! The EventJobs of a cluster: a task for each, told of changes of the object and of its Jobs.
//!
//! Nothing here waits for a call, so that one EventJob, or one namespace, can be slow for itself only. What is done
//! about an EventJob stands in `event_job`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::outcomes::Outcomes;
use super::admission::Ports;
use super::event_job;
use super::lead::Lead;
use super::metrics::{JobSeries, OfObject, Panics};
use super::status_writer::StatusWriter;
use super::workers::{ObjectTask, Reconciler, Workers};
use crate::catalog::{Catalog, Listing, says_shared};
use crate::controller::{Change, Identity};
use crate::launch::delivered::Owners;
use crate::launch::ports::Deliver;
use crate::lookup::Lookup;
use crate::resource::event_job::EventJob;
use crate::resource::{Api, Fault, ObjectId, cron_job};

pub mod look;
pub mod outcomes;
pub mod status;

/// A start waits so long, after the lists are done, for EventJobs whose templates nobody can prove; and for lists of their Jobs that hang.
pub const LONGEST_START: Duration = Duration::from_secs(30);

/// The ports that EventJobs need.
#[derive(Clone)]
pub struct EventJobs {
    /// What the objects are.
    pub kind: Owners,
    /// Proves templates.
    pub launcher: Arc<dyn Deliver>,
    /// Looks after Jobs.
    pub ports: Arc<Ports>,
    /// Where events look EventJobs up.
    pub catalog: Arc<Catalog>,
    /// What became of events.
    pub outcomes: Arc<Outcomes>,
    /// Writes statuses and Events.
    pub writer: Arc<StatusWriter>,
    /// What is counted about EventJobs.
    pub series: JobSeries,
    /// Reads the Secrets that let senders in.
    pub lookup: Arc<dyn Lookup>,
    /// Where tasks that panic are counted.
    pub panics: Panics,
    /// Whether this process writes statuses and looks after Jobs.
    pub lead: Arc<dyn Lead>,
    /// Whether the EventJobs of the start are served.
    pub startup: Arc<Startup>,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

/// An EventJob as it was last read.
#[derive(Debug, Clone)]
pub(super) struct DesiredEventJob {
    pub(super) identity: Arc<Identity>,
    /// The valid object, or what is wrong with it.
    pub(super) event_job: Result<Arc<EventJob>, Vec<Fault>>,
    /// Whether it says `shared: true`, valid or not.
    pub(super) says_shared: bool,
}

/// The EventJobs that were there at the start: whether each is served, or known not to be.
#[derive(Debug, Default)]
pub struct Startup {
    state: Mutex<Start>,
}

#[derive(Debug, Default)]
struct Start {
    /// Whether each is waited for. Empty once nothing is.
    waited_for: HashMap<ObjectId, bool>,
    listed_at: Option<Instant>,
}

impl Startup {
    /// Whether nothing is left to wait for.
    ///
    /// # Errors
    ///
    /// What is waited for.
    pub fn is_done(&self) -> Result<(), &'static str> {
        let mut state = self.lock();
        let Some(listed_at) = state.listed_at else {
            return Err("the EventJobs have not all been read yet");
        };
        let waits = state
            .waited_for
            .values()
            .any(|is_waited_for| *is_waited_for);
        // One namespace whose dry runs hang must not keep a rolling update from going on.
        if waits && listed_at.elapsed() < LONGEST_START {
            return Err("the Job templates of EventJobs are being proved");
        }
        state.waited_for = HashMap::new();
        Ok(())
    }

    /// An EventJob was read. Those that are read after the lists are not waited for.
    fn read(&self, event_job: &ObjectId) {
        let mut state = self.lock();
        if state.listed_at.is_none() {
            state.waited_for.entry(event_job.clone()).or_insert(true);
        }
    }

    /// An EventJob is served, or known not to be.
    pub(super) fn known(&self, event_job: &ObjectId) {
        if let Some(is_waited_for) = self.lock().waited_for.get_mut(event_job) {
            *is_waited_for = false;
        }
    }

    fn listed(&self) {
        self.lock().listed_at.get_or_insert_with(Instant::now);
    }

    fn lock(&self) -> MutexGuard<'_, Start> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after EventJobs until `stop`, or the end of `changes`.
pub async fn run(
    event_jobs: EventJobs,
    mut changes: mpsc::Receiver<Change>,
    stop: CancellationToken,
) {
    let jobs = Arc::clone(&event_jobs.ports.jobs);
    let catalog = Arc::clone(&event_jobs.catalog);
    let startup = Arc::clone(&event_jobs.startup);
    let (kind, panics) = (event_jobs.kind, event_jobs.panics.clone());
    let mut workers = Workers::new(event_jobs, panics);
    // Kept over the turns of this loop: nothing that it heard is lost with it.
    let mut jobs_changed = jobs.changed();
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => break,
            () = workers.ended() => continue,
            ids = &mut jobs_changed => {
                for id in ids {
                    workers.jobs_changed(&(id, Api::Slipway));
                }
                jobs_changed = jobs.changed();
                continue;
            }
            change = changes.recv() => match change {
                Some(change) => change,
                None => break,
            },
        };
        match change {
            Change::Applied(value) => {
                let mut identity = Identity::of(&value);
                let event_job = match kind {
                    Owners::EventJobs => crate::resource::event_job::parse(&value),
                    Owners::CronJobs => cron_job::in_place(&value),
                };
                let event_job = event_job.map(Arc::new);
                if let Ok(event_job) = &event_job {
                    identity.id = event_job.id.clone();
                }
                startup.read(&identity.id);
                workers.apply(DesiredEventJob {
                    identity: Arc::new(identity),
                    event_job,
                    says_shared: says_shared(&value),
                });
            }
            Change::Deleting { id, api } => workers.remove(&(id, api), true),
            Change::Removed { id, api } => workers.remove(&(id, api), false),
            Change::Listed(namespace) => catalog.complete(namespace.as_deref()),
            Change::Synced => startup.listed(),
            Change::ReferencesChanged(_) | Change::JobFinished(_) => {}
        }
    }
    workers.drain().await;
}

impl Reconciler for EventJobs {
    type Object = DesiredEventJob;

    fn identity(desired: &DesiredEventJob) -> &Arc<Identity> {
        &desired.identity
    }

    fn update(current: &mut DesiredEventJob, read: DesiredEventJob) -> bool {
        let is_edited =
            current.event_job != read.event_job || current.says_shared != read.says_shared;
        if is_edited {
            *current = read;
        } else {
            // Events have found the object that was read first: it is not kept twice.
            current.identity = read.identity.in_place_of(&current.identity);
        }
        is_edited
    }

    fn run(self: Arc<Self>, task: ObjectTask<DesiredEventJob>) -> BoxFuture<'static, ()> {
        event_job::run(self, task).boxed()
    }

    fn panicked<'a>(&'a self, desired: &'a DesiredEventJob) -> BoxFuture<'a, ()> {
        event_job::panicked(self, desired).boxed()
    }

    fn forget(&self, desired: &DesiredEventJob) {
        let id = &desired.identity.id;
        self.outcomes.forget(id);
        self.series.forget(&OfObject::of(id, self.kind.kind()));
        self.writer.forget(&desired.identity.uid);
    }

    fn is_left(&self, id: &ObjectId, is_deleting: bool) {
        self.startup.known(id);
        if is_deleting {
            self.catalog.set(id.clone(), Listing::Deleting);
        } else {
            self.catalog.remove(id);
        }
    }
}

#[cfg(test)]
mod tests;
