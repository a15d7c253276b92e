//! Objects and Jobs that were never written down: for unit tests, and by its path for those in `tests/it`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use slipway::launch::JobState;
use slipway::launch::ports::DeliveredJob;
use slipway::resource::{Api, HistoryLimits, ObjectId, Rollout, ScaledJob};
use slipway::scaling::{Bounds, Calculation, Policy, Strategy};

/// An object with defaults and the UID `uid`.
pub(crate) fn scaled_job(name: &str) -> ScaledJob {
    ScaledJob {
        id: ObjectId::new("production", name),
        uid: "uid".to_owned(),
        generation: 3,
        api: Api::Slipway,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        job_target: json!({}).into(),
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
        triggers: Arc::default(),
        paused: false,
        round: None,
        requests: Ok(Vec::new()),
        answers: Vec::new(),
    }
}

/// An unfinished Job of that object.
pub(crate) fn job(name: &str) -> JobState {
    JobState {
        end_reason: "",
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

/// Jobs as a port shows them.
pub(crate) fn as_seen(jobs: impl IntoIterator<Item = DeliveredJob>) -> Vec<Arc<DeliveredJob>> {
    jobs.into_iter().map(Arc::new).collect()
}

/// An unfinished Job of an event, received so many seconds after 1970, made without a gate.
pub(crate) fn delivered(name: &str, received_at: i64) -> DeliveredJob {
    let at = Timestamp::from_second(received_at).unwrap();
    DeliveredJob {
        end_reason: "",
        id: ObjectId::new("production", name),
        uid: format!("uid of {name}"),
        version: "1".to_owned(),
        event_job: ObjectId::new("production", "invoices"),
        occurrence: String::new(),
        gate: None,
        is_suspended: false,
        claimed_by: None,
        key: String::new(),
        received_at: at,
        due: None,
        is_asked_for: false,
        attempt: 1,
        first: None,
        wants_rerun: false,
        is_removed: false,
        created_at: at,
        ended: None,
        is_going: false,
        active_pods: 1,
        ready_pods: 1,
        remember_for: Duration::from_hours(25),
    }
}
