//! Traps in a TriggerAuthentication, and in its use.

use serde_json::Value;

use crate::resource::fields::join;
use crate::resource::{Fault, TriggerEntry, TriggerKind};

/// Warnings about a TriggerAuthentication or ClusterTriggerAuthentication, from its document.
pub fn of_authentication(written: &Value) -> Vec<Fault> {
    let identity = &written["spec"]["podIdentity"];
    let mut found = Vec::new();
    let provider = identity["provider"].as_str().unwrap_or_default();
    if provider == "aws-eks" {
        found.push(Fault::at(
            "spec.podIdentity.provider",
            "aws-eks is deprecated by KEDA: write provider: aws, with identityOwner: workload for the role of the Job's ServiceAccount, and without it where the trigger says identityOwner: operator",
        ));
    }
    if !matches!(provider, "aws" | "") {
        for field in ["roleArn", "externalID", "identityOwner"] {
            if !identity[field].is_null() {
                found.push(Fault::at(
                    join("spec.podIdentity", field),
                    format!("has no effect with provider: {provider}"),
                ));
            }
        }
    }
    found
}

/// Warnings about a trigger together with the `spec` of the TriggerAuthentication it refers to.
pub fn of_pair(trigger: &TriggerEntry, authentication_spec: &Value) -> Vec<Fault> {
    let mut found = Vec::new();
    let provider = authentication_spec["podIdentity"]["provider"].as_str();
    if trigger.kind == TriggerKind::AwsSqsQueue
        && trigger.metadata.contains_key("identityOwner")
        && provider == Some("aws")
    {
        found.push(Fault::at(
            format!("spec.triggers[{}].metadata.identityOwner", trigger.index),
            "has no effect beside podIdentity provider aws, which decides the identity alone; identityOwner: workload belongs into the TriggerAuthentication's podIdentity",
        ));
    }
    found
}
