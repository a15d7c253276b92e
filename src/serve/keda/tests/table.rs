//! Who stays in the table of triggers, and for how much.

use super::*;

/// The spec of the usual queue with a comment.
async fn commented(session: &Session, comment: &str) -> Result<(), Status> {
    let of = sqs(&[("comment", comment)]);
    session.get_metric_spec(Request::new(of)).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_stays_when_strangers_fill_the_table() {
    let world = KedaWorld::new(FakeSource::saying(1.0));
    let session = world.session(false);
    let connected = || world.fake.connected.lock().unwrap().len();
    commented(&session, "honest").await.unwrap();
    advance(Duration::from_secs(5)).await;
    commented(&session, "honest").await.unwrap();
    for stranger in 0..300 {
        commented(&session, &stranger.to_string()).await.unwrap();
    }
    assert!(world.keda.triggers() <= 100);
    assert_eq!(connected(), 301);
    commented(&session, "honest").await.unwrap();
    assert_eq!(connected(), 301);
}

#[tokio::test(start_paused = true)]
async fn large_triggers_leave_room_for_fewer_and_refused_ones_hardly_take_any() {
    let world = KedaWorld::with_room_for(FakeSource::saying(1.0), MOST);
    let session = world.session(false);
    let large = "x".repeat(7_900);
    for number in 0..2_500 {
        let large = format!("{number} {large}");
        commented(&session, &large).await.unwrap();
    }
    let kept = world.keda.triggers();
    assert!((1_500..2_000).contains(&kept), "{kept}");
    let world = KedaWorld::with_room_for(FakeSource::saying(1.0), MOST);
    let session = world.session(false);
    for number in 0..2_500 {
        let large = format!("{number} {large}");
        let of = sqs(&[("queueLength", &large)]);
        let refused = session.get_metric_spec(Request::new(of)).await.unwrap_err();
        assert!(refused.message().len() <= 512, "{refused}");
    }
    assert_eq!(world.keda.triggers(), 2_500);
}

#[tokio::test(start_paused = true)]
async fn streams_hold_on_to_their_triggers_and_others_find_no_room() {
    let world = KedaWorld::with_room_for(FakeSource::saying(1.0), 2);
    let session = world.session(false);
    let test = async {
        let mut streams = Vec::new();
        for name in ["one", "two"] {
            let of = sqs(&[("comment", name)]);
            let answer = session.stream_is_active(Request::new(of)).await;
            streams.push(answer.unwrap().into_inner());
        }
        let refused = commented(&session, "three").await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        commented(&session, "two").await.unwrap();
        drop(streams);
        commented(&session, "three").await.unwrap();
        assert!(world.keda.triggers() <= 2);
    };
    world.with(test).await;
}
