//! What one trigger needs, put together: the parameters of its
//! TriggerAuthentication, the environment of its workload, the identity to use.
//!
//! The order is KEDA's, and later sources overwrite earlier ones; but what is
//! referred to and missing is an error here, where KEDA goes on with an empty
//! value. What the parameters mean is for [`resource`](crate::resource).

mod environment;
mod objects;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;

use crate::lookup::{Error, Lookup};
use crate::resource::authentication::{self, AuthenticationSpec, WrittenPodIdentity};
use crate::resource::{
    Api, Fault, Inputs, ObjectId, PodIdentity, ScaledJob, TriggerEntry, secret_text,
};
use environment::Workload;
use objects::{Objects, Referrer};

pub use standing::{Standing, Variables, of_authentication, standing_alone};

/// The annotation that names a ServiceAccount's role. Source: EKS user guide, IAM roles for service accounts.
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// The parameter that pod identity `aws-eks` fills.
const ROLE_PARAMETER: &str = "awsRoleArn";

/// The parameter that says whose identity is meant.
const OWNER: &str = "identityOwner";

/// Parameters that bring keys in place of a role.
const KEY_PARAMETERS: [&str; 2] = ["awsAccessKeyID", "awsAccessKeyIDFromEnv"];

/// Reads what a trigger refers to, and nothing else: the environment only for the variables that are asked for.
///
/// # Errors
///
/// [`Error::Missing`] when a TriggerAuthentication, a Secret, a ConfigMap, a key, a variable that the
/// TriggerAuthentication asks for, or the role of `identityOwner: workload` or `aws-eks` is not there; [`Error::Invalid`] when
/// the TriggerAuthentication or the Job template is wrong; and whatever the lookup itself reports.
pub async fn inputs(
    scaled_job: &ScaledJob,
    trigger: &TriggerEntry,
    lookup: &dyn Lookup,
) -> Result<Inputs, Error> {
    let mut workload = Workload::new(scaled_job, lookup);
    let mut inputs = Inputs {
        polling_interval: Some(scaled_job.polling_interval),
        ..Inputs::default()
    };
    let variables: BTreeSet<&str> = trigger
        .metadata
        .iter()
        .filter(|(key, _)| key.ends_with("FromEnv"))
        .map(|(_, variable)| variable)
        .collect();
    if !variables.is_empty() {
        let container = scaled_job.env_source_container.as_deref();
        inputs.env = workload.variables(container, &variables).await?;
        for value in inputs.env.values_mut() {
            *value = secret_text::of(value);
        }
    }
    if let Some(reference) = &trigger.authentication {
        let id = ObjectId::new(&scaled_job.id.namespace, &reference.name);
        let api = scaled_job.api;
        let found = Found::read(&id, reference.cluster, api, Some(scaled_job), lookup).await?;
        inputs.auth_params = found.parameters(scaled_job, &mut workload, lookup).await?;
        inputs.pod_identity = match found.spec.identity.clone() {
            WrittenPodIdentity::None => PodIdentity::None,
            WrittenPodIdentity::Aws {
                role_arn,
                external_id,
            } => PodIdentity::Aws {
                role_arn,
                external_id,
            },
            WrittenPodIdentity::AwsWorkload => PodIdentity::Aws {
                role_arn: Some(
                    workload_role(
                        &workload,
                        &found.referrer("podIdentity.identityOwner"),
                        lookup,
                    )
                    .await?,
                ),
                external_id: None,
            },
            WrittenPodIdentity::AwsEks => {
                let is_operators = trigger
                    .metadata
                    .get(OWNER)
                    .is_some_and(|owner| owner == "operator");
                let has_keys = KEY_PARAMETERS.iter().any(|key| {
                    inputs.auth_params.contains_key(*key) || trigger.metadata.contains_key(key)
                });
                match workload_role(&workload, &found.referrer("podIdentity.provider"), lookup)
                    .await
                {
                    Ok(role) => {
                        let role = SecretString::from(role);
                        inputs.auth_params.insert(ROLE_PARAMETER.to_owned(), role);
                    }
                    // Another identity is meant.
                    Err(Error::Missing { .. }) if is_operators || has_keys => {}
                    Err(error) => return Err(error),
                }
                PodIdentity::AwsEks
            }
        };
    }
    Ok(inputs)
}

/// A TriggerAuthentication that is there and right.
struct Found {
    /// Kind, namespace and name.
    object: String,
    spec: AuthenticationSpec,
    /// Where its Secrets and ConfigMaps lie.
    namespace: String,
}

impl Found {
    /// Reads the one of that name, for a ScaledJob or for nobody known.
    async fn read(
        id: &ObjectId,
        cluster: bool,
        api: Api,
        scaled_job: Option<&ScaledJob>,
        lookup: &dyn Lookup,
    ) -> Result<Self, Error> {
        let object = if cluster {
            format!("ClusterTriggerAuthentication {}", id.name)
        } else {
            format!("TriggerAuthentication {id}")
        };
        let found = lookup.authentication(id, cluster, api).await?;
        let found = found.ok_or_else(|| {
            let ours = scaled_job.map(|ScaledJob { id, .. }| {
                format!("; an authenticationRef of ScaledJob {id} refers to it")
            });
            Error::Missing {
                object: object.clone(),
                detail: format!("does not exist{}", ours.unwrap_or_default()),
            }
        })?;
        let spec = authentication::parse(&found.spec).map_err(|faults| Error::Invalid {
            object: object.clone(),
            detail: Fault::list(&faults),
        })?;
        Ok(Self {
            object,
            spec,
            namespace: found.namespace,
        })
    }

    /// `env`, then `configMapTargetRef`, then `secretTargetRef`; later ones overwrite.
    async fn parameters(
        &self,
        scaled_job: &ScaledJob,
        workload: &mut Workload<'_>,
        lookup: &dyn Lookup,
    ) -> Result<BTreeMap<String, SecretString>, Error> {
        let mut parameters = BTreeMap::new();
        for (index, reference) in self.spec.env.iter().enumerate() {
            let container = reference
                .container_name
                .as_deref()
                .or(scaled_job.env_source_container.as_deref());
            let name = reference.name.as_str();
            let value = workload
                .variables(container, &BTreeSet::from([name]))
                .await?
                .remove(name)
                .ok_or_else(|| Error::Missing {
                    object: format!("ScaledJob {}", scaled_job.id),
                    detail: format!(
                        "sets no variable {name:?} with a value that can be known before the Pod runs; {} refers to it",
                        self.referrer(&format!("env[{index}]"))
                    ),
                })?;
            parameters.insert(reference.parameter.clone(), secret_text::of(&value));
        }
        let mut objects = Objects::new(lookup, &self.namespace);
        parameters.extend(
            objects
                .parameters(&self.spec, "spec.", &self.object)
                .await?,
        );
        Ok(parameters)
    }

    fn referrer(&self, field: &str) -> Referrer {
        Referrer::new(format!("spec.{field}"), &self.object)
    }
}

/// The role of the workload's ServiceAccount. `referrer`: what asks for it.
async fn workload_role(
    workload: &Workload<'_>,
    referrer: &Referrer,
    lookup: &dyn Lookup,
) -> Result<String, Error> {
    let id = workload.service_account();
    let missing = |detail: String| Error::Missing {
        object: format!("ServiceAccount {id}"),
        detail,
    };
    match role(&id, lookup).await? {
        Some(Some(role)) => Ok(role),
        Some(None) => Err(missing(format!(
            "has no annotation {ROLE_ANNOTATION}; {referrer} takes the role from there"
        ))),
        None => Err(missing(format!(
            "does not exist; {referrer} takes the role from there, from its annotation {ROLE_ANNOTATION}"
        ))),
    }
}

/// The role of a ServiceAccount, if it has one, if it exists.
async fn role(id: &ObjectId, lookup: &dyn Lookup) -> Result<Option<Option<String>>, Error> {
    let annotations = lookup.service_account_annotations(id).await?;
    Ok(annotations.map(|mut annotations| {
        annotations
            .remove(ROLE_ANNOTATION)
            .filter(|role| !role.is_empty())
    }))
}
