//! The ports for Jobs of events: make them once each, see which there are, change their gates, remember them.
//!
//! Four small traits, because those who use them are four: whoever takes events, whoever counts Jobs, whoever gives
//! turns, whoever keeps the ledger. One adapter implements all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::launch::delivered::{Delivery, Gate};
use crate::launch::{Error, JobOutcome, Launched};
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// A Job of an event as it was last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveredJob {
    /// Namespace and name.
    pub id: ObjectId,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`: a change based on an older one is refused.
    pub version: String,
    /// The EventJob it was made for.
    pub event_job: ObjectId,
    /// The full hash behind its name, 64 hexadecimal digits.
    pub occurrence: String,
    /// Its gate; `None` when it was made without.
    pub gate: Option<Gate>,
    /// `spec.suspend`.
    pub is_suspended: bool,
    /// The name of the admission loop that last wrote its gate; `None` before the first.
    pub claimed_by: Option<String>,
    /// The hash of its concurrency key; empty when there is none.
    pub key: String,
    /// When its event was received, by the clock of whoever received it; its creation when that is not known.
    pub received_at: Timestamp,
    /// `metadata.creationTimestamp`.
    pub created_at: Timestamp,
    /// How it ended, and when; `None` while unfinished.
    pub ended: Option<(JobOutcome, Timestamp)>,
    /// Why it ended, from [`END_REASONS`](crate::launch::END_REASONS); empty while unfinished.
    pub end_reason: &'static str,
    /// It is being deleted.
    pub is_going: bool,
    /// `status.active`: Pods that are pending or running.
    pub active_pods: u32,
    /// `status.ready`: Pods that run and are ready.
    pub ready_pods: u32,
    /// `deduplicateFor` when it was made.
    pub remember_for: Duration,
}

impl DeliveredJob {
    /// Whether it waits for its turn, or takes room that another may wait for. One that has ended does neither, nor one
    /// that was dropped once it is suspended and its Pods are gone.
    pub fn is_open(&self) -> bool {
        let is_dropped = self.gate == Some(Gate::Dropped);
        self.ended.is_none() && !(is_dropped && self.is_suspended && self.active_pods == 0)
    }

    /// Whether it waits for its turn.
    pub fn is_waiting(&self) -> bool {
        let waits = self.gate == Some(Gate::Waiting) && self.is_suspended;
        waits && self.ended.is_none() && !self.is_going
    }
}

/// Makes the Jobs of events, once each.
pub trait Deliver: Send + Sync {
    /// Whether Jobs of this template can be made at all.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] in the server's words when they cannot; any other when it cannot be told now.
    fn prove<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<(), Error>>;

    /// Whether the occurrence has, or had, its Job; `None` when it never did, by a consistent look.
    ///
    /// # Errors
    ///
    /// [`Error`] when that cannot be told before the deadline.
    fn find<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Option<Launched>, Error>>;

    /// Makes the Job, once, however often it is called and by however many.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] when the Job may or may not exist; every other error means that it does not.
    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Launched, Error>>;
}

/// The Jobs of EventJobs as they were last seen.
pub trait DeliveredJobs: Send + Sync {
    /// The Jobs of an EventJob as they were at one moment, with all that happened to them before it. May lag: a Job may
    /// look unfinished that is not, or be missing that was made a moment ago. Never goes back.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] before they have been seen at all.
    fn seen(&self, event_job: &ObjectId) -> Result<Vec<DeliveredJob>, Error>;

    /// How many of them wait for their turn. Asked for each event: an adapter that can count without a copy does.
    ///
    /// # Errors
    ///
    /// As of [`DeliveredJobs::seen`].
    fn waiting(&self, event_job: &ObjectId) -> Result<usize, Error> {
        let jobs = self.seen(event_job)?;
        Ok(jobs.iter().filter(|job| job.is_waiting()).count())
    }

    /// EventJobs of which a Job appeared, changed or went since the last call; waits until there is one. For one listener.
    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>>;

    /// Ready once a Job of the EventJob appears that was not there at the call: it listens from the call on, polled or
    /// not. For any number of listeners.
    fn appeared(&self, event_job: &ObjectId) -> BoxFuture<'static, ()>;
}

/// Decides which Jobs may run.
pub trait Gates: Send + Sync {
    /// The Jobs of an EventJob that are [open](DeliveredJob::is_open), as they were at one moment: shown as by [`DeliveredJobs::seen`], and
    /// as quick however many have ended.
    ///
    /// # Errors
    ///
    /// As of [`DeliveredJobs::seen`].
    fn open(&self, event_job: &ObjectId) -> Result<Vec<DeliveredJob>, Error>;

    /// Writes a Job's gate, and `suspend` with it, in one change based on the version seen.
    /// [`Gates::open`] shows it when the watch does, not before.
    ///
    /// A gate that stays [`Gate::Waiting`] is a claim: it gets our name, and changes based on the version that others
    /// have seen are refused. [`Gate::Released`] lets a Job run. [`Gate::Dropped`] stops it for good.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the Job has changed since it was seen; [`Error::Gone`] when it is gone;
    /// [`Error::Unknown`] when nobody knows whether it was done.
    fn change<'a>(&'a self, job: &'a DeliveredJob, gate: Gate) -> BoxFuture<'a, Result<(), Error>>;
}

/// Keeps what must be known of Jobs when they are gone.
pub trait Remember: Send + Sync {
    /// Puts the keys of these Jobs into the ledger, where they are not. They are there when it returns.
    ///
    /// # Errors
    ///
    /// [`Error`] when some may not be there.
    fn remember<'a>(&'a self, jobs: &'a [DeliveredJob]) -> BoxFuture<'a, Result<(), Error>>;

    /// How long this process has known the Job's key to be in the ledger; `None` when it does not.
    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration>;

    /// Deletes a Job, if it is still the one with that UID; its Pods go with it. A Job that is gone is a success.
    ///
    /// # Errors
    ///
    /// [`Error`] when it may still be there.
    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>>;
}
