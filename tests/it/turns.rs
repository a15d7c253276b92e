//! The loop over fakes, in virtual time: when turns come, what a change of the
//! objects does to them, and what is left when objects go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use slipway::controller::metrics::Metrics;
use slipway::controller::status::{Observed, Report};
use slipway::controller::{self, Change, Identity, Reporter, TurnPorts, WAITING_CHANGES};
use slipway::history::SharedHistory;
use slipway::lookup::{self, Authentication, Lookup};
use slipway::resource::{Api, ObjectId, SourceSpec};
use slipway::source::{self, Connect, Source, Taken};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::fakes::{RecordingLauncher, ScriptedSource};

mod leading;
mod pushes;
mod recorded;

/// One scripted source for each topic.
#[derive(Default)]
struct Topics(Mutex<BTreeMap<String, Arc<dyn Source>>>);

impl Connect for Topics {
    fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, source::Error> {
        let SourceSpec::Kafka(group) = spec else {
            unreachable!("all triggers here are of Kafka")
        };
        Ok(self.0.lock().unwrap()[&group.group].clone())
    }
}

/// A source that never answers, but for its deadline.
struct Silent;

impl Source for Silent {
    fn read(&self, _freshness: Duration) -> BoxFuture<'_, Result<Taken, source::Error>> {
        async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Err(source::Error::Unreachable {
                source_name: "the silent one".to_owned(),
                detail: "no answer within 10 s".to_owned(),
            })
        }
        .boxed()
    }
}

/// A source with a bug.
struct Broken;

impl Source for Broken {
    fn read(&self, _freshness: Duration) -> BoxFuture<'_, Result<Taken, source::Error>> {
        async { panic!("a bug") }.boxed()
    }
}

/// Triggers here refer to nothing.
struct Nothing;

impl Lookup for Nothing {
    fn secret<'a>(
        &'a self,
        _id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<lookup::SecretData>, lookup::Error>> {
        async { Ok(None) }.boxed()
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
        _id: &'a ObjectId,
        _cluster: bool,
        _api: Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, lookup::Error>> {
        async { Ok(None) }.boxed()
    }

    fn forget(&self, _namespace: Option<&str>) {}
}

/// The latest report of each object that is there.
#[derive(Default)]
struct Reports(Mutex<BTreeMap<String, Report>>, AtomicU32);

impl Reports {
    /// Lets so many attempts to show something fail.
    fn fail(&self, times: u32) {
        self.1.store(times, Ordering::Relaxed);
    }

    fn failures_left(&self) -> u32 {
        self.1.load(Ordering::Relaxed)
    }
}

impl Reporter for Reports {
    fn report(&self, object: &Identity, report: Report) {
        self.0.lock().unwrap().insert(object.uid.clone(), report);
    }

    fn flush<'a>(&'a self, _object: &'a Identity) -> BoxFuture<'a, Option<Duration>> {
        let fails = self
            .1
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        async move { fails.is_ok().then_some(Duration::from_secs(10)) }.boxed()
    }

    fn forget(&self, object: &Identity) {
        self.0.lock().unwrap().remove(&object.uid);
    }
}

/// The loop and all that surrounds it.
struct World {
    /// Whether turns are ours; they are, unless a test says no.
    lead: Arc<leading::Switch>,
    changes: mpsc::Sender<Change>,
    stop: CancellationToken,
    launcher: Arc<RecordingLauncher>,
    topics: Arc<Topics>,
    history: Arc<SharedHistory>,
    reports: Arc<Reports>,
    registry: Registry,
}

impl World {
    fn source(
        &self,
        group: &str,
        script: impl IntoIterator<Item = Option<f64>>,
    ) -> Arc<ScriptedSource> {
        let source = ScriptedSource::new(script);
        self.has(group, source.clone());
        source
    }

    fn has(&self, group: &str, source: Arc<dyn Source>) {
        self.topics
            .0
            .lock()
            .unwrap()
            .insert(group.to_owned(), source);
    }

    async fn tell(&self, change: Change) {
        self.changes.send(change).await.expect("the loop runs");
    }

    async fn apply(&self, object: Value) {
        self.tell(Change::Applied(object)).await;
    }

    /// The names of series that some object has.
    fn series(&self) -> Vec<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let lines = text.lines().filter(|line| line.contains("kind="));
        lines.map(str::to_owned).collect()
    }
}

/// Virtual time passes; whatever is due within it happens.
async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// Runs a test beside the loop; what the loop came to.
async fn running(test: impl AsyncFnOnce(&World)) {
    let mut registry = Registry::with_prefix("slipway");
    let metrics = Metrics::register(&mut registry);
    let (sender, received) = mpsc::channel(WAITING_CHANGES);
    let world = World {
        lead: Arc::new(leading::Switch::new(true)),
        changes: sender,
        stop: CancellationToken::new(),
        launcher: RecordingLauncher::new(),
        topics: Arc::default(),
        reports: Arc::default(),
        history: Arc::default(),
        registry,
    };
    let shared = TurnPorts {
        lead: world.lead.clone(),
        launcher: world.launcher.clone(),
        sources: world.topics.clone(),
        lookup: Arc::new(Nothing),
        reporter: world.reports.clone(),
        metrics,
        history: world.history.clone(),
        clock: || jiff::Timestamp::UNIX_EPOCH,
        latest_create: Duration::ZERO,
    };
    let turns = controller::run(shared, received, world.stop.clone());
    let test = async {
        test(&world).await;
        world.stop.cancel();
    };
    futures::future::join(turns, test).await;
    recorded::decide_again(&world.history);
}

/// An object with one Job a message, read each 30 s, on the group of its name.
fn object(name: &str, uid: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name, "namespace": "production", "uid": uid, "generation": 1},
        "spec": {
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "worker", "image": "worker"}]}}},
            "triggers": [{"type": "kafka", "metadata": {
                "bootstrapServers": "kafka:9092", "topic": "orders", "consumerGroup": name, "lagThreshold": "1",
            }}],
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

fn removed(name: &str) -> Change {
    Change::Removed {
        id: ObjectId::new("production", name),
        api: Api::Slipway,
    }
}

/// Seconds between calls.
fn gaps(calls: &[Instant]) -> Vec<f64> {
    let gap = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64();
    calls.windows(2).map(gap).collect()
}

#[tokio::test(start_paused = true)]
async fn the_next_poll_comes_an_interval_after_the_last_however_many_jobs_finish_between() {
    running(async |world| {
        let source = world.source("orders", [Some(1000.0)]);
        world
            .apply(object("orders", "1", &json!({"maxReplicaCount": 5})))
            .await;
        for _ in 0..100 {
            pass(1.0).await;
            world.launcher.finish(1);
            world
                .tell(Change::JobFinished(ObjectId::new("production", "orders")))
                .await;
        }
        pass(0.5).await;
        assert_eq!(gaps(&source.calls()), [30.0, 30.0, 30.0]);
        // Each finished Job made room for one at once.
        assert_eq!(world.launcher.orders().len(), 105);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_count_that_fails_at_the_start_is_repeated_soon_whatever_the_interval() {
    running(async |world| {
        let source = world.source("orders", [Some(3.0)]);
        world.launcher.count_fails(true);
        world
            .apply(object("orders", "1", &json!({"pollingInterval": 300})))
            .await;
        pass(0.5).await;
        world.launcher.count_fails(false);
        pass(2.0).await;
        assert_eq!(world.launcher.orders().len(), 3);
        assert_eq!(source.calls().len(), 1, "the reading was still good");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_fails_backs_off_and_touches_no_other() {
    running(async |world| {
        let fails = world.source("fails", [None]);
        let works = world.source("works", [Some(0.0)]);
        world.has("silent", Arc::new(Silent));
        for name in ["fails", "works", "silent"] {
            world.apply(object(name, name, &json!({}))).await;
        }
        pass(1800.5).await;
        let gaps_of_failing = gaps(&fails.calls());
        assert!(fails.calls().len() <= 40, "{gaps_of_failing:?}");
        assert!(
            gaps_of_failing.iter().all(|gap| *gap <= 60.0),
            "{gaps_of_failing:?}"
        );
        assert_eq!(works.calls().len(), 61);
        // Once it works again it is read each interval, as if nothing had been.
        fails.says(Some(0.0));
        pass(300.0).await;
        let before = fails.calls().len();
        pass(300.0).await;
        assert_eq!(fails.calls().len(), before + 10);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn objects_of_one_source_share_one_poll_an_interval_again_after_an_outage() {
    running(async |world| {
        let source = world.source("orders", [Some(0.0)]);
        for index in 0..50 {
            let name = format!("orders-{index}");
            world.has(&name, source.clone());
            world.apply(object(&name, &name, &json!({}))).await;
            pass(0.3).await;
        }
        pass(100.0).await;
        source.says(None);
        pass(300.0).await;
        source.says(Some(0.0));
        pass(400.0).await;
        let before = source.calls().len();
        pass(300.0).await;
        let polls = source.calls().len() - before;
        assert!((10..=11).contains(&polls), "{polls} polls in ten intervals");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_made_again_under_its_name_starts_afresh() {
    for deletion_is_seen in [true, false] {
        running(async |world| {
            world.source("orders", [Some(10.0)]);
            let spec = json!({"maxReplicaCount": 2});
            world.apply(object("orders", "old", &spec)).await;
            pass(1.0).await;
            if deletion_is_seen {
                world.tell(removed("orders")).await;
            }
            world.apply(object("orders", "new", &spec)).await;
            pass(40.0).await;
            assert_eq!(world.launcher.forgotten(), ["old"]);
            assert_eq!(world.launcher.round("old").unwrap().number, 1);
            let round = world.launcher.round("new").expect("a round of its own");
            assert_eq!((round.number, round.jobs), (1, 2));
            let reports = world.reports.0.lock().unwrap();
            assert_eq!(reports.keys().collect::<Vec<_>>(), ["new"]);
            drop(reports);
            assert!(
                !world.series().is_empty(),
                "the end of the old one took nothing of the new one's"
            );
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_launched_after_the_removal_in_the_middle_of_a_turn() {
    running(async |world| {
        world.source("orders", [Some(10.0)]);
        let door = world.launcher.door.acquire().await.expect("never closed");
        world.apply(object("orders", "1", &json!({}))).await;
        pass(1.0).await;
        world.tell(removed("orders")).await;
        pass(1.0).await;
        drop(door);
        pass(100.0).await;
        assert!(world.launcher.orders().is_empty());
        assert_eq!(world.series(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_objects_come_and_go_and_nothing_is_left() {
    running(async |world| {
        let source = world.source("orders", [Some(1.0)]);
        for index in 0..1000 {
            let name = format!("orders-{index}");
            world.has(&name, source.clone());
            world.apply(object(&name, &name, &json!({}))).await;
        }
        pass(100.0).await;
        world.launcher.finish(300);
        pass(100.0).await;
        assert!(world.series().len() > 2000);
        for index in 0..1000 {
            world
                .topics
                .0
                .lock()
                .unwrap()
                .remove(&format!("orders-{index}"));
            world.tell(removed(&format!("orders-{index}"))).await;
        }
        pass(1.0).await;
        assert_eq!(world.series(), Vec::<String>::new());
        assert!(world.reports.0.lock().unwrap().is_empty());
        assert_eq!(world.launcher.forgotten().len(), 1000);
        // The test's and the table's: no task and no connection holds it.
        assert_eq!(Arc::strong_count(&source), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_objects_of_one_name_in_both_apis_have_series_of_their_own() {
    running(async |world| {
        world.source("orders", [Some(1.0)]);
        let ours = object("orders", "ours", &json!({}));
        let mut kedas = object("orders", "kedas", &json!({}));
        kedas["apiVersion"] = json!("keda.sh/v1alpha1");
        world.apply(ours).await;
        world.apply(kedas).await;
        pass(1.0).await;
        let both = world.series();
        world.tell(removed("orders")).await;
        pass(1.0).await;
        let one = world.series();
        assert_eq!(both.len(), 2 * one.len(), "{both:#?}");
        assert!(
            one.iter()
                .all(|line| line.contains(r#"kind="ScaledJob.keda.sh""#)),
            "{one:#?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_object_launches_nothing_and_has_no_series() {
    running(async |world| {
        world.source("orders", [Some(10.0)]);
        let running = object("orders", "1", &json!({"maxReplicaCount": 2}));
        let mut paused = running.clone();
        paused["metadata"]["annotations"] = json!({"autoscaling.keda.sh/paused": "true"});
        world.apply(running).await;
        pass(1.0).await;
        world.apply(paused).await;
        pass(1.0).await;
        world.launcher.finish(2);
        world
            .tell(Change::JobFinished(ObjectId::new("production", "orders")))
            .await;
        pass(100.0).await;
        assert_eq!(world.launcher.orders().len(), 2);
        assert_eq!(world.series(), Vec::<String>::new());
        let reports = world.reports.0.lock().unwrap();
        assert!(matches!(reports["1"].observed, Observed::Paused));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_finish_are_counted_once_with_how_long_they_took() {
    running(async |world| {
        world.source("orders", [Some(2.0)]);
        world.apply(object("orders", "1", &json!({}))).await;
        pass(1.0).await;
        world.launcher.finish(2);
        pass(200.0).await;
        world.launcher.finish(1);
        pass(200.0).await;
        let line = |name: &str| {
            let series = world.series();
            series
                .into_iter()
                .find(|line| line.starts_with(name))
                .unwrap_or_default()
        };
        assert!(
            line("slipway_jobs_finished_total").ends_with(" 3"),
            "{:#?}",
            world.series()
        );
        assert!(
            line("slipway_job_duration_seconds_sum").ends_with(" 90.0"),
            "{:#?}",
            world.series()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_silent_source_no_longer_than_its_deadline() {
    let start = Instant::now();
    running(async |world| {
        world.has("orders", Arc::new(Silent));
        world.apply(object("orders", "1", &json!({}))).await;
        pass(1.0).await;
    })
    .await;
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_bug_that_one_object_meets_ends_nothing_else_and_is_tried_again() {
    running(async |world| {
        let good = world.source("good", [Some(1.0)]);
        world.has("broken", Arc::new(Broken));
        let panics = || {
            let mut text = String::new();
            encode(&mut text, &world.registry).unwrap();
            let line = text
                .lines()
                .find(|line| line.starts_with("slipway_controller_panics_total "));
            line.unwrap().to_owned()
        };
        let is_shown = || {
            let reports = world.reports.0.lock().unwrap();
            reports
                .get("1")
                .is_some_and(|report| matches!(report.observed, Observed::Broken))
        };
        world.apply(object("broken", "1", &json!({}))).await;
        world.apply(object("good", "2", &json!({}))).await;
        pass(61.0).await;
        assert_eq!(good.calls().len(), 3);
        assert!(is_shown());
        assert!(panics().ends_with(" 1"), "{}", panics());
        // After an edit, and after ten minutes.
        world
            .apply(object("broken", "1", &json!({"maxReplicaCount": 7})))
            .await;
        pass(1.0).await;
        assert!(panics().ends_with(" 2"), "{}", panics());
        pass(10.0 * 60.0).await;
        assert!(panics().ends_with(" 3"), "{}", panics());
        let mended = world.source("broken", [Some(1.0)]);
        world
            .apply(object("broken", "1", &json!({"maxReplicaCount": 8})))
            .await;
        pass(1.0).await;
        assert_eq!(mended.calls().len(), 1);
        assert!(!is_shown());
        // What panicked goes like any other.
        world.tell(removed("broken")).await;
        pass(61.0).await;
        assert_eq!(mended.calls().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_being_deleted_launches_nothing_more_and_holds_nothing() {
    running(async |world| {
        let source = world.source("orders", [Some(5.0)]);
        world
            .apply(object("orders", "1", &json!({"maxReplicaCount": 2})))
            .await;
        pass(1.0).await;
        assert_eq!(world.launcher.orders().len(), 2);
        let (id, api) = (ObjectId::new("production", "orders"), Api::Slipway);
        world
            .tell(Change::Deleting {
                id: id.clone(),
                api,
            })
            .await;
        pass(1.0).await;
        // A Job that the garbage collector deletes is replaced by none.
        world.tell(Change::JobFinished(id)).await;
        source.push();
        pass(300.0).await;
        assert_eq!((source.calls().len(), source.listeners()), (1, 0));
        assert_eq!(world.launcher.orders().len(), 2);
        assert_eq!(world.series(), Vec::<String>::new());
        world.tell(removed("orders")).await;
        world.apply(object("orders", "2", &json!({}))).await;
        pass(1.0).await;
        assert_eq!(source.calls().len(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_shown_of_an_object_that_rests_is_shown_later() {
    running(async |world| {
        world.reports.fail(3);
        let mut paused = object("orders", "1", &json!({}));
        paused["metadata"]["annotations"] = json!({"autoscaling.keda.sh/paused": "true"});
        world.apply(paused).await;
        pass(1.0).await;
        assert_eq!(world.reports.failures_left(), 2);
        pass(10.0).await;
        assert_eq!(world.reports.failures_left(), 1);
        world.lead.set(false);
        pass(30.0).await;
        assert_eq!(world.reports.failures_left(), 1, "another's to show");
        world.lead.set(true);
        pass(30.0).await;
        assert_eq!(world.reports.failures_left(), 0);
    })
    .await;
}
