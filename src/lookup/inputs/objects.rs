//! Secrets and ConfigMaps of one namespace, each read once for one trigger.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use crate::lookup::{Error, Lookup, SecretData};
use crate::resource::ObjectId;
use crate::resource::authentication::AuthenticationSpec;
use crate::resource::secret_text;

/// The two kinds that hold values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        })
    }
}

/// The field that refers to something, for whoever has to repair it.
pub(super) struct Referrer {
    field: String,
    object: String,
}

impl Referrer {
    pub(super) fn new(field: String, object: &str) -> Self {
        Self {
            field,
            object: object.to_owned(),
        }
    }
}

impl fmt::Display for Referrer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}", self.field, self.object)
    }
}

/// Values by name: an environment, or parameters.
pub(super) type SecretValues = BTreeMap<String, SecretString>;

/// What has been read of a namespace.
pub(super) struct Objects<'a> {
    lookup: &'a dyn Lookup,
    namespace: &'a str,
    read: BTreeMap<(Kind, String), Option<SecretData>>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(lookup: &'a dyn Lookup, namespace: &'a str) -> Self {
        Self {
            lookup,
            namespace,
            read: BTreeMap::new(),
        }
    }

    /// Everything in an object; nothing when it is not there. From here on a ConfigMap's values too are treated as secret.
    pub(super) async fn find(
        &mut self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<&SecretData>, Error> {
        let entry = match self.read.entry((kind, name.to_owned())) {
            Entry::Occupied(entry) => return Ok(entry.into_mut().as_ref()),
            Entry::Vacant(entry) => entry,
        };
        let id = ObjectId::new(self.namespace, name);
        let values = match kind {
            Kind::Secret => self.lookup.secret(&id).await?,
            Kind::ConfigMap => self.lookup.config_map(&id).await?.map(|data| {
                let values = data.into_iter();
                Arc::new(
                    values
                        .map(|(key, value)| (key, SecretString::from(value)))
                        .collect(),
                )
            }),
        };
        Ok(entry.insert(values).as_ref())
    }

    /// Everything in an object that has to be there.
    pub(super) async fn all(
        &mut self,
        kind: Kind,
        name: &str,
        referrer: &Referrer,
    ) -> Result<&SecretData, Error> {
        let namespace = self.namespace;
        self.find(kind, name).await?.ok_or_else(|| Error::Missing {
            object: format!("{kind} {namespace}/{name}"),
            detail: format!("does not exist; {referrer} refers to it"),
        })
    }

    /// One value that has to be there.
    pub(super) async fn key(
        &mut self,
        kind: Kind,
        name: &str,
        key: &str,
        referrer: &Referrer,
    ) -> Result<SecretString, Error> {
        let namespace = self.namespace;
        let values = self.all(kind, name, referrer).await?;
        values.get(key).cloned().ok_or_else(|| Error::Missing {
            object: format!("{kind} {namespace}/{name}"),
            detail: format!("has no text under the key {key:?}; {referrer} refers to it"),
        })
    }

    /// The parameters of `configMapTargetRef`, then those of `secretTargetRef`; later ones overwrite. `place` is what
    /// stands before the lists' names in `object`.
    pub(super) async fn parameters(
        &mut self,
        spec: &AuthenticationSpec,
        place: &str,
        object: &str,
    ) -> Result<SecretValues, Error> {
        let mut parameters = SecretValues::new();
        for (kind, list, references) in [
            (Kind::ConfigMap, "configMapTargetRef", &spec.config_maps),
            (Kind::Secret, "secretTargetRef", &spec.secrets),
        ] {
            for (index, reference) in references.iter().enumerate() {
                let referrer = Referrer::new(format!("{place}{list}[{index}]"), object);
                let value = self
                    .key(kind, &reference.name, &reference.key, &referrer)
                    .await?;
                if kind == Kind::Secret && secret_text::is_blank(&value) {
                    return Err(Error::Invalid {
                        object: format!("{kind} {}/{}", self.namespace, reference.name),
                        detail: format!(
                            "the text under the key {:?} is empty; {referrer} refers to it",
                            reference.key
                        ),
                    });
                }
                parameters.insert(reference.parameter.clone(), secret_text::of(&value));
            }
        }
        Ok(parameters)
    }
}
