//! Assuming a role: web identity first where there is a token, then `AssumeRole`
//! with our own identity.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types;

use super::resolver::AddressNotAllowed;
use super::{cause, one_line, root_cause};

/// `RoleSessionName`: what the audit log of the role's account shows.
const SESSION: &str = "slipway";

/// Web identity is given up after this, so that `AssumeRole` has its turn within the deadline. KEDA waits 5 s.
const WEB_IDENTITY: Duration = Duration::from_secs(4);

/// Credentials of a role, asked for anew whenever the cached ones are about to expire.
pub(super) struct Role {
    sts: aws_sdk_sts::Client,
    arn: String,
    external_id: Option<String>,
    token_file: Option<PathBuf>,
}

/// Why a role could not be assumed.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(in crate::source) struct RoleError {
    /// STS said no, rather than nothing.
    pub(in crate::source) refused: bool,
    /// What happened and which permission is missing, safe to show.
    pub(in crate::source) detail: String,
}

impl Role {
    /// A role to be assumed from the identity in `own`.
    pub(super) fn new(
        own: &SdkConfig,
        sts_endpoint: Option<&str>,
        arn: String,
        external_id: Option<String>,
        token_file: Option<PathBuf>,
    ) -> Self {
        let mut config = aws_sdk_sts::config::Builder::from(own);
        if let Some(endpoint) = sts_endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self {
            sts: aws_sdk_sts::Client::from_conf(config.build()),
            arn,
            external_id,
            token_file,
        }
    }

    async fn assume(&self) -> Result<Credentials, RoleError> {
        let Some(token_file) = &self.token_file else {
            return self.with_own_identity().await;
        };
        let web = tokio::time::timeout(WEB_IDENTITY, self.with_web_identity(token_file)).await;
        let first = match web {
            Ok(Ok(credentials)) => return Ok(credentials),
            Ok(Err(error)) => error,
            Err(_) => RoleError {
                refused: false,
                detail: format!("no answer within {} s", WEB_IDENTITY.as_secs()),
            },
        };
        self.with_own_identity().await.map_err(|second| RoleError {
            refused: first.refused || second.refused,
            detail: format!(
                "{}; before that, with web identity: {}",
                second.detail, first.detail
            ),
        })
    }

    /// The token file is read each time: the kubelet replaces it.
    async fn with_web_identity(&self, token_file: &Path) -> Result<Credentials, RoleError> {
        let token = tokio::fs::read_to_string(token_file)
            .await
            .map_err(|error| RoleError {
                refused: true,
                detail: format!("cannot read AWS_WEB_IDENTITY_TOKEN_FILE: {error}"),
            })?;
        let answer = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(&self.arn)
            .role_session_name(SESSION)
            .web_identity_token(token.trim())
            .send()
            .await
            .map_err(|error| self.error(&error, "sts:AssumeRoleWithWebIdentity"))?;
        self.credentials(answer.credentials)
    }

    async fn with_own_identity(&self) -> Result<Credentials, RoleError> {
        let answer = self
            .sts
            .assume_role()
            .role_arn(&self.arn)
            .role_session_name(SESSION)
            .set_external_id(self.external_id.clone())
            .send()
            .await
            .map_err(|error| self.error(&error, "sts:AssumeRole"))?;
        self.credentials(answer.credentials)
    }

    fn credentials(&self, answer: Option<types::Credentials>) -> Result<Credentials, RoleError> {
        let given = answer.ok_or_else(|| RoleError {
            refused: false,
            detail: format!("STS gave no credentials for {}", self.arn),
        })?;
        let expiry = SystemTime::try_from(given.expiration).ok();
        Ok(Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            expiry,
            "AssumedRole",
        ))
    }

    fn error<E, R>(&self, error: &SdkError<E, R>, permission: &str) -> RoleError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug + 'static,
    {
        let arn = &self.arn;
        match error {
            SdkError::ServiceError(answer) => {
                let code = one_line(answer.err().code().unwrap_or("no code"));
                RoleError {
                    refused: true,
                    detail: format!(
                        "may not assume {arn} ({code}): needs `{permission}` and the role's trust"
                    ),
                }
            }
            other => RoleError {
                refused: cause::<AddressNotAllowed>(other).is_some(),
                detail: format!("cannot assume {arn}: {}", root_cause(other)),
            },
        }
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Role({})", self.arn)
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.assume()
                .await
                .map_err(CredentialsError::provider_error)
        })
    }
}
