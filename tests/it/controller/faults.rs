//! Processes that die or come in pairs, servers that stall: never a Job too many.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{cluster, scaled_job, slipway, without_pods};
use crate::support::api_proxy::{ApiProxy, CREATES, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

/// A kubeconfig on disk for as long as a test runs.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(cluster: &Cluster, kubeconfig: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
        std::fs::write(&path, kubeconfig).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// What was seen of a namespace's Jobs, looked at again and again.
#[derive(Debug, Default)]
struct Seen {
    /// The most unfinished ones at once.
    most: usize,
    names: BTreeSet<String>,
    occurrences: BTreeSet<String>,
}

/// Looks from outside until told to stop.
async fn look(cluster: &Cluster, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let jobs = cluster.jobs().await;
        let unfinished = jobs.iter().filter(|job| !is_finished(job)).count();
        seen.most = seen.most.max(unfinished);
        for job in jobs {
            let annotations = job.metadata.annotations.unwrap();
            seen.occurrences
                .insert(annotations["slipway.dev/occurrence"].clone());
            seen.names.insert(job.metadata.name.unwrap());
        }
    }
    seen
}

/// `test`, while somebody looks.
async fn looked_at(cluster: &Cluster, test: impl Future<Output = ()>) -> Seen {
    let stop = AtomicBool::new(false);
    let test = async {
        test.await;
        stop.store(true, Ordering::Relaxed);
    };
    join(look(cluster, &stop), test).await.0
}

/// The value of a metric's only series.
async fn metric(slipway: &Slipway, name: &str) -> Option<u64> {
    let text = slipway.get("/metrics").await?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until the sources have been read so many times more.
async fn await_reads(slipway: &Slipway, more: u64) {
    const READS: &str = "slipway_source_reads_total";
    let before = metric(slipway, READS).await.unwrap_or_default();
    await_until("more reads", Duration::from_secs(30), async || {
        (metric(slipway, READS).await? >= before + more).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_burst_killed_in_the_middle_ends_with_the_jobs_that_were_decided() {
    const WANTED: usize = 300;
    let cluster = cluster("burst").await;
    let queue = Queue::new("burst").await;
    queue.send(WANTED).await;
    let mut manifest = scaled_job("orders", &queue.url, &without_pods());
    manifest["spec"]["maxReplicaCount"] = json!(WANTED);
    manifest["spec"]["triggers"][0]["metadata"]["queueLength"] = json!("1");
    cluster.create(manifest).await;
    let grace = ["--unseen-grace", "5s", "--lead"];
    let start = || Slipway::start(&servers::kubeconfig(), &cluster.namespace, &grace, &[]);
    let seen = looked_at(
        &cluster,
        Box::pin(async {
            // The second one dies before it can tell which Jobs of the first one's round exist.
            for at_least in [100, 100] {
                let mut slipway = start();
                await_until("a moment to kill", Duration::from_mins(1), async || {
                    (cluster.jobs().await.len() >= at_least).then_some(())
                })
                .await;
                slipway.kill();
            }
            let slipway = start();
            cluster.await_jobs(WANTED).await;
            await_reads(&slipway, 2).await;
        }),
    )
    .await;
    assert_eq!(seen.names.len(), WANTED);
    assert_eq!(seen.occurrences.len(), WANTED);
    assert!(seen.most <= WANTED, "{}", seen.most);
    cluster.remove().await;
}

#[tokio::test]
async fn two_that_both_lead_stay_below_the_cap_and_make_no_job_twice() {
    const CAP: usize = 7;
    let cluster = cluster("pair").await;
    let queue = Queue::new("pair").await;
    queue.send(500).await;
    for name in ["orders", "invoices"] {
        let changes = json!({"spec": {"maxReplicaCount": CAP}});
        cluster.create(scaled_job(name, &queue.url, &changes)).await;
    }
    let seen = looked_at(
        &cluster,
        Box::pin(async {
            let kubeconfig = servers::kubeconfig();
            let start = || Slipway::run(&kubeconfig, &cluster.namespace, &["--lead"], &[]);
            let (_first, _second) = (start().await, start().await);
            await_until("work goes on", Duration::from_mins(1), async || {
                cluster.pods_become("Succeeded", 3).await;
                let jobs = cluster.jobs().await;
                (jobs.iter().filter(|job| is_finished(job)).count() >= 40).then_some(())
            })
            .await;
        }),
    )
    .await;
    assert!(seen.most <= 2 * CAP, "{}", seen.most);
    assert_eq!(seen.names.len(), seen.occurrences.len());
    cluster.remove().await;
}

#[tokio::test]
async fn a_stale_watch_only_counts_too_many() {
    let cluster = cluster("stale").await;
    let queue = Queue::new("stale").await;
    queue.send(100).await;
    cluster
        .create(scaled_job(
            "orders",
            &queue.url,
            &json!({"spec": {"maxReplicaCount": 3}}),
        ))
        .await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = File::new(&cluster, &proxy.kubeconfig());
    let slipway = Slipway::run(kubeconfig.path(), &cluster.namespace, &[], &[]).await;
    cluster.await_jobs(3).await;
    // The watch has shown them: what follows is about their end alone.
    await_reads(&slipway, 2).await;
    proxy.silence(true);
    cluster.finish_jobs().await;
    await_reads(&slipway, 3).await;
    assert_eq!(cluster.jobs().await.len(), 3);
    proxy.silence(false);
    cluster.await_jobs(6).await;
    cluster.remove().await;
}

#[tokio::test]
async fn creates_stop_for_as_long_as_the_server_asks() {
    let cluster = cluster("slow-down").await;
    let queue = Queue::new("slow-down").await;
    queue.send(400).await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = File::new(&cluster, &proxy.kubeconfig());
    let path = format!("/namespaces/{}{CREATES}", cluster.namespace);
    // A flight of creates is told to wait, and nothing else. On a slow machine the first answer comes before the last
    // of the flight are sent: those wait, and are told so themselves.
    proxy.fault(Rule::on("POST", &path, Fault::SlowDown(6)).times(32));
    cluster
        .create(scaled_job("orders", &queue.url, &without_pods()))
        .await;
    let _slipway = Slipway::run(kubeconfig.path(), &cluster.namespace, &[], &[]).await;
    await_until("40 Jobs", Duration::from_mins(2), async || {
        (cluster.jobs().await.len() == 40).then_some(())
    })
    .await;
    let traffic = proxy.traffic_since(0);
    let pause = traffic.longest_pause("POST", &path);
    assert!(pause > Duration::from_secs(4), "{pause:?}");
    let calls = traffic.calls("POST", &path);
    assert_eq!(calls, 32 + 40, "one create for each Job after the wait");
    cluster.remove().await;
}

#[tokio::test]
async fn an_api_server_that_was_away_costs_time_and_no_job() {
    let cluster = cluster("away").await;
    let queue = Queue::new("away").await;
    queue.send(100).await;
    cluster
        .create(scaled_job(
            "orders",
            &queue.url,
            &json!({"spec": {"maxReplicaCount": 5}}),
        ))
        .await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = File::new(&cluster, &proxy.kubeconfig());
    let _slipway = Slipway::run(kubeconfig.path(), &cluster.namespace, &[], &[]).await;
    let seen = looked_at(
        &cluster,
        Box::pin(async {
            cluster.await_jobs(5).await;
            for method in ["GET", "POST", "PATCH", "DELETE"] {
                proxy.fault(Rule::on(method, "/", Fault::Refuse(503)));
            }
            proxy.cut_watches();
            cluster.finish_jobs().await;
            let calls = proxy.calls("GET", "/jobs");
            await_until("it tries again", Duration::from_secs(30), async || {
                (proxy.calls("GET", "/jobs") >= calls + 2).then_some(())
            })
            .await;
            assert_eq!(cluster.jobs().await.len(), 5);
            proxy.heal();
            cluster.await_jobs(10).await;
        }),
    )
    .await;
    assert!(seen.most <= 5, "{}", seen.most);
    assert_eq!(seen.occurrences.len(), 10);
    cluster.remove().await;
}

#[tokio::test]
async fn a_source_that_never_answers_delays_no_other_object() {
    let cluster = cluster("hanging").await;
    let queue = Queue::new("hanging").await;
    queue.send(10).await;
    // Accepts, by the kernel, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let mut hangs = scaled_job("hangs-sqs", &queue.url, &json!({}));
    hangs["spec"]["triggers"][0]["metadata"]["awsEndpoint"] = json!(format!("http://{address}"));
    cluster.create(hangs).await;
    let kafka = json!([{"type": "kafka", "metadata": {
        "bootstrapServers": address, "topic": "orders", "consumerGroup": "orders",
    }}]);
    let changes = json!({"spec": {"triggers": kafka}});
    cluster
        .create(scaled_job("hangs-kafka", &queue.url, &changes))
        .await;
    // One Job more at each turn.
    let mut eager = without_pods();
    eager["spec"]["scalingStrategy"] = json!({"strategy": "eager"});
    cluster
        .create(scaled_job("sound", &queue.url, &eager))
        .await;
    let slipway = slipway(&cluster).await;
    let began = Instant::now();
    await_until("four turns", Duration::from_secs(30), async || {
        (cluster.jobs_of("sound").await.len() >= 4).then_some(())
    })
    .await;
    // Four turns, a second apart; one answer of the silent one is waited for 10 s.
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    for name in ["hangs-sqs", "hangs-kafka"] {
        await_until("the others say so", Duration::from_secs(30), async || {
            (cluster.condition(name, "Ready").await.0 == "False").then_some(())
        })
        .await;
        let error = cluster.trigger_errors(name).await;
        assert!(error.contains("answer"), "{name}: {error}");
    }
    let log = slipway.log();
    let said = log.matches("cannot be read: SQS queue").count();
    assert_eq!(said, 1, "once, not at each turn: {log}");
    cluster.remove().await;
}

/// What a missing right makes of an object: its `Ready` condition.
pub(super) async fn ready_message(cluster: &Cluster, name: &str) -> String {
    let status = cluster.status(name).await;
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions
        .iter()
        .find(|condition| condition["type"] == "Ready");
    ready.map_or_else(String::new, |ready: &Value| {
        ready["message"].as_str().unwrap_or_default().to_owned()
    })
}
