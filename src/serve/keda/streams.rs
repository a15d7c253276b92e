//! What KEDA holds open for `external-push` triggers.
//!
//! One poll for each trigger that somebody listens to, however many do; it lives in the
//! `JoinSet` of [`poll_all`]. Listeners see the latest state through a watch: nothing is
//! ever in line but that. Every stream ends with OK, at the end of its connection or of
//! the program, so that KEDA is back within two seconds.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::connections::Edition;
use super::live::Ready;
use super::metrics::Held;
use super::refusal::RpcRefusal;
use super::triggers::{LiveTrigger, Streams, Triggers};
use crate::externalscaler::{GetMetricSpecResponse, IsActiveResponse, MetricSpec};

/// An active trigger is said to be so again after this time: KEDA may have dropped the last time it was said, and its
/// own polls come as often by default.
const SAID_AGAIN: Duration = Duration::from_secs(30);

/// Pushes that come faster than this are read together.
const GAP: Duration = Duration::from_millis(10);

/// What a stream takes from what all share, given back when it ends.
pub(super) struct StreamPlace {
    pub(super) _of_connection: OwnedSemaphorePermit,
    pub(super) _of_all: OwnedSemaphorePermit,
    pub(super) _counted: Held,
}

/// A trigger with a listener, which is one as long as this lives.
pub(super) struct Listener {
    triggers: Arc<Triggers>,
    live: Arc<LiveTrigger>,
    _place: StreamPlace,
}

impl Listener {
    /// Listens to a trigger, and has it polled if it is not already.
    ///
    /// # Errors
    ///
    /// [`RpcRefusal::Exhausted`] when nobody polls any more.
    pub(super) fn new(
        triggers: Arc<Triggers>,
        live: Arc<LiveTrigger>,
        place: StreamPlace,
        polls: &mpsc::Sender<Arc<LiveTrigger>>,
    ) -> Result<Self, RpcRefusal> {
        let mut streams = live.streams();
        if !streams.polled {
            polls
                .try_send(Arc::clone(&live))
                .map_err(|_| RpcRefusal::Exhausted("too many triggers are listened to"))?;
            streams.polled = true;
        }
        streams.open += 1;
        drop(streams);
        Ok(Self {
            triggers,
            live,
            _place: place,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.live.streams().open -= 1;
    }
}

/// Whether the trigger is active: at once, at every change, again while it is, until `stop`.
pub(super) fn activity(
    listener: Listener,
    ready: Arc<Ready>,
    stop: CancellationToken,
) -> BoxStream<'static, Result<IsActiveResponse, Status>> {
    let first = ActivityStream {
        changes: listener.live.activity.subscribe(),
        _listener: listener,
        ready: Some(ready),
        said: None,
        again: Instant::now(),
        stop: Box::pin(stop.cancelled_owned()),
    };
    stream::unfold(first, |mut told| async move {
        let result = told.next().await?;
        Some((Ok(IsActiveResponse { result }), told))
    })
    .boxed()
}

/// One stream of `StreamIsActive`.
struct ActivityStream {
    /// The trigger is polled as long as this lives.
    _listener: Listener,
    /// Until something was said.
    ready: Option<Arc<Ready>>,
    changes: watch::Receiver<Option<bool>>,
    said: Option<bool>,
    /// When to say it again.
    again: Instant,
    stop: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
}

impl ActivityStream {
    async fn next(&mut self) -> Option<bool> {
        if let Some(ready) = self.ready.take() {
            // The poll has perhaps not even begun.
            let now = tokio::select! {
                () = self.stop.as_mut() => return None,
                taken = ready.activity() => taken.ok().map(|taken| ready.is_active(&taken)),
            };
            if let Some(now) = now {
                return Some(self.say(now));
            }
        }
        loop {
            let latest = *self.changes.borrow_and_update();
            if let Some(latest) = latest.filter(|_| latest != self.said) {
                return Some(self.say(latest));
            }
            tokio::select! {
                () = self.stop.as_mut() => return None,
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.again), if self.said == Some(true) => {
                    // Nobody knows at the moment: nothing is said.
                    if self.changes.borrow().is_some() {
                        return Some(self.say(true));
                    }
                    self.again = Instant::now() + SAID_AGAIN;
                }
            }
        }
    }

    fn say(&mut self, active: bool) -> bool {
        self.said = Some(active);
        self.again = Instant::now() + SAID_AGAIN;
        active
    }
}

/// The metric of a trigger: at once, and when the connections change it, until `stop`.
pub(super) fn specs(
    listener: Listener,
    stop: CancellationToken,
) -> BoxStream<'static, Result<GetMetricSpecResponse, Status>> {
    let first = Described {
        changes: listener.triggers.connections().changes(),
        listener,
        said: None,
        stop: Box::pin(stop.cancelled_owned()),
    };
    stream::unfold(first, |mut described| async move {
        let spec = described.next().await?;
        Some((Ok(spec), described))
    })
    .boxed()
}

struct Described {
    listener: Listener,
    changes: watch::Receiver<Arc<Edition>>,
    said: Option<MetricSpec>,
    stop: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Described {
    async fn next(&mut self) -> Option<GetMetricSpecResponse> {
        loop {
            self.changes.borrow_and_update();
            // A trigger that an edition has made wrong is said to be so by the calls.
            if let Ok(ready) = self.listener.triggers.ready(&self.listener.live).await {
                let spec = metric_spec(&ready);
                if self.said.as_ref() != Some(&spec) {
                    self.said = Some(spec.clone());
                    return Some(GetMetricSpecResponse {
                        metric_specs: vec![spec],
                    });
                }
            }
            tokio::select! {
                () = self.stop.as_mut() => return None,
                changed = self.changes.changed() => changed.ok()?,
            }
        }
    }
}

/// The one metric of a trigger.
pub(super) fn metric_spec(ready: &Ready) -> MetricSpec {
    let target = ready.target();
    MetricSpec {
        metric_name: ready.metric_name().to_owned(),
        target_size: target.whole,
        target_size_float: target.float,
    }
}

/// Polls the triggers that come, as long as they have listeners, until `stop`.
///
/// # Panics
///
/// When a poll has: that is a bug, and ends the process.
pub(super) async fn poll_all(
    triggers: Arc<Triggers>,
    mut begun: mpsc::Receiver<Arc<LiveTrigger>>,
    stop: CancellationToken,
) {
    let mut polls = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(live) = begun.recv() => {
                polls.spawn(poll(Arc::clone(&triggers), live));
            }
            Some(ended) = polls.join_next() => ended.expect("a poll does not panic"),
        }
    }
}

/// Reads one trigger for its listeners as often as a reading stays fresh, and at once when its source pushes.
async fn poll(triggers: Arc<Triggers>, live: Arc<LiveTrigger>) {
    let every = triggers.ages().freshness.max(Duration::from_secs(1));
    let mut pushed = false;
    let mut last_push: Option<Instant> = None;
    loop {
        {
            let mut streams = live.streams();
            if streams.open == 0 {
                streams.polled = false;
                live.activity.send_replace(None);
                return;
            }
        }
        let Ok(ready) = triggers.ready(&live).await else {
            say(&live, None);
            tokio::time::sleep(every).await;
            continue;
        };
        // What happens from here on is told, so nothing falls between the reading and the wait.
        let mut push = ready.pushed();
        let is_early = futures::poll!(&mut push).is_ready();
        let read = async {
            if pushed {
                ready.news().await
            } else {
                ready.tick().await
            }
        };
        let taken = read.await.ok();
        say(&live, taken.map(|taken| ready.is_active(&taken)));
        pushed = is_early
            || tokio::select! {
                () = &mut push => true,
                () = tokio::time::sleep(every) => false,
            };
        if pushed {
            let (now, earlier) = (Instant::now(), last_push);
            last_push = Some(now);
            if earlier.is_some_and(|earlier| now < earlier + GAP) {
                tokio::time::sleep(GAP).await;
            }
        }
    }
}

fn say(live: &LiveTrigger, active: Option<bool>) {
    live.activity.send_if_modified(|said| {
        let changes = *said != active;
        *said = active;
        changes
    });
}

impl LiveTrigger {
    pub(super) fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
