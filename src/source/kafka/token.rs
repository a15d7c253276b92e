//! Tokens for OAUTHBEARER: from an OAuth 2 server by client credentials, or
//! presigned for MSK.
//!
//! librdkafka asks for them on a thread of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::client::OAuthToken;
use tokio::runtime::Handle;

use crate::address::Rules;
use crate::resource::kafka::Sasl;
use crate::source::Error;
use crate::source::aws::Login;

mod msk;
mod oauth;

use oauth::OAuth;

/// A token is fetched within this, or the poll that wanted it fails.
const FETCH: Duration = Duration::from_secs(5);

/// Makes tokens for one client.
pub(super) struct TokenIssuer {
    runtime: Handle,
    grant: Grant,
}

enum Grant {
    /// OAuth 2 client credentials (RFC 6749 §4.4).
    OAuth(OAuth),
    /// A presigned `kafka-cluster:Connect`.
    Msk {
        /// Of the cluster.
        region: String,
        /// Whom to be.
        login: Arc<Login>,
    },
}

/// Why there is no token.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub(super) struct NoToken {
    /// Somebody said no, rather than nothing.
    pub(super) refused: bool,
    /// What happened, safe to show.
    pub(super) detail: String,
}

impl NoToken {
    /// What a poll fails with that got no token.
    pub(super) fn to_error(&self, source_name: &str) -> Error {
        Error::without_credentials(source_name.to_owned(), self.refused, self.detail.clone())
    }
}

impl TokenIssuer {
    /// The issuer that this kind of SASL needs, if it does. Called on a thread of the runtime that will fetch the tokens.
    pub(super) fn new(sasl: &Sasl, login: Option<Arc<Login>>, rules: &Rules) -> Option<Self> {
        let grant = match (sasl, login) {
            (
                Sasl::OauthBearer {
                    credentials,
                    token_endpoint,
                    scopes,
                    ..
                },
                _,
            ) => Grant::OAuth(OAuth::new(token_endpoint, credentials, scopes, rules)),
            (Sasl::MskIam { region, .. }, Some(login)) => Grant::Msk {
                region: region.clone(),
                login,
            },
            _ => return None,
        };
        let runtime = Handle::current();
        Some(Self { runtime, grant })
    }

    /// A new token. Blocks for [`FETCH`] at most.
    pub(super) fn token(&self) -> Result<OAuthToken, NoToken> {
        let (token, lifetime) = self.runtime.block_on(async {
            let made = async {
                match &self.grant {
                    Grant::OAuth(oauth) => oauth.fetch().await,
                    Grant::Msk { region, login } => msk::presign(region, login).await,
                }
            };
            tokio::time::timeout(FETCH, made).await.unwrap_or_else(|_| {
                Err(unreachable(format!(
                    "no token within {} s",
                    FETCH.as_secs()
                )))
            })
        })?;
        #[expect(
            clippy::disallowed_methods,
            reason = "librdkafka wants a token's end by the wall clock"
        )]
        let end = SystemTime::now() + lifetime;
        let since_epoch = end.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(OAuthToken {
            token,
            principal_name: "slipway".to_owned(),
            lifetime_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        })
    }
}

fn refused(detail: String) -> NoToken {
    NoToken {
        refused: true,
        detail,
    }
}

fn unreachable(detail: String) -> NoToken {
    NoToken {
        refused: false,
        detail,
    }
}
