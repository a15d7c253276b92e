//! Reading Kafka: lag on a real broker.
#![expect(clippy::unwrap_used, reason = "what fails on the way ends the test")]
#![expect(clippy::float_cmp, reason = "counts of messages are exact")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use slipway::resource::SourceSpec;
use slipway::resource::kafka::{Group, KafkaCluster, LagRules, OffsetReset, Sasl, Topics};
use slipway::source::kafka::KIND;
use slipway::source::pool::{Live, Pool, Settings};
use slipway::source::{Error, Source};

use crate::support::{await_until, servers};

mod faults;
pub(crate) mod security;

pub(crate) const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_mins(1);
/// How long a lag has to stay to be left out, where it may be.
const STAYS: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_group_with_commits_lags_by_what_it_has_not_read() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 3).await;
    let group = unique("group");
    produce(&broker, &topic, &[100, 20, 5]).await;
    commit(&broker, &group, &topic, &[40, 20, 0]);
    assert_eq!(lag(&spec(&broker, &group, &topic)).await, 65.0);
}

#[tokio::test]
async fn backlogs_of_every_size() {
    let broker = servers::kafka_brokers();
    for messages in [0, 1, 25, 1000] {
        let topic = topic(&broker, 1).await;
        let group = unique("group");
        produce(&broker, &topic, &[messages]).await;
        commit(&broker, &group, &topic, &[0]);
        let spec = idle_allowed(&spec(&broker, &group, &topic));
        assert_eq!(lag(&spec).await, f64::from(messages));
    }
}

#[tokio::test]
async fn a_group_without_commits_is_what_its_policy_says() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 3).await;
    produce(&broker, &topic, &[10, 10, 10]).await;
    for (policy, zero, expect) in [
        (OffsetReset::Latest, false, 3.0),
        (OffsetReset::Latest, true, 0.0),
        // What the log still has, from where it begins.
        (OffsetReset::Earliest, false, 30.0),
        (OffsetReset::Earliest, true, 0.0),
        (OffsetReset::Neither, false, 33.0),
    ] {
        let spec = with(&spec(&broker, &unique("group"), &topic), |group| {
            group.rules.offset_reset = policy;
            group.rules.scale_to_zero_on_invalid_offset = zero;
        });
        assert_eq!(lag(&spec).await, expect, "{policy:?} {zero}");
    }
}

#[tokio::test]
async fn added_partitions_count_from_the_next_poll() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let group = unique("group");
    produce(&broker, &topic, &[7]).await;
    commit(&broker, &group, &topic, &[0]);
    let source = local_pool()
        .connect(&spec(&broker, &group, &topic))
        .unwrap();
    assert_eq!(waiting(&source).await, 7.0);
    let added = admin(&broker)
        .create_partitions(&[NewPartitions::new(&topic, 3)], &AdminOptions::new())
        .await
        .unwrap();
    assert!(added.iter().all(Result::is_ok));
    produce(&broker, &topic, &[0, 5, 0]).await;
    commit(&broker, &group, &topic, &[0, 0, 0]);
    assert_eq!(waiting(&source).await, 12.0);
}

#[tokio::test]
async fn a_missing_topic_does_not_exist() {
    let broker = servers::kafka_brokers();
    let error = read_error(&spec(&broker, "group", &unique("missing"))).await;
    assert_eq!(error.reason(), "NotFound", "{error}");
}

#[tokio::test]
async fn only_the_partitions_asked_for_count() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 3).await;
    let group = unique("group");
    produce(&broker, &topic, &[10, 20, 30]).await;
    commit(&broker, &group, &topic, &[0, 0, 0]);
    let some = with(&spec(&broker, &group, &topic), |group| {
        group.partitions = Some(vec![1, 2, 9]);
    });
    assert_eq!(lag(&some).await, 50.0);
    let none = with(&some, |group| group.partitions = Some(vec![9]));
    assert_eq!(read_error(&none).await.reason(), "NotFound");
}

#[tokio::test]
async fn a_group_without_a_topic_has_those_it_committed_to() {
    let broker = servers::kafka_brokers();
    let (one, two, other) = (
        topic(&broker, 2).await,
        topic(&broker, 1).await,
        topic(&broker, 1).await,
    );
    let group = unique("group");
    produce(&broker, &one, &[4, 0]).await;
    produce(&broker, &two, &[9]).await;
    produce(&broker, &other, &[50]).await;
    commit(&broker, &group, &one, &[1, 0]);
    commit(&broker, &group, &two, &[2]);
    let of_group = with(&spec(&broker, &group, &one), |group| {
        group.topics = Topics::OfGroup;
    });
    assert_eq!(lag(&of_group).await, 10.0);
    assert_eq!(warning(&of_group).await, None);
    let nothing = with(&of_group, |of| of.group = unique("group"));
    assert_eq!(lag(&nothing).await, 0.0);
    // A typo reads as no work, and says so each time.
    for _ in 0..2 {
        let warning = warning(&nothing).await.unwrap();
        assert!(warning.contains("`consumerGroup`"), "{warning}");
    }
}

#[tokio::test]
async fn all_topics_of_a_cluster_need_a_group_with_members() {
    let broker = servers::kafka_brokers();
    let spec = with(&spec(&broker, &unique("group"), "any"), |group| {
        group.topics = Topics::OfCluster;
    });
    let error = read_error(&spec).await;
    assert_eq!(error.reason(), "BadAnswer", "{error}");
    assert!(error.to_string().contains("no active members"), "{error}");
}

#[tokio::test]
async fn a_lag_that_stays_is_left_out_but_keeps_the_trigger_active() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let group = unique("group");
    produce(&broker, &topic, &[8]).await;
    commit(&broker, &group, &topic, &[3]);
    let pool = local_pool();
    let excluding = with(&spec(&broker, &group, &topic), |group| {
        group.rules.exclude_persistent_lag = Some(STAYS);
    });
    let source = pool.connect(&excluding).unwrap();
    let plain = pool.connect(&spec(&broker, &group, &topic)).unwrap();
    let first = source.read(NOW).await.unwrap();
    // The same poll again is the same reading: nothing has stayed yet.
    assert_eq!(source.read(MINUTE).await.unwrap(), first);
    assert_eq!(first.reading.waiting(), 5.0);
    // However often it is read within that time, it has not stayed.
    for _ in 0..3 {
        let soon = source.read(NOW).await.unwrap();
        if soon.at < first.at + STAYS / 2 {
            assert_eq!(soon.reading.waiting(), 5.0);
        }
    }
    let second = await_until("the lag has stayed", MINUTE, async || {
        let taken = source.read(NOW).await.unwrap();
        assert_eq!(taken.reading.activation(), 5.0);
        (taken.reading.waiting() == 0.0).then_some(taken)
    })
    .await;
    assert!(second.at - first.at > STAYS / 2);
    // A trigger beside it, on the same poll, has its own memory.
    let other = plain.read(MINUTE).await.unwrap();
    assert_eq!(other.at, second.at);
    assert_eq!(other.reading.waiting(), 5.0);
    assert_eq!(
        pool.live(),
        Live {
            logins: 0,
            clients: 1,
            polls: 1
        }
    );
}

#[tokio::test]
async fn fifty_readers_are_one_poll() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let pool = local_pool();
    let sources: Vec<Arc<dyn Source>> = (0..50)
        .map(|threshold| {
            let spec = with(&spec(&broker, "readers", &topic), |group| {
                group.rules.lag_threshold = 1 + threshold;
            });
            pool.connect(&spec).unwrap()
        })
        .collect();
    let answers = join_all(sources.iter().map(|source| source.read(MINUTE))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(pool.metrics().calls(KIND), 1);
}

#[tokio::test]
async fn nothing_stays_when_sources_come_and_go() {
    let pool = local_pool();
    for number in 0..1000 {
        let spec = spec("127.0.0.1:9", &format!("group-{number}"), "orders");
        let source = pool.connect(&spec).unwrap();
        assert_eq!(pool.live().polls, 1);
        drop(source);
    }
    assert_eq!(pool.live(), Live::default());
    assert_eq!(pool.metrics().live(KIND), 0);
}

#[tokio::test]
async fn clients_that_were_used_give_back_their_threads() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let threads = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("Threads:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    let pool = local_pool();
    let before = threads();
    for _ in 0..20 {
        let source = pool
            .connect(&spec(&broker, &unique("group"), &topic))
            .unwrap();
        source.read(NOW).await.unwrap();
    }
    // Other tests run beside this one, so the count only has to show that twenty clients (of three threads or more) are gone.
    await_until("threads end", Duration::from_secs(20), async || {
        (threads() < before + 40).then_some(())
    })
    .await;
    assert_eq!(pool.live(), Live::default());
}

async fn warning(spec: &SourceSpec) -> Option<String> {
    let source = local_pool().connect(spec).unwrap();
    source.read(NOW).await.unwrap().warning
}

async fn lag(spec: &SourceSpec) -> f64 {
    waiting(&local_pool().connect(spec).unwrap()).await
}

pub(crate) async fn waiting(source: &Arc<dyn Source>) -> f64 {
    source.read(NOW).await.unwrap().reading.waiting()
}

pub(crate) async fn read_error(spec: &SourceSpec) -> Error {
    let source = local_pool().connect(spec).unwrap();
    source.read(NOW).await.unwrap_err()
}

pub(crate) fn local_pool() -> Pool {
    Pool::new(Settings {
        allow_loopback: true,
        ..Settings::default()
    })
}

pub(crate) fn spec(broker: &str, group: &str, topic: &str) -> SourceSpec {
    SourceSpec::Kafka(Group {
        cluster: KafkaCluster {
            bootstrap_servers: broker.split(',').map(str::to_owned).collect(),
            tls: None,
            sasl: Sasl::None,
        },
        group: group.to_owned(),
        topics: Topics::Named(vec![topic.to_owned()]),
        partitions: None,
        full_metadata: true,
        rules: LagRules {
            lag_threshold: 1000,
            offset_reset: OffsetReset::Latest,
            allow_idle_consumers: false,
            scale_to_zero_on_invalid_offset: false,
            exclude_persistent_lag: None,
            limit_to_partitions_with_lag: false,
            ensure_even_distribution: false,
            missing_commit_is_zero: false,
        },
    })
}

fn idle_allowed(spec: &SourceSpec) -> SourceSpec {
    with(spec, |group| group.rules.allow_idle_consumers = true)
}

pub(crate) fn with(spec: &SourceSpec, change: impl FnOnce(&mut Group)) -> SourceSpec {
    let SourceSpec::Kafka(mut group) = spec.clone() else {
        unreachable!("only groups here")
    };
    change(&mut group);
    SourceSpec::Kafka(group)
}

pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("{name}-{}-{number}", std::process::id())
}

fn config(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

fn admin(broker: &str) -> AdminClient<DefaultClientContext> {
    config(broker).create().unwrap()
}

/// A new topic; its name.
pub(crate) async fn topic(broker: &str, partitions: i32) -> String {
    let name = unique("topic");
    let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let made = admin(broker)
        .create_topics([&new], &AdminOptions::new())
        .await
        .unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    name
}

/// So many messages into each partition, from 0.
pub(crate) async fn produce(broker: &str, topic: &str, messages: &[i32]) {
    let producer: FutureProducer = config(broker).create().unwrap();
    for (partition, count) in (0..).zip(messages) {
        let sent = (0..*count).map(|_| {
            let record = FutureRecord::<(), str>::to(topic)
                .payload("work")
                .partition(partition);
            producer.send(record, Duration::from_secs(10))
        });
        for result in join_all(sent).await {
            result.unwrap();
        }
    }
}

/// Commits an offset in each partition, from 0.
pub(crate) fn commit(broker: &str, group: &str, topic: &str, offsets: &[i64]) {
    let consumer: BaseConsumer = config(broker).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets.iter().copied()) {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}
