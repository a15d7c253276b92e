//! Keys on their way into the ledger: those of new Jobs, soon after they were made, many at once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::launch::ledger::Entry;
use crate::resource::ObjectId;

use super::entry::LocalJob;
use super::ledger::seconds;
use super::{Controller, blocking};

/// Between a Job and its key, so that a burst of Jobs is one write.
const GATHER: Duration = Duration::from_millis(100);
/// Between two tries on a disk that does not take it, and between two looks for a key that is not there yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes keys for ever.
pub(super) async fn write(shared: Arc<Controller>) {
    // Those that an earlier run left.
    shared.keys.notify_one();
    loop {
        shared.keys.notified().await;
        tokio::time::sleep(GATHER).await;
        let writer = Arc::clone(&shared);
        let written = blocking("the ledger", move || writer.remember(&writer.left())).await;
        if let Err(error) = written {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "keys of events cannot be written; their Jobs stay until they are"
            );
            tokio::time::sleep(PAUSE).await;
            shared.keys.notify_one();
        }
    }
}

impl Controller {
    /// Keys that are not in the ledger, by namespace.
    fn left(&self) -> BTreeMap<String, Vec<Entry>> {
        let mut left: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for (id, entry) in self.lock().iter() {
            if let Some(key) = entry.ledger_key()
                && self.ledger.known_for(&id.namespace, key).is_none()
            {
                let entries = left.entry(id.namespace.to_string()).or_default();
                entries.extend(entry.ledger_entry(self.not_before()));
            }
        }
        left
    }

    /// When a key that is written now may expire at the earliest: the key of an old Job outlives the Job's removal.
    pub(super) fn not_before(&self) -> u32 {
        let grace = u32::try_from(self.settings.ledger_grace.as_secs()).unwrap_or(u32::MAX);
        seconds((self.settings.clock)()).saturating_add(grace.saturating_mul(2))
    }

    /// Whether a Job may go: it was not made for an event, or its key has been in the ledger for long enough.
    /// If not, when to look again.
    pub(super) fn may_go(&self, id: &ObjectId, entry: &LocalJob) -> Result<(), Duration> {
        let Some(key) = entry.ledger_key() else {
            return Ok(());
        };
        let Some(known) = self.ledger.known_for(&id.namespace, key) else {
            // One that is over is not in the ledger any more.
            self.keys.notify_one();
            return Err(PAUSE);
        };
        match self.settings.ledger_grace.checked_sub(known) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(left) => Err(left),
        }
    }

    /// Waits until a Job may go.
    pub(super) async fn until_it_may_go(&self, id: &ObjectId) {
        loop {
            let answer = self.with(id, |entry| self.may_go(id, entry));
            let Some(Err(wait)) = answer else {
                return;
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Something about a Job of an event changed.
    pub(super) fn touch(&self, id: &ObjectId) {
        let event_job = self.with(id, |entry| {
            let delivered = entry.delivered.as_ref()?;
            Some(delivered.event_job.clone())
        });
        self.touch_event_job(event_job.flatten());
    }

    /// A Job of this EventJob changed, or went.
    pub(super) fn touch_event_job(&self, event_job: Option<ObjectId>) {
        let Some(event_job) = event_job else { return };
        self.touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(event_job);
        self.touch.notify_one();
    }
}
