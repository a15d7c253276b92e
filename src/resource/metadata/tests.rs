use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::resource::ObjectId;
use crate::resource::{PodIdentity, SourceSpec, TriggerKind, aws, kafka, parse_trigger};

fn owner() -> ObjectId {
    ObjectId::new("default", "worker")
}

fn entry(kind: TriggerKind, metadata: &[(&str, &str)]) -> TriggerEntry {
    TriggerEntry {
        index: 2,
        kind,
        name: None,
        metadata: metadata
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        authentication: None,
    }
}

fn secrets(values: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
    values
        .iter()
        .map(|&(key, value)| (key.to_owned(), SecretString::from(value)))
        .collect()
}

fn inputs(auth_params: &[(&str, &str)], env: &[(&str, &str)]) -> Inputs {
    Inputs {
        auth_params: secrets(auth_params),
        env: secrets(env),
        ..Inputs::default()
    }
}

fn faults(kind: TriggerKind, metadata: &[(&str, &str)], inputs: &Inputs) -> Vec<String> {
    parse_trigger(&entry(kind, metadata), inputs, &owner())
        .expect_err("a fault")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn everything_wrong_with_a_trigger_is_said_at_once_with_what_would_be_right() {
    let found = faults(
        TriggerKind::AwsSqsQueue,
        &[
            ("queueUrl", "orders"),
            ("queueLength", "5.0"),
            ("scaleOnDelayed", "yes"),
        ],
        &Inputs::default(),
    );
    assert_eq!(
        found,
        [
            "spec.triggers[2].metadata.queueLength: expected a whole number such as 5, with no plus sign, leading zero, point or exponent, found \"5.0\"",
            "spec.triggers[2].metadata.scaleOnDelayed: expected true or false, found \"yes\"",
            "spec.triggers[2].metadata.awsRegion: awsRegion is missing; give awsRegion in metadata or awsRegion in the TriggerAuthentication",
            "spec.triggers[2].metadata.queueURL: queueURL is missing; give queueURL in metadata or queueURLFromEnv in metadata; \"queueUrl\" is not the same: case counts",
            "spec.triggers[2].authenticationRef: no AWS identity: awsAccessKeyID not found; give a TriggerAuthentication with podIdentity aws or with awsAccessKeyID and awsSecretAccessKey, or set identityOwner: operator in metadata for Slipway's own identity",
        ]
    );
}

#[test]
fn a_variable_without_a_value_is_named() {
    let metadata = [
        ("queueURLFromEnv", "QUEUE"),
        ("awsRegion", "eu-west-1"),
        ("identityOwner", "operator"),
    ];
    assert_eq!(
        faults(
            TriggerKind::AwsSqsQueue,
            &metadata,
            &inputs(&[], &[("QUEUE", " ")])
        ),
        [
            "spec.triggers[2].metadata.queueURLFromEnv: the container's environment has no value for \"QUEUE\"; set it there, or give queueURL"
        ]
    );
}

#[test]
fn keys_nobody_asks_for_and_variables_without_value_are_warnings() {
    let metadata = [
        ("bootstrapServers", "kafka:9092,"),
        ("consumerGroup", "workers"),
        ("topicFromEnv", "TOPIC"),
        ("lagTreshold", "5"),
        ("partitionLimitation", "1-3"),
    ];
    let trigger = parse_trigger(
        &entry(TriggerKind::Kafka, &metadata),
        &Inputs::default(),
        &owner(),
    )
    .unwrap();
    let warned: Vec<&str> = trigger
        .warnings
        .iter()
        .map(|warning| warning.field.as_str())
        .collect();
    assert_eq!(
        warned,
        [
            "spec.triggers[2].metadata.topicFromEnv",
            "spec.triggers[2].metadata.partitionLimitation",
            "spec.triggers[2].metadata.lagTreshold",
        ]
    );
    assert_eq!(
        trigger.warnings[2].message,
        "kafka does not use this parameter; it is ignored; did you mean lagThreshold?"
    );
    let SourceSpec::Kafka(group) = trigger.source else {
        panic!("not a group");
    };
    assert_eq!(group.cluster.bootstrap_servers, ["kafka:9092"]);
    assert_eq!(group.partitions, None);
}

#[test]
fn kafka_versions_are_those_of_sarama() {
    let with = |version| {
        let metadata = [
            ("bootstrapServers", "kafka:9092"),
            ("consumerGroup", "workers"),
            ("version", version),
        ];
        parse_trigger(
            &entry(TriggerKind::Kafka, &metadata),
            &Inputs::default(),
            &owner(),
        )
        .is_ok()
    };
    for version in ["1.0.0", "3.9.1", "0.11.0.2", "0.8.2.0", "10.20.30"] {
        assert!(with(version), "{version}");
    }
    for version in [
        "1.0", "1.2.3.4", "0.11.0", "01.0.0.0", "1.x.0", "1..0", "latest", "3.9.0 ",
    ] {
        assert_eq!(with(version), version == "3.9.0 ", "{version}");
    }
}

#[test]
fn scram_of_apache_kafka_without_names_is_a_warning() {
    let metadata = [
        ("bootstrapServers", "kafka:9092"),
        ("consumerGroup", "workers"),
        ("sasl", "scram_sha512"),
    ];
    let apache = entry(TriggerKind::ApacheKafka, &metadata);
    let trigger = parse_trigger(&apache, &Inputs::default(), &owner()).unwrap();
    assert_eq!(trigger.warnings.len(), 1, "{:?}", trigger.warnings);
    assert_eq!(
        faults(TriggerKind::Kafka, &metadata, &Inputs::default()).len(),
        2
    );
}

#[test]
fn a_role_comes_from_pod_identity_before_parameters() {
    let metadata = [("queueURL", "orders"), ("awsRegion", "eu-west-1")];
    let queue = entry(TriggerKind::AwsSqsQueue, &metadata);
    let mut inputs = inputs(&[("awsRoleArn", "arn:b"), ("awsExternalId", "e")], &[]);
    let mut identity = |pod_identity| {
        inputs.pod_identity = pod_identity;
        match parse_trigger(&queue, &inputs, &owner()).unwrap().source {
            SourceSpec::Sqs(queue) => queue.identity,
            other => panic!("not a queue: {other:?}"),
        }
    };
    let role = |arn: &str, external_id: Option<&str>, web_identity| aws::AwsIdentity::Role {
        arn: arn.to_owned(),
        external_id: external_id.map(str::to_owned),
        web_identity,
    };
    let aws = |role_arn: Option<&str>| PodIdentity::Aws {
        role_arn: role_arn.map(str::to_owned),
        external_id: None,
    };
    assert_eq!(identity(aws(Some("arn:a"))), role("arn:a", None, true));
    assert_eq!(identity(aws(None)), role("arn:b", Some("e"), true));
    assert_eq!(
        identity(PodIdentity::AwsEks),
        role("arn:b", Some("e"), false)
    );
    assert_eq!(identity(PodIdentity::None), role("arn:b", Some("e"), false));
}

/// Every parameter of a TriggerAuthentication or of the environment holds a canary, once in a form that parses and
/// once in one that does not; neither faults nor anything's `Debug` may sing.
#[test]
fn no_secret_reaches_a_fault_a_warning_or_a_debug_text() {
    const CANARY: &str = "canary-4711";
    let names = [
        "sasl",
        "tls",
        "username",
        "password",
        "ca",
        "cert",
        "key",
        "keyPassword",
        "saslTokenProvider",
        "oauthTokenEndpointUri",
        "scopes",
        "oauthExtensions",
        "keytab",
        "realm",
        "kerberosConfig",
        "kerberosDisableFAST",
        "awsAccessKeyID",
        "awsSecretAccessKey",
        "awsSessionToken",
        "awsRegion",
    ];
    let kinds = [
        TriggerKind::AwsSqsQueue,
        TriggerKind::Kafka,
        TriggerKind::ApacheKafka,
        TriggerKind::External,
    ];
    let mechanisms = [
        "none",
        "plaintext",
        "scram_sha256",
        "oauthbearer",
        "gssapi",
        "aws_msk_iam",
    ];
    let from_env = [
        ("bootstrapServersFromEnv", "V"),
        ("consumerGroupFromEnv", "V"),
        ("queueURLFromEnv", "V"),
        ("awsAccessKeyIDFromEnv", "V"),
        ("awsSecretAccessKeyFromEnv", "V"),
    ];
    let mut refused = 0;
    let mut sung = |kind, metadata: &[(&str, &str)], inputs: &Inputs| {
        let entry = entry(kind, metadata);
        let text = match parse_trigger(&entry, inputs, &owner()) {
            Ok(trigger) => {
                let source = match &trigger.source {
                    // Addresses and names are shown on purpose: an operator has to see what was read.
                    SourceSpec::Sqs(queue) => format!("{:?}", queue.identity),
                    SourceSpec::Kafka(kafka::Group { cluster, .. }) => {
                        format!("{:?} {:?}", cluster.tls, cluster.sasl)
                    }
                    SourceSpec::EventBridge(counted) => format!("{counted:?}"),
                    SourceSpec::External(scaler) => format!("{scaler:?}"),
                };
                format!("{source} {:?}", trigger.warnings)
            }
            Err(faults) => {
                refused += 1;
                format!("{faults:?}")
            }
        };
        let text = format!("{text} {inputs:?}");
        assert!(!text.contains(CANARY), "{kind:?} {metadata:?}: {text}");
    };
    for kind in kinds {
        for mechanism in mechanisms {
            let metadata = [
                ("sasl", mechanism),
                ("tls", "enable"),
                ("bootstrapServers", "kafka:9092"),
                ("consumerGroup", "workers"),
                ("queueURL", "orders"),
                ("awsRegion", "eu-west-1"),
                ("scalerAddress", "scaler:6000"),
            ];
            let parsing = format!("a={CANARY}");
            let mut values: Vec<(&str, &str)> =
                names[2..].iter().map(|&name| (name, CANARY)).collect();
            sung(kind, &metadata, &inputs(&values, &[]));
            for value in &mut values {
                match value.0 {
                    "oauthExtensions" => value.1 = &parsing,
                    "saslTokenProvider" => value.1 = "bearer",
                    "kerberosDisableFAST" => value.1 = "true",
                    _ => {}
                }
            }
            sung(kind, &metadata, &inputs(&values, &[]));
        }
        let values: Vec<(&str, &str)> = names.iter().map(|&name| (name, CANARY)).collect();
        sung(kind, &from_env, &inputs(&values, &[("V", CANARY)]));
        let bad_url = format!("https://host/{CANARY}");
        sung(kind, &from_env, &inputs(&[], &[("V", &bad_url)]));
    }
    assert!(refused > 0, "no fault was looked at");
}

proptest! {
    /// A reader that gives up without a fault would panic in `finish`.
    #[test]
    fn whatever_is_written_is_a_trigger_or_a_fault(
        kind in prop::sample::select(vec![
            TriggerKind::AwsSqsQueue,
            TriggerKind::Kafka,
            TriggerKind::ApacheKafka,
            TriggerKind::EventBridge,
            TriggerKind::External,
            TriggerKind::ExternalPush,
        ]),
        metadata in maps(&[
            "bootstrapServers", "consumerGroup", "topic", "topicFromEnv", "partitionLimitation",
            "lagThreshold", "limitToPartitionsWithLag", "allowIdleConsumers", "fullMetadata",
            "sasl", "tls", "saslTokenProvider", "awsRegion", "queueURL", "queueURLFromEnv",
            "queueLength", "identityOwner", "awsAccessKeyID", "awsSecretAccessKeyFromEnv",
            "eventJob", "value", "targetValue", "window", "scalerAddress", "enableTLS", "unsafeSsl",
        ]),
        auth_params in maps(&[
            "sasl", "tls", "username", "password", "cert", "key", "keytab", "realm",
            "kerberosConfig", "oauthTokenEndpointUri", "oauthExtensions", "awsRegion",
            "awsRoleArn", "awsAccessKeyId", "awsSecretAccessKey", "caCert", "tlsClientCert", "tlsClientKey",
        ]),
        env in maps(&["true", "5", "orders"]),
    ) {
        let entry = TriggerEntry {
            index: 0,
            kind,
            name: None,
            metadata: metadata.into(),
            authentication: None,
        };
        let secret = |values: BTreeMap<String, String>| {
            values
                .into_iter()
                .map(|(name, value)| (name, SecretString::from(value)))
                .collect()
        };
        let inputs = Inputs {
            auth_params: secret(auth_params),
            env: secret(env),
            ..Inputs::default()
        };
        match parse_trigger(&entry, &inputs, &owner()) {
            Ok(trigger) => prop_assert!(trigger.metric_name.starts_with("s0-")),
            Err(faults) => prop_assert!(!faults.is_empty()),
        }
    }
}

/// Some of these keys, each with a value that fits somewhere.
fn maps(keys: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<String, String>> {
    let values = vec![
        "",
        " ",
        "5",
        "0",
        "true",
        "false",
        "orders",
        "1-3",
        "enable",
        "plaintext",
        "scram_sha256",
        "oauthbearer",
        "gssapi",
        "aws_msk_iam",
        "none,plaintext",
        "bearer,aws_msk_iam",
        "a=b",
        "pod",
        "operator",
    ];
    let key = prop::sample::select(keys).prop_map(str::to_owned);
    let value = prop::sample::select(values).prop_map(str::to_owned);
    prop::collection::btree_map(key, value, 0..keys.len())
}
