//! Conditions by a value they are met by, for one look-up a value.
//!
//! The keys are written by whoever writes patterns, and an event only looks them up: nobody can fill a
//! table with keys that collide, so a hash of a few instructions does.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Conditions by value.
pub(super) type Table<T> = HashMap<T, ConditionSet, BuildHasherDefault<Words>>;

/// At least one condition, mostly one: it stands in the table itself, not behind a pointer.
#[derive(Debug)]
pub(super) struct ConditionSet {
    first: usize,
    others: Vec<usize>,
}

impl ConditionSet {
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }
}

/// Enters a condition under one more value.
pub(super) fn enter<T: Eq + Hash>(table: &mut Table<T>, value: T, condition: usize) {
    let entered = table.entry(value);
    entered
        .and_modify(|conditions| conditions.others.push(condition))
        .or_insert(ConditionSet {
            first: condition,
            others: Vec::new(),
        });
}

/// Takes a key in eight bytes at a time.
#[derive(Debug, Default)]
pub(super) struct Words(u64);

/// Odd, its bits without a pattern: the fraction of the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Words {
    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ SPREAD.rotate_left(32)) * u128::from(SPREAD);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        self.0 = low ^ high;
    }
}

impl Hasher for Words {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let rest = rest.iter().rev();
        self.word(rest.fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.word(u64::from(byte));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.word(word);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
