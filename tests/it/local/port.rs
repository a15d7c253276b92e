//! The port that the controller of ScaledJobs uses: names, rounds, lists, removal.

use super::*;
use crate::support::objects;

fn launch(name: &str, occurrence: &str, script: &str) -> Launch {
    let mut manifest = job(name, script, &json!({}));
    manifest["metadata"]["labels"] = json!({"slipway.dev/scaledjob": "orders"});
    Launch {
        id: ObjectId::new("default", name),
        occurrence: occurrence.to_owned(),
        manifest,
    }
}

#[tokio::test]
async fn a_name_is_made_once_by_its_occurrence_and_by_no_other() {
    let bench = Bench::new("names");
    let local = bench.open();
    let first = launch("orders-x", "one", "true");
    let racing = futures::future::join_all((0..8).map(|_| local.launch(&first))).await;
    let made = racing
        .iter()
        .filter(|result| matches!(result, Ok(Launched::Created)))
        .count();
    assert_eq!(made, 1);
    assert_eq!(
        local.launch(&first).await.unwrap(),
        Launched::AlreadyThere {
            payload_differs: false
        }
    );
    let other = launch("orders-x", "two", "true");
    let taken = local.launch(&other).await.unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }));
    drop(local);
    let again = bench.open();
    assert_eq!(
        again.launch(&first).await.unwrap(),
        Launched::AlreadyThere {
            payload_differs: false
        }
    );
    let taken = again.launch(&other).await.unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }));
    for name in ["../x", "a/b", ".new", "A", ""] {
        let refused = again.launch(&launch(name, "three", "true")).await;
        assert!(matches!(refused, Err(Error::Rejected { .. })), "{name}");
    }
}

#[tokio::test]
async fn names_are_those_that_a_cluster_takes() {
    let bench = Bench::new("long");
    let local = bench.open();
    for (length, is_taken) in [(63, true), (64, false)] {
        let name = "a".repeat(length);
        let refused = local.submit(job(&name, "true", &json!({}))).await.err();
        assert_eq!(refused.is_none(), is_taken);
        let Some(refused) = refused else { continue };
        let words =
            "metadata.name: must be lower-case letters, digits, dashes and dots, at most 63";
        assert!(refused.to_string().ends_with(words), "{refused}");
    }
    let round = Round { number: 1, jobs: 1 };
    for (length, is_taken) in [(64, true), (253, true), (254, false)] {
        let object = scaled_job(&"b".repeat(length));
        let opened = local.open_round(&object, round).await;
        assert_eq!(opened.is_ok(), is_taken, "{length}");
        let known = local.scaled_job(&object.id).unwrap_or_default().round;
        assert_eq!(known, is_taken.then_some(round), "{length}");
    }
}

#[tokio::test]
async fn a_job_without_a_name_keeps_the_one_that_an_earlier_release_gave_it() {
    let bench = Bench::new("renamed");
    let mut nameless = job("x", "true", &json!({}));
    nameless["metadata"] = json!({"generateName": "load-"});
    let submit = async |job: &Value| bench.open().submit(job.clone()).await.unwrap();
    assert_eq!(submit(&nameless).await, Submitted::Created);
    let jobs = bench.state().join("default");
    let made = bench.open().views().remove(0).id.name.to_string();
    // Its letters were others: the rule that made them was another.
    std::fs::rename(jobs.join(&made), jobs.join("load-2456789bcd")).unwrap();
    let stored = jobs.join("load-2456789bcd/job.json");
    let text = std::fs::read_to_string(&stored).unwrap();
    std::fs::write(&stored, text.replace(&made, "load-2456789bcd")).unwrap();
    assert_eq!(submit(&nameless).await, Submitted::AlreadyThere);
    // Another text is another Job.
    nameless["spec"]["backoffLimit"] = json!(1);
    assert_eq!(submit(&nameless).await, Submitted::Created);
    assert_eq!(bench.open().views().len(), 2);
}

#[tokio::test]
async fn a_deleted_job_is_gone_at_once_and_its_processes_soon_after() {
    let bench = Bench::new("delete");
    let marker = format!("62.{}", std::process::id());
    let running = Running::start(bench.open());
    let launch = launch("orders-y", "one", &format!("sleep {marker}"));
    running.local.launch(&launch).await.unwrap();
    running.until("orders-y", JobPhase::Running).await;
    let stored = bench.state().join("default/orders-y/job.json");
    let stored: Value = serde_json::from_slice(&std::fs::read(stored).unwrap()).unwrap();
    let uid = stored["metadata"]["uid"].as_str().unwrap();
    let delete = async |uid: &str| {
        running
            .local
            .delete(&launch.id, uid, Propagation::Background)
            .await
            .unwrap();
    };
    delete("another").await;
    assert!(running.view("orders-y").is_some());
    await_until("it runs", SOON, async || {
        (!groups(&marker).is_empty()).then_some(())
    })
    .await;
    delete(uid).await;
    delete(uid).await;
    assert!(running.view("orders-y").is_none());
    await_until("its processes are gone", SOON, async || {
        (groups(&marker).is_empty()).then_some(())
    })
    .await;
}

fn scaled_job(name: &str) -> ScaledJob {
    objects::scaled_job("default", name, &format!("default/{name}"))
}

#[tokio::test]
async fn a_round_is_written_down_and_no_number_is_opened_twice() {
    let bench = Bench::new("rounds");
    let local = bench.open();
    let orders = scaled_job("orders");
    assert_eq!(local.scaled_job(&orders.id).unwrap().round, None);
    for number in 1..=2 {
        let round = Round { number, jobs: 3 };
        local.open_round(&orders, round).await.unwrap();
    }
    drop(local);
    let again = bench.open();
    let last = Round { number: 2, jobs: 3 };
    assert_eq!(again.scaled_job(&orders.id).unwrap().round, Some(last));
    let refused = again.open_round(&orders, last).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused}");
    assert!(again.views().is_empty(), "a round is not a Job");
}

#[tokio::test]
async fn an_object_sees_its_own_jobs_with_their_pods_and_ends() {
    let bench = Bench::new("jobs");
    let out = display(&bench.path("out"));
    let running = Running::start(bench.open());
    let script = format!("until test -e {out}; do sleep 0.02; done; exit 1");
    let mut launch = launch("orders-z", "one", &script);
    launch.manifest["spec"]["backoffLimit"] = json!(0);
    launch.manifest["metadata"]["annotations"] = json!({"slipway.dev/round": "1", "other": "x"});
    running.local.launch(&launch).await.unwrap();
    running.until("orders-z", JobPhase::Running).await;
    // Through the port, as the controller does.
    let launcher: &dyn Launcher = &running.local;
    assert_eq!(
        launcher.jobs(&scaled_job("others")).await.unwrap(),
        Vec::new()
    );
    let orders = scaled_job("orders");
    let job = launcher.jobs(&orders).await.unwrap().remove(0);
    assert_eq!(job.name, "orders-z");
    assert_eq!(job.outcome, None);
    assert_eq!(job.pods[0].phase, "Running");
    assert!(job.pods[0].true_conditions.contains(&"Ready".to_owned()));
    assert_eq!(job.annotations["slipway.dev/occurrence"], "one");
    assert!(!job.annotations.contains_key("other"));
    std::fs::write(bench.path("out"), "").unwrap();
    running.until("orders-z", JobPhase::Failed).await;
    let job = launcher.jobs(&orders).await.unwrap().remove(0);
    assert_eq!(job.outcome, Some(JobOutcome::Failed));
    assert!(job.finished_at >= job.created_at);
    assert_eq!(job.pods[0].phase, "Failed");
}
