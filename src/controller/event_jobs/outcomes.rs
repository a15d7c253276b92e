//! What became of events lately, by EventJob: for statuses and Events.
//!
//! Each replica tells of what it did itself. Holds one line for each EventJob that has events, however many come.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::controller::announce::Note;
use crate::controller::metrics::{Launches, OfObject};
use crate::cycle::delivery::{DeliveryOutcome, Error, JobOfEvent};
use crate::intake::webhook::answer::Reason;
use crate::intake::webhook::{Record, RefusedRequest};
use crate::launch::delivered::Owners;
use crate::launch::schedule_record::{ALREADY_ACTIVE, MissedTime};
use crate::launch::{self, Launched};
use crate::resource::ObjectId;

/// The reason of a Kubernetes Event about events that were refused.
pub(in crate::controller) const EVENT_REFUSED: &str = "EventRefused";
/// Created Jobs of one EventJob are told together, this far apart.
const QUIET: Duration = Duration::from_secs(10);
/// Refusals of one cause are told together, this far apart.
const REFUSAL_QUIET: Duration = Duration::from_mins(10);
/// Causes of refusals that are told apart for one EventJob: some come with names that senders choose.
const MOST_CAUSES: usize = 16;
const OTHER_CAUSES: &str = "others";
/// The same trouble is told again after this.
const TROUBLE_QUIET: Duration = Duration::from_mins(5);

/// What became of events.
#[derive(Debug)]
pub struct Outcomes {
    clock: fn() -> Timestamp,
    listened_to: Mutex<HashMap<ObjectId, Listened>>,
    refusals: Family<OfRefusal, Counter>,
    launches: Launches,
    owners: Owners,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    namespace: Arc<str>,
    kind: &'static str,
    name: Arc<str>,
    reason: &'static str,
}

/// One EventJob that somebody looks after.
#[derive(Debug, Default)]
struct Listened {
    signals: Arc<EventJobSignals>,
    /// None before its first event: most have none for long.
    line: Option<Box<Line>>,
}

/// What the task of an EventJob listens to.
#[derive(Debug, Default)]
pub(in crate::controller) struct EventJobSignals {
    /// Told when something about the EventJob may be new.
    pub(in crate::controller) news: Notify,
    /// Told when the API server refused the template of one that takes events.
    pub(in crate::controller) doubted: Notify,
    /// Told when nobody could tell who sends to it: a Secret may be missing.
    pub(in crate::controller) credentials: Notify,
}

/// What is known of the events of one EventJob.
#[derive(Debug, Clone, Default)]
struct Line {
    latest: Option<Latest>,
    /// Why the last launch did not come about; none since one did.
    trouble: Option<Trouble>,
    created: u64,
    last_created: String,
    created_told_at: Option<Timestamp>,
    /// Troubles that are to be told, by reason, how often they came.
    troubles: BTreeMap<&'static str, (u64, String)>,
    troubles_told_at: BTreeMap<&'static str, Timestamp>,
    /// Due times of its schedule that have no Job and are to be told, by reason: how many, the newest, why.
    missed: BTreeMap<String, MissedTime>,
    /// Requests that were refused, by reason and cause; [`MOST_CAUSES`] and one for all others.
    refusals: BTreeMap<(&'static str, String), Refused>,
    /// What was told of them last.
    last_refusal: Option<LastRefusal>,
}

/// Requests that were refused for one cause.
#[derive(Debug, Clone, Default)]
struct Refused {
    /// Since it was told.
    count: u64,
    at: Timestamp,
    /// Where and why the last one was; nothing of its values.
    field: String,
    message: String,
    told_at: Option<Timestamp>,
}

/// The refused requests of one cause that were told last: `status.lastRefusal`. Nothing of a request's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRefusal {
    /// When the last of them came.
    pub time: Timestamp,
    /// What the sender heard.
    pub reason: &'static str,
    /// Which header, or which field of the body.
    pub field: String,
    /// What is wrong there.
    pub message: String,
    /// How many since this cause was told before.
    pub count: u64,
}

/// What became of the last event.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// When it was answered.
    pub at: Timestamp,
    /// One word.
    pub result: &'static str,
    /// Why; no payload.
    pub reason: String,
    /// Its Job, if it has one.
    pub job: Option<String>,
    /// Why nothing can be launched now, if the last launch failed.
    pub trouble: Option<Trouble>,
}

/// Why nothing can be launched.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// One word from a closed list.
    pub reason: &'static str,
    /// In words; no payload.
    pub text: String,
}

impl LastRefusal {
    /// As the status has it.
    pub(in crate::controller) fn to_json(&self) -> Value {
        json!({
            "time": format!("{:.0}", self.time),
            "reason": self.reason,
            "field": self.field,
            "message": self.message,
            "count": self.count,
        })
    }
}

impl Outcomes {
    /// An empty one of objects of this kind, that counts launches there.
    pub fn new(owners: Owners, clock: fn() -> Timestamp, launches: Launches) -> Self {
        Self {
            owners,
            clock,
            listened_to: Mutex::default(),
            refusals: Family::default(),
            launches,
        }
    }

    /// Registers what is counted; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "event_refusals",
            "Events that became no Job: Filtered, BadRequest, Unauthorized",
            self.refusals.clone(),
        );
    }

    fn count_refusal(&self, event_job: &ObjectId, reason: &'static str) {
        self.refusals
            .get_or_create(&refusal(event_job, reason))
            .inc();
    }

    /// Begins to listen to the events of an EventJob.
    pub(in crate::controller) fn of(&self, event_job: &ObjectId) -> Arc<EventJobSignals> {
        let mut listened_to = self.lock();
        let listened = listened_to.entry(event_job.clone()).or_default();
        Arc::clone(&listened.signals)
    }

    /// What became of an EventJob's last event here.
    pub(in crate::controller) fn latest(&self, event_job: &ObjectId) -> Option<Latest> {
        let listened_to = self.lock();
        let line = listened_to.get(event_job)?.line.as_ref()?;
        let mut latest = line.latest.clone()?;
        latest.trouble.clone_from(&line.trouble);
        Some(latest)
    }

    /// Drops what is kept for an EventJob that is gone.
    pub(super) fn forget(&self, event_job: &ObjectId) {
        let listened = self.lock().remove(event_job);
        let line = listened
            .and_then(|listened| listened.line)
            .unwrap_or_default();
        for (reason, _) in line.refusals.keys() {
            self.refusals.remove(&refusal(event_job, reason));
        }
        self.refusals.remove(&refusal(event_job, FILTERED));
        self.launches
            .forget(&OfObject::of(event_job, self.owners.kind()));
    }

    /// What is worth an Event now; taken as told. Asks to be looked at again while something is held back.
    pub(in crate::controller) fn take_news(
        &self,
        event_job: &ObjectId,
        now: Timestamp,
    ) -> Vec<Note> {
        let mut listened_to = self.lock();
        let Some(listened) = listened_to.get_mut(event_job) else {
            return Vec::new();
        };
        let Some(line) = &mut listened.line else {
            return Vec::new();
        };
        let notes = line.take_news(now);
        if line.created > 0 {
            listened.signals.news.notify_one();
        }
        notes
    }

    /// The requests that were told as refused since this was asked for; taken as written.
    pub(in crate::controller) fn take_refusal(&self, event_job: &ObjectId) -> Option<LastRefusal> {
        let mut listened_to = self.lock();
        let line = listened_to.get_mut(event_job)?.line.as_mut()?;
        line.last_refusal.take()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, Listened>> {
        let listened_to = self.listened_to.lock();
        listened_to.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn take_news(&mut self, now: Timestamp) -> Vec<Note> {
        let mut notes = Vec::new();
        let is_quiet = |told_at: Option<Timestamp>, quiet: Duration| {
            told_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= quiet)
        };
        if self.created > 0 && is_quiet(self.created_told_at, QUIET) {
            let text = match self.created {
                1 => format!("Created job {}", self.last_created),
                count => format!("Created {count} jobs, the last is {}", self.last_created),
            };
            notes.push(Note {
                kind: "Normal",
                reason: "SuccessfulCreate",
                text,
            });
            self.created = 0;
            self.created_told_at = Some(now);
        }
        for ((reason, _), refused) in &mut self.refusals {
            if refused.count == 0 || !is_quiet(refused.told_at, REFUSAL_QUIET) {
                continue;
            }
            let last = LastRefusal {
                time: refused.at,
                reason,
                field: refused.field.clone(),
                message: refused.message.clone(),
                count: refused.count,
            };
            notes.push(Note {
                kind: "Warning",
                reason: EVENT_REFUSED,
                text: format!(
                    "{reason}, {} times since this was last told: {}: {}",
                    last.count, last.field, last.message
                ),
            });
            refused.count = 0;
            refused.told_at = Some(now);
            self.last_refusal = Some(last);
        }
        for missed in std::mem::take(&mut self.missed).into_values() {
            let (kind, reason) = match missed.reason.as_str() {
                ALREADY_ACTIVE => ("Normal", ALREADY_ACTIVE),
                _ => ("Warning", "MissSchedule"),
            };
            let MissedTime { time, message, .. } = missed;
            notes.push(Note {
                kind,
                reason,
                text: format!("No job for {time:.0}: {message}"),
            });
        }
        for (reason, (count, text)) in std::mem::take(&mut self.troubles) {
            let told_at = self.troubles_told_at.get(reason).copied();
            if !is_quiet(told_at, TROUBLE_QUIET) {
                continue;
            }
            self.troubles_told_at.insert(reason, now);
            notes.push(Note {
                kind: "Warning",
                reason: "FailedCreate",
                text: format!("Error creating job ({count} times): {text}"),
            });
        }
        notes
    }

    /// Whether it is worth an Event now.
    fn refused(&mut self, request: &RefusedRequest<'_>, now: Timestamp) -> bool {
        let mut cause = (request.reason.name(), request.cause.to_owned());
        if self.refusals.len() >= MOST_CAUSES && !self.refusals.contains_key(&cause) {
            OTHER_CAUSES.clone_into(&mut cause.1);
        }
        let refused = self.refusals.entry(cause).or_default();
        refused.count += 1;
        refused.at = now;
        request.field.clone_into(&mut refused.field);
        request.message.clone_into(&mut refused.message);
        let since = |at: Timestamp| now.duration_since(at).unsigned_abs();
        refused.told_at.is_none_or(|at| since(at) >= REFUSAL_QUIET)
    }

    fn told(&mut self, outcome: &Result<DeliveryOutcome, Error>, now: Timestamp) {
        let latest = |result, reason: String, job| Latest {
            at: now,
            result,
            reason,
            job,
            trouble: None,
        };
        self.latest = Some(match outcome {
            Ok(DeliveryOutcome::Filtered { field, reason }) => {
                latest("Filtered", format!("{field}: {reason}"), None)
            }
            Ok(DeliveryOutcome::Job(job)) => {
                self.trouble = None;
                if job.launched == Launched::Created {
                    self.created += 1;
                    self.last_created.clone_from(&job.name);
                }
                let name = job.existing_name().map(str::to_owned);
                latest(job.result(), words_for(job).to_owned(), name)
            }
            Err(error) => {
                let trouble = Trouble::of(error);
                if matches!(error, Error::Launch(_)) {
                    self.troubles
                        .entry(trouble.reason)
                        .or_insert_with(|| (0, trouble.text.clone()))
                        .0 += 1;
                    self.trouble = Some(trouble.clone());
                }
                latest(trouble.reason, trouble.text, None)
            }
        });
    }
}

/// What there is to say about an event that has, or had, its Job.
pub(in crate::controller) fn words_for(job: &JobOfEvent) -> &'static str {
    match job.launched {
        Launched::Created if job.is_gated => "its Job was created and waits for its turn",
        Launched::Created => "its Job was created",
        Launched::AlreadyThere { .. } => "it was delivered before and has its Job",
        Launched::Remembered => "it was delivered before and its Job is gone",
    }
}

/// An event that its owner does not want: counted, and told nobody.
const FILTERED: &str = "Filtered";

fn refusal(event_job: &ObjectId, reason: &'static str) -> OfRefusal {
    OfRefusal {
        namespace: event_job.namespace.clone(),
        kind: "EventJob",
        name: event_job.name.clone(),
        reason,
    }
}

impl Trouble {
    /// Of what kept an event from having its Job.
    pub(in crate::controller) fn of(error: &Error) -> Self {
        let (reason, text) = match error {
            Error::Refused(refusal) => ("BadRequest", refusal.to_string()),
            Error::Suspended => ("Suspended", error.to_string()),
            Error::RateLimited { .. } => ("RateLimited", error.to_string()),
            Error::WaitingListFull { .. } => ("WaitingListFull", error.to_string()),
            Error::TemplateRefused { .. } => ("NotReady", error.to_string()),
            // The server's words about a Job that it refuses may quote the event.
            Error::Launch(error @ launch::Error::Rejected { .. }) => (
                error.reason(),
                "the API server refuses the Job with this event's values; the sender was told why"
                    .to_owned(),
            ),
            Error::Launch(error) => (error.reason(), error.to_string()),
        };
        Self { reason, text }
    }
}

impl Record for Outcomes {
    fn told(&self, event_job: &ObjectId, outcome: &Result<DeliveryOutcome, Error>) {
        let now = (self.clock)();
        // One that nobody looks after is gone.
        if let Some(listened) = self.lock().get_mut(event_job) {
            let line = listened.line.get_or_insert_default();
            match outcome {
                Ok(DeliveryOutcome::Filtered { .. }) => self.count_refusal(event_job, FILTERED),
                Err(Error::Refused(refusal)) => {
                    self.count_refusal(event_job, Reason::BadRequest.name());
                    line.refused(&RefusedRequest::no_event(refusal), now);
                }
                Ok(DeliveryOutcome::Job(job)) => {
                    let object = OfObject::of(event_job, self.owners.kind());
                    self.launches.count(&object, job.label(), 1);
                }
                Err(error) => {
                    let object = OfObject::of(event_job, self.owners.kind());
                    self.launches.count(&object, Trouble::of(error).reason, 1);
                }
            }
            line.told(outcome, now);
            listened.signals.news.notify_one();
            if matches!(outcome, Err(Error::TemplateRefused { .. })) {
                listened.signals.doubted.notify_one();
            }
        }
    }

    fn refused(&self, event_job: &ObjectId, refused: &RefusedRequest<'_>) {
        if let Some(listened) = self.lock().get_mut(event_job) {
            self.count_refusal(event_job, refused.reason.name());
            let line = listened.line.get_or_insert_default();
            // Strangers cause these: they wake nobody while there is nothing to tell.
            if line.refused(refused, (self.clock)()) {
                listened.signals.news.notify_one();
            }
        }
    }

    fn missed(&self, event_job: &ObjectId, missed: &MissedTime) {
        if let Some(listened) = self.lock().get_mut(event_job) {
            let line = listened.line.get_or_insert_default();
            line.missed.insert(missed.reason.clone(), missed.clone());
            listened.signals.news.notify_one();
        }
    }

    fn cannot_tell(&self, event_job: &ObjectId) {
        if let Some(listened) = self.lock().get(event_job) {
            listened.signals.credentials.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
