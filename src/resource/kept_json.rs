//! JSON that is kept for each of thousands of objects, and looked at now and then.

use serde_json::Value;

/// A JSON value, kept as text: a tenth of the memory of a [`Value`] with its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptJson(Box<str>);

impl KeptJson {
    /// The value.
    ///
    /// # Panics
    ///
    /// Never: what was written as JSON is JSON.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("what was written as JSON is JSON")
    }
}

impl From<&Value> for KeptJson {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
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
