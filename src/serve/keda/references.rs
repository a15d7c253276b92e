//! What triggers refer to for credentials: TriggerAuthentications of callers, and what
//! connections name.

use std::sync::Arc;

use secrecy::SecretString;

use super::refusal::RpcRefusal;
use super::telling::LogBudget;
use crate::lookup::{Lookup, inputs};
use crate::resource::authentication::AuthenticationSpec;
use crate::resource::{Inputs, ObjectId};

/// Finds a variable of this process's own environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<SecretString> + Send + Sync>;

/// Reads references.
pub struct References {
    /// Where objects lie.
    pub lookup: Arc<dyn Lookup>,
    /// Where a connection's Secrets and ConfigMaps lie.
    pub own_namespace: String,
    /// What `env` of a connection looks into.
    pub environment: Environment,
    /// Namespaces that we have rights in; nothing for all.
    pub scope: Option<Vec<String>>,
}

impl References {
    /// What a TriggerAuthentication of a caller's namespace gives.
    pub(super) async fn of_caller(
        &self,
        namespace: &str,
        name: &str,
        proven: bool,
    ) -> Result<Inputs, RpcRefusal> {
        if !proven {
            return Err(RpcRefusal::Denied(format!(
                "metadata.authenticationRef: only a client certificate that proves namespace {namespace:?} (a URI name spiffe://DOMAIN/ns/{namespace}) may use its TriggerAuthentications"
            )));
        }
        self.check_scope(namespace, "authenticationRef")?;
        let id = ObjectId::new(namespace, name);
        inputs::of_authentication(&id, self.lookup.as_ref())
            .await
            .map_err(|error| RpcRefusal::of_lookup(&error))
    }

    /// What a connection's own authentication gives.
    pub(super) async fn of_connection(
        &self,
        name: &str,
        authentication: &AuthenticationSpec,
        log: &LogBudget,
    ) -> Result<Inputs, RpcRefusal> {
        let whose = inputs::Standing {
            object: format!("connection {name}"),
            namespace: &self.own_namespace,
            environment: Some(self.environment.as_ref()),
        };
        let found = inputs::standing_alone(authentication, &whose, self.lookup.as_ref()).await;
        // What the operator's own objects are called is not for callers; it is in the log.
        found.map_err(|error| {
            if log.allows() {
                tracing::warn!(
                    connection = name,
                    error = &error as &dyn std::error::Error,
                    "the connection {name} cannot be used"
                );
            }
            RpcRefusal::Unavailable(format!("connection {name:?} cannot be used now"))
        })
    }

    /// Whether we have rights in a namespace.
    pub(super) fn check_scope(&self, namespace: &str, key: &str) -> Result<(), RpcRefusal> {
        match &self.scope {
            Some(scope) if !scope.iter().any(|one| one == namespace) => {
                Err(RpcRefusal::Denied(format!(
                    "metadata.{key}: namespace {namespace:?} is not among those that Slipway looks after"
                )))
            }
            _ => Ok(()),
        }
    }
}
