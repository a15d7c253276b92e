//! When Secrets are read again because somebody was refused: strangers cause it, so it is rare.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The Secrets of one turn are read again this often at most.
const APART: Duration = Duration::from_secs(1);
/// The Secrets of a namespace share so many turns: that bounds what strangers cause, and leaves most of the turns to others.
const TURNS: u64 = 16;
/// Turns remembered at once; they are those of namespaces with EventJobs, so few.
const MOST: usize = 10_000;

/// When the Secrets of each turn were last read again.
#[derive(Debug, Default)]
pub(super) struct Rereads(Mutex<HashMap<(String, u64), Instant>>);

impl Rereads {
    /// Whether these Secrets of a namespace may be read again now; they are taken to be.
    pub(super) fn may(&self, namespace: &str, names: &BTreeSet<&str>) -> bool {
        let now = Instant::now();
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        let turn = (namespace.to_owned(), hasher.finish() % TURNS);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MOST {
            last.retain(|_, at| now.duration_since(*at) < APART);
        }
        let is_due = last
            .get(&turn)
            .is_none_or(|at| now.duration_since(*at) >= APART);
        if is_due {
            last.insert(turn, now);
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
        let one = BTreeSet::from(["hook"]);
        assert!(rereads.may("a", &one) && rereads.may("b", &one));
        assert!(!rereads.may("a", &one));
        tokio::time::advance(APART).await;
        assert!(rereads.may("a", &one) && !rereads.may("a", &one));
        let names: Vec<String> = (0..1_000).map(|number| format!("s{number}")).collect();
        let may = |name: &&String| rereads.may("c", &BTreeSet::from([name.as_str()]));
        assert_eq!(names.iter().filter(may).count(), 16, "of one namespace");
    }
}
