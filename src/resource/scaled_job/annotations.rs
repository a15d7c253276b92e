//! The annotations that pause an object, and those that hand it over from KEDA.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::resource::Api;

/// Pauses an object; for KEDA's own objects it also makes KEDA let go.
pub const KEDA_PAUSED_ANNOTATION: &str = "autoscaling.keda.sh/paused";
/// Pauses an object, whoever it belongs to.
pub const PAUSED_ANNOTATION: &str = "slipway.dev/paused";
/// `"true"`, beside KEDA's pause, hands a `keda.sh` object to Slipway where it stands.
pub const MANAGED_ANNOTATION: &str = "slipway.dev/managed";

/// Whether an object in the cluster is KEDA's and handed over to us: both annotations are exactly `"true"`.
pub fn is_managed_in_place(value: &Value) -> bool {
    let annotation = |name: &str| {
        value
            .get("metadata")
            .and_then(|metadata| metadata.get("annotations"))
            .and_then(|annotations| annotations.get(name))
            .and_then(Value::as_str)
    };
    let group = value.get("apiVersion").and_then(Value::as_str);
    group.is_some_and(|group| group.starts_with("keda.sh/"))
        && annotation(MANAGED_ANNOTATION) == Some("true")
        && annotation(KEDA_PAUSED_ANNOTATION) == Some("true")
}

/// Whether the object is paused. KEDA's annotation cannot pause an object that it hands over.
pub(super) fn paused(api: Api, value: &Value, annotations: &BTreeMap<String, String>) -> bool {
    let is_set = |name: &str| annotations.get(name).is_some_and(|text| pauses(text));
    let handed_over = api == Api::Keda && is_managed_in_place(value);
    is_set(PAUSED_ANNOTATION) || (!handed_over && is_set(KEDA_PAUSED_ANNOTATION))
}

/// Whether the value of a pause annotation pauses. KEDA's reading: Go's `ParseBool`, and what it does not understand pauses.
pub fn pauses(text: &str) -> bool {
    !matches!(text, "0" | "f" | "F" | "false" | "FALSE" | "False")
}
