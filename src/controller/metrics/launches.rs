//! Launches of each object, of whichever kind, by what came of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::jobs::OfObject;

/// The counters. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Launches {
    counted: Family<OfLaunch, Counter>,
    /// What came of an object's launches so far: its series go when it goes.
    results: Arc<Mutex<HashMap<OfObject, BTreeSet<&'static str>>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLaunch {
    #[prometheus(flatten)]
    object: OfObject,
    result: &'static str,
}

impl Launches {
    /// Registers them.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "launches",
            "Launches, by what came of them: created; waiting, which is created and waits for its turn; duplicate, which had its Job before; or the reason why there is none",
            self.counted.clone(),
        );
    }

    /// So many more came to this. None at all makes the series, so that its first one is seen as a change.
    pub(in crate::controller) fn count(&self, object: &OfObject, result: &'static str, more: u64) {
        let of_launch = OfLaunch {
            object: object.clone(),
            result,
        };
        let mut results = self.lock();
        results.entry(object.clone()).or_default().insert(result);
        self.counted.get_or_create(&of_launch).inc_by(more);
    }

    /// Drops the series of an object that is gone, or rests.
    pub(in crate::controller) fn forget(&self, object: &OfObject) {
        let mut results = self.lock();
        for result in results.remove(object).unwrap_or_default() {
            let object = object.clone();
            self.counted.remove(&OfLaunch { object, result });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OfObject, BTreeSet<&'static str>>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
