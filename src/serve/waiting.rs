//! The connections that wait for their peers, in the order in which they make room for others.
//!
//! Where there is no room for a new connection, the next of them makes some. First go those whose last answer is given.
//! Then go those that owe a head or a body, or have not taken an answer, the longest waiting first: an honest sender has
//! all of that done within milliseconds. Last go those that rest between two requests and had a good answer before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// A newcomer that finds no room waits so long for one that was turned out to go; then another one is turned out.
const GOES_WITHIN: Duration = Duration::from_millis(20);
/// A newcomer waits so long for room in all, while those behind it wait in the kernel. Then it is closed.
const ROOM_WITHIN: Duration = Duration::from_secs(1);

/// Those that wait. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingQueue {
    state: Arc<Mutex<QueueState>>,
}

#[derive(Debug, Default)]
struct QueueState {
    next: u64,
    turns: BTreeMap<(Patience, u64), Arc<Notify>>,
}

/// What a connection waits for: who goes first, goes first here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Patience {
    /// The end: the last answer is given.
    Lingers,
    /// A head, a body, or the peer to take an answer.
    Owed,
    /// The next request of a peer that had a good answer.
    Rests,
}

/// One connection's place among them; it leaves when it is dropped.
#[derive(Debug)]
pub(super) struct QueuePlace {
    waiting: WaitingQueue,
    out: Arc<Notify>,
    turn: Mutex<Option<(Patience, u64)>>,
}

impl WaitingQueue {
    /// A place for a new connection.
    pub(super) fn place(&self) -> QueuePlace {
        let place = QueuePlace {
            waiting: self.clone(),
            out: Arc::new(Notify::new()),
            turn: Mutex::new(None),
        };
        place.enter(Patience::Owed);
        place
    }

    /// Room for one more connection. Where there is none, those that wait for their peers are turned out until there is.
    /// `None` when all of them are being answered for too long, or at `stop`.
    pub(super) async fn make_room(
        &self,
        room: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
            return Some(permit);
        }
        let latest = Instant::now() + ROOM_WITHIN;
        loop {
            self.turn_out_the_next();
            tokio::select! {
                permit = Arc::clone(room).acquire_owned() => return permit.ok(),
                // It may have sent its request in the meantime: then it stays.
                () = sleep(GOES_WITHIN) => {}
                () = sleep_until(latest) => return None,
                () = stop.cancelled() => return None,
            }
        }
    }

    /// Tells the next one to make room. False when none waits.
    pub(super) fn turn_out_the_next(&self) -> bool {
        let next = self.lock().turns.pop_first();
        next.is_some_and(|(_, out)| {
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
    pub(super) fn enter(&self, patience: Patience) {
        let mut place = self.turn();
        let mut state = self.waiting.lock();
        if let Some(before) = place.take() {
            state.turns.remove(&before);
        }
        let turn = (patience, state.next);
        state.next += 1;
        state.turns.insert(turn, Arc::clone(&self.out));
        *place = Some(turn);
    }

    /// Waits no more: the peer has sent what it owed.
    pub(super) fn leave(&self) {
        if let Some(turn) = self.turn().take() {
            self.waiting.lock().turns.remove(&turn);
        }
    }

    /// Waits until somebody else needs the room.
    pub(super) async fn turned_out(&self) {
        self.out.notified().await;
    }

    fn turn(&self) -> MutexGuard<'_, Option<(Patience, u64)>> {
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
        assert!(!waiting.turn_out_the_next(), "nobody waits");
        let [first, second, third] = [waiting.place(), waiting.place(), waiting.place()];
        first.leave();
        drop(second);
        first.enter(Patience::Owed);
        assert!(waiting.turn_out_the_next());
        assert!(is_out(&third) && !is_out(&first));
        assert!(waiting.turn_out_the_next());
        assert!(is_out(&first));
        assert!(!waiting.turn_out_the_next(), "both are told");
    }

    #[test]
    fn who_has_nothing_to_say_goes_first_and_who_was_good_last() {
        let waiting = WaitingQueue::default();
        let [good, bodiless, done] = [waiting.place(), waiting.place(), waiting.place()];
        good.enter(Patience::Rests);
        done.enter(Patience::Lingers);
        for next in [&done, &bodiless, &good] {
            assert!(waiting.turn_out_the_next());
            assert!(is_out(next));
        }
    }
}
