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
use crate::controller::Identity;
use crate::controller::announce::Note;
use crate::controller::event_jobs::outcomes::EVENT_REFUSED;
use crate::controller::event_jobs::status::{self, EventJobStanding, Facts};
use crate::controller::event_jobs::{DesiredEventJob, EventJobs};
use crate::controller::lead;
use crate::controller::metrics::{EndedJob, OfObject, SuccessTimes, interval_around};
use crate::controller::requeue::{Requeue, jitter};
use crate::controller::schedule_progress::ScheduleProgress;
use crate::controller::status_writer::{self, notes::Notes};
use crate::controller::workers::ObjectTask;
use crate::launch::delivered::{Gate, Owners};
use crate::launch::ports::DeliveredJob;
use crate::resource::event_job::{Auth, EventJob, EventSource};
use crate::resource::{Fault, KeptJson, ObjectId};

/// What is new is told at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Tells what is new, for ever.
pub(super) async fn run(
    event_jobs: &EventJobs,
    task: &ObjectTask<DesiredEventJob>,
    news: &Notify,
    credentials: &CredentialsWatch,
    progress: &ScheduleProgress,
    is_late: &AtomicBool,
) {
    let mut telling = Telling {
        event_jobs,
        task,
        credentials,
        progress,
        is_late,
        dropped: None,
        interval: None,
        trouble: None,
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
            () = lead::changed(&*event_jobs.lead, term) => continue,
        }
        requeue.forget();
        let namespace = task
            .inbox
            .with(|desired| Arc::clone(&desired.identity.id.namespace));
        event_jobs.ports.schedules.rush.over(&namespace).await;
        // On the heap while it lasts: most EventJobs have nothing to tell.
        if let Some(pause) = Box::pin(telling.round(term.is_some())).await {
            requeue.after(pause);
        }
        tokio::time::sleep(jitter(PACE)).await;
    }
}

struct Telling<'a> {
    event_jobs: &'a EventJobs,
    task: &'a ObjectTask<DesiredEventJob>,
    credentials: &'a CredentialsWatch,
    progress: &'a ScheduleProgress,
    /// Whether a proof that is awaited is worth telling of.
    is_late: &'a AtomicBool,
    /// Dropped Jobs that were told of, by name; `None` before the first look.
    dropped: Option<BTreeSet<Arc<str>>>,
    interval: Option<KnownInterval>,
    /// What was last told of a CronJob.
    trouble: Option<(&'static str, String)>,
}

/// The interval of a schedule, until its next due time.
struct KnownInterval {
    of: Arc<EventJob>,
    until: Timestamp,
    interval: Option<Duration>,
}

/// What is to be told of an EventJob.
struct News {
    identity: Arc<Identity>,
    now: Timestamp,
    notes: Vec<Note>,
}

impl Telling<'_> {
    /// Another process writes the status: what this one wrote is forgotten.
    fn stand_by(&mut self) {
        let identity = self.task.inbox.with(|desired| desired.identity.clone());
        self.dropped = None;
        self.trouble = None;
        let object = OfObject::of(&identity.id, self.event_jobs.kind.kind());
        self.event_jobs.series.forget(&object);
        self.event_jobs.writer.forget(&identity.uid);
    }

    /// Tells what is new. When to do so again, if something is left.
    async fn round(&mut self, leads: bool) -> Option<Duration> {
        let writer = &self.event_jobs.writer;
        let mut turn = None;
        if leads && let Some(identity) = self.untold() {
            // Thousands of first statuses may wait for their turn at a start: they are made when it has come.
            turn = writer.turn(&identity).await;
            if turn.is_none() {
                return Some(status_writer::PACE);
            }
        }
        let news = Box::pin(self.look(leads)).await;
        let mut again = None;
        if leads {
            again = Box::pin(writer.flush(&news.identity, turn)).await;
        }
        Box::pin(self.tell(news)).await;
        again
    }

    /// Whose first status there is to be written.
    fn untold(&self) -> Option<Arc<Identity>> {
        let (desired, _) = self.task.inbox.object();
        let is_ours = self.event_jobs.kind == Owners::EventJobs;
        let is_first = is_ours && desired.identity.status == KeptJson::default();
        let facts = is_first.then(|| self.facts(&desired, (self.event_jobs.clock)()));
        facts.flatten().map(|_| desired.identity)
    }

    /// Takes note of what is new: the status as it should be, and what is to be told.
    async fn look(&mut self, leads: bool) -> News {
        let (desired, _) = self.task.inbox.object();
        let id = &desired.identity.id;
        let now = (self.event_jobs.clock)();
        let mut notes = self.event_jobs.outcomes.take_news(id, now);
        if leads && let Some(mut facts) = self.facts(&desired, now) {
            if let Ok(event_job) = &desired.event_job
                && self.is_crowded(event_job).await
            {
                facts.standing = EventJobStanding::Invalid(vec![too_many_keys()]);
            }
            let mut succeeded = None;
            match self.event_jobs.kind {
                Owners::EventJobs => {
                    let wanted = |before: &Value| {
                        let wanted = status::wanted(id, before, &facts);
                        succeeded = status::time(&wanted["lastSuccessfulTime"]);
                        (wanted, Notes::default())
                    };
                    self.event_jobs.writer.want(&desired.identity, now, wanted);
                }
                // Its status is not ours to write.
                Owners::CronJobs => {
                    succeeded = facts.jobs.as_deref().and_then(status::last_success);
                    notes.extend(self.new_trouble(&facts));
                }
            }
            if let Some(jobs) = &facts.jobs {
                self.count(id, jobs);
                self.expect(&desired, succeeded, now);
                notes.extend(self.newly_dropped(jobs));
            }
        }
        News {
            identity: desired.identity,
            now,
            notes,
        }
    }

    /// Tells what is new beside the status.
    async fn tell(&self, news: News) {
        let (identity, writer) = (&news.identity, &self.event_jobs.writer);
        let id = &identity.id;
        if let Some(refusal) = self.event_jobs.outcomes.take_refusal(id) {
            writer.write_refusal(identity, &refusal).await;
        }
        for note in &news.notes {
            // A launch that failed was logged where it failed.
            if note.reason == EVENT_REFUSED {
                warn!("EventJob {id}: {}: {}", note.reason, note.text);
            }
            writer.announce(identity, note, news.now).await;
        }
    }

    fn count(&self, id: &ObjectId, jobs: &[Arc<DeliveredJob>]) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (active, waiting) = status::counts(jobs);
        let object = OfObject::of(id, self.event_jobs.kind.kind());
        let series = &self.event_jobs.series;
        series.running(&object, number(active));
        series.waiting(&object, number(waiting));
        series.ended(&object, jobs.iter().filter_map(|job| ended(job)));
    }

    /// Shows when its next success is due.
    fn expect(&mut self, desired: &DesiredEventJob, last: Option<Timestamp>, now: Timestamp) {
        let Ok(event_job) = &desired.event_job else {
            return;
        };
        let status = desired.identity.status.value();
        let resumed = status::since(&status, "Suspended", "False");
        let edited = status::time(&status["schedule"]["since"]);
        let begun = event_job.created.parse().ok().max(resumed).max(edited);
        let times = SuccessTimes {
            last,
            awaited_since: begun.max(last),
            interval: self.interval(event_job, now),
        };
        let object = OfObject::of(&event_job.id, self.event_jobs.kind.kind());
        self.event_jobs.series.success(&object, times);
    }

    /// How long a success may be waited for; it is looked for once for each due time.
    fn interval(&mut self, event_job: &Arc<EventJob>, now: Timestamp) -> Option<Duration> {
        if event_job.suspend {
            return None;
        }
        let EventSource::Cron(cron) = &event_job.source else {
            return event_job.expected_interval;
        };
        if let Some(known) = &self.interval
            && known.until > now
            && Arc::ptr_eq(&known.of, event_job)
        {
            return known.interval;
        }
        let interval = event_job
            .expected_interval
            .or_else(|| interval_around(&cron.schedule, now));
        self.interval = Some(KnownInterval {
            of: Arc::clone(event_job),
            until: cron.schedule.first_after(now).unwrap_or(Timestamp::MAX),
            interval,
        });
        interval
    }

    /// Whether the shared door has no room for its keys.
    async fn is_crowded(&self, event_job: &EventJob) -> bool {
        let is_for_bodies = |auth: &Auth| matches!(auth, Auth::Hmac { .. } | Auth::Sns { .. });
        if !event_job.is_shared() || !event_job.auth().iter().any(is_for_bodies) {
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
            has_schedule: desired
                .event_job
                .as_ref()
                .ok()
                .map(|event_job| event_job.cron().is_some()),
            suspended: desired.event_job.as_ref().is_ok_and(|job| job.suspend),
            jobs: self.event_jobs.ports.jobs.seen(id).ok(),
            latest: self.event_jobs.outcomes.latest(id),
            schedule: self.progress.trouble(),
            now,
        })
    }

    /// What keeps a CronJob from being run in place, once.
    fn new_trouble(&mut self, facts: &Facts) -> Option<Note> {
        let trouble = match &facts.standing {
            EventJobStanding::Ready => {
                let schedule = facts.schedule.as_ref();
                schedule.map(|trouble| (trouble.reason, trouble.text.clone()))
            }
            EventJobStanding::Invalid(faults) => Some(("Invalid", Fault::list(faults))),
            EventJobStanding::NotReady(why) => Some(("NotReady", why.clone())),
            EventJobStanding::Closed(trouble) => Some((trouble.reason, trouble.text.clone())),
            EventJobStanding::Broken(why) => Some(("InternalError", (*why).to_owned())),
        };
        let before = std::mem::replace(&mut self.trouble, trouble.clone());
        let (reason, text) = trouble.filter(|trouble| before.as_ref() != Some(trouble))?;
        Some(Note {
            kind: "Warning",
            reason,
            text: format!("Slipway does not run it in place: {text}"),
        })
    }

    /// What there is to tell of Jobs that their policy dropped since the last look.
    fn newly_dropped(&mut self, jobs: &[Arc<DeliveredJob>]) -> Option<Note> {
        let now = dropped_by_policy(jobs);
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

/// Jobs whose turn their policy said will not come; what somebody removed has the same gate.
fn dropped_by_policy(jobs: &[Arc<DeliveredJob>]) -> BTreeSet<Arc<str>> {
    jobs.iter()
        .filter(|job| job.gate == Some(Gate::Dropped) && !job.is_removed)
        .map(|job| job.id.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::fixtures::{as_seen, delivered};

    #[test]
    fn a_job_that_somebody_removed_was_not_dropped_by_its_policy() {
        let dropped = |name: &str, is_removed: bool| DeliveredJob {
            gate: Some(Gate::Dropped),
            is_removed,
            ..delivered(name, 0)
        };
        let jobs = [dropped("forbidden", false), dropped("removed", true)];
        let told: Vec<Arc<str>> = dropped_by_policy(&as_seen(jobs)).into_iter().collect();
        assert_eq!(told, ["forbidden".into()]);
    }
}
