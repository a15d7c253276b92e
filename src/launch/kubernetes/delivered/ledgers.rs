//! The ledgers of the namespaces: read consistently, written in batches.
//!
//! What a ledger is and when its copy may be trusted is `launch::ledger`'s; here are
//! the calls. One read or write of a namespace at a time: whoever comes while one
//! is under way takes what it brought.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::{BoxFuture, Either, join_all, select};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, timeout};
use tracing::{info, warn};

use super::super::create::Memory;
use super::shards;
use crate::cluster::{Cluster, boot};
use crate::launch::Error;
use crate::launch::delivered::Delivery;
use crate::launch::event_launcher::DeliveredJob;
use crate::launch::ledger::{Entry, FRESH_FOR, Key, Ledger};
use crate::launch::once::Saw;

/// Writes of a namespace are this far apart; so are the looks at what is to be done.
const BEAT: Duration = Duration::from_secs(1);
/// A copy in use is read again when it is this old, long before deliveries would have to wait for it.
const READ_AGAIN: Duration = Duration::from_secs(25);
/// A namespace without events for this long is not read again until the next one comes.
const IN_USE: Duration = Duration::from_mins(5);
/// Keys that may wait to be written. Beyond them, or after [`LONGEST_WAIT`], nothing new is launched.
const MOST_WAITING: usize = 50_000;
/// How long a key may wait to be written: a fraction of the shortest grace that makes sense.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Shards of a namespace that are read at once.
const READS_AT_ONCE: usize = 8;
/// How long whoever wants keys written waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// The ledgers, by namespace.
#[derive(Debug)]
pub(super) struct Ledgers {
    cluster: Cluster,
    holder: String,
    grace: Duration,
    namespaces: Mutex<HashMap<String, Arc<Namespace>>>,
}

/// One namespace's ledger.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
    ledger: Mutex<Ledger>,
    waiting: Mutex<Waiting>,
    /// Held while shards are read or written.
    calls: tokio::sync::Mutex<()>,
    /// Told after each write, and after each failed one.
    written: watch::Sender<()>,
}

/// Keys that are to be written.
#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Entry>,
    /// Since when one has been waiting, in boot time.
    since: Option<Duration>,
    /// When the namespace was last asked about, in boot time.
    used_at: Duration,
    is_failing: bool,
}

impl Namespace {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic under the lock")
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic under the lock")
    }

    fn add(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut waiting = self.waiting();
        waiting.entries.extend(entries);
        if !waiting.entries.is_empty() {
            waiting.since.get_or_insert_with(boot::now);
        }
    }
}

impl Ledgers {
    pub(super) fn new(cluster: Cluster, holder: &str, grace: Duration) -> Self {
        Self {
            cluster,
            holder: holder.to_owned(),
            grace,
            namespaces: Mutex::default(),
        }
    }

    /// The ledger of a namespace, read or not.
    pub(super) fn of(&self, namespace: &str) -> Arc<Namespace> {
        let mut namespaces = self.namespaces.lock().expect("no panic under the lock");
        let entry = namespaces.entry(namespace.to_owned()).or_insert_with(|| {
            Arc::new(Namespace {
                name: namespace.to_owned(),
                ledger: Mutex::new(Ledger::new(&self.holder)),
                waiting: Mutex::default(),
                calls: tokio::sync::Mutex::default(),
                written: watch::Sender::new(()),
            })
        });
        Arc::clone(entry)
    }

    /// The ledger, asked about one delivery.
    ///
    /// # Errors
    ///
    /// [`Error::LedgerFull`] or [`Error::Unavailable`] when nothing new may be launched: its key could not be kept.
    pub(super) fn memory(&self, delivery: &Delivery) -> Result<Remembered<'_>, Error> {
        let namespace = self.of(&delivery.launch.id.namespace);
        let object = || format!("the ledger of {}", namespace.name);
        let key = Key::of(&delivery.launch.occurrence).ok_or_else(|| Error::Unavailable {
            object: object(),
            detail: "an occurrence without a hash".to_owned(),
        })?;
        let memory = Remembered {
            ledgers: self,
            namespace: Arc::clone(&namespace),
            key,
        };
        let now = boot::now();
        let mut waiting = namespace.waiting();
        waiting.used_at = now;
        let is_behind = waiting.entries.len() >= MOST_WAITING
            || waiting
                .since
                .is_some_and(|since| now.saturating_sub(since) > LONGEST_WAIT);
        drop(waiting);
        if memory.is_remembered() {
            return Ok(memory);
        }
        if namespace.ledger().is_full() {
            return Err(Error::LedgerFull {
                namespace: namespace.name.clone(),
            });
        }
        if is_behind {
            return Err(Error::Unavailable {
                object: object(),
                detail: "keys of earlier Jobs have been waiting too long to be written".to_owned(),
            });
        }
        Ok(memory)
    }

    /// A Job was made: its key is written with the next batch.
    pub(super) fn note(&self, delivery: &Delivery) {
        let Some(now) = self.cluster.server_time() else {
            return; // Whoever looks after the Jobs adds it.
        };
        let launch = &delivery.launch;
        let entry = Entry::new(&launch.occurrence, now, delivery.remember_for, 0);
        self.of(&launch.id.namespace).add(entry);
    }

    /// Puts the keys of Jobs into the ledger, where they are not.
    pub(super) async fn remember(&self, jobs: &[DeliveredJob]) -> Result<(), Error> {
        let mut by_namespace: BTreeMap<&str, Vec<&DeliveredJob>> = BTreeMap::new();
        for job in jobs {
            by_namespace.entry(&job.id.namespace).or_default().push(job);
        }
        for (name, jobs) in by_namespace {
            let namespace = self.of(name);
            let object = format!("the ledger of {name}");
            let written = self.remember_in(&namespace, &jobs);
            timeout(PATIENCE, written)
                .await
                .unwrap_or_else(|_| Err(too_slow(&object)))?;
        }
        Ok(())
    }

    async fn remember_in(
        &self,
        namespace: &Arc<Namespace>,
        jobs: &[&DeliveredJob],
    ) -> Result<(), Error> {
        self.confirm(namespace).await?;
        let now = self.server_seconds().unwrap_or(0);
        // The key of an old Job outlives the Job's removal.
        let grace = u32::try_from(self.grace.as_secs()).unwrap_or(u32::MAX);
        let not_before = now.saturating_add(grace.saturating_mul(2));
        let entries: Vec<Entry> = jobs
            .iter()
            .filter_map(|job| {
                Entry::new(
                    &job.occurrence,
                    job.created_at,
                    job.remember_for,
                    not_before,
                )
            })
            .collect();
        let mut written = namespace.written.subscribe();
        let wanted = namespace.ledger().wanted(&entries, now);
        if wanted.is_empty() {
            return Ok(());
        }
        namespace.add(wanted);
        while !namespace.ledger().wanted(&entries, now).is_empty() {
            if written.changed().await.is_err() || namespace.waiting().is_failing {
                return Err(Error::Unavailable {
                    object: format!("the ledger of {}", namespace.name),
                    detail: "it could not be written".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Writes what waits, and reads again what is in use, until told to stop; writes once more then.
    pub(super) async fn run(&self, stop: impl Future<Output = ()> + Unpin) {
        let beats = async {
            let mut beats = tokio::time::interval(BEAT);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beats.tick().await;
                self.beat().await;
            }
        };
        match select(Box::pin(beats), stop).await {
            Either::Left(((), _)) => {}
            Either::Right(_) => self.beat().await,
        }
    }

    async fn beat(&self) {
        let namespaces: Vec<Arc<Namespace>> = {
            let namespaces = self.namespaces.lock().expect("no panic under the lock");
            namespaces.values().cloned().collect()
        };
        let tended = namespaces.into_iter().map(|namespace| async move {
            let failed = self.write(&namespace).await.err();
            let was_failing =
                std::mem::replace(&mut namespace.waiting().is_failing, failed.is_some());
            match failed {
                Some(error) if !was_failing => warn!(
                    error = &error as &dyn std::error::Error,
                    "keys cannot be written into the ledger of {}; trying again", namespace.name
                ),
                None if was_failing => {
                    info!("the ledger of {} can be written again", namespace.name);
                }
                _ => {}
            }
            namespace.written.send_replace(());
            let now = boot::now();
            let is_used = now.saturating_sub(namespace.waiting().used_at) < IN_USE;
            let confirmed_at = namespace.ledger().confirmed_at();
            let is_old = confirmed_at.is_none_or(|at| now.saturating_sub(at) > READ_AGAIN);
            if is_used && is_old && self.read(&namespace).await.is_ok() {
                self.prune(&namespace).await;
            }
        });
        join_all(tended).await;
    }

    /// Writes all that waits.
    async fn write(&self, namespace: &Namespace) -> Result<(), Error> {
        if namespace.waiting().entries.is_empty() {
            return Ok(());
        }
        let _calls = namespace.calls.lock().await;
        let now = self.server_seconds().unwrap_or(0);
        loop {
            let (plan, left) = {
                let mut waiting = namespace.waiting();
                let entries = namespace.ledger().wanted(&waiting.entries, now);
                waiting.entries = entries;
                if waiting.entries.is_empty() {
                    waiting.since = None;
                    return Ok(());
                }
                let plan = namespace.ledger().plan(&waiting.entries);
                (plan, waiting.entries.len())
            };
            let Some(plan) = plan else { return Ok(()) };
            let (shard, bytes) = (plan.shard.clone(), plan.bytes.len());
            match shards::write(&self.cluster, &namespace.name, &plan).await {
                Ok(version) => namespace.ledger().written(plan, &version, boot::now()),
                Err(error) => {
                    // Perhaps it was written, perhaps somebody removed it: the next plan begins with what is there.
                    self.look_at(namespace, &shard).await?;
                    return Err(error);
                }
            }
            tracing::debug!(left, bytes, "wrote keys into {}/{shard}", namespace.name);
        }
    }

    async fn look_at(&self, namespace: &Namespace, shard: &str) -> Result<(), Error> {
        let read = shards::read(&self.cluster, &namespace.name, shard).await?;
        take(namespace, shard, read)
    }

    /// A fresh copy, read if the one at hand is not.
    async fn confirm(&self, namespace: &Namespace) -> Result<(), Error> {
        let confirmed_at = namespace.ledger().confirmed_at();
        let is_fresh =
            confirmed_at.is_some_and(|at| boot::now().saturating_sub(at) < FRESH_FOR / 2);
        if is_fresh {
            return Ok(());
        }
        self.read(namespace).await
    }

    /// Reads what has changed since the copy was made. The copy is then as fresh as the call.
    async fn read(&self, namespace: &Namespace) -> Result<(), Error> {
        let wanted_at = boot::now();
        let _calls = namespace.calls.lock().await;
        if namespace
            .ledger()
            .confirmed_at()
            .is_some_and(|at| at >= wanted_at)
        {
            return Ok(());
        }
        let asked_at = boot::now();
        let shards = shards::list(&self.cluster, &namespace.name).await?;
        let now = self.server_seconds().ok_or_else(|| Error::Unavailable {
            object: format!("the ledger of {}", namespace.name),
            detail: "the API server does not tell its time".to_owned(),
        })?;
        let mut listing = namespace.ledger().listed(&shards, asked_at, now);
        let unread: Vec<String> = listing.unread().map(str::to_owned).collect();
        let reads = futures::stream::iter(unread).map(|shard| async move {
            let read = shards::read(&self.cluster, &namespace.name, &shard).await?;
            let is_gone = read.is_none();
            take(namespace, &shard, read)?;
            Ok::<_, Error>(is_gone.then_some(shard))
        });
        let gone: Vec<Option<String>> = reads.buffer_unordered(READS_AT_ONCE).try_collect().await?;
        for shard in gone.into_iter().flatten() {
            listing.gone(&shard);
        }
        if namespace.ledger().confirm(&listing) {
            return Ok(());
        }
        Err(Error::Unavailable {
            object: format!("the ledger of {}", namespace.name),
            detail: "it changed while it was read".to_owned(),
        })
    }

    /// Removes shards whose every key has expired.
    async fn prune(&self, namespace: &Namespace) {
        let Some(now) = self.server_seconds() else {
            return;
        };
        let prunable = namespace.ledger().prunable(now);
        for (shard, version) in prunable {
            match shards::remove(&self.cluster, &namespace.name, &shard, &version).await {
                Ok(()) => namespace.ledger().gone(&shard),
                Err(error) => {
                    tracing::debug!("{}/{shard} is not removed: {error}", namespace.name);
                }
            }
        }
    }

    fn server_seconds(&self) -> Option<u32> {
        let now = self.cluster.server_time()?.as_second();
        Some(u32::try_from(now).unwrap_or(0))
    }
}

/// Takes what was read of a shard into the copy.
fn take(namespace: &Namespace, shard: &str, read: Option<(String, Vec<u8>)>) -> Result<(), Error> {
    let mut ledger = namespace.ledger();
    let Some((version, bytes)) = read else {
        ledger.gone(shard);
        return Ok(());
    };
    ledger
        .read(shard, &version, &bytes, boot::now())
        .map_err(|error| Error::Unavailable {
            object: format!("configmap {}/{shard}", namespace.name),
            detail: error.to_string(),
        })
}

/// A ledger asked about one occurrence.
pub(super) struct Remembered<'a> {
    ledgers: &'a Ledgers,
    namespace: Arc<Namespace>,
    key: Key,
}

impl Remembered<'_> {
    /// Whether our copy has the key, however old it is.
    pub(super) fn is_remembered(&self) -> bool {
        self.look() == Saw::LedgerHasKey
    }

    /// Whether the ledger has the key, by a fresh copy.
    pub(super) async fn remembers(&self, within: Duration) -> Result<bool, Error> {
        match self.look() {
            Saw::LedgerStale => {}
            saw => return Ok(saw == Saw::LedgerHasKey),
        }
        let object = format!("the ledger of {}", self.namespace.name);
        let saw = timeout(within, self.read())
            .await
            .unwrap_or_else(|_| Err(too_slow(&object)))?;
        Ok(saw == Saw::LedgerHasKey)
    }
}

impl Memory for Remembered<'_> {
    fn look(&self) -> Saw {
        let ledger = self.namespace.ledger();
        match self.ledgers.server_seconds() {
            Some(now) => ledger.look(self.key, boot::now(), now),
            None => Saw::LedgerStale,
        }
    }

    fn read(&self) -> BoxFuture<'_, Result<Saw, Error>> {
        async move {
            self.ledgers.read(&self.namespace).await?;
            Ok(self.look())
        }
        .boxed()
    }
}

fn too_slow(object: &str) -> Error {
    Error::Unavailable {
        object: object.to_owned(),
        detail: "no answer in time".to_owned(),
    }
}
