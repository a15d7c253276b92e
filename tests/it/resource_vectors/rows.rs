//! What goes into a trigger, out of a vector's row.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a row that cannot be read has to fail its test"
)]

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value, json};
use slipway::resource::{Inputs, ObjectId, PodIdentity, TriggerEntry, TriggerKind};

/// KEDA ran these rows with these parameters and with none.
pub(super) fn with_and_without_sasl(row: &Value) -> [Value; 2] {
    let mut with = row.clone();
    with["authParams"] = json!({"sasl": "plaintext", "username": "admin", "password": "admin"});
    [row.clone(), with]
}

/// Whose the triggers are.
pub(super) fn owner() -> ObjectId {
    ObjectId::new("default", "worker")
}

pub(super) fn entry(row: &Value, kind: TriggerKind) -> TriggerEntry {
    let index = row
        .get("triggerIndex")
        .map_or(0, |index| index.as_u64().unwrap());
    TriggerEntry {
        index: usize::try_from(index).unwrap(),
        kind,
        name: None,
        metadata: strings(row, "triggerMetadata").into(),
        authentication: None,
    }
}

pub(super) fn inputs(row: &Value) -> Inputs {
    let secrets = |key| {
        strings(row, key)
            .into_iter()
            .map(|(name, value)| (name, SecretString::from(value)))
            .collect()
    };
    Inputs {
        auth_params: secrets("authParams"),
        env: secrets("resolvedEnv"),
        pod_identity: pod_identity(row),
        polling_interval: None,
    }
}

pub(super) fn pod_identity(row: &Value) -> PodIdentity {
    let Some(identity) = row.get("podIdentity") else {
        return PodIdentity::None;
    };
    only(identity, &["provider", "roleArn", "externalID"]);
    let text = |key: &str| identity.get(key).map(|text| string(text).to_owned());
    match identity.get("provider").map(string) {
        None | Some("none") => PodIdentity::None,
        Some("aws-eks") => PodIdentity::AwsEks,
        Some("aws") => PodIdentity::Aws {
            role_arn: text("roleArn"),
            external_id: text("externalID"),
        },
        Some(other) => panic!("unknown provider {other} in {row}"),
    }
}

/// A map of strings; absent and null are empty.
fn strings(row: &Value, key: &str) -> BTreeMap<String, String> {
    match row.get(key) {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| (name.clone(), string(value).to_owned()))
            .collect(),
        Some(other) => panic!("{key} is {other}"),
    }
}

/// Panics when an object has a key that is not among these.
pub(super) fn only(row: &Value, keys: &[&str]) {
    for key in row.as_object().unwrap().keys() {
        assert!(keys.contains(&key.as_str()), "unknown key {key} in {row}");
    }
}

/// The expectations with one of them under another name.
pub(super) fn renamed(expect: &Map<String, Value>, from: &str, to: &str) -> Map<String, Value> {
    let name = |key: &String| {
        if key == from {
            to.to_owned()
        } else {
            key.clone()
        }
    };
    expect
        .iter()
        .map(|(key, value)| (name(key), value.clone()))
        .collect()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

pub(super) fn string(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}
