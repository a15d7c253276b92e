//! Names that the catalog does not know: nowhere, or not read yet.
//!
//! 404 follows a consistent read, as it is final. Strangers choose the names, so the reads have a price cap: a few at
//! once, a few a second, and an answer "not there" serves everybody for a second.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::answer::{DoorAnswer, Reason};
use super::clock::Clock;
use super::{Look, Webhook, not_synced};
use crate::resource::ObjectId;

/// Reads under way at once.
const LOOKS_AT_ONCE: usize = 8;
/// Reads of one namespace in a row, and one more each [`NAMESPACE_REFILL`].
const NAMESPACE_BURST: u32 = 10;
const NAMESPACE_REFILL: Duration = Duration::from_millis(200);
/// Reads of all namespaces in a row, and one more each [`REFILL`].
const BURST: u32 = 40;
const REFILL: Duration = Duration::from_millis(50);
/// "Not there" is believed for so long.
const MISSED_FOR: Duration = Duration::from_secs(1);

/// Reads of unknown names.
#[derive(Debug)]
pub(super) struct Looks {
    at_once: tokio::sync::Semaphore,
    state: Mutex<LooksState>,
}

#[derive(Debug, Default)]
struct LooksState {
    /// When all tokens will be there again: of everybody, and of each namespace.
    full_at: Option<Instant>,
    namespaces: HashMap<String, Instant>,
    /// Names that were not there, and until when that is believed. As many as there are tokens in that time.
    missed: HashMap<ObjectId, Instant>,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            at_once: tokio::sync::Semaphore::new(LOOKS_AT_ONCE),
            state: Mutex::default(),
        }
    }
}

impl Looks {
    fn was_missed(&self, id: &ObjectId) -> bool {
        let until = self.lock().missed.get(id).copied();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// A read that began at `began` found nothing.
    fn missed(&self, id: ObjectId, began: Instant) {
        let now = Instant::now();
        let mut state = self.lock();
        state.missed.retain(|_, until| now < *until);
        state.missed.insert(id, began + MISSED_FOR);
    }

    /// Takes a token of the namespace and one of everybody's.
    fn may(&self, namespace: &str) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        state.namespaces.retain(|_, full_at| now < *full_at);
        let own = state.namespaces.get(namespace).copied();
        let own = own.unwrap_or(now).max(now) + NAMESPACE_REFILL;
        let all = state.full_at.unwrap_or(now).max(now) + REFILL;
        let may = own <= now + NAMESPACE_REFILL * NAMESPACE_BURST && all <= now + REFILL * BURST;
        if may {
            state.namespaces.insert(namespace.to_owned(), own);
            state.full_at = Some(all);
        }
        may
    }

    fn lock(&self) -> MutexGuard<'_, LooksState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Webhook {
    /// The answer for a name that the catalog does not know; an empty name is the shared door's.
    pub(super) async fn unknown(&self, id: &ObjectId, clock: &Clock) -> DoorAnswer {
        if self.looks.was_missed(id) {
            return nowhere();
        }
        let look: &dyn Look = &*self.look;
        if !look.is_ours(&id.namespace) {
            return nowhere();
        }
        let Ok(_turn) = self.looks.at_once.try_acquire() else {
            return not_synced();
        };
        if !self.looks.may(&id.namespace) {
            return not_synced();
        }
        let began = Instant::now();
        let exists: BoxFuture<'_, Result<bool, String>> = if id.name.is_empty() {
            look.any_shared(&id.namespace)
        } else {
            look.exists(id)
        };
        let why = match tokio::time::timeout(clock.left(), exists).await {
            Ok(Ok(false)) => {
                self.looks.missed(id.clone(), began);
                return nowhere();
            }
            Ok(Ok(true)) => return not_synced(),
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        let namespace = ObjectId::new(&id.namespace, "");
        if self.troubles.is_news(&namespace, &why) {
            tracing::warn!("EventJobs of {} cannot be looked up: {why}", id.namespace);
        }
        DoorAnswer::error(
            Reason::Unavailable,
            "it cannot be told now whether there is an EventJob at this path",
        )
    }
}

pub(super) fn nowhere() -> DoorAnswer {
    DoorAnswer::error(
        Reason::NotFound,
        "there is no EventJob at this path: POST /events/{namespace}/{name}, or /events/{namespace} for shared ones",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn strangers_cause_a_few_reads_a_second_whatever_they_ask_for() {
        let looks = Looks::default();
        let taken = |namespaces: &[String]| {
            let may = |namespace: &&String| looks.may(namespace);
            namespaces.iter().filter(may).count()
        };
        let one = vec!["one".to_owned(); 1_000];
        assert_eq!(taken(&one), 10);
        let many: Vec<String> = (0..1_000).map(|number| format!("n{number}")).collect();
        assert_eq!(taken(&many), 30, "all together 40");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(&one), 5);
        assert_eq!(taken(&many), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_there_is_believed_for_a_second_from_the_read_on() {
        let looks = Looks::default();
        let id = ObjectId::new("n", "a");
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(400)).await;
        looks.missed(id.clone(), began);
        assert!(looks.was_missed(&id) && !looks.was_missed(&ObjectId::new("n", "b")));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(!looks.was_missed(&id));
    }
}
