//! Those who take their time: heads, bodies and silence, alone and by the thousand.

use std::time::{Duration, Instant};

use slipway::serve::events::DoorLimits;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Door, Peer, Reply, post, post_with};

fn quick() -> DoorLimits {
    DoorLimits {
        head: Duration::from_millis(400),
        whole: Duration::from_secs(2),
        body_window: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        linger: Duration::from_millis(300),
        ..DoorLimits::default()
    }
}

/// Sends a byte at a time until the door has enough. Gives what it said and how long that took.
async fn dribble(mut peer: Peer, text: &str, pause: Duration) -> (Option<Reply>, Duration) {
    let started = Instant::now();
    for byte in text.bytes().cycle() {
        if peer.stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::select! {
            reply = peer.reply() => return (reply, started.elapsed()),
            // Slowness is what is tested.
            () = sleep(pause) => {}
        }
    }
    (peer.reply().await, started.elapsed())
}

#[tokio::test]
async fn a_head_that_dribbles_is_told_when_its_time_is_up() {
    let door = Door::with(quick()).await;
    let head = "POST /events/production/invoice HTTP/1.1\r\nx-a: ";
    let (reply, took) = dribble(door.connect().await, head, Duration::from_millis(20)).await;
    assert_eq!(reply.unwrap().short(), (503, "TooSlow"));
    assert!(took >= Duration::from_millis(400) && took < super::PATIENCE);
    // The same on a connection that was good before.
    let mut peer = door.connect().await;
    peer.send(post("a")).await;
    assert_eq!(peer.reply().await.unwrap().status, 200);
    let (reply, _) = dribble(peer, head, Duration::from_millis(20)).await;
    assert_eq!(reply.unwrap().short(), (503, "TooSlow"));
    assert_eq!(door.behind.turned_away(), [503, 503]);
}

#[tokio::test]
async fn silence_is_closed_without_a_word() {
    let door = Door::with(quick()).await;
    let mut silent = door.connect().await;
    assert!(silent.reply().await.is_none());
    let mut idle = door.connect().await;
    idle.send(post("a")).await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
    let started = Instant::now();
    assert!(idle.reply().await.is_none());
    assert!(
        started.elapsed() >= Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_body_that_dribbles_or_stalls_is_told_so() {
    let door = Door::with(quick()).await;
    let head = post_with("a", "").replace("content-length: ", "content-length: 9");
    let head = head.split_once("\r\n\r\n").unwrap().0;
    // Far below the rate.
    let mut peer = door.connect().await;
    peer.send(format!("{head}\r\n\r\n")).await;
    let (reply, took) = dribble(peer, " ", Duration::from_millis(20)).await;
    assert_eq!(reply.unwrap().short(), (503, "TooSlow"));
    assert!(took < Duration::from_millis(1_900), "by its rate: {took:?}");
    // Nothing at all.
    let mut peer = door.connect().await;
    peer.send(format!("{head}\r\n\r\n")).await;
    assert_eq!(peer.reply().await.unwrap().short(), (503, "TooSlow"));
    // Fast enough to go on, not fast enough to end.
    let mut peer = door.connect().await;
    let head = head.split_once("content-length").unwrap().0;
    peer.send(format!("{head}content-length: 2000000\r\n\r\n"))
        .await;
    let piece = " ".repeat(1_000);
    let started = Instant::now();
    let reply = loop {
        if peer.stream.write_all(piece.as_bytes()).await.is_err() {
            break peer.reply().await;
        }
        tokio::select! {
            reply = peer.reply() => break reply,
            () = sleep(Duration::from_millis(10)) => {}
        }
    };
    assert_eq!(reply.unwrap().short(), (503, "TooSlow"));
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "by the whole time"
    );
    assert_eq!(door.behind.launched(), 0);
}

#[tokio::test]
async fn where_there_is_no_room_the_silent_make_it() {
    let door = Door::with(DoorLimits {
        connections: 20,
        ..DoorLimits::default()
    })
    .await;
    let mut working = door.connect().await;
    working.send(post("first")).await;
    assert_eq!(working.reply().await.unwrap().status, 200);
    let mut silent = Vec::new();
    for round in 0..100 {
        silent.push(door.connect().await);
        let reply = door
            .ask(post_with(&round.to_string(), "connection: close\r\n"))
            .await;
        assert_eq!(reply.short(), (200, "Created"));
    }
    // The oldest are gone.
    assert!(silent[0].reply().await.is_none());
}

#[tokio::test]
async fn the_bodiless_and_the_lingering_make_room_and_the_cap_is_one() {
    let most = 20;
    let door = Door::with(DoorLimits {
        connections: most,
        ..DoorLimits::default()
    })
    .await;
    // Its sender had a good answer: it is turned out last.
    let mut rests = door.connect().await;
    rests.send(post("first")).await;
    assert_eq!(rests.reply().await.unwrap().status, 200);
    let bodiless = "POST /events/production/invoice HTTP/1.1\r\nx-api-key: right\r\ncontent-length: 100000\r\n\r\n";
    let refused = bodiless.replace("right", "wrong");
    let mut strangers = Vec::new();
    for round in 0..100 {
        // One that owes a body, and one that has its answer and goes on owing one.
        for request in [bodiless, &refused] {
            let mut peer = door.connect().await;
            peer.send(request).await;
            strangers.push(peer);
        }
        let request = post_with(&format!("r{round}"), "connection: close\r\n");
        assert_eq!(door.ask(request).await.short(), (200, "Created"));
        let open = strangers.iter().filter(|peer| is_open(peer)).count();
        assert!(open < most, "{open} of {most}");
    }
    rests.send(post("last")).await;
    assert_eq!(rests.reply().await.unwrap().short(), (200, "Created"));
}

/// Whether the door has not closed this connection. What it said before that is thrown away.
fn is_open(peer: &Peer) -> bool {
    let mut scrap = [0; 4096];
    loop {
        match peer.stream.try_read(&mut scrap) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_fault_of_the_request() {
    let door = Door::open().await;
    let mut peer = door.connect().await;
    let request = post("a");
    peer.send(&request[..request.len() - 4]).await;
    peer.stream.shutdown().await.unwrap();
    assert_eq!(peer.reply().await.unwrap().short(), (503, "Unavailable"));
    let mut peer = door.connect().await;
    let head = request.split_once("content-length").unwrap().0;
    peer.send(format!(
        "{head}transfer-encoding: chunked\r\n\r\n4\r\n{{\"id"
    ))
    .await;
    peer.stream.shutdown().await.unwrap();
    assert_eq!(peer.reply().await.unwrap().short(), (503, "Unavailable"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_slow_connections_harm_no_honest_sender() {
    let door = Door::open().await;
    let mut slow = JoinSet::new();
    let head = "POST /events/production/invoice HTTP/1.1\r\nx-api-key: right\r\n";
    for number in 0..2_000 {
        let mut peer = door.connect().await;
        slow.spawn(async move {
            let started = Instant::now();
            let text = match number % 3 {
                0 => String::new(),
                1 => head.to_owned(),
                _ => format!("{head}content-length: 100000\r\n\r\n"),
            };
            peer.send(&text).await;
            let reply = if text.is_empty() {
                peer.reply().await
            } else {
                dribble(peer, "x: y\r\n", Duration::from_millis(500))
                    .await
                    .0
            };
            let status = reply.map(|reply| reply.status);
            (number % 3, status, started.elapsed())
        });
    }
    let mut slowest = Duration::ZERO;
    let mut honest = 0;
    let mut ended = 0;
    while ended < 2_000 {
        let started = Instant::now();
        let reply = door
            .ask(post_with(
                &format!("honest{honest}"),
                "connection: close\r\n",
            ))
            .await;
        assert_eq!(reply.short(), (200, "Created"));
        slowest = slowest.max(started.elapsed());
        honest += 1;
        while let Some(one) = slow.try_join_next() {
            let (kind, status, took) = one.unwrap();
            assert_eq!(status, (kind > 0).then_some(503), "{kind}");
            assert!(took < Duration::from_secs(15), "{kind}: {took:?}");
            ended += 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(honest > 50, "{honest}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
