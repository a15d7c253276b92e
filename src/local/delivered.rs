//! What a Job that was made for an event says about it: its annotations, read once.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::job_rules::PodFacts;
use crate::launch::OCCURRENCE_ANNOTATION;
use crate::launch::attempt::{
    ATTEMPT_ANNOTATION, FIRST_OCCURRENCE_ANNOTATION, RERUN_ANNOTATION, RerunRequest,
};
use crate::launch::delivered::{
    ASKED_FOR_ANNOTATION, CONCURRENCY_KEY_ANNOTATION, DEDUPLICATE_FOR_ANNOTATION, EVENT_JOB_LABEL,
    GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate, PAYLOAD_ANNOTATION, RECEIVED_ANNOTATION,
    REMOVED_ANNOTATION, SCHEDULED_ANNOTATION,
};
use crate::launch::ledger::{Entry, Key};
use crate::launch::ports::DeliveredJob;
use crate::resource::ObjectId;
use crate::resource::metadata::text;

use super::entry::{LocalJob, outcome};

/// `deduplicateFor` when it is not written: longer than EventBridge sends again.
const REMEMBER_FOR: Duration = Duration::from_hours(25);

/// What is known of the event of a Job.
#[derive(Debug, Clone)]
pub(super) struct EventOfJob {
    pub(super) event_job: ObjectId,
    pub(super) occurrence: String,
    pub(super) ledger_key: Key,
    /// The event's hash.
    pub(super) payload: String,
    pub(super) gate: Option<Gate>,
    claimed_by: Option<String>,
    concurrency_key: String,
    received_at: Timestamp,
    due: Option<Timestamp>,
    is_asked_for: bool,
    attempt: u32,
    first: Option<String>,
    wants_rerun: bool,
    is_removed: bool,
    remember_for: Duration,
    /// Counts the changes of the Job in this process.
    pub(super) version: u64,
}

impl EventOfJob {
    /// Reads a Job; `None` for one that was not made for an event.
    pub(super) fn parse(job: &Value, created_at: Timestamp) -> Option<Self> {
        let metadata = &job["metadata"];
        let annotation = |key: &str| metadata["annotations"][key].as_str();
        let occurrence = annotation(OCCURRENCE_ANNOTATION)?;
        let payload = annotation(PAYLOAD_ANNOTATION)?;
        let event_job = metadata["labels"][EVENT_JOB_LABEL].as_str()?;
        let received_at = annotation(RECEIVED_ANNOTATION).and_then(|at| at.parse().ok());
        let remember_for =
            annotation(DEDUPLICATE_FOR_ANNOTATION).and_then(|time| text::duration(time).ok());
        let concurrency_key = annotation(CONCURRENCY_KEY_ANNOTATION).unwrap_or_default();
        Some(Self {
            event_job: ObjectId::new(metadata["namespace"].as_str()?, event_job),
            occurrence: occurrence.to_owned(),
            ledger_key: Key::of(occurrence)?,
            payload: payload.to_owned(),
            gate: annotation(GATE_ANNOTATION).and_then(Gate::parse),
            claimed_by: annotation(GATE_HOLDER_ANNOTATION).map(str::to_owned),
            concurrency_key: concurrency_key.to_owned(),
            received_at: received_at.unwrap_or(created_at),
            due: annotation(SCHEDULED_ANNOTATION).and_then(|due| due.parse().ok()),
            is_asked_for: annotation(ASKED_FOR_ANNOTATION).is_some(),
            attempt: annotation(ATTEMPT_ANNOTATION)
                .and_then(|attempt| attempt.parse().ok())
                .unwrap_or(1),
            first: annotation(FIRST_OCCURRENCE_ANNOTATION).map(str::to_owned),
            wants_rerun: annotation(RERUN_ANNOTATION)
                .and_then(RerunRequest::parse)
                .is_some_and(|request| request.is_open()),
            is_removed: annotation(REMOVED_ANNOTATION).is_some(),
            remember_for: remember_for.unwrap_or(REMEMBER_FOR),
            version: 0,
        })
    }
}

impl LocalJob {
    /// Its key, if it was made for an event.
    pub(super) fn ledger_key(&self) -> Option<Key> {
        self.delivered
            .as_ref()
            .map(|delivered| delivered.ledger_key)
    }

    /// What the ledger has to say about this Job, if it was made for an event.
    pub(super) fn ledger_entry(&self, not_before: u32) -> Option<Entry> {
        let EventOfJob {
            occurrence,
            remember_for,
            ..
        } = self.delivered.as_ref()?;
        Entry::new(occurrence, self.created_at, *remember_for, not_before)
    }

    /// As the admission loop sees it; `None` for a Job that was not made for an event.
    pub(super) fn delivered_job(&self, id: &ObjectId) -> Option<DeliveredJob> {
        let delivered = self.delivered.as_ref()?;
        let pods = |is: fn(&PodFacts) -> bool| {
            let pods = self.pods.iter().filter(|pod| is(&pod.facts)).count();
            u32::try_from(pods).unwrap_or(u32::MAX)
        };
        Some(DeliveredJob {
            id: id.clone(),
            uid: self.uid.clone(),
            version: delivered.version.to_string(),
            event_job: delivered.event_job.clone(),
            occurrence: delivered.occurrence.clone(),
            gate: delivered.gate,
            is_suspended: self.spec.rules.suspend,
            claimed_by: delivered.claimed_by.clone(),
            key: delivered.concurrency_key.clone(),
            received_at: delivered.received_at,
            due: delivered.due,
            is_asked_for: delivered.is_asked_for,
            attempt: delivered.attempt,
            first: delivered.first.clone(),
            wants_rerun: delivered.wants_rerun,
            is_removed: delivered.is_removed,
            created_at: self.created_at,
            ended: self.finished.map(|(cause, at)| (outcome(cause), at)),
            end_reason: self.finished.map_or("", |(cause, _)| cause.reason()),
            // A name is free at once.
            is_going: false,
            active_pods: pods(PodFacts::is_active),
            ready_pods: pods(|pod| pod.is_active() && pod.is_ready),
            remember_for: delivered.remember_for,
        })
    }
}
