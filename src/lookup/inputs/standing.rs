//! A TriggerAuthentication without a workload: over gRPC nobody knows whose Pods a trigger
//! is for, so that nothing can come from their environment or ServiceAccount.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::Found;
use super::objects::Objects;
use crate::lookup::{Error, Lookup};
use crate::resource::authentication::{AuthenticationSpec, WrittenPodIdentity};
use crate::resource::{Api, Inputs, ObjectId, PodIdentity, secret_text};

/// Finds a variable of an environment.
pub type Variables = dyn Fn(&str) -> Option<SecretString> + Send + Sync;

/// Where the references of an authentication that stands alone lead to.
pub struct Standing<'a> {
    /// What refers: kind and name.
    pub object: String,
    /// Where its Secrets and ConfigMaps lie.
    pub namespace: &'a str,
    /// What `env` looks into; nothing where there is no environment to look into.
    pub environment: Option<&'a Variables>,
}

/// What a TriggerAuthentication of a namespace gives, without a workload.
///
/// # Errors
///
/// [`Error::Missing`] and [`Error::Invalid`] for what is not there, wrong, or would need a workload; whatever the
/// lookup itself reports.
pub async fn of_authentication(id: &ObjectId, lookup: &dyn Lookup) -> Result<Inputs, Error> {
    let found = Found::read(id, false, Api::Keda, None, lookup).await?;
    let standing = Standing {
        object: found.object,
        namespace: &found.namespace,
        environment: None,
    };
    standing_alone(&found.spec, &standing, lookup).await
}

/// What an authentication gives, without a workload.
///
/// # Errors
///
/// Those of [`of_authentication`].
pub async fn standing_alone(
    spec: &AuthenticationSpec,
    standing: &Standing<'_>,
    lookup: &dyn Lookup,
) -> Result<Inputs, Error> {
    let mut auth_params = BTreeMap::new();
    for (index, reference) in spec.env.iter().enumerate() {
        let field = format!("env[{index}]");
        let environment = standing
            .environment
            .ok_or_else(|| standing.needs_workload(&field))?;
        let value = environment(&reference.name).ok_or_else(|| Error::Missing {
            object: standing.object.clone(),
            detail: format!(
                "asks in {field} for the variable {:?}, which is not set",
                reference.name
            ),
        })?;
        if secret_text::is_blank(&value) {
            return Err(Error::Invalid {
                object: standing.object.clone(),
                detail: format!(
                    "asks in {field} for the variable {:?}, which is empty",
                    reference.name
                ),
            });
        }
        auth_params.insert(reference.parameter.clone(), secret_text::of(&value));
    }
    let mut objects = Objects::new(lookup, standing.namespace);
    auth_params.extend(objects.parameters(spec, "", &standing.object).await?);
    let pod_identity = match spec.identity.clone() {
        WrittenPodIdentity::None => PodIdentity::None,
        WrittenPodIdentity::Aws {
            role_arn,
            external_id,
        } => PodIdentity::Aws {
            role_arn,
            external_id,
        },
        WrittenPodIdentity::AwsWorkload | WrittenPodIdentity::AwsEks => {
            return Err(standing.needs_workload("podIdentity"));
        }
    };
    Ok(Inputs {
        auth_params,
        env: BTreeMap::new(),
        pod_identity,
        polling_interval: None,
    })
}

impl Standing<'_> {
    fn needs_workload(&self, field: &str) -> Error {
        Error::Invalid {
            object: self.object.clone(),
            detail: format!(
                "{field} takes something from the workload's Pods, which are not known here: use secretTargetRef, configMapTargetRef, or podIdentity aws with the role in roleArn"
            ),
        }
    }
}
