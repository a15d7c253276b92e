//! `spec.triggers`: the entries, and KEDA's rules over all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::resource::fields::{Faults, Fields, suggest};
use crate::resource::{AuthenticationRef, Fault, TriggerEntry, TriggerKind};

/// Types that this version launches from.
const SUPPORTED: [(&str, TriggerKind); 6] = [
    ("aws-sqs-queue", TriggerKind::AwsSqsQueue),
    ("kafka", TriggerKind::Kafka),
    ("apache-kafka", TriggerKind::ApacheKafka),
    ("eventbridge", TriggerKind::EventBridge),
    ("external", TriggerKind::External),
    ("external-push", TriggerKind::ExternalPush),
];

/// Types for which KEDA refuses `useCachedMetrics`.
const UNCACHED: [&str; 3] = ["cpu", "memory", "cron"];

impl TriggerKind {
    /// The type of that name, if this version reads it.
    pub fn named(text: &str) -> Option<Self> {
        let found = SUPPORTED.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind)
    }
}

/// KEDA's rules over a list of triggers, in its own words: at least one, names
/// unique, `useCachedMetrics` only where there is something to cache.
pub fn check(triggers: &[Value]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if triggers.is_empty() {
        faults.push(Fault::at(
            "spec.triggers",
            "no triggers defined in the ScaledObject/ScaledJob",
        ));
    }
    let mut names = BTreeSet::new();
    for (index, trigger) in triggers.iter().enumerate() {
        let text = |key: &str| trigger.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = text("type");
        if trigger.get("useCachedMetrics") == Some(&Value::Bool(true)) && UNCACHED.contains(&kind) {
            faults.push(Fault::at(
                format!("spec.triggers[{index}].useCachedMetrics"),
                format!("property \"useCachedMetrics\" is not supported for {kind:?} scaler"),
            ));
        }
        let name = text("name");
        if !name.is_empty() && !names.insert(name) {
            faults.push(Fault::at(
                format!("spec.triggers[{index}].name"),
                format!(
                    "triggerName {name:?} is defined multiple times in the ScaledObject/ScaledJob, but it must be unique"
                ),
            ));
        }
    }
    faults
}

/// The entries that are right; faults for the others.
pub(super) fn read(triggers: &[Value], faults: &Faults) -> Arc<[TriggerEntry]> {
    triggers
        .iter()
        .enumerate()
        .filter_map(|(index, value)| {
            let path = format!("spec.triggers[{index}]");
            entry(index, &Fields::new(&path, value, faults)?, faults)
        })
        .collect()
}

fn entry(index: usize, fields: &Fields<'_>, faults: &Faults) -> Option<TriggerEntry> {
    let kind = fields.required_text("type").and_then(|text| {
        let kind = kind(text);
        if let Err(message) = &kind {
            faults.add(fields.path("type"), message.clone());
        }
        kind.ok()
    });
    let name = fields.text("name").filter(|name| !name.is_empty());
    fields.required("metadata");
    let metadata = fields.text_map("metadata").into();
    // Written, it is `Some`; whether it is right or not.
    let authentication = fields.fields("authenticationRef").map(|reference| {
        let name = reference.required_text("name");
        let kind = reference.choice_or_empty(
            "kind",
            &["TriggerAuthentication", "ClusterTriggerAuthentication"],
        );
        reference.refuse_others();
        AuthenticationRef {
            name: name.unwrap_or_default().to_owned(),
            cluster: kind == Some("ClusterTriggerAuthentication"),
        }
    });
    fields.switch("useCachedMetrics");
    // KEDA's, for its autoscaler.
    fields.choice_or_empty("metricType", &["AverageValue", "Value", "Utilization"]);
    fields.refuse_others();
    Some(TriggerEntry {
        index,
        kind: kind?,
        name: name.map(ToOwned::to_owned),
        metadata,
        authentication,
    })
}

fn kind(text: &str) -> Result<TriggerKind, String> {
    if let Some(kind) = TriggerKind::named(text) {
        return Ok(kind);
    }
    let names = SUPPORTED.map(|(name, _)| name);
    let mut message = format!(
        "{text:?} is no trigger type of Slipway; there are {}",
        names.join(", ")
    );
    suggest(&mut message, text, &names);
    Err(message)
}
