//! Tokens from an OAuth 2 server, by client credentials (RFC 6749 §4.4).

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{FETCH, NoToken, refused, unreachable};
use crate::address::Rules;
use crate::bounded::{self, ANSWER_BYTES};
use crate::resource::kafka::Credentials;
use crate::source::aws::{guarded_connector, root_cause};

/// What a token without `expires_in` is taken to live.
const UNSAID_LIFETIME: Duration = Duration::from_hours(1);

/// A token endpoint and who we are to it.
pub(in crate::source::kafka) struct OAuth {
    endpoint: String,
    credentials: Credentials,
    scopes: Vec<String>,
    connector: SharedHttpConnector,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

impl OAuth {
    /// Nothing is sent yet. Names that lead where they may not are not connected to.
    pub(super) fn new(
        endpoint: &str,
        credentials: &Credentials,
        scopes: &[String],
        rules: &Rules,
    ) -> Self {
        let limits = HttpConnectorSettings::builder()
            .connect_timeout(FETCH)
            .read_timeout(FETCH)
            .build();
        let connector = guarded_connector(rules, &limits);
        Self {
            endpoint: endpoint.to_owned(),
            credentials: credentials.clone(),
            scopes: scopes.to_vec(),
            connector,
        }
    }

    /// With the credentials in the header, as RFC 6749 §2.3.1 prefers, then in the body: as Go's client, and so KEDA, finds out.
    pub(super) async fn fetch(&self) -> Result<(String, Duration), NoToken> {
        match self.post(true).await {
            Err(error) if error.refused => self.post(false).await,
            result => result,
        }
    }

    async fn post(&self, in_header: bool) -> Result<(String, Duration), NoToken> {
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
        let body = bounded::collect(answer.into_body(), ANSWER_BYTES)
            .await
            .map_err(|error| unreachable(format!("the token endpoint's answer: {error}")))?;
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|_| unreachable("the token endpoint gave no access_token".to_owned()))?;
        let lifetime = granted
            .expires_in
            .map_or(UNSAID_LIFETIME, Duration::from_secs);
        Ok((granted.access_token, lifetime))
    }
}
