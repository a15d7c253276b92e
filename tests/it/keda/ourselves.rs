//! Slipway asks Slipway: the client of external scalers against the external scaler.

use serde_json::json;

use super::*;
use crate::events::{KEY, deliver, event_job, renewed};
use crate::support::await_until;
use crate::support::cluster::Cluster;

const SOON: Duration = Duration::from_secs(30);

/// A ScaledJob of ours whose trigger another Slipway answers.
fn scaled_job(scaler: &Slipway, kind: &str, metadata: &[(&str, &str)]) -> serde_json::Value {
    let mut trigger = json!({"type": kind, "metadata": {"scalerAddress": scaler.grpc()}});
    for (key, value) in metadata {
        trigger["metadata"][key] = json!(value);
    }
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": "asker"},
        "spec": {
            // A poll that comes by itself would be too late.
            "pollingInterval": if kind == "external-push" { 3600 } else { 1 },
            "jobTargetRef": {
                "suspend": true,
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "worker", "image": "example.com/worker:1"}],
                }},
            },
            "triggers": [trigger],
        },
    })
}

#[tokio::test]
async fn a_queue_behind_another_slipway_launches_jobs() {
    let (cluster, far) = (
        Cluster::new("keda-near").await,
        Cluster::new("keda-far").await,
    );
    let file = real::stage(&cluster.namespace);
    let arguments = ["--connections", file.path(), "--reading-freshness", "300ms"];
    let scaler = Slipway::run(
        &servers::kubeconfig(),
        &far.namespace,
        &arguments,
        &real::KEYS,
    )
    .await;
    let queue = Queue::new("keda-near").await;
    queue.send(25).await;
    let metadata = [
        ("source", "aws-sqs-queue"),
        ("connection", "stage"),
        ("queueURL", queue.url.as_str()),
        ("queueLength", "10"),
    ];
    cluster
        .create(scaled_job(&scaler, "external", &metadata))
        .await;
    let _asker = Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await;
    cluster.await_jobs(3).await;
    queue.send(10).await;
    cluster.await_jobs(4).await;
    cluster.remove().await;
    far.remove().await;
}

#[tokio::test]
async fn an_event_is_pushed_through_the_port_to_a_scaled_job() {
    let cluster = Cluster::new("keda-pushed").await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster.create(event_job("invoice", &json!({}))).await;
    let kubeconfig = servers::kubeconfig();
    // One process that asks itself, over the wire.
    let scaler = Slipway::run(&kubeconfig, &cluster.namespace, &[], &[]).await;
    let metadata = [("source", "eventbridge"), ("eventJob", "invoice")];
    cluster
        .create(scaled_job(&scaler, "external-push", &metadata))
        .await;
    await_until("it listens", SOON, async || {
        let metrics = scaler.get("/metrics").await?;
        let listens = metrics
            .lines()
            .any(|line| line == "slipway_keda_open_streams 1");
        listens.then_some(())
    })
    .await;
    deliver(&scaler, &cluster, "invoice", &renewed("e-1", "sub-1")).await;
    await_until("a Job beside the event's own", SOON, async || {
        (cluster.jobs_of("asker").await.len() == 1).then_some(())
    })
    .await;
    cluster.remove().await;
}
