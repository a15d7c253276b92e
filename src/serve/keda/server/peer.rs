//! A connection as the port sees it: whether it waits for its peer, and what its requests take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::ServerState;
use super::requests::PeerBudget;
use crate::serve::waiting::{Patience, QueuePlace};

/// One connection.
pub(super) struct PeerState {
    /// Its place among those that wait for their peers.
    pub(super) place: QueuePlace,
    pub(super) budget: Arc<PeerBudget>,
    /// Calls and streams under way.
    busy: AtomicUsize,
    /// A call of its was answered.
    had_answer: AtomicBool,
}

/// A call or a stream of a connection, while it is under way.
pub(super) struct Busy(Arc<PeerState>);

impl PeerState {
    /// A connection that has just come.
    pub(super) fn new(shared: &ServerState) -> Arc<Self> {
        Arc::new(Self {
            place: shared.waiting.place(),
            budget: shared.requests.peer(),
            busy: AtomicUsize::new(0),
            had_answer: AtomicBool::new(false),
        })
    }

    /// Something is under way, until the guard is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        if self.busy.fetch_add(1, Ordering::AcqRel) == 0 {
            self.place.leave();
        }
        Busy(Arc::clone(self))
    }

    /// Waits until somebody else needs its room, which it gives only while nothing is under way.
    pub(super) async fn turned_out(&self) {
        loop {
            self.place.turned_out().await;
            if self.busy.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }
}

impl Busy {
    /// What is under way has been answered.
    pub(super) fn answered(&self) {
        self.0.had_answer.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            let patience = if self.0.had_answer.load(Ordering::Relaxed) {
                Patience::Rests
            } else {
                Patience::Owed
            };
            self.0.place.enter(patience);
        }
    }
}
