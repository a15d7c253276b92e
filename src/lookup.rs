//! What triggers refer to: Secrets, ConfigMaps, ServiceAccounts and
//! TriggerAuthentications, wherever they lie.
//!
//! The port [`Lookup`] reads them; [`inputs()`] puts together what
//! one trigger needs. Values are secret until proven otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use secrecy::SecretString;
use serde_json::Value;

use crate::resource::ObjectId;

/// A Secret's `data`, decoded: by all who read it, one copy.
pub type SecretData = Arc<BTreeMap<String, SecretString>>;

/// Reads what triggers refer to. `None` means that it is not there.
pub trait Lookup: Send + Sync {
    /// A Secret's `data`, decoded. Values that are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be told whether it is there.
    fn secret<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Result<Option<SecretData>, Error>>;

    /// A ConfigMap's `data`.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be told whether it is there.
    fn config_map<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>>;

    /// A ServiceAccount's annotations.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be told whether it is there.
    fn service_account_annotations<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>>;

    /// The `spec` of a TriggerAuthentication, or of a ClusterTriggerAuthentication when `cluster` (the namespace is
    /// then ignored), and the namespace that its Secrets are read from.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be told whether it is there.
    fn authentication<'a>(
        &'a self,
        id: &'a ObjectId,
        cluster: bool,
        api: crate::resource::Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, Error>>;

    /// Drops what is remembered of a namespace, or (`None`) of everything: something changed there.
    fn forget(&self, namespace: Option<&str>);

    /// Drops what is remembered of one Secret.
    fn forget_secret(&self, _id: &ObjectId) {}
}

/// A TriggerAuthentication as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Authentication {
    /// Its `spec`.
    pub spec: Value,
    /// Where its Secrets and ConfigMaps lie.
    pub namespace: String,
}

/// Why something a trigger refers to could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No answer, or none in time.
    #[error("{object} cannot be read: {detail}")]
    Unavailable {
        /// Kind, namespace and name.
        object: String,
        /// What happened.
        detail: String,
    },
    /// Not allowed.
    #[error("not allowed to read {object}: {detail}")]
    Forbidden {
        /// Kind, namespace and name.
        object: String,
        /// The server's words: the verb and the resource.
        detail: String,
    },
    /// It is not there, or lacks the key.
    #[error("{object} {detail}")]
    Missing {
        /// Kind, namespace and name.
        object: String,
        /// What is missing and what would be right.
        detail: String,
    },
    /// It is there, and wrong.
    #[error("{object}: {detail}")]
    Invalid {
        /// Kind, namespace and name.
        object: String,
        /// What is wrong and what would be right.
        detail: String,
    },
}

impl Error {
    /// Would the same call succeed later, with nobody acting?
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// One word from a closed list: metric label and status reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "Unavailable",
            Self::Forbidden { .. } => "Forbidden",
            Self::Missing { .. } => "Missing",
            Self::Invalid { .. } => "Invalid",
        }
    }
}

pub mod files;
pub mod inputs;
mod kept;
pub mod kubernetes;

pub use inputs::inputs;
