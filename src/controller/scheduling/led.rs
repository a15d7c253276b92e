//! What this process keeps of a schedule while it leads: the record, and what of it is not written yet.

use jiff::Timestamp;

use super::requests::BackfillProgress;
use crate::launch::schedule_record::{ScheduleRecord, SeenSchedule};
use crate::resource::event_job::EventJob;
use crate::resource::event_job::cron::Cron;
use crate::resource::requests::RequestAnswer;

/// The record of a schedule, as this process has it.
pub(super) struct LedSchedule {
    pub(super) record: ScheduleRecord,
    /// It says more than what is written.
    pub(super) is_dirty: bool,
    /// How far a request for many Jobs has come.
    pub(super) progress: BackfillProgress,
}

impl LedSchedule {
    /// Takes note of a schedule that was edited, or is seen for the first time: it counts from now on. A new object counts
    /// from its creation.
    pub(super) fn see(&mut self, event_job: &EventJob, cron: &Cron, now: Timestamp) {
        let seen = self.record.seen.as_ref();
        let hash = cron.fingerprint();
        if seen.is_some_and(|seen| seen.hash == hash) {
            return;
        }
        // Nothing can be written down of a CronJob but its last due time: one that is seen for the first time goes on from there.
        let is_new = event_job.generation <= 1 || event_job.cron_job.is_some();
        let is_new = is_new && seen.is_none();
        let since = match event_job.created.parse::<Timestamp>() {
            Ok(created) if is_new => created.min(now),
            _ => now,
        };
        self.record.seen = Some(SeenSchedule { hash, since });
        self.is_dirty = true;
    }

    /// Takes note of what became of a request.
    pub(super) fn settle(
        &mut self,
        id: String,
        time: Timestamp,
        result: &str,
        message: String,
        job: Option<String>,
    ) {
        self.record.answer(RequestAnswer {
            id,
            time,
            result: result.to_owned(),
            message,
            job,
        });
        self.is_dirty = true;
    }

    pub(super) fn decide(&mut self, due: Timestamp) {
        if self.record.last < Some(due) {
            self.record.last = Some(due);
            self.is_dirty = true;
        }
    }

    pub(super) fn expect(&mut self, next: Vec<Timestamp>) {
        if self.record.next != next {
            self.record.next = next;
            self.is_dirty = true;
        }
    }
}
