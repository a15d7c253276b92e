//! The port that makes the Jobs of events: the folder is what makes a name unique, the ledger what
//! remembers it when the folder is gone.
//!
//! Both are looked at while the list of Jobs is locked, right before the folder gets
//! its name, and a folder loses its name under the same lock, when its key is in the
//! ledger. So there is no moment at which an occurrence is in neither.
//!
//! The state folder belongs to one process, so what its admission loop has claimed
//! is ours whenever it was: Jobs come claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, ready};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::launch::delivered::{Delivery, GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate};
use crate::launch::event_launcher::{Deliver, DeliveredJob, DeliveredJobs, Gates, Remember};
use crate::launch::{Error, Launched, OCCURRENCE_ANNOTATION};
use crate::lookup::files::secret_data;
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;
use crate::resource::template;

use super::accept::{JOB_NAME, check_id};
use super::delivered::Delivered;
use super::entry::Entry;
use super::ledger::{self, Line};
use super::pod::uid;
use super::spec::JobSpec;
use super::store::{self, Stored};
use super::view::Fact;
use super::{Local, Shared, blocking, unavailable};

/// Who claims gates here.
const HOLDER: &str = "local";
/// Names that may be made or changed at once.
const TURNS: u64 = 64;
/// Longest wait for the disk, for calls without a deadline of their own.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes those who are about one name wait for each other; now and then two names share a turn.
pub(super) struct Turns(Vec<Arc<Mutex<()>>>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Arc::default()).collect())
    }
}

impl Turns {
    async fn take(&self, id: &ObjectId) -> OwnedMutexGuard<()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let turn = usize::try_from(hasher.finish() % TURNS).expect("it is below 64");
        Arc::clone(&self.0[turn]).lock_owned().await
    }
}

impl Local {
    /// Does something about one name, on the disk, alone. It is done to its end, even if nobody waits any more.
    async fn in_turn<T: Send + 'static>(
        &self,
        id: &ObjectId,
        deadline: Duration,
        work: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let object = || format!("Job {id}");
        let Ok(turn) = tokio::time::timeout(deadline, self.shared.turns.take(id)).await else {
            return Err(Error::Unavailable {
                object: object(),
                detail: "others are waiting for the disk".to_owned(),
            });
        };
        let shared = Arc::clone(&self.shared);
        let work = blocking("the state folder", move || {
            let _turn = turn;
            work(&shared)
        });
        let left = deadline.saturating_sub(started.elapsed());
        tokio::time::timeout(left, work).await.unwrap_or_else(|_| {
            Err(Error::Unknown {
                object: object(),
                detail: "the disk has not answered in time".to_owned(),
            })
        })
    }
}

impl Local {
    /// Who claims gates here.
    pub fn holder(&self) -> &'static str {
        HOLDER
    }

    /// How long a key must have been in the ledger before its Job may go.
    pub fn grace(&self) -> Duration {
        self.shared.settings.ledger_grace
    }
}

impl Deliver for Local {
    fn prove<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<(), Error>> {
        let sample = Delivery::sample(event_job, self.shared.settings.ledger_grace);
        let opinion = template::check(&sample.manifest["spec"], "spec", template::Of::Job);
        let fault = opinion.faults.into_iter().next();
        let fault = fault.or_else(|| JobSpec::parse(&sample.manifest).err());
        Box::pin(ready(match fault {
            None => Ok(()),
            Some(mut fault) => {
                fault.field = format!("spec.jobTemplate.{}", fault.field);
                Err(Error::Rejected {
                    object: format!("a Job of EventJob {}", event_job.id),
                    detail: fault.to_string(),
                })
            }
        }))
    }

    fn find<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Option<Launched>, Error>> {
        let (id, occurrence) = (&delivery.launch.id, delivery.launch.occurrence.clone());
        let (job, payload) = (id.clone(), delivery.payload.clone());
        Box::pin(self.in_turn(id, deadline, move |shared| {
            shared.found(&shared.lock(), &job, &occurrence, &payload)
        }))
    }

    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        let order = delivery.clone();
        let id = &delivery.launch.id;
        Box::pin(self.in_turn(id, deadline, move |shared| shared.deliver(&order)))
    }
}

impl DeliveredJobs for Local {
    fn seen(&self, event_job: &ObjectId) -> Result<Vec<DeliveredJob>, Error> {
        let jobs = self.shared.lock();
        let ours = jobs.iter().filter(|(_, entry)| entry.is_of(event_job));
        Ok(ours
            .filter_map(|(id, entry)| entry.delivered_job(id))
            .collect())
    }

    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>> {
        Box::pin(async {
            loop {
                let touched = {
                    let touched = self.shared.touched.lock();
                    std::mem::take(&mut *touched.unwrap_or_else(PoisonError::into_inner))
                };
                if !touched.is_empty() {
                    return touched;
                }
                self.shared.touch.notified().await;
            }
        })
    }

    fn appeared(&self, event_job: &ObjectId) -> BoxFuture<'static, ()> {
        self.shared.news.next(event_job)
    }
}

impl Gates for Local {
    fn open(&self, event_job: &ObjectId) -> Result<Vec<DeliveredJob>, Error> {
        let mut jobs = self.seen(event_job)?;
        jobs.retain(DeliveredJob::is_open);
        Ok(jobs)
    }

    fn change<'a>(
        &'a self,
        seen: &'a DeliveredJob,
        gate: Gate,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let job = seen.clone();
        Box::pin(self.in_turn(&seen.id, PATIENCE, move |shared| {
            shared.change_gate(&job, gate)
        }))
    }
}

impl Remember for Local {
    fn remember<'a>(&'a self, jobs: &'a [DeliveredJob]) -> BoxFuture<'a, Result<(), Error>> {
        let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for job in jobs {
            let Some(key) = ledger::key(&job.occurrence) else {
                continue;
            };
            let expires_at = super::rules::later(job.created_at, job.remember_for);
            let namespace = job.id.namespace.clone();
            lines
                .entry(namespace)
                .or_default()
                .push(Line { key, expires_at });
        }
        let shared = Arc::clone(&self.shared);
        Box::pin(blocking("the ledger", move || shared.remember(&lines)))
    }

    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration> {
        let key = ledger::key(&job.occurrence)?;
        self.shared.ledger.known_for(&job.id.namespace, &key)
    }

    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>> {
        let (id, uid) = (job.id.clone(), job.uid.clone());
        Box::pin(self.in_turn(&job.id, PATIENCE, move |shared| {
            match shared.with(&id, |entry| entry.uid == uid) {
                Some(true) => shared
                    .remove(&id)
                    .map_err(|error| unavailable(&format!("Job {id}"), &error)),
                Some(false) | None => Ok(()),
            }
        }))
    }
}

impl Shared {
    /// Whether an occurrence has its Job, or had it. `jobs` is locked for as long as that has to hold.
    fn found(
        &self,
        jobs: &BTreeMap<ObjectId, Entry>,
        id: &ObjectId,
        occurrence: &str,
        payload: &str,
    ) -> Result<Option<Launched>, Error> {
        if let Some(entry) = jobs.get(id) {
            return match &entry.delivered {
                Some(delivered) if delivered.occurrence == occurrence => {
                    Ok(Some(Launched::AlreadyThere {
                        payload_differs: delivered.payload != payload,
                    }))
                }
                _ => Err(Error::NameTaken {
                    object: format!("Job {id}"),
                }),
            };
        }
        let key = ledger::key(occurrence).ok_or_else(|| Error::Rejected {
            object: format!("Job {id}"),
            detail: "its occurrence is no SHA-256 hash in hexadecimal digits".to_owned(),
        })?;
        let now = (self.settings.clock)();
        let had = self.ledger.has(&id.namespace, &key, now);
        Ok(had.then_some(Launched::Remembered))
    }

    fn deliver(&self, delivery: &Delivery) -> Result<Launched, Error> {
        let id = &delivery.launch.id;
        let occurrence = &delivery.launch.occurrence;
        let object = || format!("Job {id}");
        check_id(id, JOB_NAME)?;
        let found =
            |jobs: &BTreeMap<ObjectId, Entry>| self.found(jobs, id, occurrence, &delivery.payload);
        if let Some(found) = found(&self.lock())? {
            return Ok(found);
        }
        if self.ledger.is_full(&id.namespace) {
            return Err(Error::LedgerFull {
                namespace: id.namespace.clone(),
            });
        }
        let job = self.stamped(delivery)?;
        let file = delivery.file.as_ref().map(event_file).transpose();
        let file = file.map_err(|detail| Error::Rejected {
            object: object(),
            detail,
        })?;
        let failed = |error| unavailable(&object(), &error);
        let prepared = self.store.prepare(id, &job, file.as_deref());
        let prepared = prepared.map_err(failed)?;
        let placed = {
            let jobs = self.lock();
            if let Some(found) = found(&jobs)? {
                drop(jobs);
                std::fs::remove_dir_all(&prepared).map_err(failed)?;
                return Ok(found);
            }
            self.store.place(id, &prepared).map_err(failed)?
        };
        self.settle(id).map_err(|detail| Error::Unknown {
            object: object(),
            detail,
        })?;
        if placed {
            return Ok(Launched::Created);
        }
        // Placed by an earlier try that did not come to its end, or not by us.
        found(&self.lock())?.ok_or_else(|| Error::NameTaken { object: object() })
    }

    /// The Job as it is accepted.
    fn stamped(&self, delivery: &Delivery) -> Result<Value, Error> {
        let id = &delivery.launch.id;
        let mut job = delivery.launch.manifest.clone();
        JobSpec::parse(&job).map_err(|fault| Error::Rejected {
            object: format!("Job {id}"),
            detail: fault.to_string(),
        })?;
        let now = (self.settings.clock)();
        let hash = Sha256::digest(format!("{id}/{now}"));
        let metadata = &mut job["metadata"];
        metadata["namespace"] = json!(id.namespace);
        metadata["name"] = json!(id.name);
        metadata["uid"] = json!(uid(&hash));
        metadata["creationTimestamp"] = json!(now.to_string());
        metadata["annotations"][OCCURRENCE_ANNOTATION] = json!(delivery.launch.occurrence);
        if delivery.is_gated {
            metadata["annotations"][GATE_HOLDER_ANNOTATION] = json!(HOLDER);
        }
        Ok(job)
    }

    /// Takes a Job up whose folder has its name, when the name is on disk.
    fn settle(&self, id: &ObjectId) -> Result<(), String> {
        self.store.settle(id).map_err(|error| error.to_string())?;
        let stored: Option<Stored> = self
            .store
            .stored(id.clone())
            .map_err(|error| error.to_string())?;
        let stored = stored.ok_or("its folder has no job.json")?;
        let entry = Entry::restore(stored, &self.store.folder(id));
        let entry = entry.map_err(|error| error.to_string())?;
        // Told before anybody can start it.
        self.tell(Fact::Accepted { job: id.clone() });
        let event_job = entry.delivered.as_ref();
        let event_job = event_job.map(|delivered| delivered.event_job.clone());
        // One that is there already is being driven.
        self.lock().entry(id.clone()).or_insert(entry);
        if let Some(event_job) = event_job {
            self.news.tell(&event_job);
        }
        self.wake.notify_one();
        self.touch(id);
        self.keys.notify_one();
        Ok(())
    }

    /// Writes a gate, who holds it, and whether the Job is suspended.
    fn change_gate(&self, seen: &DeliveredJob, gate: Gate) -> Result<(), Error> {
        let id = &seen.id;
        let object = || format!("Job {id}");
        let job = self.with(id, |entry| {
            let delivered = entry.delivered.as_ref();
            let version = delivered.map(|delivered| delivered.version.to_string());
            if entry.uid != seen.uid {
                return Err(Error::Gone { object: object() });
            }
            if version.as_ref() != Some(&seen.version) || entry.finished.is_some() {
                return Err(Error::Conflict { object: object() });
            }
            Ok((*entry.job).clone())
        });
        let mut job = job.ok_or_else(|| Error::Gone { object: object() })??;
        job["metadata"]["annotations"][GATE_HOLDER_ANNOTATION] = json!(HOLDER);
        job["metadata"]["annotations"][GATE_ANNOTATION] = json!(gate.name());
        job["spec"]["suspend"] = json!(gate != Gate::Released);
        let unclear = |detail: String| Error::Unknown {
            object: object(),
            detail,
        };
        let spec = JobSpec::parse(&job).map_err(|fault| unclear(fault.to_string()))?;
        let folder = self.store.folder(id);
        store::replace(&folder.join("job.json"), &job)
            .and_then(|()| store::sync_folder(&folder))
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Error::Gone { object: object() },
                _ => unclear(error.to_string()),
            })?;
        // Nobody else changes it: its turn is ours.
        let changed = self.with(id, |entry| {
            let version = entry.delivered.as_ref().map_or(0, |before| before.version);
            entry.delivered = Delivered::parse(&job, entry.created_at);
            if let Some(delivered) = &mut entry.delivered {
                delivered.version = version + 1;
            }
            entry.job = Arc::new(job);
            entry.spec = Arc::new(spec);
            entry.poke.notify_one();
        });
        changed.ok_or_else(|| Error::Gone { object: object() })?;
        if seen.gate != Some(gate) {
            self.tell(Fact::Turned {
                job: id.clone(),
                gate,
            });
        }
        self.touch(id);
        Ok(())
    }

    pub(super) fn remember(&self, lines: &BTreeMap<String, Vec<Line>>) -> Result<(), Error> {
        let now = (self.settings.clock)();
        for (namespace, lines) in lines {
            let folder = self.store.namespace(namespace);
            self.ledger
                .add(namespace, &folder, lines, now)
                .map_err(|error| unavailable(&format!("the ledger of {namespace}"), &error))?;
        }
        Ok(())
    }
}

/// The event out of the Secret that a Pod in a cluster would mount.
fn event_file(secret: &Value) -> Result<Vec<u8>, String> {
    let data = secret_data(secret).map_err(|faults| {
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        texts.join("; ")
    })?;
    let event = data.into_values().next();
    let event = event.ok_or("its event's file is empty")?;
    Ok(event.expose_secret().as_bytes().to_vec())
}
