//! The triggers that somebody asks about: found by what was asked, made once, forgotten
//! when nobody asks any more.
//!
//! The key is a hash of everything that can change the answer: the namespace, the whole of
//! `scalerMetadata`, and whether the namespace is proved. The names of objects are not in
//! it, so that ten thousand objects with one trigger are one. Of what is wrong only that
//! hash and a short text are kept, so that a broken object costs little. The table has a
//! budget in bytes: callers fill it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::connections::{Connections, Edition};
use super::live::{Ages, Reads, Ready};
use super::metrics::Metrics;
use super::references::References;
use super::refusal::RpcRefusal;
use super::request;
use crate::address::Rules;
use crate::resource::ObjectId;
use crate::source::Connect;

/// Most triggers at once: twice what one KEDA is known to run with.
pub const MOST: usize = 20_000;
/// What all triggers may weigh. Unit: bytes. 16,000 of KEDA's usual size.
const HEAVIEST: usize = 64 << 20;
/// What a trigger with its source weighs, beside its metadata. Unit: bytes, estimated.
const READY: usize = 2 << 10;
/// How often a byte of metadata is there: as it was asked, in the parsed trigger, in its source and in its texts.
const COPIES: usize = 4;
/// What a refused one weighs.
const REFUSED: usize = 1 << 10;
/// Who asks again after this time has come back: its trigger goes after those that were asked for once.
const COMES_BACK: Duration = Duration::from_secs(1);
/// Who has not asked for ten polls (of KEDA's default of 30 s) is gone.
pub const FORGOTTEN_AFTER: Duration = Duration::from_mins(5);
/// What triggers refer to is read again after this time: as long as `lookup` keeps it.
const REFRESH: Duration = Duration::from_secs(30);
/// A reference that could not be read is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// What triggers are made with.
pub(super) struct Workshop {
    pub(super) sources: Arc<dyn Connect>,
    pub(super) references: References,
    pub(super) connections: Arc<Connections>,
    pub(super) rules: Rules,
    pub(super) ages: Ages,
    pub(super) reads: Arc<Reads>,
}

/// `scalerMetadata`.
pub(super) type RequestMetadata = HashMap<String, String>;

/// Every trigger that was asked for lately.
pub(super) struct Triggers {
    workshop: Workshop,
    most: usize,
    hashers: [RandomState; 2],
    began: Instant,
    table: Mutex<TriggerTable>,
    metrics: Metrics,
}

#[derive(Default)]
struct TriggerTable {
    by_key: HashMap<u128, Arc<LiveTrigger>>,
    /// What they weigh together.
    weight: usize,
}

/// One of them.
pub(super) struct LiveTrigger {
    key: u128,
    namespace: String,
    proven: bool,
    /// Nothing once it is refused: whoever asks again brings it along.
    metadata: Mutex<Option<Arc<RequestMetadata>>>,
    weight: AtomicUsize,
    /// When it was last asked for. Unit: milliseconds since the table began.
    asked: AtomicU64,
    comes_back: AtomicBool,
    known: Mutex<Option<ResolvedTrigger>>,
    /// Held while it is being made or refreshed.
    bench: tokio::sync::Mutex<()>,
    /// What streams are told; nothing while it is not known.
    pub(super) activity: watch::Sender<Option<bool>>,
    pub(super) streams: Mutex<Streams>,
}

/// Who listens to a trigger.
#[derive(Default)]
pub(super) struct Streams {
    /// Streams that are open.
    pub(super) open: usize,
    /// Whether somebody polls for them.
    pub(super) polled: bool,
}

/// What a trigger came to.
#[derive(Clone)]
struct ResolvedTrigger {
    outcome: Result<Arc<Ready>, RpcRefusal>,
    at: Instant,
    /// Which edition of the connections it was made with, if it uses one.
    edition: Option<u64>,
    /// Whether it refers to anything that has to be read.
    refers: bool,
}

impl ResolvedTrigger {
    fn is_valid(&self, edition: u64) -> bool {
        let age = self.at.elapsed();
        let fresh = match &self.outcome {
            Ok(_) => !self.refers || age < REFRESH,
            Err(refusal) => (!self.refers && !refusal.is_transient()) || age < RETRY,
        };
        fresh && self.edition.is_none_or(|made_with| made_with == edition)
    }
}

impl Triggers {
    pub(super) fn new(workshop: Workshop, most: usize, metrics: Metrics) -> Self {
        Self {
            workshop,
            most,
            hashers: [RandomState::new(), RandomState::new()],
            began: Instant::now(),
            table: Mutex::default(),
            metrics,
        }
    }

    /// The trigger that was asked for.
    ///
    /// # Errors
    ///
    /// [`RpcRefusal::Exhausted`] where there is no room for it: streams hold on to all the others.
    pub(super) fn find(
        &self,
        namespace: &str,
        metadata: &RequestMetadata,
        proven: bool,
    ) -> Result<Arc<LiveTrigger>, RpcRefusal> {
        let key = self.key(namespace, metadata, proven);
        let now = self.now();
        let mut table = self.table();
        if let Some(found) = table.by_key.get(&key).map(Arc::clone) {
            found.is_asked_for(now);
            let mut known = found.metadata();
            if known.is_none() {
                *known = Some(Arc::new(metadata.clone()));
                drop(known);
                table.weigh(&found, weight_of(namespace, metadata));
            }
            return Ok(Arc::clone(&found));
        }
        let weight = weight_of(namespace, metadata);
        if table.by_key.len() >= self.most || table.weight + weight > HEAVIEST {
            self.make_room(&mut table, weight)?;
        }
        let live = Arc::new(LiveTrigger {
            key,
            namespace: namespace.to_owned(),
            proven,
            metadata: Mutex::new(Some(Arc::new(metadata.clone()))),
            weight: AtomicUsize::new(weight),
            asked: AtomicU64::new(now),
            comes_back: AtomicBool::new(false),
            known: Mutex::default(),
            bench: tokio::sync::Mutex::default(),
            activity: watch::Sender::new(None),
            streams: Mutex::default(),
        });
        table.by_key.insert(key, Arc::clone(&live));
        table.weight += weight;
        self.metrics.set_triggers(table.by_key.len());
        Ok(live)
    }

    /// What the trigger came to: known already, or found out now, by one asker for all.
    ///
    /// # Errors
    ///
    /// Why there is no such trigger.
    pub(super) async fn ready(&self, live: &LiveTrigger) -> Result<Arc<Ready>, RpcRefusal> {
        let edition = self.workshop.connections.now();
        if let Some(outcome) = live.known_for(edition.number) {
            return outcome;
        }
        let _bench = live.bench.lock().await;
        if let Some(outcome) = live.known_for(edition.number) {
            return outcome;
        }
        let before = live.known();
        let metadata = live.metadata().clone();
        let Some(metadata) = metadata else {
            // It was refused a moment ago, and nobody has asked for it since.
            let gone = || RpcRefusal::Unavailable("ask again".to_owned());
            return before.map_or_else(|| Err(gone()), |known| known.outcome);
        };
        let mut known = self.workshop.make(live, &metadata, &edition).await;
        if let Some(before) = before.and_then(|known| known.outcome.ok()) {
            match &known.outcome {
                // The same trigger keeps its readings.
                Ok(ready) if before.is_same(ready) => known.outcome = Ok(before),
                // Nobody can tell whether anything changed: what was right stays in force.
                Err(RpcRefusal::Unavailable(_)) => known.outcome = Ok(before),
                _ => {}
            }
        }
        known.outcome = known.outcome.map_err(RpcRefusal::shortened);
        let outcome = known.outcome.clone();
        *live.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        if outcome.is_err() && !live.is_listened_to() {
            *live.metadata() = None;
            self.table().weigh(live, REFUSED);
        }
        outcome
    }

    /// The connections in force, and when they change.
    pub(super) fn connections(&self) -> &Connections {
        &self.workshop.connections
    }

    pub(super) fn ages(&self) -> Ages {
        self.workshop.ages
    }

    /// Forgets those that nobody has asked for.
    pub(super) fn sweep(&self, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let now = self.now();
        let mut table = self.table();
        let is_gone = |live: &Arc<LiveTrigger>| {
            let age = now.saturating_sub(live.asked.load(Ordering::Relaxed));
            age >= after && !live.is_listened_to()
        };
        let gone: Vec<_> = table
            .by_key
            .values()
            .filter(|live| is_gone(live))
            .cloned()
            .collect();
        for live in gone {
            table.remove(&live);
        }
        self.metrics.set_triggers(table.by_key.len());
    }

    pub(super) fn len(&self) -> usize {
        self.table().by_key.len()
    }

    /// Lets those go that were asked for once, then those that were asked for least recently, until there is room for
    /// one that weighs so much and for a twentieth of the table: many at once, as finding them is a look at all.
    fn make_room(&self, table: &mut TriggerTable, weight: usize) -> Result<(), RpcRefusal> {
        let mut going: Vec<(bool, u64, Arc<LiveTrigger>)> = table
            .by_key
            .values()
            .filter(|live| !live.is_listened_to())
            .map(|live| {
                let comes_back = live.comes_back.load(Ordering::Relaxed);
                let asked = live.asked.load(Ordering::Relaxed);
                (comes_back, asked, Arc::clone(live))
            })
            .collect();
        going.sort_unstable_by_key(|(comes_back, asked, _)| (*comes_back, *asked));
        let most = self.most - (self.most / 20).clamp(1, self.most);
        let heaviest = HEAVIEST - HEAVIEST / 20 - weight;
        for (_, _, live) in going {
            if table.by_key.len() <= most && table.weight <= heaviest {
                break;
            }
            table.remove(&live);
        }
        if table.by_key.len() >= self.most || table.weight + weight > HEAVIEST {
            return Err(RpcRefusal::Exhausted("too many triggers are listened to"));
        }
        Ok(())
    }

    /// The same whatever the order of the map. The keys of the hashes are random and ours.
    fn key(&self, namespace: &str, metadata: &RequestMetadata, proven: bool) -> u128 {
        let half = |hasher: &RandomState| {
            metadata
                .iter()
                .map(|entry| hasher.hash_one(entry))
                .fold(hasher.hash_one((namespace, proven)), u64::wrapping_add)
        };
        let [first, second] = self.hashers.each_ref().map(half);
        (u128::from(first) << 64) | u128::from(second)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn table(&self) -> MutexGuard<'_, TriggerTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TriggerTable {
    /// Gives a trigger another weight, if it is still here.
    fn weigh(&mut self, live: &LiveTrigger, weight: usize) {
        if self.by_key.contains_key(&live.key) {
            let before = live.weight.swap(weight, Ordering::Relaxed);
            self.weight = (self.weight + weight).saturating_sub(before);
        }
    }

    fn remove(&mut self, live: &LiveTrigger) {
        self.by_key.remove(&live.key);
        self.weight = self
            .weight
            .saturating_sub(live.weight.load(Ordering::Relaxed));
    }
}

/// What a trigger will weigh if it is right.
fn weight_of(namespace: &str, metadata: &RequestMetadata) -> usize {
    let texts: usize = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    READY + COPIES * (namespace.len() + texts)
}

impl Workshop {
    async fn make(
        &self,
        live: &LiveTrigger,
        metadata: &RequestMetadata,
        edition: &Edition,
    ) -> ResolvedTrigger {
        let (mut uses_connection, mut refers) = (false, false);
        let outcome = async {
            let asked = request::read(metadata)?;
            let is_quotable = asked.is_quotable();
            if asked.kind.name() == "eventbridge" {
                // It is counted from Jobs, which are watched where we have rights.
                self.references.check_scope(&live.namespace, "source")?;
            }
            let connection = match &asked.connection {
                None => None,
                Some(name) => {
                    uses_connection = true;
                    Some(edition.get(name, &live.namespace)?)
                }
            };
            let inputs = match (&asked.authentication, connection) {
                (Some(name), _) => {
                    refers = true;
                    let proven = live.proven;
                    Some(
                        self.references
                            .of_caller(&live.namespace, name, proven)
                            .await?,
                    )
                }
                (None, Some(connection)) => match &connection.authentication {
                    Some(authentication) => {
                        refers = true;
                        Some(
                            self.references
                                .of_connection(&connection.name, authentication, &self.reads.log)
                                .await?,
                        )
                    }
                    None => None,
                },
                (None, None) => None,
            };
            // Objects of one namespace with the same metadata are one trigger, so it has no name of theirs.
            let owner = ObjectId::new(live.namespace.clone(), "");
            let trigger = asked.trigger(&owner, connection, inputs, &self.rules)?;
            let source = self
                .sources
                .connect(&trigger.source)
                .map_err(|error| RpcRefusal::of_connect(&error, is_quotable))?;
            let reads = Arc::clone(&self.reads);
            Ok(Arc::new(Ready::new(trigger, source, self.ages, reads)))
        }
        .await;
        ResolvedTrigger {
            outcome,
            at: Instant::now(),
            edition: uses_connection.then_some(edition.number),
            refers,
        }
    }
}

impl LiveTrigger {
    fn metadata(&self) -> MutexGuard<'_, Option<Arc<RequestMetadata>>> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_asked_for(&self, now: u64) {
        let before = self.asked.swap(now, Ordering::Relaxed);
        if Duration::from_millis(now.saturating_sub(before)) >= COMES_BACK {
            self.comes_back.store(true, Ordering::Relaxed);
        }
    }

    fn is_listened_to(&self) -> bool {
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open
            > 0
    }

    fn known(&self) -> Option<ResolvedTrigger> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn known_for(&self, edition: u64) -> Option<Result<Arc<Ready>, RpcRefusal>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| known.is_valid(edition))?;
        Some(known.outcome.clone())
    }
}
