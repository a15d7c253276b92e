//! The ledgers of the namespaces: read consistently, written in batches.
//!
//! What a ledger is and when its copy may be trusted is `launch::ledger`'s; here are
//! the calls. One read or write of a namespace at a time: whoever comes while one
//! is under way takes what it brought.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::{Either, join, join_all, select};
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tracing::{info, warn};

use self::remembered::Remembered;
use super::super::create::Memory as _;
use super::metrics::LedgerSize;
use super::shards;
use crate::cluster::{Cluster, Scope, boot};
use crate::launch::Error;
use crate::launch::delivered::Delivery;
use crate::launch::ledger::{Entry, FRESH_FOR, Key, Ledger};
use crate::launch::once::Saw;
use crate::launch::ports::DeliveredJob;

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
/// How long after the start shards are first looked for where no events come, and how often then: a list of their
/// names, and a read of each that is not known. What has expired stays an hour anyway.
const FIRST_SWEEP: Duration = Duration::from_mins(1);
const SWEEP: Duration = Duration::from_hours(1);
/// Namespaces that are swept at once.
const SWEPT_AT_ONCE: usize = 4;
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
    entries: HashMap<Key, Entry>,
    /// Since when one has been waiting, in boot time.
    since: Option<Duration>,
    /// When the namespace was last asked about, in boot time.
    used_at: Option<Duration>,
    is_failing: bool,
}

impl Namespace {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic under the lock")
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic under the lock")
    }

    /// Whether nobody has asked about it, and nothing waits to be written.
    fn is_unused(&self) -> bool {
        let waiting = self.waiting();
        waiting.used_at.is_none() && waiting.entries.is_empty()
    }

    fn add(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut waiting = self.waiting();
        for entry in entries {
            let known = waiting.entries.entry(entry.key).or_insert(entry);
            known.expires_at = known.expires_at.max(entry.expires_at);
        }
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
        waiting.used_at = Some(now);
        let is_behind = waiting.entries.len() >= MOST_WAITING
            || waiting
                .since
                .is_some_and(|since| now.saturating_sub(since) > LONGEST_WAIT);
        drop(waiting);
        if memory.look() == Saw::LedgerHasKey {
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
    pub(super) async fn remember(&self, jobs: &[Arc<DeliveredJob>]) -> Result<(), Error> {
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

    /// Writes what waits, reads again what is in use, and removes what nobody needs, until told to stop; writes once
    /// more then, for no longer than [`PATIENCE`].
    pub(super) async fn run(&self, scope: &Scope, stop: impl Future<Output = ()> + Unpin) {
        let work = Box::pin(join(self.tend_all(), self.sweeps(scope)));
        if let Either::Right(_) = select(work, stop).await {
            let last = self.all().into_iter().map(|namespace| self.tend(namespace));
            drop(timeout(PATIENCE, join_all(last)).await);
        }
    }

    /// Looks after each namespace once a second, or as often as its calls allow: one that hangs delays no other.
    async fn tend_all(&self) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tended = FuturesUnordered::new();
        let mut busy: HashSet<String> = HashSet::new();
        loop {
            tokio::select! {
                _ = beats.tick() => {
                    let mut namespaces = self.all();
                    namespaces.retain(|namespace| busy.insert(namespace.name.clone()));
                    tended.extend(namespaces.into_iter().map(|namespace| self.tend(namespace)));
                }
                Some(name) = tended.next() => {
                    busy.remove(&name);
                }
            }
        }
    }

    /// How large each is that there is a copy of, in the order of their names.
    pub(super) fn sizes(&self) -> Vec<LedgerSize> {
        let size = |namespace: Arc<Namespace>| LedgerSize {
            keys: namespace.ledger().len(),
            waiting: namespace.waiting().entries.len(),
            namespace: namespace.name.clone(),
        };
        let mut sizes: Vec<LedgerSize> = self.all().into_iter().map(size).collect();
        sizes.sort_by(|one, other| one.namespace.cmp(&other.namespace));
        sizes
    }

    fn all(&self) -> Vec<Arc<Namespace>> {
        let namespaces = self.namespaces.lock().expect("no panic under the lock");
        namespaces.values().cloned().collect()
    }

    /// Looks after one namespace, and says which.
    async fn tend(&self, namespace: Arc<Namespace>) -> String {
        let failed = self.write(&namespace).await.err();
        let was_failing = std::mem::replace(&mut namespace.waiting().is_failing, failed.is_some());
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
        let used_at = namespace.waiting().used_at;
        let is_used = used_at.is_some_and(|at| now.saturating_sub(at) < IN_USE);
        let confirmed_at = namespace.ledger().confirmed_at();
        let is_old = confirmed_at.is_none_or(|at| now.saturating_sub(at) > READ_AGAIN);
        if is_used && is_old && self.read(&namespace).await.is_ok() {
            self.prune(&namespace).await;
        }
        namespace.name.clone()
    }

    /// Removes expired shards where no events come any more, also when the last EventJob is gone.
    async fn sweeps(&self, scope: &Scope) {
        let mut sweeps = tokio::time::interval_at(Instant::now() + FIRST_SWEEP, SWEEP);
        loop {
            sweeps.tick().await;
            for part in scope.parts() {
                match shards::namespaces(&self.cluster, part.as_deref()).await {
                    Ok(names) => self.sweep(names).await,
                    Err(error) => tracing::debug!("no ledger is swept: {error}"),
                }
            }
        }
    }

    async fn sweep(&self, names: BTreeSet<String>) {
        let swept = futures::stream::iter(names).map(|name| async move {
            let namespace = self.of(&name);
            if self.read(&namespace).await.is_ok() {
                self.prune(&namespace).await;
            }
            // What was read for this alone is not kept in memory. Under the lock nobody else gets hold of it.
            let mut namespaces = self.namespaces.lock().expect("no panic under the lock");
            if Arc::strong_count(&namespace) == 2 && namespace.is_unused() {
                namespaces.remove(&name);
            }
        });
        swept.buffer_unordered(SWEPT_AT_ONCE).collect::<()>().await;
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
                let entries: Vec<Entry> = waiting.entries.values().copied().collect();
                let entries = namespace.ledger().wanted(&entries, now);
                waiting.entries = entries.iter().map(|entry| (entry.key, *entry)).collect();
                if entries.is_empty() {
                    waiting.since = None;
                    return Ok(());
                }
                let plan = namespace.ledger().plan(&entries);
                (plan, entries.len())
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
        server_seconds(&self.cluster)
    }
}

fn server_seconds(cluster: &Cluster) -> Option<u32> {
    let now = cluster.server_time()?.as_second();
    Some(u32::try_from(now).unwrap_or(0))
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

fn too_slow(object: &str) -> Error {
    Error::Unavailable {
        object: object.to_owned(),
        detail: "no answer in time".to_owned(),
    }
}

pub(super) mod remembered;

#[cfg(test)]
mod tests;
