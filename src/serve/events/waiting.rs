//! The connections that have not sent a whole head, oldest first.
//!
//! Where there is no room for a new connection, the one that has waited longest
//! makes some: an honest sender has its head out within milliseconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Those that wait. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingQueue {
    state: Arc<Mutex<QueueState>>,
}

#[derive(Debug, Default)]
struct QueueState {
    next: u64,
    turns: BTreeMap<u64, Arc<Notify>>,
}

/// One connection's place among them; it leaves when it is dropped.
#[derive(Debug)]
pub(super) struct QueuePlace {
    waiting: WaitingQueue,
    out: Arc<Notify>,
    turn: Mutex<Option<u64>>,
}

impl WaitingQueue {
    /// A place at the end of the line.
    pub(super) fn place(&self) -> QueuePlace {
        let place = QueuePlace {
            waiting: self.clone(),
            out: Arc::new(Notify::new()),
            turn: Mutex::new(None),
        };
        place.enter();
        place
    }

    /// Tells the connection that has waited longest to make room. False when none waits.
    pub(super) fn turn_out_the_oldest(&self) -> bool {
        let oldest = self.lock().turns.pop_first();
        oldest.is_some_and(|(_, out)| {
            out.notify_one();
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuePlace {
    /// Waits, from now on.
    pub(super) fn enter(&self) {
        let mut state = self.waiting.lock();
        let turn = state.next;
        state.next += 1;
        state.turns.insert(turn, Arc::clone(&self.out));
        *self.turn() = Some(turn);
    }

    /// Waits no more: a request has come.
    pub(super) fn leave(&self) {
        if let Some(turn) = self.turn().take() {
            self.waiting.lock().turns.remove(&turn);
        }
    }

    /// Waits until somebody else needs the room.
    pub(super) async fn turned_out(&self) {
        self.out.notified().await;
    }

    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn is_out(place: &QueuePlace) -> bool {
        place.turned_out().now_or_never().is_some()
    }

    #[test]
    fn the_one_that_has_waited_longest_makes_room() {
        let waiting = WaitingQueue::default();
        assert!(!waiting.turn_out_the_oldest(), "nobody waits");
        let [first, second, third] = [waiting.place(), waiting.place(), waiting.place()];
        first.leave();
        drop(second);
        first.enter();
        assert!(waiting.turn_out_the_oldest());
        assert!(is_out(&third) && !is_out(&first));
        assert!(waiting.turn_out_the_oldest());
        assert!(is_out(&first));
        assert!(!waiting.turn_out_the_oldest(), "both are told");
    }
}
