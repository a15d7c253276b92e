//! Rounds in the real API server: who may write, and what is known of it.

use super::counts::{launches_of, synced, while_running};
use super::*;

#[tokio::test]
async fn of_two_writers_of_a_round_one_wins() {
    let world = World::new("round").await;
    let mut resize = world.resize().await;
    let (one, other) = (world.launcher(LATEST_CREATE), world.launcher(LATEST_CREATE));
    for number in 1..=10 {
        // Both have seen the round before.
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
        resize.round = Some(RoundRecord::open(round, "another"));
    }
}

#[tokio::test]
async fn who_has_not_counted_the_last_round_opens_none_after_it() {
    let world = World::new("behind").await;
    let mut resize = world.resize().await;
    let (one, other) = (world.launcher(LATEST_CREATE), world.launcher(LATEST_CREATE));
    let first = Round { number: 1, jobs: 2 };
    one.open_round(&resize, first).await.expect("a round");
    // It may have learnt the number from a Job of that round, and not counted its others.
    let second = Round { number: 2, jobs: 2 };
    let error = other.open_round(&resize, second).await;
    assert!(matches!(error, Err(Error::Conflict { .. })), "{error:?}");
    resize.round = Some(RoundRecord::open(first, "another"));
    other.open_round(&resize, second).await.expect("a round");
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
        // Fewer than the tries of one round, so that however they fall none is lost.
        for n in 0..5 {
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
async fn a_record_that_somebody_removed_does_not_stop_the_rounds() {
    let world = World::new("removed").await;
    let resize = world.resize().await;
    let launcher = world.launcher(LATEST_CREATE);
    for number in 1..=2 {
        let round = Round { number, jobs: 1 };
        launcher.open_round(&resize, round).await.expect("a round");
    }
    let path = format!("{}/resize/status", world.scaled_jobs_path());
    world.patch(&path, json!({"status": {"round": null}})).await;
    let round = Round { number: 3, jobs: 1 };
    launcher.open_round(&resize, round).await.expect("a round");
    let late = Round { number: 2, jobs: 1 };
    let error = launcher.open_round(&resize, late).await;
    assert!(matches!(error, Err(Error::Conflict { .. })), "{error:?}");
}

/// The record that stands on the object.
async fn written(world: &World) -> RoundRecord {
    let object = world
        .get(&format!("{}/resize", world.scaled_jobs_path()))
        .await;
    let record = RoundRecord::of(&object, Api::Slipway);
    record.expect("a record that can be read").expect("a round")
}

#[tokio::test]
async fn a_round_closes_when_every_create_was_answered_and_its_jobs_are_not_waited_for() {
    let world = World::new("closed").await;
    let mut resize = world.resize().await;
    let launcher = world.launcher(LATEST_CREATE);
    let other = world.launcher(LATEST_CREATE);
    while_running(&launcher, async {
        synced(&launcher, &resize).await;
        let round = Round { number: 1, jobs: 3 };
        launcher.open_round(&resize, round).await.expect("a round");
        let reserved = launches_of(&launcher, &resize).await;
        for launch in &reserved[1..] {
            launcher.launch(launch).await.expect("a Job");
        }
        launcher.close_round(&resize).await;
        assert!(written(&world).await.open, "one was not launched yet");
        launcher.launch(&reserved[0]).await.expect("a Job");
        launcher.close_round(&resize).await;
        assert!(!written(&world).await.open);
        for launch in &reserved {
            world
                .delete(&format!("{}/{}", world.jobs_path(), launch.id.name))
                .await;
        }
        await_until("the Jobs go", DEADLINE, async || {
            world.jobs().await.is_empty().then_some(())
        })
        .await;
    })
    .await;
    resize.round = Some(written(&world).await);
    while_running(&other, async {
        synced(&other, &resize).await;
        assert_eq!(other.jobs(&resize).await.expect("a count"), []);
        let round = Round { number: 2, jobs: 1 };
        other.open_round(&resize, round).await.expect("a round");
    })
    .await;
}

#[tokio::test]
async fn a_round_that_an_older_program_writes_over_a_closed_one_is_open() {
    let world = World::new("older").await;
    let resize = world.resize().await;
    let launcher = world.launcher(LATEST_CREATE);
    let first = Round { number: 1, jobs: 0 };
    launcher.open_round(&resize, first).await.expect("a round");
    launcher.close_round(&resize).await;
    assert!(!written(&world).await.open);
    let path = format!("{}/resize/status", world.scaled_jobs_path());
    let older = json!({"number": 2, "jobs": 5_000, "holder": "older"});
    world
        .patch(&path, json!({"status": {"round": older}}))
        .await;
    let record = written(&world).await;
    assert_eq!((record.round.number, record.open), (2, true));
}

#[tokio::test]
async fn a_round_with_a_create_in_doubt_stays_open() {
    let world = World::new("doubt").await;
    let resize = world.resize().await;
    let launcher = world.launcher(LATEST_CREATE);
    while_running(&launcher, async {
        synced(&launcher, &resize).await;
        let round = Round { number: 1, jobs: 1 };
        launcher.open_round(&resize, round).await.expect("a round");
        let reserved = launches_of(&launcher, &resize).await;
        world
            .proxy
            .fault(Rule::on("POST", world.jobs_path(), Fault::Refuse(504)));
        launcher.launch(&reserved[0]).await.expect_err("no answer");
        launcher.close_round(&resize).await;
        assert!(written(&world).await.open);
    })
    .await;
}

#[tokio::test]
async fn nobody_closes_a_round_of_somebody_else_in_place_either() {
    for (group, api) in [("slipway.dev", Api::Slipway), ("keda.sh", Api::Keda)] {
        let world = World::new("not-mine").await;
        let uid = world.scaled_job_in(group, "resize").await;
        let mut resize = scaled_job(&world.namespace, "resize", &uid);
        resize.api = api;
        let (one, other) = (world.launcher(LATEST_CREATE), world.launcher(LATEST_CREATE));
        let path = format!("{}/resize", world.path(group, "scaledjobs"));
        let written = async || {
            let object = world.get(&path).await;
            RoundRecord::of(&object, api)
                .expect("a record")
                .expect("a round")
        };
        // Of no Job, so that it may be said closed.
        let first = Round { number: 1, jobs: 0 };
        one.open_round(&resize, first).await.expect("a round");
        resize.round = Some(written().await);
        let second = Round { number: 2, jobs: 0 };
        other.open_round(&resize, second).await.expect("a round");
        one.close_round(&resize).await;
        assert_eq!(
            (written().await.round, written().await.open),
            (second, true)
        );
        other.close_round(&resize).await;
        assert_eq!(
            (written().await.round, written().await.open),
            (second, false)
        );
    }
}

#[tokio::test]
async fn a_record_of_a_newer_program_is_a_conflict() {
    let world = World::new("newer").await;
    let resize = world.resize().await;
    let path = format!("{}/resize/status", world.scaled_jobs_path());
    let newer = json!({"version": 2, "number": 1, "jobs": 1});
    world
        .patch(&path, json!({"status": {"round": newer}}))
        .await;
    let launcher = world.launcher(LATEST_CREATE);
    let round = Round { number: 2, jobs: 1 };
    let error = launcher.open_round(&resize, round).await;
    assert!(matches!(error, Err(Error::Conflict { .. })), "{error:?}");
}
