//! One delivered event: pattern → identity → Job, in this order, and what it came to.
//!
//! Nothing is retried here: the sender sends again, and the Job's name makes a repeat harmless.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::event::{Event, Refusal};
use crate::launch::delivered::Delivery;
use crate::launch::event_launcher::{EventLauncher, Found};
use crate::launch::{self, Launched};
use crate::resource::event_job::{Concurrency, EventJob};

use super::rate::{Permit, Rates};

/// What became of an event that was answered for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The pattern says no.
    Filtered {
        /// The first field of the pattern that refused.
        field: String,
        /// Why; quotes the pattern, never the event.
        reason: String,
    },
    /// There is, or was, a Job for it.
    Job {
        /// Its name.
        name: String,
        /// The event's id.
        event_id: String,
        /// What was done.
        result: Made,
        /// The Job was made for the same occurrence with another payload.
        payload_differs: bool,
    },
}

/// How an event came to its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// By this delivery.
    Created,
    /// By this delivery, and it waits for its turn.
    Waiting,
    /// By an earlier one.
    Duplicate,
}

/// Why an event has no Job, or none that is known of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event cannot become a Job of this EventJob, now or ever.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// `spec.suspend`.
    #[error("it is suspended")]
    Suspended,
    /// More launches than `rateLimit` allows.
    #[error("its rateLimit is used up")]
    RateLimited {
        /// When there is room again.
        retry_after: Duration,
    },
    /// As many Jobs wait as `concurrency.maxWaiting` allows.
    #[error("{waiting} Jobs wait for their turn already")]
    WaitingListFull {
        /// How many.
        waiting: usize,
    },
    /// The Job could not be made, or nobody knows whether it was.
    #[error(transparent)]
    Launch(#[from] launch::Error),
}

/// How deliveries are made.
pub struct Deliveries<'a> {
    /// Makes Jobs.
    pub launcher: &'a dyn EventLauncher,
    /// Launches of late, by EventJob.
    pub rates: &'a Rates,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

impl Deliveries<'_> {
    /// Delivers an event, and has an answer before `deadline`.
    ///
    /// # Errors
    ///
    /// [`Error`] when no Job is known to exist for it.
    pub async fn deliver(
        &self,
        event_job: &EventJob,
        event: &Event,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        if let Some(pattern) = &event_job.pattern
            && let Some(refusal) = pattern.refusal(&event.text)
        {
            return Ok(Outcome::Filtered {
                field: refusal.field,
                reason: refusal.reason,
            });
        }
        self.deliver_matching(event_job, event, deadline).await
    }

    /// As [`Deliveries::deliver`], for an event that is known to match.
    ///
    /// # Errors
    ///
    /// [`Error`] when no Job is known to exist for it.
    pub async fn deliver_matching(
        &self,
        event_job: &EventJob,
        event: &Event,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        if event_job.suspend {
            return Err(Error::Suspended);
        }
        let identity = event.identity(&event_job.id_from)?;
        let delivery = Delivery::new(
            event_job,
            event,
            &identity,
            (self.clock)(),
            self.launcher.grace(),
        )?;
        let left = || deadline.saturating_duration_since(Instant::now());
        let outcome = |found: Found| Outcome::Job {
            name: delivery.launch.id.name.clone(),
            event_id: identity.id.clone(),
            result: match found.launched {
                Launched::AlreadyThere => Made::Duplicate,
                Launched::Created if delivery.is_gated => Made::Waiting,
                Launched::Created => Made::Created,
            },
            payload_differs: found.payload_differs,
        };
        // What was launched before needs no room: it is asked for only when there is none.
        let permit = match self.room(event_job) {
            Ok(permit) => permit,
            Err(no_room) => {
                let found = self.launcher.find(&delivery, left()).await?;
                return found.map(outcome).ok_or(no_room);
            }
        };
        let found = self.launcher.launch(&delivery, left()).await;
        let may_be_new = match &found {
            Ok(found) => found.launched == Launched::Created,
            Err(error) => matches!(error, launch::Error::Unknown { .. }),
        };
        if may_be_new && let Some(permit) = permit {
            permit.used();
        }
        Ok(outcome(found?))
    }

    /// Whether one more Job may be made now.
    fn room(&self, event_job: &EventJob) -> Result<Option<Permit<'_>>, Error> {
        if let Concurrency::Gated { max_waiting, .. } = event_job.concurrency {
            let waiting = self.launcher.waiting(&event_job.id)?;
            if u32::try_from(waiting).is_ok_and(|waiting| waiting >= max_waiting) {
                return Err(Error::WaitingListFull { waiting });
            }
        }
        let Some(limit) = event_job.rate_limit else {
            return Ok(None);
        };
        self.rates
            .take(&event_job.id, limit)
            .map(Some)
            .map_err(|retry_after| Error::RateLimited { retry_after })
    }
}
