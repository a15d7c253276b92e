//! What 500 idle ScaledJobs on one queue cost the built binary, and KEDA's operator on the same objects in the same
//! run: memory, CPU and calls to SQS. `tests/env/with cargo bench --bench idle`.
//!
//! `IDLE_OBJECTS` sets how many there are; 500 otherwise. A ratio is ours to KEDA's: less is better.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::{Duration, Instant};

use counter::Counter;
use process::Slipway;
use process::usage::Usage;
use serde_json::Value;
use slipway::cluster::{Call, Cluster};

#[path = "support/beside.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod beside;
#[path = "support/counter.rs"]
mod counter;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod process;

const INTERVAL_SECONDS: u32 = 5;
const MEASURED: Duration = Duration::from_mins(1);
/// KEDA takes hold of five objects a second.
const LONGEST: Duration = Duration::from_mins(10);

/// What a minute came to.
struct Figures {
    megabytes: f64,
    peak_megabytes: f64,
    cpu_percent: f64,
    calls_an_interval: f64,
}

#[tokio::main]
async fn main() {
    let objects = process::setting_or("IDLE_OBJECTS", "500");
    let objects: usize = objects.parse().expect("a number");
    let cluster = process::cluster().await;
    let counter = Counter::before(process::setting("TEST_SQS_ENDPOINT")).await;
    let queue_url = process::queue(&counter.endpoint, "idle").await;
    let manifests = (0..objects).map(|number| {
        let seconds = u64::from(INTERVAL_SECONDS);
        process::scaled_job(
            &format!("idle-{number}"),
            &queue_url,
            &counter.endpoint,
            seconds,
        )
    });
    let manifests: Vec<Value> = manifests.collect();
    let ours = slipway(&cluster, &manifests, &counter).await;
    let theirs = keda(&cluster, &manifests, &counter).await;
    println!(
        "{objects} ScaledJobs on one queue, every {INTERVAL_SECONDS} s, for {} s:",
        MEASURED.as_secs()
    );
    println!("{:<28}{:>10}{:>10}{:>9}", "", "slipway", "KEDA", "ratio");
    let line = |what, figure: fn(&Figures) -> f64| {
        println!("{}", beside::line(what, figure(&ours), figure(&theirs)));
    };
    line("memory, MB", |figures| figures.megabytes);
    line("memory at most, MB", |figures| figures.peak_megabytes);
    line("CPU, % of a core", |figures| figures.cpu_percent);
    line("calls to SQS an interval", |figures| {
        figures.calls_an_interval
    });
}

async fn slipway(cluster: &Cluster, manifests: &[Value], counter: &Counter) -> Figures {
    let namespace = process::namespace(cluster, "idle").await;
    let path = beside::scaled_jobs("slipway.dev", &namespace);
    for manifest in manifests {
        process::create(cluster, &path, manifest.clone()).await;
    }
    let slipway = Slipway::start(&namespace);
    slipway.await_ready(LONGEST);
    all_are_ready(cluster, &path).await;
    let figures = measure(slipway.usage(), counter).await;
    drop(slipway);
    process::remove(cluster, &namespace).await;
    figures
}

async fn keda(cluster: &Cluster, manifests: &[Value], counter: &Counter) -> Figures {
    let namespace = process::namespace(cluster, "idle-keda").await;
    let keda = beside::Keda::start(&[&namespace]).await;
    let path = beside::scaled_jobs("keda.sh", &namespace);
    for manifest in manifests {
        process::create(cluster, &path, beside::of_keda(manifest.clone())).await;
    }
    all_are_ready(cluster, &path).await;
    let figures = measure(Usage(keda.child.id()), counter).await;
    keda.remove(&namespace).await;
    figures
}

/// Until every object's status says Ready, and two intervals more.
async fn all_are_ready(cluster: &Cluster, path: &str) {
    let start = Instant::now();
    loop {
        let answer = cluster.send(Call::get(path)).await.expect("an answer");
        let list: Value = answer.json().expect("a list");
        let objects = list["items"].as_array().expect("objects");
        let ready = objects.iter().filter(|object| is_ready(object)).count();
        if ready == objects.len() {
            break;
        }
        assert!(
            start.elapsed() < LONGEST,
            "{ready} of {} are ready",
            objects.len()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(2 * u64::from(INTERVAL_SECONDS))).await;
}

fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

async fn measure(usage: Usage, counter: &Counter) -> Figures {
    let (cpu, calls, start) = (usage.cpu_seconds(), counter.calls(), Instant::now());
    tokio::time::sleep(MEASURED).await;
    let seconds = start.elapsed().as_secs_f64();
    Figures {
        megabytes: usage.resident_megabytes(),
        peak_megabytes: usage.peak_megabytes(),
        cpu_percent: 100.0 * (usage.cpu_seconds() - cpu) / seconds,
        calls_an_interval: (counter.calls() - calls) * f64::from(INTERVAL_SECONDS) / seconds,
    }
}
