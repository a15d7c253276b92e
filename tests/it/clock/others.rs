//! `slipway trigger` of a ScaledJob, of our own or KEDA's, and of a CronJob, both managed in place.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::asked::{in_cluster, verb};
use super::in_place::{self, create, hand_over};
use super::{SOON, now};
use crate::controller::{scaled_job, with_keys};
use crate::support::await_until;
use crate::support::cluster::{Cluster, client};
use crate::support::local::SlipwayLocal;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::world::World;

async fn slipway(cluster: &Cluster) -> Slipway {
    crate::events::slipway(cluster, &[]).await
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap()
}

/// What the command says of the Job that it made.
fn created(text: &str) -> String {
    let (job, message) = text.strip_prefix("job/").unwrap().split_once(": ").unwrap();
    assert_eq!(message, "it was created\n");
    job.to_owned()
}

#[tokio::test]
async fn a_scaled_job_makes_one_job_for_each_request_and_never_above_its_cap() {
    let cluster = Cluster::new("asked-scaled").await;
    with_keys(&cluster, "slipway.dev").await;
    let queue = Queue::new("asked-scaled").await;
    let two = json!({"spec": {"maxReplicaCount": 2, "pollingInterval": 30}});
    cluster.create(scaled_job("orders", &queue.url, &two)).await;
    let mut first = slipway(&cluster).await;
    let second = slipway(&cluster).await;
    let trigger = ["trigger", "scaledjob/orders", "--timeout", "60s"];
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(0), "{text}");
    let job = cluster.jobs().await.remove(0);
    assert_eq!(created(&text), name(&job));
    let annotations = job.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["slipway.dev/asked-for"], "trigger");
    assert_eq!(annotations["slipway.dev/round"], "1");
    let is_ours = |key: &&String| key.starts_with("slipway.dev/requests");
    assert!(
        !annotations.keys().any(|key| is_ours(&key)),
        "{annotations:?}"
    );
    let answers = cluster.status("orders").await["requests"].clone();
    assert_eq!(answers[0]["jobName"], name(&job), "{answers}");

    // Two at once: only one more fits, and the other waits for room.
    let hasty = ["trigger", "ssj/orders", "--timeout", "3s"];
    let (one, other) = tokio::join!(in_cluster(&cluster, &hasty), in_cluster(&cluster, &hasty));
    let mut codes = [one.0, other.0];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(1)], "{one:?} {other:?}");
    let waits = if one.0 == Some(1) { one.1 } else { other.1 };
    assert!(waits.contains("maxReplicaCount has room"), "{waits}");
    assert_eq!(cluster.jobs().await.len(), 2);
    // Whoever leads next makes it, when there is room.
    first.kill();
    cluster.finish_jobs().await;
    cluster.await_jobs(3).await;
    await_until("all are answered", SOON, async || {
        let answers = cluster.status("orders").await["requests"].clone();
        let answers = answers.as_array()?;
        let is_done = |answer: &Value| answer["result"] == "Done";
        (answers.len() == 3 && answers.iter().all(is_done)).then_some(())
    })
    .await;

    // What was answered is not done again, whoever writes it again and whoever reads it.
    let written = json!({"metadata": {"annotations": {"slipway.dev/requests": json!([{
        "id": answers[0]["id"], "time": "2026-11-30T09:00:00Z", "do": "Trigger",
    }]).to_string()}}});
    cluster.patch_scaled_job("orders", written).await;
    drop(second);
    let _third = slipway(&cluster).await;
    cluster.finish_jobs().await;
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(cluster.jobs().await.len(), 4, "the last one, and no other");
    let paused = json!({"metadata": {"annotations": {"slipway.dev/paused": "true"}}});
    cluster.patch_scaled_job("orders", paused).await;
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("scaledjob/orders: it is paused"), "{text}");
    let (_, text) = in_cluster(&cluster, &["trigger", "scaledjob/nothing"]).await;
    assert!(
        text.contains("ScaledJob") && text.contains("not found"),
        "{text}"
    );
    cluster.remove().await;
}

#[tokio::test]
async fn a_scaled_job_of_keda_is_answered_in_an_annotation() {
    let world = World::new("asked-keda").await;
    let cluster = Cluster {
        client: client().await,
        namespace: world.namespace.clone(),
    };
    with_keys(&cluster, "slipway.dev").await;
    let queue = Queue::new("asked-keda").await;
    let kedas = json!({"apiVersion": "keda.sh/v1alpha1"});
    cluster
        .create(scaled_job("orders", &queue.url, &kedas))
        .await;
    let _slipway = slipway(&cluster).await;
    let trigger = ["trigger", "scaledjob/orders", "--timeout", "60s"];
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is KEDA's, and not handed over"), "{text}");
    let path = format!("{}/orders", world.path("keda.sh", "scaledjobs"));
    let both = json!({"slipway.dev/managed": "true", "autoscaling.keda.sh/paused": "true"});
    world
        .patch(&path, json!({"metadata": {"annotations": both}}))
        .await;
    for count in 1..3 {
        let (code, text) = in_cluster(&cluster, &trigger).await;
        assert_eq!(code, Some(0), "{text}");
        let job = created(&text);
        let jobs = cluster.jobs_of("orders").await;
        assert_eq!(jobs.len(), count);
        let made = jobs.iter().find(|made| name(made) == job).unwrap();
        let copied = made.metadata.annotations.as_ref().unwrap();
        assert!(!copied.contains_key("slipway.dev/answers"), "{copied:?}");
        let object = world.get(&path).await;
        let answers = object["metadata"]["annotations"]["slipway.dev/answers"].as_str();
        assert!(
            answers.is_some_and(|answers| answers.contains(&job)),
            "{object}"
        );
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_cron_job_in_place_makes_a_job_for_each_request_beside_its_schedule() {
    let cluster = Cluster::new("asked-cron").await;
    // Not due while the test runs.
    let minute = (now().as_second() / 60 + 30) % 60;
    let rarely = json!({"schedule": format!("{minute} * * * *"), "concurrencyPolicy": "Forbid"});
    create(&cluster, "cleanup", &rarely).await;
    let trigger = ["trigger", "cronjob/cleanup", "--timeout", "60s"];
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("kubectl create job --from=cronjob/NAME"),
        "{text}"
    );
    // With the rights of the documentation, and no other.
    let mut first = in_place::slipway(&cluster).await;
    hand_over(&cluster, "cleanup").await;
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(0), "{text}");
    let job = created(&text);
    let made = cluster.jobs().await.remove(0);
    assert_eq!(name(&made), job);
    let labels = made.metadata.labels.as_ref().unwrap();
    assert_eq!(labels["slipway.dev/cronjob"], "cleanup");
    let annotations = made.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["cronjob.kubernetes.io/instantiate"], "manual");
    let owner = &made.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((&*owner.kind, owner.controller), ("CronJob", Some(false)));
    let object = in_place::cron_jobs(&cluster).get("cleanup").await.unwrap();
    let answers = &object.metadata.annotations.as_ref().unwrap()["slipway.dev/answers"];
    assert!(answers.contains(&job), "{answers}");
    assert_eq!(
        object.status.unwrap().last_schedule_time,
        None,
        "nothing was due"
    );

    // Under Forbid there is one at a time.
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("job {job} has not ended")), "{text}");
    cluster.finish_jobs().await;
    // Whoever leads next knows what was answered.
    first.kill();
    let _second = in_place::slipway_again(&cluster).await;
    let (code, text) = in_cluster(&cluster, &trigger).await;
    assert_eq!(code, Some(0), "{text}");
    assert_ne!(created(&text), job);
    let days = (now() - super::hours(2)).to_string();
    let until = now().to_string();
    let range = [
        "backfill",
        "cronjob/cleanup",
        "--from",
        &days,
        "--to",
        &until,
    ];
    let (code, text) = in_cluster(&cluster, &range).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 Jobs were created"), "{text}");
    cluster.remove().await;
}

#[tokio::test]
async fn a_scaled_job_and_a_cron_job_of_a_state_folder_are_triggered_there() {
    // That of the process, which goes with it.
    let folder = std::env::temp_dir().join(format!("slipway-asked-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("all.yaml");
    let pod = json!({"spec": {"restartPolicy": "Never", "containers": [{
        "name": "a", "image": "a", "command": ["sh", "-c", "echo I ran"],
    }]}});
    // Nobody answers there: a Job that is asked for needs no reading.
    let trigger = json!({"type": "external", "metadata": {"scalerAddress": "127.0.0.1:1"}});
    let scaled_job = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": "orders"},
        "spec": {"jobTargetRef": {"template": pod}, "triggers": [trigger]},
    });
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cleanup", "namespace": "reports"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}},
    });
    let broken = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob", "metadata": {"name": "broken"},
        "spec": {
            "source": {"cron": {"schedule": "0 0 1 1 *", "catchUp": "Alll"}},
            "jobTemplate": {"spec": {"template": pod}},
        },
    });
    std::fs::write(
        &file,
        format!("{scaled_job}\n---\n{cron_job}\n---\n{broken}\n"),
    )
    .unwrap();
    let local = SlipwayLocal::start("asked", std::slice::from_ref(&file));
    let state = local.state();
    let state = state.to_str().unwrap().to_owned();
    let ask = async |object: &str, patience: &str| {
        let arguments = ["trigger", object, "--state", &state, "--timeout", patience];
        let arguments = arguments.map(str::to_owned);
        let run = move || verb(&arguments.each_ref().map(String::as_str));
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    for object in ["scaledjob/orders", "cronjob/cleanup"] {
        let job = await_until(&format!("{object} is triggered"), SOON, async || {
            let (code, text) = ask(object, "20s").await;
            (code == Some(0)).then(|| created(&text))
        })
        .await;
        let log = await_until("it has run", SOON, async || {
            let (code, text) = verb(&["logs", "-f", &job, "--state", &state]);
            (code == Some(0)).then_some(text)
        })
        .await;
        assert_eq!(log, "I ran\n");
    }
    // A CronJob runs there as an EventJob.
    let cleanup = [
        "explain",
        "cronjob/cleanup",
        "-n",
        "reports",
        "--state",
        &state,
    ];
    let (code, text) = verb(&cleanup);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("EventJob reports/cleanup: "), "{text}");
    // What was answered stays answered.
    let rounds = std::path::Path::new(&state).join("default/.rounds/orders.json");
    let record: Value = serde_json::from_slice(&std::fs::read(rounds).unwrap()).unwrap();
    assert_eq!(record["requests"][0]["result"], "Done", "{record}");
    // What is not there, or cannot run, does not run later either.
    let (code, text) = ask("eventjob/nope", "20s").await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("EventJob nope is not in the files"), "{text}");
    let (code, text) = ask("eventjob/broken", "1s").await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("is not asked any more: it is invalid"),
        "{text}"
    );
    let asked = std::path::Path::new(&state).join("default/.requests/broken.json");
    assert_eq!(std::fs::read_to_string(asked).unwrap().trim(), "[]");
    // A Job that is not there, and a folder that is not there, are no empty answers.
    let (code, text) = verb(&["logs", "nobody", "--state", &state]);
    assert_eq!(code, Some(1), "{text}");
    let look = format!("see `slipway jobs --state {state}`");
    assert!(text.contains(&look), "{text}");
    for arguments in ["jobs", "rerun x", "trigger x"] {
        let arguments: Vec<&str> = arguments
            .split(' ')
            .chain(["--state", "/nowhere"])
            .collect();
        let (code, text) = verb(&arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("there is no state folder /nowhere"), "{text}");
    }
}

#[tokio::test]
async fn cron_jobs_in_place_are_on_the_page_with_their_next_times() {
    let cluster = Cluster::new("shown-cron").await;
    let minute = (now().as_second() / 60 + 30) % 60;
    let rarely = json!({"schedule": format!("{minute} * * * *"), "timeZone": "Asia/Kolkata"});
    create(&cluster, "cleanup", &rarely).await;
    let arguments = ["--cron-jobs-in-place", "--admin", "127.0.0.1:0"];
    let slipway = crate::events::slipway(&cluster, &arguments).await;
    let address = await_until("it says where its page is", SOON, async || slipway.page()).await;
    let admin = format!("http://{address}");
    let explain = ["explain", "cronjob/cleanup", "--admin", &admin];
    let (code, text) = in_cluster(&cluster, &explain).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Kubernetes runs it."), "{text}");
    hand_over(&cluster, "cleanup").await;
    let (code, text) = in_cluster(&cluster, &["trigger", "cronjob/cleanup"]).await;
    assert_eq!(code, Some(0), "{text}");
    let job = created(&text);
    let (code, text) = in_cluster(&cluster, &explain).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("CronJob") && text.contains("next due"),
        "{text}"
    );
    assert!(text.contains(&job), "what its leader remembers: {text}");
    let shown = crate::page::object(&address, "cleanup", |shown| shown["state"] == "busy").await;
    assert_eq!(shown["kind"], "CronJob");
    assert_eq!(
        shown["source"],
        format!("schedule {minute} * * * * Asia/Kolkata")
    );
    let next: Vec<jiff::Timestamp> = serde_json::from_value(shown["next"].clone()).unwrap();
    assert_eq!(next.len(), 5, "{shown}");
    assert!(next[0] > now() && next.is_sorted(), "{shown}");
    let get = async |path: &str| {
        let line = format!("GET {path}");
        let answer = crate::support::http::request(&address, &line, &[], "").await;
        answer.unwrap().body
    };
    let overview = get("/").await;
    let (_, due) = overview.split_once("id=\"due\"").unwrap();
    assert!(
        due.contains("cleanup") && due.contains("Asia/Kolkata"),
        "{due}"
    );
    let page = get(&format!("/objects/CronJob/{}/cleanup", cluster.namespace)).await;
    assert!(page.contains(&job), "{page}");
    assert!(page.contains("slipway trigger cronjob/cleanup"), "{page}");
    // Given back, it is no longer there.
    let back = json!({"metadata": {"annotations": {"slipway.dev/managed": null}}, "spec": {"suspend": true}});
    in_place::change(&cluster, "cleanup", back).await;
    await_until("it is gone from the page", SOON, async || {
        (!get("/api/v1/objects").await.contains("cleanup")).then_some(())
    })
    .await;
    cluster.remove().await;
}
