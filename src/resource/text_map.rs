//! A small map from text to text that is kept for each of thousands of objects, and never changed.

use std::collections::BTreeMap;

/// Texts by their keys, in the keys' order: a quarter of the memory of a [`BTreeMap`] of a few entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextMap(Box<[(Box<str>, Box<str>)]>);

impl TextMap {
    /// The text at a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(other, _)| (**other).cmp(key));
        place.ok().map(|place| &*self.0[place].1)
    }

    /// Whether there is a text at a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// The keys and their texts, in the keys' order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, text)| (&**key, &**text))
    }
}

impl From<BTreeMap<String, String>> for TextMap {
    fn from(map: BTreeMap<String, String>) -> Self {
        let boxed = |(key, text): (String, String)| (key.into(), text.into());
        Self(map.into_iter().map(boxed).collect())
    }
}

impl FromIterator<(String, String)> for TextMap {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Self {
        BTreeMap::from_iter(entries).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_by_its_key_whatever_the_order_and_the_last_of_a_key_counts() {
        let entries = [("b", "2"), ("c", "3"), ("a", "1"), ("b", "4")];
        let owned = entries.map(|(key, text)| (key.to_owned(), text.to_owned()));
        let map = TextMap::from_iter(owned);
        let found = ["a", "b", "c", "d", ""].map(|key| map.get(key));
        assert_eq!(found, [Some("1"), Some("4"), Some("3"), None, None]);
        assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
