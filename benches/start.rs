//! What a start with many objects costs the built binary: time until it is ready and until every object has its status,
//! memory, CPU at rest after it, and whether the Lease was kept. `tests/env/with cargo bench --bench start`.
//!
//! `START_OBJECTS` sets how many there are of each kind, once for each size: `1000,10000` otherwise.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use process::Slipway;
use serde::Deserialize;
use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster};

#[path = "support/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod process;

const QUEUES: usize = 10;
const POLLING_SECONDS: u64 = 60;
/// How long the processor is measured after the start.
const REST: Duration = Duration::from_mins(1);
const CREATES_IN_FLIGHT: usize = 8;
/// Every first turn has come and gone after this, or something is wrong.
const LONGEST: Duration = Duration::from_mins(15);

/// What the sizing table of `docs/operating.md` has.
struct Size {
    objects: usize,
    peak_megabytes: f64,
    megabytes: f64,
    cpu_percent: f64,
}

#[tokio::main]
async fn main() {
    let cluster = process::cluster().await;
    let mut sizes = Vec::new();
    for objects in sizes_of(&process::setting_or("START_OBJECTS", "1000,10000")) {
        sizes.push(measure(&cluster, objects).await);
    }
    println!("| ScaledJobs and as many EventJobs | memory at most | memory after | CPU at rest |");
    for size in sizes {
        println!(
            "| {} | {:.0} MB | {:.0} MB | {:.2} % of a core |",
            size.objects, size.peak_megabytes, size.megabytes, size.cpu_percent
        );
    }
}

fn sizes_of(text: &str) -> impl Iterator<Item = usize> {
    let sizes = text.split(',');
    sizes.map(|size| size.parse().expect("numbers, such as 1000,10000"))
}

async fn measure(cluster: &Cluster, objects: usize) -> Size {
    let endpoint = process::setting("TEST_SQS_ENDPOINT");
    let namespace = process::namespace(cluster, &format!("start-{objects}")).await;
    let mut queues = Vec::new();
    for number in 0..QUEUES {
        let name = format!("start-{objects}-{number}");
        queues.push(process::queue(&endpoint, &name).await);
    }
    let group = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}");
    let scaled_jobs = (0..objects).map(|number| {
        let queue = &queues[number % QUEUES];
        let name = format!("scaled-{number}");
        process::scaled_job(&name, queue, &endpoint, POLLING_SECONDS)
    });
    fill(cluster, &format!("{group}/scaledjobs"), scaled_jobs).await;
    fill(
        cluster,
        &format!("{group}/eventjobs"),
        (0..objects).map(event_job),
    )
    .await;

    let slipway = Slipway::start(&namespace);
    let usage = slipway.usage();
    let ready = slipway.await_ready(LONGEST);
    println!(
        "{objects} ScaledJobs on {QUEUES} queues, every {POLLING_SECONDS} s, and {objects} EventJobs:"
    );
    println!("ready after           {:>8.1} s", ready.as_secs_f64());
    println!("memory at that time   {:>8.1} MB", usage.peak_megabytes());
    let start = Instant::now();
    loop {
        let waiting = without_status(cluster, &format!("{group}/scaledjobs")).await
            + without_status(cluster, &format!("{group}/eventjobs")).await;
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
    println!("processor until then  {:>8.1} s", usage.cpu_seconds());
    // The rest begins once every object has been polled again.
    tokio::time::sleep(Duration::from_secs(POLLING_SECONDS)).await;
    let (cpu, rest) = (usage.cpu_seconds(), Instant::now());
    tokio::time::sleep(REST).await;
    let cpu_percent = 100.0 * (usage.cpu_seconds() - cpu) / rest.elapsed().as_secs_f64();
    println!("processor, at rest    {cpu_percent:>8.2} % of a core");
    println!(
        "changes of leader     {:>8}",
        changes_of_leader(cluster, &namespace).await
    );
    // It began to lead once.
    println!(
        "times the lead was lost {:>6}",
        (slipway.metric("slipway_lease_transitions_total") / 2.0).floor()
    );
    let (peak_megabytes, megabytes) = (usage.peak_megabytes(), usage.resident_megabytes());
    println!("memory, most          {peak_megabytes:>8.1} MB");
    println!("memory, after         {megabytes:>8.1} MB");
    println!(
        "memory, most          {:>8.1} kB an object",
        peak_megabytes * 1024.0 / f64::from(u32::try_from(2 * objects).expect("not that many"))
    );
    println!("calls to SQS          {:>8.0}", slipway.calls());
    drop(slipway);
    process::remove(cluster, &namespace).await;
    Size {
        objects,
        peak_megabytes,
        megabytes,
        cpu_percent,
    }
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
