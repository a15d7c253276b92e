//! Jobs in the real API server, through a proxy that breaks what it is told to:
//! a name is made once, and what may exist is counted.

use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster, Scope};
use slipway::launch::kubernetes::{Kubernetes, LATEST_CREATE};
use slipway::launch::{
    Error, JobState, Launch, Launched, Launcher, OCCURRENCE_ANNOTATION, ROUND_ANNOTATION,
    SCALED_JOB_LABEL,
};
use slipway::resource::{Api, ObjectId, Propagation, Round, RoundRecord, ScaledJob};
use slipway::scaling::Strategy;

use crate::support::api_proxy::{Fault, Rule};
use crate::support::await_until;
use crate::support::objects::scaled_job;
use crate::support::world::World;

mod counts;
mod rounds;

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
            Launched::AlreadyThere {
                payload_differs: false
            }
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
        Launched::AlreadyThere {
            payload_differs: false
        }
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
        matches!(&error, Error::Quota { detail, .. } if detail.contains("quota")),
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
