//! One delivered event: pattern → identity → Job, in this order, and what it came to.
//!
//! Nothing is retried here: the sender sends again, and the Job's name makes a repeat harmless.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use crate::event::due::Moment;
use crate::event::{Event, Refusal};
use crate::launch::delivered::Delivery;
use crate::launch::ports::{Deliver, DeliveredJobs};
use crate::launch::{self, Guard, Launched};
use crate::resource::event_job::cron::Cron;
use crate::resource::event_job::{Concurrency, EventJob};

use super::rate::{Permit, Rates};
use super::refused::TemplateChecks;

/// What became of an event that was answered for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The pattern says no.
    Filtered {
        /// The first field of the pattern that refused.
        field: String,
        /// Why; quotes the pattern, never the event.
        reason: String,
    },
    /// There is, or was, a Job for it.
    Job(JobOfEvent),
}

/// The Job of an event that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOfEvent {
    /// The name that its occurrence has.
    pub name: String,
    /// The event's id.
    pub event_id: String,
    /// Made by this delivery, or before.
    pub launched: Launched,
    /// It is made to wait for its turn.
    pub is_gated: bool,
}

impl JobOfEvent {
    /// `result` of an answer and of a status.
    pub fn result(&self) -> &'static str {
        match self.launched {
            Launched::Created if self.is_gated => "Waiting",
            Launched::Created => "Created",
            Launched::AlreadyThere { .. } | Launched::Remembered => "Duplicate",
        }
    }

    /// The same, as the label of a metric.
    pub fn label(&self) -> &'static str {
        match self.launched {
            Launched::Created if self.is_gated => "waiting",
            Launched::Created => "created",
            Launched::AlreadyThere { .. } | Launched::Remembered => "duplicate",
        }
    }

    /// Whether its Job was made with another payload.
    pub fn payload_differs(&self) -> bool {
        let differs = Launched::AlreadyThere {
            payload_differs: true,
        };
        self.launched == differs
    }

    /// Its name; `None` when it is gone, or had another name.
    pub fn existing_name(&self) -> Option<&str> {
        (self.launched != Launched::Remembered).then_some(&self.name)
    }
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
    /// The API server refuses every Job of the template: it is not the event's fault.
    #[error("its template is refused: {detail}")]
    TemplateRefused {
        /// The server's words about the bare template.
        detail: String,
    },
    /// The Job could not be made, or nobody knows whether it was.
    #[error(transparent)]
    Launch(#[from] launch::Error),
}

impl Error {
    /// In words, what the same delivery would always come to.
    ///
    /// # Errors
    ///
    /// The trouble, when it may pass.
    pub fn lasting(self) -> Result<String, launch::Error> {
        match self {
            Self::Refused(refusal) => Ok(refusal.to_string()),
            Self::TemplateRefused { .. } => Ok(self.to_string()),
            Self::Launch(error) if error.is_transient() => Err(error),
            Self::Launch(error) => Ok(error.to_string()),
            error => Err(launch::Error::Unavailable {
                object: "room for one more Job".to_owned(),
                detail: error.to_string(),
            }),
        }
    }
}

/// How deliveries are made.
pub struct Deliveries {
    launcher: Arc<dyn Deliver>,
    jobs: Arc<dyn DeliveredJobs>,
    grace: Duration,
    rates: Rates,
    templates: TemplateChecks,
    clock: fn() -> Timestamp,
}

impl Deliveries {
    /// Deliveries through a launcher; `jobs` are what it made.
    ///
    /// `grace`: what a shorter TTL of a Job is raised to, `--ledger-grace`. `clock`: the wall clock.
    pub fn new(
        launcher: Arc<dyn Deliver>,
        jobs: Arc<dyn DeliveredJobs>,
        grace: Duration,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            launcher,
            jobs,
            grace,
            rates: Rates::default(),
            templates: TemplateChecks::default(),
            clock,
        }
    }

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
    ) -> Result<DeliveryOutcome, Error> {
        event.check_names(event_job)?;
        if let Some(pattern) = &event_job.pattern
            && let Some(refusal) = pattern.refusal(&event.text)
        {
            return Ok(DeliveryOutcome::Filtered {
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
    ) -> Result<DeliveryOutcome, Error> {
        event.check_names(event_job)?;
        if let Some(mismatch) = event.header_mismatch(event_job) {
            return Ok(DeliveryOutcome::Filtered {
                field: mismatch.field,
                reason: mismatch.reason,
            });
        }
        if event_job.suspend {
            return Err(Error::Suspended);
        }
        let identity = event.identity(&event_job.id_from)?;
        let delivery = Delivery::new(event_job, event, &identity, (self.clock)(), self.grace)?;
        self.make(event_job, &delivery, identity.id, deadline, Guard::always())
            .await
    }

    /// Makes the Job of a moment, while `may` says yes, and knows what became of it before `deadline`.
    ///
    /// # Errors
    ///
    /// [`Error`] when no Job is known to exist for it.
    pub async fn deliver_moment(
        &self,
        event_job: &EventJob,
        cron: &Cron,
        moment: Moment<'_>,
        deadline: Instant,
        may: Guard,
    ) -> Result<DeliveryOutcome, Error> {
        let delivery = Delivery::of_moment(event_job, cron, moment, self.grace)?;
        self.make(event_job, &delivery, moment.id(), deadline, may)
            .await
    }

    /// Makes another attempt of a Job that failed, while `may` says yes, and knows what became of it before `deadline`.
    ///
    /// # Errors
    ///
    /// [`Error`] when no Job is known to exist for it.
    pub async fn deliver_again(
        &self,
        event_job: &EventJob,
        delivery: &Delivery,
        deadline: Instant,
        may: Guard,
    ) -> Result<DeliveryOutcome, Error> {
        let id = delivery.launch.id.name.to_string();
        self.make(event_job, delivery, id, deadline, may).await
    }

    /// Whether a delivery has, or had, its Job, by a consistent look; `None` when it never did.
    ///
    /// # Errors
    ///
    /// [`launch::Error`] when that cannot be told before `deadline`.
    pub async fn find(
        &self,
        delivery: &Delivery,
        deadline: Instant,
    ) -> Result<Option<Launched>, launch::Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.launcher.find(delivery, left).await
    }

    async fn make(
        &self,
        event_job: &EventJob,
        delivery: &Delivery,
        event_id: String,
        deadline: Instant,
        may: Guard,
    ) -> Result<DeliveryOutcome, Error> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let outcome = |launched| {
            DeliveryOutcome::Job(JobOfEvent {
                name: delivery.launch.id.name.to_string(),
                event_id,
                launched,
                is_gated: delivery.is_gated,
            })
        };
        // What was launched before needs no room: it is asked for only when there is none.
        let permit = match self.room(event_job) {
            Ok(permit) => permit,
            Err(no_room) => {
                let found = self.launcher.find(delivery, left()).await?;
                return found.map(outcome).ok_or(no_room);
            }
        };
        let launched = self.launcher.launch(delivery, left(), may).await;
        let may_be_new = match &launched {
            Ok(launched) => *launched == Launched::Created,
            Err(error) => matches!(error, launch::Error::Unknown { .. }),
        };
        if may_be_new && let Some(permit) = permit {
            permit.used();
        }
        match launched {
            Ok(launched) => Ok(outcome(launched)),
            Err(launch::Error::Rejected { object, detail }) => {
                self.check_template(event_job, left()).await?;
                Err(launch::Error::Rejected { object, detail }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a Job that was refused a moment ago was refused for its event's values: then the template passes.
    async fn check_template(&self, event_job: &EventJob, left: Duration) -> Result<(), Error> {
        let unclear = |detail: String| launch::Error::Unavailable {
            object: format!("the template of EventJob {}", event_job.id),
            detail,
        };
        let asked = self.templates.ask(&*self.launcher, event_job);
        match tokio::time::timeout(left, asked).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.is_transient() => Err(unclear(error.to_string()).into()),
            Ok(Err(error)) => Err(Error::TemplateRefused {
                detail: error.to_string(),
            }),
            Err(_) => Err(unclear("no answer in time".to_owned()).into()),
        }
    }

    /// Whether one more Job may be made now.
    fn room(&self, event_job: &EventJob) -> Result<Option<Permit<'_>>, Error> {
        if let Concurrency::Gated { max_waiting, .. } = event_job.concurrency {
            let waiting = self.jobs.waiting(&event_job.id)?;
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
