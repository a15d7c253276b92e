//! Objects that were never written down: for tests of what comes after parsing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use slipway::resource::{Api, HistoryLimits, ObjectId, Rollout, ScaledJob};
use slipway::scaling::{Bounds, Calculation, Policy, Strategy};

/// An object with every default, no trigger and an empty Job.
pub(crate) fn scaled_job(namespace: &str, name: &str, uid: &str) -> ScaledJob {
    ScaledJob {
        id: ObjectId::new(namespace, name),
        uid: uid.to_owned(),
        generation: 1,
        api: Api::Slipway,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        job_target: json!({}),
        polling_interval: Duration::from_secs(30),
        history: HistoryLimits {
            successful: 100,
            failed: 100,
        },
        rollout: Rollout::Gradual,
        policy: Policy {
            strategy: Strategy::Default,
            calculation: Calculation::Max,
            bounds: Bounds::default(),
        },
        pending_pod_conditions: Vec::new(),
        env_source_container: None,
        triggers: Vec::new(),
        paused: false,
        round: None,
    }
}
