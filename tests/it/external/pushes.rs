//! A scaler that says by itself that there is work.

use super::*;

fn pushing(address: &str) -> SourceSpec {
    let metadata = [("scalerAddress", address), ("queue", "orders")];
    trigger(TriggerKind::ExternalPush, &metadata, &[], &[])
}

async fn streams(scaler: &Scaler, count: usize) {
    await_until(&format!("{count} streams"), SOON, async || {
        (scaler.streams() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_stream_tells_all_who_listen_and_closes_with_the_last_of_them() {
    let scaler = Scaler::start(Says::waiting(3, 1));
    let pool = local_pool();
    let first = pool.connect(&pushing(&scaler.address())).unwrap();
    let second = pool.connect(&pushing(&scaler.address())).unwrap();
    let polled = pool.connect(&external(&scaler.address())).unwrap();
    assert_eq!(pool.live().polls, 1);
    let listening = [first.pushed(), second.pushed()].map(beside);
    let never = beside(polled.pushed());
    streams(&scaler, 1).await;
    scaler.push(false);
    scaler.push(true);
    for told in listening {
        tokio::time::timeout(SOON, told).await.unwrap().unwrap();
    }
    // Between two pushes it stays open.
    assert_eq!(scaler.streams(), 1);
    assert!(!never.is_finished());
    let again = beside(first.pushed());
    scaler.push(true);
    tokio::time::timeout(SOON, again).await.unwrap().unwrap();
    assert_eq!(scaler.count("StreamIsActive"), 1);
    assert_eq!(scaler.connections(), 1);
    drop((first, second));
    streams(&scaler, 0).await;
}

#[tokio::test]
async fn a_push_between_two_listens_is_told_and_a_flood_is_told_once() {
    let scaler = Scaler::start(Says::waiting(3, 1));
    let pool = local_pool();
    let source = pool.connect(&pushing(&scaler.address())).unwrap();
    let mut first = source.pushed();
    tokio::select! {
        () = &mut first => panic!("nobody pushed"),
        () = streams(&scaler, 1) => {}
    }
    // Not polled, and listening all the same.
    for _ in 0..1_000 {
        scaler.push(true);
    }
    tokio::time::timeout(SOON, first).await.unwrap();
    // What was pushed comes to its end.
    loop {
        let next = tokio::time::timeout(Duration::from_secs(1), source.pushed());
        if next.await.is_err() {
            break;
        }
    }
    let next = beside(source.pushed());
    scaler.push(true);
    tokio::time::timeout(SOON, next).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_and_so_after_a_restart_of_the_scaler() {
    let scaler = Scaler::start(Says::waiting(3, 1));
    let address = scaler.socket();
    let pool = local_pool();
    let source = pool.connect(&pushing(&scaler.address())).unwrap();
    let pushed = beside(source.pushed());
    streams(&scaler, 1).await;
    scaler.end_streams();
    await_until("it is opened again", SOON, async || {
        (scaler.count("StreamIsActive") == 2 && scaler.streams() == 1).then_some(())
    })
    .await;
    drop(scaler);
    let scaler = Scaler::start_at(Says::waiting(3, 1), address, None);
    await_until(
        "it is opened at the new one",
        Duration::from_secs(20),
        async || (scaler.streams() == 1).then_some(()),
    )
    .await;
    assert!(!pushed.is_finished());
    scaler.push(true);
    tokio::time::timeout(SOON, pushed).await.unwrap().unwrap();
}
