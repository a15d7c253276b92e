//! One object can hurt only itself: an admission webhook that never answers for some namespaces, and what the others
//! notice of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::controller;
use crate::controller::faults::File;
use crate::events::{self, deliver, event_job, renewed, send_to};
use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::{Cluster, unique};
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

/// A webhook on the creation of Jobs whose backend accepts and says nothing.
pub(crate) struct Webhook {
    configurations: Api<ValidatingWebhookConfiguration>,
    name: String,
    asked: Arc<AtomicUsize>,
    _backend: JoinSet<()>,
}

impl Webhook {
    pub(crate) async fn on_jobs_of(namespaces: &[Cluster]) -> Self {
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

    pub(crate) async fn remove(&self) {
        self.configurations
            .delete(&self.name, &DeleteParams::default())
            .await
            .unwrap();
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
    webhook.remove().await;
}

#[tokio::test]
async fn a_namespace_whose_webhook_hangs_is_slow_for_itself() {
    the_others_do_not_notice(1, 20).await;
}

#[tokio::test]
async fn ten_namespaces_whose_webhooks_hang_are_slow_for_themselves() {
    the_others_do_not_notice(10, 2).await;
}

/// In all namespaces that hang.
const SCALED_JOBS: usize = 20;
const EVENT_JOBS: usize = 300;
/// Each posts an event, waits for its answer, and then this long.
const SENDERS: usize = 300;
const BETWEEN_POSTS: Duration = Duration::from_secs(10);
/// Events of the namespace that is measured, one after the other.
const MEASURED: usize = 300;
/// How long a sender waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Less than this is not told apart on a busy machine.
const NOISE: Duration = Duration::from_millis(150);

/// Nothing runs: Jobs without Pods.
fn suspended() -> Value {
    json!({"jobTemplate": {"spec": {"suspend": true}}})
}

/// The time that 99 of 100 answers took at most, and how many were not 200: they count as a sender's patience.
async fn p99(slipway: &Slipway, good: &Cluster, phase: &str) -> (Duration, usize) {
    let mut took = Vec::new();
    let mut refused = 0;
    for number in 0..MEASURED {
        let event = renewed(&format!("{phase}-{number}"), "s-1");
        let start = Instant::now();
        let heard = send_to(slipway.http(), &good.namespace, "invoice", &event).await;
        if heard.is_some_and(|heard| heard.status == 200) {
            took.push(start.elapsed());
        } else {
            took.push(PATIENCE);
            refused += 1;
        }
    }
    took.sort_unstable();
    (took[MEASURED * 99 / 100 - 1], refused)
}

/// Senders that never stop, to the namespaces that hang; the answers are theirs.
fn senders(slipway: &Slipway, slow: &[Cluster]) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for number in 0..SENDERS {
        let door = slipway.http().to_owned();
        let namespace = slow[number % slow.len()].namespace.clone();
        let nth = u32::try_from(number).unwrap();
        let first = BETWEEN_POSTS / u32::try_from(SENDERS).unwrap() * nth;
        senders.spawn(async move {
            tokio::time::sleep(first).await;
            for round in 0.. {
                let event = renewed(&format!("slow-{number}-{round}"), "s-1");
                let _ = send_to(&door, &namespace, &format!("job-{number}"), &event).await;
                tokio::time::sleep(BETWEEN_POSTS).await;
            }
        });
    }
    senders
}

/// What a sender of another namespace waits for its answer, with creates that hang in so many namespaces, against the
/// same load with creates that are answered.
async fn nobody_else_waits_longer(namespaces: usize) {
    let good = events::cluster("p99-good").await;
    good.create(event_job("invoice", &suspended())).await;
    let backlog = Queue::new("p99-slow").await;
    backlog.send(100).await;
    let mut slow = Vec::new();
    for _ in 0..namespaces {
        slow.push(events::cluster("p99-slow").await);
    }
    let quiet = json!({"spec": {"maxReplicaCount": 5, "jobTargetRef": {"suspend": true}}});
    let scaled_jobs = (0..SCALED_JOBS).map(|number| {
        let orders = controller::scaled_job(&format!("orders-{number}"), &backlog.url, &quiet);
        slow[number % namespaces].create(orders)
    });
    let event_jobs = (0..EVENT_JOBS).map(|number| {
        slow[number % namespaces].create(event_job(&format!("job-{number}"), &suspended()))
    });
    stream::iter(scaled_jobs)
        .buffered(8)
        .collect::<Vec<_>>()
        .await;
    stream::iter(event_jobs)
        .buffered(8)
        .collect::<Vec<_>>()
        .await;
    let proxy = ApiProxy::start().await;
    let file = File::new(&good, &proxy.kubeconfig());
    let all: Vec<&str> = std::iter::once(&good)
        .chain(&slow)
        .map(|it| it.namespace.as_str())
        .collect();
    let slipway = Slipway::run(file.path(), &all.join(","), &[], &[]).await;
    deliver(&slipway, &good, "invoice", &renewed("first", "s-0")).await;
    let leader = transitions(&good).await;

    let _senders = senders(&slipway, &slow);
    let (answered, refused) = p99(&slipway, &good, "answered").await;
    let creates = r"/namespaces/p99-slow[^/]*/jobs(\?|$)";
    proxy.fault(Rule::matching("POST", creates, Fault::Hang));
    let event = renewed("held", "s-1");
    await_until("creates hang", Duration::from_secs(30), async || {
        let heard = send_to(slipway.http(), &slow[0].namespace, "job-0", &event).await?;
        (heard.status == 503).then_some(())
    })
    .await;
    let (hanging, refused_then) = p99(&slipway, &good, "hanging").await;
    // None, where the machine is not too busy for the load itself.
    assert!(
        refused_then <= refused,
        "{refused}, then {refused_then} were refused"
    );
    assert!(
        hanging <= 2 * answered + NOISE,
        "p99 {answered:?} with creates that are answered, {hanging:?} with {namespaces} that hang"
    );
    assert_eq!(transitions(&good).await, leader, "the Lease was lost");
    good.remove().await;
    for cluster in &slow {
        cluster.remove().await;
    }
}

#[tokio::test]
#[ignore = "measures a ratio, on a machine with nothing else to do: make fairness"]
async fn a_sender_waits_no_longer_while_another_namespace_hangs() {
    nobody_else_waits_longer(1).await;
}

#[tokio::test]
#[ignore = "measures a ratio, on a machine with nothing else to do: make fairness"]
async fn a_sender_waits_no_longer_while_ten_other_namespaces_hang() {
    nobody_else_waits_longer(10).await;
}
