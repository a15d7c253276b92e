//! A million keys in 30 MB: sorted runs, found by the first bits of the key.
//!
//! Keys are hashes, so their first bits spread them evenly. A hash table would take
//! twice the room, and twice that again while it grows.

use std::time::Duration;

use super::{Entry, Key};

/// Keys of one run, on average, before every run is cut in two.
const RUN: usize = 256;
/// Room that a full run gets more of at once: a quarter of nothing is nothing, and doubling would waste a third.
const GROWTH: usize = 16;
/// Not in the ledger any more, though it was.
const LOST: u32 = u32::MAX;

/// What is known of a key: 28 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    key: Key,
    /// Unix seconds, the API server's.
    pub(super) expires_at: u32,
    /// Boot time in seconds, rounded up, since when it is known to be in the ledger; or [`LOST`].
    since: u32,
    /// The shard it is in: of several, the one where it lasts longest.
    shard: u32,
}

impl Slot {
    /// A key that was found in a shard.
    pub(super) fn new(entry: Entry, boot: Duration, shard: u32) -> Self {
        let seconds = boot.as_secs() + u64::from(boot.subsec_nanos() > 0);
        Self {
            key: entry.key,
            expires_at: entry.expires_at,
            since: u32::try_from(seconds).unwrap_or(LOST),
            shard,
        }
    }

    /// Boot time since when it is known to be in the ledger; `None` when it is not there any more.
    pub(super) fn since(&self) -> Option<Duration> {
        (self.since != LOST).then(|| Duration::from_secs(self.since.into()))
    }
}

/// The keys, each once.
#[derive(Debug)]
pub(super) struct Keys {
    /// 2^bits of them, each sorted.
    runs: Vec<Vec<Slot>>,
    bits: u32,
    count: usize,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            runs: vec![Vec::new()],
            bits: 0,
            count: 0,
        }
    }
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, key: Key) -> Option<&Slot> {
        let run = &self.runs[self.run_of(key)];
        let at = run.binary_search_by_key(&key, |slot| slot.key).ok()?;
        run.get(at)
    }

    /// Adds a key. One that is known keeps the time since when it is, and gets the later expiry.
    pub(super) fn insert(&mut self, slot: Slot) {
        if self.count >= RUN << self.bits {
            self.split();
        }
        let index = self.run_of(slot.key);
        let run = &mut self.runs[index];
        match run.binary_search_by_key(&slot.key, |slot| slot.key) {
            Ok(at) => {
                let known = &mut run[at];
                if slot.expires_at > known.expires_at || known.since == LOST {
                    known.shard = slot.shard;
                }
                known.expires_at = known.expires_at.max(slot.expires_at);
                known.since = known.since.min(slot.since);
            }
            Err(at) => {
                if run.len() == run.capacity() {
                    run.reserve_exact(GROWTH);
                }
                run.insert(at, slot);
                self.count += 1;
            }
        }
    }

    /// The shard is not there any more, so its keys are in the ledger no longer.
    pub(super) fn lose(&mut self, shard: u32) {
        for slot in self
            .runs
            .iter_mut()
            .flatten()
            .filter(|slot| slot.shard == shard)
        {
            slot.since = LOST;
        }
    }

    /// Keeps those for which it is true.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&Slot) -> bool) {
        for run in &mut self.runs {
            run.retain(&mut is_kept);
            if run.capacity() > 2 * run.len() + GROWTH {
                run.shrink_to_fit();
            }
        }
        self.count = self.runs.iter().map(Vec::len).sum();
    }

    /// Bytes of all slots, used and spare.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.runs.iter().map(Vec::capacity).sum();
        slots * size_of::<Slot>() + self.runs.capacity() * size_of::<Vec<Slot>>()
    }

    /// Cuts every run in two by the next bit.
    fn split(&mut self) {
        self.bits += 1;
        let mut runs = Vec::with_capacity(1 << self.bits);
        for (index, mut run) in std::mem::take(&mut self.runs).into_iter().enumerate() {
            let at = run.partition_point(|slot| index_of(slot.key, self.bits) == 2 * index);
            let upper = run.split_off(at);
            run.shrink_to_fit();
            runs.extend([run, upper]);
        }
        self.runs = runs;
    }

    fn run_of(&self, key: Key) -> usize {
        index_of(key, self.bits)
    }
}

/// The number that the first bits of a key are.
fn index_of(key: Key, bits: u32) -> usize {
    let [first, second, third, fourth, ..] = key.0;
    let head = u32::from_be_bytes([first, second, third, fourth]);
    let index = head.checked_shr(u32::BITS - bits).unwrap_or(0);
    usize::try_from(index).expect("32 bits are an index")
}
