//! The adapter: GET over https and nothing else.
//!
//! Addresses come from users' objects and from messages, so the address rules hold
//! twice: for the host as written, and for every address it resolves to, at the
//! moment of connecting to it (a name that is made to point elsewhere later is
//! caught too). Through a proxy only hosts that are allowed by name are called. No redirect
//! is followed, no connection is kept.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Uri, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use url::Url;

use crate::address::{HttpsProxy, Rules};
use crate::bounded::{self, ANSWER_BYTES};

use super::Fetch;
use super::trust::Trust;

/// From the look-up of the name to the last byte. Source: our own bound; a request at the door is answered within 4 s.
const DEADLINE: Duration = Duration::from_secs(3);

type HttpsClient<C> = Client<HttpsConnector<C>, Empty<Bytes>>;
type Built<C> = OnceLock<Result<HttpsClient<C>, String>>;

/// Reads over https.
pub struct Https {
    rules: Rules,
    trust: Trust,
    deadline: Duration,
    direct: Built<HttpConnector<FetchResolver>>,
    proxied: Built<Tunnel<HttpConnector>>,
}

impl Https {
    /// Reads from addresses that the rules allow, from servers that `trust` vouches for.
    pub fn new(rules: Rules, trust: Trust) -> Self {
        Self {
            rules,
            trust,
            deadline: DEADLINE,
            direct: OnceLock::new(),
            proxied: OnceLock::new(),
        }
    }

    fn direct(&self) -> Result<&HttpsClient<HttpConnector<FetchResolver>>, String> {
        let client = self.direct.get_or_init(|| {
            let mut http = HttpConnector::new_with_resolver(FetchResolver(self.rules.clone()));
            http.enforce_http(false);
            http.set_connect_timeout(Some(self.deadline));
            client(&self.trust, http)
        });
        client.as_ref().map_err(Clone::clone)
    }

    /// By CONNECT: the certificate is the host's, and the proxy sees names alone.
    fn proxied(
        &self,
        proxy: &HttpsProxy,
        to: &Uri,
    ) -> Result<&HttpsClient<Tunnel<HttpConnector>>, String> {
        let client = self.proxied.get_or_init(|| {
            let mut http = HttpConnector::new();
            http.set_connect_timeout(Some(self.deadline));
            let mut tunnel = Tunnel::new(proxy.uri().clone(), http);
            if let Some(authorization) = proxy.authorization(to) {
                tunnel = tunnel.with_auth(authorization);
            }
            client(&self.trust, tunnel)
        });
        client.as_ref().map_err(Clone::clone)
    }

    async fn read(&self, url: &Url) -> Result<Vec<u8>, String> {
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "*/*")
            .header(header::USER_AGENT, "slipway")
            .body(Empty::new())
            .map_err(|_| String::from("the address is not one of HTTP's"))?;
        let answer = match self.rules.proxy_for(url.as_str())? {
            None => self.direct()?.request(request),
            Some(proxy) => {
                let client = self.proxied(proxy, request.uri())?;
                client.request(request)
            }
        };
        let answer = answer.await.map_err(|error| told(&error))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(format!(
                "answered {}; redirects are not followed",
                status.as_u16()
            ));
        }
        if !status.is_success() {
            return Err(format!("answered {}", status.as_u16()));
        }
        match bounded::collect(answer.into_body(), ANSWER_BYTES).await {
            Ok(body) => Ok(body.into()),
            Err(bounded::Error::TooLong(most)) => {
                Err(format!("answered with more than {most} bytes"))
            }
            Err(bounded::Error::BrokenOff(_)) => Err(String::from("broke off its answer")),
        }
    }
}

impl Fetch for Https {
    fn get<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        Box::pin(async move {
            let host = url.host_str().unwrap_or_default();
            if url.scheme() != "https" || host.is_empty() {
                return Err(String::from("only https addresses are read"));
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err(format!(
                    "the address at {host} has a user in it, which is not sent"
                ));
            }
            self.rules.check_host(host)?;
            match tokio::time::timeout(self.deadline, self.read(url)).await {
                Ok(result) => result.map_err(|why| format!("{host}: {why}")),
                Err(_) => Err(format!(
                    "{host} gave no answer within {} s",
                    self.deadline.as_secs_f32()
                )),
            }
        })
    }
}

fn client<C>(trust: &Trust, connector: C) -> Result<HttpsClient<C>, String>
where
    C: Clone,
    HttpsConnector<C>: Connect + Clone,
{
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(Arc::clone(trust.store()))
        .with_no_client_auth();
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .http1_max_buf_size(ANSWER_BYTES)
        .retry_canceled_requests(false)
        .build(https))
}

/// What happened, by the innermost cause. None of them names more than a host.
fn told(error: &hyper_util::client::legacy::Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The system's resolver behind the address rules.
#[derive(Clone)]
struct FetchResolver(Rules);

/// A name leads to an address that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ForbiddenAddress(String);

impl FetchResolver {
    /// All addresses of a name, if all are allowed.
    async fn resolve(self, name: &str) -> Result<Vec<SocketAddr>, Box<dyn StdError + Send + Sync>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        let addresses: Vec<SocketAddr> = found.collect();
        for address in &addresses {
            self.0
                .check_address(name, address.ip())
                .map_err(ForbiddenAddress)?;
        }
        Ok(addresses)
    }
}

impl tower::Service<Name> for FetchResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move { Ok(resolver.resolve(name.as_str()).await?.into_iter()) })
    }
}

#[cfg(test)]
mod tests;
