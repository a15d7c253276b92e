//! How far a connection has come, and when the door's patience with it ends.
//!
//! The wire, the requests and the driver of one connection run in one task; what
//! they tell each other stands here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::DoorLimits;
use super::waiting::{QueuePlace, WaitingQueue};

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionStage {
    /// The rest of a head.
    Head,
    /// A body, and an answer to it.
    Request,
    /// The peer to take the answer.
    Answer,
    /// Another request, or the end.
    Idle,
}

/// The progress of one connection.
#[derive(Debug)]
pub(super) struct Progress {
    limits: DoorLimits,
    /// Held while the peer has to speak.
    place: QueuePlace,
    state: Mutex<ProgressState>,
}

#[derive(Debug, Clone, Copy)]
struct ProgressState {
    stage: ConnectionStage,
    head_began: Instant,
    deadline: Instant,
}

impl ProgressState {
    fn head(limits: &DoorLimits) -> Self {
        let now = Instant::now();
        Self {
            stage: ConnectionStage::Head,
            head_began: now,
            deadline: now + limits.head,
        }
    }
}

impl Progress {
    /// A new connection, waiting for a head.
    pub(super) fn new(limits: DoorLimits, waiting: &WaitingQueue) -> Self {
        Self {
            limits,
            place: waiting.place(),
            state: Mutex::new(ProgressState::head(&limits)),
        }
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let mut state = self.lock();
        if state.stage == ConnectionStage::Idle {
            *state = ProgressState::head(&self.limits);
        }
    }

    /// A head is complete. Gives the latest moment for its body.
    pub(super) fn requested(&self) -> Instant {
        self.place.leave();
        let mut state = self.lock();
        if state.stage != ConnectionStage::Head {
            // It came with the one before it.
            state.head_began = Instant::now();
        }
        let body = state.head_began + self.limits.whole;
        state.stage = ConnectionStage::Request;
        // Who answers has a clock of its own (4 s after the body); this one is for the day it fails.
        state.deadline = body + self.limits.write;
        body
    }

    /// The answer is known.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.stage = ConnectionStage::Answer;
        state.deadline = Instant::now() + self.limits.write;
    }

    /// The peer, or the kernel for it, has taken all that was written.
    pub(super) fn written(&self) {
        let mut state = self.lock();
        if state.stage == ConnectionStage::Answer {
            state.stage = ConnectionStage::Idle;
            state.deadline = Instant::now() + self.limits.idle;
            drop(state);
            self.place.enter();
        }
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
