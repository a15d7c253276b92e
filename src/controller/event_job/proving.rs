//! Whether the API server takes an EventJob's template: events find the EventJob when it does.
//!
//! An edit takes over when it is proved; until then events find what was there before. A proof stands in the status,
//! so that a restart serves at once and proves again behind it. A proof that is wrong costs a 503, never a 4xx.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use super::serve;
use crate::catalog::{CatalogEntry, Listing};
use crate::controller::event_jobs::{DesiredEventJob, EventJobs};
use crate::controller::proof::{again_after, is_proved};
use crate::controller::requeue::Requeue;
use crate::controller::workers::ObjectTask;
use crate::resource::event_job::EventJob;
use crate::resource::{Fault, KeptJson};

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
    news: &Arc<Notify>,
    is_late: &AtomicBool,
) {
    let mut object = task.object.clone();
    let doubted = event_jobs.outcomes.doubted(&object.borrow().identity.id);
    loop {
        let desired = object.borrow_and_update().clone();
        let id = &desired.identity.id;
        match &desired.event_job {
            Err(faults) => {
                warn!("EventJob {id} is not valid: {}", Fault::list(faults));
                let uid = &desired.identity.uid;
                let catalog = &event_jobs.catalog;
                catalog.set_invalid(id.clone(), uid, desired.says_shared);
                event_jobs.startup.known(id);
                news.notify_one();
            }
            Ok(event_job) => {
                let proving = Proving {
                    event_jobs,
                    event_job,
                    news,
                    is_late,
                    doubted: &doubted,
                };
                let objects = task.objects.load(Ordering::Relaxed);
                tokio::select! {
                    () = proving.prove(&desired.identity.status, objects) => {}
                    changed = object.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                }
            }
        }
        tokio::select! {
            changed = object.changed() => if changed.is_err() {
                return;
            },
            // What was proved may be refused by a policy of late.
            () = doubted.notified() => {}
        }
    }
}

/// The proof of one version.
struct Proving<'a> {
    event_jobs: &'a EventJobs,
    event_job: &'a Arc<EventJob>,
    news: &'a Notify,
    is_late: &'a AtomicBool,
    doubted: &'a Notify,
}

impl Proving<'_> {
    /// Asks until the template is proved. It may be refused now and taken later.
    async fn prove(&self, status: &KeptJson, objects: usize) {
        let id = &self.event_job.id;
        let mut requeue = Requeue::default();
        if is_proved(&status.value(), self.event_job.generation) && self.served().is_none() {
            self.serve(None);
            self.event_jobs.startup.known(id);
            requeue.at(Instant::now() + again_after(&self.event_job.uid, objects));
            tokio::select! {
                () = requeue.wait() => {}
                () = self.doubted.notified() => {}
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
        self.news.notify_one();
        std::future::pending().await
    }

    fn serve(&self, not_ready: Option<String>) {
        serve(self.event_jobs, self.event_job, not_ready);
        self.news.notify_one();
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
