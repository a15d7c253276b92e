//! Whom to be towards AWS.

use std::fmt;
use std::hash::{Hash, Hasher};

use secrecy::{ExposeSecret, SecretString};

use crate::resource::PodIdentity;
use crate::resource::metadata::ParameterOrigin::{Authentication, Environment, Metadata};
use crate::resource::metadata::{Parameter, Parameters};

/// An AWS identity, as a trigger asks for it (in the order of KEDA's `GetAwsAuthorization`).
#[derive(Clone)]
pub enum AwsIdentity {
    /// Slipway's own: the SDK's default chain (environment, profile, web identity, EKS Pod Identity, instance).
    Own,
    /// A role to assume from our own identity: web identity first when a token file is there, then `AssumeRole`.
    Role {
        /// ARN of the role.
        arn: String,
        /// External id to send.
        external_id: Option<String>,
        /// True when the role is asked for by pod identity `aws` (web identity is tried first); false for a plain `awsRoleArn`.
        web_identity: bool,
    },
    /// Static keys.
    Keys {
        /// `awsAccessKeyID`.
        access_key_id: SecretString,
        /// `awsSecretAccessKey`.
        secret_access_key: SecretString,
        /// `awsSessionToken`.
        session_token: Option<SecretString>,
    },
}

impl Eq for AwsIdentity {}

impl PartialEq for AwsIdentity {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own, Self::Own) => true,
            (
                Self::Role {
                    arn,
                    external_id,
                    web_identity,
                },
                Self::Role {
                    arn: other_arn,
                    external_id: other_external_id,
                    web_identity: other_web_identity,
                },
            ) => {
                arn == other_arn
                    && external_id == other_external_id
                    && web_identity == other_web_identity
            }
            (
                Self::Keys {
                    access_key_id,
                    secret_access_key,
                    session_token,
                },
                Self::Keys {
                    access_key_id: other_id,
                    secret_access_key: other_secret,
                    session_token: other_token,
                },
            ) => {
                access_key_id.expose_secret() == other_id.expose_secret()
                    && secret_access_key.expose_secret() == other_secret.expose_secret()
                    && session_token.as_ref().map(ExposeSecret::expose_secret)
                        == other_token.as_ref().map(ExposeSecret::expose_secret)
            }
            _ => false,
        }
    }
}

impl Hash for AwsIdentity {
    /// By what tells most of them apart; a secret key is no part of it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Own => {}
            Self::Role {
                arn, external_id, ..
            } => (arn, external_id).hash(state),
            Self::Keys { access_key_id, .. } => access_key_id.expose_secret().hash(state),
        }
    }
}

impl fmt::Debug for AwsIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => formatter.write_str("Own"),
            Self::Role { arn, .. } => write!(formatter, "Role({arn})"),
            Self::Keys { .. } => formatter.write_str("Keys"),
        }
    }
}

/// The identity that a trigger asks for; nothing when a fault was noted.
///
/// Pod identity `aws` decides alone. Otherwise `identityOwner`: with `pod`, the default, a role or static keys
/// have to be given; with anything else it is our own identity.
pub(super) fn identity(parameters: &mut Parameters<'_>) -> Option<AwsIdentity> {
    let asked = IdentityParameters::read(parameters);
    if let PodIdentity::Aws {
        role_arn,
        external_id,
    } = &parameters.inputs().pod_identity
    {
        let own_role = role_arn
            .clone()
            .map(|arn| (arn, external_id.clone()))
            .filter(|(arn, _)| !arn.is_empty());
        if own_role.is_none() && external_id.is_some() {
            parameters.warn_in_authentication(
                "podIdentity.externalID is sent only when assuming podIdentity.roleArn, which is not set",
            );
        }
        return Some(match own_role.or_else(|| asked.role()) {
            None => AwsIdentity::Own,
            Some((arn, external_id)) => AwsIdentity::Role {
                arn,
                external_id,
                web_identity: true,
            },
        });
    }
    let owner = asked.owner.as_ref().map(|found| found.text);
    match owner {
        None | Some("pod") => {}
        Some("operator") => return Some(AwsIdentity::Own),
        Some(other) => {
            parameters.warn(
                "identityOwner",
                format!("{other:?} is neither pod nor operator; taken as operator, as KEDA does"),
            );
            return Some(AwsIdentity::Own);
        }
    }
    if let Some((arn, external_id)) = asked.role() {
        return Some(AwsIdentity::Role {
            arn,
            external_id,
            web_identity: false,
        });
    }
    asked.keys(parameters)
}

/// Everything that a trigger may say about its identity.
struct IdentityParameters<'a> {
    owner: Option<Parameter<'a>>,
    role_arn: Option<Parameter<'a>>,
    external_id: Option<Parameter<'a>>,
    access_key_id: Option<Parameter<'a>>,
    secret_access_key: Option<Parameter<'a>>,
    session_token: Option<Parameter<'a>>,
    workload_access_key_id: Option<Parameter<'a>>,
    workload_secret_access_key: Option<Parameter<'a>>,
}

impl<'a> IdentityParameters<'a> {
    fn read(parameters: &mut Parameters<'a>) -> Self {
        let names = ["awsAccessKeyID", "awsAccessKeyId"];
        Self {
            owner: parameters.find(&["identityOwner"], &[Metadata]),
            role_arn: parameters.find(&["awsRoleArn"], &[Authentication]),
            external_id: parameters.find(&["awsExternalId"], &[Authentication]),
            access_key_id: parameters.find(&names, &[Authentication]),
            secret_access_key: parameters.find(&["awsSecretAccessKey"], &[Authentication]),
            session_token: parameters.find(&["awsSessionToken"], &[Authentication]),
            workload_access_key_id: parameters.find(&names[..1], &[Metadata, Environment]),
            workload_secret_access_key: parameters.find(&["awsSecretAccessKey"], &[Environment]),
        }
    }

    fn role(&self) -> Option<(String, Option<String>)> {
        let external_id = self.external_id.as_ref().map(|found| found.text.to_owned());
        self.role_arn
            .as_ref()
            .map(|found| (found.text.to_owned(), external_id))
    }

    /// Static keys: both of the TriggerAuthentication's, else both of the workload's.
    fn keys(&self, parameters: &mut Parameters<'a>) -> Option<AwsIdentity> {
        let (access_key_id, secret_access_key, session_token) = match &self.access_key_id {
            Some(id) => (Some(id), &self.secret_access_key, &self.session_token),
            None => (
                self.workload_access_key_id.as_ref(),
                &self.workload_secret_access_key,
                &None,
            ),
        };
        let Some(access_key_id) = access_key_id else {
            parameters.fault_in_authentication(
                "no AWS identity: awsAccessKeyID not found; give a TriggerAuthentication with podIdentity aws or with awsAccessKeyID and awsSecretAccessKey, or set identityOwner: operator in metadata for Slipway's own identity",
            );
            return None;
        };
        let Some(secret_access_key) = secret_access_key else {
            let place = match access_key_id.origin {
                Authentication => "awsSecretAccessKey in the TriggerAuthentication",
                Metadata | Environment => "awsSecretAccessKeyFromEnv in metadata",
            };
            parameters.fault_in_authentication(format!(
                "awsSecretAccessKey not found; it belongs to the awsAccessKeyID that is given: set {place}"
            ));
            return None;
        };
        let secret = |found: &Parameter<'_>| SecretString::from(found.text);
        Some(AwsIdentity::Keys {
            access_key_id: secret(access_key_id),
            secret_access_key: secret(secret_access_key),
            session_token: session_token.as_ref().map(secret),
        })
    }
}
