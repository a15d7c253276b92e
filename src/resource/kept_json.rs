//! JSON that is kept for each of thousands of objects, and looked at now and then.

use serde_json::Value;

/// A JSON value, kept as text in which what statuses and Job templates repeat is short: a twentieth of the memory of a
/// [`Value`] with its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptJson(Box<str>);

/// What most statuses and Job templates have, some of it several times. The text kept has the control character of its
/// place for each: JSON that was written by a serializer has none of its own. Nobody else reads it, so this may change.
const REPEATED: [&str; 31] = [
    "{\"conditions\":[",
    "\"},{\"lastTransitionTime\":\"20",
    "{\"lastTransitionTime\":\"20",
    "{\"message\":\"",
    "Z\",\"message\":\"",
    "\",\"observedGeneration\":",
    ",\"observedGeneration\":",
    ",\"reason\":\"",
    "\",\"status\":\"True\",\"type\":\"",
    "\",\"status\":\"False\",\"type\":\"",
    "\"},{\"status\":\"",
    "\"lastActiveTime\":\"20",
    "\"lastLaunchTime\":\"20",
    "\"lastEventTime\":\"20",
    "\"lastDecision\":{",
    "\"lastJobName\":\"",
    "\"triggersActivity\":{",
    ":{\"isActive\":",
    "\"triggers\":[",
    "\"backlog\":",
    "\"proof\":{\"generation\":",
    ",\"version\":\"",
    "\"metadata\":{",
    "\"template\":{",
    "\"spec\":{",
    "\"containers\":[{",
    "\"restartPolicy\":\"",
    "\"command\":[",
    "\"image\":\"",
    "\"name\":\"",
    "\",\"type\":\"",
];

impl KeptJson {
    /// The value.
    ///
    /// # Panics
    ///
    /// Never: what was written as JSON is JSON.
    pub fn value(&self) -> Value {
        let mut text = String::with_capacity(3 * self.0.len());
        for character in self.0.chars() {
            match repeated(character) {
                Some(repeated) => text.push_str(repeated),
                None => text.push(character),
            }
        }
        serde_json::from_str(&text).expect("what was written as JSON is JSON")
    }
}

fn repeated(mark: char) -> Option<&'static str> {
    let place = u32::from(mark).checked_sub(1)?;
    REPEATED.get(usize::try_from(place).ok()?).copied()
}

impl From<&Value> for KeptJson {
    fn from(value: &Value) -> Self {
        let text = value.to_string();
        let mut kept = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let mut found = None;
            if matches!(first, '"' | '{' | ',' | ':' | 'Z') {
                let marks = ('\u{1}'..).zip(REPEATED);
                found = marks
                    .into_iter()
                    .find(|(_, repeated)| rest.starts_with(repeated));
            }
            let (mark, length) = found.map_or((first, first.len_utf8()), |(mark, repeated)| {
                (mark, repeated.len())
            });
            kept.push(mark);
            rest = &rest[length..];
        }
        Self(kept.into())
    }
}

impl From<Value> for KeptJson {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl Default for KeptJson {
    fn default() -> Self {
        Self::from(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let texts = prop_oneof![
            any::<String>(),
            prop::sample::select(REPEATED.to_vec()).prop_map(ToOwned::to_owned),
            Just("conditions".to_owned()),
            Just("message".to_owned()),
            Just("\u{0}\u{1}\u{1f}\u{20}".to_owned()),
        ];
        let leaves = prop_oneof![
            texts.clone().prop_map(Value::from),
            any::<i64>().prop_map(Value::from)
        ];
        leaves.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(texts.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_comes_back_as_it_was(value in values()) {
            prop_assert_eq!(KeptJson::from(&value).value(), value);
        }
    }

    #[test]
    fn a_status_takes_less_than_half_of_its_text() {
        // As the API server writes it.
        let status: Value = serde_json::from_str(
            r#"{"active":0,"conditions":[{"lastTransitionTime":"2026-12-01T00:00:00Z","message":"it takes events","observedGeneration":1,"reason":"Ready","status":"True","type":"Ready"},{"lastTransitionTime":"2026-12-01T00:00:00Z","message":"events become Jobs","observedGeneration":1,"reason":"Launching","status":"True","type":"Launching"}],"observedGeneration":1,"proof":{"generation":1,"version":"0.1.0"},"waiting":0}"#,
        ).unwrap();
        let kept = KeptJson::from(&status);
        assert!(2 * kept.0.len() < status.to_string().len(), "{kept:?}");
    }
}
