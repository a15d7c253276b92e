//! A Job controller on one machine: Jobs are folders, Pods are processes.
//!
//! ```text
//! launch, submit, events ─► store (the name, once) ─► drive ─► job_rules (what next) ─► pod ─► process (sh, lock, records)
//!                   └─► ledger (names of Jobs that are gone)  └─► status.json, facts for people and the controller
//! ```
//!
//! Everything can be read again from the folder: a `kill -9` at any line loses
//! nothing that was accepted, processes go on meanwhile, and the next [`Local`]
//! on the folder takes them up. It leaves to others what to launch and when, and
//! how it looks on a terminal.
//!
//! What differs from a cluster: a container whose Secret or ConfigMap is missing
//! fails instead of waiting; volumes, resources, probes and scheduling are not looked
//! at; `workingDir` counts if there is such a folder; a Pod whose processes were lost
//! together with this program, or with the machine, has the condition
//! `DisruptionTarget` and no exit code; a stopped Job's processes are stopped after
//! its name is free.
//!
//! `bind.file` is a file in the Job's folder: a process sees the files of this
//! machine, so nothing can be mounted for it. Where it lies is in the variable
//! [`EVENT_FILE_VARIABLE`](crate::launch::delivered::EVENT_FILE_VARIABLE) of every container, in place of what is declared under
//! that name: a program that reads the path from there runs here and in a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::job_rules::Stopped;
use crate::launch::Error;
use crate::launch::news::News;
use crate::lookup::Lookup;
use crate::resource::ObjectId;

use self::entry::LocalJob;
use self::events::NameLocks;
use self::ledger::LedgerFiles;
use self::requests::AskedOf;
use self::store::Store;

/// Facts that a slow listener may be behind; one that is further behind is told how many it missed.
const FACTS: usize = 4096;

/// Variables that processes inherit: what programs need to run at all. Credentials are not
/// among them: a container declares what it needs, here as in a cluster.
pub const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"];

/// What a local Job controller needs to know.
#[derive(Clone)]
pub struct LocalSettings {
    /// Pause after the first failed Pod; doubles with each, up to ten minutes. Kubernetes has 10 s.
    pub backoff_base: Duration,
    /// Containers that may run at once; Pods above it wait. A Pod with more containers than this runs alone.
    pub max_processes: NonZeroU32,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// What every process inherits, beside what its container declares: our own [`INHERITED`].
    pub environment: BTreeMap<String, OsString>,
    /// Where Secrets and ConfigMaps are.
    pub lookup: Arc<dyn Lookup>,
    /// How long the key of an event must have been in the ledger before its Job may go.
    pub ledger_grace: Duration,
    /// Forget at the start what the folder remembers: its Jobs, and the events that had one.
    pub fresh: bool,
}

/// Jobs on this machine, in one state folder.
#[derive(Clone)]
pub struct Local {
    shared: Arc<Controller>,
}

/// What a Job of the files became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Made now.
    Created,
    /// There before, as it is written.
    AlreadyThere,
    /// Finished before, as it is written, so that it does not run again. Says when and how.
    RanBefore(String),
    /// There before; what may change of it was changed.
    Updated,
}

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the state folder {} is in use by another slipway; stop it, or give another folder with --state",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be made, read or written.
    #[error("the state folder {} cannot be used", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A Job in it cannot be read, so nobody knows whether it ran.
    #[error("{} cannot be read; repair it, or remove its folder to forget the Job", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// A ledger cannot be read, so nobody knows which events had their Job.
    #[error("{} cannot be read; repair it, or remove it to forget which events had their Job", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// What all parts of this room share.
struct Controller {
    store: Store,
    settings: LocalSettings,
    jobs: Mutex<BTreeMap<ObjectId, LocalJob>>,
    /// There is a Job to drive, or one to clear away.
    wake: Notify,
    facts: broadcast::Sender<Fact>,
    permits: Arc<Semaphore>,
    turns: NameLocks,
    ledger: LedgerFiles,
    /// There is a Job whose key is not in the ledger.
    keys: Notify,
    /// EventJobs of which a Job changed, and that there is one.
    touched: Mutex<BTreeSet<ObjectId>>,
    touch: Notify,
    /// Who is told of new Jobs of EventJobs.
    news: News,
}

impl Local {
    /// Opens a state folder, made if it is not there, for this process alone, with all that it holds.
    /// Nothing runs before [`Local::run`].
    ///
    /// # Errors
    ///
    /// [`OpenError`] when another process has the folder, or it cannot be used.
    pub fn open(state: &Path, settings: LocalSettings) -> Result<Self, OpenError> {
        let store = Store::open(state)?;
        if settings.fresh {
            store.forget()?;
        }
        let mut jobs = BTreeMap::new();
        for stored in store.load()? {
            let path = store.folder(&stored.id);
            let id = stored.id.clone();
            let entry = LocalJob::restore(stored, &path).map_err(|source| OpenError::Record {
                path: path.join("job.json"),
                source,
            })?;
            jobs.insert(id, entry);
        }
        let ledger = LedgerFiles::default();
        for namespace in store.namespaces()? {
            let folder = store.namespace(&namespace);
            ledger
                .load(&namespace, &folder, (settings.clock)())
                .map_err(|source| OpenError::Ledger {
                    path: folder.join(".ledger"),
                    source,
                })?;
        }
        let permits = usize::try_from(settings.max_processes.get())
            .map_or(Semaphore::MAX_PERMITS, |permits| {
                permits.min(Semaphore::MAX_PERMITS)
            });
        Ok(Self {
            shared: Arc::new(Controller {
                store,
                settings,
                jobs: Mutex::new(jobs),
                wake: Notify::new(),
                facts: broadcast::channel(FACTS).0,
                permits: Arc::new(Semaphore::new(permits)),
                turns: NameLocks::default(),
                ledger,
                keys: Notify::new(),
                touched: Mutex::default(),
                touch: Notify::new(),
                news: News::default(),
            }),
        })
    }

    /// Runs the Jobs, until `stop`. Processes that run then are left alone, and taken up by the next run;
    /// [`Local::terminate`] ends them instead.
    ///
    /// # Panics
    ///
    /// If the task of the ledger does: that is a bug. A panic over one Job stays with that Job.
    pub async fn run(&self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut cleared = BTreeSet::new();
        tasks.spawn(keys::write(Arc::clone(&self.shared)));
        tasks.spawn(asked::follow(Arc::clone(&self.shared)));
        loop {
            for id in self.shared.undriven() {
                tasks.spawn(drive::drive(Arc::clone(&self.shared), id));
            }
            for folder in self.shared.gone() {
                if cleared.insert(folder.clone()) {
                    tasks.spawn(
                        AssertUnwindSafe(clear::clear(folder))
                            .catch_unwind()
                            .map(drop),
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.wake.notified() => {}
                Some(ended) = tasks.join_next() => ended.expect("what may panic over one Job is caught there"),
            }
        }
        tasks.shutdown().await;
        // Whoever runs them next begins with those that are not finished.
        for entry in self.shared.lock().values_mut() {
            entry.driven = false;
        }
    }

    /// Ends every process, SIGTERM first; the Pods count for nothing, and start again with the next run.
    /// To be called when [`Local::run`] has ended.
    pub async fn terminate(&self) {
        let mut live = Vec::new();
        for (id, entry) in self.shared.lock().iter_mut() {
            let started = entry
                .pods
                .iter_mut()
                .filter(|pod| pod.facts.phase.is_live() && pod.started_at.is_some());
            for pod in started {
                let folder = self.shared.pod_folder(id, &pod.facts.name);
                if pod.facts.is_active() {
                    // What had ended before counts as it ended.
                    if pod::is_over(&entry.spec.pod, &folder) {
                        continue;
                    }
                    pod.facts.stopped = Some(Stopped::Uncounted);
                }
                pod.stop.cancel();
                live.push((folder, pod.clone(), Arc::clone(&entry.spec)));
            }
        }
        let ends = live.iter().map(|(folder, pod, spec)| async move {
            drive::record(folder, pod, None);
            pod::terminate(spec, folder).await;
        });
        futures::future::join_all(ends).await;
    }

    /// Accepts a plain Job of the files. A Job without `name` is named by its `generateName` and content,
    /// so that the same file run again is the same Job.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] for a Job that cannot run here, or that has changed in a field that cannot change;
    /// [`Error::Unavailable`] when the folder cannot be written.
    pub async fn submit(&self, job: Value) -> Result<Submitted, Error> {
        let shared = Arc::clone(&self.shared);
        blocking("the state folder", move || shared.submit(&job)).await
    }

    /// Writes down which objects there are, by kind and name, each with what there is of its status, for those who only read
    /// the folder.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the folder cannot be written.
    pub fn know(&self, objects: &BTreeMap<(&'static str, ObjectId), Value>) -> Result<(), Error> {
        let objects = objects
            .iter()
            .map(|((kind, id), status)| {
                json!({"kind": kind, "namespace": *id.namespace, "name": *id.name, "status": status})
            });
        let path = self.shared.store.root().join(store::OBJECTS);
        let written = store::replace_soon(&path, &objects.collect());
        written.map_err(|error| unavailable("the state folder", &error))
    }

    /// What is written down about a ScaledJob: what its status would say.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it cannot be read.
    pub fn scaled_job(&self, id: &ObjectId) -> Result<ScaledJobRecord, Error> {
        let record = self.shared.store.scaled_job(id);
        record.map_err(|error| unavailable(&format!("the round of {id}"), &error))
    }

    /// What somebody asks for about a ScaledJob, as its annotation would say it; empty when nobody asks.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it cannot be read.
    pub fn asked_of_scaled_job(&self, id: &ObjectId) -> Result<String, Error> {
        let asked = self.shared.store.requests(AskedOf::ScaledJob, id);
        asked.map_err(|error| unavailable(&format!("what is asked of {id}"), &error))
    }

    /// What happens from now on. A listener that falls behind is told how many facts it missed.
    pub fn facts(&self) -> broadcast::Receiver<Fact> {
        self.shared.facts.subscribe()
    }

    /// Every Job, by namespace and name.
    pub fn views(&self) -> Vec<JobView> {
        let jobs = self.shared.lock();
        let view =
            |(id, entry): (&ObjectId, &LocalJob)| entry.view(id, &self.shared.store.folder(id));
        jobs.iter().map(view).collect()
    }

    /// Is there nothing left to do? Suspended Jobs have nothing to do.
    pub fn is_idle(&self) -> bool {
        self.shared.lock().values().all(LocalJob::is_idle)
    }
}

impl Controller {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectId, LocalJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, id: &ObjectId, look: impl FnOnce(&mut LocalJob) -> T) -> Option<T> {
        self.lock().get_mut(id).map(look)
    }

    fn pod_folder(&self, job: &ObjectId, pod: &str) -> PathBuf {
        self.store.folder(job).join("pods").join(pod)
    }

    fn tell(&self, fact: Fact) {
        // Nobody listening is no fault.
        drop(self.facts.send(fact));
    }

    /// Jobs that need a task: not finished, or finished with a TTL.
    fn undriven(&self) -> Vec<ObjectId> {
        let mut jobs = self.lock();
        let undriven = jobs.iter_mut().filter(|(_, entry)| {
            !entry.driven && (entry.finished.is_none() || entry.spec.rules.ttl.is_some())
        });
        undriven
            .map(|(id, entry)| {
                entry.driven = true;
                id.clone()
            })
            .collect()
    }

    fn gone(&self) -> Vec<PathBuf> {
        self.store.gone().unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "removed Jobs cannot be cleared away now"
            );
            Vec::new()
        })
    }

    /// Removes a Job: its name at once, its processes and files by [`Local::run`].
    fn remove(&self, id: &ObjectId) -> io::Result<()> {
        let mut event_job = None;
        {
            // Held over the rename: a Job of the same name may come next.
            let mut jobs = self.lock();
            if let Some(entry) = jobs.get(id)
                && self.may_go(id, entry).is_err()
            {
                return Err(io::Error::other(
                    "its key has not been in the ledger for as long as it must",
                ));
            }
            self.store.remove(id)?;
            if let Some(entry) = jobs.remove(id) {
                entry.gone.cancel();
                event_job = entry.delivered.map(|delivered| delivered.event_job);
            }
        }
        self.touch_event_job(event_job);
        self.wake.notify_one();
        self.tell(Fact::Removed { job: id.clone() });
        Ok(())
    }
}

/// Runs something that waits for the disk where waiting is allowed; it runs to its end even if nobody waits.
async fn blocking<T: Send + 'static>(
    object: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(Error::Unknown {
                object: object.to_owned(),
                detail: error.to_string(),
            })
        })
}

fn unavailable(object: &str, error: &io::Error) -> Error {
    Error::Unavailable {
        object: object.to_owned(),
        detail: error.to_string(),
    }
}

pub use self::scaled_job::ScaledJobRecord;
pub use self::spec::{CONTAINER_COMMAND_PREFIX, LOCAL_COMMAND_ANNOTATION};
pub use self::view::{Fact, JobPhase, JobView, PodEnd};

mod accept;
pub mod asked;
mod clear;
mod delivered;
mod drive;
mod entry;
mod environment;
mod events;
mod keys;
mod ledger;
mod pod;
mod process;
pub mod records;
pub mod requests;
mod reruns;
mod scaled_job;
mod spec;
mod store;
mod story;
mod view;
