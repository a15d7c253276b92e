//! How far a connection has come, and when our patience with it ends.
//!
//! The wire, the requests and the driver of one connection run in one task; what
//! they tell each other stands here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::ConnectionLimits;
use crate::serve::waiting::{Patience, QueuePlace, WaitingQueue};

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionStage {
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// An answer.
    Request,
    /// The peer to take the answer.
    Answer,
    /// Another request, or the end.
    Idle,
}

impl ConnectionStage {
    /// Whether the peer is waited for: then the connection makes room when room is needed.
    pub(super) fn is_the_peers(self) -> bool {
        self != Self::Request
    }
}

/// The progress of one connection.
#[derive(Debug)]
pub(in crate::serve) struct Progress {
    limits: ConnectionLimits,
    /// Held while the peer has to speak.
    place: QueuePlace,
    state: Mutex<ProgressState>,
}

#[derive(Debug, Clone, Copy)]
struct ProgressState {
    stage: ConnectionStage,
    /// Whether some request had a good answer.
    is_good: bool,
    /// The answer goes on: each piece that the peer takes shows that it is there.
    is_streaming: bool,
    head_began: Instant,
    deadline: Instant,
}

impl ProgressState {
    fn head(limits: &ConnectionLimits, is_good: bool) -> Self {
        let now = Instant::now();
        Self {
            stage: ConnectionStage::Head,
            is_good,
            is_streaming: false,
            head_began: now,
            deadline: now + limits.head,
        }
    }
}

impl Progress {
    /// A new connection, waiting for a head.
    pub(super) fn new(limits: ConnectionLimits, waiting: &WaitingQueue) -> Self {
        Self {
            limits,
            place: waiting.place(),
            state: Mutex::new(ProgressState::head(&limits, false)),
        }
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let mut state = self.lock();
        if state.stage == ConnectionStage::Idle {
            *state = ProgressState::head(&self.limits, state.is_good);
            drop(state);
            self.place.enter(Patience::Owed);
        }
    }

    /// A head is complete. Gives the latest moment for its body.
    pub(in crate::serve) fn requested(&self) -> Instant {
        self.place.leave();
        let mut state = self.lock();
        if state.stage != ConnectionStage::Head {
            // It came with the one before it.
            state.head_began = Instant::now();
        }
        let body = state.head_began + self.limits.whole;
        state.is_streaming = false;
        state.stage = ConnectionStage::Request;
        // Who answers has a clock of its own (4 s after the body); this one is for the day it fails.
        state.deadline = body + self.limits.write;
        body
    }

    /// The peer owes a body.
    pub(in crate::serve) fn waits_for_body(&self) {
        self.lock().stage = ConnectionStage::Body;
        self.place.enter(Patience::Owed);
    }

    /// The body has come, or is waited for no more.
    pub(in crate::serve) fn has_body(&self) {
        self.place.leave();
        self.lock().stage = ConnectionStage::Request;
    }

    /// The answer will go on, with a piece at least as often as a connection may rest.
    pub(in crate::serve) fn streams(&self) {
        self.lock().is_streaming = true;
    }

    /// The answer is known.
    pub(super) fn answered(&self, is_good: bool) {
        {
            let mut state = self.lock();
            state.stage = ConnectionStage::Answer;
            state.is_good |= is_good;
            state.deadline = Instant::now() + self.limits.write;
        }
        self.place.enter(Patience::Owed);
    }

    /// The peer, or the kernel for it, has taken all that was written.
    pub(super) fn written(&self) {
        let mut state = self.lock();
        if state.is_streaming && state.stage == ConnectionStage::Idle {
            state.deadline = Instant::now() + self.limits.idle;
        }
        if state.stage == ConnectionStage::Answer {
            state.stage = ConnectionStage::Idle;
            state.deadline = Instant::now() + self.limits.idle;
            let patience = if state.is_good {
                Patience::Rests
            } else {
                Patience::Owed
            };
            drop(state);
            self.place.enter(patience);
        }
    }

    /// The last answer is given.
    pub(super) fn lingers(&self) {
        self.place.enter(Patience::Lingers);
    }

    /// What is waited for, and until when.
    pub(super) fn now(&self) -> (ConnectionStage, Instant) {
        let state = self.lock();
        (state.stage, state.deadline)
    }

    /// Waits until somebody else needs this connection's room.
    pub(super) async fn turned_out(&self) {
        self.place.turned_out().await;
    }

    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
