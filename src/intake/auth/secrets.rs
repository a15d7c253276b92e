//! Keys from Secrets. What is missing, empty or unreadable is an operator's trouble, and never lets anybody in.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::lookup::{Lookup, SecretData};
use crate::resource::ObjectId;
use crate::resource::event_job::SecretKey;
use crate::resource::secret_text;

/// What could be read of several keys.
pub(super) struct SecretKeys {
    /// Those that are there, none empty.
    pub(super) present: Vec<SecretString>,
    /// Why another is not.
    pub(super) trouble: Option<String>,
}

/// Reads Secrets of one namespace.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a> {
    /// Where they lie.
    pub(super) lookup: &'a dyn Lookup,
    /// The EventJob's.
    pub(super) namespace: &'a str,
}

impl Secrets<'_> {
    /// All keys that can be read. One that cannot be does not stand in the way of the others.
    pub(super) async fn keys(self, keys: &[SecretKey]) -> SecretKeys {
        let mut present = Vec::new();
        let mut trouble = None;
        for key in keys {
            match self.key(key).await {
                Ok(value) => present.push(value),
                Err(why) => trouble = Some(why),
            }
        }
        SecretKeys { present, trouble }
    }

    async fn key(self, key: &SecretKey) -> Result<SecretString, String> {
        let data = self.data(&key.name).await?;
        self.value(&key.name, &data, &key.key)
    }

    /// A Secret's data.
    ///
    /// # Errors
    ///
    /// It is not there, or it cannot be told.
    pub(super) async fn data(self, name: &str) -> Result<SecretData, String> {
        let id = ObjectId::new(self.namespace, name);
        match self.lookup.secret(&id).await {
            Ok(Some(data)) => Ok(data),
            Ok(None) => Err(format!("Secret {id} is not there")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// One value of it, by the rule for secret texts.
    ///
    /// # Errors
    ///
    /// It has none, or an empty one.
    pub(super) fn value(
        self,
        name: &str,
        data: &BTreeMap<String, SecretString>,
        key: &str,
    ) -> Result<SecretString, String> {
        let id = ObjectId::new(self.namespace, name);
        let Some(value) = data.get(key) else {
            return Err(format!("Secret {id} has no key `{key}` that is text"));
        };
        if secret_text::is_blank(value) {
            return Err(format!("key `{key}` of Secret {id} is empty"));
        }
        Ok(secret_text::of(value))
    }
}
