//! One object can hurt only itself: an admission webhook that never answers for some namespaces, and what the others
//! notice of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::controller;
use crate::events::{self, deliver, event_job, renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::{Cluster, unique};
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

/// A webhook on the creation of Jobs whose backend accepts and says nothing.
struct Webhook {
    configurations: Api<ValidatingWebhookConfiguration>,
    name: String,
    asked: Arc<AtomicUsize>,
    _backend: JoinSet<()>,
}

impl Webhook {
    async fn on_jobs_of(namespaces: &[Cluster]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let mut backend = JoinSet::new();
        let counts = asked.clone();
        backend.spawn(async move {
            let mut open = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                counts.fetch_add(1, Ordering::Relaxed);
                open.push(connection);
            }
        });
        let names: Vec<&str> = namespaces.iter().map(|it| it.namespace.as_str()).collect();
        let name = format!("hangs-{}.example.com", unique());
        let configuration = serde_json::from_value(json!({
            "metadata": {"name": name},
            "webhooks": [{
                "name": name,
                "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
                "namespaceSelector": {"matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": names},
                ]},
                "rules": [{
                    "apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"],
                }],
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 30,
            }],
        }))
        .unwrap();
        let configurations: Api<ValidatingWebhookConfiguration> =
            Api::all(namespaces[0].client.clone());
        configurations
            .create(&PostParams::default(), &configuration)
            .await
            .unwrap();
        Self {
            configurations,
            name,
            asked,
            _backend: backend,
        }
    }
}

async fn transitions(cluster: &Cluster) -> Option<i32> {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    leases.get("slipway").await.ok()?.spec?.lease_transitions
}

/// So many namespaces whose webhook hangs, each with so many ScaledJobs that have a backlog.
async fn the_others_do_not_notice(namespaces: usize, scaled_jobs: usize) {
    let good = events::cluster("hanging-good").await;
    good.create(event_job("invoice", &json!({}))).await;
    let well = controller::cluster("hanging-well").await;
    let queue = Queue::new("hanging-well").await;
    let orders = controller::scaled_job("orders", &queue.url, &json!({}));
    well.create(orders).await;
    let backlog = Queue::new("hanging-slow").await;
    backlog.send(100).await;
    let mut slow = Vec::new();
    for _ in 0..namespaces {
        slow.push(controller::cluster("hanging-slow").await);
    }
    let webhook = Webhook::on_jobs_of(&slow).await;
    for cluster in &slow {
        for number in 0..scaled_jobs {
            let name = format!("orders-{number}");
            let orders = controller::scaled_job(&name, &backlog.url, &json!({}));
            cluster.create(orders).await;
        }
    }
    let all: Vec<&str> = [&good, &well]
        .into_iter()
        .chain(&slow)
        .map(|it| it.namespace.as_str())
        .collect();
    let slipway = Slipway::run(&servers::kubeconfig(), &all.join(","), &[], &[]).await;
    deliver(&slipway, &good, "invoice", &renewed("first", "s-0")).await;
    let before = await_until("a leader", Duration::from_secs(30), async || {
        transitions(&good).await
    })
    .await;
    await_until("creates hang", Duration::from_secs(30), async || {
        (webhook.asked.load(Ordering::Relaxed) >= 3 * namespaces).then_some(())
    })
    .await;

    let mut answers = Vec::new();
    for round in 0..8 {
        for number in 0..10 {
            let event = renewed(&format!("{round}-{number}"), "s-1");
            let heard = send_to(slipway.http(), &good.namespace, "invoice", &event).await;
            answers.push(heard.map(|heard| heard.status));
        }
        queue.send(10).await;
        // One poll a second; the rest is for a busy machine.
        await_until(
            "a launch comes on time",
            Duration::from_secs(6),
            async || (well.unfinished().await > round).then_some(()),
        )
        .await;
    }
    assert!(answers.iter().all(|it| *it == Some(200)), "{answers:?}");
    assert_eq!(transitions(&good).await, Some(before), "the Lease was lost");
    let log = slipway.log();
    assert!(!log.contains("the Lease cannot be"), "the Lease waited");
    for cluster in &slow {
        assert_eq!(cluster.unfinished().await, 0, "its webhook hangs");
    }
    webhook
        .configurations
        .delete(&webhook.name, &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_namespace_whose_webhook_hangs_is_slow_for_itself() {
    the_others_do_not_notice(1, 20).await;
}

#[tokio::test]
async fn ten_namespaces_whose_webhooks_hang_are_slow_for_themselves() {
    the_others_do_not_notice(10, 2).await;
}
