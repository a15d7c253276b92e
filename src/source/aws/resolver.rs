//! Names are looked up for every new connection, and each address is held
//! against the rules then: a name that is made to point elsewhere later (DNS
//! rebinding) is caught too.

use std::net::IpAddr;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
use aws_smithy_runtime_api::client::result::ConnectorError;

use crate::address::Rules;

/// The system's resolver behind the address rules.
#[derive(Debug, Clone)]
pub(in crate::source) struct SdkResolver {
    rules: Rules,
}

/// A name leads to an address that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::source) struct AddressNotAllowed(pub(in crate::source) String);

impl AddressNotAllowed {
    /// What becomes of a request that would go there.
    pub(super) fn refused(self) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(ConnectorError::user(self.into())))
    }
}

impl SdkResolver {
    /// A resolver that answers only with allowed addresses, or not at all.
    pub(in crate::source) fn new(rules: Rules) -> Self {
        Self { rules }
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveDnsError> {
        let found = tokio::net::lookup_host((name, 0))
            .await
            .map_err(ResolveDnsError::new)?;
        let addresses: Vec<IpAddr> = found.map(|socket| socket.ip()).collect();
        for address in &addresses {
            self.rules
                .check_address(name, *address)
                .map_err(|why| ResolveDnsError::new(AddressNotAllowed(why)))?;
        }
        Ok(addresses)
    }
}

impl ResolveDns for SdkResolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(self.resolve(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::aws::cause;

    #[tokio::test]
    async fn a_name_is_refused_for_where_it_leads() {
        let error = SdkResolver::new(Rules::default())
            .resolve("localhost")
            .await
            .unwrap_err();
        let refused = cause::<AddressNotAllowed>(&error).expect("we refused it, not the resolver");
        assert!(
            refused.0.contains("--allow-address localhost"),
            "{}",
            refused.0
        );
        let allowed = SdkResolver::new(Rules::new([], true))
            .resolve("localhost")
            .await
            .unwrap();
        assert!(allowed.iter().all(IpAddr::is_loopback) && !allowed.is_empty());
    }
}
