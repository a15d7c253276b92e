//! KEDA's recorded answers about what a trigger's text means.
//!
//! A row that has a form or an expectation this file does not know fails: a
//! richer copy of the vectors is read to its last field, or not at all.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a row that cannot be read has to fail its test"
)]

mod described;
mod rows;

use secrecy::SecretString;
use serde_json::{Map, Value, json};
use slipway::resource::aws::AwsIdentity;
use slipway::resource::kafka::Topics;
use slipway::resource::metadata::{ParameterOrigin, Parameters, text};
use slipway::resource::{
    Fault, Inputs, PodIdentity, SourceSpec, TextMap, Trigger, TriggerEntry, TriggerKind,
    parse_trigger, sqs,
};

use crate::support::vectors;
use described::{
    described_apache_group, described_group, described_identity, described_queue, group,
};
use rows::{entry, inputs, only, owner, pod_identity, renamed, string, with_and_without_sasl};

#[test]
fn values_of_typed_config_vectors_are_read_as_keda_reads_them() {
    for row in vectors::rows("typed_config", "values") {
        only(&row, &["raw", "type", "value", "error"]);
        // KEDA trims a value before it looks at its form.
        let raw = string(&row["raw"]).trim();
        let kind = string(&row["type"]);
        let read = match kind {
            "int" | "int64" => text::integer(raw).map(Value::from),
            "float64" => text::float(raw).map(Value::from),
            "bool" => text::boolean(raw).map(Value::from),
            "duration_ns" => text::duration(raw)
                .map(|duration| Value::from(u64::try_from(duration.as_nanos()).unwrap())),
            "[]string" => text::list(raw).map(Value::from),
            // Go's empty slice is written as null.
            "[]int range" => text::integers(raw).map(|numbers| match numbers.as_slice() {
                [] => Value::Null,
                numbers => json!(numbers),
            }),
            "map[string]string" => text::map(raw).map(|pairs| json!(pairs)),
            other => {
                let allowed = other
                    .strip_prefix("string enum=")
                    .unwrap_or_else(|| panic!("unknown type in {row}"));
                let allowed: Vec<&str> = allowed.split(';').collect();
                text::one_of(raw, &allowed).map(Value::from)
            }
        };
        match row.get("error") {
            Some(_) => assert!(read.is_err(), "{row}: read as {read:?}"),
            None => assert!(
                same(&read.clone().unwrap(), &row["value"]),
                "{row}: {read:?}"
            ),
        }
    }
}

#[test]
fn lookups_of_typed_config_vectors_find_what_keda_finds() {
    for row in vectors::rows("typed_config", "lookup") {
        only(
            &row,
            &[
                "authParams",
                "order",
                "resolvedEnv",
                "triggerMetadata",
                "value",
                "error",
            ],
        );
        let order: Vec<ParameterOrigin> = string(&row["order"])
            .split(';')
            .map(|origin| match origin {
                "triggerMetadata" => ParameterOrigin::Metadata,
                "resolvedEnv" => ParameterOrigin::Environment,
                "authParams" => ParameterOrigin::Authentication,
                other => panic!("unknown origin {other} in {row}"),
            })
            .collect();
        let entry = entry(&row, TriggerKind::Kafka);
        let inputs = inputs(&row);
        let found = Parameters::new(&entry, &inputs)
            .required("v", &order)
            .map(|found| found.text);
        match row.get("error") {
            Some(_) => assert_eq!(found, None, "{row}"),
            None => assert_eq!(found, Some(string(&row["value"])), "{row}"),
        }
    }
}

#[test]
fn sqs_metadata_vectors_are_parsed_as_keda_parses_them() {
    for list in ["parse", "metricName", "queueURLFromEnv"] {
        for row in vectors::rows("sqs_metadata", list) {
            check(&row, TriggerKind::AwsSqsQueue, &described_queue);
        }
    }
}

#[test]
fn sqs_queue_name_vectors_are_named_as_keda_names_them() {
    for row in vectors::rows("sqs_queue_name", "cases") {
        only(
            &row,
            &[
                "queueURL",
                "parsedAsURL",
                "queueName",
                "metricName_index0",
                "error",
            ],
        );
        let queue_url = string(&row["queueURL"]);
        assert_eq!(
            sqs::request_path(queue_url).is_some(),
            row["parsedAsURL"].as_bool().unwrap(),
            "{row}"
        );
        let trigger = parse_trigger(
            &TriggerEntry {
                metadata: TextMap::from_iter([
                    ("queueURL".to_owned(), queue_url.to_owned()),
                    ("awsRegion".to_owned(), "eu-west-1".to_owned()),
                    ("identityOwner".to_owned(), "operator".to_owned()),
                ]),
                ..entry(&json!({}), TriggerKind::AwsSqsQueue)
            },
            &Inputs::default(),
            &owner(),
        );
        let name = sqs::queue_name(queue_url);
        if row.get("error").is_some() {
            assert!(name.is_err() && trigger.is_err(), "{row}: {name:?}");
            continue;
        }
        assert_eq!(name.unwrap(), string(&row["queueName"]), "{row}");
        let trigger = trigger.unwrap();
        assert_eq!(
            trigger.metric_name,
            string(&row["metricName_index0"]),
            "{row}"
        );
        assert_eq!(
            described_queue(&trigger)["queueURL"],
            row["queueURL"],
            "{row}"
        );
    }
}

#[test]
fn aws_authorization_vectors_give_the_identity_keda_gives() {
    for row in vectors::rows("aws_authorization", "cases") {
        only(
            &row,
            &[
                "name",
                "podIdentity",
                "triggerMetadata",
                "authParams",
                "resolvedEnv",
                "expect",
            ],
        );
        let mut of_a_queue = row.clone();
        let metadata = &mut of_a_queue["triggerMetadata"];
        metadata["queueURL"] = json!("orders");
        metadata["awsRegion"] = json!("eu-west-1");
        let entry = entry(&of_a_queue, TriggerKind::AwsSqsQueue);
        let parsed = parse_trigger(&entry, &inputs(&row), &owner());
        let expect = row["expect"].as_object().unwrap();
        match &expect["error"] {
            Value::Null => {
                let trigger = parsed.unwrap_or_else(|faults| panic!("{row}: {faults:?}"));
                let SourceSpec::Sqs(queue) = trigger.source else {
                    panic!("{row}: not a queue");
                };
                let mut described = described_identity(&queue.identity);
                if queue.identity == AwsIdentity::Own {
                    // Our own identity is both KEDA's pod identity without a role and its identityOwner operator.
                    let asked = matches!(pod_identity(&row), PodIdentity::Aws { .. });
                    described.insert("usingPodIdentity".to_owned(), json!(asked));
                }
                agree(&row, expect, &described);
            }
            error => {
                let text = match string(error) {
                    "ErrAwsNoAccessKey" => "awsAccessKeyID not found",
                    "ErrAwsNoSecretAccessKey" => "awsSecretAccessKey not found",
                    other => panic!("unknown error {other} in {row}"),
                };
                let faults = parsed.unwrap_err();
                assert!(faults[0].message.contains(text), "{row}: {faults:?}");
            }
        }
    }
}

#[test]
fn kafka_metadata_vectors_are_parsed_as_keda_parses_them() {
    for row in vectors::rows("kafka_metadata", "parse") {
        for row in with_and_without_sasl(&row) {
            check(&row, TriggerKind::Kafka, &described_group);
        }
    }
    for list in [
        "authInTriggerAuthentication",
        "authInScaledObject",
        "oauthbearer",
        "oauthClient",
        "fullMetadata",
        "metricName",
    ] {
        for row in vectors::rows("kafka_metadata", list) {
            check(&row, TriggerKind::Kafka, &described_group);
        }
    }
}

#[test]
fn kafka_partition_vectors_limit_what_keda_limits() {
    for row in vectors::rows("kafka_metadata", "topicPartitions") {
        only(
            &row,
            &["name", "triggerMetadata", "brokerPartitionIds", "expect"],
        );
        let trigger = parse_trigger(
            &entry(&row, TriggerKind::Kafka),
            &Inputs::default(),
            &owner(),
        )
        .unwrap();
        let group = group(&trigger);
        let Topics::Named(topics) = &group.topics else {
            panic!("{row}: no topic");
        };
        let partitions: Vec<i64> = row["brokerPartitionIds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|partition| partition.as_i64().unwrap())
            .filter(|&partition| group.counts(i32::try_from(partition).unwrap()))
            .collect();
        let counted: Map<String, Value> = topics
            .iter()
            .map(|topic| (topic.clone(), json!(partitions)))
            .collect();
        assert_eq!(Value::Object(counted), row["expect"], "{row}");
    }
    for row in vectors::rows("kafka_metadata", "partitionLimitation") {
        only(&row, &["name", "input", "expect"]);
        let expect = row["expect"].as_object().unwrap();
        let row = json!({
            "triggerMetadata": {
                "bootstrapServers": "foobar:9092",
                "consumerGroup": "my-group",
                "topic": "my-topic",
                "partitionLimitation": row["input"],
            },
            "expect": renamed(expect, "partitions", "partitionLimitation"),
        });
        check(&row, TriggerKind::Kafka, &described_group);
    }
}

#[test]
fn apache_kafka_metadata_vectors_are_parsed_as_keda_parses_them() {
    for row in vectors::rows("apache_kafka_metadata", "parse") {
        for row in with_and_without_sasl(&row) {
            check(&row, TriggerKind::ApacheKafka, &described_apache_group);
        }
    }
    for list in [
        "authInTriggerAuthentication",
        "authInScaledObject",
        "metricName",
    ] {
        for row in vectors::rows("apache_kafka_metadata", list) {
            check(&row, TriggerKind::ApacheKafka, &described_apache_group);
        }
    }
}

/// Parses the row's trigger and compares it with everything the row expects.
fn check(row: &Value, kind: TriggerKind, described: &dyn Fn(&Trigger) -> Map<String, Value>) {
    only(
        row,
        &[
            "name",
            "triggerIndex",
            "triggerMetadata",
            "authParams",
            "resolvedEnv",
            "podIdentity",
            "expect",
            "expectMetricName",
        ],
    );
    let mut inputs = inputs(row);
    let names_only = row.get("expect").is_none();
    if names_only && kind == TriggerKind::AwsSqsQueue {
        // KEDA ran these rows with static keys.
        for name in ["awsAccessKeyId", "awsSecretAccessKey"] {
            inputs
                .auth_params
                .insert(name.to_owned(), SecretString::from("none"));
        }
    }
    let parsed = parse_trigger(&entry(row, kind), &inputs, &owner());
    if let Some(name) = row.get("expectMetricName") {
        let trigger = parsed
            .as_ref()
            .unwrap_or_else(|faults| panic!("{row}: {faults:?}"));
        assert_eq!(trigger.metric_name, string(name), "{row}");
    }
    let Some(expect) = row.get("expect") else {
        assert!(
            row.get("expectMetricName").is_some(),
            "{row} expects nothing"
        );
        return;
    };
    let expect = expect.as_object().unwrap();
    if expect
        .get("error")
        .is_some_and(|error| error.as_bool().unwrap())
    {
        let faults = parsed.expect_err(&row.to_string());
        check_faults(row, &faults);
    } else {
        let trigger = parsed.unwrap_or_else(|faults| panic!("{row}: {faults:?}"));
        agree(row, expect, &described(&trigger));
    }
}

/// Faults name a place in the trigger and give away nothing of its inputs.
fn check_faults(row: &Value, faults: &[Fault]) {
    assert!(!faults.is_empty(), "{row}");
    for fault in faults {
        assert!(
            fault.field.starts_with("spec.triggers[0]."),
            "{row}: {fault}"
        );
    }
}

/// Every expectation but `error` is a field of the description, with the same value.
fn agree(row: &Value, expect: &Map<String, Value>, described: &Map<String, Value>) {
    for (key, expected) in expect.iter().filter(|(key, _)| *key != "error") {
        let value = described
            .get(key)
            .unwrap_or_else(|| panic!("unknown expectation {key} in {row}"));
        assert!(same(value, expected), "{key}: {value} in {row}");
    }
}

/// Equal, where numbers count by value; a token provider has a name in the parameter and one in the client.
fn same(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Number(value), Value::Number(expected)) => {
            value == expected || value.as_f64() == expected.as_f64()
        }
        (Value::String(value), Value::String(expected)) => {
            let parameter = match expected.as_str() {
                "OAuthBearer" => "bearer",
                "MSK" => "aws_msk_iam",
                other => other,
            };
            value == parameter
        }
        _ => value == expected,
    }
}
