//! Edits while Jobs run, and Jobs of others with a copied label.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::{cluster, scaled_job, slipway, tidying};
use crate::support::api_proxy::{ApiProxy, CREATES, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::queue::Queue;

fn image(name: &str) -> Value {
    json!({"spec": {"jobTargetRef": {"template": {"spec": {
        "containers": [{"name": "worker", "image": name}]
    }}}}})
}

fn uids(jobs: &[Job]) -> BTreeSet<String> {
    jobs.iter()
        .map(|job| job.metadata.uid.clone().unwrap())
        .collect()
}

/// Waits until an edit has been acted on: a turn of the new generation is in the status.
async fn await_generation(cluster: &Cluster, name: &str, generation: u64) {
    await_until("the edit is seen", Duration::from_secs(20), async || {
        let status = cluster.status(name).await;
        (status["observedGeneration"] == json!(generation)).then_some(())
    })
    .await;
}

/// A Job that says it is of the ScaledJob, and belongs to nobody.
async fn stranger(cluster: &Cluster, name: &str, of: &str) {
    let job: Job = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": {"slipway.dev/scaledjob": of, "scaledjob.keda.sh/name": of},
        },
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "worker", "image": "example.com/theirs:1"}],
        }}},
    }))
    .unwrap();
    cluster
        .job_api()
        .create(&PostParams::default(), &job)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_edit_leaves_running_jobs_alone_unless_immediate_is_written() {
    let cluster = cluster("rollout").await;
    let queue = Queue::new("rollout").await;
    queue.send(30).await;
    cluster
        .create(scaled_job("orders", &queue.url, &json!({})))
        .await;
    let _slipway = slipway(&cluster).await;
    cluster.await_jobs(3).await;
    cluster.pods_become("Running", usize::MAX).await;
    stranger(&cluster, "stranger", "orders").await;
    let before = uids(&cluster.jobs().await);

    cluster
        .patch_scaled_job("orders", image("example.com/worker:2"))
        .await;
    await_generation(&cluster, "orders", 2).await;
    assert_eq!(uids(&cluster.jobs().await), before);

    let immediate = json!({"spec": {"rollout": {"strategy": "immediate"}}});
    cluster.patch_scaled_job("orders", immediate).await;
    // Those of earlier generations go, and the backlog makes others; the stranger stays.
    await_until("a rollout", Duration::from_secs(30), async || {
        let jobs = cluster.jobs().await;
        let rolled = |job: &Job| {
            let annotations = job.metadata.annotations.clone().unwrap_or_default();
            annotations
                .get("slipway.dev/generation")
                .map(String::as_str)
                == Some("3")
        };
        let of_us = jobs
            .iter()
            .filter(|job| job.metadata.name.as_deref() != Some("stranger"));
        let all_rolled = of_us.clone().count() > 0 && of_us.clone().all(rolled);
        all_rolled.then_some(())
    })
    .await;
    assert!(cluster.job_api().get("stranger").await.is_ok());
    cluster.remove().await;
}

#[tokio::test]
async fn history_limits_never_touch_a_job_of_another_owner() {
    let cluster = cluster("strangers").await;
    let queue = Queue::new("strangers").await;
    queue.send(20).await;
    for name in ["stranger-1", "stranger-2"] {
        stranger(&cluster, name, "orders").await;
    }
    let changes = json!({"spec": {"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0}});
    cluster
        .create(scaled_job("orders", &queue.url, &changes))
        .await;
    let _slipway = tidying(&cluster).await;
    // The strangers carry the label, so they count: a count too high is on the safe side.
    let status = super::decision(&cluster, "orders").await;
    assert_eq!(status["lastDecision"]["unfinished"], 2, "{status}");
    cluster.finish_jobs().await;
    cluster.await_jobs(4).await;
    queue.take(20).await;
    cluster.finish_jobs().await;
    await_until("our own go", Duration::from_secs(20), async || {
        let jobs = cluster.jobs().await;
        let names: BTreeSet<String> = jobs
            .into_iter()
            .filter_map(|job| job.metadata.name)
            .collect();
        (names == BTreeSet::from(["stranger-1".to_owned(), "stranger-2".to_owned()])).then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn an_object_made_anew_while_the_watch_was_away_begins_its_rounds_at_one() {
    let cluster = cluster("anew").await;
    let queue = Queue::new("anew").await;
    queue.send(10).await;
    cluster
        .create(scaled_job("orders", &queue.url, &json!({})))
        .await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = super::faults::File::new(&cluster, &proxy.kubeconfig());
    let _slipway = Slipway::run(kubeconfig.path(), &cluster.namespace, &[], &[]).await;
    cluster.await_jobs(1).await;
    // A second round, so that the number is not 1 by chance.
    cluster.finish_jobs().await;
    cluster.await_jobs(2).await;

    proxy.fault(Rule::on("GET", "/scaledjobs?", Fault::Refuse(410)));
    proxy.cut_watches();
    let scaled_jobs = cluster.scaled_jobs();
    scaled_jobs
        .delete("orders", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    cluster.await_jobs(0).await;
    cluster
        .create(scaled_job("orders", &queue.url, &json!({})))
        .await;
    proxy.heal();
    cluster.await_jobs(1).await;
    let status = cluster.status("orders").await;
    assert_eq!(status["round"]["number"], 1, "{status}");
    cluster.remove().await;
}

#[tokio::test]
async fn foreground_deletion_ends_while_there_is_a_backlog() {
    let cluster = cluster("foreground").await;
    let queue = Queue::new("foreground").await;
    queue.send(200).await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = super::faults::File::new(&cluster, &proxy.kubeconfig());
    let changes = json!({"spec": {"maxReplicaCount": 3}});
    cluster
        .create(scaled_job("going", &queue.url, &changes))
        .await;
    let _slipway = Slipway::run(kubeconfig.path(), &cluster.namespace, &[], &[]).await;
    cluster.await_jobs_of("going", 3).await;
    let foreground = DeleteParams::foreground();
    cluster
        .scaled_jobs()
        .delete("going", &foreground)
        .await
        .unwrap();
    await_until(
        "it is gone with its Jobs",
        Duration::from_secs(30),
        async || {
            let is_gone = cluster.scaled_jobs().get_opt("going").await.ok()?.is_none();
            (is_gone && cluster.jobs().await.is_empty()).then_some(())
        },
    )
    .await;
    // The garbage collector deleted Jobs one by one, and none was replaced.
    assert_eq!(proxy.calls("POST", CREATES), 3);
    cluster.remove().await;
}

/// The API server takes the ScaledJob, and never a Job of it. Its owner hears so before there is work, until it is mended.
#[tokio::test]
async fn a_template_that_can_never_be_made_is_told_before_there_is_work() {
    let cluster = cluster("template").await;
    let queue = Queue::new("template").await;
    let mount = json!({"name": "worker", "image": "a", "volumeMounts": [{"name": "nosuch", "mountPath": "/x"}]});
    let containers = |container: Value| json!({"spec": {"jobTargetRef": {"template": {"spec": {"containers": [container]}}}}});
    let object = scaled_job("broken", &queue.url, &containers(mount));
    cluster.create(object).await;
    let slipway = slipway(&cluster).await;
    let ready = async |wanted: (&str, &str)| {
        await_until(wanted.1, Duration::from_secs(30), async || {
            let (status, reason) = cluster.condition("broken", "Ready").await;
            ((status.as_str(), reason.as_str()) == wanted).then_some(())
        })
        .await;
    };
    ready(("False", "KEDAJobCreateFailed")).await;
    let status = cluster.status("broken").await;
    assert!(status.to_string().contains("nosuch"), "{status}");
    assert_eq!(cluster.jobs().await.len(), 0);
    let mended = containers(json!({"name": "worker", "image": "a"}));
    cluster.patch_scaled_job("broken", mended).await;
    ready(("True", "ScaledJobReady")).await;
    assert_eq!(cluster.status("broken").await["proof"]["generation"], 2);
    drop(slipway);
    cluster.remove().await;
}
