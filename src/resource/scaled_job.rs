//! The wire form of a ScaledJob: KEDA's schema, field for field, under both groups.
//!
//! One parser for files and for the API server. What triggers mean
//! (`metadata`, `authenticationRef`) is left to the triggers' own parsers; whether
//! the Job template is a good one is left to the API server.

mod annotations;
mod spec;
mod triggers;

use serde_json::Value;

use crate::resource::fields::Faults;
use crate::resource::{Api, Fault, RoundRecord, ScaledJob, object, requests};

pub use annotations::{
    KEDA_PAUSED_ANNOTATION, MANAGED_ANNOTATION, PAUSED_ANNOTATION, is_managed_in_place, pauses,
};
pub use triggers::check as check_triggers;

/// `apiVersion` of our own objects.
pub const SLIPWAY_API_VERSION: &str = "slipway.dev/v1alpha1";
/// `apiVersion` of KEDA's objects.
pub const KEDA_API_VERSION: &str = "keda.sh/v1alpha1";

/// Reads a ScaledJob of either group.
///
/// `status` is ignored except for `round` and `requests`, which only Slipway writes.
///
/// # Errors
///
/// Everything that is wrong with it: first what is misspelt or of the wrong
/// type, and when nothing is, what contradicts itself.
pub fn parse(value: &Value) -> Result<ScaledJob, Vec<Fault>> {
    let faults = Faults::default();
    let parsed = document(value, &faults);
    match parsed {
        Some(scaled_job) if faults.is_empty() => Ok(scaled_job),
        _ => Err(faults.into_vec()),
    }
}

fn document(value: &Value, faults: &Faults) -> Option<ScaledJob> {
    let apis = [Api::Slipway, Api::Keda];
    let (api, metadata, spec) = object::read(value, faults, "ScaledJob", &apis, spec::read)?;
    let round = round(value, api, faults);
    Some(ScaledJob {
        paused: annotations::paused(api, value, &metadata.annotations),
        uid: metadata.uid.unwrap_or_else(|| metadata.id.to_string()),
        id: metadata.id,
        generation: metadata.generation,
        api,
        labels: metadata.labels,
        annotations: metadata.annotations,
        job_target: spec.job_target,
        polling_interval: spec.polling_interval,
        history: spec.history,
        rollout: spec.rollout,
        policy: spec.policy,
        pending_pod_conditions: spec.pending_pod_conditions,
        env_source_container: spec.env_source_container,
        triggers: spec.triggers,
        round,
        requests: requests::of(value),
        answers: requests::answers_of(value),
    })
}

/// The last round. A record that cannot be true is a fault: Jobs of that round could be missing from the count.
fn round(value: &Value, api: Api, faults: &Faults) -> Option<RoundRecord> {
    let field = match api {
        Api::Slipway => "status.round",
        Api::Keda => "metadata.annotations[slipway.dev/round]",
    };
    RoundRecord::of(value, api).unwrap_or_else(|wrong| {
        faults.add(
            field,
            format!(
                "is no record of a round: {wrong}. Nothing is launched, because Jobs of that round may be \
                 missing from the count. Remove the record once you know that none is to come"
            ),
        );
        None
    })
}

#[cfg(test)]
mod tests;
