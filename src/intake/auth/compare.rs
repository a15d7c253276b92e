//! Comparisons that take as long for a wrong value as for the right one.
//!
//! Values of any length are compared by what HMAC makes of them under a key of
//! this process: neither the length nor a common beginning of what is stored shows
//! in the time.

use ring::hmac::{HMAC_SHA256, Key};
use ring::rand::SystemRandom;
use subtle::ConstantTimeEq as _;

/// Compares what is presented with what is stored.
pub(super) struct Comparer {
    /// Without it, nothing is equal.
    key: Option<Key>,
}

impl Comparer {
    /// A comparer with a key of its own.
    pub(super) fn new() -> Self {
        Self {
            key: Key::generate(HMAC_SHA256, &SystemRandom::new()).ok(),
        }
    }

    /// Whether `presented` is `stored`. An empty value equals nothing.
    pub(super) fn equal(&self, presented: &[u8], stored: &[u8]) -> bool {
        match (self.tag(presented), self.tag(stored)) {
            (Some(presented), Some(stored)) => tags_equal(&presented, &stored),
            _ => false,
        }
    }

    /// What stands for a value in this process: equal values have equal tags, and nothing else can be told from one. An
    /// empty value has none.
    pub(super) fn tag(&self, value: &[u8]) -> Option<[u8; 32]> {
        let tag = ring::hmac::sign(self.key.as_ref()?, value);
        let tag = tag.as_ref().try_into().ok()?;
        (!value.is_empty()).then_some(tag)
    }
}

/// Whether two tags of one HMAC are the same.
pub(super) fn tags_equal(left: &[u8], right: &[u8]) -> bool {
    bool::from(left.ct_eq(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_equal_in_every_byte() {
        let comparer = Comparer::new();
        assert!(comparer.equal(b"key", b"key"));
        for (presented, stored) in [
            ("key", "kez"),
            ("key", "ke"),
            ("ke", "key"),
            ("", "key"),
            ("key", ""),
            ("", ""),
            ("key\n", "key"),
            ("KEY", "key"),
        ] {
            let equal = comparer.equal(presented.as_bytes(), stored.as_bytes());
            assert!(!equal, "{presented:?} {stored:?}");
        }
        assert!(tags_equal(&[7; 32], &[7; 32]));
        assert!(!tags_equal(&[7; 32], &[7; 31]));
        assert!(!tags_equal(&[7; 32], &[8; 32]));
    }
}
