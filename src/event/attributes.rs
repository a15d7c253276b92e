//! What came beside an event: request headers, or attributes of a message.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::{Refusal, header_field};

/// Request headers or message attributes by name in lower case. Bounded by the server: 64 headers, 16 KiB.
///
/// One that came more than once has no value: nobody can say which is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    values: BTreeMap<String, String>,
    repeated: BTreeSet<String>,
}

impl Attributes {
    /// One that came once.
    pub fn insert(&mut self, name: String, value: String) {
        self.values.insert(name, value);
    }

    /// One that came more than once.
    pub fn insert_repeated(&mut self, name: String) {
        self.values.remove(&name);
        self.repeated.insert(name);
    }

    /// One that counts if nothing of its name is there.
    pub fn insert_if_absent(&mut self, name: String, value: &str) {
        if !self.repeated.contains(&name) {
            self.values.entry(name).or_insert_with(|| value.to_owned());
        }
    }

    /// Whether any came more than once: hardly a request has one.
    pub fn has_repeated(&self) -> bool {
        !self.repeated.is_empty()
    }

    /// Refuses one that is looked at and came more than once: it would be taken for one that is not there.
    ///
    /// # Errors
    ///
    /// [`Refusal`] naming it.
    pub fn check(&self, name: &str) -> Result<(), Refusal> {
        if self.repeated.contains(name) {
            return Err(Refusal::repeated(header_field(name)));
        }
        Ok(())
    }

    /// The same for all whose names begin so.
    ///
    /// # Errors
    ///
    /// [`Refusal`] naming one of them.
    pub fn check_all(&self, prefix: &str) -> Result<(), Refusal> {
        let mut repeated = self.repeated.iter();
        let found = repeated.find(|name| name.starts_with(prefix));
        found.map_or(Ok(()), |name| self.check(name))
    }
}

impl Deref for Attributes {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}

impl FromIterator<(String, String)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        Self {
            values: values.into_iter().collect(),
            repeated: BTreeSet::new(),
        }
    }
}
