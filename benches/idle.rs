//! What 500 idle ScaledJobs on one queue cost the built binary: memory, CPU and
//! calls to SQS. `tests/env/with cargo bench --profile bench-fast --bench idle`.
//!
//! KEDA 2.21 on the same machine, with the same 500 objects and interval: 186 MB,
//! 13 % of a core, 100 calls a second.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::{Duration, Instant};

use process::Slipway;

#[path = "support/process.rs"]
mod process;

const OBJECTS: usize = 500;
const INTERVAL_SECONDS: u64 = 5;
const MEASURED: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() {
    let cluster = process::cluster().await;
    let endpoint = process::setting("TEST_SQS_ENDPOINT");
    let queue_url = process::queue(&endpoint, "idle").await;
    let namespace = process::namespace(&cluster, "idle").await;
    let path = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}/scaledjobs");
    for number in 0..OBJECTS {
        let name = format!("idle-{number}");
        let object = process::scaled_job(&name, &queue_url, &endpoint, INTERVAL_SECONDS);
        process::create(&cluster, &path, object).await;
    }
    let slipway = Slipway::start(&namespace);
    slipway.await_ready(Duration::from_mins(1));
    // The first turns, and the statuses they write.
    tokio::time::sleep(Duration::from_secs(2 * INTERVAL_SECONDS)).await;
    let (cpu, calls, start) = (slipway.cpu_seconds(), slipway.calls(), Instant::now());
    tokio::time::sleep(MEASURED).await;
    let seconds = start.elapsed().as_secs_f64();
    println!("{OBJECTS} ScaledJobs on one queue, every {INTERVAL_SECONDS} s, for {seconds:.0} s:");
    println!("memory            {:>8.1} MB", slipway.resident_megabytes());
    println!("memory, most      {:>8.1} MB", slipway.peak_megabytes());
    println!(
        "CPU               {:>8.2} % of a core",
        100.0 * (slipway.cpu_seconds() - cpu) / seconds
    );
    println!(
        "calls to SQS      {:>8.2} in an interval",
        (slipway.calls() - calls) * (f64::from(5_u32) / seconds)
    );
    drop(slipway);
    process::remove(&cluster, &namespace).await;
}
