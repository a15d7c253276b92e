//! Reading Kafka: lag on a real broker, faults from librdkafka's in-process cluster.
#![expect(clippy::unwrap_used, reason = "what fails on the way ends the test")]
#![expect(clippy::float_cmp, reason = "counts of messages are exact")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use secrecy::SecretString;
use slipway::resource::SourceSpec;
use slipway::resource::aws::Identity;
use slipway::resource::kafka::{
    Cluster, Credentials, Group, LagRules, OffsetReset, Sasl, Tls, Topics,
};
use slipway::source::kafka::KIND;
use slipway::source::pool::{Live, Pool, Settings};
use slipway::source::{Error, Source};

use crate::support::servers;

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_mins(1);

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
    let nothing = with(&of_group, |of| of.group = unique("group"));
    assert_eq!(lag(&nothing).await, 0.0);
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
        group.rules.exclude_persistent_lag = true;
    });
    let source = pool.connect(&excluding).unwrap();
    let plain = pool.connect(&spec(&broker, &group, &topic)).unwrap();
    let first = source.read(NOW).await.unwrap();
    // The same poll again is the same reading: nothing has stayed yet.
    assert_eq!(source.read(MINUTE).await.unwrap(), first);
    assert_eq!(first.reading.waiting(), 5.0);
    let second = source.read(NOW).await.unwrap();
    assert_eq!(second.reading.waiting(), 0.0);
    assert_eq!(second.reading.activation(), 5.0);
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
    crate::support::await_until("threads end", Duration::from_secs(20), async || {
        (threads() < before + 40).then_some(())
    })
    .await;
    assert_eq!(pool.live(), Live::default());
}

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
    assert!(begin.elapsed() < Duration::from_secs(11));
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
    crate::support::await_until("it comes back", Duration::from_secs(30), async || {
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
        begin.elapsed() < Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn passwords_are_accepted_or_refused_over_every_mechanism() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let sasl = servers::named("TEST_KAFKA_SASL_BROKERS");
    for mechanism in [Sasl::Plain, Sasl::ScramSha256, Sasl::ScramSha512] {
        let right = with(&spec(&sasl, &unique("group"), &topic), |group| {
            group.cluster.sasl = mechanism(admin_user("admin-secret"));
        });
        assert_eq!(lag(&right).await, 1.0);
        let wrong = with(&right, |group| {
            group.cluster.sasl = mechanism(admin_user("canary-guess"));
        });
        let error = read_error(&wrong).await;
        assert_eq!(error.reason(), "Forbidden", "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn certificates_are_verified_unless_told_otherwise() {
    let topic = topic(&servers::kafka_brokers(), 1).await;
    let ca = std::fs::read_to_string(servers::named("TEST_KAFKA_CA")).unwrap();
    let trusting = Tls {
        ca: Some(SecretString::from(ca)),
        ..Tls::default()
    };
    let careless = Tls {
        skip_verification: true,
        ..Tls::default()
    };
    let tls = servers::named("TEST_KAFKA_SSL_BROKERS");
    let over = |settings: &Tls| {
        with(&spec(&tls, &unique("group"), &topic), |group| {
            group.cluster.tls = Some(settings.clone());
        })
    };
    assert_eq!(lag(&over(&trusting)).await, 1.0);
    assert_eq!(lag(&over(&careless)).await, 1.0);
    let error = read_error(&over(&Tls::default())).await;
    assert_eq!(error.reason(), "Unreachable", "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let both = with(
        &spec(
            &servers::named("TEST_KAFKA_SASL_SSL_BROKERS"),
            &unique("group"),
            &topic,
        ),
        |group| {
            group.cluster.tls = Some(trusting.clone());
            group.cluster.sasl = Sasl::ScramSha512(admin_user("admin-secret"));
        },
    );
    assert_eq!(lag(&both).await, 1.0);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_without_being_shown() {
    let broken = with(&spec("127.0.0.1:9", "group", "orders"), |group| {
        group.cluster.tls = Some(Tls {
            client: Some((
                SecretString::from("canary-cert"),
                SecretString::from("canary-key"),
            )),
            ..Tls::default()
        });
    });
    let error = read_error(&broken).await;
    assert_eq!(error.reason(), "Invalid", "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn what_cannot_work_is_refused_when_connecting() {
    let kerberos = with(&spec("kafka.example:9092", "group", "orders"), |group| {
        group.cluster.sasl = Sasl::Gssapi;
    });
    let msk = with(&spec("kafka.example:9098", "group", "orders"), |group| {
        group.cluster.tls = Some(Tls::default());
        group.cluster.sasl = Sasl::MskIam {
            region: "eu-west-1".to_owned(),
            identity: Identity::Own,
        };
    });
    let pool = Pool::new(Settings::default());
    for (spec, words) in [
        (kerberos, "no Kerberos"),
        (msk, "only to brokers of MSK"),
        (spec("127.0.0.1:9092", "group", "orders"), "--allow-address"),
        (spec("[::1]:9092", "group", "orders"), "--allow-address"),
        (spec("kafka.example", "group", "orders"), "host:port"),
    ] {
        let error = pool.connect(&spec).err().unwrap();
        assert_eq!(error.reason(), "Invalid");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(
        pool.connect(&spec("kafka.example:9092", "group", "orders"))
            .is_ok()
    );
}

#[tokio::test]
async fn a_token_is_asked_for_and_used() {
    let (endpoint, requests) =
        token_server(200, r#"{"access_token":"abc.def.ghi","expires_in":300}"#);
    let broker = servers::named("TEST_KAFKA_SASL_BROKERS");
    let error = read_error(&with_token(&broker, &endpoint)).await;
    // The broker has no OAUTHBEARER: that it says so shows that there was a token to try.
    assert_eq!(error.reason(), "Forbidden", "{error}");
    assert!(error.to_string().contains("OAUTHBEARER"), "{error}");
    let request = requests.recv().unwrap();
    assert!(
        request.contains("grant_type=client_credentials&scope=one+two"),
        "{request}"
    );
    // `user:p%40ss`, base64: names and passwords are form-encoded first (RFC 6749, 2.3.1).
    assert!(request.contains("Basic dXNlcjpwJTQwc3M="), "{request}");
}

#[tokio::test]
async fn a_token_server_that_refuses_is_a_refusal() {
    for (status, body, reason) in [
        (401, "{}", "Forbidden"),
        (500, "{}", "Unreachable"),
        (200, "no json", "Unreachable"),
        (200, r#"{"token":"x"}"#, "Unreachable"),
    ] {
        let (endpoint, requests) = token_server(status, body);
        let begin = Instant::now();
        let error = read_error(&with_token("127.0.0.1:9", &endpoint)).await;
        assert_eq!(error.reason(), reason, "{status} {body}: {error}");
        assert!(!error.to_string().contains("p@ss"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(5));
        drop(requests);
    }
}

/// Gives everybody the same answer, from a thread that ends with the process; what it was asked.
fn token_server(status: u16, body: &'static str) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut text = String::new();
            let mut bytes = [0; 4096];
            // The header and the body may come apart.
            while !text.contains("client_credentials") {
                let count = connection.read(&mut bytes).unwrap();
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            connection.write_all(answer.as_bytes()).unwrap();
            if asked.send(text).is_err() {
                return;
            }
        }
    });
    (endpoint, requests)
}

fn with_token(broker: &str, endpoint: &str) -> SourceSpec {
    with(&spec(broker, "group", "orders"), |group| {
        group.cluster.sasl = Sasl::OauthBearer {
            credentials: Credentials {
                username: SecretString::from("user"),
                password: SecretString::from("p@ss"),
            },
            token_endpoint: endpoint.to_owned(),
            scopes: vec!["one".to_owned(), "two".to_owned()],
            extensions: BTreeMap::new(),
        };
    })
}

async fn lag(spec: &SourceSpec) -> f64 {
    waiting(&local_pool().connect(spec).unwrap()).await
}

async fn waiting(source: &Arc<dyn Source>) -> f64 {
    source.read(NOW).await.unwrap().reading.waiting()
}

async fn read_error(spec: &SourceSpec) -> Error {
    let source = local_pool().connect(spec).unwrap();
    source.read(NOW).await.unwrap_err()
}

fn local_pool() -> Pool {
    Pool::new(Settings {
        allow_loopback: true,
        ..Settings::default()
    })
}

fn spec(broker: &str, group: &str, topic: &str) -> SourceSpec {
    SourceSpec::Kafka(Group {
        cluster: Cluster {
            bootstrap_servers: broker.split(',').map(str::to_owned).collect(),
            tls: None,
            sasl: Sasl::None,
        },
        group: group.to_owned(),
        topics: Topics::Named(vec![topic.to_owned()]),
        partitions: None,
        rules: LagRules {
            lag_threshold: 1000,
            offset_reset: OffsetReset::Latest,
            allow_idle_consumers: false,
            scale_to_zero_on_invalid_offset: false,
            exclude_persistent_lag: false,
            limit_to_partitions_with_lag: false,
            ensure_even_distribution: false,
            missing_commit_is_zero: false,
        },
    })
}

fn idle_allowed(spec: &SourceSpec) -> SourceSpec {
    with(spec, |group| group.rules.allow_idle_consumers = true)
}

fn with(spec: &SourceSpec, change: impl FnOnce(&mut Group)) -> SourceSpec {
    let SourceSpec::Kafka(mut group) = spec.clone() else {
        unreachable!("only groups here")
    };
    change(&mut group);
    SourceSpec::Kafka(group)
}

fn admin_user(password: &str) -> Credentials {
    Credentials {
        username: SecretString::from("admin"),
        password: SecretString::from(password),
    }
}

fn unique(name: &str) -> String {
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
async fn topic(broker: &str, partitions: i32) -> String {
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
async fn produce(broker: &str, topic: &str, messages: &[i32]) {
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
fn commit(broker: &str, group: &str, topic: &str, offsets: &[i64]) {
    let consumer: BaseConsumer = config(broker).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    let places: BTreeMap<i32, i64> = (0..).zip(offsets.iter().copied()).collect();
    for (partition, offset) in places {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}
