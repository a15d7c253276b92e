//! The built binary, between a gRPC client and real servers.

use serde_json::json;

use super::*;
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::topic::Topic;

/// Credentials as ElasticMQ takes any.
pub(super) const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
];

/// A connection to ElasticMQ for one namespace.
pub(super) fn stage(namespace: &str) -> File {
    let connections = json!([{
        "name": "stage",
        "namespaces": [namespace],
        "metadata": {"awsEndpoint": servers::sqs_endpoint(), "awsRegion": "eu-west-1"},
    }]);
    File::new("connections.json", &connections.to_string())
}

#[tokio::test]
async fn a_queue_is_read_through_a_connection() {
    let cluster = Cluster::new("keda-sqs").await;
    let namespace = cluster.namespace.as_str();
    let file = stage(namespace);
    let arguments = ["--connections", file.path(), "--reading-freshness", "500ms"];
    let mut slipway = Slipway::run(&servers::kubeconfig(), namespace, &arguments, &KEYS).await;
    let mut client = connect(slipway.grpc()).await;
    let queue = Queue::new("keda").await;
    let of = reference(
        namespace,
        &[
            ("scalerAddress", "slipway.slipway:6000"),
            ("source", "aws-sqs-queue"),
            ("connection", "stage"),
            ("queueURLFromEnv", &queue.url),
            ("queueLength", "2"),
            ("activationQueueLength", "3"),
        ],
    );
    let metric = spec(&mut client, &of).await.unwrap();
    let name = queue.url.rsplit('/').next().unwrap();
    assert_eq!(metric.metric_name, format!("aws-sqs-{name}"));
    assert_eq!((metric.target_size, metric.target_size_float), (2, 2.0));
    let nothing = value(&mut client, &of).await.unwrap();
    assert_eq!((nothing.metric_value, nothing.metric_value_float), (0, 0.0));
    queue.send(7).await;
    let waiting = await_until("7 wait", Duration::from_secs(10), async || {
        let value = value(&mut client, &of).await.unwrap();
        (value.metric_value == 7).then_some(value)
    })
    .await;
    assert_eq!((waiting.metric_value, waiting.metric_value_float), (7, 7.0));
    assert!(is_active(&mut client, &of).await.unwrap());
    one_call_an_interval(&slipway, &of).await;
    let foreign = reference(
        "elsewhere",
        &[("source", "aws-sqs-queue"), ("connection", "stage")],
    );
    let refused = spec(&mut client, &foreign).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let metrics = slipway.get("/metrics").await.unwrap();
    for line in [
        r#"slipway_keda_calls_total{method="GetMetricSpec",code="PERMISSION_DENIED"} 1"#,
        "slipway_keda_triggers 22",
        "slipway_keda_open_streams 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}:\n{metrics}");
    }
    assert_eq!(slipway.terminate().await, Some(0));
    cluster.remove().await;
}

#[tokio::test]
async fn a_topic_is_read_where_the_operator_allows_its_address() {
    let cluster = Cluster::new("keda-kafka").await;
    let namespace = cluster.namespace.as_str();
    let slipway = Slipway::run(&servers::kubeconfig(), namespace, &[], &[]).await;
    let mut client = connect(slipway.grpc()).await;
    let topic = Topic::new("keda", 2).await;
    topic.send(5);
    let of = reference(
        namespace,
        &[
            ("source", "kafka"),
            ("bootstrapServers", &servers::kafka_brokers()),
            ("consumerGroup", &topic.name),
            ("topic", &topic.name),
            ("offsetResetPolicy", "earliest"),
            ("allowIdleConsumers", "true"),
        ],
    );
    let metric = spec(&mut client, &of).await.unwrap();
    assert_eq!(metric.metric_name, format!("kafka-{}", topic.name));
    assert_eq!(metric.target_size, 10);
    // A group that is new has no coordinator for a moment: that is no zero, and no answer.
    let waiting = await_until(
        "the group is read",
        Duration::from_secs(30),
        async || match value(&mut client, &of).await {
            Ok(value) => Some(value),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                None
            }
        },
    )
    .await;
    assert_eq!((waiting.metric_value, waiting.metric_value_float), (5, 5.0));
    assert!(is_active(&mut client, &of).await.unwrap());
    cluster.remove().await;
}

/// Polls to SQS so far.
async fn polls(slipway: &Slipway) -> f64 {
    let metrics = slipway.get("/metrics").await.unwrap();
    let polls = metrics
        .lines()
        .filter(|line| line.starts_with("slipway_source_calls_total"));
    polls
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Ten callers with two ways each to name the queue, over and over: SQS hears of it twice a second.
async fn one_call_an_interval(slipway: &Slipway, of: &ScaledObjectRef) {
    let (before, began) = (polls(slipway).await, std::time::Instant::now());
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..10 {
        let mut client = connect(slipway.grpc()).await;
        let mut of = of.clone();
        callers.spawn(async move {
            for round in 0..60 {
                let own = format!("{caller}-{}", round % 2);
                of.scaler_metadata.insert("comment".to_owned(), own);
                assert_eq!(value(&mut client, &of).await.unwrap().metric_value, 7);
            }
        });
    }
    callers.join_all().await;
    let intervals = began.elapsed().as_secs_f64() / 0.5;
    let polled = polls(slipway).await - before;
    assert!(
        polled <= intervals + 2.0,
        "{polled} polls in {intervals} intervals"
    );
}
