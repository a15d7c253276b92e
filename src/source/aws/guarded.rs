//! HTTP for addresses that users write: directly, where each address is held against the
//! rules, or through the proxy, where only names can be.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::resolver::{AddressNotAllowed, SdkResolver};
use crate::address::Rules;

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// A client that calls through the proxy what the proxy takes. It looks at no address.
pub(super) fn proxied(rules: &Rules) -> SharedHttpClient {
    let proxy = proxy(rules);
    Builder::new().build_with_connector_fn(move |settings, _| {
        let builder = builder(settings, proxy.clone());
        builder.tls_provider(TLS).build()
    })
}

/// A connector for addresses that users write.
pub(in crate::source) fn connector(
    rules: &Rules,
    settings: &HttpConnectorSettings,
) -> SharedHttpConnector {
    let direct = builder(Some(settings), ProxyConfig::disabled())
        .tls_provider(TLS)
        .build_with_resolver(SdkResolver::new(rules.clone()));
    let proxied = builder(Some(settings), proxy(rules))
        .tls_provider(TLS)
        .build();
    SharedHttpConnector::new(GuardedConnector {
        direct: SharedHttpConnector::new(direct),
        proxied: SharedHttpConnector::new(proxied),
        rules: rules.clone(),
    })
}

/// The proxy of the rules as the SDK wants it.
fn proxy(rules: &Rules) -> ProxyConfig {
    let proxy = rules.proxy().and_then(|proxy| {
        let config = ProxyConfig::https(proxy.uri().to_string()).ok()?;
        Some(config.no_proxy(proxy.except()))
    });
    proxy.unwrap_or_else(ProxyConfig::disabled)
}

fn builder(settings: Option<&HttpConnectorSettings>, proxy: ProxyConfig) -> ConnectorBuilder {
    let mut builder = Connector::builder().proxy_config(proxy);
    builder.set_connector_settings(settings.cloned());
    builder
}

/// A client of connectors for addresses that users write.
#[derive(Debug)]
pub(super) struct GuardedHttp {
    direct: SharedHttpClient,
    proxied: SharedHttpClient,
    rules: Rules,
}

impl GuardedHttp {
    pub(super) fn new(rules: &Rules) -> Self {
        let direct = Builder::new()
            .tls_provider(TLS)
            .build_with_resolver(SdkResolver::new(rules.clone()));
        Self {
            direct,
            proxied: proxied(rules),
            rules: rules.clone(),
        }
    }
}

impl HttpClient for GuardedHttp {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(GuardedConnector {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
            rules: self.rules.clone(),
        })
    }
}

#[derive(Debug)]
struct GuardedConnector {
    direct: SharedHttpConnector,
    proxied: SharedHttpConnector,
    rules: Rules,
}

impl HttpConnector for GuardedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.rules.proxy_for(request.uri()) {
            Ok(None) => self.direct.call(request),
            Ok(Some(_)) => self.proxied.call(request),
            Err(why) => AddressNotAllowed(why).refused(),
        }
    }
}
