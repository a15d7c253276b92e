//! What Slipway writes when nothing happens any more: its Lease.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::controller::{scaled_job, with_keys};
use crate::events::{cluster, deliver, event_job, event_jobs, renewed};
use crate::support::api_proxy::{ApiProxy, Traffic};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::process::Slipway;
use crate::support::queue::Queue;

const SOON: Duration = Duration::from_mins(1);
/// A status whose numbers move is written at most every ten seconds.
const LONGER_THAN_A_STATUS_WAITS: Duration = Duration::from_secs(12);
/// Twelve renewals of the Lease, 5 s apart: a minute.
const RENEWALS: usize = 12;
const MESSAGES: usize = 200;
const EVENTS: usize = 60;
/// Jobs whose controller is the test.
const EVENT_JOBS: [&str; 3] = ["allow", "queue", "filed"];
const SCALED_JOBS: [&str; 2] = ["orders", "refunds"];

/// Method and path of every write but those of the Lease.
fn writes(traffic: &Traffic) -> Vec<String> {
    let lines = traffic.lines().into_iter();
    lines
        .filter(|line| !line.starts_with("GET ") && !line.contains("/leases"))
        .collect()
}

async fn prepare(cluster: &Cluster, queue: &Queue) {
    with_keys(cluster, "slipway.dev").await;
    let ours = json!({"spec": {"successfulJobsHistoryLimit": 2, "jobTargetRef": {"managedBy": "example.com/test"}}});
    for name in SCALED_JOBS {
        cluster.create(scaled_job(name, &queue.url, &ours)).await;
    }
    // A trouble that stays is written once.
    let missing = format!("{}-missing", queue.url);
    cluster.create(scaled_job("broken", &missing, &ours)).await;
    let queued = json!({"concurrencyPolicy": "Queue", "concurrency": {"limit": 5}});
    let filed = json!({"bind": {"file": {"path": "/var/run/slipway/event.json"}}});
    for (name, changes) in EVENT_JOBS.into_iter().zip([json!({}), queued, filed]) {
        let mut manifest = event_job(name, &changes);
        manifest["spec"]["jobTemplate"]["spec"]["managedBy"] = json!("example.com/test");
        cluster.create(manifest).await;
    }
    let mut yearly = event_job("yearly", &json!({}));
    yearly["spec"]["source"] = json!({"cron": {"schedules": ["0 0 1 1 *"]}});
    for of_events in ["pattern", "bind"] {
        yearly["spec"]
            .as_object_mut()
            .unwrap()
            .shift_remove(of_events);
    }
    cluster.create(yearly).await;
}

/// Ends Jobs until none is left that has not ended, those included that wait for their turn.
async fn finish(cluster: &Cluster) {
    await_until("every Job has ended", SOON, async || {
        let unfinished = cluster.jobs().await;
        let unfinished: Vec<_> = unfinished.iter().filter(|job| !is_finished(job)).collect();
        for job in &unfinished {
            let is_suspended = job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
            if !is_suspended {
                cluster.complete(job).await;
            }
        }
        unfinished.is_empty().then_some(())
    })
    .await;
}

/// Whether each status says that all is done, and the broken one what is wrong.
async fn all_is_told(cluster: &Cluster) -> bool {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    for name in SCALED_JOBS {
        let status = cluster.status(name).await;
        let is_idle = cluster.condition(name, "Active").await.0 == "False";
        if !is_idle || number(&status["backlog"]) + number(&status["runningJobs"]) > 0 {
            return false;
        }
    }
    for name in EVENT_JOBS {
        let status = event_jobs(cluster).get(name).await.unwrap().data["status"].clone();
        let unfinished = number(&status["active"]) + number(&status["waiting"]);
        if unfinished > 0 || !status["lastSuccessfulTime"].is_string() {
            return false;
        }
    }
    let yearly = event_jobs(cluster).get("yearly").await.unwrap();
    cluster.trigger_errors("broken").await.contains("queue")
        && yearly.data["status"]["nextScheduleTime"].is_string()
}

#[tokio::test]
async fn a_minute_after_a_load_writes_nothing_but_the_lease() {
    let cluster = cluster("quiet").await;
    let queue = Queue::new("quiet").await;
    queue.send(MESSAGES).await;
    prepare(&cluster, &queue).await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    // Jobs above the limits go at once, so that their removal belongs to the load.
    let young = ["--unseen-grace", "0s"];
    let kubeconfig = kubeconfig.to_str().unwrap();
    let slipway = Slipway::run(kubeconfig, &cluster.namespace, &young, &[]).await;

    let (door, to) = (&slipway, &cluster);
    let posts = (0..EVENTS).map(|number| async move {
        let name = EVENT_JOBS[number % EVENT_JOBS.len()];
        deliver(door, to, name, &renewed(&format!("e-{number}"), "sub-1")).await;
    });
    stream::iter(posts)
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;
    for name in SCALED_JOBS {
        cluster.await_jobs_of(name, MESSAGES / 10).await;
    }
    queue.take(MESSAGES).await;
    finish(&cluster).await;
    await_until("every status is written", SOON, async || {
        finish(&cluster).await;
        all_is_told(&cluster).await.then_some(())
    })
    .await;

    let mut last = (Instant::now(), 0);
    await_until("nothing more is written", SOON, async || {
        let so_far = writes(&proxy.traffic_since(0)).len();
        if so_far != last.1 {
            last = (Instant::now(), so_far);
        }
        (last.0.elapsed() > LONGER_THAN_A_STATUS_WAITS).then_some(())
    })
    .await;
    // There was a load, and its keys are in the ledger.
    assert!(last.1 > EVENTS, "{}", last.1);

    let (mark, polls) = (proxy.mark(), polls(&slipway).await);
    await_until("a minute of renewals", 3 * SOON, async || {
        let renewed = proxy.traffic_since(mark).writes("/leases/slipway");
        (renewed >= RENEWALS).then_some(())
    })
    .await;
    let mut counted = BTreeMap::<String, usize>::new();
    for line in writes(&proxy.traffic_since(mark)) {
        *counted.entry(line).or_default() += 1;
    }
    assert_eq!(counted, BTreeMap::new());
    // Nobody slept: the queue is asked every second.
    let asked = self::polls(&slipway).await - polls;
    assert!(asked >= 30.0, "{asked}");
    drop(slipway);
    std::fs::remove_file(kubeconfig).unwrap();
    cluster.remove().await;
}

async fn polls(slipway: &Slipway) -> f64 {
    let metrics = slipway.get("/metrics").await.unwrap();
    let series = metrics
        .lines()
        .filter(|line| line.starts_with("slipway_source_calls_total"));
    series
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}
