//! What a start with very many objects costs the built binary: time until it is ready and until every object has its
//! status, memory, and whether the Lease was kept. `tests/env/with cargo bench --profile bench-fast --bench start`.
//!
//! `START_OBJECTS` sets how many there are of each kind; 10,000 otherwise.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use process::Slipway;
use serde::Deserialize;
use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster};

#[path = "support/process.rs"]
mod process;

const QUEUES: usize = 10;
const POLLING_SECONDS: u64 = 60;
const CREATES_IN_FLIGHT: usize = 8;
/// Every first turn has come and gone after this, or something is wrong.
const LONGEST: Duration = Duration::from_mins(15);

#[tokio::main]
async fn main() {
    let objects = objects();
    let cluster = process::cluster().await;
    let endpoint = process::setting("TEST_SQS_ENDPOINT");
    let namespace = process::namespace(&cluster, "start").await;
    let mut queues = Vec::new();
    for number in 0..QUEUES {
        queues.push(process::queue(&endpoint, &format!("start-{number}")).await);
    }
    let group = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}");
    let scaled_jobs = (0..objects).map(|number| {
        let queue = &queues[number % QUEUES];
        let name = format!("scaled-{number}");
        process::scaled_job(&name, queue, &endpoint, POLLING_SECONDS)
    });
    fill(&cluster, &format!("{group}/scaledjobs"), scaled_jobs).await;
    fill(
        &cluster,
        &format!("{group}/eventjobs"),
        (0..objects).map(event_job),
    )
    .await;

    let slipway = Slipway::start(&namespace);
    let ready = slipway.await_ready(LONGEST);
    println!(
        "{objects} ScaledJobs on {QUEUES} queues, every {POLLING_SECONDS} s, and {objects} EventJobs:"
    );
    println!("ready after           {:>8.1} s", ready.as_secs_f64());
    println!("memory at that time   {:>8.1} MB", slipway.peak_megabytes());
    let start = Instant::now();
    loop {
        let waiting = without_status(&cluster, &format!("{group}/scaledjobs")).await
            + without_status(&cluster, &format!("{group}/eventjobs")).await;
        if waiting == 0 {
            break;
        }
        assert!(
            start.elapsed() < LONGEST,
            "{waiting} objects have no status"
        );
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    println!(
        "all have a status     {:>8.1} s later",
        start.elapsed().as_secs_f64()
    );
    let cpu = slipway.cpu_seconds();
    println!("processor until then  {cpu:>8.1} s");
    tokio::time::sleep(Duration::from_secs(POLLING_SECONDS)).await;
    println!(
        "processor, at rest    {:>8.1} s a minute",
        slipway.cpu_seconds() - cpu
    );
    println!(
        "changes of leader     {:>8}",
        changes_of_leader(&cluster, &namespace).await
    );
    // It began to lead once.
    println!(
        "times the lead was lost {:>6}",
        (slipway.metric("slipway_lease_transitions_total") / 2.0).floor()
    );
    let (most, after) = (slipway.peak_megabytes(), slipway.resident_megabytes());
    println!("memory, most          {most:>8.1} MB");
    println!("memory, after         {after:>8.1} MB");
    println!(
        "memory, most          {:>8.1} kB an object",
        most * 1024.0 / f64::from(u32::try_from(2 * objects).expect("not that many"))
    );
    println!("calls to SQS          {:>8.0}", slipway.calls());
    drop(slipway);
    process::remove(&cluster, &namespace).await;
}

async fn fill(cluster: &Cluster, path: &str, objects: impl Iterator<Item = Value>) {
    let creates = objects.map(|object| process::create(cluster, path, object));
    futures::stream::iter(creates)
        .buffer_unordered(CREATES_IN_FLIGHT)
        .for_each(async |()| ())
        .await;
}

fn event_job(number: usize) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": format!("event-{number}")},
        "spec": {
            "source": {"webhook": {"format": "JSON", "auth": [{"none": {}}]}},
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "worker", "image": "example.com/worker:1"}]
            }}}}
        }
    })
}

/// How many objects of a kind nobody has told anything about.
async fn without_status(cluster: &Cluster, path: &str) -> usize {
    #[derive(Deserialize)]
    struct List {
        metadata: ListMetadata,
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct ListMetadata {
        #[serde(default, rename = "continue")]
        next: String,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        status: Value,
    }
    let (mut count, mut next) = (0, String::new());
    loop {
        let call = Call::get(path)
            .query("limit", "500")
            .query("continue", next);
        let answer = cluster.send(call).await.expect("an answer");
        let list: List = answer.json().expect("a list");
        let untold = |item: &&Item| item.status["conditions"].as_array().is_none();
        count += list.items.iter().filter(untold).count();
        next = list.metadata.next;
        if next.is_empty() {
            return count;
        }
    }
}

/// `leaseTransitions` of Slipway's Lease.
async fn changes_of_leader(cluster: &Cluster, namespace: &str) -> u64 {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    let answer = cluster.send(Call::get(path)).await.expect("an answer");
    let leases: Value = answer.json().expect("a list");
    let transitions = |lease: &Value| lease["spec"]["leaseTransitions"].as_u64();
    leases["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(transitions)
        .sum()
}

#[expect(clippy::disallowed_methods, reason = "the bench's own setting")]
fn objects() -> usize {
    std::env::var("START_OBJECTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000)
}
