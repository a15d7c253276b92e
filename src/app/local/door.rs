//! The door for events of `slipway local`, and when somebody last knocked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::intake::Body;
use crate::intake::webhook::answer::DoorAnswer;
use crate::intake::webhook::{Request, Webhook};
use crate::serve::Stops;
use crate::serve::events::{self, Door, DoorLimits};
use crate::serve::health::Readiness;

/// A door that remembers when it was last used.
pub(super) struct Knocked {
    webhook: Webhook,
    /// Requests under way, and when the last one ended.
    last: Mutex<(usize, Instant)>,
}

impl Knocked {
    /// Nobody has been there yet.
    pub(super) fn new(webhook: Webhook) -> Self {
        Self {
            webhook,
            last: Mutex::new((0, Instant::now())),
        }
    }

    /// Whether nobody has been there for so long.
    pub(super) fn is_quiet(&self, time: Duration) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.0 == 0 && last.1.elapsed() >= time
    }

    fn note(&self, change: impl FnOnce(usize) -> usize) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (change(last.0), Instant::now());
    }
}

/// A request under way, until it is dropped.
struct Visit<'a>(&'a Knocked);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.note(|visits| visits.saturating_sub(1));
    }
}

impl Door for Knocked {
    fn answer<'a>(
        &'a self,
        request: Request<'a>,
        body: &'a mut dyn Body,
    ) -> BoxFuture<'a, DoorAnswer> {
        Box::pin(async move {
            self.note(|visits| visits.saturating_add(1));
            let _visit = Visit(self);
            self.webhook.answer(request, body).await
        })
    }

    fn turned_away(&self, status: u16) {
        self.webhook.turned_away(status);
    }

    fn allows_origin(&self, namespace: &str, name: &str, origin: &str) -> bool {
        self.webhook.allows_origin(namespace, name, origin)
    }
}

/// Answers at the door once it is open, until `stop`.
pub(super) async fn serve(
    mut listeners: mpsc::Receiver<TcpListener>,
    door: Arc<Knocked>,
    ready: Readiness,
    stops: Stops,
) -> anyhow::Result<()> {
    let stop = stops.closing.clone();
    let listener = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        listener = listeners.recv() => listener,
    };
    if let Some(listener) = listener {
        let limits = DoorLimits::of_this_process();
        events::serve(listener, door, None, limits, ready, stops).await?;
    }
    // There may be no door to open any more, and still work.
    stop.cancelled().await;
    Ok(())
}
