//! A fixed shift of an object's starts, so that many objects with one schedule do not start in one second.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// How much later than its due times an object starts: 0 and up, below `within`, in whole seconds.
///
/// The same name gives the same shift, in every replica and release.
pub fn splay(name: &str, within: Duration) -> Duration {
    let hash = Sha256::digest(name.as_bytes());
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    match within.as_secs() {
        0 => Duration::ZERO,
        seconds => Duration::from_secs(u64::from_be_bytes(number) % seconds),
    }
}
