//! Whether the Secrets that let senders in are there: an EventJob without them is not Ready.
//!
//! Secrets are read by name and never watched, so they are looked at again and again: seldom while all is well, sooner
//! while something is missing, and at once when the door could not tell who sends.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::controller::event_jobs::outcomes::EventJobSignals;
use crate::controller::event_jobs::{DesiredEventJob, EventJobs};
use crate::controller::lead;
use crate::controller::requeue::Requeue;
use crate::controller::workers::ObjectTask;
use crate::intake::auth::credentials::{self, CredentialsTrouble};

/// All is well: the next look.
const WELL: Duration = Duration::from_mins(10);
/// Something is missing: its owner wants to see that it came.
const MISSING: Duration = Duration::from_secs(5);
/// A look that came to nothing, or whose answer stays the same; doubles up to [`LONGEST`].
const LONGEST: Duration = Duration::from_mins(1);
/// Looks that the door asks for are this far apart.
const APART: Duration = Duration::from_secs(5);

/// What the last look found.
#[derive(Debug, Default)]
pub(super) struct CredentialsWatch(Mutex<CredentialsSeen>);

/// What is known of an EventJob's Secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum CredentialsSeen {
    /// Nobody has looked yet.
    #[default]
    Nothing,
    /// All of them are there, or nothing else is known.
    Well,
    /// One of them is not.
    Missing(CredentialsTrouble),
}

impl CredentialsWatch {
    /// What the last look found.
    pub(super) fn seen(&self) -> CredentialsSeen {
        self.lock().clone()
    }

    /// Looks for ever, on the replica that writes the status.
    pub(super) async fn run(
        &self,
        event_jobs: &EventJobs,
        task: &ObjectTask<DesiredEventJob>,
        signals: &EventJobSignals,
    ) {
        let mut requeue = Requeue::default();
        loop {
            let term = event_jobs.lead.term();
            let (desired, version) = task.inbox.object();
            // On the heap while it lasts, with what it looks at.
            Box::pin(self.look(event_jobs, desired, term, &signals.news, &mut requeue)).await;
            tokio::select! {
                () = requeue.wait() => {}
                () = lead::changed(&*event_jobs.lead, term) => requeue.forget(),
                () = task.inbox.changed(version) => requeue.forget(),
                () = signals.credentials.notified() => tokio::time::sleep(APART).await,
            }
        }
    }

    async fn look(
        &self,
        event_jobs: &EventJobs,
        desired: DesiredEventJob,
        term: Option<u64>,
        news: &Notify,
        requeue: &mut Requeue,
    ) {
        let (Some(_), Ok(event_job)) = (term, desired.event_job) else {
            return;
        };
        let (namespace, auth) = (&event_job.id.namespace, event_job.auth());
        let found = credentials::trouble(&*event_jobs.lookup, namespace, auth).await;
        match &found {
            Ok(None) => requeue.after(WELL),
            Ok(Some(_)) | Err(_) => requeue.back_off(MISSING, LONGEST),
        }
        let mut seen = self.lock();
        let now = match found {
            Ok(None) => CredentialsSeen::Well,
            Ok(Some(trouble)) => CredentialsSeen::Missing(trouble),
            // What cannot be told now stays as it was seen.
            Err(_) if *seen == CredentialsSeen::Nothing => CredentialsSeen::Well,
            Err(_) => return,
        };
        let before = std::mem::replace(&mut *seen, now);
        if before != *seen {
            news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, CredentialsSeen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
