//! The triggers that somebody asks about: found by what was asked, made once, forgotten
//! when nobody asks any more.
//!
//! The key is everything that can change the answer: the namespace, the whole of
//! `scalerMetadata`, and whether the namespace is proved. The names of objects are not in
//! it, so that ten thousand objects with one trigger are one. What is wrong is kept like
//! what is right, so that a broken object costs little.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::connections::{Connections, Edition};
use super::live::{Ages, Ready};
use super::metrics::Metrics;
use super::references::References;
use super::refusal::RpcRefusal;
use super::request;
use crate::address::Rules;
use crate::resource::ObjectId;
use crate::source::Connect;

/// Most triggers at once: twice what one KEDA is known to run with. Each takes some 3 KiB and its source.
pub const MOST: usize = 20_000;
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
}

/// Every trigger that was asked for lately.
pub(super) struct Triggers {
    workshop: Workshop,
    most: usize,
    hasher: RandomState,
    began: Instant,
    table: Mutex<HashMap<u64, Vec<Arc<LiveTrigger>>>>,
    count: AtomicUsize,
    metrics: Metrics,
}

/// One of them.
pub(super) struct LiveTrigger {
    namespace: String,
    metadata: HashMap<String, String>,
    proven: bool,
    /// When it was last asked for. Unit: milliseconds since the table began.
    asked: AtomicU64,
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
            hasher: RandomState::new(),
            began: Instant::now(),
            table: Mutex::default(),
            count: AtomicUsize::new(0),
            metrics,
        }
    }

    /// The trigger that was asked for.
    pub(super) fn find(
        &self,
        namespace: &str,
        metadata: &HashMap<String, String>,
        proven: bool,
    ) -> Arc<LiveTrigger> {
        let hash = self.hash(namespace, metadata);
        let now = self.now();
        let mut table = self.table();
        let alike = table.entry(hash).or_default();
        if let Some(found) = alike
            .iter()
            .find(|live| live.is(namespace, metadata, proven))
        {
            found.asked.store(now, Ordering::Relaxed);
            return Arc::clone(found);
        }
        let live = Arc::new(LiveTrigger {
            namespace: namespace.to_owned(),
            metadata: metadata.clone(),
            proven,
            asked: AtomicU64::new(now),
            known: Mutex::default(),
            bench: tokio::sync::Mutex::default(),
            activity: watch::Sender::new(None),
            streams: Mutex::default(),
        });
        alike.push(Arc::clone(&live));
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.len() > self.most {
            self.make_room(&mut table);
        }
        self.metrics.set_triggers(self.len());
        live
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
        let mut known = self.workshop.make(live, &edition).await;
        if let Some(before) = live.known().and_then(|known| known.outcome.ok()) {
            match &known.outcome {
                // The same trigger keeps its readings.
                Ok(ready) if before.is_same(ready) => known.outcome = Ok(before),
                // Nobody can tell whether anything changed: what was right stays in force.
                Err(RpcRefusal::Unavailable(_)) => known.outcome = Ok(before),
                _ => {}
            }
        }
        let outcome = known.outcome.clone();
        *live.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
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
        self.retain(&mut table, |live| {
            now.saturating_sub(live.asked.load(Ordering::Relaxed)) < after
        });
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Lets the twentieth go that was asked for least recently: many at once, as finding them is a look at all.
    fn make_room(&self, table: &mut HashMap<u64, Vec<Arc<LiveTrigger>>>) {
        let mut asked: Vec<u64> = table
            .values()
            .flatten()
            .filter(|live| !live.is_listened_to())
            .map(|live| live.asked.load(Ordering::Relaxed))
            .collect();
        let going = (self.most / 20).max(1).min(asked.len());
        if going == 0 {
            return;
        }
        let (_, oldest, _) = asked.select_nth_unstable(going - 1);
        let oldest = *oldest;
        let mut left = going;
        self.retain(table, |live| {
            let goes = left > 0 && live.asked.load(Ordering::Relaxed) <= oldest;
            left -= usize::from(goes);
            !goes
        });
    }

    /// Keeps those with streams, and those that `keep` says yes to.
    fn retain(
        &self,
        table: &mut HashMap<u64, Vec<Arc<LiveTrigger>>>,
        mut keep: impl FnMut(&LiveTrigger) -> bool,
    ) {
        let mut left = 0;
        table.retain(|_, alike| {
            alike.retain(|live| live.is_listened_to() || keep(live));
            left += alike.len();
            !alike.is_empty()
        });
        self.count.store(left, Ordering::Relaxed);
        self.metrics.set_triggers(left);
    }

    /// The same whatever the order of the map. The keys of the hash are random and ours.
    fn hash(&self, namespace: &str, metadata: &HashMap<String, String>) -> u64 {
        metadata
            .iter()
            .map(|entry| self.hasher.hash_one(entry))
            .fold(self.hasher.hash_one(namespace), u64::wrapping_add)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Vec<Arc<LiveTrigger>>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workshop {
    async fn make(&self, live: &LiveTrigger, edition: &Edition) -> ResolvedTrigger {
        let (mut uses_connection, mut refers) = (false, false);
        let outcome = async {
            let asked = request::read(&live.metadata)?;
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
                                .of_connection(&connection.name, authentication)
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
                .map_err(|error| RpcRefusal::of_connect(&error))?;
            Ok(Arc::new(Ready::new(trigger, source, self.ages)))
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
    fn is(&self, namespace: &str, metadata: &HashMap<String, String>, proven: bool) -> bool {
        self.proven == proven && self.namespace == namespace && self.metadata == *metadata
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
