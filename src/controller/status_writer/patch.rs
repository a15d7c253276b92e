//! What to send so that one status becomes another, and how soon.

use serde_json::{Map, Value, json};

/// The JSON merge patch (RFC 7386) from one value to another; `None` when they are equal.
pub(super) fn difference(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return Some(to.clone());
    };
    let mut patch = Map::new();
    for (field, value) in to {
        let before = from.get(field).unwrap_or(&Value::Null);
        if let Some(change) = difference(before, value) {
            patch.insert(field.clone(), change);
        }
    }
    for field in from.keys() {
        if !to.contains_key(field) {
            patch.insert(field.clone(), Value::Null);
        }
    }
    Some(Value::Object(patch))
}

/// What a JSON merge patch makes of a value.
pub(super) fn apply(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        value.clone_from(patch);
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (field, change) in patch {
        if change.is_null() {
            value.as_object_mut().map(|fields| fields.remove(field));
        } else {
            apply(&mut value[field], change);
        }
    }
}

/// A status without the times that change although nothing else does.
pub(super) fn without_times(status: &Value) -> Value {
    let mut status = status.clone();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("lastActiveTime");
        let decision = fields.get_mut("lastDecision");
        if let Some(decision) = decision.and_then(Value::as_object_mut) {
            decision.remove("time");
        }
    }
    status
}

/// What of a status is to be seen at once: conditions without their texts, launches, and whether one failed.
pub(super) fn at_once(status: &Value) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let brief =
        |condition: &Value| json!([condition["type"], condition["status"], condition["reason"]]);
    let decision = &status["lastDecision"];
    json!([
        conditions.map(brief).collect::<Value>(),
        status["observedGeneration"],
        status["proof"],
        status["triggersActivity"],
        status["lastLaunchTime"],
        decision["launch"].as_u64() > decision["launched"].as_u64(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_only_what_changed_and_removes_what_went() {
        let from = json!({"a": 1, "b": {"x": 1, "y": 2}, "c": [1, 2], "d": true});
        let to = json!({"a": 1, "b": {"x": 3}, "c": [1], "d": true, "e": {"z": 1}});
        let patch = json!({"b": {"x": 3, "y": null}, "c": [1], "e": {"z": 1}, "d": null});
        let mut to = to;
        to.as_object_mut().map(|fields| fields.remove("d"));
        assert_eq!(difference(&from, &to), Some(patch.clone()));
        assert_eq!(difference(&from, &from), None);
        let mut patched = from;
        apply(&mut patched, &patch);
        assert_eq!(patched, to);
    }

    #[test]
    fn a_new_time_alone_is_no_change() {
        let status = |time: &str| json!({"lastActiveTime": time, "lastDecision": {"time": time, "launch": 1}});
        assert_eq!(without_times(&status("a")), without_times(&status("b")));
    }
}
