//! What each call answers, and with which code.

use super::*;
use crate::support::fakes::ScriptedSource;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/1/orders";

#[tokio::test]
async fn the_three_calls_agree() {
    let source = ScriptedSource::new([Some(7.0)]);
    let port = Port::open(source.clone(), Choice::default()).await;
    let mut client = port.client().await;
    let of = sqs(QUEUE);
    let metric = spec(&mut client, &of).await.unwrap();
    assert_eq!(metric.metric_name, "aws-sqs-orders");
    assert_eq!((metric.target_size, metric.target_size_float), (2, 2.0));
    assert_eq!(
        source.calls().len(),
        0,
        "the metadata alone says what the metric is"
    );
    let waiting = value(&mut client, &of).await.unwrap();
    assert_eq!((waiting.metric_value, waiting.metric_value_float), (7, 7.0));
    assert!(is_active(&mut client, &of).await.unwrap());
    assert_eq!(source.calls().len(), 1);
    port.close().await;
}

/// Code and words of a refused `GetMetricSpec`.
async fn check(client: &mut Client, metadata: &[(&str, &str)], code: Code, words: &[&str]) {
    let of = reference("orders", metadata);
    let refused = spec(client, &of).await.unwrap_err();
    assert_eq!(refused.code(), code, "{metadata:?}: {refused}");
    for word in words {
        assert!(
            refused.message().contains(word),
            "{word}: {}",
            refused.message()
        );
    }
    assert!(
        !refused.message().contains("s3cret"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn what_is_wrong_is_named_with_what_would_be_right() {
    let source = ScriptedSource::new([Some(1.0)]);
    let port = Port::open(source.clone(), Choice::default()).await;
    port.connections.set(
        slipway::resource::connection::parse(
            "[{name: stage, namespaces: [orders], authentication: {env: [{parameter: sasl, name: STAGE_KEY}]}}]",
        )
        .unwrap(),
    );
    let mut client = port.client().await;
    let sqs = ("source", "aws-sqs-queue");
    let (url, region) = (("queueURL", QUEUE), ("awsRegion", "eu-west-1"));
    for (metadata, words) in [
        (
            vec![],
            vec!["metadata.source is missing", "aws-sqs-queue, kafka"],
        ),
        (
            vec![("source", "rabbitmq")],
            vec!["\"rabbitmq\"", "aws-sqs-queue, kafka"],
        ),
        (vec![("source", "external")], vec!["metadata.source"]),
        (
            vec![sqs, region],
            vec!["metadata.queueURL", "queueURLFromEnv"],
        ),
        (
            vec![sqs, url],
            vec!["metadata.awsRegion: awsRegion is missing"],
        ),
        (
            vec![sqs, url, region, ("queueLength", "many")],
            vec!["metadata.queueLength: expected", "\"many\""],
        ),
        (
            vec![sqs, region, ("queueURLFromEnv", "s3cret:/")],
            vec!["metadata.queueURLFromEnv"],
        ),
        (
            vec![
                sqs,
                url,
                region,
                ("connection", "a"),
                ("authenticationRef", "b"),
            ],
            vec!["write one of them"],
        ),
        (
            vec![sqs, url, region, ("awsEndpoint", "http://127.0.0.1:9324")],
            vec!["metadata.awsEndpoint", "use a connection"],
        ),
        (
            vec![
                sqs,
                url,
                region,
                ("awsEndpoint", "https://sqs.eu-west-1.amazonaws.com"),
            ],
            vec!["metadata.awsEndpoint", "use a connection"],
        ),
    ] {
        check(&mut client, &metadata, Code::InvalidArgument, &words).await;
    }
    for (metadata, words) in [
        (
            vec![sqs, url, region, ("authenticationRef", "keys")],
            vec!["client certificate", "spiffe://DOMAIN/ns/orders"],
        ),
        (
            vec![sqs, url, region, ("connection", "other")],
            vec!["metadata.connection", "\"other\"", "\"orders\""],
        ),
    ] {
        check(&mut client, &metadata, Code::PermissionDenied, &words).await;
    }
    let foreign = reference("billing", &[sqs, url, region, ("connection", "stage")]);
    let refused = spec(&mut client, &foreign).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(
        port.sources.specs.lock().unwrap().is_empty(),
        "nothing was connected"
    );
    assert!(source.calls().is_empty());
    port.close().await;
}

#[tokio::test]
async fn callers_name_no_address_that_is_not_listed() {
    let source = ScriptedSource::new([Some(1.0)]);
    let choice = Choice {
        allow_address: vec!["*.kafka.internal".to_owned()],
        ..Choice::default()
    };
    let port = Port::open(source.clone(), choice).await;
    let held = "[{name: held, namespaces: [orders], authentication: {env: [{parameter: password, name: STAGE_KEY}]}}]";
    port.connections
        .set(slipway::resource::connection::parse(held).unwrap());
    let mut client = port.client().await;
    let kafka = |servers| {
        vec![
            ("source", "kafka"),
            ("consumerGroup", "workers"),
            ("topic", "orders"),
            ("bootstrapServers", servers),
        ]
    };
    for servers in [
        "127.0.0.1:9092",
        "localhost:9092",
        "[::1]:9092",
        "169.254.169.254:80",
        "[fd00:ec2::254]:80",
        "100.100.100.200:80",
        "2130706433:9092",
        "10.0.0.7:9092",
        "kafka.orders.svc:9092",
        "a.kafka.internal:9092,169.254.169.254:80",
        "kafka.internal.evil.example:9092",
        "ec2-1-2-3-4.compute-1.amazonaws.com:9092",
    ] {
        let words = ["metadata.bootstrapServers", "--allow-address"];
        check(&mut client, &kafka(servers), Code::PermissionDenied, &words).await;
    }
    // From a variable, whose value may be a secret, it is refused without being named.
    let mut secret = kafka("");
    secret.push(("bootstrapServersFromEnv", "s3cret.orders.svc:9092"));
    let words = ["metadata.bootstrapServersFromEnv", "--allow-address"];
    check(&mut client, &secret, Code::PermissionDenied, &words).await;
    assert!(source.calls().is_empty() && port.sources.specs.lock().unwrap().is_empty());
    for servers in [
        "a.kafka.internal:9092",
        "b-1.orders.abc123.c2.kafka.eu-west-1.amazonaws.com:9098",
    ] {
        let of = reference("orders", &kafka(servers));
        assert_eq!(
            spec(&mut client, &of).await.unwrap().metric_name,
            "kafka-orders"
        );
    }
    // A connection's credentials go to no address of the caller's, allowed or not.
    let mut lent = kafka("a.kafka.internal:9092");
    lent.push(("connection", "held"));
    let words = ["a connection's credentials go to no address of a caller"];
    check(&mut client, &lent, Code::PermissionDenied, &words).await;
    port.close().await;
}

#[tokio::test]
async fn another_metric_is_refused_by_the_name_of_the_right_one() {
    let port = Port::open(ScriptedSource::new([Some(1.0)]), Choice::default()).await;
    let mut client = port.client().await;
    for name in ["", "aws-sqs-other", "s0-aws-sqs-orders"] {
        let request = GetMetricsRequest {
            metric_name: name.to_owned(),
            scaled_object_ref: Some(sqs(QUEUE)),
        };
        let refused = client.get_metrics(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(
            refused.message().contains("\"aws-sqs-orders\""),
            "{refused}"
        );
    }
    let refused = client.get_metrics(GetMetricsRequest::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "scaledObjectRef is missing");
    port.close().await;
}

#[tokio::test]
async fn fifty_callers_and_ten_thousand_objects_on_a_queue_are_one_read() {
    let source = ScriptedSource::new([Some(7.0)]);
    let choice = Choice {
        ages: Ages {
            freshness: Duration::from_hours(1),
            ..Ages::default()
        },
        ..Choice::default()
    };
    let port = Port::open(source.clone(), choice).await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..50 {
        let mut client = port.client().await;
        callers.spawn(async move {
            for object in 0..200 {
                let mut of = sqs(QUEUE);
                of.name = format!("orders-{caller}-{object}");
                // Half of them write it in a way of their own.
                let own = (caller * 200 + object).to_string();
                if object % 2 == 0 {
                    of.scaler_metadata.insert("comment".to_owned(), own);
                }
                let request = GetMetricsRequest {
                    scaled_object_ref: Some(of),
                    metric_name: "aws-sqs-orders".to_owned(),
                };
                let answer = client.get_metrics(request).await.unwrap().into_inner();
                assert_eq!(answer.metric_values[0].metric_value, 7);
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    assert_eq!(source.calls().len(), 1);
    assert_eq!(port.keda.triggers(), 5_001);
    port.close().await;
}

#[tokio::test]
async fn five_thousand_triggers_leave_no_more_than_there_is_room_for() {
    let source = ScriptedSource::new([Some(7.0)]);
    let choice = Choice {
        most_triggers: 500,
        ..Choice::default()
    };
    let port = Port::open(source, choice).await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..10 {
        let mut client = port.client().await;
        callers.spawn(async move {
            for object in 0..500 {
                let mut of = sqs(QUEUE);
                let own = (caller * 500 + object).to_string();
                // Every other one is wrong.
                let key = if object % 2 == 0 {
                    "comment"
                } else {
                    "queueLength"
                };
                of.scaler_metadata
                    .insert(key.to_owned(), format!("no {own}"));
                let answered = spec(&mut client, &of).await;
                assert_eq!(answered.is_ok(), object % 2 == 0);
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let left = port.keda.triggers();
    assert!((450..=500).contains(&left), "{left}");
    port.close().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_and_the_next_one_answered() {
    let port = Port::open(ScriptedSource::new([Some(1.0)]), Choice::default()).await;
    let mut client = port.client().await;
    let mut long = sqs(QUEUE);
    long.scaler_metadata
        .insert("comment".to_owned(), "x".repeat(1 << 20));
    let refused = spec(&mut client, &long).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert!(spec(&mut client, &sqs(QUEUE)).await.is_ok());
    port.close().await;
}
