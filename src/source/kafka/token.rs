//! Tokens for OAUTHBEARER: from an OAuth 2 server by client credentials, or
//! presigned for MSK.
//!
//! librdkafka asks for them on the blocking thread that polls it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::client::OAuthToken;

use crate::address::Rules;
use crate::resource::kafka::Sasl;
use crate::source::aws::Login;

mod msk;
mod oauth;

use oauth::OAuth;

/// A token is fetched within this, or the poll that wanted it fails.
const FETCH: Duration = Duration::from_secs(5);

/// Makes tokens for one client.
pub(super) enum TokenIssuer {
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

impl TokenIssuer {
    /// The issuer that this kind of SASL needs, if it does.
    pub(super) fn new(sasl: &Sasl, login: Option<Arc<Login>>, rules: &Rules) -> Option<Self> {
        match (sasl, login) {
            (
                Sasl::OauthBearer {
                    credentials,
                    token_endpoint,
                    scopes,
                    ..
                },
                _,
            ) => {
                let oauth = OAuth::new(token_endpoint, credentials, scopes, rules);
                Some(Self::OAuth(oauth))
            }
            (Sasl::MskIam { region, .. }, Some(login)) => Some(Self::Msk {
                region: region.clone(),
                login,
            }),
            _ => None,
        }
    }

    /// A new token. Blocks for [`FETCH`] at most.
    pub(super) fn token(&self) -> Result<OAuthToken, NoToken> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| unreachable("the program is stopping".to_owned()))?;
        let (token, lifetime) = runtime.block_on(async {
            let made = async {
                match self {
                    Self::OAuth(oauth) => oauth.fetch().await,
                    Self::Msk { region, login } => msk::presign(region, login).await,
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
