//! What may come over a connection to the door for events: every answer is whole, and has a body that is JSON.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libfuzzer_sys::fuzz_target;
use slipway::intake::webhook::Request;
use slipway::intake::webhook::answer::{DoorAnswer, Reason};
use slipway::intake::{Body, SenderKind};
use slipway::serve::Stops;
use slipway::serve::events::{self, DoorLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Reads every body, and lets nobody in.
struct Closed;

impl events::Door for Closed {
    fn answer<'a>(
        &'a self,
        request: Request<'a>,
        body: &'a mut dyn Body,
    ) -> BoxFuture<'a, DoorAnswer> {
        async move {
            assert!(request.headers.len() <= 64);
            match body.read(SenderKind::Proved).await {
                Ok(bytes) => {
                    DoorAnswer::error(Reason::BadRequest, format!("{} bytes", bytes.len()))
                }
                Err(error) => DoorAnswer::error(Reason::BadRequest, error.to_string()),
            }
        }
        .boxed()
    }

    fn allows_origin(&self, _: &str, _: &str, _: &str) -> bool {
        true
    }

    fn turned_away(&self, _: u16) {}
}

struct Bench {
    runtime: Runtime,
    address: std::net::SocketAddr,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = events::serve(
        listener,
        Arc::new(Closed),
        None,
        DoorLimits::default(),
        Arc::new(|| Ok(())),
        Stops::default(),
    );
    runtime.spawn(async move { drop(served.await) });
    Bench { runtime, address }
});

fuzz_target!(|input: &[u8]| {
    let answer = BENCH.runtime.block_on(async {
        let mut stream = TcpStream::connect(BENCH.address).await.expect("it accepts");
        // Who is answered early may be gone.
        drop(stream.write_all(input).await);
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        read.expect("an end").map(|_| answer).unwrap_or_default()
    });
    check(&answer);
});

/// Heads with a length, and so many bytes of JSON, or of text for probes; one after the other.
fn check(mut answers: &[u8]) {
    while !answers.is_empty() {
        if let Some(rest) = answers.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
            answers = rest;
            continue;
        }
        let end = answers
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head");
        let head = std::str::from_utf8(&answers[..end])
            .expect("text")
            .to_ascii_lowercase();
        assert!(head.starts_with("http/1."), "{head}");
        assert!(
            !head.starts_with("http/1.1 5") || head.starts_with("http/1.1 503"),
            "{head}"
        );
        let value = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let length: usize = value("content-length")
            .expect("a length")
            .parse()
            .expect("a number");
        let body = &answers[end + 4..];
        // An answer to HEAD has a length, and ends there: with the connection, or with the next answer.
        let has_none = body.len() < length || body.starts_with(b"HTTP/1.");
        let body = &body[..if has_none { 0 } else { length }];
        if value("content-type") == Some("application/json") && !body.is_empty() {
            serde_json::from_slice::<serde_json::Value>(body).expect("JSON");
        }
        answers = &answers[end + 4 + body.len()..];
    }
}
