//! Many patterns at once.

use super::Pattern;

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
