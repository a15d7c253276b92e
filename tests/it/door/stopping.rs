//! The end: what is under way is answered, what waits is closed, what comes late is told.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::{Door, PATIENCE, post, post_with};
use crate::support::await_until;

#[tokio::test]
async fn requests_under_way_are_answered_and_the_rest_is_closed() {
    let mut door = Door::open().await;
    let mut idle = door.connect().await;
    idle.send(post("before")).await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
    let mut silent = door.connect().await;
    let mut half = door.connect().await;
    let late = post("late");
    half.send(&late[..40]).await;
    door.behind.hold().await;
    let mut working = door.connect().await;
    working.send(post("working")).await;
    let mut reading = door.connect().await;
    let last = post("reading");
    reading.send(&last[..last.len() - 3]).await;
    // A request that is answered shows that those before it have been heard.
    assert_eq!(door.ask("GET / HTTP/1.0\r\n\r\n").await.status, 404);
    door.stop.cancel();
    assert!(idle.reply().await.is_none(), "idle");
    assert!(silent.reply().await.is_none(), "silent");
    half.send(&late[40..]).await;
    let reply = half.reply().await.unwrap();
    assert_eq!(reply.short(), (503, "ShuttingDown"));
    assert!(reply.closes());
    await_until("nobody accepts", PATIENCE, async || {
        TcpStream::connect(door.address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    reading.send(&last[last.len() - 3..]).await;
    door.behind.go_on(10);
    for peer in [&mut working, &mut reading] {
        let reply = peer.reply().await.unwrap();
        assert_eq!(reply.short(), (200, "Created"));
        assert!(reply.closes());
        assert!(peer.reply().await.is_none());
    }
    drop((working, reading, half));
    door.ended().await;
    assert_eq!(door.behind.launched(), 3);
}

#[tokio::test]
async fn once_the_end_is_announced_everything_is_served_and_each_answer_sends_its_peer_elsewhere() {
    let door = Door::open().await;
    let probe =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: door\r\nconnection: close\r\n\r\n");
    for (path, status, body) in [("/readyz", 200, "ok\n"), ("/livez", 200, "ok\n")] {
        assert_eq!(door.plain(probe(path)).await, (status, body.to_owned()));
    }
    let mut rests = door.connect().await;
    rests.send(post("a")).await;
    assert!(!rests.reply().await.unwrap().closes());
    door.leaving.cancel();
    // Why is for those who may ask at --health.
    assert_eq!(
        door.plain(probe("/readyz")).await,
        (503, "not ready\n".to_owned())
    );
    assert_eq!(door.plain(probe("/livez")).await.0, 200);
    rests.send(post("b")).await;
    let reply = rests.reply().await.unwrap();
    assert_eq!(reply.short(), (200, "Created"));
    assert!(reply.closes());
    assert!(rests.reply().await.is_none());
    let mut newcomer = door.connect().await;
    newcomer.send(post("c")).await;
    let reply = newcomer.reply().await.unwrap();
    assert_eq!(reply.short(), (200, "Created"));
    assert!(reply.closes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_sender_hears_yes_or_come_again() {
    let mut door = Door::open().await;
    let mut senders = tokio::task::JoinSet::new();
    let address = door.address;
    for sender in 0..20 {
        senders.spawn(async move {
            let (mut yes, mut again) = (0, 0);
            for number in 0.. {
                let Ok(stream) = TcpStream::connect(address).await else {
                    break;
                };
                let mut peer = super::Peer {
                    stream,
                    read: Vec::new(),
                };
                let id = format!("{sender}-{number}");
                let request = post_with(&id, "connection: close\r\n");
                let sent =
                    tokio::io::AsyncWriteExt::write_all(&mut peer.stream, request.as_bytes());
                if sent.await.is_err() {
                    break;
                }
                match peer.reply().await {
                    Some(reply) if reply.status == 200 => yes += 1,
                    Some(reply) => {
                        assert_eq!(reply.short(), (503, "ShuttingDown"));
                        again += 1;
                    }
                    // Its connection came too late to be heard.
                    None => break,
                }
            }
            (yes, again)
        });
    }
    await_until("load", PATIENCE, async || {
        (door.behind.launched() > 500).then_some(())
    })
    .await;
    let started = Instant::now();
    door.stop.cancel();
    door.ended().await;
    assert!(started.elapsed() < Duration::from_secs(10));
    let mut heard = 0;
    while let Some(counts) = senders.join_next().await {
        heard += counts.unwrap().0;
    }
    assert_eq!(heard, door.behind.launched(), "every launch was answered");
}
