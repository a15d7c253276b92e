//! Whom we are towards AWS: one login for each identity and region, shared by
//! everything that uses it.
//!
//! Own identity is the SDK's chain with what this build has of it: environment,
//! profile, web identity (IRSA), container credentials (ECS, EKS Pod Identity),
//! instance metadata. Roles are assumed here. What is done with the credentials
//! is left to the adapters.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;

use crate::address;
use crate::bounded::ANSWER_BYTES;
use crate::resource::aws::AwsIdentity;
use crate::shown::on_one_line;

mod guarded;
mod identity;
pub(super) mod resolver;
mod role;

pub(super) use guarded::connector as guarded_connector;
pub(super) use role::RoleError;

/// A connection has this long to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// One request has this long: below the deadline of a poll, so that the SDK's own error is what is reported.
const ATTEMPT: Duration = Duration::from_secs(9);

/// What assuming roles needs to know of this process.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleSettings {
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub(super) web_identity_token_file: Option<PathBuf>,
    /// In place of AWS's own STS.
    pub(super) sts_endpoint: Option<String>,
}

/// An identity in a region, its credentials cached and renewed before they expire.
pub(super) struct Login {
    identity: AwsIdentity,
    region: String,
    settings: RoleSettings,
    http: SharedHttpClient,
    config: OnceCell<SdkConfig>,
}

impl Login {
    /// A login that is not used yet: nothing is read or sent before [`Login::config`].
    pub(super) fn new(
        identity: AwsIdentity,
        region: String,
        settings: RoleSettings,
        http: SharedHttpClient,
    ) -> Self {
        Self {
            identity,
            region,
            settings,
            http,
            config: OnceCell::new(),
        }
    }

    /// Whether this is the login of that identity in that region.
    pub(super) fn is(&self, identity: &AwsIdentity, region: &str) -> bool {
        self.identity == *identity && self.region == region
    }

    /// The SDK's configuration: clients made from it share one cache of credentials.
    pub(super) async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| self.load()).await
    }

    async fn load(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(ATTEMPT)
            .build();
        let cache = IdentityCache::lazy().load_timeout(ATTEMPT).build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(Region::new(self.region.clone()))
            // The next turn tries again; a retry in here would only hide how the source fares.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .identity_cache(cache);
        match &self.identity {
            AwsIdentity::Own => loader.load().await,
            AwsIdentity::Keys {
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let token = session_token.as_ref().map(|t| t.expose_secret().to_owned());
                let keys = Credentials::new(
                    access_key_id.expose_secret(),
                    secret_access_key.expose_secret(),
                    token,
                    None,
                    "TriggerAuthentication",
                );
                loader.credentials_provider(keys).load().await
            }
            AwsIdentity::Role {
                arn,
                external_id,
                web_identity,
            } => {
                let own = loader.load().await;
                let token_file = self.settings.web_identity_token_file.clone();
                let role = role::Role::new(
                    &own,
                    self.settings.sts_endpoint.as_deref(),
                    arn.clone(),
                    external_id.clone(),
                    token_file.filter(|_| *web_identity),
                );
                own.into_builder()
                    .credentials_provider(SharedCredentialsProvider::new(role))
                    .build()
            }
        }
    }
}

/// An HTTP client for what the SDK sends by itself, through the proxy of the rules if there is one.
pub(super) fn http(rules: &address::Rules) -> SharedHttpClient {
    bounded(guarded::proxied(rules))
}

/// An HTTP client for our own identity: what would show it goes only to AWS, and to what the operator lists for that.
pub(super) fn identity_http(rules: &address::Rules) -> SharedHttpClient {
    SharedHttpClient::new(identity::IdentityHttp::new(http(rules), rules.clone()))
}

/// An HTTP client for addresses that users write: names that lead where they may not are not connected to.
pub(super) fn guarded_http(rules: &address::Rules) -> SharedHttpClient {
    bounded(SharedHttpClient::new(guarded::GuardedHttp::new(rules)))
}

/// The same client, whose answers end with an error where they get too long: the SDK itself reads on and on.
fn bounded(client: SharedHttpClient) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(BoundedConnector(
            client.http_connector(settings, components),
        ))
    })
}

#[derive(Debug)]
struct BoundedConnector(SharedHttpConnector);

impl HttpConnector for BoundedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            Ok(answer
                .await?
                .map(|body| SdkBody::from_body_1_x(Limited::new(body, ANSWER_BYTES))))
        })
    }
}

/// Whether credentials of this process (or got with them) would be shown to the source.
pub(super) fn is_ours(identity: &AwsIdentity) -> bool {
    matches!(identity, AwsIdentity::Own | AwsIdentity::Role { .. })
}

/// The first cause of this type.
pub(super) fn cause<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost cause's text, on one line and cut: `connection refused` rather than three layers around it.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    one_line(&deepest.to_string())
}

/// Text from outside, made fit for a status: no letter that changes how others are seen, at most 300.
pub(super) fn one_line(text: &str) -> String {
    let begin: String = text.chars().take(300).collect();
    on_one_line(&begin)
}
