//! Turns that a source starts by itself.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_push_is_read_at_once_and_the_next_poll_comes_an_interval_later() {
    running(async |world| {
        let source = world.source("orders", [Some(0.0)]);
        world.apply(object("orders", "1", &json!({}))).await;
        pass(10.0).await;
        source.says(Some(3.0));
        source.push();
        pass(0.01).await;
        assert_eq!(world.launcher.orders().len(), 3);
        pass(90.0).await;
        assert_eq!(gaps(&source.calls()), [10.0, 30.0, 30.0, 30.0]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_while_a_turn_is_under_way_starts_one_more() {
    running(async |world| {
        let source = world.source("orders", [Some(1.0)]);
        let permit = world.launcher.door.acquire().await.unwrap();
        world.apply(object("orders", "1", &json!({}))).await;
        pass(1.0).await;
        // The reading has been taken, and its round is being opened.
        source.says(Some(4.0));
        source.push();
        source.push();
        pass(1.0).await;
        assert_eq!(source.calls().len(), 1);
        drop(permit);
        pass(1.0).await;
        assert_eq!(source.calls().len(), 2);
        assert_eq!(world.launcher.orders().len(), 4);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_pushes_a_thousand_times_a_second_is_read_once_a_second() {
    running(async |world| {
        let source = world.source("noisy", [Some(2.0)]);
        let calm = world.source("calm", [Some(2.0)]);
        for name in ["noisy", "calm"] {
            world.apply(object(name, name, &json!({}))).await;
        }
        pass(0.5).await;
        for _ in 0..10_000 {
            source.push();
            pass(0.001).await;
        }
        let reads = source.calls().len();
        assert!((12..=16).contains(&reads), "{reads} reads in 10 s");
        assert_eq!(calm.calls().len(), 1);
        assert_eq!(world.launcher.orders().len(), 4);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pushes_of_a_source_that_cannot_be_read_delay_no_poll() {
    running(async |world| {
        let source = world.source("orders", [Some(0.0), None]);
        world.apply(object("orders", "1", &json!({}))).await;
        for _ in 0..100 {
            pass(0.25).await;
            source.push();
        }
        source.says(Some(2.0));
        pass(6.0).await;
        assert_eq!(world.launcher.orders().len(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_listens_for_an_object_that_rests_or_is_gone() {
    running(async |world| {
        let source = world.source("orders", [Some(0.0)]);
        let right = object("orders", "1", &json!({}));
        let mut paused = right.clone();
        paused["metadata"]["annotations"] = json!({"slipway.dev/paused": "true"});
        let mut wrong = right.clone();
        wrong["spec"]["triggers"] = json!([]);
        for rests in [paused, wrong] {
            world.apply(right.clone()).await;
            pass(1.0).await;
            assert_eq!(source.listeners(), 1);
            world.apply(rests).await;
            pass(1.0).await;
            assert_eq!(source.listeners(), 0);
        }
        world.apply(right.clone()).await;
        pass(1.0).await;
        assert_eq!(source.listeners(), 1);
        world.tell(removed("orders")).await;
        pass(1.0).await;
        assert_eq!(source.listeners(), 0);
    })
    .await;
}
