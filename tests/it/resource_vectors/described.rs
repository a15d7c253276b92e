//! What came out of a trigger, in the words of the vectors.
#![expect(
    clippy::panic,
    reason = "a trigger of another kind has to fail its test"
)]

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use slipway::resource::aws::AwsIdentity;
use slipway::resource::kafka::{Group, OffsetReset, Sasl, Topics};
use slipway::resource::{SourceSpec, Trigger};

use super::rows::object;
use super::same;

pub(super) fn described_queue(trigger: &Trigger) -> Map<String, Value> {
    let SourceSpec::Sqs(queue) = &trigger.source else {
        panic!("not a queue: {trigger:?}");
    };
    object(json!({
        "queueURL": queue.queue_url,
        "queueLength": trigger.target,
        "activationQueueLength": trigger.activation,
        "awsRegion": queue.region,
        "awsEndpoint": queue.endpoint.clone().unwrap_or_default(),
        "scaleOnInFlight": queue.in_flight,
        "scaleOnDelayed": queue.delayed,
    }))
}

/// In the words of KEDA's `AuthorizationMetadata`.
pub(super) fn described_identity(identity: &AwsIdentity) -> Map<String, Value> {
    object(match identity {
        AwsIdentity::Own => json!({
            "podIdentityOwner": false, "awsRoleArn": "",
            "awsAccessKeyID": "", "awsSecretAccessKey": "",
        }),
        AwsIdentity::Role {
            arn, web_identity, ..
        } => json!({
            "usingPodIdentity": web_identity, "podIdentityOwner": !web_identity, "awsRoleArn": arn,
            "awsAccessKeyID": "", "awsSecretAccessKey": "",
        }),
        AwsIdentity::Keys {
            access_key_id,
            secret_access_key,
            ..
        } => json!({
            "usingPodIdentity": false, "podIdentityOwner": true, "awsRoleArn": "",
            "awsAccessKeyID": access_key_id.expose_secret(),
            "awsSecretAccessKey": secret_access_key.expose_secret(),
        }),
    })
}

pub(super) fn described_group(trigger: &Trigger) -> Map<String, Value> {
    let group = group(trigger);
    let topic = match &group.topics {
        Topics::Named(topics) => topics.join(","),
        Topics::OfGroup => String::new(),
        Topics::OfCluster => panic!("of apache-kafka only: {trigger:?}"),
    };
    let (provider, scopes, extensions, region) = match &group.cluster.sasl {
        Sasl::OauthBearer {
            scopes, extensions, ..
        } => (
            "bearer",
            json!(scopes),
            json!(extensions.len()),
            Value::Null,
        ),
        Sasl::MskIam { region, .. } => ("aws_msk_iam", Value::Null, Value::Null, json!(region)),
        _ => ("", Value::Null, Value::Null, Value::Null),
    };
    let mut described = described_rules(trigger);
    described.extend(object(json!({
        "topic": topic,
        "fullMetadata": group.full_metadata,
        "saslEnabled": group.cluster.sasl != Sasl::None,
        "tokenProvider": provider,
        "scopes": scopes,
        "oauthExtensionsCount": extensions,
        "awsRegion": region,
    })));
    described
}

pub(super) fn described_apache_group(trigger: &Trigger) -> Map<String, Value> {
    let group = group(trigger);
    assert!(group.rules.missing_commit_is_zero, "{trigger:?}");
    let topic = match &group.topics {
        Topics::Named(topics) => json!(topics),
        Topics::OfCluster => Value::Null,
        Topics::OfGroup => panic!("of kafka only: {trigger:?}"),
    };
    let mut described = described_rules(trigger);
    described.insert("topic".to_owned(), topic);
    described
}

fn described_rules(trigger: &Trigger) -> Map<String, Value> {
    let group = group(trigger);
    let rules = &group.rules;
    assert!(same(&json!(trigger.target), &json!(rules.lag_threshold)));
    object(json!({
        "bootstrapServers": group.cluster.bootstrap_servers,
        "consumerGroup": group.group,
        "partitionLimitation": group.partitions,
        "offsetResetPolicy": match rules.offset_reset {
            OffsetReset::Latest => "latest",
            OffsetReset::Earliest => "earliest",
            OffsetReset::Neither => "latest,earliest",
        },
        "allowIdleConsumers": rules.allow_idle_consumers,
        "scaleToZeroOnInvalidOffset": rules.scale_to_zero_on_invalid_offset,
        "excludePersistentLag": rules.exclude_persistent_lag.is_some(),
        "limitToPartitionsWithLag": rules.limit_to_partitions_with_lag,
        "ensureEvenDistributionOfPartitions": rules.ensure_even_distribution,
        "lagThreshold": rules.lag_threshold,
        "activationLagThreshold": trigger.activation,
        "enableTLS": group.cluster.tls.is_some(),
    }))
}

pub(super) fn group(trigger: &Trigger) -> &Group {
    match &trigger.source {
        SourceSpec::Kafka(group) => group,
        _ => panic!("not a group: {trigger:?}"),
    }
}
