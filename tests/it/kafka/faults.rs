//! Brokers that are dead, silent, failing or gone: an error, and never zero.
#![expect(clippy::float_cmp, reason = "counts of messages are exact")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use slipway::resource::kafka::OffsetReset;

use super::{NOW, commit, local_pool, produce, read_error, spec, waiting, with};
use crate::support::await_until;

#[tokio::test]
async fn a_dead_broker_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = read_error(&spec(&broker, "group", "orders")).await;
    assert_eq!(error.reason(), "Unreachable", "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_silent_broker_is_unreachable_within_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = listener.local_addr().unwrap().to_string();
    let begin = Instant::now();
    let error = read_error(&spec(&broker, "group", "orders")).await;
    assert_eq!(error.reason(), "Unreachable", "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_broker_that_goes_away_is_never_zero() {
    let mock = MockCluster::new(3).unwrap();
    mock.create_topic("orders", 6, 1).unwrap();
    let broker = mock.bootstrap_servers();
    let partitions: Vec<i32> = vec![2; 6];
    produce(&broker, "orders", &partitions).await;
    let earliest = with(&spec(&broker, "group", "orders"), |group| {
        group.rules.offset_reset = OffsetReset::Earliest;
    });
    let source = local_pool().connect(&earliest).unwrap();
    assert_eq!(waiting(&source).await, 12.0);
    mock.broker_down(2).unwrap();
    let error = source.read(NOW).await.unwrap_err();
    assert_eq!(error.reason(), "Unreachable", "{error}");
    mock.broker_up(2).unwrap();
    await_until("it comes back", Duration::from_secs(30), async || {
        let taken = source.read(NOW).await.ok()?;
        assert_eq!(taken.reading.waiting(), 12.0);
        Some(())
    })
    .await;
}

#[tokio::test]
async fn an_error_of_any_request_is_never_zero() {
    for (request, error, reason) in [
        (
            RDKafkaApiKey::ListOffsets,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            "Unreachable",
        ),
        (
            RDKafkaApiKey::OffsetFetch,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN,
            "BadAnswer",
        ),
        (
            RDKafkaApiKey::ListOffsets,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            "Forbidden",
        ),
        (
            RDKafkaApiKey::OffsetFetch,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            "Forbidden",
        ),
        (
            RDKafkaApiKey::FindCoordinator,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            "Forbidden",
        ),
    ] {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("orders", 2, 1).unwrap();
        let broker = mock.bootstrap_servers();
        produce(&broker, "orders", &[5, 5]).await;
        commit(&broker, "group", "orders", &[1, 1]);
        mock.request_errors(request, &[error; 200]);
        let source = local_pool()
            .connect(&spec(&broker, "group", "orders"))
            .unwrap();
        let result = source.read(NOW).await;
        let failure = result.expect_err(&format!("{request:?}"));
        assert_eq!(failure.reason(), reason, "{error:?}: {failure}");
    }
}

/// librdkafka remembers the coordinator for as long as it is asked, and without a group of its own it crashes here.
#[tokio::test]
async fn a_coordinator_that_moved_is_found_at_the_next_poll() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("orders", 1, 1).unwrap();
    let broker = mock.bootstrap_servers();
    produce(&broker, "orders", &[5]).await;
    commit(&broker, "group", "orders", &[1]);
    for moved in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    ] {
        let source = local_pool()
            .connect(&spec(&broker, "group", "orders"))
            .unwrap();
        assert_eq!(waiting(&source).await, 4.0);
        mock.request_errors(RDKafkaApiKey::OffsetFetch, &[moved]);
        let error = source.read(NOW).await.unwrap_err();
        assert_eq!(error.reason(), "Unreachable", "{error}");
        await_until("it is found", Duration::from_secs(30), async || {
            let taken = source.read(NOW).await.ok()?;
            assert_eq!(taken.reading.waiting(), 4.0);
            Some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_topic_with_an_error_is_never_zero() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("orders", 2, 1).unwrap();
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.topic_error("orders", denied).unwrap();
    let error = read_error(&spec(&mock.bootstrap_servers(), "group", "orders")).await;
    assert_eq!(error.reason(), "Forbidden", "{error}");
    assert!(error.to_string().contains("DESCRIBE"), "{error}");
}

#[tokio::test]
async fn all_ends_come_in_one_round_trip() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("orders", 200, 1).unwrap();
    let broker = mock.bootstrap_servers();
    let source = local_pool()
        .connect(&spec(&broker, "group", "orders"))
        .unwrap();
    assert_eq!(waiting(&source).await, 200.0);
    mock.broker_round_trip_time(1, Duration::from_millis(50))
        .unwrap();
    let begin = Instant::now();
    assert_eq!(waiting(&source).await, 200.0);
    // Metadata, leaders, ends and commits: a few round trips, where one for each partition would be 10 s.
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}
