//! When Secrets are read again because somebody was refused: strangers cause it, so it is rare.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A namespace's Secrets are read again this often at most.
const APART: Duration = Duration::from_secs(1);
/// Namespaces remembered at once; they are those with EventJobs, so few.
const MOST: usize = 1_000;

/// When the Secrets of each namespace were last read again.
#[derive(Debug, Default)]
pub(super) struct Rereads(Mutex<HashMap<String, Instant>>);

impl Rereads {
    /// Whether a namespace's Secrets may be read again now; they are taken to be.
    pub(super) fn may(&self, namespace: &str) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MOST {
            last.retain(|_, at| now.duration_since(*at) < APART);
        }
        let is_due = last
            .get(namespace)
            .is_none_or(|at| now.duration_since(*at) >= APART);
        if is_due {
            last.insert(namespace.to_owned(), now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn strangers_cause_one_read_a_second_and_no_more() {
        let rereads = Rereads::default();
        assert!(rereads.may("a") && rereads.may("b"));
        assert!(!rereads.may("a"));
        tokio::time::advance(APART).await;
        assert!(rereads.may("a") && !rereads.may("a"));
    }
}
