//! KEDA's parameters of `kafka` and `apache-kafka`, and where the two differ.
//!
//! Who the client is towards the brokers is in `security`.
//! Source: KEDA's `pkg/scalers/kafka_scaler.go` and `apache_kafka_scaler.go`.

use std::time::Duration;

use crate::resource::kafka::security::{self, Security};
use crate::resource::kafka::{Group, KafkaCluster, LagRules, OffsetReset, Topics};
use crate::resource::metadata::ParameterOrigin::{Environment, Metadata};
use crate::resource::metadata::text::ExpectedText;
use crate::resource::metadata::{Parameter, Parameters, metric_name, number, text};
use crate::resource::{POLLING_INTERVAL, SourceSpec, Trigger};

/// Reads a `kafka` trigger; nothing when a fault was noted.
pub(in crate::resource) fn parse(parameters: &mut Parameters<'_>) -> Option<Trigger> {
    let topic = parameters.text("topic", &[Metadata, Environment]);
    let full_metadata = parameters
        .read("fullMetadata", &[Metadata], text::boolean)
        .unwrap_or(true);
    // The protocol version is the broker's and the client's to agree on; a wrong one is a mistake all the same.
    parameters.read("version", &[Metadata], version);
    let options = Options::read(parameters);
    options.check_idle(parameters);
    if topic.is_none() {
        for (name, set) in [
            (
                "limitToPartitionsWithLag",
                options.limit_to_partitions_with_lag,
            ),
            (
                "ensureEvenDistributionOfPartitions",
                options.ensure_even_distribution,
            ),
        ] {
            if set {
                parameters.fault(name, "needs a topic; give topic, or leave this out");
            }
        }
        if !full_metadata {
            parameters.fault(
                "fullMetadata",
                "false needs a topic; give topic, or leave this out",
            );
        }
    }
    if options.limit_to_partitions_with_lag && options.ensure_even_distribution {
        parameters.fault(
            "ensureEvenDistributionOfPartitions",
            "cannot be true together with limitToPartitionsWithLag; choose one",
        );
    }
    let security = security::of_kafka(parameters);
    let (topics, topic_names) = match topic {
        Some(topic) => (Topics::Named(vec![topic.clone()]), Some(topic)),
        None => (Topics::OfGroup, None),
    };
    let trigger = options.trigger(parameters, topics, topic_names, security)?;
    Some(with_full_metadata(trigger, full_metadata))
}

/// Reads an `apache-kafka` trigger; nothing when a fault was noted.
pub(in crate::resource) fn parse_apache(parameters: &mut Parameters<'_>) -> Option<Trigger> {
    let topics = parameters.read("topic", &[Metadata, Environment], text::list);
    let options = Options::read(parameters);
    options.check_idle(parameters);
    if topics.is_none() && options.limit_to_partitions_with_lag {
        parameters.fault(
            "limitToPartitionsWithLag",
            "needs a topic; give topic, or leave this out",
        );
    }
    let security = security::of_apache_kafka(parameters);
    let topic_names = topics.as_ref().map(|topics| topics.join(","));
    let topics = topics.map_or(Topics::OfCluster, Topics::Named);
    let mut trigger = options.trigger(parameters, topics, topic_names, security)?;
    if let SourceSpec::Kafka(group) = &mut trigger.source {
        group.rules.missing_commit_is_zero = true;
    }
    Some(trigger)
}

fn with_full_metadata(mut trigger: Trigger, full_metadata: bool) -> Trigger {
    if let SourceSpec::Kafka(group) = &mut trigger.source {
        group.full_metadata = full_metadata;
    }
    trigger
}

/// What both types have in common.
#[expect(
    clippy::struct_excessive_bools,
    reason = "KEDA's own switches, each independent of the others"
)]
struct Options<'a> {
    bootstrap_servers: Option<Vec<String>>,
    group: Option<Parameter<'a>>,
    partitions: Option<Vec<i32>>,
    lag_threshold: i64,
    activation: i64,
    offset_reset: OffsetReset,
    allow_idle_consumers: bool,
    scale_to_zero_on_invalid_offset: bool,
    exclude_persistent_lag: Option<Duration>,
    limit_to_partitions_with_lag: bool,
    ensure_even_distribution: bool,
}

impl<'a> Options<'a> {
    fn read(parameters: &mut Parameters<'a>) -> Self {
        let servers = parameters.required("bootstrapServers", &[Metadata, Environment]);
        let interval = parameters.inputs().polling_interval;
        let mut switch = |name| {
            parameters
                .read(name, &[Metadata], text::boolean)
                .unwrap_or(false)
        };
        Self {
            allow_idle_consumers: switch("allowIdleConsumers"),
            scale_to_zero_on_invalid_offset: switch("scaleToZeroOnInvalidOffset"),
            exclude_persistent_lag: switch("excludePersistentLag")
                .then(|| interval.unwrap_or(POLLING_INTERVAL)),
            limit_to_partitions_with_lag: switch("limitToPartitionsWithLag"),
            ensure_even_distribution: switch("ensureEvenDistributionOfPartitions"),
            bootstrap_servers: servers.and_then(|found| parameters.parsed(&found, brokers)),
            group: parameters.required("consumerGroup", &[Metadata, Environment]),
            partitions: parameters
                .read("partitionLimitation", &[Metadata], partitions)
                .filter(|partitions| !partitions.is_empty()),
            lag_threshold: parameters
                .read("lagThreshold", &[Metadata], above_zero)
                .unwrap_or(10),
            activation: parameters
                .read("activationLagThreshold", &[Metadata], not_negative)
                .unwrap_or(0),
            offset_reset: parameters
                .read("offsetResetPolicy", &[Metadata], offset_reset)
                .unwrap_or(OffsetReset::Latest),
        }
    }

    fn check_idle(&self, parameters: &mut Parameters<'a>) {
        if self.allow_idle_consumers && self.limit_to_partitions_with_lag {
            parameters.fault(
                "allowIdleConsumers",
                "cannot be true together with limitToPartitionsWithLag; choose one",
            );
        }
    }

    /// The trigger, with `kafka`'s rules; `topic_names` as the metric name says them.
    fn trigger(
        self,
        parameters: &mut Parameters<'a>,
        topics: Topics,
        topic_names: Option<String>,
        security: Option<Security>,
    ) -> Option<Trigger> {
        let named = matches!(topics, Topics::Named(_));
        if self.partitions.is_some() && !named {
            parameters.warn(
                "partitionLimitation",
                "is ignored without a topic, as KEDA does; give topic",
            );
        }
        let group = self.group?.text.to_owned();
        let name = topic_names.unwrap_or_else(|| format!("{group}-topics"));
        let Security { tls, sasl } = security?;
        Some(Trigger {
            metric_name: metric_name(parameters.entry().index, &format!("kafka-{name}")),
            target: number(self.lag_threshold),
            activation: number(self.activation),
            source: SourceSpec::Kafka(Group {
                cluster: KafkaCluster {
                    bootstrap_servers: self.bootstrap_servers?,
                    tls,
                    sasl,
                },
                group,
                topics,
                partitions: self.partitions.filter(|_| named),
                full_metadata: true,
                rules: LagRules {
                    lag_threshold: self.lag_threshold,
                    offset_reset: self.offset_reset,
                    allow_idle_consumers: self.allow_idle_consumers,
                    scale_to_zero_on_invalid_offset: self.scale_to_zero_on_invalid_offset,
                    exclude_persistent_lag: self.exclude_persistent_lag,
                    limit_to_partitions_with_lag: self.limit_to_partitions_with_lag,
                    ensure_even_distribution: self.ensure_even_distribution,
                    missing_commit_is_zero: false,
                },
            }),
            warnings: Vec::new(),
        })
    }
}

/// Brokers; empty ones, as a trailing comma leaves them, are nobody.
fn brokers(text: &str) -> Result<Vec<String>, ExpectedText> {
    let brokers: Vec<String> = text::list(text)?
        .into_iter()
        .filter(|broker| !broker.is_empty())
        .collect();
    if brokers.is_empty() {
        return Err(ExpectedText::new(
            "brokers such as kafka-0:9092,kafka-1:9092",
        ));
    }
    Ok(brokers)
}

/// Partition numbers and ranges of them.
fn partitions(text: &str) -> Result<Vec<i32>, ExpectedText> {
    text::integers(text)?
        .into_iter()
        .map(|partition| {
            i32::try_from(partition).map_err(|_| {
                ExpectedText::new("partition numbers, which fit 32 bits, such as 1-4,8")
            })
        })
        .collect()
}

fn above_zero(text: &str) -> Result<i64, ExpectedText> {
    text::integer(text).and_then(|threshold| match threshold {
        1.. => Ok(threshold),
        _ => Err(ExpectedText::new("a whole number above 0")),
    })
}

fn not_negative(text: &str) -> Result<i64, ExpectedText> {
    text::integer(text).and_then(|threshold| match threshold {
        0.. => Ok(threshold),
        _ => Err(ExpectedText::new("a whole number, 0 or above")),
    })
}

fn offset_reset(text: &str) -> Result<OffsetReset, ExpectedText> {
    Ok(match text::one_of(text, &["latest", "earliest"])? {
        "latest" => OffsetReset::Latest,
        "earliest" => OffsetReset::Earliest,
        _ => OffsetReset::Neither,
    })
}

/// A Kafka version as Sarama's `ParseKafkaVersion` takes it: three numbers, or four when the first is 0.
fn version(text: &str) -> Result<(), ExpectedText> {
    let numbers: Vec<&str> = text.split('.').collect();
    let wanted = if text.starts_with('0') { 4 } else { 3 };
    let digits =
        |number: &&str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let zero = wanted == 3 || numbers.first() == Some(&"0");
    if numbers.len() == wanted && zero && numbers.iter().all(digits) {
        Ok(())
    } else {
        Err(ExpectedText::new(
            "a Kafka version such as 3.9.0 or 0.11.0.2",
        ))
    }
}
