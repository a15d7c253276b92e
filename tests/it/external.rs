//! Slipway as the client of external scalers, against a real gRPC server on loopback.
#![expect(clippy::float_cmp, reason = "small numbers are exact")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use slipway::resource::{Inputs, ObjectId, SourceSpec, TriggerEntry, TriggerKind, parse_trigger};
use slipway::source::pool::{Live, Pool, Settings};
use slipway::source::{Error, Source, Taken};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::support::await_until;
use crate::support::scaler::{Says, Scaler};

mod hostile;
mod jobs;
mod pushes;
mod tls;
mod vectors;

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(10);

/// A trigger of the ScaledJob shop/resize.
fn trigger(
    kind: TriggerKind,
    metadata: &[(&str, &str)],
    authentication: &[(&str, &str)],
    env: &[(&str, &str)],
) -> SourceSpec {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let secrets = |pairs| {
        let texts = texts(pairs).into_iter();
        texts
            .map(|(key, value)| (key, SecretString::from(value)))
            .collect()
    };
    let entry = TriggerEntry {
        index: 0,
        kind,
        name: None,
        metadata: texts(metadata).into(),
        authentication: None,
    };
    let inputs = Inputs {
        auth_params: secrets(authentication),
        env: secrets(env),
        ..Inputs::default()
    };
    let owner = ObjectId::new("shop", "resize");
    parse_trigger(&entry, &inputs, &owner).unwrap().source
}

fn external(address: &str) -> SourceSpec {
    let metadata = [("scalerAddress", address), ("queue", "orders")];
    trigger(TriggerKind::External, &metadata, &[], &[])
}

/// Runs beside the test.
#[expect(
    clippy::disallowed_methods,
    reason = "it ends with the runtime of its test"
)]
fn beside<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}

fn local_pool() -> Pool {
    Pool::new(Settings {
        allow_loopback: true,
        ..Settings::default()
    })
}

async fn read(address: &str) -> Result<Taken, Error> {
    let source = local_pool().connect(&external(address)).unwrap();
    source.read(NOW).await
}

/// The reason and the text of a read that fails.
async fn refusal(scaler: &Scaler) -> String {
    let error = read(&scaler.address()).await.unwrap_err();
    let text = format!("{}: {error}", error.reason());
    text.replace(&scaler.address(), "ADDRESS")
}

#[tokio::test]
async fn a_reading_is_three_calls_about_the_object_and_its_metadata() {
    let scaler = Scaler::start(Says::waiting(7, 5));
    let metadata = [
        ("scalerAddress", scaler.address()),
        ("queue", " orders ".to_owned()),
        ("passwordFromEnv", "PASSWORD".to_owned()),
        ("goneFromEnv", "GONE".to_owned()),
    ];
    let metadata: Vec<(&str, &str)> = metadata
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let spec = trigger(
        TriggerKind::External,
        &metadata,
        &[("token", "of the authentication")],
        &[("PASSWORD", "hunter2")],
    );
    let source = local_pool().connect(&spec).unwrap();
    let taken = source.read(NOW).await.unwrap();
    let terms = taken.terms.unwrap();
    assert_eq!(taken.reading.waiting(), 7.0);
    assert_eq!((terms.metric_name.as_str(), terms.target), ("queue", 5.0));
    assert!(terms.is_active);
    let calls = scaler.calls();
    let methods: Vec<_> = calls.iter().map(|call| call.method).collect();
    assert_eq!(methods, ["GetMetricSpec", "GetMetrics", "IsActive"]);
    assert_eq!(calls[1].metric, "queue");
    let sent = [
        ("scalerAddress", scaler.address()),
        ("queue", " orders ".to_owned()),
        ("passwordFromEnv", "hunter2".to_owned()),
    ];
    let sent: HashMap<String, String> = sent
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    for call in calls {
        assert_eq!(
            (call.namespace.as_str(), call.name.as_str()),
            ("shop", "resize")
        );
        assert_eq!(call.metadata, sent);
    }
}

#[tokio::test]
async fn answers_mean_what_they_mean_to_keda_and_none_that_says_nothing_is_zero() {
    let scaler = Scaler::start(Says::waiting(0, 1));
    let several = vec![("a".to_owned(), 4, 0.0), ("b".to_owned(), 0, 1.0)];
    for (says, expected) in [
        (Says::waiting(0, 5), ("queue", 5.0, 0.0, false)),
        (
            Says {
                active: false,
                ..Says::waiting(9, 5)
            },
            ("queue", 5.0, 9.0, false),
        ),
        (
            Says {
                active: true,
                ..Says::waiting(0, 5)
            },
            ("queue", 5.0, 0.0, true),
        ),
        (
            Says {
                specs: several,
                values: vec![(7, 1.5), (2, 0.0)],
                ..Says::waiting(1, 1)
            },
            ("a", 2.5, 3.5, true),
        ),
    ] {
        scaler.says(says);
        let taken = read(&scaler.address()).await.unwrap();
        let terms = taken.terms.unwrap();
        let found = (
            terms.metric_name.as_str(),
            terms.target,
            taken.reading.waiting(),
            terms.is_active,
        );
        assert_eq!(found, expected);
    }
    for (says, expected) in [
        (
            Says {
                specs: Vec::new(),
                ..Says::waiting(3, 1)
            },
            "GetMetricSpec names no metric; one with a target is needed",
        ),
        (
            Says {
                values: Vec::new(),
                ..Says::waiting(3, 1)
            },
            "GetMetrics gives 0 values; one is needed",
        ),
        (
            Says {
                values: vec![(3, f64::NAN)],
                ..Says::waiting(3, 1)
            },
            "GetMetrics gives a value that is no finite number",
        ),
    ] {
        scaler.says(says);
        let expected =
            format!("BadAnswer: external scaler ADDRESS gave an unusable answer: {expected}");
        assert_eq!(refusal(&scaler).await, expected);
    }
}

#[tokio::test]
async fn every_failure_of_every_call_voids_the_reading_and_says_what_it_was() {
    let scaler = Scaler::start(Says::waiting(3, 1));
    let because = |code| Status::new(code, "it\nsays\u{7} so");
    for (method, code, expected) in [
        (
            "GetMetricSpec",
            Code::Unavailable,
            "Unreachable: external scaler ADDRESS did not answer: GetMetricSpec: UNAVAILABLE: it says so",
        ),
        (
            "GetMetrics",
            Code::Internal,
            "Unreachable: external scaler ADDRESS did not answer: GetMetrics: INTERNAL: it says so",
        ),
        (
            "IsActive",
            Code::Unknown,
            "Unreachable: external scaler ADDRESS did not answer: IsActive: UNKNOWN: it says so",
        ),
        (
            "GetMetrics",
            Code::DeadlineExceeded,
            "Unreachable: external scaler ADDRESS did not answer: GetMetrics: DEADLINE_EXCEEDED: it says so",
        ),
        (
            "GetMetrics",
            Code::Unauthenticated,
            "Forbidden: external scaler ADDRESS refused access: GetMetrics: UNAUTHENTICATED: it says so",
        ),
        (
            "IsActive",
            Code::PermissionDenied,
            "Forbidden: external scaler ADDRESS refused access: IsActive: PERMISSION_DENIED: it says so",
        ),
        (
            "GetMetrics",
            Code::NotFound,
            "NotFound: external scaler ADDRESS does not exist: GetMetrics: NOT_FOUND: it says so",
        ),
        (
            "GetMetrics",
            Code::ResourceExhausted,
            "Throttled: external scaler ADDRESS is throttling: GetMetrics: RESOURCE_EXHAUSTED: it says so",
        ),
        (
            "GetMetricSpec",
            Code::InvalidArgument,
            "Invalid: external scaler ADDRESS cannot be used: GetMetricSpec: INVALID_ARGUMENT: it says so",
        ),
        (
            "IsActive",
            Code::Unimplemented,
            "Invalid: external scaler ADDRESS cannot be used: IsActive: UNIMPLEMENTED: it says so",
        ),
    ] {
        scaler.says(Says::failing(method, because(code)));
        assert_eq!(refusal(&scaler).await, expected);
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_in_time_and_the_next_one_has_a_connection_of_its_own() {
    let scaler = Scaler::start(Says {
        hangs: Some("GetMetrics"),
        ..Says::waiting(3, 1)
    });
    let pool = local_pool();
    let source = pool.connect(&external(&scaler.address())).unwrap();
    let start = Instant::now();
    let error = source.read(NOW).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "{error}");
    assert_eq!(error.reason(), "Unreachable", "{error}");
    assert!(error.is_transient());
    assert_eq!(scaler.connections(), 1);
    scaler.says(Says::waiting(3, 1));
    let taken = await_until("it answers again", SOON, async || {
        source.read(NOW).await.ok()
    })
    .await;
    assert_eq!(taken.reading.waiting(), 3.0);
    assert_eq!(scaler.connections(), 2);
}

#[tokio::test]
async fn a_scaler_that_goes_is_unreachable_and_one_that_comes_back_is_read() {
    let scaler = Scaler::start(Says::waiting(3, 1));
    let address = scaler.socket();
    let pool = local_pool();
    let source = pool.connect(&external(&address.to_string())).unwrap();
    assert_eq!(source.read(NOW).await.unwrap().reading.waiting(), 3.0);
    drop(scaler);
    let error = await_until("it is gone", SOON, async || source.read(NOW).await.err()).await;
    assert_eq!(error.reason(), "Unreachable", "{error}");
    // The first to notice may have lost its answer; who comes then finds nobody.
    let refused = |error: Error| {
        error
            .to_string()
            .contains("onnection refused")
            .then_some(())
    };
    await_until("nobody is there", SOON, async || {
        source.read(NOW).await.err().and_then(refused)
    })
    .await;
    let scaler = Scaler::start_at(Says::waiting(4, 1), address, None);
    let taken = await_until("it is back", SOON, async || source.read(NOW).await.ok()).await;
    assert_eq!(taken.reading.waiting(), 4.0);
    assert_eq!(scaler.connections(), 1);
}

#[tokio::test]
async fn triggers_share_a_connection_and_those_that_ask_the_same_a_poll() {
    let scaler = Scaler::start(Says::waiting(3, 1));
    let pool = local_pool();
    let address = scaler.address();
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for index in 0..200 {
        let queue = format!("orders-{}", index % 100);
        let metadata = [("scalerAddress", address.as_str()), ("queue", &queue)];
        let spec = trigger(TriggerKind::External, &metadata, &[], &[]);
        sources.push(pool.connect(&spec).unwrap());
    }
    assert_eq!((pool.live().clients, pool.live().polls), (1, 100));
    let reads = sources
        .iter()
        .map(|source| source.read(Duration::from_mins(1)));
    for taken in futures::future::join_all(reads).await {
        assert_eq!(taken.unwrap().reading.waiting(), 3.0);
    }
    assert_eq!(scaler.count("GetMetrics"), 100);
    assert_eq!(scaler.connections(), 1);
    drop(sources);
    assert_eq!(pool.live(), Live::default());
    assert_eq!(pool.metrics().live(slipway::source::external::KIND), 0);
}

#[tokio::test]
async fn addresses_inside_the_machine_need_to_be_allowed() {
    let scaler = Scaler::start(Says::waiting(3, 1));
    let pool = Pool::new(Settings::default());
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "127.1",
        "0.0.0.0",
        "169.254.169.254",
        "169.254.1.1",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
    ] {
        let address = format!("{host}:{}", scaler.port());
        let error = pool.connect(&external(&address)).err().expect(host);
        assert_eq!(error.reason(), "Invalid", "{host}");
        assert!(error.to_string().contains("--allow-address"), "{error}");
    }
    // `local` allows loopback, and nothing else.
    let link_local = external(&format!("169.254.1.1:{}", scaler.port()));
    assert!(local_pool().connect(&link_local).is_err());
    let pool = Pool::new(Settings {
        allow_address: vec!["127.0.0.1".to_owned()],
        ..Settings::default()
    });
    let source = pool.connect(&external(&scaler.address())).unwrap();
    assert_eq!(source.read(NOW).await.unwrap().reading.waiting(), 3.0);
    assert_eq!(scaler.connections(), 1);
}
