//! The cap, looked at from outside: whatever fails in between, there are never
//! more unfinished Jobs than `maxReplicaCount`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::servers;
use crate::support::topic::Topic;

const CAP: usize = 7;

fn scaled_job(topic: &Topic, group: &str, strategy: &Value) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": "orders"},
        "spec": {
            "pollingInterval": 1,
            "maxReplicaCount": CAP,
            "scalingStrategy": strategy,
            "jobTargetRef": {
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "worker", "image": "example.com/worker:1"}]
                }}
            },
            "triggers": [{
                "type": "kafka",
                "metadata": {
                    "bootstrapServers": servers::kafka_brokers(),
                    "consumerGroup": group,
                    "topic": topic.name,
                    "lagThreshold": "1",
                    "allowIdleConsumers": "true"
                }
            }]
        }
    })
}

/// Looks at the namespace again and again, and plays the kubelet meanwhile, until told to stop.
/// Gives the most unfinished Jobs ever seen at once.
async fn watch_from_outside(cluster: &Cluster, finished: &AtomicUsize, stop: &AtomicBool) -> usize {
    let mut most = 0;
    let mut turn = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        most = most.max(cluster.unfinished().await);
        turn += 1;
        if turn.is_multiple_of(5) {
            finished.fetch_add(cluster.pods_become("Succeeded", 2).await, Ordering::Relaxed);
        }
    }
    most
}

/// A million messages, and the given object on them, for `test` to disturb while somebody watches.
async fn disturbed(name: &str, strategy: Value, rules: Vec<Rule>) {
    let cluster = Cluster::new(name).await;
    let topic = Topic::new(name, 10).await;
    let group = format!("{name}-group");
    let producing = std::thread::spawn({
        let topic = topic.clone();
        let group = group.clone();
        move || {
            topic.commit(&group, 0);
            topic.send(1_000_000);
        }
    });
    cluster.create(scaled_job(&topic, &group, &strategy)).await;
    let proxy = ApiProxy::start().await;
    for rule in rules {
        proxy.fault(rule);
    }
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap().to_owned();
    // Longer than the latest create of this test, and shorter than a minute.
    // Each new one leads at once, whatever the one before had under way.
    let grace = ["--unseen-grace", "10s", "--lead"];
    let (finished, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let disturb = async {
        let mut slipway = Slipway::start(&kubeconfig, &cluster.namespace, &grace, &[]);
        await_until("the first Jobs", Duration::from_mins(1), async || {
            (cluster.unfinished().await > 0).then_some(())
        })
        .await;
        let start = Instant::now();
        for pause in [2_u64, 5, 9] {
            await_until("a moment to kill", Duration::from_mins(1), async || {
                (start.elapsed() > Duration::from_secs(pause)).then_some(())
            })
            .await;
            slipway.kill();
            proxy.silence(pause == 5);
            slipway = Slipway::start(&kubeconfig, &cluster.namespace, &grace, &[]);
        }
        proxy.silence(false);
        // Nothing is launched while nobody knows what a killed process left behind; after it, work goes on.
        await_until("work goes on", Duration::from_mins(2), async || {
            (finished.load(Ordering::Relaxed) > 40).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        slipway
    };
    let (most, _slipway) = tokio::join!(watch_from_outside(&cluster, &finished, &stop), disturb);
    assert!(most <= CAP, "{most} unfinished Jobs at once");
    assert_no_ordinal_twice(&cluster).await;
    producing.join().unwrap();
    std::fs::remove_file(&kubeconfig).unwrap();
    cluster.remove().await;
}

/// Every Job belongs to one place of one round.
async fn assert_no_ordinal_twice(cluster: &Cluster) {
    let mut names = BTreeMap::new();
    for job in cluster.jobs().await {
        let occurrence = job.metadata.annotations.unwrap()["slipway.dev/occurrence"].clone();
        let name = job.metadata.name.unwrap();
        assert_eq!(
            names.insert(occurrence, name.clone()),
            None,
            "{name} is there twice"
        );
    }
}

fn faulty_creates_and_lists() -> Vec<Rule> {
    vec![
        Rule::on("GET", "/jobs?", Fault::Refuse(503)).percent(50),
        Rule::on("POST", "/jobs", Fault::AppliedThen(504)).percent(15),
        Rule::on("POST", "/jobs", Fault::Cut).percent(15),
        Rule::on("POST", "/jobs", Fault::Late(Duration::from_secs(3))).percent(15),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_messages_never_make_more_than_seven_jobs_at_once() {
    disturbed(
        "cap-default",
        json!({"strategy": "default"}),
        faulty_creates_and_lists(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_custom_strategy_is_held_by_the_cap_too() {
    let custom = json!({"strategy": "custom", "customScalingRunningJobPercentage": "0.1"});
    disturbed("cap-custom", custom, faulty_creates_and_lists()).await;
}
