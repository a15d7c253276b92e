//! Whether the API server takes an EventJob's template: events find the EventJob when it does.
//!
//! An edit takes over when it is proved; until then events find what was there before. A proof stands in the status,
//! so that a restart serves at once and proves again behind it. A proof that is wrong costs a 503, never a 4xx.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::serve;
use crate::catalog::{CatalogEntry, Listing};
use crate::controller::event_jobs::outcomes::EventJobSignals;
use crate::controller::event_jobs::{DesiredEventJob, EventJobs};
use crate::controller::proof::{again_after, is_proved};
use crate::controller::requeue::Requeue;
use crate::controller::workers::ObjectTask;
use crate::resource::Fault;
use crate::resource::event_job::EventJob;

/// A proof that could not be had is asked for again after this; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A template that was refused may be taken later: a quota, an admission webhook, a RuntimeClass.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Nobody is told that a proof is awaited before it has been for so long: at a start thousands are.
const LATE: Duration = Duration::from_secs(30);
/// Why an EventJob takes no events that was never proved.
pub(super) const AWAITED: &str = "its template is being proved";

/// Proves each version of the object, for ever. `is_late`: whether one that was never proved waits for too long.
pub(super) async fn run(
    event_jobs: &EventJobs,
    task: &ObjectTask<DesiredEventJob>,
    signals: &EventJobSignals,
    is_late: &AtomicBool,
) {
    loop {
        let (desired, version) = task.inbox.object();
        let objects = task.objects.load(Ordering::Relaxed);
        tokio::select! {
            // On the heap while it lasts: an EventJob that is proved keeps little.
            () = Box::pin(look(event_jobs, desired, objects, signals, is_late)) => {}
            () = task.inbox.changed(version) => continue,
        }
        tokio::select! {
            () = task.inbox.changed(version) => {}
            // What was proved may be refused by a policy of late.
            () = signals.doubted.notified() => {}
        }
    }
}

/// Proves this version of the object, until it is proved; one that is not valid needs none.
async fn look(
    event_jobs: &EventJobs,
    desired: DesiredEventJob,
    objects: usize,
    signals: &EventJobSignals,
    is_late: &AtomicBool,
) {
    let DesiredEventJob {
        identity,
        event_job,
        says_shared,
    } = desired;
    let event_job = match event_job {
        Ok(event_job) => event_job,
        Err(faults) => {
            let id = &identity.id;
            warn!("EventJob {id} is not valid: {}", Fault::list(&faults));
            let catalog = &event_jobs.catalog;
            catalog.set_invalid(id.clone(), &identity.uid, says_shared);
            event_jobs.startup.known(id);
            signals.news.notify_one();
            return;
        }
    };
    let was_proved = is_proved(&identity.status.value(), event_job.generation);
    drop(identity);
    let proving = Proving {
        event_jobs,
        event_job: &event_job,
        signals,
        is_late,
    };
    proving.prove(was_proved, objects).await;
}

/// The proof of one version.
struct Proving<'a> {
    event_jobs: &'a EventJobs,
    event_job: &'a Arc<EventJob>,
    signals: &'a EventJobSignals,
    is_late: &'a AtomicBool,
}

impl Proving<'_> {
    /// Asks until the template is proved. It may be refused now and taken later.
    async fn prove(&self, was_proved: bool, objects: usize) {
        let id = &self.event_job.id;
        let mut requeue = Requeue::default();
        if was_proved && self.served().is_none() {
            self.serve(None);
            self.event_jobs.startup.known(id);
            requeue.at(Instant::now() + again_after(&self.event_job.uid, objects));
            tokio::select! {
                () = requeue.wait() => {}
                () = self.signals.doubted.notified() => {}
            }
        } else if self.served().is_none() {
            self.serve(Some(AWAITED.to_owned()));
        }
        loop {
            let proof = tokio::select! {
                proof = self.event_jobs.launcher.prove(self.event_job) => proof,
                never = self.tell_when_late() => match never {},
            };
            match proof {
                Ok(()) => {
                    if !self.is_served() {
                        info!("EventJob {id} takes events");
                    }
                    self.serve(None);
                    self.event_jobs.startup.known(id);
                    return;
                }
                Err(error) => {
                    if requeue.failures() == 0 {
                        warn!(
                            error = &error as &dyn std::error::Error,
                            reason = error.reason(),
                            "the template of EventJob {id} is not proved"
                        );
                    }
                    // A passing trouble takes nothing from those who are served.
                    let takes_events = self.served().is_some_and(|entry| entry.not_ready.is_none());
                    if !error.is_transient() || !takes_events {
                        self.serve(Some(error.to_string()));
                    }
                    self.event_jobs.startup.known(id);
                }
            }
            requeue.back_off(FIRST_PAUSE, LONGEST_PAUSE);
            requeue.wait().await;
        }
    }

    async fn tell_when_late(&self) -> Infallible {
        tokio::time::sleep(LATE).await;
        self.is_late.store(true, Ordering::Relaxed);
        self.signals.news.notify_one();
        std::future::pending().await
    }

    fn serve(&self, not_ready: Option<String>) {
        serve(self.event_jobs, self.event_job, not_ready);
        self.signals.news.notify_one();
    }

    /// What events find now, of this object: this version or one before.
    fn served(&self) -> Option<CatalogEntry> {
        match self.event_jobs.catalog.get(&self.event_job.id) {
            Some(Listing::Valid(entry)) if entry.event_job.uid == self.event_job.uid => Some(entry),
            _ => None,
        }
    }

    /// Whether events find this version, and are taken.
    fn is_served(&self) -> bool {
        let is_this = |entry: CatalogEntry| {
            entry.not_ready.is_none() && entry.event_job.generation == self.event_job.generation
        };
        self.served().is_some_and(is_this)
    }
}
