//! Kafka's lag as KEDA's own operator counts it and as we do, on the same topics and groups.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::operator::{Scaler, scaled_job};
use super::*;
use crate::controller::merge;
use crate::support::cluster::Cluster;
use crate::support::keda::Keda as Operator;
use crate::support::topic::Topic;

/// A topic as a group sees it, and the keys of a trigger on it.
struct Case {
    name: &'static str,
    /// Messages that each partition got.
    sent: usize,
    /// By partition, the first offset that the log still has.
    begins: i64,
    /// By partition; −1 is no commit.
    committed: Vec<i64>,
    keys: Value,
    /// The lag that counts.
    lag: u32,
}

fn case(
    name: &'static str,
    (sent, begins): (usize, i64),
    committed: &[i64],
    keys: Value,
    lag: u32,
) -> Case {
    Case {
        name,
        sent,
        begins,
        committed: committed.to_vec(),
        keys,
        lag,
    }
}

/// What KEDA 2.21.0's operator counts of each, which the test sees for itself. Not what Jobs it makes: right after an
/// object appeared it polls twice, and its cache of Jobs is behind its own creates.
fn cases() -> Vec<Case> {
    let earliest = |more: &Value| merged(json!({"offsetResetPolicy": "earliest"}), more);
    let latest = |more: &Value| merged(json!({"offsetResetPolicy": "latest"}), more);
    let none = json!({});
    let invalid = json!({"scaleToZeroOnInvalidOffset": "true"});
    vec![
        case("whole-log", (6, 0), &[-1, -1], earliest(&none), 12),
        case("kept-log", (6, 4), &[-1, -1], earliest(&none), 4),
        case("kept-beside", (6, 4), &[-1, 1], earliest(&none), 7),
        case("below-the-log", (6, 4), &[1, 2], earliest(&none), 9),
        case("first-commit", (6, 4), &[-1, -1], latest(&none), 2),
        case("one-commit", (6, 0), &[-1, 2], latest(&none), 5),
        case("no-zero", (6, 0), &[-1, 2], latest(&invalid), 4),
        case("no-earliest", (6, 0), &[-1, 2], earliest(&invalid), 4),
        case(
            "idle",
            (6, 0),
            &[1, 2],
            json!({"allowIdleConsumers": "false"}),
            2,
        ),
        case(
            "with-lag",
            (6, 0),
            &[1, 6, 6],
            json!({"allowIdleConsumers": "false", "limitToPartitionsWithLag": "true"}),
            1,
        ),
        case(
            "chosen",
            (6, 0),
            &[1, 2, 3],
            json!({"partitionLimitation": "1-2"}),
            7,
        ),
        case(
            "even",
            (1, 0),
            &[0, 0, 0, 1],
            json!({"ensureEvenDistributionOfPartitions": "true"}),
            4,
        ),
        case(
            "not-enough",
            (6, 0),
            &[1, 2],
            json!({"lagThreshold": "4"}),
            9,
        ),
    ]
}

/// Both, as one object.
fn merged(mut keys: Value, more: &Value) -> Value {
    merge(&mut keys, more);
    keys
}

/// The topic of a case; its group has the topic's name.
async fn staged(case: &Case) -> Topic {
    let partitions = i32::try_from(case.committed.len()).unwrap();
    let topic = Topic::new(case.name, partitions).await;
    topic.send(case.sent * case.committed.len());
    topic.commit_each(&topic.name, &case.committed);
    if case.begins > 0 {
        topic.begin_at(case.begins).await;
    }
    topic
}

#[tokio::test]
async fn kedas_kafka_trigger_and_ours_count_the_same_lag() {
    let cluster = Cluster::new("keda-lags").await;
    let operator = Operator::start(&[&cluster.namespace]).await;
    let scaler = Scaler::new(&cluster, &[]);
    let _slipway = scaler.start().await;
    let cases = cases();
    for case in &cases {
        let topic = staged(case).await;
        let keys = json!({
            "bootstrapServers": servers::kafka_brokers(),
            "consumerGroup": topic.name,
            "topic": topic.name,
            "lagThreshold": "1",
            "allowIdleConsumers": "true",
        });
        let keys = merged(keys, &case.keys);
        let theirs = json!({"type": "kafka", "metadata": keys});
        let ours = scaler.trigger("external", &merged(keys, &json!({"source": "kafka"})));
        for (whose, trigger) in [("theirs", theirs), ("ours", ours)] {
            let name = format!("{}-{whose}", case.name);
            cluster.create(scaled_job(&name, &trigger)).await;
        }
    }
    let expected: BTreeMap<String, f64> = cases
        .iter()
        .flat_map(|case| {
            ["theirs", "ours"].map(|whose| (format!("{}-{whose}", case.name), f64::from(case.lag)))
        })
        .collect();
    let mut found = BTreeMap::new();
    let deadline = Instant::now() + Duration::from_mins(2);
    while found != expected && Instant::now() < deadline {
        let metrics = operator.metrics().await.unwrap_or_default();
        found.extend(metrics.lines().filter_map(value_of));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found, expected);
    operator.remove(&cluster.namespace).await;
}

/// Name of the ScaledJob, and the last value of its trigger as KEDA heard it.
fn value_of(line: &str) -> Option<(String, f64)> {
    let (labels, value) = line
        .strip_prefix("keda_scaler_metrics_value{")?
        .split_once("} ")?;
    let (_, name) = labels.split_once("scaledObject=\"")?;
    Some((name.split('"').next()?.to_owned(), value.parse().ok()?))
}
