//! Tokens for OAUTHBEARER: from an OAuth 2 server by client credentials, or
//! presigned for MSK.
//!
//! librdkafka asks for them on the blocking thread that polls it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use rdkafka::client::OAuthToken;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::resource::kafka::{Credentials, Sasl};
use crate::source::address::Rules;
use crate::source::aws::resolver::Guarded;
use crate::source::aws::{Login, RoleError, cause, root_cause};

/// A token is fetched within this, or the poll that wanted it fails.
const FETCH: Duration = Duration::from_secs(5);
/// A token server's answer is a few kilobytes; more is not read.
const ANSWER_BYTES: usize = 64 * 1024;
/// What a token without `expires_in` is taken to live.
const UNSAID_LIFETIME: Duration = Duration::from_hours(1);
/// What a presigned token lives at most. Source: AWS MSK IAM SASL signer.
const MSK_LIFETIME: Duration = Duration::from_mins(15);

/// Makes tokens for one client.
pub(super) enum Issuer {
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
pub(super) struct Error {
    /// Somebody said no, rather than nothing.
    pub(super) refused: bool,
    /// What happened, safe to show.
    pub(super) detail: String,
}

/// A token endpoint and who we are to it.
pub(super) struct OAuth {
    endpoint: String,
    credentials: Credentials,
    scopes: Vec<String>,
    connector: Connector,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

impl Issuer {
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
                let limits = HttpConnectorSettings::builder()
                    .connect_timeout(FETCH)
                    .read_timeout(FETCH)
                    .build();
                let connector = Connector::builder()
                    .connector_settings(limits)
                    .tls_provider(Provider::Rustls(CryptoMode::Ring))
                    .build_with_resolver(Guarded::new(rules.clone()));
                Some(Self::OAuth(OAuth {
                    endpoint: token_endpoint.clone(),
                    credentials: credentials.clone(),
                    scopes: scopes.clone(),
                    connector,
                }))
            }
            (Sasl::MskIam { region, .. }, Some(login)) => Some(Self::Msk {
                region: region.clone(),
                login,
            }),
            _ => None,
        }
    }

    /// A new token. Blocks for [`FETCH`] at most.
    pub(super) fn token(&self) -> Result<OAuthToken, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| unreachable("the program is stopping".to_owned()))?;
        let (token, lifetime) = runtime.block_on(async {
            let made = async {
                match self {
                    Self::OAuth(oauth) => oauth.fetch().await,
                    Self::Msk { region, login } => presign(region, login).await,
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

impl OAuth {
    /// With the credentials in the header, as RFC 6749 §2.3.1 prefers, then in the body: as Go's client, and so KEDA, finds out.
    async fn fetch(&self) -> Result<(String, Duration), Error> {
        match self.post(true).await {
            Err(error) if error.refused => self.post(false).await,
            result => result,
        }
    }

    async fn post(&self, in_header: bool) -> Result<(String, Duration), Error> {
        let name = self.credentials.username.expose_secret();
        let secret = self.credentials.password.expose_secret();
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        let scope = self.scopes.join(" ");
        if !scope.is_empty() {
            form.append_pair("scope", &scope);
        }
        let mut request = http::Request::post(&self.endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json");
        if in_header {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = base64::encode(format!("{}:{}", encoded(name), encoded(secret)));
            request = request.header("authorization", format!("Basic {pair}"));
        } else {
            form.append_pair("client_id", name);
            form.append_pair("client_secret", secret);
        }
        let request = request
            .body(SdkBody::from(form.finish()))
            .ok()
            .and_then(|request| HttpRequest::try_from(request).ok())
            .ok_or_else(|| refused("oauthTokenEndpointUri is no address".to_owned()))?;
        let answer =
            self.connector.call(request).await.map_err(|error| {
                unreachable(format!("the token endpoint: {}", root_cause(&error)))
            })?;
        let status = answer.status().as_u16();
        match status {
            200..=299 => {}
            400..=499 => {
                return Err(refused(format!(
                    "the token endpoint refused: HTTP {status}"
                )));
            }
            _ => return Err(unreachable(format!("the token endpoint: HTTP {status}"))),
        }
        let body = read(ByteStream::new(answer.into_body())).await?;
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|_| unreachable("the token endpoint gave no access_token".to_owned()))?;
        let lifetime = granted
            .expires_in
            .map_or(UNSAID_LIFETIME, Duration::from_secs);
        Ok((granted.access_token, lifetime))
    }
}

async fn read(mut body: ByteStream) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk =
            chunk.map_err(|_| unreachable("the token endpoint's answer broke off".to_owned()))?;
        if bytes.len() + chunk.len() > ANSWER_BYTES {
            return Err(unreachable(
                "the token endpoint's answer is too long".to_owned(),
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A token for MSK: the address of a presigned call, in unpadded base64url.
///
/// Source: aws-msk-iam-sasl-signer, `constructAuthToken`.
async fn presign(region: &str, login: &Login) -> Result<(String, Duration), Error> {
    let config = login.config().await;
    let provider = config
        .credentials_provider()
        .expect("a login always has a provider");
    let credentials =
        provider
            .provide_credentials()
            .await
            .map_err(|error| match cause::<RoleError>(&error) {
                Some(role) => Error {
                    refused: role.refused,
                    detail: role.detail.clone(),
                },
                None => refused(format!("no AWS credentials: {}", root_cause(&error))),
            })?;
    let now = config
        .time_source()
        .expect("the SDK's defaults have a clock")
        .now();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(MSK_LIFETIME);
    let lifetime = credentials.expiry().map_or(MSK_LIFETIME, |expiry| {
        expiry
            .duration_since(now)
            .unwrap_or_default()
            .min(MSK_LIFETIME)
    });
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kafka-cluster")
        .time(now)
        .settings(settings)
        .build()
        .expect("every required parameter is set")
        .into();
    let address = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let unsigned = |_| refused("cannot sign for MSK".to_owned());
    let request = SignableRequest::new(
        "GET",
        &address,
        std::iter::empty(),
        SignableBody::Bytes(&[]),
    )
    .map_err(unsigned)?;
    let (instructions, _) = sign(request, &parameters).map_err(unsigned)?.into_parts();
    let mut signed = Url::parse(&address).expect("a region's name makes an address");
    for (name, value) in instructions.params() {
        signed.query_pairs_mut().append_pair(name, value);
    }
    signed
        .query_pairs_mut()
        .append_pair("User-Agent", "slipway");
    let token = base64::encode(signed.as_str());
    let token = token
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    Ok((token, lifetime))
}

fn refused(detail: String) -> Error {
    Error {
        refused: true,
        detail,
    }
}

fn unreachable(detail: String) -> Error {
    Error {
        refused: false,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::resource::aws::Identity;
    use crate::source::aws::{RoleSettings, http};

    #[tokio::test]
    async fn a_token_for_msk_is_a_presigned_call() {
        let keys = Identity::Keys {
            access_key_id: SecretString::from("AKIDEXAMPLE"),
            secret_access_key: SecretString::from("canary-secret"),
            session_token: Some(SecretString::from("a/session+token=")),
        };
        let login = Login::new(
            keys,
            "eu-west-1".to_owned(),
            RoleSettings::default(),
            http(),
        );
        let (token, lifetime) = presign("eu-west-1", &login).await.unwrap();
        assert_eq!(lifetime, MSK_LIFETIME);
        let padded = format!("{token:=<width$}", width = token.len().next_multiple_of(4));
        let plain = base64::decode(padded.replace('-', "+").replace('_', "/")).unwrap();
        let url = Url::parse(std::str::from_utf8(&plain).unwrap()).unwrap();
        assert_eq!(url.host_str(), Some("kafka.eu-west-1.amazonaws.com"));
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let value = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.as_str())
        };
        assert_eq!(value("Action"), Some("kafka-cluster:Connect"));
        assert_eq!(value("X-Amz-Expires"), Some("900"));
        assert_eq!(value("X-Amz-SignedHeaders"), Some("host"));
        assert_eq!(value("X-Amz-Security-Token"), Some("a/session+token="));
        let scope = value("X-Amz-Credential").unwrap();
        assert!(
            scope.starts_with("AKIDEXAMPLE/")
                && scope.ends_with("/eu-west-1/kafka-cluster/aws4_request")
        );
        assert_eq!(value("X-Amz-Signature").map(str::len), Some(64));
        assert_eq!(value("User-Agent"), Some("slipway"));
        assert!(!url.as_str().contains("canary"));
    }
}
