//! KEDA's recorded answers for what a source's raw answer means: SQS attributes,
//! Kafka offsets.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a row lacks ends the test"
)]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;
use slipway::resource::kafka::{LagRules, OffsetReset, Topics};
use slipway::scaling::Reading;
use slipway::source::kafka::lag::{
    self, Committed, Lag, Offsets, Partition, Previous, factors, next_factor,
};
use slipway::source::kafka::partitions_of;
use slipway::source::sqs::attributes::{Attribute, waiting};

use crate::support::vectors::{load, rows};

/// Between two polls of KEDA's.
const INTERVAL: Duration = Duration::from_secs(30);

#[test]
fn sqs_metrics_vectors_attributes_sum_up_or_fail() {
    for row in rows("sqs_metrics", "attributes") {
        let asked: Vec<Attribute> = row["requested"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| attribute(name.as_str().unwrap()))
            .collect();
        let result = waiting(&answer(&row["attributes"]), &asked);
        check_number(&row, result.ok());
    }
}

#[test]
fn sqs_metrics_vectors_get_metrics() {
    for row in rows("sqs_metrics", "getMetrics") {
        let metadata = &row["triggerMetadata"];
        let asked = Attribute::asked(
            go_bool(&metadata["scaleOnInFlight"], true),
            go_bool(&metadata["scaleOnDelayed"], false),
        );
        // A text in place of the attributes is a call that failed: no answer, no number.
        let result = row["response"]
            .is_object()
            .then(|| waiting(&answer(&row["response"]), &asked).ok())
            .flatten();
        check_number(&row, result);
    }
}

#[test]
fn sqs_metrics_vectors_activity() {
    for row in rows("sqs_metrics", "activity") {
        let reading = Reading::new(row["value"].as_f64().unwrap());
        let active = reading.activation() > row["activationQueueLength"].as_f64().unwrap();
        assert_eq!(active, row["expectActive"].as_bool().unwrap(), "{row}");
    }
}

#[test]
fn kafka_lag_vectors_partition() {
    for row in rows("kafka_lag", "partition") {
        let partition = (
            row["topic"].as_str().unwrap().to_owned(),
            i32::try_from(row["partition"].as_i64().unwrap()).unwrap(),
        );
        let latest = row["latestOffsets"][&partition.0][partition.1.to_string()].as_i64();
        let mut rules = rules(
            row["offsetResetPolicy"].as_str().unwrap(),
            row["lagThreshold"].as_i64().unwrap_or(10),
        );
        for (name, value) in row.as_object().unwrap() {
            if value == &Value::Bool(true) {
                set(&mut rules, name);
            }
        }
        let offsets = offsets(row["committedOffset"].as_i64().unwrap(), latest);
        let mut previous = Previous::default();
        let result = lag::of_partition(&partition, offsets, &mut previous, Instant::now(), &rules);
        let expect = &row["expect"];
        assert_eq!(result.is_err(), expect["error"].as_bool().unwrap(), "{row}");
        if let Ok(lag) = result {
            assert_eq!(lag, expected_lag(expect), "{row}");
        }
    }
}

#[test]
fn kafka_lag_vectors_find_factors() {
    for row in rows("kafka_lag", "findFactors") {
        check_factors(&row["n"], &row["expect"]);
    }
    for row in rows("kafka_lag_grid", "findFactors") {
        check_factors(&row["n"], &row["factors"]);
    }
}

#[test]
fn kafka_lag_vectors_next_factor() {
    for row in rows("kafka_lag", "nextFactor") {
        check_next_factor(&row, "expect");
    }
    let grid = load("kafka_lag_grid")["nextFactor"].clone();
    let columns: Vec<&str> = grid["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let rows = grid["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let named: serde_json::Map<String, Value> = columns
            .iter()
            .map(|name| (*name).to_owned())
            .zip(row.as_array().unwrap().iter().cloned())
            .collect();
        check_next_factor(&Value::Object(named), "factor");
    }
}

#[test]
fn kafka_lag_grid_vectors_two_polls_of_one_trigger() {
    for row in rows("kafka_lag_grid", "scenarios") {
        let mut rules = rules(
            row["offsetResetPolicy"].as_str().unwrap(),
            row["lagThreshold"].as_i64().unwrap(),
        );
        for flag in row["flags"].as_array().unwrap() {
            set(&mut rules, flag.as_str().unwrap());
        }
        let activation = row["activationLagThreshold"].as_f64().unwrap();
        let (mut previous, mut at) = (Previous::default(), Instant::now());
        for poll in row["polls"].as_array().unwrap() {
            let partitions: BTreeMap<Partition, Offsets> = poll["committed"]
                .as_array()
                .unwrap()
                .iter()
                .zip(poll["latest"].as_array().unwrap())
                .zip(0..)
                .map(|((committed, latest), index)| {
                    let offsets = offsets(committed.as_i64().unwrap(), latest.as_i64());
                    (("t".to_owned(), index), offsets)
                })
                .collect();
            let lag = lag::total(&partitions, &mut previous, at, &rules).unwrap();
            at += INTERVAL;
            assert_eq!(lag, expected_lag(poll), "{row}");
            let reading = slipway::source::kafka::reading(lag);
            assert_eq!(
                reading.activation() > activation,
                poll["active"].as_bool().unwrap(),
                "{row}"
            );
        }
    }
}

#[test]
fn kafka_lag_retained_vectors_count_what_the_log_still_has() {
    for row in rows("kafka_lag_retained", "polls") {
        let mut rules = rules(row["policy"].as_str().unwrap(), 10);
        rules.allow_idle_consumers = true;
        let numbers = |name: &str| row[name].as_array().unwrap().iter().map(Value::as_i64);
        let partitions: BTreeMap<Partition, Offsets> = numbers("committed")
            .zip(numbers("latest"))
            .zip(numbers("earliest"))
            .zip(0..)
            .map(|(((committed, latest), earliest), index)| {
                let offsets = Offsets {
                    earliest,
                    ..offsets(committed.unwrap(), latest)
                };
                (("t".to_owned(), index), offsets)
            })
            .collect();
        let expect = row["expect"].as_i64().unwrap();
        for exclude_persistent_lag in [None, Some(INTERVAL)] {
            rules.exclude_persistent_lag = exclude_persistent_lag;
            let mut previous = Previous::default();
            let lag = lag::total(&partitions, &mut previous, Instant::now(), &rules).unwrap();
            assert_eq!((lag.scaling, lag.activation), (expect, expect), "{row}");
        }
    }
}

#[test]
fn kafka_metadata_vectors_topic_partitions() {
    for row in rows("kafka_metadata", "topicPartitions") {
        let topic = row["triggerMetadata"]["topic"].as_str().unwrap().to_owned();
        let limits = limits(
            row["triggerMetadata"]["partitionLimitation"]
                .as_str()
                .unwrap(),
        );
        let existing: Vec<i32> = serde_json::from_value(row["brokerPartitionIds"].clone()).unwrap();
        let existing: Vec<Partition> = existing
            .into_iter()
            .map(|partition| (topic.clone(), partition))
            .collect();
        let topics = Topics::Named(vec![topic.clone()]);
        let picked: Vec<i32> = partitions_of(existing.iter(), &topics, limits.as_deref())
            .map(|(_, partition)| *partition)
            .collect();
        let expect: HashMap<String, Vec<i32>> =
            serde_json::from_value(row["expect"].clone()).unwrap();
        assert_eq!(picked, expect[&topic], "{row}");
    }
}

fn check_number(row: &Value, result: Option<f64>) {
    let expect = &row["expect"];
    let wanted = (!expect["error"].as_bool().unwrap()).then(|| expect["value"].as_f64().unwrap());
    assert_eq!(result, wanted, "{row}");
}

fn check_factors(number: &Value, expect: &Value) {
    let expect: Option<Vec<i64>> = serde_json::from_value(expect.clone()).unwrap();
    let number = number.as_i64().unwrap();
    assert_eq!(factors(number), expect.unwrap_or_default(), "{number}");
}

fn check_next_factor(row: &Value, expect: &str) {
    let number = |name: &str| row[name].as_i64().unwrap();
    let factor = next_factor(
        number("totalLag"),
        number("totalTopicPartitions"),
        number("lagThreshold"),
    );
    assert_eq!(factor, number(expect), "{row}");
}

fn answer(attributes: &Value) -> BTreeMap<Attribute, String> {
    attributes
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (attribute(name), value.as_str().unwrap().to_owned()))
        .collect()
}

fn attribute(name: &str) -> Attribute {
    Attribute::ALL
        .into_iter()
        .find(|attribute| attribute.name() == name)
        .unwrap_or_else(|| panic!("{name} is not an attribute that KEDA asks for"))
}

/// Go's `strconv.ParseBool`, with a default for an absent key.
fn go_bool(value: &Value, default: bool) -> bool {
    match value.as_str() {
        None => default,
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(other) => panic!("{other} is not a bool"),
    }
}

/// `1,2,5-8`, as far as valid rows use it.
fn limits(text: &str) -> Option<Vec<i32>> {
    let mut partitions = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        partitions.extend(first.parse::<i32>().unwrap()..=last.parse::<i32>().unwrap());
    }
    (!partitions.is_empty()).then_some(partitions)
}

fn rules(policy: &str, lag_threshold: i64) -> LagRules {
    LagRules {
        lag_threshold,
        offset_reset: match policy {
            "latest" => OffsetReset::Latest,
            "earliest" => OffsetReset::Earliest,
            "latest,earliest" => OffsetReset::Neither,
            other => panic!("{other} is not a policy"),
        },
        allow_idle_consumers: false,
        scale_to_zero_on_invalid_offset: false,
        exclude_persistent_lag: None,
        limit_to_partitions_with_lag: false,
        ensure_even_distribution: false,
        missing_commit_is_zero: false,
    }
}

fn set(rules: &mut LagRules, flag: &str) {
    match flag {
        "allowIdleConsumers" => rules.allow_idle_consumers = true,
        "scaleToZeroOnInvalidOffset" => rules.scale_to_zero_on_invalid_offset = true,
        "excludePersistentLag" => rules.exclude_persistent_lag = Some(INTERVAL),
        "limitToPartitionsWithLag" => rules.limit_to_partitions_with_lag = true,
        "ensureEvenDistributionOfPartitions" => rules.ensure_even_distribution = true,
        other => panic!("{other} is not a switch"),
    }
}

fn offsets(committed: i64, latest: Option<i64>) -> Offsets {
    let committed = match committed {
        -1 => Committed::Never,
        offset => Committed::At(offset),
    };
    Offsets {
        committed,
        latest,
        // The recorded rows stand for logs that begin at 0.
        earliest: Some(0),
    }
}

fn expected_lag(expect: &Value) -> Lag {
    Lag {
        scaling: expect["lag"].as_i64().unwrap(),
        activation: expect["lagWithPersistent"].as_i64().unwrap(),
    }
}
