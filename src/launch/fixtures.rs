//! Objects and Jobs for the tests of this room.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::JobState;
use crate::resource::{Api, HistoryLimits, ObjectId, Rollout, ScaledJob};
use crate::scaling::{Bounds, Calculation, Policy, Strategy};

/// An object with defaults and the UID `uid`.
pub(crate) fn scaled_job(name: &str) -> ScaledJob {
    ScaledJob {
        id: ObjectId::new("production", name),
        uid: "uid".to_owned(),
        generation: 3,
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

/// An unfinished Job of that object.
pub(crate) fn job(name: &str) -> JobState {
    JobState {
        name: name.to_owned(),
        uid: Some(format!("uid of {name}")),
        owner_uid: Some("uid".to_owned()),
        annotations: BTreeMap::new(),
        outcome: None,
        created_at: None,
        finished_at: None,
        pods: Vec::new(),
    }
}
