//! Changes of what may run, as merge patches.

use serde_json::{Value, json};

use crate::launch::delivered::{GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate};
use crate::launch::event_launcher::DeliveredJob;

/// Whether a Job waits for its turn.
pub(super) fn waits(job: &DeliveredJob) -> bool {
    job.gate == Some(Gate::Waiting) && job.is_suspended && job.ended.is_none() && !job.is_going
}

/// Our name on the gate.
pub(super) fn claim(holder: &str) -> Value {
    json!({"metadata": {"annotations": {GATE_HOLDER_ANNOTATION: holder}}})
}

/// Gate and `suspend` in one change.
pub(super) fn release() -> Value {
    json!({
        "metadata": {"annotations": {GATE_ANNOTATION: Gate::Released.name()}},
        "spec": {"suspend": false},
    })
}

/// Never, or no more.
pub(super) fn discard() -> Value {
    json!({
        "metadata": {"annotations": {GATE_ANNOTATION: Gate::Dropped.name()}},
        "spec": {"suspend": true},
    })
}
