//! What people who try a sender out are told of requests that became no Job.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::reports::Reports;
use crate::cycle::delivery::{DeliveryOutcome, Error};
use crate::intake::webhook::{Record, RefusedRequest};
use crate::launch::schedule_record::MissedTime;
use crate::resource::ObjectId;

/// The same is told again after this.
const QUIET: Duration = Duration::from_secs(10);
/// Texts that are remembered; beyond it nothing more is told until some are old.
const MOST: usize = 256;

/// Tells of refused and filtered requests, each text once in a while.
pub(super) struct ToldRefusals {
    reports: Arc<Reports>,
    told: Mutex<HashMap<(ObjectId, String), Instant>>,
}

impl ToldRefusals {
    pub(super) fn new(reports: Arc<Reports>) -> Self {
        Self {
            reports,
            told: Mutex::default(),
        }
    }

    fn tell(&self, event_job: &ObjectId, text: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| at.elapsed() < QUIET);
        let key = (event_job.clone(), text);
        if told.len() >= MOST || told.contains_key(&key) {
            return;
        }
        self.reports.tell_of_event_job(event_job, key.1.clone());
        told.insert(key, Instant::now());
    }
}

impl Record for ToldRefusals {
    fn told(&self, event_job: &ObjectId, outcome: &Result<DeliveryOutcome, Error>) {
        match outcome {
            Ok(DeliveryOutcome::Filtered { field, reason }) => {
                self.tell(event_job, format!("filtered an event: {field}: {reason}"));
            }
            Ok(DeliveryOutcome::Job(_)) => {}
            Err(error) => self.tell(event_job, format!("made no Job of an event: {error}")),
        }
    }

    fn refused(&self, event_job: &ObjectId, refused: &RefusedRequest<'_>) {
        let RefusedRequest {
            reason,
            field,
            message,
            ..
        } = refused;
        let text = format!("refused a request, {}: {field}: {message}", reason.name());
        self.tell(event_job, text);
    }

    fn missed(&self, event_job: &ObjectId, missed: &MissedTime) {
        let MissedTime { time, message, .. } = missed;
        self.tell(event_job, format!("no Job for {time:.0}: {message}"));
    }

    fn cannot_tell(&self, _event_job: &ObjectId) {}
}
