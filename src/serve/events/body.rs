//! A request's body as it comes in: its length is looked at first, then it is
//! counted, by size, by speed and against what all bodies together may take.

use std::sync::Arc;

use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::{DoorLimits, DoorPermits};
use crate::intake::{Body, BodyError, LARGEST_BODY};
use crate::places::{Caller, Place};

/// What room for bodies is counted in. Unit: bytes.
pub(super) const UNIT: usize = 1024;
/// Room for the first bytes: most events fit.
const FIRST: usize = 8 * UNIT;
/// What a body must bring in each window, or it is too slow. EventBridge brings its largest event in a fraction of one.
const LEAST: usize = 8 * 1024;

/// A body that has not been read, or has.
pub(super) struct RequestBody<'a> {
    incoming: Incoming,
    limits: &'a DoorLimits,
    room: &'a DoorPermits,
    deadline: Instant,
    namespace: Arc<str>,
    /// Until the answer is given.
    held: Option<OwnedSemaphorePermit>,
    turn: Option<Place>,
}

impl<'a> RequestBody<'a> {
    /// A body that must be there at `deadline`.
    pub(super) fn new(
        incoming: Incoming,
        limits: &'a DoorLimits,
        room: &'a DoorPermits,
        deadline: Instant,
        namespace: &str,
    ) -> Self {
        Self {
            incoming,
            limits,
            room,
            deadline,
            namespace: namespace.into(),
            held: None,
            turn: None,
        }
    }

    /// Whether nothing of it is left on the wire.
    pub(super) fn is_read(&self) -> bool {
        self.incoming.is_end_stream()
    }

    async fn collect(&mut self) -> Result<Vec<u8>, BodyError> {
        let declared = self.incoming.size_hint().lower();
        if declared > LARGEST_BODY as u64 {
            return Err(BodyError::TooLarge);
        }
        let mut bytes = Vec::new();
        let mut window = Instant::now() + self.limits.body_window;
        let mut in_window = 0;
        loop {
            let patience = window.min(self.deadline);
            let Ok(frame) = timeout_at(patience, self.incoming.frame()).await else {
                if in_window < LEAST || patience == self.deadline {
                    return Err(BodyError::TooSlow);
                }
                window += self.limits.body_window;
                in_window = 0;
                continue;
            };
            let Some(frame) = frame else {
                break;
            };
            // Trailers say nothing to us.
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
                continue;
            };
            in_window += data.len();
            let wanted = bytes.len() + data.len();
            if wanted > LARGEST_BODY {
                return Err(BodyError::TooLarge);
            }
            self.grow(&mut bytes, wanted)?;
            bytes.extend_from_slice(&data);
        }
        let caller = Caller {
            namespace: self.namespace.clone(),
            kind: 0,
        };
        let turn = self.room.requests.try_place(caller);
        self.turn = Some(turn.ok_or(BodyError::Busy)?);
        Ok(bytes)
    }

    /// Room for `wanted` bytes, doubled as needed; counted before it is taken.
    fn grow(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<(), BodyError> {
        if wanted <= bytes.capacity() {
            return Ok(());
        }
        let capacity = wanted
            .max(2 * bytes.capacity())
            .clamp(FIRST, LARGEST_BODY)
            .next_multiple_of(UNIT);
        let more = (capacity - bytes.capacity()) / UNIT;
        let more = u32::try_from(more).map_err(|_| BodyError::TooLarge)?;
        let permit = Semaphore::try_acquire_many_owned(Arc::clone(&self.room.body), more);
        let permit = permit.map_err(|_| BodyError::Busy)?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        bytes.reserve_exact(capacity - bytes.len());
        Ok(())
    }
}

impl Body for RequestBody<'_> {
    fn read(&mut self) -> BoxFuture<'_, Result<Vec<u8>, BodyError>> {
        Box::pin(self.collect())
    }
}
