//! Whom to be towards AWS.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// An AWS identity, as a trigger asks for it (`reference` order: KEDA's `GetAwsAuthorization`).
#[derive(Clone)]
pub enum Identity {
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

impl PartialEq for Identity {
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

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => formatter.write_str("Own"),
            Self::Role { arn, .. } => write!(formatter, "Role({arn})"),
            Self::Keys { .. } => formatter.write_str("Keys"),
        }
    }
}
