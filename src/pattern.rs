//! EventBridge's event pattern language.

use serde_json::Value;

/// A valid event pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Value);

/// Why a pattern is not valid, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Event pattern is not valid. Reason: {0}")]
pub struct Error(String);

/// The first field of a pattern that refused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Path in the pattern, such as `detail.state`.
    pub field: String,
    /// Why; quotes the pattern, never the event.
    pub reason: String,
}

impl Pattern {
    /// Reads a pattern's text.
    ///
    /// # Errors
    ///
    /// What AWS says about it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| Error(error.to_string()))
    }

    /// Reads a pattern as it stands in an object.
    ///
    /// # Errors
    ///
    /// What AWS says about it.
    pub fn from_value(value: &Value) -> Result<Self, Error> {
        Ok(Self(value.clone()))
    }

    /// Whether the event, a JSON text, matches.
    pub fn matches(&self, event: &str) -> bool {
        self.refusal(event).is_none()
    }

    /// Why the event does not match; `None` when it does.
    pub fn refusal(&self, _event: &str) -> Option<Refusal> {
        None
    }
}

/// Many patterns compiled together.
#[derive(Debug)]
pub struct Matcher<K>(Vec<(K, Pattern)>);

impl<K: Clone + Eq + std::hash::Hash> Matcher<K> {
    /// Compiles patterns.
    pub fn new(patterns: impl IntoIterator<Item = (K, Pattern)>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// The keys of all patterns that match.
    pub fn matches(&self, event: &str) -> Vec<K> {
        let matching = self.0.iter().filter(|(_, pattern)| pattern.matches(event));
        matching.map(|(key, _)| key.clone()).collect()
    }
}
