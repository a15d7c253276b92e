//! Jobs of events in a cluster.
//!
//! Any replica makes them, at any time: the name decides which create wins, and
//! the ledger (`ledgers`) remembers the name when its Job is gone. `watch` keeps
//! what was last seen, `gates` changes what may run, `file` brings the event
//! into the Pod. [`Delivered::run`] drives the watches and the ledger; whoever
//! owns the tasks spawns it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join3};
use tokio::sync::Notify;

use self::file::EventFile;
use self::ledgers::Ledgers;
use self::ledgers::remembered::Remembered;
use self::leftovers::Leftovers;
use self::watch::JobsOfEvents;
use super::create::{self, CreateBackoff};
use super::delete;
use crate::cluster::{Budget, Cluster, Scope, boot};
use crate::launch::attempt::{FailedJob, RerunRequest};
use crate::launch::delivered::{Delivery, Owners};
use crate::launch::ledger::Key;
use crate::launch::ports::{
    Deliver, DeliveredJob, DeliveredJobs, Gates, Remember, Reruns, Schedules,
};
use crate::launch::schedule_record::ScheduleRecord;
use crate::launch::{self, Error, Guard, Launched};
use crate::resource::event_job::EventJob;
use crate::resource::{ObjectId, Propagation};

mod file;
mod gates;
mod ledgers;
mod leftovers;
pub mod metrics;
mod reruns;
mod schedules;
mod shards;
mod watch;
mod wire;

/// One read by name, or one dry run.
const READ: Duration = Duration::from_secs(5);
/// Makes the Jobs of events through the API server, and remembers them.
#[derive(Debug)]
pub struct Delivered {
    cluster: Cluster,
    scope: Scope,
    owners: Owners,
    /// Tells this process's claims and ledger shards from another's.
    holder: String,
    backoff: CreateBackoff,
    grace: Duration,
    jobs: Mutex<JobsOfEvents>,
    ledgers: Ledgers,
    leftovers: Leftovers,
    changed: Mutex<BTreeSet<ObjectId>>,
    changed_more: Notify,
}

impl Delivered {
    /// A launcher for some namespaces.
    ///
    /// `grace`: how long a key must have been in the ledger before its Job may go, `--ledger-grace`.
    pub fn new(cluster: Cluster, scope: Scope, owners: Owners, grace: Duration) -> Self {
        let holder = super::round::new_holder();
        Self {
            ledgers: Ledgers::new(cluster.clone().with(Budget::Ledger), &holder, grace),
            cluster: cluster.with(Budget::Events),
            scope,
            owners,
            holder,
            backoff: CreateBackoff::default(),
            grace,
            jobs: Mutex::new(JobsOfEvents::new(owners)),
            leftovers: Leftovers::default(),
            changed: Mutex::default(),
            changed_more: Notify::new(),
        }
    }

    /// Keeps what was seen, and the ledger, up to date until told to stop; what is to be remembered
    /// is written once more then.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let stop = stop.shared();
        join3(
            self.watch(stop.clone()),
            self.ledgers.run(&self.scope, stop.clone()),
            self.leftovers.run(&self.cluster, stop),
        )
        .await;
    }

    /// Shows each Job of an EventJob as the watch has it. False before the watch has shown any.
    pub fn each_seen(&self, event_job: &ObjectId, see: &mut dyn FnMut(&DeliveredJob)) -> bool {
        let jobs = self.jobs();
        let is_seen = jobs.check_synced(event_job).is_ok();
        if is_seen {
            jobs.of(event_job).for_each(|job| see(job));
        }
        is_seen
    }

    /// What tells this process's claims from another's.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    fn jobs(&self) -> MutexGuard<'_, JobsOfEvents> {
        self.jobs.lock().expect("no panic under the lock")
    }

    fn tell(&self, changed: impl IntoIterator<Item = ObjectId>) {
        let mut all = self.changed.lock().expect("no panic under the lock");
        all.extend(changed);
        drop(all);
        self.changed_more.notify_one();
    }

    async fn next_changed(&self) -> BTreeSet<ObjectId> {
        loop {
            let more = self.changed_more.notified();
            let changed =
                std::mem::take(&mut *self.changed.lock().expect("no panic under the lock"));
            if !changed.is_empty() {
                return changed;
            }
            more.await;
        }
    }

    async fn launch_once(
        &self,
        delivery: &Delivery,
        deadline: Duration,
        may: Guard,
    ) -> Result<Launched, Error> {
        if delivery.due.is_some() {
            let (cluster, launch) = (&self.cluster, &delivery.launch);
            return create::create(cluster, &self.backoff, launch, deadline, None, &may, || {})
                .await;
        }
        let started = tokio::time::Instant::now();
        let left = || deadline.saturating_sub(started.elapsed());
        let memory = self.ledgers.memory(delivery)?;
        let Some(mut file) = self.file(delivery) else {
            return match self.create(delivery, &memory, &may, left()).await? {
                Launched::Remembered => self.remembered(delivery, left()).await,
                launched => Ok(launched),
            };
        };
        if memory.remembers(left()).await? {
            return file.settle(Launched::Remembered, left()).await;
        }
        file.make(left()).await?;
        match self.create(delivery, &memory, &may, left()).await {
            Ok(launched) => file.settle(launched, left()).await,
            Err(error) => {
                if !matches!(error, Error::Unknown { .. }) {
                    file.is_in_vain();
                }
                Err(error)
            }
        }
    }

    /// The Secret of a delivery that has one.
    fn file<'a>(&'a self, delivery: &'a Delivery) -> Option<EventFile<'a>> {
        let secret = delivery.file.as_ref()?;
        let file = EventFile::new(&self.cluster, &self.leftovers, delivery, secret);
        Some(file)
    }

    /// The Job alone.
    async fn create(
        &self,
        delivery: &Delivery,
        memory: &Remembered<'_>,
        may: &Guard,
        within: Duration,
    ) -> Result<Launched, Error> {
        let may = may.clone();
        let launched = create::create(
            &self.cluster,
            &self.backoff,
            &delivery.launch,
            within,
            Some(memory),
            &memory.guard().and(move || may.may_send()),
            || {},
        )
        .await?;
        if launched == Launched::Created {
            self.ledgers.note(delivery);
        }
        Ok(launched)
    }

    /// Whether the Job of an occurrence that the ledger remembers is there still.
    async fn remembered(&self, delivery: &Delivery, within: Duration) -> Result<Launched, Error> {
        let name = &delivery.launch.id.name;
        let seen = self
            .jobs()
            .payload(&delivery.event_job, name)
            .map(str::to_owned);
        if let Some(payload) = seen {
            return Ok(Launched::AlreadyThere {
                payload_differs: payload != delivery.payload,
            });
        }
        match self.read(delivery, within).await {
            Ok(Some(launched)) => Ok(launched),
            Ok(None) | Err(Error::NameTaken { .. }) => Ok(Launched::Remembered),
            Err(error) => Err(error),
        }
    }

    /// The occurrence's Job by a consistent read.
    async fn read(&self, delivery: &Delivery, within: Duration) -> Result<Option<Launched>, Error> {
        let id = &delivery.launch.id;
        let Some(job) = wire::read(&self.cluster, id, within.min(READ)).await? else {
            return Ok(None);
        };
        if job.occurrence() != delivery.launch.occurrence {
            return Err(Error::NameTaken {
                object: format!("job {id}"),
            });
        }
        Ok(Some(Launched::AlreadyThere {
            payload_differs: job.payload() != delivery.payload,
        }))
    }

    async fn find_once(
        &self,
        delivery: &Delivery,
        deadline: Duration,
    ) -> Result<Option<Launched>, Error> {
        let started = tokio::time::Instant::now();
        let memory = self.ledgers.memory(delivery)?;
        let is_remembered = memory.remembers(deadline).await?;
        let left = || deadline.saturating_sub(started.elapsed());
        let found = if is_remembered {
            Some(self.remembered(delivery, left()).await?)
        } else {
            self.read(delivery, left()).await?
        };
        match (found, self.file(delivery)) {
            (Some(launched), Some(mut file)) => file.settle(launched, left()).await.map(Some),
            _ => Ok(found),
        }
    }

    /// A server-side dry run with strict fields.
    async fn prove_once(&self, event_job: &EventJob) -> Result<(), Error> {
        let sample = || Delivery::sample(event_job, self.grace).manifest;
        super::prove(&self.cluster, &event_job.id, sample, "Strict").await?;
        if event_job.bind.file.is_some() {
            file::prove(&self.cluster, &event_job.id).await?;
        }
        Ok(())
    }
}

impl Deliver for Delivered {
    fn prove<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<(), Error>> {
        self.prove_once(event_job).boxed()
    }

    fn find<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Option<Launched>, Error>> {
        self.find_once(delivery, deadline).boxed()
    }

    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
        may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        self.launch_once(delivery, deadline, may).boxed()
    }
}

impl DeliveredJobs for Delivered {
    fn seen(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        let jobs = self.jobs();
        jobs.check_synced(event_job)?;
        Ok(jobs.of(event_job).cloned().collect())
    }

    fn waiting(&self, event_job: &ObjectId) -> Result<usize, Error> {
        let jobs = self.jobs();
        jobs.check_synced(event_job)?;
        Ok(jobs.of(event_job).filter(|job| job.is_waiting()).count())
    }

    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>> {
        self.next_changed().boxed()
    }

    fn appeared(&self, event_job: &ObjectId) -> BoxFuture<'static, ()> {
        self.jobs().news.next(event_job)
    }
}

impl Gates for Delivered {
    fn open(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        let jobs = self.jobs();
        jobs.check_synced(event_job)?;
        Ok(jobs
            .of(event_job)
            .filter(|job| job.is_open())
            .cloned()
            .collect())
    }

    fn change<'a>(
        &'a self,
        job: &'a DeliveredJob,
        gate: launch::delivered::Gate,
    ) -> BoxFuture<'a, Result<(), Error>> {
        gates::change(&self.cluster, job, gate, &self.holder).boxed()
    }
}

impl Schedules for Delivered {
    fn busy<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<Option<String>, Error>> {
        schedules::busy(&self.cluster, event_job).boxed()
    }

    fn read<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<ScheduleRecord, Error>> {
        schedules::read(&self.cluster, event_job).boxed()
    }

    fn write<'a>(
        &'a self,
        event_job: &'a EventJob,
        record: &'a ScheduleRecord,
    ) -> BoxFuture<'a, Result<String, Error>> {
        schedules::write(&self.cluster, event_job, record).boxed()
    }
}

impl Reruns for Delivered {
    fn read<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<FailedJob, Error>> {
        reruns::read(&self.cluster, job).boxed()
    }

    fn write<'a>(
        &'a self,
        job: &'a DeliveredJob,
        version: &'a str,
        request: &'a RerunRequest,
    ) -> BoxFuture<'a, Result<String, Error>> {
        reruns::write(&self.cluster, job, version, request).boxed()
    }
}

impl Remember for Delivered {
    fn remember<'a>(&'a self, jobs: &'a [Arc<DeliveredJob>]) -> BoxFuture<'a, Result<(), Error>> {
        self.ledgers.remember(jobs).boxed()
    }

    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration> {
        let key = Key::of(&job.occurrence)?;
        let namespace = self.ledgers.of(&job.id.namespace);
        namespace.ledger().remembered_for(key, boot::now())
    }

    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>> {
        let cluster = self.cluster.clone().with(Budget::Launches);
        async move { delete(&cluster, &job.id, &job.uid, Propagation::Background).await }.boxed()
    }
}
