//! Secrets of events that are looked at again: no delivery waits for them any more.
//!
//! A Secret whose Job was refused goes. One whose owner could not be written gets it. One whose delivery ended without
//! a clear answer is looked at when no create can be applied any more. Only this process knows of them: what a crash
//! forgets goes with its EventJob, or is found by the next delivery of its event.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Either, select};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use super::file::{self, CALL};
use crate::cluster::Cluster;
use crate::resource::ObjectId;

/// Secrets that are kept in mind. Beyond them the newest are not: they go with their EventJobs.
const MOST: usize = 10_000;
/// Secrets that are looked at at once.
const AT_ONCE: usize = 8;
/// Between two looks at one that could not be looked after; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Secrets to look at, and when.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    due: Mutex<HashMap<ObjectId, Due>>,
    sooner: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    failures: u32,
}

impl Leftovers {
    /// The Secret of this name is looked at after this time.
    pub(super) fn add(&self, id: &ObjectId, wait: Duration) {
        self.put(id.clone(), wait, 0);
        self.sooner.notify_one();
    }

    fn put(&self, id: ObjectId, wait: Duration, failures: u32) {
        let at = Instant::now() + wait;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() < MOST || due.contains_key(&id) {
            let known = due.entry(id).or_insert(Due { at, failures });
            known.at = known.at.min(at);
        }
    }

    /// Those whose time has come.
    fn take(&self) -> Vec<(ObjectId, u32)> {
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = due.extract_if(|_, due| due.at <= now);
        ready.map(|(id, due)| (id, due.failures)).collect()
    }

    fn next(&self) -> Option<Instant> {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.values().map(|due| due.at).min()
    }

    /// Looks after them until told to stop; once more at those that are due then.
    pub(super) async fn run(&self, cluster: &Cluster, stop: impl Future<Output = ()> + Unpin) {
        let looks = Box::pin(async {
            loop {
                let sooner = self.sooner.notified();
                self.look(cluster).await;
                match self.next() {
                    Some(next) => drop(tokio::time::timeout_at(next, sooner).await),
                    None => sooner.await,
                }
            }
        });
        match select(looks, stop).await {
            Either::Left(((), _)) => {}
            Either::Right(_) => self.look(cluster).await,
        }
    }

    async fn look(&self, cluster: &Cluster) {
        let looks = futures::stream::iter(self.take()).map(|(id, failures)| async move {
            let Err(error) = file::tend(cluster, &id, CALL).await else {
                return;
            };
            debug!("secret {id} cannot be looked after now: {error}");
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures));
            self.put(id, pause.min(LONGEST_PAUSE), failures.saturating_add(1));
        });
        looks.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }
}
