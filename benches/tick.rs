//! Very many schedules that are due at one instant: how long until each has its Job, beside a bare loop of as many creates
//! in the same run, and until each status says so. `tests/env/with cargo bench --bench tick`.
//!
//! `TICK_OBJECTS` sets how many there are; 10,000 otherwise.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "the instant is one of the real clock, and the number a setting"
)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use process::Slipway;
use serde_json::{Value, json};
use slipway::cluster::{Budget, Call, Cluster};

#[path = "support/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod process;

/// As many as one namespace has in flight.
const IN_FLIGHT: usize = 32;
/// Everything has happened after this, or something is wrong.
const LONGEST: Duration = Duration::from_mins(15);

#[tokio::main]
async fn main() {
    let objects: usize = std::env::var("TICK_OBJECTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    let cluster = process::cluster().await.with(Budget::Launches);
    let namespace = process::namespace(&cluster, "tick").await;
    let event_jobs = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}/eventjobs");
    let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");

    // The definitions were applied a moment ago.
    while !cluster
        .send(Call::get(&event_jobs))
        .await
        .is_ok_and(|answer| answer.is_success())
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Long enough to make them, and for Slipway to see them.
    let seconds = i64::try_from(60 + objects / 40).expect("not that many");
    let minute = (Timestamp::now().as_second() + seconds).div_euclid(60) + 1;
    let due = Timestamp::from_second(minute * 60).expect("a time");
    let creates = (0..objects).map(|number| {
        let object = scheduled(number, due);
        process::create(&cluster, &event_jobs, object)
    });
    futures::stream::iter(creates)
        .buffer_unordered(IN_FLIGHT)
        .for_each(async |()| ())
        .await;
    let slipway = Slipway::start(&namespace);
    slipway.await_ready(LONGEST);
    let is_seen = |object: &Value| object["status"]["schedule"]["hash"].is_string();
    until(&cluster, &event_jobs, objects, is_seen).await;
    let early = Timestamp::now().duration_until(due);
    assert!(
        early > SignedDuration::ZERO,
        "the machine is too slow for {objects} objects: the instant has passed"
    );

    println!("{objects} schedules, all due at {due}:");
    tokio::time::sleep(Duration::try_from(early).expect("it is to come")).await;
    let start = Instant::now();
    while count(&cluster, &jobs).await < objects {
        assert!(start.elapsed() < LONGEST, "Jobs are missing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let made = start.elapsed().as_secs_f64();
    let is_told = |object: &Value| object["status"]["lastScheduleTime"].is_string();
    until(&cluster, &event_jobs, objects, is_told).await;
    let told = start.elapsed().as_secs_f64();
    let mut by_owner: HashMap<String, usize> = HashMap::new();
    for job in list(&cluster, &jobs).await {
        let owner = &job["metadata"]["ownerReferences"][0]["name"];
        *by_owner.entry(owner.to_string()).or_default() += 1;
    }
    assert!(
        by_owner.len() == objects && by_owner.values().all(|count| *count == 1),
        "each has one Job"
    );
    drop(slipway);

    let bare = bare(&cluster, &jobs, objects).await;
    println!("every Job is there after   {made:>7.1} s");
    println!("every status says so after {told:>7.1} s");
    println!("a bare loop of as many     {bare:>7.1} s");
    println!("ratio                      {:>7.2}", made / bare);
    process::remove(&cluster, &namespace).await;
}

fn job_spec() -> Value {
    json!({"suspend": true, "template": {"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "worker", "image": "example.com/worker:1"}],
    }}})
}

/// Due once.
fn scheduled(number: usize, due: Timestamp) -> Value {
    let due = format!("{due:.0}");
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": format!("tick-{number}")},
        "spec": {
            "source": {"cron": {"schedule": "* * * * *", "startAt": due, "endAt": due}},
            "jobTemplate": {"spec": job_spec()},
        }
    })
}

/// Seconds for as many creates and nothing else.
async fn bare(cluster: &Cluster, jobs: &str, objects: usize) -> f64 {
    let start = Instant::now();
    let creates = (0..objects).map(|number| {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": format!("bare-{number}")},
            "spec": job_spec(),
        });
        let call = Call::post(jobs, job);
        async move { cluster.send(call).await.expect("an answer").status }
    });
    let answers = futures::stream::iter(creates).buffer_unordered(IN_FLIGHT);
    let made = answers
        .filter(|status| std::future::ready(*status == 201))
        .count()
        .await;
    assert_eq!(made, objects);
    start.elapsed().as_secs_f64()
}

/// How many there are, without a look at them.
async fn count(cluster: &Cluster, path: &str) -> usize {
    let call = Call::get(path).query("limit", "1");
    let answer = cluster.send(call).await.expect("an answer");
    let list: Value = answer.json().expect("a list");
    let rest = list["metadata"]["remainingItemCount"]
        .as_u64()
        .unwrap_or_default();
    let first = list["items"].as_array().map_or(0, Vec::len);
    first + usize::try_from(rest).expect("not that many")
}

async fn until(cluster: &Cluster, path: &str, count: usize, is_so: impl Fn(&Value) -> bool) {
    let start = Instant::now();
    loop {
        let found = list(cluster, path)
            .await
            .iter()
            .filter(|object| is_so(object))
            .count();
        if found >= count {
            return;
        }
        assert!(start.elapsed() < LONGEST, "{found} of {count} in {path}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn list(cluster: &Cluster, path: &str) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), String::new());
    loop {
        let call = Call::get(path)
            .query("limit", "1000")
            .query("continue", &next);
        let answer = cluster.send(call).await.expect("an answer");
        let mut list: Value = answer.json().expect("a list");
        all.append(list["items"].as_array_mut().expect("items"));
        let more = list["metadata"]["continue"].as_str();
        more.unwrap_or_default().clone_into(&mut next);
        if next.is_empty() {
            return all;
        }
    }
}
