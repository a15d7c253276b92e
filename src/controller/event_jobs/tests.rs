use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::cluster::{self, Cluster};
use crate::controller::lead::Always;
use crate::controller::metrics::{Launches, Metrics};
use crate::controller::scheduling;
use crate::launch::delivered::{Delivery, Gate};
use crate::launch::ports::{DeliveredJob, DeliveredJobs, Gates, Remember};
use crate::launch::{Error, Launched};

const SECOND: Duration = Duration::from_secs(1);

/// No Jobs, and an API server that proves templates by the name of their EventJob.
#[derive(Default)]
struct Fake {
    proofs: AtomicUsize,
}

impl Deliver for Fake {
    fn prove<'a>(&'a self, event_job: &'a EventJob) -> BoxFuture<'a, Result<(), Error>> {
        self.proofs.fetch_add(1, Ordering::Relaxed);
        let name = &*event_job.id.name;
        let object = name.to_owned();
        async move {
            match name.split('-').next() {
                Some("hangs") => std::future::pending().await,
                Some("panics") => panic!("a bug"),
                Some("refused") => Err(Error::Rejected {
                    object,
                    detail: "no such field".to_owned(),
                }),
                Some("broken") => Err(Error::Unavailable {
                    object,
                    detail: "no answer".to_owned(),
                }),
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn find<'a>(
        &'a self,
        _delivery: &'a Delivery,
        _deadline: Duration,
    ) -> BoxFuture<'a, Result<Option<Launched>, Error>> {
        unreachable!("no event comes")
    }

    fn launch<'a>(
        &'a self,
        _delivery: &'a Delivery,
        _deadline: Duration,
        _may: crate::launch::Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        unreachable!("no event comes")
    }
}

impl DeliveredJobs for Fake {
    fn seen(&self, _event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        Ok(Vec::new())
    }

    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>> {
        std::future::pending().boxed()
    }

    fn appeared(&self, _event_job: &ObjectId) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

impl Gates for Fake {
    fn open(&self, _event_job: &ObjectId) -> Result<Vec<Arc<DeliveredJob>>, Error> {
        Ok(Vec::new())
    }

    fn change<'a>(
        &'a self,
        _job: &'a DeliveredJob,
        _gate: Gate,
    ) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("there is no Job")
    }
}

impl Remember for Fake {
    fn remember<'a>(&'a self, _jobs: &'a [Arc<DeliveredJob>]) -> BoxFuture<'a, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }

    fn remembered_for(&self, _job: &DeliveredJob) -> Option<Duration> {
        None
    }

    fn remove<'a>(&'a self, _job: &'a DeliveredJob) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("there is no Job")
    }
}

struct World {
    catalog: Arc<Catalog>,
    startup: Arc<Startup>,
    fake: Arc<Fake>,
    changes: mpsc::Sender<Change>,
    _tasks: JoinSet<()>,
}

impl World {
    fn start() -> Self {
        let (catalog, fake) = (Arc::new(Catalog::default()), Arc::new(Fake::default()));
        let startup = Arc::new(Startup::default());
        // Nobody listens there: statuses cannot be written, and nobody needs them.
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let cluster = Cluster::new(cluster::client(config).unwrap());
        let clock = || Timestamp::UNIX_EPOCH;
        let event_jobs = EventJobs {
            kind: Owners::EventJobs,
            launcher: fake.clone(),
            ports: Arc::new(Ports {
                jobs: fake.clone(),
                gates: fake.clone(),
                reruns: Arc::new(crate::controller::admission::tests::NoReruns),
                ledger: fake.clone(),
                schedules: scheduling::tests::none(),
                clock,
                holder: "us".to_owned(),
                grace: SECOND,
            }),
            catalog: Arc::clone(&catalog),
            outcomes: Arc::new(Outcomes::new(Owners::EventJobs, clock, Launches::default())),
            writer: Arc::new(StatusWriter::event_jobs(cluster, "us")),
            series: Metrics::register(&mut Registry::default()).jobs(),
            lookup: Arc::new(crate::lookup::files::Files::default()),
            panics: Panics::default(),
            lead: Arc::new(Always),
            startup: Arc::clone(&startup),
            clock,
        };
        let (changes, received) = mpsc::channel(crate::controller::WAITING_CHANGES);
        let mut tasks = JoinSet::new();
        tasks.spawn(run(event_jobs, received, CancellationToken::new()));
        Self {
            catalog,
            startup,
            fake,
            changes,
            _tasks: tasks,
        }
    }

    async fn tell(&self, change: Change) {
        self.changes.send(change).await.unwrap();
    }

    async fn apply(&self, name: &str, generation: i64, status: &Value) {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "EventJob",
            "metadata": {"namespace": "n", "name": name, "uid": name, "generation": generation},
            "spec": {
                "source": {"webhook": {"auth": [{"none": {}}]}},
                "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": format!("example.com/w:{generation}")}],
                }}}},
            },
            "status": status,
        });
        self.tell(Change::Applied(object)).await;
    }

    /// Whether events are taken, by which generation; or why not.
    fn served(&self, name: &str) -> Result<i64, String> {
        match self.catalog.get(&ObjectId::new("n", name)) {
            Some(Listing::Valid(entry)) => {
                let generation = entry.event_job.generation;
                entry.not_ready.map_or(Ok(generation), Err)
            }
            Some(Listing::Deleting) => Err("deleting".to_owned()),
            Some(Listing::Invalid { .. }) => Err("invalid".to_owned()),
            None => Err("nowhere".to_owned()),
        }
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn proofs_that_hang_keep_no_other_from_being_served_and_no_start_from_ending() {
    let world = World::start();
    for number in 0..300 {
        world.apply(&format!("hangs-{number}"), 1, &json!({})).await;
    }
    world.apply("good", 1, &json!({})).await;
    assert!(world.startup.is_done().is_err(), "the lists are not done");
    world.tell(Change::Synced).await;
    pass(SECOND).await;
    assert_eq!(world.served("good"), Ok(1));
    assert!(world.startup.is_done().is_err(), "some may be served yet");
    pass(LONGEST_START).await;
    assert_eq!(world.startup.is_done(), Ok(()));
    world.apply("another", 1, &json!({})).await;
    pass(SECOND).await;
    assert_eq!(world.served("another"), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_start_is_over_when_each_is_served_or_known_not_to_be() {
    let world = World::start();
    for name in ["good", "refused", "broken", "panics"] {
        world.apply(name, 1, &json!({})).await;
    }
    world
        .tell(Change::Applied(json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
            "metadata": {"namespace": "n", "name": "invalid", "uid": "invalid"}, "spec": {},
        })))
        .await;
    world.tell(Change::Synced).await;
    pass(SECOND).await;
    assert_eq!(world.startup.is_done(), Ok(()));
    assert_eq!(world.served("invalid"), Err("invalid".to_owned()));
    assert!(
        world
            .served("refused")
            .unwrap_err()
            .contains("no such field")
    );
}

#[tokio::test(start_paused = true)]
async fn a_bug_that_one_meets_is_its_own_and_an_edit_is_tried() {
    let world = World::start();
    for name in ["panics", "good"] {
        world.apply(name, 1, &json!({})).await;
    }
    pass(SECOND).await;
    assert_eq!(world.served("good"), Ok(1));
    assert_eq!(world.served("panics"), Err("an internal error".to_owned()));
    assert_eq!(world.fake.proofs.load(Ordering::Relaxed), 2);
    world.apply("panics", 2, &json!({})).await;
    world.apply("good", 2, &json!({})).await;
    pass(SECOND).await;
    assert_eq!(world.served("good"), Ok(2));
    assert_eq!(world.fake.proofs.load(Ordering::Relaxed), 4);
    // It is tried again by itself, and goes like any other.
    pass(620 * SECOND).await;
    assert_eq!(world.fake.proofs.load(Ordering::Relaxed), 5);
    let (id, api) = (ObjectId::new("n", "panics"), Api::Slipway);
    world.tell(Change::Removed { id, api }).await;
    pass(SECOND).await;
    assert_eq!(world.served("panics"), Err("nowhere".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_its_status_says_was_proved_is_served_at_once_and_proved_again_behind_it() {
    let world = World::start();
    let proof = |generation: i64, version: &str| -> Value {
        json!({"proof": {"generation": generation, "version": version}})
    };
    let version = env!("CARGO_PKG_VERSION");
    world.apply("good", 3, &proof(3, version)).await;
    world.apply("refused", 3, &proof(3, version)).await;
    world.apply("broken", 3, &proof(3, version)).await;
    world.apply("hangs-generation", 3, &proof(2, version)).await;
    world
        .apply("hangs-version", 3, &proof(3, "0.0.0-other"))
        .await;
    world.tell(Change::Synced).await;
    pass(SECOND).await;
    for name in ["good", "refused", "broken"] {
        assert_eq!(world.served(name), Ok(3), "{name}");
    }
    for name in ["hangs-generation", "hangs-version"] {
        assert!(world.served(name).is_err(), "{name}");
    }
    assert_eq!(
        world.fake.proofs.load(Ordering::Relaxed),
        2,
        "only of those two"
    );
    pass(60 * SECOND).await;
    assert_eq!(world.served("good"), Ok(3));
    // A wrong proof costs a 503; a passing trouble costs nothing.
    assert!(
        world
            .served("refused")
            .unwrap_err()
            .contains("no such field")
    );
    assert_eq!(world.served("broken"), Ok(3));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_being_deleted_is_known_as_such_until_it_is_gone() {
    let world = World::start();
    let (id, api) = (ObjectId::new("n", "good"), Api::Slipway);
    world.apply("good", 1, &json!({})).await;
    pass(SECOND).await;
    for _ in 0..2 {
        world
            .tell(Change::Deleting {
                id: id.clone(),
                api,
            })
            .await;
        pass(SECOND).await;
        assert_eq!(world.served("good"), Err("deleting".to_owned()));
    }
    world.tell(Change::Removed { id, api }).await;
    pass(SECOND).await;
    assert_eq!(world.served("good"), Err("nowhere".to_owned()));
    world.apply("good", 1, &json!({})).await;
    pass(SECOND).await;
    assert_eq!(world.served("good"), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_makes_it_invalid_leaves_its_last_version_to_tell_what_concerns_it() {
    let world = World::start();
    world.apply("good", 1, &json!({})).await;
    pass(SECOND).await;
    for pattern in [
        json!({"detail": {"v": [{"prefx": "o"}]}}),
        json!("no pattern"),
    ] {
        world
            .tell(Change::Applied(json!({
                "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
                "metadata": {"namespace": "n", "name": "good", "uid": "good", "generation": 2},
                "spec": {"source": {"webhook": {"shared": true}}, "pattern": pattern},
            })))
            .await;
        pass(SECOND).await;
        match world.catalog.get(&ObjectId::new("n", "good")) {
            Some(Listing::Invalid { last, says_shared }) => {
                assert_eq!(last.unwrap().generation, 1);
                assert!(says_shared);
            }
            other => panic!("{other:?}"),
        }
    }
    world.apply("good", 3, &json!({})).await;
    pass(SECOND).await;
    assert_eq!(world.served("good"), Ok(3));
}
