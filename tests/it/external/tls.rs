//! TLS towards scalers: KEDA's parameters, against real handshakes.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::*;

/// An authority and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a host, and its key.
    fn sign(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

async fn asked(
    address: &str,
    metadata: &[(&str, &str)],
    authentication: &[(&str, &str)],
) -> Result<f64, String> {
    let mut all = vec![("scalerAddress", address)];
    all.extend(metadata);
    let spec = trigger(TriggerKind::External, &all, authentication, &[]);
    let source = local_pool()
        .connect(&spec)
        .map_err(|error| error.to_string())?;
    match source.read(NOW).await {
        Ok(taken) => Ok(taken.reading.waiting()),
        Err(error) => Err(format!("{}: {error}", error.reason())),
    }
}

#[tokio::test]
async fn a_scaler_is_believed_by_its_certificate_alone_unless_that_is_switched_off() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("127.0.0.1");
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&certificate, &key));
    let scaler = Scaler::start_with_tls(Says::waiting(3, 1), tls);
    let address = scaler.address();
    let (ours, other) = (authority.pem(), Authority::new().pem());
    let enabled = ("enableTLS", "true");

    assert_eq!(asked(&address, &[], &[("caCert", &ours)]).await, Ok(3.0));
    assert_eq!(
        asked(&address, &[enabled, ("unsafeSsl", "true")], &[]).await,
        Ok(3.0)
    );
    for (metadata, authentication) in [
        (vec![enabled], vec![]),
        (vec![], vec![("caCert", other.as_str())]),
    ] {
        let error = asked(&address, &metadata, &authentication)
            .await
            .unwrap_err();
        assert!(error.starts_with("Unreachable: "), "{error}");
        assert!(
            error.contains("no TLS: invalid peer certificate"),
            "{error}"
        );
    }
    // The certificate is of another host.
    let localhost = format!("localhost:{}", scaler.port());
    let error = asked(&localhost, &[], &[("caCert", &ours)])
        .await
        .unwrap_err();
    assert!(
        error.contains("no TLS: invalid peer certificate"),
        "{error}"
    );
    // Without TLS there is nobody to talk to.
    let error = asked(&address, &[], &[]).await.unwrap_err();
    assert!(error.starts_with("Unreachable: "), "{error}");
    // And none is spoken to in the clear that should have TLS.
    let plain = Scaler::start(Says::waiting(3, 1));
    let error = asked(&plain.address(), &[enabled], &[]).await.unwrap_err();
    assert!(error.contains("no TLS: "), "{error}");
    assert_eq!(plain.calls(), []);
    // What is no certificate is said before anything is sent.
    let error = asked(&address, &[], &[("caCert", "HUSH")])
        .await
        .unwrap_err();
    assert!(
        error.ends_with("caCert must hold certificates in PEM form"),
        "{error}"
    );
}

#[tokio::test]
async fn a_scaler_that_wants_to_know_us_is_shown_our_certificate() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.sign("127.0.0.1");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&certificate, &key))
        .client_ca_root(Certificate::from_pem(of_clients.pem()));
    let scaler = Scaler::start_with_tls(Says::waiting(3, 1), tls);
    let address = scaler.address();
    let ca = authority.pem();
    let ask = async |signed: Option<(String, String)>| {
        let mut authentication = vec![("caCert", ca.as_str())];
        if let Some((certificate, key)) = &signed {
            authentication.push(("tlsClientCert", certificate));
            authentication.push(("tlsClientKey", key));
        }
        asked(&address, &[], &authentication).await
    };
    assert_eq!(ask(Some(of_clients.sign("slipway"))).await, Ok(3.0));
    for stranger in [None, Some(authority.sign("slipway"))] {
        let error = ask(stranger).await.unwrap_err();
        assert!(error.starts_with("Unreachable: "), "{error}");
    }
}

#[tokio::test]
async fn other_certificates_are_another_connection() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("127.0.0.1");
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&certificate, &key));
    let scaler = Scaler::start_with_tls(Says::waiting(3, 1), tls);
    let address = scaler.address();
    let pool = local_pool();
    let (ca, other) = (authority.pem(), Authority::new().pem());
    let both = format!("{ca}{other}");
    let mut sources = Vec::new();
    for ca in [&ca, &ca, &both] {
        let metadata = [("scalerAddress", address.as_str())];
        let spec = trigger(TriggerKind::External, &metadata, &[("caCert", ca)], &[]);
        let source = pool.connect(&spec).unwrap();
        assert_eq!(source.read(NOW).await.unwrap().reading.waiting(), 3.0);
        sources.push(source);
    }
    assert_eq!(pool.live().clients, 2);
    assert_eq!(scaler.connections(), 2);
}
