use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, advance, timeout};
use tonic::Code;

use super::*;
use crate::lookup::{self, Authentication, Lookup};
use crate::resource::{Api, ObjectId, SourceSpec, connection};
use crate::scaling::Reading;
use crate::source::{self, Source, Taken};

mod laws;
mod readings;
mod table;

/// A source that says what it is told to, and pushes when it is told to.
#[derive(Default)]
struct FakeSource {
    says: Mutex<Option<f64>>,
    takes: Mutex<Duration>,
    refuses: Mutex<Option<source::Error>>,
    calls: Mutex<usize>,
    news: watch::Sender<()>,
    connected: Mutex<Vec<SourceSpec>>,
}

impl FakeSource {
    fn saying(waiting: f64) -> Arc<Self> {
        let fake = Arc::new(Self::default());
        fake.says(Some(waiting));
        fake
    }

    fn says(&self, waiting: Option<f64>) {
        *self.says.lock().unwrap() = waiting;
    }

    fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }
}

struct SharedFake(Arc<FakeSource>);

impl Source for SharedFake {
    fn read(&self, _freshness: Duration) -> BoxFuture<'_, Result<Taken, source::Error>> {
        async move {
            *self.0.calls.lock().unwrap() += 1;
            let takes = *self.0.takes.lock().unwrap();
            tokio::time::sleep(takes).await;
            if let Some(error) = self.0.refuses.lock().unwrap().clone() {
                return Err(error);
            }
            let says = *self.0.says.lock().unwrap();
            let waiting = says.ok_or_else(|| source::Error::Throttled {
                source_name: "the queue of somebody".to_owned(),
                detail: "s3cret".to_owned(),
            })?;
            Ok(Taken {
                reading: Reading::new(waiting),
                at: Instant::now().into_std(),
                terms: None,
                warning: None,
            })
        }
        .boxed()
    }

    fn pushed(&self) -> BoxFuture<'static, ()> {
        let mut news = self.0.news.subscribe();
        async move { drop(news.changed().await) }.boxed()
    }
}

struct Sources(Arc<FakeSource>);

impl Connect for Sources {
    fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, source::Error> {
        self.0.connected.lock().unwrap().push(spec.clone());
        Ok(Arc::new(SharedFake(self.0.clone())))
    }
}

/// TriggerAuthentications of the namespace `orders`, by name, and one Secret that they all name.
#[derive(Default)]
struct FakeObjects {
    secret: Mutex<Option<Result<String, ()>>>,
}

impl Lookup for FakeObjects {
    fn secret<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<lookup::SecretData>, lookup::Error>> {
        async move {
            let object = format!("Secret {id}");
            match self.secret.lock().unwrap().clone() {
                None => Ok(None),
                Some(Ok(value)) => {
                    let data = BTreeMap::from([("key".to_owned(), value.into())]);
                    Ok(Some(Arc::new(data)))
                }
                Some(Err(())) => Err(lookup::Error::Unavailable {
                    object,
                    detail: "away".to_owned(),
                }),
            }
        }
        .boxed()
    }

    fn config_map<'a>(
        &'a self,
        _id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, lookup::Error>> {
        async { Ok(None) }.boxed()
    }

    fn service_account_annotations<'a>(
        &'a self,
        _id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, lookup::Error>> {
        async { Ok(None) }.boxed()
    }

    fn authentication<'a>(
        &'a self,
        id: &'a ObjectId,
        _cluster: bool,
        _api: Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, lookup::Error>> {
        let reference =
            |parameter| serde_json::json!({"parameter": parameter, "name": "keys", "key": "key"});
        let spec = match &*id.name {
            "keys" => Some(serde_json::json!({
                "secretTargetRef": [reference("awsAccessKeyID"), reference("awsSecretAccessKey")]
            })),
            "of-the-workload" => Some(serde_json::json!({"podIdentity": {"provider": "aws-eks"}})),
            _ => None,
        };
        let namespace = id.namespace.to_string();
        async move { Ok(spec.map(|spec| Authentication { spec, namespace })) }.boxed()
    }

    fn forget(&self, _namespace: Option<&str>) {}
}

struct KedaWorld {
    fake: Arc<FakeSource>,
    objects: Arc<FakeObjects>,
    connections: Arc<connections::Connections>,
    keda: Arc<Keda>,
    stop: CancellationToken,
}

impl KedaWorld {
    fn new(fake: Arc<FakeSource>) -> Self {
        Self::with_room_for(fake, 100)
    }

    fn with_room_for(fake: Arc<FakeSource>, most_triggers: usize) -> Self {
        let objects = Arc::new(FakeObjects::default());
        let connections = Arc::new(connections::Connections::new(Vec::new()));
        let keda = Keda::new(Parts {
            sources: Arc::new(Sources(fake.clone())),
            references: references::References {
                lookup: objects.clone(),
                own_namespace: "slipway".to_owned(),
                environment: Arc::new(|_| None),
                scope: Some(vec!["orders".to_owned()]),
            },
            connections: connections.clone(),
            allow_address: Vec::new(),
            ages: Ages::default(),
            most_triggers,
            most_streams: 3,
            metrics: metrics::Metrics::default(),
        });
        Self {
            fake,
            objects,
            connections,
            keda: Arc::new(keda),
            stop: CancellationToken::new(),
        }
    }

    /// A connection of somebody who proves the namespace `orders`, or nothing.
    fn session(&self, proven: bool) -> Session {
        Session {
            keda: self.keda.clone(),
            caller: if proven {
                Peer::proven("orders")
            } else {
                Peer::default()
            },
            places: Arc::new(Semaphore::new(2)),
            stop: self.stop.child_token(),
        }
    }

    /// Runs the test beside the service's own loop.
    async fn with<T>(&self, test: impl Future<Output = T>) -> T {
        tokio::select! {
            () = self.keda.run(self.stop.clone()) => panic!("it runs until it is stopped"),
            result = test => result,
        }
    }
}

fn sqs(more: &[(&str, &str)]) -> ScaledObjectRef {
    let metadata = [
        ("source", "aws-sqs-queue"),
        ("queueURL", "https://sqs.eu-west-1.amazonaws.com/1/orders"),
        ("awsRegion", "eu-west-1"),
    ];
    let all = metadata.iter().chain(more);
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    ScaledObjectRef {
        name: "orders".to_owned(),
        namespace: "orders".to_owned(),
        scaler_metadata: all.map(own).collect::<HashMap<_, _>>(),
    }
}

async fn value(session: &Session) -> Result<i64, Status> {
    let request = GetMetricsRequest {
        scaled_object_ref: Some(sqs(&[])),
        metric_name: "aws-sqs-orders".to_owned(),
    };
    let answer = session
        .get_metrics(Request::new(request))
        .await?
        .into_inner();
    Ok(answer.metric_values[0].metric_value)
}

async fn is_active(session: &Session) -> Result<bool, Status> {
    let answer = session.is_active(Request::new(sqs(&[]))).await?;
    Ok(answer.into_inner().result)
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_at_once_at_every_change_and_again_while_active() {
    let world = KedaWorld::new(FakeSource::saying(0.0));
    let session = world.session(false);
    let test = async {
        let answer = session.stream_is_active(Request::new(sqs(&[]))).await;
        let mut stream = answer.unwrap().into_inner();
        let mut next = async || stream.next().await.unwrap().unwrap().result;
        let began = Instant::now();
        assert!(!next().await);
        assert_eq!(began.elapsed(), Duration::ZERO);
        world.fake.says(Some(4.0));
        assert!(next().await, "at the next reading");
        assert!(began.elapsed() <= Duration::from_secs(6));
        let told = Instant::now();
        assert!(next().await, "again");
        assert_eq!(told.elapsed(), Duration::from_secs(30));
        world.fake.says(Some(0.0));
        world.fake.news.send_replace(());
        let pushed = Instant::now();
        assert!(!next().await);
        assert!(
            pushed.elapsed() < Duration::from_millis(50),
            "{:?}",
            pushed.elapsed()
        );
        let silent = timeout(Duration::from_mins(10), next()).await;
        assert!(
            silent.is_err(),
            "nothing is said again while it is not active"
        );
    };
    world.with(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_nothing_that_nobody_knows() {
    let world = KedaWorld::new(Arc::new(FakeSource::default()));
    let session = world.session(false);
    let test = async {
        let answer = session.stream_is_active(Request::new(sqs(&[]))).await;
        let mut stream = answer.unwrap().into_inner();
        assert!(
            timeout(Duration::from_mins(5), stream.next())
                .await
                .is_err()
        );
        world.fake.says(Some(2.0));
        assert!(stream.next().await.unwrap().unwrap().result);
        world.fake.says(None);
        // The last reading is good for a minute, and is said again for so long.
        let mut said = 0;
        while timeout(Duration::from_mins(2), stream.next()).await.is_ok() {
            said += 1;
        }
        assert!((1..=2).contains(&said), "{said}");
        world.stop.cancel();
        assert!(stream.next().await.is_none(), "a stop ends it with OK");
    };
    world.with(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_is_polled_once_for_all_who_listen_and_no_longer_than_they_do() {
    let world = KedaWorld::new(FakeSource::saying(1.0));
    let sessions = [world.session(false), world.session(false)];
    let test = async {
        let mut streams = Vec::new();
        for session in sessions.iter().chain(&sessions[..1]) {
            let answer = session.stream_is_active(Request::new(sqs(&[]))).await;
            let mut stream = answer.unwrap().into_inner();
            assert!(stream.next().await.unwrap().unwrap().result);
            streams.push(stream);
        }
        // The first has two places, and all together have three.
        for session in &sessions {
            let refused = session.stream_is_active(Request::new(sqs(&[]))).await;
            let refused = refused.err().expect("there is no room");
            assert_eq!(refused.code(), Code::ResourceExhausted);
        }
        let before = world.fake.calls();
        tokio::time::sleep(Duration::from_mins(1)).await;
        let calls = world.fake.calls() - before;
        assert!((10..=13).contains(&calls), "{calls}");
        drop(streams);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = world.fake.calls();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(world.fake.calls(), before);
        tokio::time::sleep(FORGOTTEN_AFTER * 2).await;
        assert_eq!(world.keda.triggers(), 0, "nobody asks for it any more");
    };
    world.with(test).await;
}

#[tokio::test(start_paused = true)]
async fn specs_are_streamed_at_once_and_when_the_connection_changes_them() {
    let world = KedaWorld::new(FakeSource::saying(1.0));
    let session = world.session(false);
    let with_target = |target: u32| {
        let text = format!(
            "[{{name: stage, namespaces: [orders], metadata: {{queueLength: '{target}'}}}}]"
        );
        connection::parse(&text).unwrap()
    };
    world.connections.set(with_target(3));
    let request = || Request::new(sqs(&[("connection", "stage")]));
    let test = async {
        let answer = session.stream_metric_spec(request()).await;
        let mut stream = answer.unwrap().into_inner();
        let mut next = async || stream.next().await.unwrap().unwrap().metric_specs[0].target_size;
        assert_eq!(next().await, 3);
        world.connections.set(with_target(4));
        assert_eq!(next().await, 4);
        let now = session.get_metric_spec(request()).await.unwrap();
        assert_eq!(now.into_inner().metric_specs[0].target_size, 4);
        assert!(timeout(Duration::from_mins(5), next()).await.is_err());
        world.connections.set(Vec::new());
        let gone = session.get_metric_spec(request()).await.unwrap_err();
        assert_eq!(gone.code(), Code::PermissionDenied);
        world.stop.cancel();
        assert!(stream.next().await.is_none());
    };
    world.with(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_is_for_who_proves_the_namespace_and_is_read_again() {
    let world = KedaWorld::new(FakeSource::saying(1.0));
    let (session, stranger) = (world.session(true), world.session(false));
    let spec = async |session: &Session, name| {
        let of = sqs(&[("authenticationRef", name)]);
        session.get_metric_spec(Request::new(of)).await.map(drop)
    };
    let secret = |value: Option<Result<&str, ()>>| {
        *world.objects.secret.lock().unwrap() = value.map(|value| value.map(str::to_owned));
    };
    secret(Some(Ok("one")));
    spec(&session, "keys").await.unwrap();
    let refused = spec(&stranger, "keys").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for (name, words) in [
        (
            "nobody",
            "TriggerAuthentication orders/nobody does not exist",
        ),
        (
            "of-the-workload",
            "podIdentity takes something from the workload's Pods",
        ),
    ] {
        let refused = spec(&session, name).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(words), "{refused}");
    }
    let connected = || world.fake.connected.lock().unwrap().len();
    assert_eq!(connected(), 1);
    advance(Duration::from_secs(31)).await;
    secret(Some(Err(())));
    spec(&session, "keys")
        .await
        .expect("what was right stays in force");
    assert_eq!(connected(), 1);
    advance(Duration::from_secs(31)).await;
    secret(Some(Ok("two")));
    spec(&session, "keys").await.unwrap();
    assert_eq!(connected(), 2);
    advance(Duration::from_secs(31)).await;
    secret(None);
    let refused = spec(&session, "keys").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused
            .message()
            .contains("Secret orders/keys does not exist"),
        "{refused}"
    );
    let foreign = ScaledObjectRef {
        namespace: "billing".to_owned(),
        ..sqs(&[])
    };
    let refused = session.is_active(Request::new(foreign)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
