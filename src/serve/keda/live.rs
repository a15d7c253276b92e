//! One trigger that KEDA asks about: what it means, its source, the last good reading.
//!
//! `IsActive`, `GetMetrics` and streams answer from the same reading by the same rule. A
//! read that fails leaves the last good one in force until it is too old; then there is
//! no answer, and never a zero.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use tracing::{info, warn};

use super::encode::{self, Encoded};
use super::refusal::RpcRefusal;
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

/// A trigger that is understood and connected.
pub(super) struct Ready {
    trigger: Trigger,
    /// Without KEDA's index in front.
    metric_name: String,
    target: Encoded,
    source: Arc<dyn Source>,
    ages: Ages,
    last: Mutex<Option<Taken>>,
    is_failing: AtomicBool,
}

impl Ready {
    pub(super) fn new(trigger: Trigger, source: Arc<dyn Source>, ages: Ages) -> Self {
        let metric_name = scaling::encode::without_index(0, &trigger.metric_name)
            .unwrap_or(&trigger.metric_name)
            .to_owned();
        Self {
            metric_name,
            target: encode::target(trigger.target),
            trigger,
            source,
            ages,
            last: Mutex::default(),
            is_failing: AtomicBool::new(false),
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
    pub(super) async fn value(&self) -> Result<Taken, RpcRefusal> {
        self.reading(self.ages.freshness, self.ages.freshness).await
    }

    /// A reading to answer `IsActive` from: the one that was given as a value a moment ago, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Self::value`].
    pub(super) async fn activity(&self) -> Result<Taken, RpcRefusal> {
        let known = self.ages.freshness + PAIR;
        self.reading(known, self.ages.freshness).await
    }

    /// A reading for streams, which ask as often as a reading stays fresh: nearly that old is too old for them.
    ///
    /// # Errors
    ///
    /// Those of [`Self::value`].
    pub(super) async fn tick(&self) -> Result<Taken, RpcRefusal> {
        self.reading(Duration::ZERO, self.ages.freshness * 4 / 5)
            .await
    }

    /// A reading taken after a push.
    ///
    /// # Errors
    ///
    /// Those of [`Self::value`].
    pub(super) async fn news(&self) -> Result<Taken, RpcRefusal> {
        self.reading(Duration::ZERO, Duration::ZERO).await
    }

    /// Waits for the source to say that there is something new.
    pub(super) fn pushed(&self) -> BoxFuture<'static, ()> {
        self.source.pushed()
    }

    async fn reading(&self, known: Duration, freshness: Duration) -> Result<Taken, RpcRefusal> {
        if let Some(taken) = self.last()
            && !known.is_zero()
            && age(&taken) <= known
        {
            return Ok(taken);
        }
        match self.source.read(freshness).await {
            Ok(taken) => {
                self.remember(&taken);
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    info!(
                        trigger = self.metric_name,
                        "{} can be read again", self.metric_name
                    );
                }
                Ok(taken)
            }
            Err(error) => self.unread(&error),
        }
    }

    fn unread(&self, error: &Error) -> Result<Taken, RpcRefusal> {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            warn!(
                trigger = self.metric_name,
                error = error as &dyn std::error::Error,
                "KEDA asks for {}, which cannot be read; the last reading is used for {} s at most",
                self.metric_name,
                self.ages.most.as_secs()
            );
        }
        match self.last().filter(|taken| age(taken) <= self.ages.most) {
            Some(taken) => Ok(taken),
            None => Err(RpcRefusal::Unavailable(format!(
                "{} cannot be read: {}",
                self.metric_name,
                error.reason()
            ))),
        }
    }

    fn last(&self) -> Option<Taken> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
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
