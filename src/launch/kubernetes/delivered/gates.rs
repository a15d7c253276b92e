//! Changes of what may run, as merge patches.

use serde_json::{Value, json};

use super::super::{job_path, refusal, unknown};
use super::READ;
use crate::cluster::{Budget, Call, Cluster};
use crate::launch::Error;
use crate::launch::delivered::{GATE_ANNOTATION, GATE_HOLDER_ANNOTATION, Gate};
use crate::launch::ports::DeliveredJob;

/// One change of a Job's gate, based on the version seen. Its answer says only that it was made: what is
/// kept of Jobs comes from the watch alone, in the order in which it happened, and admission relies on that.
pub(super) async fn change(
    cluster: &Cluster,
    job: &DeliveredJob,
    gate: Gate,
    holder: &str,
) -> Result<(), Error> {
    let object = format!("job {}", job.id);
    let mut patch = patch(gate, holder);
    patch["metadata"]["resourceVersion"] = job.version.clone().into();
    patch["metadata"]["uid"] = job.uid.clone().into();
    let call = Call::merge_patch(job_path(&job.id), patch).within(READ);
    let cluster = cluster.clone().with(Budget::Launches);
    let answer = cluster
        .send(call)
        .await
        .map_err(|error| unknown(&object, &error))?;
    if answer.is_success() {
        Ok(())
    } else {
        Err(refusal(&object, &answer))
    }
}

/// Gate and `suspend` in one change; with our name while the Job waits.
fn patch(gate: Gate, holder: &str) -> Value {
    let mut annotations = json!({GATE_ANNOTATION: gate.name()});
    if gate == Gate::Waiting {
        annotations[GATE_HOLDER_ANNOTATION] = holder.into();
    }
    json!({
        "metadata": {"annotations": annotations},
        "spec": {"suspend": gate != Gate::Released},
    })
}
