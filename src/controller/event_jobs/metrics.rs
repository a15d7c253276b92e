//! How many Jobs of each EventJob run and wait, as whoever leads sees them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::resource::ObjectId;

/// The gauges; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    active: Family<Labels, Gauge>,
    waiting: Family<Labels, Gauge>,
    shown: Arc<Mutex<HashSet<ObjectId>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    namespace: String,
    event_job: String,
}

impl Metrics {
    /// Registers everything; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "active",
            "Jobs of the EventJob that run, or are about to, as the leader sees them",
            self.active.clone(),
        );
        registry.register(
            "waiting",
            "Jobs of the EventJob that wait for their turn, as the leader sees them",
            self.waiting.clone(),
        );
    }

    /// Shows an EventJob's numbers.
    pub(in crate::controller) fn show(&self, event_job: &ObjectId, active: usize, waiting: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let labels = labels(event_job);
        self.active.get_or_create(&labels).set(number(active));
        self.waiting.get_or_create(&labels).set(number(waiting));
        self.lock().insert(event_job.clone());
    }

    /// Series go when their object goes.
    pub(in crate::controller) fn forget(&self, event_job: &ObjectId) {
        if self.lock().remove(event_job) {
            self.active.remove(&labels(event_job));
            self.waiting.remove(&labels(event_job));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<ObjectId>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn labels(event_job: &ObjectId) -> Labels {
    Labels {
        namespace: event_job.namespace.clone(),
        event_job: event_job.name.clone(),
    }
}
