//! Which reading answers a call.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_leaves_the_last_value_until_it_is_too_old_and_never_a_zero() {
    let world = KedaWorld::new(FakeSource::saying(7.0));
    let session = world.session(false);
    assert_eq!(value(&session).await.unwrap(), 7);
    world.fake.says(None);
    for _ in 0..12 {
        advance(Duration::from_secs(5)).await;
        assert_eq!(value(&session).await.unwrap(), 7);
        assert!(is_active(&session).await.unwrap());
    }
    advance(Duration::from_millis(1)).await;
    for status in [
        value(&session).await.unwrap_err(),
        is_active(&session).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "aws-sqs-orders cannot be read: Throttled");
    }
    let spec = session.get_metric_spec(Request::new(sqs(&[]))).await;
    assert_eq!(spec.unwrap().into_inner().metric_specs[0].target_size, 5);
    world.fake.says(Some(3.0));
    assert_eq!(value(&session).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_not_waited_for_where_there_is_a_reading_and_goes_on() {
    let world = KedaWorld::new(FakeSource::saying(7.0));
    let session = world.session(false);
    assert_eq!(value(&session).await.unwrap(), 7);
    *world.fake.takes.lock().unwrap() = Duration::from_secs(9);
    world.fake.says(Some(3.0));
    advance(Duration::from_secs(7)).await;
    let began = Instant::now();
    assert_eq!(value(&session).await.unwrap(), 7);
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    // The read began two seconds ago: nobody waits for it again.
    for _ in 0..5 {
        assert!(is_active(&session).await.unwrap());
        assert_eq!(value(&session).await.unwrap(), 7);
    }
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(value(&session).await.unwrap(), 3, "what the read brought");
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    assert_eq!(world.fake.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_waited_for_where_there_is_nothing_to_say_meanwhile() {
    let world = KedaWorld::new(FakeSource::saying(7.0));
    let session = world.session(false);
    *world.fake.takes.lock().unwrap() = Duration::from_secs(9);
    let began = Instant::now();
    assert_eq!(value(&session).await.unwrap(), 7);
    assert_eq!(began.elapsed(), Duration::from_secs(9));
    // The last reading gets too old while a new one is waited for.
    world.fake.says(Some(3.0));
    advance(Duration::from_secs(59)).await;
    let began = Instant::now();
    assert_eq!(value(&session).await.unwrap(), 3);
    assert_eq!(began.elapsed(), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn what_a_source_clearly_refuses_is_told_at_once_and_the_last_value_is_forgotten() {
    let (source_name, detail) = ("q".to_owned(), "s3cret".to_owned());
    let forbidden = source::Error::Forbidden {
        source_name: source_name.clone(),
        detail: detail.clone(),
    };
    let not_found = source::Error::NotFound {
        source_name: source_name.clone(),
        detail: detail.clone(),
    };
    let invalid = source::Error::Invalid {
        source_name,
        detail,
    };
    for error in [forbidden, not_found, invalid] {
        let world = KedaWorld::new(FakeSource::saying(7.0));
        let session = world.session(false);
        assert_eq!(value(&session).await.unwrap(), 7);
        let reason = error.reason();
        *world.fake.refuses.lock().unwrap() = Some(error);
        advance(Duration::from_secs(7)).await;
        for status in [
            value(&session).await.unwrap_err(),
            is_active(&session).await.unwrap_err(),
        ] {
            assert_eq!(status.code(), Code::Unavailable);
            let words = format!("aws-sqs-orders cannot be read: {reason}");
            assert_eq!(status.message(), words);
        }
        // What was said before is known to be wrong: it does not come back with a passing trouble.
        *world.fake.refuses.lock().unwrap() = None;
        world.fake.says(None);
        let status = value(&session).await.unwrap_err();
        assert!(status.message().ends_with("Throttled"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn whether_it_is_active_is_told_of_the_reading_that_the_value_was_of() {
    let world = KedaWorld::new(FakeSource::saying(7.0));
    let session = world.session(false);
    assert_eq!(value(&session).await.unwrap(), 7);
    world.fake.says(Some(0.0));
    // The value is given at the last moment that its reading is fresh; the question comes after that.
    advance(Duration::from_secs(5)).await;
    assert_eq!(value(&session).await.unwrap(), 7);
    advance(Duration::from_millis(500)).await;
    assert!(is_active(&session).await.unwrap());
    assert_eq!(value(&session).await.unwrap(), 0);
    assert!(!is_active(&session).await.unwrap());
    assert_eq!(world.fake.calls(), 2);
}
