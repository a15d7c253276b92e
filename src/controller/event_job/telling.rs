//! What the owner of an EventJob is told: its status, by the leader; Kubernetes Events, by each replica of what it did.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tracing::warn;

use super::credentials::{CredentialsSeen, CredentialsWatch};
use super::proving::AWAITED;
use crate::catalog::{Listing, MOST_BODY_KEYS};
use crate::controller::announce::Note;
use crate::controller::event_jobs::outcomes::EVENT_REFUSED;
use crate::controller::event_jobs::status::{self, EventJobStanding, Facts};
use crate::controller::event_jobs::{DesiredEventJob, EventJobs};
use crate::controller::metrics::{EndedJob, OfObject};
use crate::controller::requeue::{Requeue, jitter};
use crate::controller::status_writer::notes::Notes;
use crate::controller::workers::ObjectTask;
use crate::launch::delivered::Gate;
use crate::launch::ports::DeliveredJob;
use crate::resource::event_job::{Auth, EventJob};
use crate::resource::{Fault, ObjectId};

/// What is new is told at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Tells what is new, for ever.
pub(super) async fn run(
    event_jobs: &EventJobs,
    task: &ObjectTask<DesiredEventJob>,
    news: &Arc<Notify>,
    credentials: &CredentialsWatch,
    is_late: &AtomicBool,
) {
    let mut telling = Telling {
        event_jobs,
        task,
        credentials,
        is_late,
        dropped: None,
    };
    let mut requeue = Requeue::default();
    let mut led = None;
    loop {
        let term = event_jobs.lead.term();
        let before = std::mem::replace(&mut led, term);
        if before.is_some() && before != term {
            telling.stand_by();
        }
        tokio::select! {
            () = news.notified() => {}
            () = requeue.wait() => {}
            // Whoever leads now tells after its first pass over the Jobs.
            () = event_jobs.lead.changed(term) => continue,
        }
        requeue.forget();
        // On the heap while it lasts: most EventJobs have nothing to tell.
        if let Some(pause) = Box::pin(telling.tell(term.is_some())).await {
            requeue.after(pause);
        }
        tokio::time::sleep(jitter(PACE)).await;
    }
}

struct Telling<'a> {
    event_jobs: &'a EventJobs,
    task: &'a ObjectTask<DesiredEventJob>,
    credentials: &'a CredentialsWatch,
    /// Whether a proof that is awaited is worth telling of.
    is_late: &'a AtomicBool,
    /// Dropped Jobs that were told of, by name; `None` before the first look.
    dropped: Option<BTreeSet<String>>,
}

impl Telling<'_> {
    /// Another process writes the status: what this one wrote is forgotten.
    fn stand_by(&mut self) {
        let identity = self.task.object.borrow().identity.clone();
        self.dropped = None;
        let object = OfObject::event_job(&identity.id);
        self.event_jobs.series.forget(&object);
        self.event_jobs.writer.forget(&identity.uid);
    }

    /// Tells what is new. Returns when to look again at a status that was held back or could not be written.
    async fn tell(&mut self, leads: bool) -> Option<Duration> {
        let desired = self.task.object.borrow().clone();
        let id = &desired.identity.id;
        let now = (self.event_jobs.clock)();
        let mut notes = self.event_jobs.outcomes.take_news(id, now);
        let mut again = None;
        if leads && let Some(mut facts) = self.facts(&desired, now) {
            if let Ok(event_job) = &desired.event_job
                && self.is_crowded(event_job).await
            {
                facts.standing = EventJobStanding::Invalid(vec![too_many_keys()]);
            }
            let wanted = |before: &Value| (status::wanted(id, before, &facts), Notes::default());
            let writer = &self.event_jobs.writer;
            again = writer.write(&desired.identity, now, wanted).await;
            if let Some(jobs) = &facts.jobs {
                self.count(id, jobs);
                notes.extend(self.newly_dropped(jobs));
            }
        }
        if let Some(refusal) = self.event_jobs.outcomes.take_refusal(id) {
            let writer = &self.event_jobs.writer;
            writer.write_refusal(&desired.identity, &refusal).await;
        }
        for note in notes {
            // A launch that failed was logged where it failed.
            if note.reason == EVENT_REFUSED {
                warn!("EventJob {id}: {}: {}", note.reason, note.text);
            }
            self.event_jobs
                .writer
                .announce(&desired.identity, &note, now)
                .await;
        }
        again
    }

    fn count(&self, id: &ObjectId, jobs: &[DeliveredJob]) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (active, waiting) = status::counts(jobs);
        let object = OfObject::event_job(id);
        let series = &self.event_jobs.series;
        series.running(&object, number(active));
        series.waiting(&object, number(waiting));
        series.ended(&object, jobs.iter().filter_map(ended));
    }

    /// Whether the shared door has no room for its keys.
    async fn is_crowded(&self, event_job: &EventJob) -> bool {
        let is_for_bodies = |auth: &Auth| matches!(auth, Auth::Hmac { .. } | Auth::Sns { .. });
        let webhook = &event_job.webhook;
        if !webhook.shared || !webhook.auth.iter().any(is_for_bodies) {
            return false;
        }
        let id = &event_job.id;
        let shared = self.event_jobs.catalog.shared(&id.namespace).await;
        shared.is_some_and(|shared| shared.crowded.contains(id))
    }

    fn facts(&self, desired: &DesiredEventJob, now: Timestamp) -> Option<Facts> {
        let id = &desired.identity.id;
        let (standing, proof) = match (&desired.event_job, self.event_jobs.catalog.get(id)) {
            (Err(faults), _) => (EventJobStanding::Invalid(faults.clone()), None),
            (Ok(_), Some(Listing::Valid(entry))) => {
                match (entry.not_ready, self.credentials.seen()) {
                    (Some(why), _) if why == AWAITED && !self.is_late.load(Ordering::Relaxed) => {
                        return None;
                    }
                    (Some(why), _) => (EventJobStanding::NotReady(why), None),
                    (None, CredentialsSeen::Nothing) => return None,
                    (None, CredentialsSeen::Well) => {
                        (EventJobStanding::Ready, Some(entry.event_job.generation))
                    }
                    (None, CredentialsSeen::Missing(trouble)) => {
                        let proof = Some(entry.event_job.generation);
                        (EventJobStanding::Closed(trouble), proof)
                    }
                }
            }
            (Ok(_), _) => return None,
        };
        Some(Facts {
            generation: desired.identity.generation,
            standing,
            proof,
            suspended: desired.event_job.as_ref().is_ok_and(|job| job.suspend),
            jobs: self.event_jobs.ports.jobs.seen(id).ok(),
            latest: self.event_jobs.outcomes.latest(id),
            now,
        })
    }

    /// What there is to tell of Jobs that were dropped since the last look.
    fn newly_dropped(&mut self, jobs: &[DeliveredJob]) -> Option<Note> {
        let is_dropped = |job: &&DeliveredJob| job.gate == Some(Gate::Dropped);
        let now: BTreeSet<String> = jobs
            .iter()
            .filter(is_dropped)
            .map(|job| job.id.name.clone())
            .collect();
        let before = self.dropped.replace(now.clone())?;
        let mut new = now.difference(&before);
        let first = new.next()?;
        let more = match new.count() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        Some(Note {
            kind: "Normal",
            reason: "JobAlreadyActive",
            text: format!(
                "Not running job {first}{more}: others have their place, by concurrencyPolicy"
            ),
        })
    }
}

fn ended(job: &DeliveredJob) -> Option<EndedJob<'_>> {
    let (outcome, at) = job.ended?;
    Some(EndedJob {
        name: &job.id.name,
        outcome,
        reason: job.end_reason,
        created_at: Some(job.created_at),
        ended_at: Some(at),
    })
}

fn too_many_keys() -> Fault {
    Fault::at(
        "spec.source.webhook.shared",
        format!(
            "the older shared EventJobs of this namespace have {MOST_BODY_KEYS} keys for `hmac` and `sns` already, and \
             all are tried on each body: share keys, or post to this EventJob's own address"
        ),
    )
}
