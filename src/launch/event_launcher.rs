//! The port that makes the Jobs of events, once each, and tells which there are.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::launch::delivered::{Delivery, Gate};
use crate::launch::{Error, Launched, Outcome};
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// What became of a delivery that is known to have, or to have had, its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Made now, or before.
    pub launched: Launched,
    /// The Job was made for the same occurrence with another payload. False when that is not known any more.
    pub payload_differs: bool,
}

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
    /// The admission loop that last wrote its gate: [`EventLauncher::holder`]; `None` before the first.
    pub claimed_by: Option<String>,
    /// The hash of its concurrency key; empty when there is none.
    pub key: String,
    /// When its event was received, by the clock of whoever received it; its creation when that is not known.
    pub received_at: Timestamp,
    /// `metadata.creationTimestamp`.
    pub created_at: Timestamp,
    /// How it ended, and when; `None` while unfinished.
    pub ended: Option<(Outcome, Timestamp)>,
    /// It is being deleted.
    pub is_going: bool,
    /// `status.active`: Pods that are pending or running.
    pub active_pods: u32,
    /// `status.ready`: Pods that run and are ready.
    pub ready_pods: u32,
    /// `deduplicateFor` when it was made.
    pub remember_for: Duration,
}

/// Makes the Jobs of events, and keeps what must be known of them when they are gone.
pub trait EventLauncher: Send + Sync {
    /// Whether Jobs of this template can be made at all.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] in the server's words when they cannot; any other when it cannot be told now.
    fn prove<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<(), Error>>;

    /// Whether the occurrence has, or had, its Job, by a consistent look; `None` when it never did.
    ///
    /// # Errors
    ///
    /// [`Error`] when that cannot be told before the deadline.
    fn find<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Option<Found>, Error>>;

    /// Makes the Job, once, however often it is called and by however many.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] when the Job may or may not exist; every other error means that it does not.
    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Found, Error>>;

    /// The Jobs of an EventJob as they were last seen. May lag; a Job may look unfinished
    /// that is not, or be missing that was made a moment ago.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] before they have been seen at all.
    fn seen(&self, event_job: &ObjectId) -> Result<Vec<DeliveredJob>, Error>;

    /// The same by a consistent list.
    ///
    /// # Errors
    ///
    /// [`Error`] when the truth cannot be told now. It is never an empty list then.
    fn list<'a>(
        &'a self,
        event_job: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Vec<DeliveredJob>, Error>>;

    /// How many Jobs of an EventJob wait for their turn, as they were last seen.
    ///
    /// # Errors
    ///
    /// As of [`EventLauncher::seen`].
    fn waiting(&self, event_job: &ObjectId) -> Result<usize, Error>;

    /// EventJobs of which a Job appeared, changed or went since the last call; waits until there is one. For one listener.
    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>>;

    /// Ready once a Job of the EventJob appears that was not there at the call: it listens from the call on, polled or
    /// not. For any number of listeners.
    fn appeared(&self, event_job: &ObjectId) -> BoxFuture<'static, ()>;

    /// What tells this process's claims from another's.
    fn holder(&self) -> &str;

    /// Writes the gate of a waiting Job anew, with our name and without changing what it says, so that
    /// changes based on the version that others have seen are refused.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the Job has changed since it was seen; [`Error::Gone`] when it is gone;
    /// [`Error::Unknown`] when nobody knows whether it was done.
    fn claim<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<DeliveredJob, Error>>;

    /// Lets a waiting Job run: gate and `suspend` in one change, based on the version seen.
    ///
    /// # Errors
    ///
    /// As of [`EventLauncher::claim`].
    fn release<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<DeliveredJob, Error>>;

    /// Drops a waiting or a released Job for good: its gate says so and it is suspended, in one change,
    /// based on the version seen. Removing it comes later.
    ///
    /// # Errors
    ///
    /// As of [`EventLauncher::claim`].
    fn discard<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<DeliveredJob, Error>>;

    /// Puts the keys of these Jobs into the ledger, where they are not. They are there when it returns.
    ///
    /// # Errors
    ///
    /// [`Error`] when some may not be there.
    fn remember<'a>(&'a self, jobs: &'a [DeliveredJob]) -> BoxFuture<'a, Result<(), Error>>;

    /// How long this process has known the Job's key to be in the ledger; `None` when it does not.
    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration>;

    /// How long a key must have been in the ledger before its Job may go: `--ledger-grace`.
    fn grace(&self) -> Duration;

    /// Deletes a Job, if it is still the one with that UID; its Pods go with it. A Job that is gone is a success.
    ///
    /// # Errors
    ///
    /// [`Error`] when it may still be there.
    fn remove<'a>(&'a self, job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>>;
}
