//! Against real TLS servers on loopback, with an authority of their own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// Answers by path, until it is dropped.
struct Server {
    address: SocketAddr,
    authority: Vec<u8>,
    seen: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// A server whose certificate is for this name.
    fn start(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let config = Arc::new(config);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if serve(stream, &config, &counted) == Some(Stop) {
                    return;
                }
            }
        });
        Self {
            address,
            authority: authority.der().to_vec(),
            seen,
            thread: Some(thread),
        }
    }

    fn url(&self, host: &str, path: &str) -> Url {
        let port = self.address.port();
        format!("https://{host}:{port}{path}").parse().unwrap()
    }

    fn trust(&self) -> Trust {
        Trust::only([self.authority.clone()])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A connection that says nothing of TLS is told apart from those of tests.
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let written = stream.write_all(b"stop");
            drop((written, stream));
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[derive(PartialEq)]
struct Stop;

fn serve(stream: TcpStream, config: &Arc<ServerConfig>, seen: &AtomicUsize) -> Option<Stop> {
    // A client that has gone away in its own time does not hold up the next one.
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .ok()?;
    let mut first = [0; 4];
    if stream.peek(&mut first).ok()? >= 4 && &first == b"stop" {
        return Some(Stop);
    }
    let connection = ServerConnection::new(Arc::clone(config)).ok()?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    seen.fetch_add(1, Ordering::Relaxed);
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default();
    let with_length =
        |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let written = match path {
        "/keys" => stream
            .write_all(with_length(4).as_bytes())
            .and_then(|()| stream.write_all(b"keys")),
        "/request" => stream
            .write_all(with_length(text.len()).as_bytes())
            .and_then(|()| stream.write_all(text.as_bytes())),
        "/long" => stream
            .write_all(with_length(ANSWER_BYTES + 1).as_bytes())
            .and_then(|()| stream.write_all(&vec![b'a'; ANSWER_BYTES + 1])),
        "/longest" => stream
            .write_all(with_length(ANSWER_BYTES).as_bytes())
            .and_then(|()| stream.write_all(&vec![b'a'; ANSWER_BYTES])),
        "/endless" => {
            let begun = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            // Until the other side has had enough.
            begun.and_then(|()| {
                loop {
                    stream.write_all(b"400\r\n")?;
                    stream.write_all(&[b'a'; 0x400])?;
                    stream.write_all(b"\r\n")?;
                }
            })
        }
        "/redirect" => {
            stream.write_all(b"HTTP/1.1 302 Found\r\nlocation: /keys\r\ncontent-length: 0\r\n\r\n")
        }
        "/broken" => stream.write_all(with_length(100).as_bytes()),
        // Silence, until the other side goes.
        "/silent" => stream.read_exact(&mut byte),
        _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
    };
    drop(written.and_then(|()| stream.flush()));
    None
}

fn loopback() -> Rules {
    Rules::new([], true)
}

async fn get(https: &Https, url: &Url) -> Result<String, String> {
    let body = https.get(url).await?;
    Ok(String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_document_is_read_over_tls() {
    let server = Server::start("localhost");
    let https = Https::new(loopback(), server.trust());
    let url = server.url("localhost", "/keys");
    assert_eq!(get(&https, &url).await.unwrap(), "keys");
    let longest = get(&https, &server.url("localhost", "/longest")).await;
    assert_eq!(longest.unwrap().len(), ANSWER_BYTES);
    let request = get(&https, &server.url("localhost", "/request?a=b")).await;
    assert!(request.is_err(), "a path with a query is another path");
    let request = get(&https, &server.url("localhost", "/request"))
        .await
        .unwrap();
    assert!(
        request.starts_with("GET /request HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(!request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn what_is_no_document_is_an_error_that_names_the_host_alone() {
    let server = Server::start("localhost");
    let patient = Https::new(loopback(), server.trust());
    let mut hasty = Https::new(loopback(), server.trust());
    hasty.deadline = Duration::from_millis(500);
    for (path, why) in [
        ("/absent-canary", "localhost: answered 404"),
        (
            "/redirect",
            "localhost: answered 302; redirects are not followed",
        ),
        ("/long", "localhost: answered with more than 65536 bytes"),
        ("/endless", "localhost: answered with more than 65536 bytes"),
        ("/broken", "localhost: broke off its answer"),
        ("/silent", "localhost gave no answer within 0.5 s"),
    ] {
        let before = server.seen.load(Ordering::Relaxed);
        // Only where silence is what is asked for may a busy machine be late.
        let https = if path == "/silent" { &hasty } else { &patient };
        let url = server.url("localhost", path);
        assert_eq!(get(https, &url).await, Err(why.to_owned()), "{path}");
        let seen = server.seen.load(Ordering::Relaxed) - before;
        assert!(seen == 1 || path == "/silent", "{path}: {seen}");
    }
}

#[tokio::test]
async fn only_servers_that_an_authority_vouches_for_are_read() {
    let server = Server::start("localhost");
    let elsewhere = Server::start("elsewhere.example");
    let nobody = Trust::only([]);
    for (server, trust) in [
        (&server, elsewhere.trust()),
        (&server, nobody),
        (&elsewhere, elsewhere.trust()),
    ] {
        let https = Https::new(loopback(), trust);
        let error = get(&https, &server.url("localhost", "/keys"))
            .await
            .unwrap_err();
        assert!(error.contains("certificate"), "{error}");
        assert_eq!(server.seen.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn addresses_inside_are_not_read_however_they_are_written() {
    let server = Server::start("localhost");
    let https = Https::new(Rules::default(), server.trust());
    for host in [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
    ] {
        let error = get(&https, &server.url(host, "/keys")).await.unwrap_err();
        assert!(error.contains("--allow-address"), "{host}: {error}");
    }
    // A name that only turns out to lead inside when it is looked up, at the moment of connecting.
    let found = FetchResolver(Rules::default()).resolve("localhost").await;
    assert!(
        found
            .unwrap_err()
            .to_string()
            .contains("--allow-address localhost")
    );
    let error = https
        .read(&server.url("localhost", "/keys"))
        .await
        .unwrap_err();
    assert!(error.contains("--allow-address localhost"), "{error}");
    assert_eq!(server.seen.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn nothing_but_plain_https_is_read() {
    let server = Server::start("localhost");
    let https = Https::new(loopback(), server.trust());
    let plain: Url = format!("http://localhost:{}/keys", server.address.port())
        .parse()
        .unwrap();
    assert_eq!(
        get(&https, &plain).await.unwrap_err(),
        "only https addresses are read"
    );
    for text in ["file:///etc/hostname", "data:,keys"] {
        assert!(get(&https, &text.parse().unwrap()).await.is_err(), "{text}");
    }
    let mut user = server.url("localhost", "/keys");
    user.set_username("canary").unwrap();
    let error = get(&https, &user).await.unwrap_err();
    assert!(!error.contains("canary"), "{error}");
    assert_eq!(server.seen.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let https = Https::new(loopback(), Trust::only([]));
    let url: Url = format!("https://localhost:{port}/canary").parse().unwrap();
    let error = get(&https, &url).await.unwrap_err();
    assert!(
        error.starts_with("localhost: ") && !error.contains("canary"),
        "{error}"
    );
}

/// A proxy that takes every name to one address, once; what it was asked.
async fn connect_once(proxy: tokio::net::TcpListener, to: SocketAddr) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut from, _) = proxy.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await.unwrap());
    }
    from.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut to = tokio::net::TcpStream::connect(to).await.unwrap();
    // Either side may go without a word.
    drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn through_a_proxy_the_certificate_is_the_hosts_and_only_allowed_names_are_called() {
    let server = Server::start("issuer.example");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://me:canary@{}", listener.local_addr().unwrap());
    let proxy = HttpsProxy::parse(&proxy, "").unwrap();
    // The name leads nowhere: nobody here looks it up.
    let rules = Rules::new(["issuer.example".to_owned()], false).through(Some(proxy));
    let https = Https::new(rules, server.trust());
    let told = get(&https, &server.url("elsewhere.example", "/keys")).await;
    let told = told.unwrap_err();
    assert!(told.contains("--allow-address elsewhere.example"), "{told}");
    let url = server.url("issuer.example", "/keys");
    let (heard, keys) = tokio::join!(connect_once(listener, server.address), get(&https, &url));
    assert_eq!(keys.unwrap(), "keys");
    let port = server.address.port();
    assert!(
        heard.starts_with(&format!("CONNECT issuer.example:{port} ")),
        "{heard}"
    );
    assert!(heard.contains("Basic bWU6Y2FuYXJ5"), "{heard}");
    assert_eq!(server.seen.load(Ordering::Relaxed), 1);
}
