//! What became of events lately, by EventJob: for statuses and Events.
//!
//! Each replica tells of what it did itself. Holds one line for each EventJob, however many events come.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::controller::announce::Note;
use crate::cycle::delivery::{DeliveryOutcome, Error};
use crate::intake::webhook::Record;
use crate::launch::{self, Launched};
use crate::resource::ObjectId;

/// Created Jobs of one EventJob are told together, this far apart.
const QUIET: Duration = Duration::from_secs(10);
/// The same trouble is told again after this.
const TROUBLE_QUIET: Duration = Duration::from_mins(5);

/// What became of events.
#[derive(Debug)]
pub struct Outcomes {
    clock: fn() -> Timestamp,
    lines: Mutex<HashMap<ObjectId, Line>>,
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

impl Outcomes {
    /// An empty one.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            clock,
            lines: Mutex::default(),
        }
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
        self.lock().remove(event_job);
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
            line.told(outcome, now);
            line.news.notify_one();
            if matches!(outcome, Err(Error::TemplateRefused { .. })) {
                line.doubted.notify_one();
            }
        }
    }

    fn cannot_tell(&self, event_job: &ObjectId) {
        if let Some(line) = self.lock().get(event_job) {
            line.credentials.notify_one();
        }
    }
}
