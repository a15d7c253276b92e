//! Kafka: whom our identity is shown to, what a refusal costs the brokers, what a cluster costs us.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use secrecy::SecretString;
use slipway::externalscaler::external_scaler_client::ExternalScalerClient;
use slipway::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use slipway::resource::SourceSpec;
use slipway::resource::aws::AwsIdentity;
use slipway::resource::kafka::{Credentials, KafkaTls, Sasl};
use slipway::source::Source;
use slipway::source::pool::{Pool, Settings};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::kafka::{NOW, local_pool, read_error, spec, topic, unique, with};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::servers;

mod broker;

use broker::{FakeBroker, Names};

/// Between a client and a real broker; counts the connections.
struct Counted {
    address: String,
    seen: Arc<(AtomicUsize, Notify)>,
    _tasks: JoinSet<()>,
}

impl Counted {
    async fn to(broker: &str) -> Self {
        Self::through(broker, None).await
    }

    /// What comes by TLS goes on in the clear.
    async fn through(broker: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new((AtomicUsize::new(0), Notify::new()));
        let mut tasks = JoinSet::new();
        let (all, broker) = (Arc::clone(&seen), broker.to_owned());
        tasks.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                all.0.fetch_add(1, Ordering::SeqCst);
                all.1.notify_one();
                let (broker, tls) = (broker.clone(), tls.clone());
                wires.spawn(async move {
                    let mut far = TcpStream::connect(broker).await.unwrap();
                    let Some(tls) = tls else {
                        drop(copy_bidirectional(&mut near, &mut far).await);
                        return;
                    };
                    if let Ok(mut near) = tls.accept(near).await {
                        drop(copy_bidirectional(&mut near, &mut far).await);
                    }
                });
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    fn connections(&self) -> usize {
        self.seen.0.load(Ordering::SeqCst)
    }
}

fn credentials(password: &str) -> Credentials {
    Credentials {
        username: SecretString::from("admin"),
        password: SecretString::from(password),
    }
}

fn over_tls(spec: &SourceSpec) -> SourceSpec {
    with(spec, |group| group.cluster.tls = Some(KafkaTls::default()))
}

fn with_password(spec: &SourceSpec, password: &str) -> SourceSpec {
    with(spec, |group| {
        group.cluster.sasl = Sasl::ScramSha256(credentials(password));
    })
}

/// The broker says who it is with a certificate that nobody here trusts; or it refuses the password.
#[tokio::test]
async fn a_refusal_is_one_connection_until_the_next_poll() {
    let tls = Counted::to(&servers::named("TEST_KAFKA_SSL_BROKERS")).await;
    let sasl = Counted::to(&servers::named("TEST_KAFKA_SASL_BROKERS")).await;
    for (broker, asked, reason) in [
        (
            &tls,
            over_tls(&spec(&tls.address, "one", "orders")),
            "Invalid",
        ),
        (
            &sasl,
            with_password(&spec(&sasl.address, "one", "orders"), "canary-guess"),
            "Forbidden",
        ),
    ] {
        let pool = local_pool();
        let first = pool.connect(&asked).unwrap();
        let error = first.read(NOW).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        // Fifty groups of the same cluster hear the same without asking.
        let others: Vec<Arc<dyn Source>> = (0..50)
            .map(|number| {
                let other = with(&asked, |group| group.group = format!("group-{number}"));
                pool.connect(&other).unwrap()
            })
            .collect();
        for answer in join_all(others.iter().map(|other| other.read(NOW))).await {
            assert_eq!(answer.unwrap_err().reason(), reason);
        }
        // A machine that is busy may let one more through before the refusal is heard.
        assert!(broker.connections() <= 2, "{}", broker.connections());
        broker.seen.1.notified().await;
        // Nothing reconnects by itself: librdkafka would, some ten times in this second.
        let again = tokio::time::timeout(Duration::from_secs(1), broker.seen.1.notified()).await;
        assert!(again.is_err(), "{} connections", broker.connections());
    }
}

#[tokio::test]
async fn the_same_trouble_has_the_same_words() {
    let plain = servers::kafka_brokers();
    let sasl = servers::named("TEST_KAFKA_SASL_BROKERS");
    let tls = servers::named("TEST_KAFKA_SSL_BROKERS");
    let closed = "the broker closed during the handshake: is `sasl` or `tls` missing?";
    for (asked, words) in [
        (
            with_password(&spec(&sasl, "g", "orders"), "guess"),
            "Authentication failed",
        ),
        (spec(&sasl, "g", "orders"), closed),
        (spec(&tls, "g", "orders"), closed),
        (over_tls(&spec(&plain, "g", "orders")), closed),
        (
            over_tls(&spec(&tls, "g", "orders")),
            "certificate verify failed",
        ),
        (spec("127.0.0.1:9,127.0.0.1:11", "g", "orders"), "refused"),
    ] {
        let texts = join_all((0..4).map(|_| read_error(&asked))).await;
        let texts: HashSet<String> = texts.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        for text in texts {
            assert!(text.contains(words), "{words}: {text}");
            assert!(
                !text.contains(" ms") && !text.contains("suppressed"),
                "{text}"
            );
        }
    }
}

/// Brokers at 127.0.0.1 may see our identity, and moto says who we are.
fn pool_with_identity(token: &Path) -> Pool {
    Pool::new(Settings {
        allow_identity: vec!["127.0.0.1".to_owned()],
        allow_loopback: true,
        sts_endpoint: Some(servers::moto_endpoint()),
        web_identity_token_file: Some(token.to_owned()),
        ..Settings::default()
    })
}

/// With a token of MSK's for an identity of our own.
fn as_ourselves(spec: &SourceSpec) -> SourceSpec {
    with(spec, |group| {
        group.cluster.sasl = Sasl::MskIam {
            region: "eu-west-1".to_owned(),
            identity: AwsIdentity::Role {
                arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
                external_id: None,
                web_identity: true,
            },
        };
    })
}

/// A broker that may see our identity names another one, as a leader or as a coordinator, that may not.
#[tokio::test]
async fn our_identity_goes_to_no_broker_that_a_broker_names() {
    let token = std::env::temp_dir().join(unique("token"));
    std::fs::write(&token, "a token that moto does not look into").unwrap();
    for names in [Names::Leader, Names::Coordinator] {
        let elsewhere = FakeBroker::start(None, names).await;
        // The same address by a name that nobody allowed.
        let other = ("localhost".to_owned(), elsewhere.port);
        let named = FakeBroker::start(Some(other), names).await;
        let pool = pool_with_identity(&token);
        let address = format!("127.0.0.1:{}", named.port);
        let asked = as_ourselves(&spec(&address, "g", "orders"));
        let source = pool.connect(&asked).unwrap();
        let error = source.read(NOW).await.unwrap_err();
        assert!(named.tokens() > 0, "{error}");
        assert_eq!(elsewhere.connections(), 0, "{error}");
        assert_eq!(error.reason(), "Invalid", "{error}");
        assert!(
            error.to_string().contains("--allow-identity localhost"),
            "{error}"
        );
    }
    std::fs::remove_file(&token).unwrap();
}

/// A broker behind TLS, with a certificate for a name; the pair of both is dropped together.
async fn behind_tls(name: &str) -> (FakeBroker, Counted, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let broker = FakeBroker::start(None, Names::Leader).await;
    let plain = format!("127.0.0.1:{}", broker.port);
    let front = Counted::through(&plain, Some(TlsAcceptor::from(Arc::new(config)))).await;
    (broker, front, made.cert.pem())
}

#[tokio::test]
async fn our_identity_goes_to_no_broker_whose_certificate_does_not_prove_its_name() {
    let token = std::env::temp_dir().join(unique("token"));
    std::fs::write(&token, "a token that moto does not look into").unwrap();
    for (name, is_trusted, is_shown) in [
        ("127.0.0.1", true, true),
        ("127.0.0.1", false, false),
        ("broker.example", true, false),
    ] {
        let (broker, front, certificate) = behind_tls(name).await;
        let pool = pool_with_identity(&token);
        let asked = as_ourselves(&spec(&front.address, "g", "orders"));
        let asked = with(&asked, |group| {
            group.cluster.tls = Some(KafkaTls {
                ca: is_trusted.then(|| SecretString::from(certificate)),
                ..KafkaTls::default()
            });
        });
        let error = pool.connect(&asked).unwrap().read(NOW).await.unwrap_err();
        let case = format!("{name}, {is_trusted}: {error}");
        assert_eq!(broker.tokens() > 0, is_shown, "{case}");
        let is_refused = error.to_string().contains("certificate verify failed");
        assert_eq!(is_refused, !is_shown, "{case}");
    }
    std::fs::remove_file(&token).unwrap();
}

/// librdkafka ends the process when a coordinator shows up for a question whose time is over.
#[tokio::test]
async fn a_coordinator_that_comes_late_ends_no_process() {
    let broker = FakeBroker::start(None, Names::Coordinator).await;
    broker.lack_coordinator(true);
    let pool = local_pool();
    let sources: Vec<Arc<dyn Source>> = (0..4)
        .map(|number| {
            let group = format!("group-{number}");
            let asked = spec(&format!("127.0.0.1:{}", broker.port), &group, "orders");
            pool.connect(&asked).unwrap()
        })
        .collect();
    for answer in join_all(sources.iter().map(|source| source.read(NOW))).await {
        assert_eq!(answer.unwrap_err().reason(), "Unreachable");
    }
    broker.lack_coordinator(false);
    for source in sources {
        let taken = await_until("it is read", Duration::from_mins(1), async || {
            source.read(NOW).await.ok()
        });
        // Nothing is committed, and `latest` makes one Job then.
        assert!((taken.await.reading.waiting() - 1.0).abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn three_hundred_groups_are_one_client() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let cluster = Cluster::new("attack-kafka").await;
    let namespace = cluster.namespace.clone();
    let slipway = Slipway::run(&servers::kubeconfig(), &namespace, &[], &[]).await;
    let endpoint = format!("http://{}", slipway.grpc());
    let client = ExternalScalerClient::connect(endpoint).await.unwrap();
    let (threads, descriptors) = slipway.held();
    let read = async |number: usize| {
        let metadata = [
            ("source", &"kafka".to_owned()),
            ("bootstrapServers", &broker),
            ("topic", &topic),
            ("consumerGroup", &format!("{topic}-{number}")),
        ];
        let own = |(key, value): (&str, &String)| (key.to_owned(), value.clone());
        let request = GetMetricsRequest {
            metric_name: format!("kafka-{topic}"),
            scaled_object_ref: Some(ScaledObjectRef {
                name: format!("scaled-{number}"),
                namespace: namespace.clone(),
                scaler_metadata: metadata.map(own).into(),
            }),
        };
        // A group that is new has no coordinator for a moment.
        let answer = await_until("it is read", Duration::from_mins(1), async || {
            client.clone().get_metrics(request.clone()).await.ok()
        });
        answer.await.into_inner().metric_values
    };
    for values in join_all((0..300).map(read)).await {
        assert!((values[0].metric_value_float - 1.0).abs() < f64::EPSILON);
    }
    let (now, open) = slipway.held();
    assert!(now <= threads + 30, "{threads} threads, then {now}");
    assert!(
        open <= descriptors + 60,
        "{descriptors} descriptors, then {open}"
    );
    cluster.remove().await;
}
