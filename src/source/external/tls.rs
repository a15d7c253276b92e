//! TLS towards scalers: KEDA's parameters, and rustls.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use secrecy::{ExposeSecret as _, SecretString};

use crate::resource::external::ScalerTls;

/// The authorities of this machine, read when somebody first needs them: the file is large.
#[derive(Default)]
pub(in crate::source) struct Roots(OnceLock<Arc<RootCertStore>>);

impl Roots {
    fn get(&self) -> &Arc<RootCertStore> {
        self.0.get_or_init(|| {
            let mut store = RootCertStore::empty();
            // Files that cannot be read leave fewer authorities; with none at all, nothing is believed.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(store)
        })
    }
}

/// Settings of connections: TLS 1.2 or newer, HTTP/2 alone.
///
/// # Errors
///
/// Which parameter is not what it should be; never what it holds.
pub(super) fn config(tls: &ScalerTls, roots: &Roots) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let store = match &tls.ca {
        None => Arc::clone(roots.get()),
        Some(ca) => {
            let mut store = (**roots.get()).clone();
            for certificate in certificates("caCert", ca)? {
                store
                    .add(certificate)
                    .map_err(|_| "caCert holds a certificate that is no authority".to_owned())?;
            }
            Arc::new(store)
        }
    };
    let builder = if tls.skip_verification {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        builder.with_root_certificates(store)
    };
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates("tlsClientCert", certificate)?;
            let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
                .map_err(|_| "tlsClientKey must be a private key in PEM form".to_owned())?;
            builder.with_client_auth_cert(chain, key).map_err(|_| {
                "tlsClientKey must be the key of tlsClientCert, of a kind that TLS knows".to_owned()
            })?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(name: &str, pem: &SecretString) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.expose_secret().as_bytes()).collect();
    found
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| format!("{name} must hold certificates in PEM form"))
}

/// `unsafeSsl`: whoever answers is believed to be the scaler. The handshake itself is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_certificates_is_said_without_them() {
        let pem = |text: &str| SecretString::from(text);
        let key = rcgen::generate_simple_self_signed(vec!["scaler".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["scaler".to_owned()]).unwrap();
        let (certificate, private) = (key.cert.pem(), other.signing_key.serialize_pem());
        for (tls, expected) in [
            (
                ScalerTls {
                    ca: Some(pem("HUSH")),
                    ..ScalerTls::default()
                },
                "caCert must hold certificates in PEM form",
            ),
            (
                ScalerTls {
                    client: Some((pem("HUSH"), pem("HUSH"))),
                    ..ScalerTls::default()
                },
                "tlsClientCert must hold certificates in PEM form",
            ),
            (
                ScalerTls {
                    client: Some((pem(&certificate), pem("HUSH"))),
                    ..ScalerTls::default()
                },
                "tlsClientKey must be a private key in PEM form",
            ),
            (
                ScalerTls {
                    client: Some((pem(&certificate), pem(&private))),
                    ..ScalerTls::default()
                },
                "tlsClientKey must be the key of tlsClientCert, of a kind that TLS knows",
            ),
        ] {
            assert_eq!(config(&tls, &Roots::default()).unwrap_err(), expected);
        }
        let right = ScalerTls {
            ca: Some(pem(&certificate)),
            client: Some((pem(&certificate), pem(&key.signing_key.serialize_pem()))),
            skip_verification: true,
        };
        let config = config(&right, &Roots::default()).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec()]);
    }
}
