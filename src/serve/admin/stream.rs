//! A page that is kept up to date: an event stream (text/event-stream, HTML Standard §9.2) of what differs.
//!
//! A page is looked at again when something is new, once a second at most. Where nothing is, a sign of life comes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::views::AdminView;
use super::{ALIVE_EVERY, Admin, AdminBody, AdminState, stamp};
use crate::page::regions::{SentRegions, fingerprint};

/// Between two pieces.
const PACE: Duration = Duration::from_secs(1);
/// A Job's way is read again so often: nothing tells of its Pods.
const READ_EVERY: Duration = Duration::from_secs(3);

/// One page somewhere.
struct Viewer<A> {
    state: Arc<AdminState<A>>,
    view: AdminView,
    /// What the page had when it was loaded.
    seen: String,
    sent: SentRegions,
    changes: watch::Receiver<u64>,
    looked_at: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

/// The stream, as an answer.
pub(super) fn answer<A: Admin>(
    state: Arc<AdminState<A>>,
    view: AdminView,
    seen: String,
    place: OwnedSemaphorePermit,
) -> Response<AdminBody> {
    let viewer = Viewer {
        changes: state.admin.board().changes(),
        state,
        view,
        seen,
        sent: SentRegions::default(),
        looked_at: None,
        _place: place,
    };
    let pieces = stream::unfold(viewer, |viewer| Box::pin(viewer.next()));
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    // For a proxy that would collect the pieces.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

impl<A: Admin> Viewer<A> {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Infallible>, Self)> {
        let alive = Instant::now() + ALIVE_EVERY;
        loop {
            let is_first = self.looked_at.is_none();
            if let Some(looked_at) = self.looked_at {
                let again = match self.view {
                    AdminView::Job(_) => looked_at + READ_EVERY,
                    AdminView::Overview(_) | AdminView::Object(_) => alive,
                };
                tokio::select! {
                    changed = self.changes.changed() => {
                        // The board lives as long as the port.
                        changed.ok()?;
                        sleep_until(looked_at + PACE).await;
                    }
                    () = sleep_until(alive.min(again)) => {}
                }
            }
            self.changes.mark_unchanged();
            self.looked_at = Some(Instant::now());
            let piece = self.piece().await;
            if let Some(piece) = piece {
                return Some((Ok(Frame::data(piece)), self));
            }
            if is_first || Instant::now() >= alive {
                let sign = self.event("alive", json!({}));
                return Some((Ok(Frame::data(sign)), self));
            }
        }
    }

    /// What differs from what was sent.
    async fn piece(&mut self) -> Option<Bytes> {
        let regions = match self.state.regions(&self.view).await {
            Ok(Some(regions)) => regions,
            Ok(None) => return Some(self.event("alive", json!({"gone": true}))),
            // It says nothing new for now; the next look may.
            Err(_) => return None,
        };
        let was_loaded = std::mem::take(&mut self.seen) == fingerprint(&regions);
        let difference = self.sent.difference(&regions)?;
        (!was_loaded).then(|| self.event("page", difference))
    }

    fn event(&self, name: &str, mut data: Value) -> Bytes {
        data["now"] = stamp((self.state.settings.clock)());
        // JSON has no line breaks of its own.
        format!("event: {name}\ndata: {data}\n\n").into()
    }
}
