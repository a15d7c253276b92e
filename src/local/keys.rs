//! Keys on their way into the ledger: those of new Jobs, soon after they were made, many at once.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::resource::ObjectId;

use super::entry::Entry;
use super::ledger::Line;
use super::{Shared, blocking};

/// Between a Job and its key, so that a burst of Jobs is one write.
const GATHER: Duration = Duration::from_millis(100);
/// Between two tries on a disk that does not take it, and between two looks for a key that is not there yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes keys for ever.
pub(super) async fn write(shared: Arc<Shared>) {
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

impl Shared {
    /// Keys that are not in the ledger, by namespace.
    fn left(&self) -> BTreeMap<String, Vec<Line>> {
        let mut left: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for (id, entry) in self.lock().iter() {
            if let Some(line) = entry.line()
                && self.ledger.known_for(&id.namespace, &line.key).is_none()
            {
                left.entry(id.namespace.clone()).or_default().push(line);
            }
        }
        left
    }

    /// Whether a Job may go: it was not made for an event, or its key has been in the ledger for long enough.
    /// If not, when to look again.
    pub(super) fn may_go(&self, id: &ObjectId, entry: &Entry) -> Result<(), Duration> {
        let Some(line) = entry.line() else {
            return Ok(());
        };
        let Some(known) = self.ledger.known_for(&id.namespace, &line.key) else {
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
