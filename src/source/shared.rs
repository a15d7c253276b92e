//! One call for all who ask: single flight, freshness, a deadline.
//!
//! What is called, and what its answer means to a trigger, is left to the
//! adapters. No task runs in the background: those who wait drive the call, and
//! when nobody waits any more it is dropped.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, WeakShared};
use tokio::time::Instant;

use crate::source::Error;
use crate::source::metrics::Meter;

/// How long a failed call answers for the next ones: long enough to stop a herd
/// of triggers from repeating it one by one, too short to outlive any interval.
const ERROR_HELD: Duration = Duration::from_secs(1);

/// A raw answer and when it was asked for.
type TimedResult<T> = (Instant, Result<Arc<T>, Error>);

/// A call that everybody who asks shares.
pub(super) struct SharedCall<T> {
    source_name: String,
    deadline: Duration,
    meter: Meter,
    call: Box<dyn Fn() -> BoxFuture<'static, Result<T, Error>> + Send + Sync>,
    slot: Arc<Mutex<CallSlot<T>>>,
}

struct CallSlot<T> {
    last: Option<Last<T>>,
    /// Weak: a call lives as long as somebody waits for it.
    flight: Option<WeakShared<BoxFuture<'static, TimedResult<T>>>>,
}

struct Last<T> {
    answer: TimedResult<T>,
    ended: Instant,
}

impl<T: Send + Sync + 'static> SharedCall<T> {
    /// A shared call that takes at most `deadline`.
    pub(super) fn new(
        source_name: String,
        deadline: Duration,
        meter: Meter,
        call: impl Fn() -> BoxFuture<'static, Result<T, Error>> + Send + Sync + 'static,
    ) -> Self {
        let slot = CallSlot {
            last: None,
            flight: None,
        };
        Self {
            source_name,
            deadline,
            meter,
            call: Box::new(call),
            slot: Arc::new(Mutex::new(slot)),
        }
    }

    /// An answer not older than `freshness`, and when the source was asked for it.
    ///
    /// # Errors
    ///
    /// What the call failed with, or [`Error::Unreachable`] when it took longer than the deadline.
    pub(super) async fn ask(&self, freshness: Duration) -> Result<(Arc<T>, Instant), Error> {
        let (at, result) = match self.step(freshness) {
            ReadStep::Known(answer) => answer,
            ReadStep::Wait(flight) => flight.await,
        };
        self.meter.read(result.as_ref().map(|_| at.elapsed()));
        result.map(|answer| (answer, at))
    }

    /// What to do for one asker: hand out what is known, join the call under way, or begin one.
    fn step(&self, freshness: Duration) -> ReadStep<T> {
        // A panic under this lock cannot leave the slot half written: each change is one assignment.
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &slot.last {
            let usable = match &last.answer {
                (at, Ok(_)) => at.elapsed() <= freshness,
                (_, Err(_)) => last.ended.elapsed() < ERROR_HELD,
            };
            if usable {
                return ReadStep::Known(last.answer.clone());
            }
        }
        if let Some(flight) = slot.flight.as_ref().and_then(WeakShared::upgrade) {
            return ReadStep::Wait(flight);
        }
        let flight = self.flight().shared();
        slot.flight = flight.downgrade();
        ReadStep::Wait(flight)
    }

    /// One call, which files its own answer.
    fn flight(&self) -> BoxFuture<'static, TimedResult<T>> {
        let call = (self.call)();
        let deadline = self.deadline;
        let source_name = self.source_name.clone();
        let timer = self.meter.call();
        let slot = Arc::clone(&self.slot);
        async move {
            let at = Instant::now();
            let result = tokio::time::timeout(deadline, call)
                .await
                .unwrap_or_else(|_| {
                    let detail = format!("no answer within {} s", deadline.as_secs());
                    Err(Error::Unreachable {
                        source_name,
                        detail,
                    })
                });
            timer.ended(&result);
            let answer = (at, result.map(Arc::new));
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.last = Some(Last {
                answer: answer.clone(),
                ended: Instant::now(),
            });
            slot.flight = None;
            answer
        }
        .boxed()
    }
}

enum ReadStep<T> {
    Known(TimedResult<T>),
    Wait(futures::future::Shared<BoxFuture<'static, TimedResult<T>>>),
}

/// Things that live as long as somebody holds them, found again by what they are.
///
/// Ten thousand distinct ones cost ten times what a thousand do: each is compared with those of the same hash only.
pub(super) struct Interned<V> {
    hasher: RandomState,
    known: Mutex<InternedTable<V>>,
}

struct InternedTable<V> {
    by_hash: HashMap<u64, Vec<Weak<V>>>,
    /// All of them, living or not.
    entries: usize,
    /// Those that nobody holds any more are cleared away at this many entries: twice as many as lived the last time.
    clear_at: usize,
}

/// Entries that are not worth clearing.
const FEW: usize = 64;

impl<V> Default for Interned<V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            known: Mutex::new(InternedTable {
                by_hash: HashMap::new(),
                entries: 0,
                clear_at: FEW,
            }),
        }
    }
}

impl<V> Interned<V> {
    /// The living one that `is` says yes to, or a new one. Those that may be the same have equal keys.
    pub(super) fn get_or_make(
        &self,
        key: impl Hash,
        is: impl Fn(&V) -> bool,
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        match self.try_get_or_make(key, is, || Ok::<_, Infallible>(make())) {
            Ok(one) => one,
        }
    }

    /// The same, where making one may fail.
    pub(super) fn try_get_or_make<E>(
        &self,
        key: impl Hash,
        is: impl Fn(&V) -> bool,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let hash = self.hasher.hash_one(key);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut alike = known.by_hash.get(&hash).into_iter().flatten();
        if let Some(found) = alike.find_map(|weak| weak.upgrade().filter(|one| is(one))) {
            return Ok(found);
        }
        let new = Arc::new(make()?);
        let place = known.by_hash.entry(hash).or_default();
        place.push(Arc::downgrade(&new));
        known.entries += 1;
        if known.entries >= known.clear_at {
            known.clear();
        }
        Ok(new)
    }

    /// How many are held by somebody.
    pub(super) fn live(&self) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all = known.by_hash.values().flatten();
        all.filter(|weak| weak.strong_count() > 0).count()
    }
}

impl<V> InternedTable<V> {
    /// What is dropped has dropped its key, secrets and all; only the empty place goes here.
    fn clear(&mut self) {
        self.entries = 0;
        self.by_hash.retain(|_, alike| {
            alike.retain(|weak| weak.strong_count() > 0);
            self.entries += alike.len();
            !alike.is_empty()
        });
        self.clear_at = FEW.max(2 * self.entries);
    }
}

#[cfg(test)]
mod tests;
