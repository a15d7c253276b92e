//! Sizes and framing: too large, too many, two lengths at once, no HTTP at all.

use std::time::{Duration, Instant};

use slipway::intake::LARGEST_BODY;
use slipway::serve::events::DoorLimits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Door, Peer, Reply, post, post_with};

/// A head that promises a body of `framing`.
fn head(framing: &str) -> String {
    format!(
        "POST /events/production/invoice HTTP/1.1\r\nhost: door\r\nx-api-key: right\r\n{framing}\r\n\r\n"
    )
}

/// An event of the largest size.
fn largest(id: &str) -> String {
    let event = format!("{{\"id\":\"{id}\"}}");
    let room = " ".repeat(LARGEST_BODY - event.len());
    event + &room
}

#[tokio::test]
async fn what_is_no_request_is_told_so_in_json() {
    let door = Door::open().await;
    let many = "x: y\r\n".repeat(80);
    let large = format!("x: {}\r\n", "y".repeat(17 * 1024));
    let path = format!("POST /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    let rows: Vec<(Vec<u8>, u16, &str)> = vec![
        (b"hello\r\n\r\n".to_vec(), 400, "BadRequest"),
        (
            b"POST / HTTP/1.1\r\nno colon\r\n\r\n".to_vec(),
            400,
            "BadRequest",
        ),
        (
            b"POST / HTTP/1.1\r\na b: c\r\n\r\n".to_vec(),
            400,
            "BadRequest",
        ),
        (
            b"POST / HTTP/1.1\r\na: b\r\n c\r\n\r\n".to_vec(),
            400,
            "BadRequest",
        ),
        (
            b"POST / HTTP/1.1\r\na: \0\r\n\r\n".to_vec(),
            400,
            "BadRequest",
        ),
        (b"POST / HTTP/9.9\r\n\r\n".to_vec(), 400, "BadRequest"),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            400,
            "BadRequest",
        ),
        // The first bytes of TLS.
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            400,
            "BadRequest",
        ),
        (post_with("a", &many).into_bytes(), 431, "HeadTooLarge"),
        (post_with("a", &large).into_bytes(), 431, "HeadTooLarge"),
        (path.into_bytes(), 431, "HeadTooLarge"),
        (
            head("content-length: 1\r\ncontent-length: 2").into_bytes(),
            400,
            "BadRequest",
        ),
        (head("content-length: -1").into_bytes(), 400, "BadRequest"),
        (head("content-length: +1").into_bytes(), 400, "BadRequest"),
        (head("content-length: 1, 2").into_bytes(), 400, "BadRequest"),
        (
            head("content-length: 99999999999999999999").into_bytes(),
            400,
            "BadRequest",
        ),
        (
            head("transfer-encoding: gzip").into_bytes(),
            400,
            "BadRequest",
        ),
        (
            head("transfer-encoding: chunked, gzip").into_bytes(),
            400,
            "BadRequest",
        ),
        (
            head("transfer-encoding: xchunked").into_bytes(),
            400,
            "BadRequest",
        ),
        (
            head("transfer-encoding : chunked").into_bytes(),
            400,
            "BadRequest",
        ),
    ];
    for (bytes, status, reason) in rows {
        let text = bytes[..bytes.len().min(120)].escape_ascii().to_string();
        let reply = door.ask(&bytes).await;
        assert_eq!(reply.short(), (status, reason), "{text}");
        assert!(reply.closes(), "{text}");
    }
    assert_eq!(door.behind.launched(), 0);
    assert_eq!(
        door.ask(post_with("b", "connection: close\r\n"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn two_framings_at_once_smuggle_no_second_request() {
    let door = Door::open().await;
    let smuggled = post("smuggled");
    // By its length, the smuggled request is the body; by its chunks, it is the next request.
    let chunked = "16\r\n{\"id\":\"a\",\"detail\":{}}\r\n0\r\n\r\n";
    let body = format!("{chunked}{smuggled}");
    for both in [
        format!(
            "content-length: {}\r\ntransfer-encoding: chunked",
            body.len()
        ),
        format!(
            "transfer-encoding: chunked\r\ncontent-length: {}",
            body.len()
        ),
    ] {
        let replies = door.say(format!("{}{body}", head(&both))).await;
        assert_eq!(replies.len(), 1, "{both}: {replies:?}");
        assert!(replies[0].closes(), "{both}");
    }
    // A body that is not read is no next request either.
    let unread = head(&format!("content-length: {}", smuggled.len())).replace("right", "wrong");
    let replies = door.say(format!("{unread}{smuggled}")).await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(replies[0].status, 401);
    assert_eq!(door.behind.launched(), 1, "the one in chunks");
}

#[tokio::test]
async fn bodies_end_where_they_say() {
    let door = Door::open().await;
    let chunks = |text: &str| {
        format!(
            "{}{text}",
            head("connection: close\r\ntransfer-encoding: chunked")
        )
    };
    let rows = [
        (chunks("8\r\n{\"id\":\"a\r\n2\r\n\"}\r\n0\r\n\r\n"), 200),
        (
            chunks("a;x=y\r\n{\"id\":\"b\"}\r\n0\r\ntrailer: x\r\n\r\n"),
            200,
        ),
        (chunks("zz\r\n{}\r\n0\r\n\r\n"), 400),
        (chunks("-2\r\n{}\r\n0\r\n\r\n"), 400),
        (chunks("fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), 400),
        (chunks("2\r\n{}xx0\r\n\r\n"), 400),
        (head("connection: close\r\ncontent-length: 0"), 400),
        (head("connection: close"), 400),
    ];
    for (request, status) in rows {
        assert_eq!(door.ask(&request).await.status, status, "{request}");
    }
}

#[tokio::test]
async fn deep_json_is_refused_and_breaks_nothing() {
    let door = Door::open().await;
    for depth in [200, 10_000, 1_000_000] {
        for unit in ["[", "{\"a\":"] {
            let body = unit.repeat(depth.min(LARGEST_BODY / unit.len()));
            let framing = format!("connection: close\r\ncontent-length: {}", body.len());
            let reply = door.ask(format!("{}{body}", head(&framing))).await;
            assert_eq!(reply.status, 400, "{depth} of {unit}");
        }
    }
}

/// Sends until the door says something, and gives what it said.
async fn flood(peer: Peer, piece: &[u8], most: usize) -> Option<Reply> {
    let (mut read, mut write) = peer.stream.into_split();
    let sender = async {
        for _ in 0..most / piece.len() {
            if write.write_all(piece).await.is_err() {
                return;
            }
        }
    };
    let reader = async {
        let mut bytes = Vec::new();
        // An end by a reset is an end: what came before it counts.
        drop(read.read_to_end(&mut bytes).await);
        Reply::parse(&bytes).map(|(reply, _)| reply)
    };
    tokio::join!(sender, reader).1
}

#[tokio::test]
async fn gigabytes_are_refused_by_their_length_unread_and_by_their_size_unsaid() {
    let door = Door::open().await;
    let gigabyte = 1 << 30;
    let said = head(&format!("content-length: {gigabyte}"));
    // Unread: the answer is there before a byte of the body.
    let mut peer = door.connect().await;
    peer.send(&said).await;
    let reply = peer.reply().await.unwrap();
    assert_eq!(reply.short(), (413, "TooLarge"));
    assert!(reply.closes());
    // A sender that goes on still hears it.
    let mut peer = door.connect().await;
    peer.send(&said).await;
    let started = Instant::now();
    let reply = flood(peer, &vec![b' '; 65_536], gigabyte).await;
    assert_eq!(reply.expect("an answer").status, 413);
    assert!(started.elapsed() < Duration::from_secs(15));
    // Without a length, it is counted.
    let mut peer = door.connect().await;
    peer.send(head("transfer-encoding: chunked")).await;
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(vec![b' '; 0x10000]);
    chunk.extend(b"\r\n");
    let reply = flood(peer, &chunk, gigabyte).await;
    assert_eq!(reply.expect("an answer").short(), (413, "TooLarge"));
    // The largest one is taken.
    let body = largest("large");
    let framing = format!("connection: close\r\ncontent-length: {}", body.len());
    let reply = door.ask(format!("{}{body}", head(&framing))).await;
    assert_eq!(reply.short(), (200, "Created"));
}

#[tokio::test]
async fn a_body_is_asked_for_only_once_its_sender_is_known() {
    let door = Door::open().await;
    let waits = head("expect: 100-continue\r\ncontent-length: 10");
    let mut stranger = door.connect().await;
    stranger.send(waits.replace("right", "wrong")).await;
    let reply = stranger.reply().await.unwrap();
    assert_eq!(reply.status, 401, "and no 100 before it");
    assert!(reply.closes());
    let mut known = door.connect().await;
    known.send(&waits).await;
    assert_eq!(known.reply().await.unwrap().status, 100);
    known.send("{\"id\":\"a\"}").await;
    assert_eq!(known.reply().await.unwrap().short(), (200, "Created"));
    // Too large by its length: it is not asked for either.
    let mut known = door.connect().await;
    known
        .send(head("expect: 100-continue\r\ncontent-length: 99999999"))
        .await;
    assert_eq!(known.reply().await.unwrap().status, 413);
}

#[tokio::test]
async fn bodies_together_have_so_much_room_and_no_more() {
    let door = Door::with(DoorLimits {
        body_bytes: LARGEST_BODY,
        ..DoorLimits::default()
    })
    .await;
    door.behind.hold().await;
    let large = largest("large");
    let mut first = door.connect().await;
    first
        .send(format!(
            "{}{large}",
            head(&format!("content-length: {}", large.len()))
        ))
        .await;
    crate::support::await_until("it is read", super::PATIENCE, async || {
        (door.behind.read() == 1).then_some(())
    })
    .await;
    // It waits: there is no room for another.
    let reply = door.ask(post_with("b", "connection: close\r\n")).await;
    assert_eq!(reply.short(), (503, "Busy"));
    door.behind.go_on(1_000);
    assert_eq!(first.reply().await.unwrap().short(), (200, "Created"));
    let reply = door.ask(post_with("c", "connection: close\r\n")).await;
    assert_eq!(reply.short(), (200, "Created"), "the room is free again");
}

#[tokio::test]
async fn so_many_requests_wait_for_an_answer_and_no_more() {
    let door = Door::with(DoorLimits {
        requests: 3,
        ..DoorLimits::default()
    })
    .await;
    door.behind.hold().await;
    let mut peers = Vec::new();
    for id in ["a", "b", "c", "d", "e"] {
        let mut peer = door.connect().await;
        peer.send(post(id)).await;
        peers.push(peer);
    }
    // Two are told at once, whichever came last; the others have an answer when there is one.
    let mut replies = Vec::new();
    crate::support::await_until("two refusals", super::PATIENCE, async || {
        for peer in &mut peers {
            let reply = tokio::time::timeout(Duration::from_millis(20), peer.reply()).await;
            replies.extend(reply.ok().flatten());
        }
        (replies.len() == 2).then_some(())
    })
    .await;
    assert!(replies.iter().all(|reply| reply.short() == (503, "Busy")));
    door.behind.go_on(1_000);
    crate::support::await_until("three answers", super::PATIENCE, async || {
        for peer in &mut peers {
            let reply = tokio::time::timeout(Duration::from_millis(20), peer.reply()).await;
            replies.extend(reply.ok().flatten());
        }
        (replies.len() == 5).then_some(())
    })
    .await;
    assert_eq!(door.behind.launched(), 3);
}
