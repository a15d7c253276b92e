//! One call for all who ask: single flight, freshness, a deadline.
//!
//! What is called, and what its answer means to a trigger, is left to the
//! adapters. No task runs in the background: those who wait drive the call, and
//! when nobody waits any more it is dropped.

use std::convert::Infallible;
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
pub(super) struct Interned<V>(Mutex<Vec<Weak<V>>>);

impl<V> Default for Interned<V> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<V> Interned<V> {
    /// The living one that `is` says yes to, or a new one.
    pub(super) fn get_or_make(&self, is: impl Fn(&V) -> bool, make: impl FnOnce() -> V) -> Arc<V> {
        match self.try_get_or_make(is, || Ok::<_, Infallible>(make())) {
            Ok(one) => one,
        }
    }

    /// The same, where making one may fail.
    pub(super) fn try_get_or_make<E>(
        &self,
        is: impl Fn(&V) -> bool,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is dropped has dropped its key, secrets and all; only the empty place goes here.
        known.retain(|weak| weak.strong_count() > 0);
        if let Some(found) = known.iter().filter_map(Weak::upgrade).find(|one| is(one)) {
            return Ok(found);
        }
        let new = Arc::new(make()?);
        known.push(Arc::downgrade(&new));
        Ok(new)
    }

    /// How many are held by somebody.
    pub(super) fn live(&self) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|weak| weak.strong_count() > 0).count()
    }
}

#[cfg(test)]
mod tests;
