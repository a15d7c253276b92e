//! What became of events lately, by EventJob: for statuses and Events.
//!
//! Each replica tells of what it did itself. Holds one line for each EventJob, however many events come.

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
use crate::cycle::delivery::{DeliveryOutcome, Error};
use crate::intake::webhook::answer::Reason;
use crate::intake::webhook::{Record, RefusedRequest};
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
    lines: Mutex<HashMap<ObjectId, Line>>,
    refusals: Family<OfRefusal, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    namespace: String,
    kind: &'static str,
    name: String,
    reason: &'static str,
}

/// What is known of the events of one EventJob.
#[derive(Debug, Clone, Default)]
struct Line {
    /// Told when something about the EventJob may be new.
    news: Arc<Notify>,
    /// Told when the API server refused the template of one that takes events.
    doubted: Arc<Notify>,
    /// Told when nobody could tell who sends to it.
    credentials: Arc<Notify>,
    latest: Option<Latest>,
    /// Why the last launch did not come about; none since one did.
    trouble: Option<Trouble>,
    created: u64,
    last_created: String,
    created_told_at: Option<Timestamp>,
    /// Troubles that are to be told, by reason, how often they came.
    troubles: BTreeMap<&'static str, (u64, String)>,
    troubles_told_at: BTreeMap<&'static str, Timestamp>,
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
    /// An empty one.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            clock,
            lines: Mutex::default(),
            refusals: Family::default(),
        }
    }

    /// Registers what is counted; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "event_refusals",
            "Events that became no Job, by why: they were filtered or refused",
            self.refusals.clone(),
        );
    }

    fn count_refusal(&self, event_job: &ObjectId, reason: &'static str) {
        self.refusals
            .get_or_create(&refusal(event_job, reason))
            .inc();
    }

    /// Begins to listen to the events of an EventJob. Told when something about it may be new.
    pub(in crate::controller) fn of(&self, event_job: &ObjectId) -> Arc<Notify> {
        let mut lines = self.lock();
        let line = lines.entry(event_job.clone()).or_default();
        Arc::clone(&line.news)
    }

    /// Told when the API server refuses every Job of an EventJob that was proved.
    pub(in crate::controller) fn doubted(&self, event_job: &ObjectId) -> Arc<Notify> {
        let mut lines = self.lock();
        let line = lines.entry(event_job.clone()).or_default();
        Arc::clone(&line.doubted)
    }

    /// Told when nobody could tell who sends to an EventJob: a Secret may be missing.
    pub(in crate::controller) fn credentials(&self, event_job: &ObjectId) -> Arc<Notify> {
        let mut lines = self.lock();
        let line = lines.entry(event_job.clone()).or_default();
        Arc::clone(&line.credentials)
    }

    /// What became of an EventJob's last event here.
    pub(in crate::controller) fn latest(&self, event_job: &ObjectId) -> Option<Latest> {
        let lines = self.lock();
        let line = lines.get(event_job)?;
        let mut latest = line.latest.clone()?;
        latest.trouble.clone_from(&line.trouble);
        Some(latest)
    }

    /// Drops what is kept for an EventJob that is gone.
    pub(super) fn forget(&self, event_job: &ObjectId) {
        let line = self.lock().remove(event_job).unwrap_or_default();
        for (reason, _) in line.refusals.keys() {
            self.refusals.remove(&refusal(event_job, reason));
        }
        self.refusals.remove(&refusal(event_job, FILTERED));
    }

    /// What is worth an Event now; taken as told. Asks to be looked at again while something is held back.
    pub(in crate::controller) fn take_news(
        &self,
        event_job: &ObjectId,
        now: Timestamp,
    ) -> Vec<Note> {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(event_job) else {
            return Vec::new();
        };
        let notes = line.take_news(now);
        if line.created > 0 {
            line.news.notify_one();
        }
        notes
    }

    /// The requests that were told as refused since this was asked for; taken as written.
    pub(in crate::controller) fn take_refusal(&self, event_job: &ObjectId) -> Option<LastRefusal> {
        self.lock().get_mut(event_job)?.last_refusal.take()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
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
                let reason = match job.launched {
                    Launched::Created if job.is_gated => {
                        "its Job was created and waits for its turn"
                    }
                    Launched::Created => "its Job was created",
                    Launched::AlreadyThere { .. } => "it was delivered before and has its Job",
                    Launched::Remembered => "it was delivered before and its Job is gone",
                };
                let name = job.existing_name().map(str::to_owned);
                latest(job.result(), reason.to_owned(), name)
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
    fn of(error: &Error) -> Self {
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
        if let Some(line) = self.lock().get_mut(event_job) {
            match outcome {
                Ok(DeliveryOutcome::Filtered { .. }) => self.count_refusal(event_job, FILTERED),
                Err(Error::Refused(refusal)) => {
                    self.count_refusal(event_job, Reason::BadRequest.name());
                    line.refused(&RefusedRequest::no_event(refusal), now);
                }
                _ => {}
            }
            line.told(outcome, now);
            line.news.notify_one();
            if matches!(outcome, Err(Error::TemplateRefused { .. })) {
                line.doubted.notify_one();
            }
        }
    }

    fn refused(&self, event_job: &ObjectId, refused: &RefusedRequest<'_>) {
        if let Some(line) = self.lock().get_mut(event_job) {
            self.count_refusal(event_job, refused.reason.name());
            // Strangers cause these: they wake nobody while there is nothing to tell.
            if line.refused(refused, (self.clock)()) {
                line.news.notify_one();
            }
        }
    }

    fn cannot_tell(&self, event_job: &ObjectId) {
        if let Some(line) = self.lock().get(event_job) {
            line.credentials.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn request<'a>(reason: Reason, cause: &'a str, message: &'a str) -> RefusedRequest<'a> {
        RefusedRequest {
            reason,
            cause,
            field: "x-api-key",
            message,
        }
    }

    #[test]
    fn refusals_of_one_cause_are_told_once_in_ten_minutes_with_their_count() {
        let mut line = Line::default();
        let told = |line: &mut Line, second: i64| -> Vec<String> {
            let notes = line.take_news(at(second)).into_iter();
            notes.map(|note| note.text).collect()
        };
        let unknown = |message| request(Reason::Unauthorized, "Wrong", message);
        assert!(line.refused(&unknown("is missing"), at(0)));
        line.refused(&unknown("is there"), at(1));
        assert_eq!(
            told(&mut line, 2),
            ["Unauthorized, 2 times since this was last told: x-api-key: is there"]
        );
        let last = line.last_refusal.clone().unwrap();
        assert_eq!((last.time, last.count), (at(1), 2));
        // A stranger's next one wakes nobody.
        assert!(!line.refused(&unknown("a"), at(3)));
        // Another cause is told at once.
        assert!(line.refused(&request(Reason::Unauthorized, "Clock", "c"), at(4)));
        assert!(line.refused(&request(Reason::BadRequest, "$.id", "d"), at(4)));
        assert_eq!(told(&mut line, 5).len(), 2);
        assert!(line.refused(&unknown("b"), at(603)));
        assert_eq!(
            told(&mut line, 603),
            ["Unauthorized, 2 times since this was last told: x-api-key: b"]
        );
    }

    #[test]
    fn causes_that_senders_name_are_told_apart_up_to_a_bound() {
        let mut line = Line::default();
        for number in 0..1_000 {
            let cause = format!("header x-{number}");
            line.refused(&request(Reason::BadRequest, &cause, "m"), at(0));
        }
        let notes = line.take_news(at(1));
        assert_eq!(notes.len(), MOST_CAUSES + 1);
        assert!(notes.iter().any(|note| note.text.contains("984 times")));
    }
}
