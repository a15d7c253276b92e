//! KEDA's own operator against the real API server and a real queue.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::keda::Keda;
use crate::support::queue::Queue;
use crate::support::servers;

const SOON: Duration = Duration::from_mins(1);

/// Names of the Jobs that KEDA says belong to a ScaledJob.
async fn jobs_of(cluster: &Cluster, name: &str) -> Vec<String> {
    let jobs = cluster.jobs().await.into_iter();
    let mine = jobs.filter(|job| {
        let labels = job.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get("scaledjob.keda.sh/name"))
            .is_some_and(|of| of == name)
    });
    mine.filter_map(|job| job.metadata.name).collect()
}

/// Static keys for KEDA's own scalers, from a Secret.
async fn with_keys(cluster: &Cluster) {
    cluster
        .secret("aws", &[("id", "test"), ("secret", "test")])
        .await;
    cluster
        .create(json!({
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": "aws"},
            "spec": {"secretTargetRef": [
                {"parameter": "awsAccessKeyID", "name": "aws", "key": "id"},
                {"parameter": "awsSecretAccessKey", "name": "aws", "key": "secret"},
            ]},
        }))
        .await;
}

/// A ScaledJob of KEDA's with one trigger; its Jobs make no Pods.
fn scaled_job(name: &str, trigger: &Value) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": {
            "pollingInterval": 1,
            "maxReplicaCount": 50,
            "rollout": {"strategy": "gradual"},
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

/// KEDA's own trigger on a queue: ten messages a Job.
fn sqs_trigger(queue: &Queue) -> Value {
    json!({
        "type": "aws-sqs-queue",
        "authenticationRef": {"name": "aws"},
        "metadata": {
            "queueURL": queue.url,
            "queueLength": "10",
            "awsRegion": "eu-west-1",
            "awsEndpoint": servers::sqs_endpoint(),
        },
    })
}

#[tokio::test]
async fn kedas_own_trigger_launches_what_its_arithmetic_says() {
    let cluster = Cluster::new("keda").await;
    let keda = Keda::start(&[&cluster.namespace]).await;
    with_keys(&cluster).await;
    let queue = Queue::new("keda").await;
    queue.send(25).await;
    cluster
        .create(scaled_job("orders", &sqs_trigger(&queue)))
        .await;
    await_until("three Jobs", SOON, async || {
        (jobs_of(&cluster, "orders").await.len() == 3).then_some(())
    })
    .await;
    // 35 wait and three Jobs are unfinished: one more.
    queue.send(10).await;
    await_until("a fourth Job", SOON, async || {
        (jobs_of(&cluster, "orders").await.len() == 4).then_some(())
    })
    .await;
    keda.remove(&cluster).await;
}
