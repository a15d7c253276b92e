//! One trigger that KEDA asks about: what it means, its source, the last good reading.
//!
//! `IsActive`, `GetMetrics` and streams answer from the same reading by the same rule. A
//! read that is slow, or fails for a while, leaves the last good one in force until it is
//! too old; then there is no answer, and never a zero. What a source clearly refuses is
//! told at once, and the last good reading is forgotten: it is known to be wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::encode::{self, Encoded};
use super::refusal::RpcRefusal;
use super::telling::LogBudget;
use crate::resource::Trigger;
use crate::scaling;
use crate::source::{Error, Source, Taken};

/// How old a reading may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// `--reading-freshness`: one read of the source serves every asker for so long.
    pub freshness: Duration,
    /// `--reading-max-age`: a reading is used for so long when there is no newer one.
    pub most: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        Self {
            freshness: Duration::from_secs(5),
            most: Duration::from_mins(1),
        }
    }
}

/// KEDA asks for the value and then, at once, whether that is active: both have to come from one reading,
/// although the first of them may be the last that its reading was fresh enough for.
const PAIR: Duration = Duration::from_secs(1);

/// A read that has taken so long is not waited for where there is a reading to use.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads that go on, although nobody may wait for them any more. They end with this.
#[derive(Default)]
pub(super) struct Reads {
    tasks: Mutex<JoinSet<()>>,
    /// What may be told of reads that fail.
    pub(super) log: LogBudget,
}

impl Reads {
    fn go_on(&self, read: impl Future<Output = ()> + Send + 'static) {
        let mut reads = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // A panic is told to those who wait.
        while reads.try_join_next().is_some() {}
        reads.spawn(read);
    }
}

/// A read that is under way, for all who wait for it.
#[derive(Clone)]
struct Flight {
    began: Instant,
    read: Shared<BoxFuture<'static, Result<Taken, Error>>>,
}

/// A trigger that is understood and connected.
pub(super) struct Ready {
    trigger: Trigger,
    /// Without KEDA's index in front.
    metric_name: String,
    target: Encoded,
    source: Arc<dyn Source>,
    ages: Ages,
    reads: Arc<Reads>,
    last: Mutex<Option<Taken>>,
    flight: Mutex<Option<Flight>>,
    /// The reason of the last read, if it failed.
    trouble: Mutex<Option<&'static str>>,
}

impl Ready {
    pub(super) fn new(
        trigger: Trigger,
        source: Arc<dyn Source>,
        ages: Ages,
        reads: Arc<Reads>,
    ) -> Self {
        let metric_name = scaling::encode::without_index(0, &trigger.metric_name)
            .unwrap_or(&trigger.metric_name)
            .to_owned();
        Self {
            metric_name,
            target: encode::target(trigger.target),
            trigger,
            source,
            ages,
            reads,
            last: Mutex::default(),
            flight: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// Whether both are one trigger: nothing that it refers to has changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.trigger == other.trigger
    }

    /// The name of its one metric.
    pub(super) fn metric_name(&self) -> &str {
        &self.metric_name
    }

    /// What one Job, or replica, takes.
    pub(super) fn target(&self) -> Encoded {
        self.target
    }

    /// Whether a reading means work.
    pub(super) fn is_active(&self, taken: &Taken) -> bool {
        taken.reading.activation() > self.trigger.activation
    }

    /// A reading to answer `GetMetrics` from.
    ///
    /// # Errors
    ///
    /// [`RpcRefusal::Unavailable`] when there is none that is young enough to be used.
    pub(super) async fn value(self: &Arc<Self>) -> Result<Taken, RpcRefusal> {
        self.reading(self.ages.freshness, self.ages.freshness).await
    }

    /// A reading to answer `IsActive` from: the one that was given as a value a moment ago, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Self::value`].
    pub(super) async fn activity(self: &Arc<Self>) -> Result<Taken, RpcRefusal> {
        let known = self.ages.freshness + PAIR;
        self.reading(known, self.ages.freshness).await
    }

    /// A reading for streams, which ask as often as a reading stays fresh: nearly that old is too old for them.
    ///
    /// # Errors
    ///
    /// Those of [`Self::value`].
    pub(super) async fn tick(self: &Arc<Self>) -> Result<Taken, RpcRefusal> {
        self.reading(Duration::ZERO, self.ages.freshness * 4 / 5)
            .await
    }

    /// A reading taken after a push.
    ///
    /// # Errors
    ///
    /// Those of [`Self::value`].
    pub(super) async fn news(self: &Arc<Self>) -> Result<Taken, RpcRefusal> {
        self.reading(Duration::ZERO, Duration::ZERO).await
    }

    /// Waits for the source to say that there is something new.
    pub(super) fn pushed(&self) -> BoxFuture<'static, ()> {
        self.source.pushed()
    }

    async fn reading(
        self: &Arc<Self>,
        known: Duration,
        freshness: Duration,
    ) -> Result<Taken, RpcRefusal> {
        if !known.is_zero()
            && let Some(taken) = self.last(known)
        {
            return Ok(taken);
        }
        let Flight { began, read } = self.read(freshness);
        if self.last(self.ages.most).is_some()
            && timeout_at(began + PATIENCE, read.clone()).await.is_err()
            && let Some(taken) = self.last(self.ages.most)
        {
            return Ok(taken);
        }
        let error = match read.await {
            Ok(taken) => return Ok(taken),
            Err(error) => error,
        };
        let last = self.last(self.ages.most);
        last.filter(|_| error.is_transient()).ok_or_else(|| {
            RpcRefusal::Unavailable(format!(
                "{} cannot be read: {}",
                self.metric_name,
                error.reason()
            ))
        })
    }

    /// The read that is under way, or a new one. It goes on to its end, whoever waits for it.
    fn read(self: &Arc<Self>, freshness: Duration) -> Flight {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flight
            .as_ref()
            .filter(|flight| flight.read.peek().is_none())
        {
            return flight.clone();
        }
        let (ready, source) = (Arc::downgrade(self), Arc::clone(&self.source));
        let read = async move {
            let result = source.read(freshness).await;
            if let Some(ready) = ready.upgrade() {
                ready.note(&result);
            }
            result
        };
        let new = Flight {
            began: Instant::now(),
            read: read.boxed().shared(),
        };
        *flight = Some(new.clone());
        drop(flight);
        // Most find an answer that is fresh enough.
        if new.read.clone().now_or_never().is_none() {
            self.reads.go_on(new.read.clone().map(drop));
        }
        new
    }

    /// What a read came to: kept, and told when it is something else than before.
    fn note(&self, result: &Result<Taken, Error>) {
        let reason = result.as_ref().err().map(Error::reason);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *trouble, reason);
        drop(trouble);
        match result {
            Ok(taken) => {
                self.remember(taken);
                if before.is_some() && self.reads.log.allows() {
                    info!(
                        trigger = self.metric_name,
                        "{} can be read again", self.metric_name
                    );
                }
            }
            Err(error) => {
                if !error.is_transient() {
                    *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                if before != reason && self.reads.log.allows() {
                    warn!(
                        trigger = self.metric_name,
                        error = error as &dyn std::error::Error,
                        "KEDA asks for {}, which cannot be read",
                        self.metric_name
                    );
                }
            }
        }
    }

    /// The last good reading, if it is not older than that.
    fn last(&self, most: Duration) -> Option<Taken> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().filter(|taken| age(taken) <= most)
    }

    /// Keeps the newer of two: reads may end in another order than they began in.
    fn remember(&self, taken: &Taken) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| last.at <= taken.at) {
            *last = Some(taken.clone());
        }
    }
}

fn age(taken: &Taken) -> Duration {
    Instant::now()
        .into_std()
        .saturating_duration_since(taken.at)
}
