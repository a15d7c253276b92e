//! KEDA's operator reads a queue through the chart's Service, and its Jobs are Pods that drain it.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use super::backlog::{WORKER, deleted_by};
use super::events::{events, report, seconds, uptime};
use super::{HOME, IMAGE, Release, SOON, namespace, phase, pods, written};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::keda::Keda;
use crate::support::queue::Queue;

/// The Secret of `connections.secretName`: what KEDA's objects may name, and with which keys it is read.
pub(super) async fn connections(client: &kube::Client) {
    let stage = json!([{
        "name": "stage",
        "namespaces": ["autoscaling"],
        "metadata": {"awsEndpoint": "http://10.77.0.1:9324", "awsRegion": "eu-west-1"},
        "authentication": {"env": [
            {"parameter": "awsAccessKeyID", "name": "STAGE_ID"},
            {"parameter": "awsSecretAccessKey", "name": "STAGE_SECRET"},
        ]},
    }]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "connections"},
        "stringData": {"connections.yaml": stage.to_string()},
    });
    let secrets: Api<Secret> = Api::namespaced(client.clone(), HOME);
    let params = PatchParams::apply("slipway-tests");
    secrets
        .patch("connections", &params, &Patch::Apply(secret))
        .await
        .unwrap();
}

/// What DNS would say of the headless Service: the address of a replica.
async fn scaler(release: &Release) -> String {
    let slices: Api<EndpointSlice> = Api::namespaced(release.client.clone(), HOME);
    let labels = ListParams::default().labels("kubernetes.io/service-name=slipway-keda");
    let slice = slices.list(&labels).await.unwrap().items.pop().unwrap();
    let port = slice.ports.unwrap()[0].port.unwrap();
    format!("{}:{port}", slice.endpoints[0].addresses[0])
}

#[tokio::test]
#[ignore = "on a real node: make node"]
async fn keda_scales_by_what_the_service_reads() {
    let release = Release::installed().await;
    namespace(&release.client, "autoscaling").await;
    let cluster = Cluster {
        client: release.client.clone(),
        namespace: "autoscaling".to_owned(),
    };
    let queue = Queue::new("keda").await;
    queue.send(12).await;
    let _keda = Keda::start(&["autoscaling"]).await;
    let container = json!({
        "name": "worker", "image": IMAGE, "command": ["sh", "-euc", WORKER],
        "env": [{"name": "QUEUE", "value": queue.url}],
    });
    let metadata = json!({
        "scalerAddress": scaler(&release).await, "source": "aws-sqs-queue", "connection": "stage",
        "queueURL": queue.url, "queueLength": "10",
    });
    let spec = json!({
        "pollingInterval": 5, "maxReplicaCount": 4, "rollout": {"strategy": "gradual"},
        "triggers": [{"type": "external", "metadata": metadata}],
        "jobTargetRef": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    });
    cluster
        .create(json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob",
            "metadata": {"name": "drain"}, "spec": spec,
        }))
        .await;
    await_until("the queue is drained", 2 * SOON, async || {
        let mut deleted = 0;
        for pod in pods(&cluster).await {
            if phase(&pod) == "Succeeded" {
                let name = pod.metadata.name.as_deref()?;
                deleted += deleted_by(&written(&cluster, name).await);
            }
        }
        (deleted == 12).then_some(())
    })
    .await;

    // What its poll costs a message, beside the figure of events: a tenth as many.
    let mut ran = Vec::new();
    for _ in 0..events().div_ceil(10) {
        let began = uptime();
        queue.send(1).await;
        let at = await_until("a Pod has taken it", SOON, async || {
            for pod in pods(&cluster).await {
                let name = pod.metadata.name.as_deref()?;
                if phase(&pod) == "Succeeded" {
                    let at = seconds(&written(&cluster, name).await);
                    if at > began {
                        return Some(at);
                    }
                }
            }
            None
        })
        .await;
        ran.push(at - began);
    }
    report("KEDA's poll of five seconds has made a process run", ran);
    assert!(!queue.take_one().await, "all are gone");
}
