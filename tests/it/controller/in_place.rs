//! Objects of KEDA's, managed in place: with both annotations and only then.

use std::time::Duration;

use serde_json::{Value, json};

use super::{scaled_job, slipway, with_keys};
use crate::support::await_until;
use crate::support::cluster::{Cluster, client};
use crate::support::queue::Queue;
use crate::support::world::World;

fn annotations(values: &Value) -> Value {
    json!({"metadata": {"annotations": values}})
}

#[tokio::test]
async fn an_object_of_keda_is_ours_while_it_has_both_annotations() {
    let world = World::new("in-place").await;
    let cluster = Cluster {
        client: client().await,
        namespace: world.namespace.clone(),
    };
    with_keys(&cluster, "slipway.dev").await;
    let queue = Queue::new("in-place").await;
    queue.send(30).await;
    let kedas = json!({"apiVersion": "keda.sh/v1alpha1"});
    cluster
        .create(scaled_job("orders", &queue.url, &kedas))
        .await;
    let path = format!("{}/orders", world.path("keda.sh", "scaledjobs"));
    // An object of our own on the same queue tells how far things are: it has a Job more after each step.
    let marker = json!({"spec": {"maxReplicaCount": 1}});
    cluster
        .create(scaled_job("marker", &queue.url, &marker))
        .await;
    let step = async |count: usize| {
        let raised = json!({"spec": {"maxReplicaCount": count}});
        cluster.patch_scaled_job("marker", raised).await;
        cluster.await_jobs_of("marker", count).await;
    };
    let _slipway = slipway(&cluster).await;
    step(1).await;
    for (annotation, count) in [
        ("slipway.dev/managed", 2),
        ("autoscaling.keda.sh/paused", 3),
    ] {
        let other = json!({"slipway.dev/managed": null, "autoscaling.keda.sh/paused": null});
        world.patch(&path, annotations(&other)).await;
        world
            .patch(&path, annotations(&json!({annotation: "true"})))
            .await;
        step(count).await;
        assert!(cluster.jobs_of("orders").await.is_empty(), "{annotation}");
    }

    let both = json!({"slipway.dev/managed": "true", "autoscaling.keda.sh/paused": "true"});
    world.patch(&path, annotations(&both)).await;
    cluster.await_jobs_of("orders", 3).await;
    for job in cluster.jobs_of("orders").await {
        let labels = job.metadata.labels.unwrap();
        assert_eq!(labels["scaledjob.keda.sh/name"], "orders");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "keda-operator");
        let annotations = job.metadata.annotations.unwrap();
        assert_eq!(annotations["scaledjob.keda.sh/generation"], "1");
        assert!(!annotations.contains_key("autoscaling.keda.sh/paused"));
        let owner = &job.metadata.owner_references.unwrap()[0];
        assert_eq!(owner.api_version, "keda.sh/v1alpha1");
    }
    for job in cluster.jobs_of("marker").await {
        let labels = job.metadata.labels.unwrap();
        assert!(!labels.contains_key("scaledjob.keda.sh/name"));
    }

    let paused = annotations(&json!({"slipway.dev/paused": "true"}));
    world.patch(&path, paused).await;
    await_until("Paused", Duration::from_secs(20), async || {
        let object = world.get(&path).await;
        let conditions = object["status"]["conditions"].as_array()?;
        let paused =
            |condition: &Value| condition["type"] == "Paused" && condition["status"] == "True";
        conditions.iter().any(paused).then_some(())
    })
    .await;
    queue.send(30).await;
    step(4).await;
    assert_eq!(cluster.jobs_of("orders").await.len(), 3);
    let unpaused = annotations(&json!({"slipway.dev/paused": null}));
    world.patch(&path, unpaused).await;
    cluster.await_jobs_of("orders", 6).await;

    // Given back: nothing is launched for it any more, and nothing of it is deleted.
    let back =
        annotations(&json!({"slipway.dev/managed": null, "autoscaling.keda.sh/paused": null}));
    world.patch(&path, back).await;
    queue.send(30).await;
    step(5).await;
    assert_eq!(cluster.jobs_of("orders").await.len(), 6);
    cluster.remove().await;
}
