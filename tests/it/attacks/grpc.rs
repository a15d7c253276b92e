//! The port for KEDA under callers who mean ill.

use std::time::Duration;

use slipway::serve::keda::server::RpcLimits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tonic::Code;

use crate::keda::{Choice, Port, is_active, reference, spec, sqs};
use crate::support::await_until;
use crate::support::fakes::ScriptedSource;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/1/orders";
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_trigger_that_is_larger_than_any_is_refused_by_its_size_and_leaves_nothing() {
    let port = Port::open(ScriptedSource::new([Some(1.0)]), Choice::default()).await;
    let mut client = port.client().await;
    let usual = sqs(QUEUE);
    let with = |more: Vec<(String, String)>| {
        let mut large = usual.clone();
        large.scaler_metadata.extend(more);
        large
    };
    // 6,900 keys, as they were found to cost 2 MB each time; a value; a key; a namespace.
    let keys = with(
        (0..6_900)
            .map(|key| (format!("{key:x}"), String::new()))
            .collect(),
    );
    let value = with(vec![("comment".to_owned(), "v".repeat(9_000))]);
    let key = with(vec![("k".repeat(9_000), String::new())]);
    let namespace = reference(&"n".repeat(9_000), &[("source", "kafka")]);
    for (large, words) in [
        (keys, ["metadata: it has 6905 keys", "64"]),
        (value, ["metadata: its keys and values have", "\"comment\""]),
        (key, ["metadata: its keys and values have", "8192"]),
        (namespace, ["namespace: it has 9000 bytes", "63"]),
    ] {
        let refused = spec(&mut client, &large).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        for word in words {
            assert!(refused.message().contains(word), "{refused}");
        }
        assert!(refused.message().len() < 512);
    }
    assert_eq!(port.keda.triggers(), 0);
    // Just as large as it may be.
    let most = with(
        (0..59)
            .map(|key| (key.to_string(), "v".repeat(130)))
            .collect(),
    );
    spec(&mut client, &most).await.unwrap();
    assert!(is_active(&mut client, &usual).await.unwrap());
    assert_eq!(port.keda.triggers(), 2);
    port.close().await;
}

/// HTTP/2 by hand: what a client library would not send.
pub(super) struct RawHttp2 {
    write: OwnedWriteHalf,
    /// Reads what the port says, until it ends the connection.
    ended: tokio::task::JoinHandle<()>,
    next: u32,
}

impl RawHttp2 {
    pub(super) async fn open(address: &str) -> Self {
        let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        // The preface, and an empty SETTINGS frame.
        write
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        write.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        let drain = async move {
            let mut scrap = [0; 4096];
            while matches!(read.read(&mut scrap).await, Ok(1..)) {}
        };
        #[expect(clippy::disallowed_methods, reason = "it ends with the connection")]
        let ended = tokio::spawn(drain);
        Self {
            write,
            ended,
            next: 1,
        }
    }

    /// Begins a call with a header of so many bytes and with this much of a message, and never ends it.
    pub(super) async fn begin(&mut self, header: usize, message: &[u8]) -> std::io::Result<()> {
        // POST, http, :path without an index, and a header of its own. Source: RFC 7541, section 6.2.2 and appendix A.
        let mut block = vec![0x83, 0x86];
        let path = b"/externalscaler.ExternalScaler/GetMetricSpec";
        block.extend([0x04, u8::try_from(path.len()).unwrap()]);
        block.extend(path);
        block.extend([0x00, 1, b'x']);
        // A length of more than 126, with a prefix of 7 bits. Source: RFC 7541, section 5.1.
        let mut rest = header.max(127) - 127;
        block.push(127);
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
        block.extend(vec![b'v'; header.max(127)]);
        let mut bytes = frame(1, 4, self.next, &block);
        if !message.is_empty() {
            bytes.extend(frame(0, 0, self.next, message));
        }
        self.next += 2;
        self.write.write_all(&bytes).await
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[tokio::test]
async fn requests_that_never_end_take_a_budget_and_then_their_own_connection() {
    let choice = Choice {
        limits: RpcLimits {
            request_bytes: 1 << 20,
            // Nothing but the budget ends them.
            request: Duration::from_mins(5),
            call: Duration::from_mins(5),
            ..RpcLimits::default()
        },
        ..Choice::default()
    };
    let port = Port::open(ScriptedSource::new([Some(1.0)]), choice).await;
    let mut client = port.client().await;
    let of = sqs(QUEUE);
    assert!(is_active(&mut client, &of).await.unwrap());
    // Heads alone, and messages of which the end does not come.
    for (header, message) in [(3_800, 0), (200, 3_000)] {
        let mut greedy = RawHttp2::open(&port.address).await;
        let message = vec![0; message];
        for _ in 0..2_000 {
            if greedy.begin(header, &message).await.is_err() {
                break;
            }
        }
        // Small ones take what is left. Whoever is honest needs a little room, and gets that of the greedy one.
        await_until("the greedy one is closed", SOON, async || {
            for _ in 0..10 {
                drop(greedy.begin(127, &[]).await);
            }
            assert!(is_active(&mut client, &of).await.unwrap());
            greedy.ended.is_finished().then_some(())
        })
        .await;
    }
    port.close().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_without_harm_to_the_connection() {
    let port = Port::open(ScriptedSource::new([Some(1.0)]), Choice::default()).await;
    let mut client = port.client().await;
    for bytes in [100, 12_000, 100] {
        let mut request = tonic::Request::new(sqs(QUEUE));
        let value = "v".repeat(bytes).parse().unwrap();
        request.metadata_mut().insert("x", value);
        let answered = client.is_active(request).await;
        assert_eq!(answered.is_ok(), bytes < 4_096, "{answered:?}");
    }
    port.close().await;
}

#[tokio::test]
async fn callers_are_served_while_silent_ones_take_all_connections_again_and_again() {
    let choice = Choice {
        limits: RpcLimits {
            connections: 16,
            handshake: Duration::from_mins(5),
            ..RpcLimits::default()
        },
        ..Choice::default()
    };
    let port = Port::open(ScriptedSource::new([Some(1.0)]), choice).await;
    let mut old = port.client().await;
    assert!(is_active(&mut old, &sqs(QUEUE)).await.unwrap());
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut stranger = TcpStream::connect(&port.address).await.unwrap();
        if number % 2 == 0 {
            // Half of them say a first word.
            drop(
                stranger
                    .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                    .await,
            );
        }
        silent.push(stranger);
        if number % 20 == 19 {
            let mut new = port.client().await;
            assert!(
                is_active(&mut new, &sqs(QUEUE)).await.unwrap(),
                "after {number}"
            );
        }
    }
    assert!(port.gauge("connections") <= 16);
    // Whoever had an answer before stays longest.
    assert!(is_active(&mut old, &sqs(QUEUE)).await.unwrap());
    // The oldest silent ones are gone.
    let mut scrap = [0; 64];
    while matches!(silent[0].read(&mut scrap).await, Ok(1..)) {}
    port.close().await;
}

#[tokio::test]
async fn services_beside_the_scaler_have_few_places() {
    let port = Port::open(ScriptedSource::new([Some(1.0)]), Choice::default()).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", port.address));
    let channel = channel.unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let mut watches = Vec::new();
    let watch = tonic_health::pb::HealthCheckRequest::default();
    let refused = loop {
        assert!(watches.len() < 1_000, "there is no limit");
        match health.watch(watch.clone()).await {
            Ok(stream) => watches.push(stream),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    drop(watches);
    await_until("places are free again", SOON, async || {
        health.check(watch.clone()).await.ok()
    })
    .await;
    port.close().await;
}
