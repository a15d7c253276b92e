//! TLS: who is let in, whose namespace is proved, new certificates under open streams.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use slipway::externalscaler::IsActiveResponse;
use slipway::lookup::files::Files as Objects;
use slipway::resource::document;
use slipway::serve::tls::{TlsFiles, TlsProtocol};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::*;
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::fakes::ScriptedSource;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/1/orders";

/// An authority, and what it signs.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key of the server.
    pub(super) fn server(&self) -> (String, String) {
        self.sign(
            CertificateParams::new(["localhost".to_owned()]).unwrap(),
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// Certificate and key of a client with these URI names.
    pub(super) fn client(&self, uris: &[&str]) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .collect();
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> (String, String) {
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// The server's files, in a folder that is gone with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(server: &(String, String), client_ca: &Authority) -> Self {
        let path = std::env::temp_dir().join(format!("slipway-keda-tls-{}", unique()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.write(server);
        std::fs::write(folder.path("client-ca.pem"), client_ca.pem()).unwrap();
        folder
    }

    fn write(&self, server: &(String, String)) {
        std::fs::write(self.path("tls.crt"), &server.0).unwrap();
        std::fs::write(self.path("tls.key"), &server.1).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("tls.crt"),
            key: self.path("tls.key"),
            client_ca: Some(self.path("client-ca.pem")),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(Path::new(&self.0)));
    }
}

/// A connection that trusts an authority, with a certificate or without.
async fn dial(
    address: &str,
    trusted: &Authority,
    identity: Option<&(String, String)>,
) -> Result<Client, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(trusted.pem()))
        .domain_name("localhost");
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Channel::from_shared(format!("https://{address}"))
        .unwrap()
        .tls_config(tls)?;
    Ok(ExternalScalerClient::new(endpoint.connect().await?))
}

/// The code of a call; a connection that is refused gives none.
async fn code(
    client: Result<Client, tonic::transport::Error>,
    of: &ScaledObjectRef,
) -> Option<Code> {
    let answer = client.ok()?.get_metric_spec(of.clone()).await;
    match answer {
        Ok(_) => Some(Code::Ok),
        // With TLS 1.3 a client hears with its first call that its certificate was refused.
        Err(status) if std::error::Error::source(&status).is_some() => None,
        Err(status) => Some(status.code()),
    }
}

#[tokio::test]
async fn a_certificate_proves_a_namespace_and_nothing_else_does() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let folder = Folder::new(&ours.server(), &ours);
    let tls = Arc::new(ServerTls::read(folder.files(), TlsProtocol::Grpc).unwrap());
    let (documents, misread) = document::read(
        "{apiVersion: keda.sh/v1alpha1, kind: TriggerAuthentication, metadata: {name: role, namespace: orders}, \
          spec: {podIdentity: {provider: aws, roleArn: 'arn:aws:iam::1:role/orders'}}}",
    );
    assert!(misread.is_empty());
    let choice = Choice {
        tls: Some(tls),
        lookup: Arc::new(Objects::new(&documents)),
        ..Choice::default()
    };
    let port = Port::open(ScriptedSource::new([Some(1.0)]), choice).await;
    let plain = sqs(QUEUE);
    let mut referring = plain.clone();
    referring
        .scaler_metadata
        .insert("authenticationRef".to_owned(), "role".to_owned());
    let mut foreign = plain.clone();
    foreign.namespace = "billing".to_owned();
    let mut unmanaged = referring.clone();
    unmanaged.namespace = "elsewhere".to_owned();
    let orders = "spiffe://cluster.local/ns/orders/sa/keda";
    let elsewhere = "spiffe://cluster.local/ns/elsewhere";
    for (what, identity, expected) in [
        ("no certificate", None, [None; 4]),
        (
            "another authority's",
            Some(theirs.client(&[orders])),
            [None; 4],
        ),
        ("the server's own kind", Some(ours.server()), [None; 4]),
        (
            "one without a namespace",
            Some(ours.client(&["spiffe://cluster.local/sa/keda"])),
            [
                Code::Ok,
                Code::PermissionDenied,
                Code::Ok,
                Code::PermissionDenied,
            ]
            .map(Some),
        ),
        (
            "another namespace's",
            Some(ours.client(&["spiffe://cluster.local/ns/billing"])),
            [
                Code::PermissionDenied,
                Code::PermissionDenied,
                Code::Ok,
                Code::PermissionDenied,
            ]
            .map(Some),
        ),
        (
            "the right one",
            Some(ours.client(&[orders])),
            [
                Code::Ok,
                Code::Ok,
                Code::PermissionDenied,
                Code::PermissionDenied,
            ]
            .map(Some),
        ),
        (
            "one for two",
            Some(ours.client(&[elsewhere, orders])),
            [
                Code::Ok,
                Code::Ok,
                Code::PermissionDenied,
                Code::PermissionDenied,
            ]
            .map(Some),
        ),
    ] {
        let mut found = Vec::new();
        for of in [&plain, &referring, &foreign, &unmanaged] {
            let client = dial(&port.address, &ours, identity.as_ref()).await;
            found.push(code(client, of).await);
        }
        assert_eq!(found, expected, "{what}");
    }
    let specs = port.sources.specs.lock().unwrap().clone();
    let roles = specs
        .iter()
        .filter(|spec| format!("{spec:?}").contains("role/orders"));
    assert_eq!(roles.count(), 1, "{specs:?}");
    port.close().await;
}

#[tokio::test]
async fn new_certificates_come_into_force_under_an_open_stream() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = Folder::new(&old.server(), &old);
    let tls = Arc::new(ServerTls::read(folder.files(), TlsProtocol::Grpc).unwrap());
    let choice = Choice {
        tls: Some(tls.clone()),
        ages: Ages {
            freshness: Duration::from_millis(100),
            ..Ages::default()
        },
        ..Choice::default()
    };
    let source = ScriptedSource::new([Some(0.0)]);
    let port = Port::open(source.clone(), choice).await;
    let identity = old.client(&["spiffe://cluster.local/ns/orders"]);
    let mut client = dial(&port.address, &old, Some(&identity)).await.unwrap();
    let stream = client.stream_is_active(sqs(QUEUE)).await;
    let mut stream = stream.unwrap().into_inner();
    let said = |result| Some(IsActiveResponse { result });
    assert_eq!(stream.message().await.unwrap(), said(false));
    // A key that belongs to another certificate, half a file, none at all: nothing changes.
    for broken in [
        (new.server().0, new.server().1),
        (new.server().0[..200].to_owned(), new.server().1),
        (String::new(), String::new()),
    ] {
        folder.write(&broken);
        let error = tls.look_again().unwrap_err();
        assert!(error.to_string().contains("tls."), "{error}");
        assert!(!tls.look_again().unwrap(), "it is told once");
        assert!(dial(&port.address, &old, Some(&identity)).await.is_ok());
    }
    folder.write(&new.server());
    assert!(tls.look_again().unwrap());
    assert!(dial(&port.address, &old, Some(&identity)).await.is_err());
    let again = dial(&port.address, &new, Some(&identity)).await;
    assert_eq!(code(again, &sqs(QUEUE)).await, Some(Code::Ok));
    source.says(Some(3.0));
    assert_eq!(
        stream.message().await.unwrap(),
        said(true),
        "the stream is still there"
    );
    assert!(is_active(&mut client, &sqs(QUEUE)).await.unwrap());
    port.stop.cancel();
    assert_eq!(stream.message().await.unwrap(), None, "and ends with OK");
    port.close().await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_of_tls_is_let_go() {
    use tokio::io::AsyncReadExt as _;
    let ours = Authority::new("ours");
    let folder = Folder::new(&ours.server(), &ours);
    let choice = Choice {
        tls: Some(Arc::new(
            ServerTls::read(folder.files(), TlsProtocol::Grpc).unwrap(),
        )),
        limits: RpcLimits {
            handshake: Duration::from_millis(200),
            ..RpcLimits::default()
        },
        ..Choice::default()
    };
    let port = Port::open(ScriptedSource::new([Some(1.0)]), choice).await;
    let mut silent = tokio::net::TcpStream::connect(&port.address).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), silent.read_u8()).await;
    ended.expect("it is closed").unwrap_err();
    port.close().await;
}

#[tokio::test]
async fn the_binary_reads_its_files_again() {
    let cluster = Cluster::new("keda-tls").await;
    let namespace = cluster.namespace.as_str();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = Folder::new(&old.server(), &old);
    let connections = |target: &str| {
        format!(
            "[{{name: stage, namespaces: [{namespace}], metadata: {{queueLength: '{target}'}}}}]"
        )
    };
    let file = File::new("connections.yaml", &connections("3"));
    let (cert, key, ca) = (
        folder.path("tls.crt"),
        folder.path("tls.key"),
        folder.path("client-ca.pem"),
    );
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (cert, key, ca) = (text(&cert), text(&key), text(&ca));
    let arguments = [
        "--grpc-tls-cert",
        &cert,
        "--grpc-tls-key",
        &key,
        "--grpc-client-ca",
        &ca,
        "--connections",
        file.path(),
    ];
    let mut slipway = Slipway::run(&servers::kubeconfig(), namespace, &arguments, &[]).await;
    let uri = format!("spiffe://cluster.local/ns/{namespace}");
    let identity = old.client(&[&uri]);
    let mut of = sqs(QUEUE);
    of.namespace = namespace.to_owned();
    of.scaler_metadata
        .insert("connection".to_owned(), "stage".to_owned());
    let mut client = dial(slipway.grpc(), &old, Some(&identity)).await.unwrap();
    assert_eq!(spec(&mut client, &of).await.unwrap().target_size, 3);
    std::fs::write(file.path(), "- {name: stage}").unwrap();
    await_until("the mistake is told", Duration::from_secs(15), async || {
        let told = "1:3: [0].namespaces: is required; what was in force stays so";
        slipway.log().contains(told).then_some(())
    })
    .await;
    assert_eq!(spec(&mut client, &of).await.unwrap().target_size, 3);
    std::fs::write(file.path(), connections("4")).unwrap();
    folder.write(&new.server());
    await_until("both are in force", Duration::from_secs(15), async || {
        let target = spec(&mut client, &of).await.unwrap().target_size;
        let dialled = dial(slipway.grpc(), &new, Some(&identity)).await;
        (target == 4 && dialled.is_ok()).then_some(())
    })
    .await;
    assert_eq!(slipway.terminate().await, Some(0));
    cluster.remove().await;
}

#[test]
fn files_that_cannot_be_used_are_wrong_usage() {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args(["run", "--kubeconfig", &servers::kubeconfig()])
            .args([
                "--health",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--grpc",
                "127.0.0.1:0",
            ])
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        told
    };
    let file = File::new(
        "wrong.yaml",
        "- name: x\n  namespaces: [a]\n  password: s3cret\n",
    );
    let told = run(&["--connections", file.path()]);
    assert!(told.contains("wrong.yaml:3:3: [0].password"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
    let told = run(&["--connections", "/nowhere/connections.yaml"]);
    assert!(
        told.contains("/nowhere/connections.yaml cannot be read"),
        "{told}"
    );
    let told = run(&[
        "--grpc-tls-cert",
        file.path(),
        "--grpc-tls-key",
        file.path(),
    ]);
    assert!(told.contains("holds no certificate in PEM"), "{told}");
    let told = run(&["--grpc-client-ca", file.path()]);
    assert!(told.contains("--grpc-tls-cert"), "{told}");
}
