//! What is written in `jobTargetRef` is what the API server gets.

use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};

use super::{cluster, scaled_job, slipway};
use crate::support::cluster::Cluster;
use crate::support::queue::Queue;

fn jobs(cluster: &Cluster) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<k8s_openapi::api::batch::v1::Job>(&());
    Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource)
}

/// The spec that the API server makes of what a person posts.
async fn posted_by_hand(cluster: &Cluster, spec: &Value) -> Value {
    let object = serde_json::from_value(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "by-hand", "namespace": cluster.namespace},
        "spec": spec,
    }))
    .unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let answer = jobs(cluster).create(&params, &object).await.unwrap();
    answer.data["spec"].clone()
}

/// Without what the server makes for each Job, and the marks by which we find it.
fn comparable(mut spec: Value) -> Value {
    spec.as_object_mut().unwrap().remove("selector");
    let metadata = spec["template"]["metadata"].as_object_mut().unwrap();
    metadata.remove("generateName");
    metadata.remove("creationTimestamp");
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.retain(|label, _| label.starts_with("example.com/"));
    }
    spec
}

fn indexed() -> Value {
    json!({
        "completions": 20,
        "parallelism": 4,
        "completionMode": "Indexed",
        "backoffLimitPerIndex": 1,
        "maxFailedIndexes": 3,
        "activeDeadlineSeconds": 900,
        "ttlSecondsAfterFinished": 3600,
        "podReplacementPolicy": "Failed",
        "suspend": true,
        "successPolicy": {"rules": [{"succeededIndexes": "0-3,9", "succeededCount": 2}]},
        "podFailurePolicy": {"rules": [
            {"action": "FailIndex", "onExitCodes": {"containerName": "worker", "operator": "In", "values": [42, 43]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]},
        "template": {
            "metadata": {"labels": {"example.com/team": "orders"}, "annotations": {"example.com/note": "a: \"b\" ☂"}},
            "spec": {
                "restartPolicy": "Never",
                // Newer than the types that this program is built with.
                "hostnameOverride": "worker.example.com",
                "tolerations": [{"key": "spot", "operator": "Exists", "tolerationSeconds": null}],
                "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1.5Gi"}},
                }}}}],
                "containers": [{
                    "name": "worker", "image": "example.com/worker:1",
                    "command": ["sh", "-c", "echo $(NAME) $$HOME"],
                    "env": [{"name": "NAME", "value": "0x1F"}],
                    "restartPolicy": "Never",
                    "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [9]}}],
                    "resources": {"limits": {"cpu": 0.5, "memory": "1Gi"}},
                }],
            },
        },
    })
}

fn of_another_controller() -> Value {
    json!({
        "managedBy": "example.com/queue",
        "backoffLimit": 0,
        "completionMode": "NonIndexed",
        "template": {"spec": {
            "restartPolicy": "OnFailure",
            "containers": [{"name": "worker", "image": "example.com/worker:1"}],
        }},
    })
}

#[tokio::test]
async fn every_field_of_a_job_passes_through_also_those_newer_than_our_types() {
    let cluster = cluster("fields").await;
    let queue = Queue::new("fields").await;
    queue.send(1).await;
    let specs = [("indexed", indexed()), ("managed", of_another_controller())];
    for (name, spec) in &specs {
        // Whole, not merged: nothing of the usual target stays.
        let mut manifest = scaled_job(name, &queue.url, &json!({}));
        manifest["spec"]["jobTargetRef"] = spec.clone();
        cluster.create(manifest).await;
    }
    let _slipway = slipway(&cluster).await;
    for (name, spec) in &specs {
        cluster.await_jobs_of(name, 1).await;
        let job = cluster.jobs_of(name).await[0]
            .metadata
            .name
            .clone()
            .unwrap();
        let launched = jobs(&cluster).get(&job).await.unwrap().data["spec"].clone();
        let by_hand = posted_by_hand(&cluster, spec).await;
        assert_eq!(comparable(launched), comparable(by_hand.clone()), "{name}");
        for (field, value) in spec.as_object().unwrap() {
            let is_plain = !value.is_object();
            assert!(
                !is_plain || by_hand[field] == *value,
                "the server drops {field}"
            );
        }
    }
    let newer = posted_by_hand(&cluster, &indexed()).await["template"]["spec"].clone();
    assert_eq!(newer["hostnameOverride"], "worker.example.com");
    cluster.remove().await;
}
