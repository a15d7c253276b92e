//! The same arithmetic on Kafka's lag.

use std::time::Duration;

use serde_json::{Value, json};

use super::{decision, merge, without_pods};
use crate::support::await_until;
use crate::support::cluster::{Cluster, unique};
use crate::support::process::Slipway;
use crate::support::servers;
use crate::support::topic::Topic;

/// A ScaledJob on a topic: ten messages a Job, at most fifty Jobs.
fn scaled_job(name: &str, topic: &str, group: &str, changes: &Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": {
            // One poll for the whole test: eager launches again at each.
            "pollingInterval": 300,
            "maxReplicaCount": 50,
            "jobTargetRef": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "worker", "image": "example.com/worker:1"}]
            }}},
            "triggers": [{"type": "kafka", "metadata": {
                "bootstrapServers": servers::kafka_brokers(),
                "topic": topic,
                "consumerGroup": group,
                "lagThreshold": "10",
                "allowIdleConsumers": "true"
            }}]
        }
    });
    merge(&mut manifest, changes);
    manifest
}

fn metadata(changes: &Value, topic: &str, group: &str) -> Value {
    let mut manifest = scaled_job("any", topic, group, &json!({}));
    let trigger = &mut manifest["spec"]["triggers"][0];
    merge(trigger, &json!({"metadata": changes}));
    json!({"spec": {"triggers": [trigger]}})
}

async fn slipway(cluster: &Cluster) -> Slipway {
    Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await
}

#[tokio::test]
async fn lags_become_the_jobs_that_kedas_arithmetic_says() {
    let cluster = Cluster::new("lags").await;
    let strategies = [
        ("default", json!({"strategy": "default"})),
        ("accurate", json!({"strategy": "accurate"})),
        ("eager", json!({"strategy": "eager"})),
        (
            "custom",
            json!({
                "strategy": "custom",
                "customScalingQueueLengthDeduction": 1,
                "customScalingRunningJobPercentage": "0.5"
            }),
        ),
    ];
    let mut expected = Vec::new();
    for (lag, jobs) in [(0_usize, 0_usize), (1, 1), (25, 3), (1000, 50)] {
        let topic = Topic::new("lags", 3).await;
        let group = unique();
        topic.commit(&group, 0);
        topic.send(lag);
        for (strategy, scaling_strategy) in &strategies {
            let name = format!("{strategy}-{lag}");
            let mut changes = without_pods();
            changes["spec"]["scalingStrategy"] = scaling_strategy.clone();
            cluster
                .create(scaled_job(&name, &topic.name, &group, &changes))
                .await;
            let jobs = if *strategy == "custom" {
                jobs.saturating_sub(1)
            } else {
                jobs
            };
            expected.push((name, lag, jobs));
        }
    }
    let _slipway = slipway(&cluster).await;
    for (name, lag, jobs) in &expected {
        let status = decision(&cluster, name).await;
        assert_eq!(status["backlog"], json!(lag), "{name}: {status}");
        assert_eq!(
            status["lastDecision"]["launched"],
            json!(jobs),
            "{name}: {status}"
        );
        assert_eq!(cluster.jobs_of(name).await.len(), *jobs, "{name}");
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_group_without_commits_follows_its_policy_and_a_missing_topic_is_an_error() {
    let cluster = Cluster::new("commitless").await;
    let topic = Topic::new("commitless", 3).await;
    topic.send(25);
    let group = unique();
    // On another topic: a broker that has never looked into the group's commits does not answer the first poll.
    let known = Topic::new("committed", 1).await;
    known.commit(&group, 0);
    // KEDA: one for each partition, so that the first consumer comes and commits.
    let latest = metadata(&json!({"offsetResetPolicy": "latest"}), &topic.name, &group);
    let earliest = metadata(
        &json!({"offsetResetPolicy": "earliest"}),
        &topic.name,
        &group,
    );
    let missing = format!("missing-{}", unique());
    for manifest in [
        scaled_job("latest", &topic.name, &group, &latest),
        scaled_job("earliest", &topic.name, &group, &earliest),
        scaled_job("missing", &missing, &group, &json!({})),
    ] {
        cluster.create(manifest).await;
    }
    let _slipway = slipway(&cluster).await;
    for (name, backlog, launch) in [("latest", 3, 1), ("earliest", 25, 3)] {
        let status = decision(&cluster, name).await;
        assert_eq!(status["backlog"], json!(backlog), "{name}: {status}");
        assert_eq!(status["lastDecision"]["launch"], json!(launch), "{name}");
    }
    await_until(
        "missing is not ready",
        Duration::from_secs(30),
        async || (cluster.condition("missing", "Ready").await.0 == "False").then_some(()),
    )
    .await;
    let status = cluster.status("missing").await;
    assert_eq!(status.get("backlog"), None, "not 0: {status}");
    let error = cluster.trigger_errors("missing").await;
    assert!(error.contains(&missing), "{error}");
    assert!(cluster.jobs_of("missing").await.is_empty());
    cluster.remove().await;
}
