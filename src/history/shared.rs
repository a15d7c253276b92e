//! Where everybody writes records to and reads them from: one memory behind a lock that is held for moments.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::memory::{DEFAULT_MEMORY, Noted, RecordMemory};
use super::record::{HistoryRecord, Subject, is_of_job};

/// Takes each record on, to a file for example. Must not wait.
pub type Onward = Box<dyn Fn(Noted) + Send + Sync>;

/// The records of late of this process.
pub struct SharedHistory {
    memory: Mutex<RecordMemory>,
    onward: Option<Onward>,
}

impl Default for SharedHistory {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY, None)
    }
}

impl fmt::Debug for SharedHistory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.lock();
        write!(
            formatter,
            "{} records, {} bytes",
            memory.len(),
            memory.used()
        )
    }
}

impl SharedHistory {
    /// An empty one of at most `limit` bytes.
    pub fn new(limit: usize, onward: Option<Onward>) -> Self {
        Self {
            memory: Mutex::new(RecordMemory::new(limit)),
            onward,
        }
    }

    /// Keeps one more record.
    pub fn record(&self, record: HistoryRecord) {
        let noted = self.lock().push(record);
        if let Some(onward) = &self.onward {
            onward(noted);
        }
    }

    /// Keeps a record of an earlier process, that is written down already.
    pub fn restore(&self, record: HistoryRecord) {
        self.lock().push(record);
    }

    /// The objects that have records.
    pub fn subjects(&self) -> Vec<Subject> {
        self.lock().subjects()
    }

    /// The records of one object, the oldest first; with `at`, those that had begun by then.
    pub fn of_object(&self, subject: &Subject, at: Option<Timestamp>) -> Vec<HistoryRecord> {
        let mut records = self.lock().of_object(subject);
        if let Some(at) = at {
            records.retain(|record| record.since <= at);
        }
        records
    }

    /// What is known of an event, by its id, the oldest first.
    pub fn of_event(&self, id: &str) -> Vec<HistoryRecord> {
        self.lock().of_event(id)
    }

    /// What is known of a Job, by its name: the answer or the turn that made it.
    pub fn of_job(&self, job: &str) -> Vec<HistoryRecord> {
        let mut records = self.lock().near_job(job);
        // Names of turns are computed: not while others wait.
        records.retain(|record| is_of_job(record, job));
        records
    }

    fn lock(&self) -> MutexGuard<'_, RecordMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
