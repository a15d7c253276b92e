//! What is counted, whatever the watch, the lists and the network do.

use super::*;

/// The launches of an opened round, under the names that the launcher counts.
pub(super) async fn launches_of(launcher: &Kubernetes, scaled_job: &ScaledJob) -> Vec<Launch> {
    let open = launcher.jobs(scaled_job).await.expect("a count");
    open.iter()
        .filter(|job| job.uid.is_none())
        .map(|job| {
            let occurrence = &job.annotations[OCCURRENCE_ANNOTATION];
            let mut launch = launch(&scaled_job.id.namespace, &job.name, occurrence, 1);
            launch.manifest["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob", "controller": true,
                "name": *scaled_job.id.name, "uid": scaled_job.uid,
            }]);
            launch
        })
        .collect()
}

fn unfinished(jobs: &[JobState]) -> usize {
    jobs.iter().filter(|job| job.outcome.is_none()).count()
}

/// Runs a test beside the launcher's watches, and ends them with it.
pub(super) async fn while_running(launcher: &Kubernetes, test: impl Future<Output = ()>) {
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

pub(super) async fn synced(launcher: &Kubernetes, scaled_job: &ScaledJob) {
    await_until("the first list", DEADLINE, async || {
        launcher.jobs(scaled_job).await.ok()
    })
    .await;
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
        assert_eq!(world.jobs().await, [reserved[0].id.name.to_string()]);
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

    resize.round = Some(RoundRecord::open(round, "another"));
    let second = world.launcher(LATEST_CREATE);
    while_running(&second, async {
        synced(&second, &resize).await;
        let jobs = second.jobs(&resize).await.expect("a count");
        assert_eq!(unfinished(&jobs), 3);
    })
    .await;
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
async fn a_running_job_without_our_label_goes_on_counting() {
    let world = World::new("stripped").await;
    let launcher = world.launcher(Duration::from_secs(1));
    let resize = world.resize().await;
    while_running(&launcher, async {
        synced(&launcher, &resize).await;
        let round = Round { number: 1, jobs: 1 };
        launcher.open_round(&resize, round).await.expect("a round");
        let mut launch = launches_of(&launcher, &resize).await.remove(0);
        // As a policy of the cluster would.
        launch.manifest["metadata"]["labels"] = json!({});
        launcher.launch(&launch).await.expect("a Job");
        let job = format!("{}/{}", world.jobs_path(), launch.id.name);
        await_until("it is read by name", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.expect("a count");
            assert_eq!(unfinished(&jobs), 1);
            (world.proxy.calls("GET", &job) > 0).then_some(())
        })
        .await;
        assert_eq!(launcher.jobs(&resize).await.expect("a count").len(), 1);
        world.delete(&job).await;
        await_until("it stops counting", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.expect("a count");
            jobs.is_empty().then_some(())
        })
        .await;
    })
    .await;
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
        world
            .proxy
            .fault(Rule::on("GET", "/pods", Fault::Refuse(500)));
        let error = launcher
            .jobs(&resize)
            .await
            .expect_err("no count without Pods");
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        world.proxy.heal();
        let jobs = await_until("the Pods are seen", DEADLINE, async || {
            launcher.jobs(&resize).await.ok()
        })
        .await;
        let states = &jobs[0].pods;
        assert_eq!(states.len(), 1, "{states:?}");
        assert_eq!(states[0].phase, "Running");
        assert_eq!(states[0].true_conditions, ["Ready"]);
    })
    .await;
}

#[tokio::test]
async fn a_count_of_pods_asks_the_server_nothing_once_they_are_watched() {
    let world = World::new("pods-watched").await;
    let launcher = world.launcher(LATEST_CREATE);
    let mut resize = world.resize().await;
    resize.policy.strategy = Strategy::Eager;
    let pods = format!("/api/v1/namespaces/{}/pods", world.namespace);
    launcher.launch(&world.launch("a")).await.expect("a Job");
    while_running(&launcher, async {
        await_until("the Job is seen", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.ok()?;
            (jobs.len() == 1).then_some(())
        })
        .await;
        let calls = || world.proxy.calls("GET", "/pods");
        await_until("the watch began", DEADLINE, async || {
            (calls() == 2).then_some(())
        })
        .await;
        for _ in 0..20 {
            launcher.jobs(&resize).await.expect("a count");
        }
        assert_eq!(calls(), 2, "one list, one watch");
        world.post(&pods, pod("a-pod", "a")).await;
        await_until("the Pod is seen", DEADLINE, async || {
            let jobs = launcher.jobs(&resize).await.expect("a count");
            (jobs[0].pods.len() == 1).then_some(())
        })
        .await;
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

#[tokio::test]
async fn jobs_of_another_process_count_although_the_watch_is_silent() {
    let world = World::new("foreign").await;
    let mut resize = world.resize().await;
    let (launcher, other) = (world.launcher(LATEST_CREATE), world.launcher(LATEST_CREATE));
    while_running(&launcher, async {
        synced(&launcher, &resize).await;
        world.proxy.silence(true);
        // Two rounds of the other, of which the status tells only the last.
        other
            .open_round(&resize, Round { number: 1, jobs: 2 })
            .await
            .expect("a round");
        for name in ["first", "second"] {
            other.launch(&world.launch(name)).await.expect("a Job");
        }
        let round = Round { number: 2, jobs: 3 };
        other.open_round(&resize, round).await.expect("a round");
        resize.round = Some(RoundRecord::open(round, "another"));

        let list = Rule::on("GET", world.jobs_path(), Fault::Refuse(500));
        world.proxy.fault(list.times(1));
        let error = launcher
            .jobs(&resize)
            .await
            .expect_err("no count without a list");
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        let jobs = launcher.jobs(&resize).await.expect("a count");
        assert_eq!(unfinished(&jobs), 5);
    })
    .await;
}
