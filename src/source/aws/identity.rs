//! Our own identity leaves only for AWS: every request of its SDK clients is looked at
//! before it is sent.
//!
//! Where they send it follows from a region, and from the operator's environment
//! (`AWS_ENDPOINT_URL`, a profile). Neither is a reason to show an identity.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use url::Url;

use super::resolver::AddressNotAllowed;
use crate::address::{self, HostProof, Rules};

/// A client behind the rule for our own identity.
#[derive(Debug)]
pub(super) struct IdentityHttp {
    inner: SharedHttpClient,
    rules: Rules,
}

impl IdentityHttp {
    /// What the rules let through goes to `inner`, whose certificates must verify against this machine's roots.
    pub(super) fn new(inner: SharedHttpClient, rules: Rules) -> Self {
        Self { inner, rules }
    }
}

impl HttpClient for IdentityHttp {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(IdentityConnector {
            inner: self.inner.http_connector(settings, components),
            rules: self.rules.clone(),
        })
    }
}

#[derive(Debug)]
struct IdentityConnector {
    inner: SharedHttpConnector,
    rules: Rules,
}

impl HttpConnector for IdentityConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match check(&self.rules, request.method(), request.uri()) {
            Ok(()) => self.inner.call(request),
            Err(why) => AddressNotAllowed(why).refused(),
        }
    }
}

/// SQS and STS are asked by POST. By GET and PUT the SDK only asks for credentials, and on this machine it may.
fn check(rules: &Rules, method: &str, uri: &str) -> Result<(), String> {
    let url = Url::parse(uri).map_err(|_| "an address of the SDK's is none".to_owned())?;
    let host = url.host_str().unwrap_or_default();
    if method != "POST" && address::is_credential_service(host) {
        return Ok(());
    }
    let proof = match url.scheme() {
        "https" => HostProof::PublicRoots,
        _ => HostProof::Nothing,
    };
    rules.check_identity(host, address::is_below_aws(host), proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_identity_goes_to_aws_and_to_what_is_listed_for_it() {
        let rules =
            Rules::new(["sts.lab".to_owned()], true).showing_identity(["*.moto".to_owned()]);
        for (method, uri, fine) in [
            ("POST", "https://sqs.eu-west-1.amazonaws.com/", true),
            ("POST", "https://sts.cn-north-1.amazonaws.com.cn/", true),
            ("POST", "http://sqs.eu-west-1.amazonaws.com/", false),
            (
                "POST",
                "https://sqs.eu-west-1.amazonaws.com.evil.example/",
                false,
            ),
            (
                "POST",
                "https://sqs.eu-west-1.amazonaws.com@evil.example/",
                false,
            ),
            ("POST", "https://sts.lab/", false),
            ("POST", "https://sts.moto/", true),
            ("POST", "http://sts.moto/", false),
            ("POST", "http://127.0.0.1:4566/", false),
            ("GET", "http://169.254.169.254/latest/meta-data/", true),
            ("PUT", "http://[fd00:ec2::254]/latest/api/token", true),
            ("GET", "http://169.254.170.23/v1/credentials", true),
            ("GET", "http://evil.example/v1/credentials", false),
        ] {
            let result = check(&rules, method, uri);
            assert_eq!(result.is_ok(), fine, "{method} {uri}: {result:?}");
        }
    }
}
