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
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::launch::delivered::{Delivery, GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate};
use crate::launch::ledger::{Entry, Key};
use crate::launch::ports::{Deliver, DeliveredJob, DeliveredJobs, Gates, Remember, Schedules};
use crate::launch::schedule_record::ScheduleRecord;
use crate::launch::{Error, Guard, Launched, OCCURRENCE_ANNOTATION};
use crate::lookup::files::secret_data;
use crate::resource::event_job::EventJob;
use crate::resource::names::NameRule;
use crate::resource::requests::{self, JobRequest};
use crate::resource::template;
use crate::resource::{Fault, ObjectId};

use super::accept::check_id;
use super::delivered::EventOfJob;
use super::entry::LocalJob;
use super::requests::AskedOf;
use super::spec::JobSpec;
use super::store;
use super::view::Fact;
use super::{Controller, Local, blocking, unavailable};

/// Who claims gates here.
pub(super) const HOLDER: &str = "local";
/// Names that may be made or changed at once.
const TURNS: u64 = 64;
/// Longest wait for the disk, for calls without a deadline of their own.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Makes those who are about one name wait for each other; now and then two names share a turn.
pub(super) struct NameLocks(Vec<Arc<Mutex<()>>>);

impl Default for NameLocks {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Arc::default()).collect())
    }
}

impl NameLocks {
    pub(super) async fn take(&self, id: &ObjectId) -> OwnedMutexGuard<()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let turn = usize::try_from(hasher.finish() % TURNS).expect("it is below 64");
        Arc::clone(&self.0[turn]).lock_owned().await
    }
}

impl Local {
    /// Does something about one name, on the disk, alone. It is done to its end, even if nobody waits any more.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        id: &ObjectId,
        deadline: Duration,
        work: impl FnOnce(&Controller) -> Result<T, Error> + Send + 'static,
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
        // The state folder is this process's alone.
        _may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        let order = delivery.clone();
        let id = &delivery.launch.id;
        Box::pin(self.in_turn(id, deadline, move |shared| shared.deliver(&order)))
    }
}

impl DeliveredJobs for Local {
    fn seen(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        let jobs = self.shared.lock();
        let ours = jobs.iter().filter(|(_, entry)| entry.is_of(event_job));
        Ok(ours
            .filter_map(|(id, entry)| entry.delivered_job(id).map(Arc::new))
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
    fn open(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        let mut jobs = self.seen(event_job)?;
        jobs.retain(|job| job.is_open());
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

impl Schedules for Local {
    fn requests(&self, event_job: &EventJob) -> Result<Vec<JobRequest>, String> {
        let text = self.shared.store.requests(AskedOf::Schedule, &event_job.id);
        match text.map_err(|error| error.to_string())?.as_str() {
            "" => Ok(Vec::new()),
            text => requests::parse(text),
        }
    }

    fn read<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<ScheduleRecord, Error>> {
        let shared = Arc::clone(&self.shared);
        let id = event_job.id.clone();
        Box::pin(blocking("the state folder", move || {
            let object = format!("the schedule of {id}");
            let status = shared.store.schedule(&id);
            let status = status.map_err(|error| unavailable(&object, &error))?;
            ScheduleRecord::parse(&object, "", &status)
        }))
    }

    /// The state folder belongs to one process: nobody else has written.
    fn write<'a>(
        &'a self,
        event_job: &'a EventJob,
        record: &'a ScheduleRecord,
    ) -> BoxFuture<'a, Result<String, Error>> {
        let shared = Arc::clone(&self.shared);
        let id = event_job.id.clone();
        let status = Value::Object(record.to_status());
        Box::pin(blocking("the state folder", move || {
            let object = format!("the schedule of {id}");
            let written = shared.store.write_schedule(&id, &status);
            written.map_err(|error| unavailable(&object, &error))?;
            Ok(String::new())
        }))
    }
}

impl Remember for Local {
    fn remember<'a>(&'a self, jobs: &'a [Arc<DeliveredJob>]) -> BoxFuture<'a, Result<(), Error>> {
        let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let not_before = self.shared.not_before();
        for job in jobs {
            let namespace = entries.entry(job.id.namespace.to_string()).or_default();
            let (made, keep) = (job.created_at, job.remember_for);
            namespace.extend(Entry::new(&job.occurrence, made, keep, not_before));
        }
        let shared = Arc::clone(&self.shared);
        Box::pin(blocking("the ledger", move || shared.remember(&entries)))
    }

    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration> {
        let key = Key::of(&job.occurrence)?;
        self.shared.ledger.known_for(&job.id.namespace, key)
    }

    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>> {
        let (id, uid) = (job.id.clone(), job.uid.clone());
        Box::pin(self.in_turn(&job.id, PATIENCE, move |shared| {
            shared.remove_same(&id, &uid)
        }))
    }
}

impl Controller {
    /// Whether an occurrence has its Job, or had it. `jobs` is locked for as long as that has to hold.
    fn found(
        &self,
        jobs: &BTreeMap<ObjectId, LocalJob>,
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
        let key = Key::of(occurrence).ok_or_else(|| Error::Rejected {
            object: format!("Job {id}"),
            detail: "its occurrence is no SHA-256 hash in hexadecimal digits".to_owned(),
        })?;
        let now = (self.settings.clock)();
        let had = self.ledger.has(&id.namespace, key, now);
        Ok(had.then_some(Launched::Remembered))
    }

    fn deliver(&self, delivery: &Delivery) -> Result<Launched, Error> {
        let id = &delivery.launch.id;
        let occurrence = &delivery.launch.occurrence;
        let object = || format!("Job {id}");
        check_id(id, NameRule::Job)?;
        let found = |jobs: &BTreeMap<ObjectId, LocalJob>| {
            self.found(jobs, id, occurrence, &delivery.payload)
        };
        if let Some(found) = found(&self.lock())? {
            return Ok(found);
        }
        if self.ledger.is_full(&id.namespace) {
            return Err(Error::LedgerFull {
                namespace: id.namespace.to_string(),
            });
        }
        let mut job = self.stamped(id, delivery.launch.manifest.clone())?;
        let annotations = &mut job["metadata"]["annotations"];
        annotations[OCCURRENCE_ANNOTATION] = json!(occurrence);
        if delivery.is_gated {
            annotations[GATE_HOLDER_ANNOTATION] = json!(HOLDER);
        }
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
        self.settle(id)?;
        if placed {
            return Ok(Launched::Created);
        }
        // Placed by an earlier try that did not come to its end, or not by us.
        found(&self.lock())?.ok_or_else(|| Error::NameTaken { object: object() })
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
        self.rewrite(id, job)?;
        if seen.gate != Some(gate) {
            self.tell(Fact::Turned {
                job: id.clone(),
                gate,
            });
        }
        self.touch(id);
        Ok(())
    }

    /// Writes a Job of an event that was changed. Its turn is the caller's, so nobody else changes it.
    pub(super) fn rewrite(&self, id: &ObjectId, job: Value) -> Result<(), Error> {
        let object = || format!("Job {id}");
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
        let changed = self.with(id, |entry| {
            let version = entry.delivered.as_ref().map_or(0, |before| before.version);
            entry.delivered = EventOfJob::parse(&job, entry.created_at);
            if let Some(delivered) = &mut entry.delivered {
                delivered.version = version + 1;
            }
            entry.job = Arc::new(job);
            entry.spec = Arc::new(spec);
            entry.poke.notify_one();
        });
        changed.ok_or_else(|| Error::Gone { object: object() })
    }

    pub(super) fn remember(&self, entries: &BTreeMap<String, Vec<Entry>>) -> Result<(), Error> {
        let now = (self.settings.clock)();
        for (namespace, entries) in entries {
            let folder = self.store.namespace(namespace);
            self.ledger
                .add(namespace, &folder, entries, now)
                .map_err(|error| unavailable(&format!("the ledger of {namespace}"), &error))?;
        }
        Ok(())
    }
}

/// The event out of the Secret that a Pod in a cluster would mount.
fn event_file(secret: &Value) -> Result<Vec<u8>, String> {
    let data = secret_data(secret).map_err(|faults| Fault::list(&faults))?;
    let event = data.into_values().next();
    let event = event.ok_or("its event's file is empty")?;
    Ok(event.expose_secret().as_bytes().to_vec())
}
