//! The main job, end to end: the built binary against the real API server and a
//! real queue. What Jobs there are is looked at from outside.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

mod edits;
pub(crate) mod faults;
mod identity;
mod in_place;
mod manifest;
pub(crate) mod rights;
mod rounds;
mod topics;

/// A ScaledJob on a queue: ten messages a Job, at most fifty Jobs, one poll a second.
pub(crate) fn scaled_job(name: &str, queue_url: &str, changes: &Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": {
            "pollingInterval": 1,
            "maxReplicaCount": 50,
            "jobTargetRef": {
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "worker", "image": "example.com/worker:1"}]
                }}
            },
            "triggers": [{
                "type": "aws-sqs-queue",
                "metadata": {
                    "queueURL": queue_url,
                    "queueLength": "10",
                    "awsRegion": "eu-west-1",
                    "awsEndpoint": servers::sqs_endpoint()
                },
                "authenticationRef": {"name": "aws"}
            }]
        }
    });
    merge(&mut manifest, changes);
    manifest
}

/// Jobs without Pods: hundreds of them would keep the Job controller, which all tests share, busy for a minute.
fn without_pods() -> Value {
    json!({"spec": {"jobTargetRef": {"suspend": true}}})
}

/// RFC 7386.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// Static keys in a Secret, and the TriggerAuthentication that hands them to triggers; `group`: whose.
pub(crate) async fn with_keys(cluster: &Cluster, group: &str) {
    cluster
        .secret("aws", &[("id", "test"), ("secret", "test")])
        .await;
    cluster
        .create(json!({
            "apiVersion": format!("{group}/v1alpha1"),
            "kind": "TriggerAuthentication",
            "metadata": {"name": "aws"},
            "spec": {"secretTargetRef": [
                {"parameter": "awsAccessKeyID", "name": "aws", "key": "id"},
                {"parameter": "awsSecretAccessKey", "name": "aws", "key": "secret"}
            ]}
        }))
        .await;
}

pub(crate) async fn cluster(name: &str) -> Cluster {
    let cluster = Cluster::new(name).await;
    with_keys(&cluster, "slipway.dev").await;
    cluster
}

pub(crate) async fn slipway(cluster: &Cluster) -> Slipway {
    Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await
}

/// One that removes finished Jobs however young they are.
pub(crate) async fn tidying(cluster: &Cluster) -> Slipway {
    let young = ["--unseen-grace", "0s"];
    Slipway::run(&servers::kubeconfig(), &cluster.namespace, &young, &[]).await
}

/// Waits for a decision on the object and gives it with what it was made from.
async fn decision(cluster: &Cluster, name: &str) -> Value {
    await_until(
        &format!("a decision on {name}"),
        Duration::from_secs(30),
        async || {
            let status = cluster.status(name).await;
            status["lastDecision"]["reason"]
                .is_string()
                .then(|| status.clone())
        },
    )
    .await
}

#[tokio::test]
async fn backlogs_become_the_jobs_that_kedas_arithmetic_says() {
    let cluster = cluster("arithmetic").await;
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
    for (backlog, jobs) in [(0_usize, 0_u64), (1, 1), (25, 3), (1000, 50)] {
        let queue = Queue::new("arithmetic").await;
        queue.send(backlog).await;
        for (strategy, scaling_strategy) in &strategies {
            // One poll for the whole test: eager launches again at each.
            let mut changes = without_pods();
            changes["spec"]["pollingInterval"] = json!(300);
            changes["spec"]["scalingStrategy"] = scaling_strategy.clone();
            let name = format!("{strategy}-{backlog}");
            cluster
                .create(scaled_job(&name, &queue.url, &changes))
                .await;
            let jobs = if *strategy == "custom" {
                jobs.saturating_sub(1)
            } else {
                jobs
            };
            expected.push((name, backlog, jobs));
        }
    }
    let _slipway = slipway(&cluster).await;
    for (name, backlog, jobs) in &expected {
        let status = decision(&cluster, name).await;
        assert_eq!(
            status["lastDecision"]["launch"],
            json!(jobs),
            "{name}: {status}"
        );
        assert_eq!(status["backlog"], json!(backlog), "{name}: {status}");
    }
    let total: u64 = expected.iter().map(|(_, _, jobs)| jobs).sum();
    cluster.await_jobs(usize::try_from(total).unwrap()).await;
    for (name, _, jobs) in &expected {
        let mine = cluster.jobs().await.into_iter().filter(|job| {
            job.metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get("slipway.dev/scaledjob"))
                == Some(name)
        });
        assert_eq!(mine.count() as u64, *jobs, "{name}");
    }
    cluster.remove().await;
}

#[tokio::test]
async fn finished_jobs_make_way_for_the_number_that_is_left() {
    let cluster = cluster("finish").await;
    let queue = Queue::new("finish").await;
    queue.send(25).await;
    cluster
        .create(scaled_job("orders", &queue.url, &json!({})))
        .await;
    let _slipway = slipway(&cluster).await;
    cluster.await_jobs(3).await;
    queue.take(20).await;
    cluster.finish_jobs().await;
    // Five are left: one more Job, and the queue is empty after it.
    cluster.await_jobs(4).await;
    queue.take(5).await;
    cluster.finish_jobs().await;
    await_until("the object is idle", Duration::from_secs(20), async || {
        let (active, _) = cluster.condition("orders", "Active").await;
        (active == "False").then_some(())
    })
    .await;
    assert_eq!(cluster.jobs().await.len(), 4);
    cluster.remove().await;
}

#[tokio::test]
async fn a_broken_object_says_so_and_disturbs_no_other() {
    let cluster = cluster("broken").await;
    let queue = Queue::new("broken").await;
    queue.send(5).await;
    let gone = Queue::new("gone").await;
    gone.delete().await;
    cluster
        .create(scaled_job("gone", &gone.url, &json!({})))
        .await;
    let nobody = json!({"spec": {"triggers": [{
        "type": "aws-sqs-queue",
        "metadata": {"queueURL": queue.url, "awsRegion": "eu-west-1", "awsEndpoint": servers::sqs_endpoint()},
        "authenticationRef": {"name": "nobody"}
    }]}});
    cluster
        .create(scaled_job("nobody", &queue.url, &nobody))
        .await;
    cluster
        .create(scaled_job("sound", &queue.url, &json!({})))
        .await;
    let _slipway = slipway(&cluster).await;
    cluster.await_jobs(1).await;
    for name in ["gone", "nobody"] {
        await_until(
            &format!("{name} is not ready"),
            Duration::from_secs(30),
            async || {
                let (ready, reason) = cluster.condition(name, "Ready").await;
                (ready == "False" && reason == "TriggerError").then_some(())
            },
        )
        .await;
    }
    let status = cluster.status("nobody").await;
    let error = status["lastDecision"]["triggers"][0]["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        error.contains("nobody"),
        "the missing TriggerAuthentication is named: {status}"
    );
    await_until("sound is ready", Duration::from_secs(20), async || {
        (cluster.condition("sound", "Ready").await.0 == "True").then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn the_pause_annotation_stops_launches_and_taking_it_off_resumes_them() {
    let cluster = cluster("pause").await;
    let queue = Queue::new("pause").await;
    let paused = json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}});
    cluster
        .create(scaled_job("orders", &queue.url, &paused))
        .await;
    queue.send(10).await;
    let _slipway = slipway(&cluster).await;
    await_until("Paused", Duration::from_secs(20), async || {
        (cluster.condition("orders", "Paused").await.0 == "True").then_some(())
    })
    .await;
    assert_eq!(cluster.jobs().await.len(), 0);
    cluster
        .patch_scaled_job(
            "orders",
            json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused": null}}}),
        )
        .await;
    cluster.await_jobs(1).await;
    await_until("not Paused", Duration::from_secs(20), async || {
        (cluster.condition("orders", "Paused").await.0 == "False").then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_raised_cap_takes_effect_at_once_and_launches_what_it_had_kept_back() {
    let cluster = cluster("raise").await;
    let queue = Queue::new("raise").await;
    queue.send(100).await;
    // Nothing but an edit or a finished Job can start a turn within this test.
    let changes = json!({"spec": {"pollingInterval": 300, "maxReplicaCount": 2}});
    cluster
        .create(scaled_job("orders", &queue.url, &changes))
        .await;
    let _slipway = slipway(&cluster).await;
    cluster.await_jobs(2).await;
    cluster
        .patch_scaled_job("orders", json!({"spec": {"maxReplicaCount": 6}}))
        .await;
    cluster.await_jobs(6).await;
    // A finished Job makes room for another at once: ten were wanted.
    cluster.pods_become("Succeeded", 1).await;
    await_until("a seventh Job", Duration::from_secs(20), async || {
        cluster.pods_become("Running", 0).await;
        (cluster.jobs().await.len() == 7).then_some(())
    })
    .await;
    assert_eq!(cluster.unfinished().await, 6);
    cluster.remove().await;
}

#[tokio::test]
async fn sigterm_is_a_clean_stop() {
    let cluster = cluster("stop").await;
    let mut slipway = slipway(&cluster).await;
    assert_eq!(slipway.terminate().await, Some(0), "{}", slipway.log());
    cluster.remove().await;
}

#[tokio::test]
async fn history_limits_and_status_columns_follow_the_jobs() {
    let cluster = cluster("history").await;
    let queue = Queue::new("history").await;
    queue.send(30).await;
    let changes = json!({"spec": {"successfulJobsHistoryLimit": 1}});
    cluster
        .create(scaled_job("orders", &queue.url, &changes))
        .await;
    let _slipway = tidying(&cluster).await;
    cluster.await_jobs(3).await;
    queue.take(30).await;
    cluster.finish_jobs().await;
    cluster.await_jobs(1).await;
    let status = await_until("status", Duration::from_secs(20), async || {
        let status = cluster.status("orders").await;
        (status["backlog"] == json!(0) && status["runningJobs"] == json!(0)).then_some(status)
    })
    .await;
    assert!(status["lastLaunchTime"].is_string(), "{status}");
    cluster.remove().await;
}
