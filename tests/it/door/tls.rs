//! The door with a certificate of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use slipway::serve::events::DoorLimits;
use slipway::serve::tls::{ServerTls, TlsFiles, TlsProtocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Door, PATIENCE, Reply, post, post_with};
use crate::support::cluster::unique;

/// A certificate and its key, in files that go with the test.
struct Files(PathBuf);

impl Files {
    /// Valid until the first of January of that year.
    fn until(year: i32) -> Self {
        let folder = std::env::temp_dir().join(format!("slipway-door-tls-{}", unique()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Self(folder);
        files.write(year);
        files
    }

    fn write(&self, year: i32) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(self.certificate(), certificate.pem()).unwrap();
        std::fs::write(self.0.join("tls.key"), key.serialize_pem()).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.0.join("tls.crt")
    }

    fn read(&self) -> Arc<ServerTls> {
        let files = TlsFiles {
            certificate: self.certificate(),
            key: self.0.join("tls.key"),
            client_ca: None,
        };
        Arc::new(ServerTls::read(files, TlsProtocol::Http).unwrap())
    }

    /// A connection of somebody who trusts what is in the files now.
    async fn dial(&self, door: &Door) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.certificate()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(door.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Sends a request, and reads its answer.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &str) -> Reply {
    let exchange = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        loop {
            if let Some((reply, _)) = Reply::parse(&read) {
                return reply;
            }
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{read:?}");
        }
    };
    timeout(PATIENCE, exchange).await.expect("an answer")
}

#[tokio::test]
async fn events_come_over_tls_and_new_certificates_break_no_connection() {
    let files = Files::until(2041);
    let tls = files.read();
    let door = Door::secured(DoorLimits::default(), Some(tls.clone())).await;
    let mut peer = files.dial(&door).await.unwrap();
    let (_, session) = peer.get_ref();
    assert_eq!(session.alpn_protocol(), Some(b"http/1.1".as_slice()));
    for id in ["a", "b"] {
        assert_eq!(ask(&mut peer, &post(id)).await.short(), (200, "Created"));
    }
    assert_eq!(tls.ends_at(), Some(2_240_611_200), "2041-01-01");

    files.write(2051);
    assert!(files.dial(&door).await.is_err(), "the old one is in force");
    assert!(tls.look_again().unwrap());
    assert_eq!(tls.ends_at(), Some(2_556_144_000), "2051-01-01");
    let mut newcomer = files.dial(&door).await.unwrap();
    assert_eq!(
        ask(&mut newcomer, &post("b")).await.short(),
        (200, "Duplicate")
    );
    let reply = ask(&mut peer, &post_with("c", "connection: close\r\n")).await;
    assert_eq!(reply.short(), (200, "Created"));
    // TLS is ended in its own words, so nobody can have cut it short.
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, peer.read_to_end(&mut rest)).await;
    assert_eq!(end.expect("an end").unwrap(), 0);
}

#[tokio::test]
async fn who_speaks_no_tls_or_says_nothing_is_let_go() {
    let files = Files::until(2041);
    let limits = DoorLimits {
        head: Duration::from_millis(300),
        linger: Duration::from_millis(300),
        ..DoorLimits::default()
    };
    let door = Door::secured(limits, Some(files.read())).await;
    // A hello that never ends.
    for words in [post("a"), "\u{16}\u{3}\u{1}".to_owned(), String::new()] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        drop(end.expect("it is closed"));
        let said = String::from_utf8_lossy(&rest);
        assert!(!said.contains("HTTP"), "{said}");
    }
    assert_eq!(door.behind.launched(), 0);
    let mut peer = files.dial(&door).await.unwrap();
    assert_eq!(ask(&mut peer, &post("a")).await.short(), (200, "Created"));
}
