//! Who calls: the namespaces that a client certificate proves.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::refusal::RpcRefusal;

/// The peer of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    /// Namespaces that its certificate proves; nothing when it proves none.
    namespaces: Option<Arc<[String]>>,
}

impl Peer {
    /// The owner of a certificate whose chain has been verified.
    pub(super) fn of_certificate(certificate: &CertificateDer<'_>) -> Self {
        let namespaces: Vec<String> = EndEntityCert::try_from(certificate)
            .iter()
            .flat_map(|certificate| certificate.valid_uri_names())
            .filter_map(namespace)
            .map(ToOwned::to_owned)
            .collect();
        Self {
            namespaces: (!namespaces.is_empty()).then(|| namespaces.into()),
        }
    }

    #[cfg(test)]
    pub(super) fn proven(namespace: &str) -> Self {
        Self {
            namespaces: Some(Arc::new([namespace.to_owned()])),
        }
    }

    /// Whether the caller proves to be of this namespace; without a proof any may be named.
    ///
    /// # Errors
    ///
    /// [`RpcRefusal::Denied`] when it proves to be of others.
    pub(super) fn proves(&self, namespace: &str) -> Result<bool, RpcRefusal> {
        match &self.namespaces {
            None => Ok(false),
            Some(namespaces) if namespaces.iter().any(|one| one == namespace) => Ok(true),
            Some(namespaces) => Err(RpcRefusal::Denied(format!(
                "the client certificate is for namespace {}, and not for {namespace:?}",
                namespaces.join(", ")
            ))),
        }
    }
}

/// The namespace in `spiffe://DOMAIN/ns/NAMESPACE[/…]`.
fn namespace(uri: &str) -> Option<&str> {
    let (domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
    let namespace = path.strip_prefix("ns/")?.split('/').next()?;
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = !namespace.is_empty() && namespace.len() <= 63 && namespace.bytes().all(letters);
    (!domain.is_empty() && is_name).then_some(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_read_from_a_spiffe_name_alone() {
        for (uri, expected) in [
            ("spiffe://cluster.local/ns/orders", Some("orders")),
            ("spiffe://cluster.local/ns/orders/sa/keda", Some("orders")),
            ("spiffe://other/ns/a-1/", Some("a-1")),
            ("spiffe:///ns/orders", None),
            ("spiffe://cluster.local/ns/", None),
            ("spiffe://cluster.local/ns/Orders", None),
            ("spiffe://cluster.local/ns/or%64ers", None),
            ("spiffe://cluster.local/ns/../orders", None),
            ("spiffe://cluster.local/sa/ns/orders", None),
            ("https://cluster.local/ns/orders", None),
        ] {
            assert_eq!(namespace(uri), expected, "{uri}");
        }
    }
}
