//! Changes of what may run, as merge patches.

use serde_json::{Value, json};

use crate::launch::delivered::{GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate};

/// Gate and `suspend` in one change; with our name while the Job waits.
pub(super) fn patch(gate: Gate, holder: &str) -> Value {
    let mut annotations = json!({GATE_ANNOTATION: gate.name()});
    if gate == Gate::Waiting {
        annotations[GATE_HOLDER_ANNOTATION] = holder.into();
    }
    json!({
        "metadata": {"annotations": annotations},
        "spec": {"suspend": gate != Gate::Released},
    })
}
