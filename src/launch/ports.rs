//! The ports for Jobs of events: make them once each, see which there are, change their gates, remember them.
//!
//! Small traits, because those who use them are several: whoever takes events, whoever counts Jobs, whoever gives
//! turns, whoever keeps the ledger, whoever runs schedules, whoever runs a failed Job again. One adapter implements all of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::launch::attempt::{FailedJob, RerunRequest};
use crate::launch::delivered::{Delivery, Gate};
use crate::launch::schedule_record::ScheduleRecord;
use crate::launch::{Error, Guard, JobOutcome, Launched};
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;
use crate::resource::requests::JobRequest;

/// A Job of an event as it was last seen.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that was seen"
)]
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
    /// The due time of its schedule; `None` for a Job of an event.
    pub due: Option<Timestamp>,
    /// Somebody asked for it: its schedule alone would not have made it.
    pub is_asked_for: bool,
    /// Which attempt of its occurrence it is; 1 and up.
    pub attempt: u32,
    /// The full hash of the first attempt; `None` for that one itself.
    pub first: Option<String>,
    /// Somebody asks for another attempt, and nobody has answered.
    pub wants_rerun: bool,
    /// `metadata.creationTimestamp`.
    pub created_at: Timestamp,
    /// How it ended, and when; `None` while unfinished.
    pub ended: Option<(JobOutcome, Timestamp)>,
    /// Why it ended, from [`END_REASONS`](crate::launch::END_REASONS); empty while unfinished.
    pub end_reason: &'static str,
    /// Somebody removed it (`slipway rm`).
    pub is_removed: bool,
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
    /// The full hash of the first attempt of its occurrence.
    pub fn first_occurrence(&self) -> &str {
        self.first.as_deref().unwrap_or(&self.occurrence)
    }

    /// The due time for which its schedule would make it: it may go when the schedule has passed that.
    pub fn made_by_schedule_at(&self) -> Option<Timestamp> {
        self.due.filter(|_| self.attempt <= 1)
    }

    /// Whether the ledger has to know it before it may go. A schedule remembers by itself what it has made.
    pub fn needs_key(&self) -> bool {
        self.is_asked_for || self.made_by_schedule_at().is_none()
    }

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

    /// Makes the Job, once, however often it is called and by however many. `may` is asked right before the bytes of each
    /// try go out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] when the Job may or may not exist; every other error means that it does not. [`Error::Unavailable`] when
    /// `may` said no.
    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
        may: Guard,
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
    fn seen(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error>;

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
    fn open(&self, event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error>;

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

/// Keeps how far each schedule has come.
pub trait Schedules: Send + Sync {
    /// What somebody asks for about an EventJob, by its annotation or otherwise.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn requests(&self, event_job: &EventJob) -> Result<Vec<JobRequest>, String> {
        event_job.requests.clone()
    }

    /// A Job that has not ended and that somebody else made for the same object; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As of [`Schedules::read`].
    fn busy<'a>(
        &'a self,
        _event_job: &'a EventJob,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// What was written last about an EventJob's schedule, by a consistent read.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] when there is no such EventJob any more; [`Error::Unavailable`] when it cannot be told.
    fn read<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<ScheduleRecord, Error>>;

    /// Writes a record that was read and changed, if nobody else has written since. Returns its version.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when somebody has; [`Error::Unknown`] when nobody knows whether it was written.
    fn write<'a>(
        &'a self,
        event_job: &'a EventJob,
        record: &'a ScheduleRecord,
    ) -> BoxFuture<'a, Result<String, Error>>;
}

/// Knows which failed Jobs are to run again.
pub trait Reruns: Send + Sync {
    /// A failed Job as it is written, by a consistent read.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] when it is gone; [`Error::Rejected`] when it can never be made again; any other when that cannot be told now.
    fn read<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<FailedJob, Error>>;

    /// Writes down what a request has come to, if the Job has not changed since this version. Returns its new version.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when it has; [`Error::Unknown`] when nobody knows whether it was written.
    fn write<'a>(
        &'a self,
        job: &'a DeliveredJob,
        version: &'a str,
        request: &'a RerunRequest,
    ) -> BoxFuture<'a, Result<String, Error>>;
}

/// Keeps what must be known of Jobs when they are gone.
pub trait Remember: Send + Sync {
    /// Puts the keys of these Jobs into the ledger, where they are not. They are there when it returns.
    ///
    /// # Errors
    ///
    /// [`Error`] when some may not be there.
    fn remember<'a>(&'a self, jobs: &'a [Arc<DeliveredJob>]) -> BoxFuture<'a, Result<(), Error>>;

    /// How long this process has known the Job's key to be in the ledger; `None` when it does not.
    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration>;

    /// Deletes a Job, if it is still the one with that UID; its Pods go with it. A Job that is gone is a success.
    ///
    /// # Errors
    ///
    /// [`Error`] when it may still be there.
    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>>;
}
