//! Many streams, many connections, and what is left of them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Streaming;

use super::*;
use crate::support::await_until;
use crate::support::fakes::ScriptedSource;
use slipway::externalscaler::IsActiveResponse;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/1/orders";

/// Between clients and the port; when it is cut, nothing passes and nobody is told.
struct Wire {
    address: String,
    cut: CancellationToken,
    _tasks: JoinSet<()>,
}

impl Wire {
    async fn to(port: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cut = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (port, silent) = (port.to_owned(), cut.clone());
        tasks.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let (port, silent) = (port.clone(), silent.clone());
                wires.spawn(async move {
                    let mut far = TcpStream::connect(port).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        // Both ends stay open, as after a pulled plug.
                        () = silent.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        Self {
            address,
            cut,
            _tasks: tasks,
        }
    }
}

/// Opens so many streams on one connection and hears the first state of each.
async fn streams(client: &Client, count: usize) -> Vec<Streaming<IsActiveResponse>> {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let mut client = client.clone();
        opening.spawn(async move { opened(&mut client).await });
    }
    opening.join_all().await
}

/// A stream that has told its first state.
async fn opened(client: &mut Client) -> Streaming<IsActiveResponse> {
    let stream = client.stream_is_active(sqs(QUEUE)).await;
    let mut stream = stream.unwrap().into_inner();
    assert!(stream.message().await.unwrap().unwrap().result);
    stream
}

/// Open files of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn of_ten_thousand_streams_those_of_dead_clients_come_back() {
    let before = descriptors();
    let choice = Choice {
        limits: RpcLimits {
            ping_every: Duration::from_secs(2),
            ping_timeout: Duration::from_secs(10),
            ..RpcLimits::default()
        },
        ..Choice::default()
    };
    let source = ScriptedSource::new([Some(1.0)]);
    let port = Port::open(source.clone(), choice).await;
    let wire = Wire::to(&port.address).await;
    let (near, far) = (port.client().await, connect(&wire.address).await);
    let living = streams(&near, 5_000).await;
    let dying = streams(&far, 5_000).await;
    assert_eq!(
        (port.gauge("open_streams"), port.gauge("connections")),
        (10_000, 2)
    );
    wire.cut.cancel();
    await_until("the dead are found", Duration::from_mins(1), async || {
        let left = (port.gauge("open_streams"), port.gauge("connections"));
        (left == (5_000, 1)).then_some(())
    })
    .await;
    assert_eq!(living.len(), 5_000);
    drop((living, near));
    await_until("the others end", Duration::from_secs(20), async || {
        let left = (port.gauge("open_streams"), port.gauge("connections"));
        (left == (0, 0)).then_some(())
    })
    .await;
    drop((dying, far, wire));
    port.close().await;
    // Other tests run beside this one and have files of their own.
    await_until(
        "the sockets are closed",
        Duration::from_secs(20),
        async || (descriptors() < before + 500).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn a_stop_ends_every_stream_with_ok_and_answers_what_is_under_way() {
    let source = ScriptedSource::new([Some(1.0)]);
    let port = Port::open(source, Choice::default()).await;
    let client = port.client().await;
    let mut open = streams(&client, 100).await;
    port.stop.cancel();
    for stream in &mut open {
        assert_eq!(stream.message().await.unwrap(), None);
    }
    port.close().await;
}

#[tokio::test]
async fn an_old_connection_is_asked_to_go_and_its_client_finds_the_next_one() {
    let choice = Choice {
        limits: RpcLimits {
            age: Duration::from_secs(1),
            ..RpcLimits::default()
        },
        ..Choice::default()
    };
    let port = Port::open(ScriptedSource::new([Some(1.0)]), choice).await;
    let (mut client, mut other) = (port.client().await, port.client().await);
    let of = sqs(QUEUE);
    for _ in 0..3 {
        let mut stream = opened(&mut client).await;
        let ended = loop {
            tokio::select! {
                ended = stream.message() => break ended,
                // Calls go through meanwhile, whichever connection they find.
                active = is_active(&mut other, &of) => match active {
                    Ok(active) => assert!(active),
                    // This client does not send again what it had not sent yet, as gRPC's own do.
                    Err(status) => assert_eq!(status.code(), Code::Cancelled, "{status}"),
                },
            }
        };
        assert_eq!(ended.unwrap(), None, "it ends with OK");
    }
    assert!(
        port.gauge("connections") <= 4,
        "the old ones are gone, or about to be"
    );
    drop((client, other));
    await_until("all are gone", Duration::from_secs(10), async || {
        (port.gauge("connections") == 0).then_some(())
    })
    .await;
    port.close().await;
}

#[tokio::test]
async fn who_says_nothing_and_who_is_one_too_many_is_let_go() {
    let choice = Choice {
        limits: RpcLimits {
            connections: 3,
            handshake: Duration::from_millis(500),
            ..RpcLimits::default()
        },
        ..Choice::default()
    };
    let port = Port::open(ScriptedSource::new([Some(1.0)]), choice).await;
    let mut client = port.client().await;
    // Whoever had an answer is not among the first that make room.
    assert!(is_active(&mut client, &sqs(QUEUE)).await.unwrap());
    let mut silent = TcpStream::connect(&port.address).await.unwrap();
    let mut slow = TcpStream::connect(&port.address).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    await_until("both are there", Duration::from_secs(5), async || {
        (port.gauge("connections") == 3).then_some(())
    })
    .await;
    let mut one_too_many = TcpStream::connect(&port.address).await.unwrap();
    for stream in [&mut one_too_many, &mut silent, &mut slow] {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
        // Closed or reset: it is over either way.
        drop(ended.await.expect("it ends"));
    }
    assert!(is_active(&mut client, &sqs(QUEUE)).await.unwrap());
    port.close().await;
}

#[tokio::test]
async fn a_connection_has_so_many_streams_and_its_calls_still_have_room() {
    let choice = Choice {
        limits: RpcLimits {
            streams: 10,
            ..RpcLimits::default()
        },
        ..Choice::default()
    };
    let port = Port::open(ScriptedSource::new([Some(1.0)]), choice).await;
    let mut client = port.client().await;
    let open = streams(&client, 10).await;
    let refused = client.stream_is_active(sqs(QUEUE)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(is_active(&mut client, &sqs(QUEUE)).await.unwrap());
    drop(open);
    await_until("a place is free", Duration::from_secs(5), async || {
        client.stream_is_active(sqs(QUEUE)).await.ok()
    })
    .await;
    port.close().await;
}
