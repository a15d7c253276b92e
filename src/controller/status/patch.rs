//! What to send so that one status becomes another.

use serde_json::{Map, Value};

/// The JSON merge patch (RFC 7386) from one value to another; `None` when they are equal.
pub(in crate::controller) fn difference(from: &Value, to: &Value) -> Option<Value> {
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

/// A status without the times that change although nothing else does.
pub(in crate::controller) fn without_times(status: &Value) -> Value {
    let mut status = status.clone();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("lastActiveTime");
        if let Some(decision) = fields
            .get_mut("lastDecision")
            .and_then(Value::as_object_mut)
        {
            decision.remove("time");
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_holds_only_what_changed_and_removes_what_went() {
        let from = json!({"a": 1, "b": {"x": 1, "y": 2}, "c": [1, 2], "d": true});
        let to = json!({"a": 1, "b": {"x": 3}, "c": [1], "d": true, "e": {"z": 1}});
        let patch = json!({"b": {"x": 3, "y": null}, "c": [1], "e": {"z": 1}});
        assert_eq!(difference(&from, &to), Some(patch));
        assert_eq!(difference(&from, &from), None);
    }

    #[test]
    fn a_new_time_alone_is_no_change() {
        let status = |time: &str| json!({"lastActiveTime": time, "lastDecision": {"time": time, "launch": 1}});
        assert_eq!(without_times(&status("a")), without_times(&status("b")));
    }
}
