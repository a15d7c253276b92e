//! A request's body as it comes in: its length is looked at first, then it is
//! counted, by size, by speed and against what all bodies together may take.

use std::error::Error as _;
use std::io;

use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use super::DoorLimits;
use super::room::{DoorRoom, RoomOwner, RoomPermit, UNIT};
use crate::intake::{Body, BodyError, LARGEST_BODY, SenderKind};
use crate::serve::http1::Progress;

/// Room for the first bytes: most events fit.
const FIRST: usize = 8 * UNIT;
/// What a body must bring in each window, or it is too slow. EventBridge brings its largest event in a fraction of one.
const LEAST: usize = 8 * 1024;

/// A body that has not been read, or has.
pub(super) struct RequestBody<'a> {
    incoming: Incoming,
    limits: &'a DoorLimits,
    room: &'a DoorRoom,
    progress: &'a Progress,
    deadline: Instant,
    owner: RoomOwner,
    read_as: SenderKind,
    /// Until the answer is given.
    bytes: Option<RoomPermit>,
    place: Option<RoomPermit>,
}

impl<'a> RequestBody<'a> {
    /// A body that must be there at `deadline`.
    pub(super) fn new(
        incoming: Incoming,
        limits: &'a DoorLimits,
        room: &'a DoorRoom,
        progress: &'a Progress,
        deadline: Instant,
        owner: RoomOwner,
    ) -> Self {
        Self {
            incoming,
            limits,
            room,
            progress,
            deadline,
            owner,
            read_as: SenderKind::Stranger,
            bytes: None,
            place: None,
        }
    }

    /// Whether nothing of it is left on the wire.
    pub(super) fn is_read(&self) -> bool {
        self.incoming.is_end_stream()
    }

    async fn read_whole(&mut self, sender: SenderKind) -> Result<Vec<u8>, BodyError> {
        self.read_as = sender;
        self.progress.waits_for_body();
        let whole = self.collect(sender).await;
        self.progress.has_body();
        whole
    }

    async fn collect(&mut self, sender: SenderKind) -> Result<Vec<u8>, BodyError> {
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
            let Ok(data) = frame.map_err(|error| why(&error))?.into_data() else {
                continue;
            };
            in_window += data.len();
            let wanted = bytes.len() + data.len();
            if wanted > LARGEST_BODY {
                return Err(BodyError::TooLarge);
            }
            self.grow(&mut bytes, wanted, sender)?;
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// Room for `wanted` bytes, doubled as needed; counted before it is taken.
    fn grow(
        &mut self,
        bytes: &mut Vec<u8>,
        wanted: usize,
        sender: SenderKind,
    ) -> Result<(), BodyError> {
        if wanted <= bytes.capacity() {
            return Ok(());
        }
        let capacity = wanted
            .max(2 * bytes.capacity())
            .clamp(FIRST, LARGEST_BODY)
            .next_multiple_of(UNIT);
        let more = (capacity - bytes.capacity()) / UNIT;
        let more = u32::try_from(more).map_err(|_| BodyError::TooLarge)?;
        if let Some(held) = &mut self.bytes {
            if !held.grow(more) {
                return Err(BodyError::Busy);
            }
        } else {
            let taken = self.room.of(sender).bytes.take(&self.owner, more);
            self.bytes = Some(taken.ok_or(BodyError::Busy)?);
        }
        bytes.reserve_exact(capacity - bytes.len());
        Ok(())
    }
}

impl Body for RequestBody<'_> {
    fn read(&mut self, sender: SenderKind) -> BoxFuture<'_, Result<Vec<u8>, BodyError>> {
        Box::pin(self.read_whole(sender))
    }

    fn admit(&mut self, sender: SenderKind) -> Result<(), BodyError> {
        let rooms = self.room.of(sender);
        let place = rooms.requests.take(&self.owner, 1);
        self.place = Some(place.ok_or(BodyError::Busy)?);
        // Who has just been proved by its body leaves the strangers' room. Where there is no other, it stays.
        if sender != self.read_as
            && let Some(held) = &self.bytes
            && let Some(own) = rooms.bytes.take(&self.owner, held.units())
        {
            self.bytes = Some(own);
        }
        Ok(())
    }
}

/// Whose fault it is that a body cannot be read: the sender's when its framing is not valid, the connection's otherwise.
fn why(error: &hyper::Error) -> BodyError {
    let cause = error.source();
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => BodyError::Misframed,
        _ => BodyError::BrokeOff,
    }
}
