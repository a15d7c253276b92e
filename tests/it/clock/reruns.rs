//! Jobs that failed and run again, and Jobs that are to go: `slipway rerun`, `slipway rm`.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::SOON;
use super::asked::{in_cluster, verb};
use crate::events::{cluster, deliver, event_job, renewed, slipway, variable};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::http::post;
use crate::support::local::SlipwayLocal;

fn annotation<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    let annotations = job.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

async fn job(cluster: &Cluster, name: &str) -> Job {
    cluster.job_api().get(name).await.unwrap()
}

/// Plays the kubelet of a program that fails, until the Job has.
async fn fail(cluster: &Cluster, name: &str) {
    await_until("it has failed", SOON, async || {
        cluster.pods_become("Failed", usize::MAX).await;
        is_finished(&job(cluster, name).await).then_some(())
    })
    .await;
}

/// The Job that an answer names.
fn named(text: &str) -> String {
    let named = text.strip_prefix("job/").unwrap();
    named.split(':').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_failed_job_runs_again_once_with_its_values_and_its_event() {
    let cluster = cluster("rerun").await;
    let changes = json!({
        "bind": {"file": {"path": "/var/run/slipway/event.json"}},
        "jobTemplate": {"spec": {"backoffLimit": 0}},
    });
    cluster.create(event_job("invoice", &changes)).await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-1");
    let heard = deliver(&slipway, &cluster, "invoice", &event).await;
    let first = heard.text("jobName").to_owned();
    let (code, text) = in_cluster(&cluster, &["rerun", &first]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("only a Job that failed runs again"), "{text}");

    fail(&cluster, &first).await;
    let rerun = ["rerun", &*first];
    let (one, other) = tokio::join!(in_cluster(&cluster, &rerun), in_cluster(&cluster, &rerun));
    assert_eq!((one.0, other.0), (Some(0), Some(0)), "{one:?} {other:?}");
    let second = named(&one.1);
    assert_eq!(named(&other.1), second);
    assert_eq!(cluster.jobs().await.len(), 2);
    let again = job(&cluster, &second).await;
    assert_eq!(annotation(&again, "slipway.dev/attempt"), Some("2"));
    assert_eq!(
        variable(&again, "SUBSCRIPTION_ID").as_deref(),
        Some("sub-1")
    );
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let secret = secrets.get(&second).await.unwrap();
    let written: Value = serde_json::from_slice(&secret.data.unwrap()["event.json"].0).unwrap();
    assert_eq!(written, event);
    assert_eq!(secret.metadata.owner_references.unwrap()[0].name, second);

    // While that one has not ended, it is the answer.
    let (_, text) = in_cluster(&cluster, &rerun).await;
    assert_eq!(named(&text), second, "{text}");
    fail(&cluster, &second).await;
    let many = ["rerun", "--failed", "--since", "1h"];
    let (code, text) = in_cluster(&cluster, &many).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 Job runs again, 0 not"), "{text}");
    let third = job(&cluster, &named(&text)).await;
    assert_eq!(annotation(&third, "slipway.dev/attempt"), Some("3"));
    // Those with a later attempt are left out.
    let (_, text) = in_cluster(&cluster, &many).await;
    assert!(text.contains("0 Jobs run again, 0 not"), "{text}");

    // The event itself, sent again, is a repeat.
    let heard = deliver(&slipway, &cluster, "invoice", &event).await;
    assert_eq!(
        (heard.text("result"), heard.text("jobName")),
        ("Duplicate", &*first)
    );
    cluster.remove().await;
}

#[tokio::test]
async fn many_failed_jobs_run_again_a_few_at_a_time_and_take_their_turns() {
    let cluster = cluster("rerun-many").await;
    let changes = json!({
        "concurrencyPolicy": "Queue", "concurrency": {"limit": 2},
        "jobTemplate": {"spec": {"backoffLimit": 0}},
    });
    cluster.create(event_job("invoice", &changes)).await;
    let slipway = slipway(&cluster, &[]).await;
    for number in 0..12 {
        let event = renewed(&format!("e-{number}"), "sub");
        deliver(&slipway, &cluster, "invoice", &event).await;
    }
    await_until("all have failed", Duration::from_mins(2), async || {
        cluster.pods_become("Failed", usize::MAX).await;
        (cluster.unfinished().await == 0).then_some(())
    })
    .await;
    let many = [
        "rerun",
        "--failed",
        "--since",
        "1h",
        "--at-once",
        "3",
        "--timeout",
        "1m",
    ];
    let (code, text) = in_cluster(&cluster, &many).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("12 Jobs run again, 0 not"), "{text}");
    let jobs = cluster.jobs().await;
    assert_eq!(jobs.len(), 24);
    let runs = |job: &&Job| !is_finished(job) && job.spec.as_ref().unwrap().suspend == Some(false);
    assert!(jobs.iter().filter(runs).count() <= 2);
    cluster.remove().await;
}

#[tokio::test]
async fn a_job_that_is_removed_stops_at_once_and_others_are_left_alone() {
    let cluster = cluster("rm").await;
    cluster.create(event_job("invoice", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-1");
    let heard = deliver(&slipway, &cluster, "invoice", &event).await;
    let name = heard.text("jobName").to_owned();
    let (code, text) = in_cluster(&cluster, &["rm", &name]).await;
    assert_eq!(code, Some(0), "{text}");
    let going = job(&cluster, &name).await;
    assert_eq!(annotation(&going, "slipway.dev/gate"), Some("dropped"));
    assert_eq!(going.spec.unwrap().suspend, Some(true));
    let (_, text) = in_cluster(&cluster, &["jobs"]).await;
    assert!(text.contains("Removing"), "{text}");
    // Its event is known as long as it is there, and longer.
    let heard = deliver(&slipway, &cluster, "invoice", &event).await;
    assert_eq!(heard.text("result"), "Duplicate");

    let ours =
        json!({"app.kubernetes.io/managed-by": "slipway", "slipway.dev/scaledjob": "orders"});
    for (name, labels) in [("counted", ours), ("foreign", json!({}))] {
        let manifest = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
            }}},
        });
        let manifest: Job = serde_json::from_value(manifest).unwrap();
        let jobs = cluster.job_api();
        jobs.create(&PostParams::default(), &manifest)
            .await
            .unwrap();
    }
    for (arguments, words) in [
        (["rerun", "counted"], "send the message again"),
        (["rm", "counted"], "could be made again"),
        (["rm", "foreign"], "was not made by Slipway"),
        (["rm", "nothing"], "there is no job nothing"),
        (["rerun", "nothing"], "there is no job nothing"),
    ] {
        let (code, text) = in_cluster(&cluster, &arguments).await;
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_job_of_this_machine_runs_again_and_goes() {
    let folder = std::env::temp_dir().join(format!("slipway-rerun-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let marker = folder.join("repaired");
    let script = format!("cat $SLIPWAY_EVENT_FILE; test -e {}", marker.display());
    let object = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob", "metadata": {"name": "invoice"},
        "spec": {
            "source": {"webhook": {"format": "JSON", "auth": [{"none": {}}]}},
            "bind": {"file": {"path": "/var/run/slipway/event.json"}},
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "a", "image": "a", "command": ["sh", "-c", script]}],
            }}}},
        },
    });
    let file = folder.join("invoice.yaml");
    std::fs::write(&file, object.to_string()).unwrap();
    let local = SlipwayLocal::start("rerun", &[file]);
    let state = local.state();
    let state = state.to_str().unwrap();
    let headers = [("idempotency-key", "e-1")];
    let heard = await_until("the event is taken", SOON, async || {
        let path = "/events/default/invoice";
        let heard = post(local.http(), path, &headers, r#"{"amount": 5}"#).await?;
        (heard.status == 200).then_some(heard)
    })
    .await;
    let first = heard.text("jobName").to_owned();
    let status = |job: &str| {
        let (_, text) = verb(&["jobs", "--state", state, "-o", "json"]);
        let jobs: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        let row = jobs.into_iter().find(|row| row["name"] == *job);
        row.map(|row| row["status"].as_str().unwrap().to_owned())
    };
    let becomes = async |job: &str, wanted: &str| {
        await_until(&format!("{job} is {wanted}"), SOON, async || {
            (status(job).as_deref() == Some(wanted)).then_some(())
        })
        .await;
    };
    becomes(&first, "Failed").await;
    std::fs::write(&marker, "").unwrap();
    let (code, text) = verb(&["rerun", &first, "--state", state]);
    assert_eq!(code, Some(0), "{text}");
    let second = named(&text);
    assert_ne!(second, first);
    becomes(&second, "Complete").await;
    let (_, of_first) = verb(&["logs", &first, "--state", state]);
    let (_, of_second) = verb(&["logs", &second, "--state", state]);
    assert!(of_first.contains("amount"), "{of_first}");
    assert_eq!(of_second, of_first, "the same event");
    // It has succeeded meanwhile.
    let (code, text) = verb(&["rerun", &first, "--state", state]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("has succeeded"), "{text}");

    let (code, text) = verb(&["rm", &first, "--state", state]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(status(&first).as_deref(), Some("Removing"));
    let (code, text) = verb(&["rm", "../default", "--state", state]);
    assert_eq!(code, Some(1), "{text}");
    drop(local);
    std::fs::remove_dir_all(&folder).unwrap();
}
