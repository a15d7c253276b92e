//! What every Job's manifest gets from us, whoever asked for the Job.

use serde_json::{Map, Value, json};

/// Who made a Job.
pub(crate) const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The object that a Job belongs to, and goes with.
pub(crate) fn owner_reference(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The field as an object; what is none (absent, or a `null`, as YAML writes an empty field) becomes an empty one.
pub(crate) fn object_in<'a>(
    parent: &'a mut Map<String, Value>,
    key: &str,
) -> &'a mut Map<String, Value> {
    object(parent.entry(key).or_insert(Value::Null))
}

/// The value as an object; what is none becomes an empty one.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object just now")
}

/// The Pod template's labels.
pub(crate) fn pod_labels(spec: &mut Map<String, Value>) -> &mut Map<String, Value> {
    object_in(object_in(object_in(spec, "template"), "metadata"), "labels")
}
