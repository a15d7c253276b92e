//! One read for all who ask for an object, and its answer for a short while.
//!
//! No task runs in the background: those who wait drive the read, and when nobody waits any more it is dropped.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, WeakShared};
use tokio::time::Instant;

use crate::lookup::Error;

/// A rotated Secret is noticed within this time, without a watch on Secrets.
const FOUND_FOR: Duration = Duration::from_secs(30);
/// For so long the answer "not there", or an error, serves the others that ask at that moment. No poll is as short.
const MISSED_FOR: Duration = Duration::from_secs(1);
/// Objects kept at once; beyond it the cache starts anew.
const MOST_KEPT: usize = 10_000;

/// What a read came to.
pub(super) type Read<V> = Result<Option<V>, Error>;

/// What was read of each object, and what is being read. Clones are one.
#[derive(Clone)]
pub(super) struct LookupCache<K, V> {
    slots: Arc<Mutex<HashMap<K, Slot<V>>>>,
    reads: Arc<AtomicU64>,
}

struct Slot<V> {
    /// Tells its read from an earlier one of the same object.
    number: u64,
    answer: Option<(Read<V>, Instant)>,
    /// Weak: a read lives as long as somebody waits for it.
    flight: Option<WeakShared<BoxFuture<'static, Read<V>>>>,
}

impl<K, V> Default for LookupCache<K, V> {
    fn default() -> Self {
        Self {
            slots: Arc::default(),
            reads: Arc::default(),
        }
    }
}

/// Says nothing of what it holds, which may be secret.
impl<K, V> fmt::Debug for LookupCache<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LookupCache")
    }
}

impl<K, V> LookupCache<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What is kept of it, or what the read that is under way finds, or what `read` finds.
    pub(super) async fn get(
        &self,
        key: K,
        read: impl FnOnce() -> BoxFuture<'static, Read<V>>,
    ) -> Read<V> {
        let flight = {
            let mut slots = self.slots();
            let slot = slots.get(&key);
            if let Some(answer) = slot.and_then(Slot::fresh) {
                return answer;
            }
            if let Some(flight) = slot.and_then(|slot| slot.flight.as_ref()?.upgrade()) {
                flight
            } else {
                let (cache, filed) = (self.clone(), key.clone());
                let number = self.reads.fetch_add(1, Ordering::Relaxed);
                let (read, began) = (read(), Instant::now());
                let flight = async move {
                    let answer = read.await;
                    cache.file(&filed, number, began, &answer);
                    answer
                };
                let flight = flight.boxed().shared();
                make_room(&mut slots);
                let slot = Slot {
                    number,
                    answer: None,
                    flight: flight.downgrade(),
                };
                slots.insert(key, slot);
                flight
            }
        };
        flight.await
    }

    /// Keeps those for which it is true. A read that is under way for another serves only those who wait for it already.
    pub(super) fn retain(&self, mut is_kept: impl FnMut(&K) -> bool) {
        self.slots().retain(|key, _| is_kept(key));
    }

    /// Drops what is kept of one object.
    pub(super) fn forget(&self, key: &K) {
        self.slots().remove(key);
    }

    fn file(&self, key: &K, number: u64, began: Instant, answer: &Read<V>) {
        // What was found is as old as its read; what was not found is kept from now on.
        let until = match answer {
            Ok(Some(_)) => began + FOUND_FOR,
            _ => Instant::now() + MISSED_FOR,
        };
        // Forgotten meanwhile, or asked for anew: then this answer is nobody's.
        if let Some(slot) = self.slots().get_mut(key)
            && slot.number == number
        {
            slot.answer = Some((answer.clone(), until));
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Slot<V>>> {
        self.slots.lock().expect("no panic under the lock")
    }
}

impl<V: Clone> Slot<V> {
    fn fresh(&self) -> Option<Read<V>> {
        let (answer, until) = self.answer.as_ref()?;
        (Instant::now() < *until).then(|| answer.clone())
    }
}

fn make_room<K: Eq + Hash, V: Clone>(slots: &mut HashMap<K, Slot<V>>) {
    if slots.len() >= MOST_KEPT {
        slots.retain(|_, slot| slot.fresh().is_some());
    }
    if slots.len() >= MOST_KEPT {
        slots.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    #[derive(Default)]
    struct Bench {
        cache: LookupCache<&'static str, u32>,
        reads: Arc<AtomicUsize>,
    }

    impl Bench {
        async fn ask(&self, answer: Read<u32>) -> Read<u32> {
            let reads = self.reads.clone();
            let read = || {
                async move {
                    reads.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    answer
                }
                .boxed()
            };
            self.cache.get("a", read).await
        }

        fn reads(&self) -> usize {
            self.reads.load(Ordering::Relaxed)
        }
    }

    fn trouble() -> Read<u32> {
        Err(Error::Unavailable {
            object: "a".to_owned(),
            detail: String::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_share_one_read_each_half_minute() {
        let bench = Bench::default();
        for round in 1..4 {
            for answer in join_all((0..50).map(|_| bench.ask(Ok(Some(7))))).await {
                assert_eq!(answer.unwrap(), Some(7));
            }
            assert_eq!(bench.reads(), round);
            tokio::time::advance(FOUND_FOR).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_miss_and_an_error_serve_those_who_ask_at_that_moment() {
        for answer in [Ok(None), trouble()] {
            let bench = Bench::default();
            for _ in 0..2 {
                let missed = bench.ask(answer.clone()).await;
                assert_eq!(missed.is_err(), answer.is_err());
            }
            assert_eq!(bench.reads(), 1);
            tokio::time::advance(MISSED_FOR).await;
            assert_eq!(bench.ask(Ok(Some(7))).await.unwrap(), Some(7));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_while_it_is_read_is_read_again() {
        let bench = Bench::default();
        let mut early = Box::pin(bench.ask(Ok(Some(1))));
        assert!(futures::poll!(&mut early).is_pending());
        bench.cache.retain(|_| false);
        let mut late = Box::pin(bench.ask(Ok(Some(2))));
        assert!(futures::poll!(&mut late).is_pending());
        assert_eq!(early.await.unwrap(), Some(1));
        assert_eq!(late.await.unwrap(), Some(2));
        assert_eq!(bench.ask(trouble()).await.unwrap(), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_nobody_waits_for_is_dropped() {
        let bench = Bench::default();
        let within = Duration::from_millis(10);
        let dropped = tokio::time::timeout(within, bench.ask(trouble())).await;
        assert!(dropped.is_err());
        assert_eq!(bench.ask(Ok(Some(7))).await.unwrap(), Some(7));
        assert_eq!(bench.reads(), 2);
    }
}
