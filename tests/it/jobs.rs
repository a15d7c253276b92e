//! Jobs in the real API server, through a proxy that breaks what it is told to:
//! a name is made once, and what may exist is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster, Scope};
use slipway::launch::kubernetes::{Kubernetes, LATEST_CREATE};
use slipway::launch::{
    Error, JobState, Launch, Launched, Launcher, OCCURRENCE_ANNOTATION, ROUND_ANNOTATION,
    SCALED_JOB_LABEL,
};
use slipway::resource::{Api, HistoryLimits, ObjectId, Propagation, Rollout, Round, ScaledJob};
use slipway::scaling::{Bounds, Calculation, Policy, Strategy};

use crate::support::api_proxy::{Fault, Rule};
use crate::support::await_until;
use crate::support::world::World;

const DEADLINE: Duration = Duration::from_secs(20);

impl World {
    fn launcher(&self, grace: Duration) -> Kubernetes {
        let scope = Scope::Namespaces(vec![self.namespace.clone()]);
        Kubernetes::new(Cluster::new(self.proxy.client()), scope, grace)
    }

    fn launch(&self, name: &str) -> Launch {
        launch(&self.namespace, name, &format!("occurrence of {name}"), 0)
    }

    fn jobs_path(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace)
    }

    /// Names of the Jobs that the server itself tells of.
    async fn jobs(&self) -> Vec<String> {
        let list = self.get(&self.jobs_path()).await;
        let items = list["items"].as_array().expect("a list");
        let name = |job: &Value| job["metadata"]["name"].as_str().map(str::to_owned);
        items.iter().filter_map(name).collect()
    }

    async fn resize(&self) -> ScaledJob {
        let uid = self.scaled_job("resize").await;
        scaled_job(&self.namespace, "resize", &uid)
    }
}

fn scaled_job(namespace: &str, name: &str, uid: &str) -> ScaledJob {
    ScaledJob {
        id: ObjectId::new(namespace, name),
        uid: uid.to_owned(),
        generation: 1,
        api: Api::Slipway,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        job_target: json!({}),
        polling_interval: Duration::from_secs(30),
        history: HistoryLimits {
            successful: 100,
            failed: 100,
        },
        rollout: Rollout::Gradual,
        policy: Policy {
            strategy: Strategy::Default,
            calculation: Calculation::Max,
            bounds: Bounds::default(),
        },
        pending_pod_conditions: Vec::new(),
        env_source_container: None,
        triggers: Vec::new(),
        paused: false,
        round: None,
    }
}

fn launch(namespace: &str, name: &str, occurrence: &str, round: u64) -> Launch {
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name, "generateName": "resize-",
            "labels": {SCALED_JOB_LABEL: "resize"},
            "annotations": {OCCURRENCE_ANNOTATION: occurrence, ROUND_ANNOTATION: round.to_string()},
        },
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "resize", "image": "resize"}],
        }}},
    });
    Launch {
        id: ObjectId::new(namespace, name),
        occurrence: occurrence.to_owned(),
        manifest,
    }
}

/// The launches of an opened round, under the names that the launcher counts.
async fn launches_of(launcher: &Kubernetes, scaled_job: &ScaledJob) -> Vec<Launch> {
    let open = launcher.jobs(scaled_job).await.expect("a count");
    open.iter()
        .filter(|job| job.uid.is_none())
        .map(|job| {
            let occurrence = &job.annotations[OCCURRENCE_ANNOTATION];
            launch(&scaled_job.id.namespace, &job.name, occurrence, 1)
        })
        .collect()
}

fn unfinished(jobs: &[JobState]) -> usize {
    jobs.iter().filter(|job| job.outcome.is_none()).count()
}

/// Runs a test beside the launcher's watches, and ends them with it.
async fn while_running(launcher: &Kubernetes, test: impl Future<Output = ()>) {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let test = async {
        test.await;
        drop(ended);
    };
    join(
        launcher.run(async {
            end.await.ok();
        }),
        test,
    )
    .await;
}

async fn synced(launcher: &Kubernetes, scaled_job: &ScaledJob) {
    await_until("the first list", DEADLINE, async || {
        launcher.jobs(scaled_job).await.ok()
    })
    .await;
}

#[tokio::test]
async fn every_fault_of_a_create_ends_in_exactly_one_job() {
    let world = World::new("faults").await;
    let launcher = world.launcher(LATEST_CREATE);
    let rows = [
        ("refused-500", Fault::Refuse(500), 1),
        ("refused-503", Fault::Refuse(503), 2),
        ("refused-504", Fault::Refuse(504), 3),
        ("applied-500", Fault::AppliedThen(500), 1),
        ("applied-502", Fault::AppliedThen(502), 1),
        ("applied-503", Fault::AppliedThen(503), 1),
        ("applied-504", Fault::AppliedThen(504), 1),
        ("cut", Fault::Cut, 1),
        ("slow-down", Fault::SlowDown(1), 1),
        ("hang", Fault::Hang, 1),
        ("late", Fault::Late(Duration::from_millis(300)), 1),
    ];
    for (name, fault, times) in rows {
        world
            .proxy
            .fault(Rule::on("POST", world.jobs_path(), fault).times(times));
        let launch = world.launch(name);
        let before = world.proxy.calls("POST", &world.jobs_path());
        let result = launcher.launch(&launch).await;
        assert_eq!(result.expect(name), Launched::Created, "{name}");
        let sent = world.proxy.calls("POST", &world.jobs_path()) - before;
        assert!(
            sent <= times + 1,
            "{name}: {sent} creates for {times} faults"
        );
        assert_eq!(
            launcher.launch(&launch).await.expect(name),
            Launched::AlreadyThere
        );
        world.proxy.heal();
    }
    let mut expected: Vec<&str> = rows.iter().map(|(name, ..)| *name).collect();
    expected.sort_unstable();
    assert_eq!(world.jobs().await, expected);
}

#[tokio::test]
async fn a_server_that_never_answers_clearly_leaves_the_outcome_unknown() {
    let world = World::new("unknown").await;
    let launcher = world.launcher(LATEST_CREATE);
    world
        .proxy
        .fault(Rule::on("POST", world.jobs_path(), Fault::Refuse(504)));
    let error = launcher
        .launch(&world.launch("a"))
        .await
        .expect_err("no Job");
    assert!(matches!(error, Error::Unknown { .. }), "{error}");
    assert!(world.jobs().await.is_empty());
}

#[tokio::test]
async fn a_name_with_another_occurrence_is_taken() {
    let world = World::new("taken").await;
    let launcher = world.launcher(LATEST_CREATE);
    let theirs = launch(&world.namespace, "a", "theirs", 0);
    launcher.launch(&theirs).await.expect("a Job");
    let error = launcher
        .launch(&world.launch("a"))
        .await
        .expect_err("taken");
    assert!(matches!(error, Error::NameTaken { .. }), "{error}");
    assert_eq!(world.jobs().await, ["a"]);
}

#[tokio::test]
async fn a_job_that_is_being_deleted_was_made_before() {
    let world = World::new("deleting").await;
    let launcher = world.launcher(LATEST_CREATE);
    let mut launch = world.launch("a");
    launch.manifest["metadata"]["finalizers"] = json!(["slipway.dev/test"]);
    launcher.launch(&launch).await.expect("a Job");
    let job = world.get(&format!("{}/a", world.jobs_path())).await;
    let uid = job["metadata"]["uid"].as_str().expect("a UID");
    launcher
        .delete(&launch.id, uid, Propagation::Background)
        .await
        .expect("deleting");
    assert_eq!(
        launcher.launch(&launch).await.expect("the same"),
        Launched::AlreadyThere
    );
    let release = json!({"metadata": {"finalizers": null}});
    let path = format!("{}/a", world.jobs_path());
    world
        .direct
        .send(Call::merge_patch(path, release))
        .await
        .expect("an answer");
}

#[tokio::test]
async fn a_full_quota_an_invalid_job_and_a_missing_namespace_are_told_apart() {
    let world = World::new("refused").await;
    let launcher = world.launcher(LATEST_CREATE);

    let mut invalid = world.launch("invalid");
    invalid.manifest["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let error = launcher.launch(&invalid).await.expect_err("invalid");
    assert!(
        matches!(&error, Error::Rejected { detail, .. } if detail.contains("restartPolicy")),
        "{error}"
    );

    let nowhere = launch("jobs-nowhere", "a", "hash", 0);
    let error = launcher.launch(&nowhere).await.expect_err("nowhere");
    assert!(matches!(error, Error::Gone { .. }), "{error}");

    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    });
    let path = format!("/api/v1/namespaces/{}/resourcequotas", world.namespace);
    world.post(&path, quota).await;
    // Without a quota controller nobody writes the usage that admission waits for.
    let usage =
        json!({"status": {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}});
    let call = Call::merge_patch(format!("{path}/none/status"), usage);
    world.direct.send(call).await.expect("an answer");
    let error = await_until("the quota holds", DEADLINE, async || {
        launcher.launch(&world.launch("quota")).await.err()
    })
    .await;
    assert!(
        matches!(&error, Error::Forbidden { detail, .. } if detail.contains("quota")),
        "{error}"
    );
}

#[tokio::test]
async fn two_hundred_creates_with_faults_make_two_hundred_jobs() {
    let world = World::new("many").await;
    let launcher = world.launcher(LATEST_CREATE);
    for fault in [Fault::AppliedThen(504), Fault::Cut, Fault::Refuse(503)] {
        world
            .proxy
            .fault(Rule::on("POST", world.jobs_path(), fault).percent(10));
    }
    let all: Vec<Launch> = (0..200)
        .map(|n| world.launch(&format!("job-{n}")))
        .collect();
    let results = join_all(all.iter().map(|launch| launcher.launch(launch))).await;
    for result in results {
        result.expect("a Job");
    }
    assert_eq!(world.jobs().await.len(), 200);
}

#[tokio::test]
async fn nothing_is_counted_before_the_first_list() {
    let world = World::new("unsynced").await;
    let launcher = world.launcher(LATEST_CREATE);
    let resize = world.resize().await;
    let error = launcher.jobs(&resize).await.expect_err("no count");
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");

    world
        .proxy
        .fault(Rule::on("GET", world.jobs_path(), Fault::Refuse(500)));
    while_running(&launcher, async {
        await_until("a list failed", DEADLINE, async || {
            (world.proxy.calls("GET", &world.jobs_path()) > 1).then_some(())
        })
        .await;
        assert!(launcher.jobs(&resize).await.is_err());
        world.proxy.heal();
        synced(&launcher, &resize).await;
    })
    .await;
}

#[tokio::test]
async fn jobs_count_although_the_watch_is_silent() {
    let world = World::new("stale").await;
    let launcher = world.launcher(LATEST_CREATE);
    let resize = world.resize().await;
    while_running(&launcher, async {
        synced(&launcher, &resize).await;
        world.proxy.silence(true);
        launcher
            .open_round(&resize, Round { number: 1, jobs: 5 })
            .await
            .expect("a round");
        let jobs = launcher.jobs(&resize).await.expect("a count");
        assert_eq!(unfinished(&jobs), 5, "before the first create");
        for launch in launches_of(&launcher, &resize).await {
            launcher.launch(&launch).await.expect("a Job");
        }
        let jobs = launcher.jobs(&resize).await.expect("a count");
        assert_eq!(unfinished(&jobs), 5);
        assert!(
            jobs.iter().all(|job| job.uid.is_none()),
            "the watch has said nothing"
        );
        world.proxy.heal();
        await_until("the watch shows them", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.ok()?;
            assert_eq!(unfinished(&jobs), 5, "each counts once");
            jobs.iter().all(|job| job.uid.is_some()).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_lands_late_was_counted_all_the_while() {
    let world = World::new("late").await;
    // Longer than the delay below, shorter than the test's patience.
    let launcher = world.launcher(Duration::from_secs(3));
    let resize = world.resize().await;
    while_running(&launcher, async {
        synced(&launcher, &resize).await;
        launcher
            .open_round(&resize, Round { number: 1, jobs: 2 })
            .await
            .expect("a round");
        let reserved = launches_of(&launcher, &resize).await;
        let late = Fault::Late(Duration::from_secs(1));
        world
            .proxy
            .fault(Rule::on("POST", world.jobs_path(), late).times(1));
        world
            .proxy
            .fault(Rule::on("POST", world.jobs_path(), Fault::Refuse(504)));
        // Given up before its deadline, as a process that is told to stop does.
        let gave_up =
            tokio::time::timeout(Duration::from_millis(500), launcher.launch(&reserved[0])).await;
        assert!(gave_up.is_err());
        await_until("the late job lands", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.expect("a count");
            assert_eq!(unfinished(&jobs), 2);
            jobs.iter().any(|job| job.uid.is_some()).then_some(())
        })
        .await;
        // The other name was never sent: it stops counting once a consistent list lacks it.
        await_until("the other is given up", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.expect("a count");
            (unfinished(&jobs) == 1).then_some(())
        })
        .await;
        assert_eq!(world.jobs().await, [reserved[0].id.name.clone()]);
    })
    .await;
}

#[tokio::test]
async fn another_process_counts_the_round_it_finds_written() {
    let world = World::new("restart").await;
    let mut resize = world.resize().await;
    let round = Round { number: 1, jobs: 3 };
    let first = world.launcher(LATEST_CREATE);
    first.open_round(&resize, round).await.expect("a round");
    drop(first);

    resize.round = Some(round);
    let second = world.launcher(LATEST_CREATE);
    while_running(&second, async {
        synced(&second, &resize).await;
        let jobs = second.jobs(&resize).await.expect("a count");
        assert_eq!(unfinished(&jobs), 3);
    })
    .await;
}

#[tokio::test]
async fn of_two_writers_of_a_round_one_wins() {
    let world = World::new("round").await;
    let resize = world.resize().await;
    let (one, other) = (world.launcher(LATEST_CREATE), world.launcher(LATEST_CREATE));
    for number in 1..=10 {
        let round = Round { number, jobs: 2 };
        let (one, other) = join(
            one.open_round(&resize, round),
            other.open_round(&resize, round),
        )
        .await;
        let lost = match (one, other) {
            (Ok(()), Err(lost)) | (Err(lost), Ok(())) => lost,
            results => panic!("round {number}: {results:?}"),
        };
        assert!(matches!(lost, Error::Conflict { .. }), "{lost}");
    }
}

#[tokio::test]
async fn a_round_whose_answer_was_lost_is_still_ours() {
    let world = World::new("lost").await;
    let resize = world.resize().await;
    let (one, other) = (world.launcher(LATEST_CREATE), world.launcher(LATEST_CREATE));
    let round = Round { number: 1, jobs: 2 };
    world
        .proxy
        .fault(Rule::on("PATCH", "/status", Fault::Cut).times(1));
    one.open_round(&resize, round)
        .await
        .expect("its own record");
    let error = other
        .open_round(&resize, round)
        .await
        .expect_err("another's record");
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn an_edit_in_between_does_not_cost_the_round() {
    let world = World::new("edited").await;
    let resize = world.resize().await;
    let path = format!(
        "/apis/slipway.dev/v1alpha1/namespaces/{}/scaledjobs/resize",
        world.namespace
    );
    let launcher = world.launcher(LATEST_CREATE);
    let edits = async {
        for n in 0..20 {
            let edit = json!({"metadata": {"annotations": {"edited": n.to_string()}}});
            world
                .direct
                .send(Call::merge_patch(path.clone(), edit))
                .await
                .expect("an answer");
        }
    };
    let rounds = async {
        for number in 1..=5 {
            launcher
                .open_round(&resize, Round { number, jobs: 1 })
                .await
                .expect("a round");
        }
    };
    join(edits, rounds).await;
    assert_eq!(world.get(&path).await["status"]["round"]["number"], 5);
}

#[tokio::test]
async fn a_delete_with_another_uid_keeps_the_job() {
    let world = World::new("delete").await;
    let launcher = world.launcher(LATEST_CREATE);
    let launch = world.launch("a");
    launcher.launch(&launch).await.expect("a Job");
    let other = "00000000-0000-0000-0000-000000000000";
    launcher
        .delete(&launch.id, other, Propagation::Background)
        .await
        .expect("that one is gone");
    assert_eq!(world.jobs().await, ["a"]);

    let job = world.get(&format!("{}/a", world.jobs_path())).await;
    let uid = job["metadata"]["uid"].as_str().expect("a UID");
    launcher
        .delete(&launch.id, uid, Propagation::Background)
        .await
        .expect("deleted");
    await_until("the Job goes", DEADLINE, async || {
        world.jobs().await.is_empty().then_some(())
    })
    .await;
    launcher
        .delete(&launch.id, uid, Propagation::Background)
        .await
        .expect("gone is a success");
}

#[tokio::test]
async fn an_ended_job_is_told_to_the_loop_once() {
    let world = World::new("ended").await;
    let launcher = world.launcher(LATEST_CREATE);
    let resize = world.resize().await;
    while_running(&launcher, async {
        synced(&launcher, &resize).await;
        launcher
            .open_round(&resize, Round { number: 1, jobs: 1 })
            .await
            .expect("a round");
        let reserved = launches_of(&launcher, &resize).await;
        launcher.launch(&reserved[0]).await.expect("a Job");
        let id = &reserved[0].id;
        let job = await_until("the watch shows it", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.ok()?;
            jobs.into_iter().find(|job| job.uid.is_some())
        })
        .await;
        let uid = job.uid.expect("seen");
        launcher
            .delete(id, &uid, Propagation::Background)
            .await
            .expect("deleted");
        let ended = tokio::time::timeout(DEADLINE, launcher.ended())
            .await
            .expect("told");
        assert!(ended.contains(&resize.id));
        assert!(launcher.jobs(&resize).await.expect("a count").is_empty());
    })
    .await;
}

#[tokio::test]
async fn in_place_the_round_stands_in_an_annotation() {
    let world = World::new("in-place").await;
    let uid = world.scaled_job_in("keda.sh", "resize").await;
    let mut resize = scaled_job(&world.namespace, "resize", &uid);
    resize.api = Api::Keda;
    let (one, other) = (world.launcher(LATEST_CREATE), world.launcher(LATEST_CREATE));
    for number in 1..=3 {
        let round = Round { number, jobs: 2 };
        one.open_round(&resize, round).await.expect("a round");
        let error = other
            .open_round(&resize, round)
            .await
            .expect_err("too late");
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
    let path = format!("{}/resize", world.path("keda.sh", "scaledjobs"));
    let object = world.get(&path).await;
    let text = object["metadata"]["annotations"][ROUND_ANNOTATION]
        .as_str()
        .expect("a round");
    let round: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!((&round["number"], &round["jobs"]), (&json!(3), &json!(2)));
}

#[tokio::test]
async fn an_object_of_the_same_name_is_not_the_same_object() {
    let world = World::new("recreated").await;
    let before = world.resize().await;
    world
        .delete(&format!("{}/resize", world.scaled_jobs_path()))
        .await;
    world.resize().await;
    let launcher = world.launcher(LATEST_CREATE);
    let opened = launcher
        .open_round(&before, Round { number: 1, jobs: 1 })
        .await;
    assert!(matches!(opened, Err(Error::Gone { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_slow_down_holds_back_every_create() {
    let world = World::new("gate").await;
    let launcher = world.launcher(LATEST_CREATE);
    world
        .proxy
        .fault(Rule::on("POST", world.jobs_path(), Fault::SlowDown(2)).times(1));
    let (first, second) = (world.launch("a"), world.launch("b"));
    let others = async {
        await_until("the server says slow down", DEADLINE, async || {
            (world.proxy.calls("POST", &world.jobs_path()) == 1).then_some(())
        })
        .await;
        let begun = tokio::time::Instant::now();
        launcher.launch(&second).await.expect("a Job");
        assert!(
            begun.elapsed() > Duration::from_secs(1),
            "it waited with the first"
        );
    };
    let (first, ()) = join(launcher.launch(&first), others).await;
    assert_eq!(first.expect("a Job"), Launched::Created);
    assert_eq!(world.proxy.calls("POST", &world.jobs_path()), 3);
}

#[tokio::test]
async fn pods_are_read_only_when_pending_jobs_matter() {
    let world = World::new("pods").await;
    let launcher = world.launcher(LATEST_CREATE);
    let mut resize = world.resize().await;
    let pods = format!("/api/v1/namespaces/{}/pods", world.namespace);
    launcher.launch(&world.launch("a")).await.expect("a Job");
    world.post(&pods, pod("a-pod", "a")).await;
    world.post(&pods, pod("other-pod", "other")).await;
    let ready =
        json!([{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "False"}]);
    let running = json!({"status": {"phase": "Running", "conditions": ready}});
    world.patch(&format!("{pods}/a-pod/status"), running).await;

    while_running(&launcher, async {
        await_until("the Job is seen", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.ok()?;
            (jobs.len() == 1).then_some(())
        })
        .await;
        assert_eq!(world.proxy.calls("GET", "/pods"), 0);
        resize.policy.strategy = Strategy::Accurate;
        let jobs = launcher.jobs(&resize).await.expect("a count");
        let states = &jobs[0].pods;
        assert_eq!(states.len(), 1, "{states:?}");
        assert_eq!(states[0].phase, "Running");
        assert_eq!(states[0].true_conditions, ["Ready"]);
        assert_eq!(world.proxy.calls("GET", "/pods"), 1);

        world
            .proxy
            .fault(Rule::on("GET", "/pods", Fault::Refuse(500)));
        let error = launcher
            .jobs(&resize)
            .await
            .expect_err("no count without Pods");
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    })
    .await;
}

fn pod(name: &str, job: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {
            SCALED_JOB_LABEL: "resize", "batch.kubernetes.io/job-name": job, "job-name": job,
        }},
        "spec": {"containers": [{"name": "resize", "image": "resize"}]},
    })
}
