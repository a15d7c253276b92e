//! End to end: the built binary launches Jobs for what scalers and EventJobs push.

use serde_json::{Value, json};

use super::*;
use crate::events::{event_job, renewed, send_to};
use crate::support::cluster::Cluster;
use crate::support::http::post;
use crate::support::local::SlipwayLocal;
use crate::support::process::Slipway;
use crate::support::servers;

/// Long enough that no poll of it is seen in a test.
const NEVER: u32 = 3600;

fn scaled_job(name: &str, interval: u32, kind: &str, metadata: &Value) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": {
            "pollingInterval": interval,
            "triggers": [{"type": kind, "metadata": metadata}],
            "jobTargetRef": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "worker", "image": "example.com/worker:1"}],
            }}},
        },
    })
}

async fn slipway(cluster: &Cluster) -> Slipway {
    Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await
}

async fn await_decision(cluster: &Cluster, name: &str) {
    await_until("a decision", Duration::from_secs(30), async || {
        let status = cluster.status(name).await;
        status["lastDecision"]["reason"].is_string().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_push_launches_jobs_at_once_and_a_scaler_that_is_away_launches_none() {
    let cluster = Cluster::new("push").await;
    let scaler = Scaler::start(Says::waiting(0, 1));
    let address = scaler.socket();
    let metadata = json!({"scalerAddress": scaler.address(), "queue": "orders"});
    let object = scaled_job("resize", NEVER, "external-push", &metadata);
    cluster.create(object).await;
    let _slipway = slipway(&cluster).await;
    await_until("a stream", Duration::from_secs(30), async || {
        (scaler.streams() == 1).then_some(())
    })
    .await;
    await_decision(&cluster, "resize").await;

    scaler.says(Says::waiting(3, 1));
    let start = Instant::now();
    scaler.push(true);
    cluster.await_jobs_of("resize", 3).await;
    let took = start.elapsed();
    assert!(took < Duration::from_mins(1), "{took:?}");
    let status = cluster.status("resize").await;
    assert!(
        status["triggersActivity"]["s0-queue"].is_object(),
        "{status}"
    );
    assert!(
        scaler
            .calls()
            .iter()
            .all(|call| call.namespace == cluster.namespace && call.name == "resize"),
    );

    let poll = json!({"spec": {"pollingInterval": 1}});
    cluster.patch_scaled_job("resize", poll).await;
    drop(scaler);
    let error = await_until("it says so", Duration::from_secs(30), async || {
        let error = cluster.trigger_errors("resize").await;
        error.contains("external scaler").then_some(error)
    })
    .await;
    assert!(error.contains(&address.to_string()), "{error}");
    assert_eq!(
        cluster.condition("resize", "Ready").await,
        ("False".to_owned(), "TriggerError".to_owned())
    );
    assert_eq!(cluster.jobs_of("resize").await.len(), 3);

    let _scaler = Scaler::start_at(Says::waiting(5, 1), address, None);
    cluster.await_jobs_of("resize", 5).await;
    let ready = await_until("it is read again", Duration::from_secs(30), async || {
        let (ready, _) = cluster.condition("resize", "Ready").await;
        (ready == "True").then_some(ready)
    })
    .await;
    assert_eq!(ready, "True");
    cluster.remove().await;
}

#[tokio::test]
async fn events_that_wait_for_their_turn_launch_the_jobs_of_a_scaled_job_at_once() {
    let cluster = Cluster::new("pending").await;
    cluster
        .secret("hook", &[("current", crate::events::KEY)])
        .await;
    let one_at_a_time = json!({"concurrencyPolicy": "Queue", "concurrency": {"limit": 1}});
    cluster.create(event_job("invoices", &one_at_a_time)).await;
    let metadata = json!({"eventJob": "invoices"});
    cluster
        .create(scaled_job("renderer", NEVER, "eventbridge", &metadata))
        .await;
    let metadata = json!({"eventJob": "nobody"});
    cluster
        .create(scaled_job("lost", 1, "eventbridge", &metadata))
        .await;
    let slipway = slipway(&cluster).await;
    await_decision(&cluster, "renderer").await;
    let start = Instant::now();
    for number in 0..3 {
        let event = renewed(&format!("e-{number}"), "sub-1");
        await_until("the event is taken", Duration::from_secs(30), async || {
            let heard = send_to(slipway.http(), &cluster.namespace, "invoices", &event).await?;
            (heard.status == 200).then_some(())
        })
        .await;
    }
    cluster.await_jobs_of("renderer", 3).await;
    let took = start.elapsed();
    assert!(took < Duration::from_mins(1), "{took:?}");
    // Right after the start the EventJobs have not been read, which is said too.
    await_until("it says so", Duration::from_secs(30), async || {
        let error = cluster.trigger_errors("lost").await;
        error.contains("nobody does not exist").then_some(())
    })
    .await;
    assert_eq!(cluster.jobs_of("lost").await.len(), 0);
    // Nothing new: nothing more.
    assert_eq!(cluster.jobs_of("renderer").await.len(), 3);
    cluster.remove().await;
}

#[tokio::test]
async fn events_launch_the_jobs_of_a_scaled_job_without_a_cluster_too() {
    let folder =
        std::env::temp_dir().join(format!("slipway-renderer-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut event_job = event_job("invoices", &json!({}));
    event_job["spec"]["source"]["webhook"]["auth"] = json!([{"none": {}}]);
    // They run for as long as the test does, and are not ready before that.
    event_job["spec"]["concurrencyPolicy"] = json!("Queue");
    let pods = |object: &mut Value, path: &str, script: &str| {
        object.pointer_mut(path).unwrap()["spec"] = json!({
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "x", "command": ["sh", "-c", script]}],
        });
    };
    pods(
        &mut event_job,
        "/spec/jobTemplate/spec/template",
        "sleep 60",
    );
    let metadata = json!({"eventJob": "invoices"});
    let mut scaled_job = scaled_job("renderer", NEVER, "eventbridge", &metadata);
    pods(
        &mut scaled_job,
        "/spec/jobTargetRef/template",
        "echo rendered",
    );
    let file = folder.join("objects.yaml");
    std::fs::write(&file, format!("{event_job}\n---\n{scaled_job}")).unwrap();
    let slipway = SlipwayLocal::start("renderer", std::slice::from_ref(&file));
    for number in 0..2 {
        let event = renewed(&format!("e-{number}"), "sub-1").to_string();
        await_until("the event is taken", Duration::from_secs(30), async || {
            let heard = post(slipway.http(), "/events/default/invoices", &[], &event).await?;
            (heard.status == 200).then_some(())
        })
        .await;
    }
    await_until(
        "Jobs of the ScaledJob",
        Duration::from_secs(30),
        async || {
            let jobs = slipway.jobs("default");
            let rendered = jobs.iter().filter(|name| name.starts_with("renderer-"));
            (rendered.count() >= 1).then_some(())
        },
    )
    .await;
    drop(slipway);
    std::fs::remove_dir_all(folder).unwrap();
}
