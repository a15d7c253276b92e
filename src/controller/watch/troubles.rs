//! What cannot be watched now, and why: for `/readyz`, and a metric.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use crate::cluster::{Call, Cluster};

/// A namespace that is not there is looked for again after this. One that may not be looked at is left alone.
const NAMESPACE_LOOK: Duration = Duration::from_secs(30);
/// Lines of one answer of `/readyz`.
const MOST_LINES: usize = 20;

/// What cannot be watched now. Its clones are one.
#[derive(Debug, Clone, Default)]
pub struct WatchTroubles(Arc<Troubles>);

#[derive(Debug, Default)]
struct Troubles {
    /// Why, by resource and namespace.
    current: Mutex<BTreeMap<(String, String), &'static str>>,
    failing: Family<OfWatch, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWatch {
    resource: String,
    /// Empty for all.
    namespace: String,
}

impl WatchTroubles {
    /// Registers what is counted; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "watch_failing",
            "1 while a kind cannot be listed or watched there, or the namespace does not exist; no namespace is all of them",
            self.0.failing.clone(),
        );
    }

    /// A line for each.
    pub fn lines(&self) -> Vec<String> {
        let current = self.lock();
        let line = |((resource, place), why): (&(String, String), &&str)| {
            let place = if place.is_empty() {
                "all namespaces"
            } else {
                place
            };
            format!("{resource} in {place}: {why}")
        };
        let mut lines: Vec<String> = current.iter().map(line).take(MOST_LINES).collect();
        if current.len() > MOST_LINES {
            lines.push(format!("and {} more", current.len() - MOST_LINES));
        }
        lines
    }

    /// A watch fails for this reason, or works again.
    pub(super) fn set(&self, resource: &str, namespace: &str, why: Option<&'static str>) {
        let labels = OfWatch {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
        };
        let key = (resource.to_owned(), namespace.to_owned());
        match why {
            Some(why) => {
                self.0.failing.get_or_create(&labels).set(1);
                self.lock().insert(key, why);
            }
            None if self.lock().remove(&key).is_some() => {
                self.0.failing.remove(&labels);
            }
            None => {}
        }
    }

    /// Says loudly while a namespace does not exist: lists of its objects are empty then, and no error.
    pub(super) async fn look_for(&self, cluster: &Cluster, namespace: String) {
        let mut was_missing = false;
        loop {
            let call = Call::get(format!("/api/v1/namespaces/{namespace}"));
            let is_missing = match cluster.send(call).await {
                Ok(answer) if answer.status == 404 => true,
                Ok(answer) if answer.status == 403 => return,
                Ok(answer) if answer.is_success() => false,
                Ok(_) | Err(_) => was_missing,
            };
            if is_missing && !was_missing {
                warn!("namespace {namespace} does not exist: nothing is launched there");
            } else if was_missing && !is_missing {
                info!("namespace {namespace} exists now");
            }
            let why = is_missing.then_some("the namespace does not exist");
            self.set("namespaces", &namespace, why);
            was_missing = is_missing;
            tokio::time::sleep(NAMESPACE_LOOK).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), &'static str>> {
        self.0
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
