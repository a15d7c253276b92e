//! Who may run: `concurrencyPolicy` with its keys, before two processes that both believe to lead.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::{cluster, deliver, event_job, renewed, send, slipway};
use crate::support::await_until;
use crate::support::cluster::is_finished;

fn gated(name: &str, policy: &str, more: &Value) -> Value {
    let mut concurrency = json!({"limit": 1, "keyFrom": {"path": "$.detail.subscriptionId"}});
    super::merge(&mut concurrency, more);
    let changes = json!({"concurrencyPolicy": policy, "concurrency": concurrency});
    event_job(name, &changes)
}

fn gate(job: &Job) -> String {
    let annotations = job.metadata.annotations.clone().unwrap_or_default();
    annotations
        .get("slipway.dev/gate")
        .cloned()
        .unwrap_or_default()
}

fn key(job: &Job) -> String {
    super::variable(job, "SUBSCRIPTION_ID").unwrap()
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)
}

/// Released and unfinished Jobs, by key.
fn running(jobs: &[Job]) -> BTreeMap<String, usize> {
    let mut running = BTreeMap::new();
    for job in jobs
        .iter()
        .filter(|job| !is_finished(job) && !is_suspended(job))
    {
        *running.entry(key(job)).or_default() += 1;
    }
    running
}

#[tokio::test]
async fn queued_jobs_run_one_at_a_time_for_each_key_before_two_leaders() {
    let cluster = cluster("queue").await;
    cluster.create(gated("queue", "Queue", &json!({}))).await;
    let first = slipway(&cluster, &["--lead"]).await;
    let second = slipway(&cluster, &["--lead"]).await;
    for number in 0..12 {
        let subscription = format!("sub-{}", number % 2);
        let event = renewed(&format!("e-{number}"), &subscription);
        let door = if number % 3 == 0 { &second } else { &first };
        let heard = deliver(door, &cluster, "queue", &event).await;
        assert_eq!(heard.text("result"), "Waiting", "{heard:?}");
    }
    // At every look, to the end: never two of a key.
    await_until("every Job has run", Duration::from_mins(2), async || {
        let jobs = cluster.jobs().await;
        for (key, count) in running(&jobs) {
            assert!(count <= 1, "{count} Jobs of {key} run at once");
        }
        cluster.pods_become("Succeeded", 1).await;
        jobs.iter().all(is_finished).then_some(())
    })
    .await;
    let jobs = cluster.jobs().await;
    assert_eq!(jobs.len(), 12);
    assert!(jobs.iter().all(|job| gate(job) == "released"));
    cluster.remove().await;
}

#[tokio::test]
async fn forbidden_jobs_are_dropped_for_good_and_never_run() {
    let cluster = cluster("forbid").await;
    cluster.create(gated("forbid", "Forbid", &json!({}))).await;
    let slipway = slipway(
        &cluster,
        &["--lead", "--ledger-grace", "3s", "--unseen-grace", "0s"],
    )
    .await;
    let first = deliver(&slipway, &cluster, "forbid", &renewed("e-1", "sub-1")).await;
    await_until("the first runs", Duration::from_secs(20), async || {
        (running(&cluster.jobs().await).len() == 1).then_some(())
    })
    .await;
    let second = renewed("e-2", "sub-1");
    let dropped = deliver(&slipway, &cluster, "forbid", &second).await;
    await_until(
        "the second is dropped, then removed",
        Duration::from_mins(1),
        async || {
            let jobs = cluster.jobs().await;
            let gone = jobs
                .iter()
                .all(|job| job.metadata.name.as_deref() != Some(dropped.text("jobName")));
            gone.then_some(())
        },
    )
    .await;
    let again = deliver(&slipway, &cluster, "forbid", &second).await;
    assert_eq!(again.text("result"), "Duplicate");
    let jobs = cluster.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        jobs[0].metadata.name.as_deref(),
        Some(first.text("jobName"))
    );
    cluster.remove().await;
}

#[tokio::test]
async fn the_newest_replaces_the_one_that_runs() {
    let cluster = cluster("replace").await;
    cluster
        .create(gated("replace", "Replace", &json!({})))
        .await;
    let slipway = slipway(&cluster, &["--lead"]).await;
    deliver(&slipway, &cluster, "replace", &renewed("e-1", "sub-1")).await;
    await_until("the first runs", Duration::from_secs(20), async || {
        (running(&cluster.jobs().await).len() == 1).then_some(())
    })
    .await;
    let newest = deliver(&slipway, &cluster, "replace", &renewed("e-2", "sub-1")).await;
    await_until(
        "the second runs alone",
        Duration::from_mins(1),
        async || {
            let jobs = cluster.jobs().await;
            assert!(running(&jobs).values().all(|count| *count <= 1));
            let runs = |job: &&Job| !is_suspended(job);
            let running: Vec<&Job> = jobs.iter().filter(runs).collect();
            let is_newest =
                |job: &Job| job.metadata.name.as_deref() == Some(newest.text("jobName"));
            (running.len() == 1 && is_newest(running[0])).then_some(())
        },
    )
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_full_waiting_list_and_a_used_up_rate_say_when_to_come_again() {
    let cluster = cluster("full").await;
    cluster
        .create(gated(
            "waits",
            "Queue",
            &json!({"maxWaiting": 2, "keyFrom": null}),
        ))
        .await;
    let limited = json!({"rateLimit": {"requests": 1, "unit": "Hour", "burst": 2}});
    cluster.create(event_job("limited", &limited)).await;
    let slipway = slipway(&cluster, &["--lead"]).await;
    let fill = async |number: usize| {
        let event = renewed(&format!("e-{number}"), "sub-1");
        send(&slipway, &cluster, "waits", &event).await.unwrap()
    };
    deliver(&slipway, &cluster, "waits", &renewed("e-0", "sub-1")).await;
    let refused = await_until("the list is full", Duration::from_secs(30), async || {
        for number in 1..20 {
            let heard = fill(number).await;
            if heard.status == 429 {
                return Some(heard);
            }
        }
        None
    })
    .await;
    assert_eq!(refused.text("reason"), "WaitingListFull");
    assert!(refused.head.to_lowercase().contains("retry-after"));

    for number in 0..2 {
        let event = renewed(&format!("l-{number}"), "sub-1");
        deliver(&slipway, &cluster, "limited", &event).await;
    }
    let event = renewed("l-2", "sub-1");
    let over = send(&slipway, &cluster, "limited", &event).await.unwrap();
    assert_eq!(
        (over.status, over.text("reason")),
        (429, "RateLimited"),
        "{over:?}"
    );
    assert!(over.body["retryAfterSeconds"].as_u64().unwrap() > 1_000);
    // What was launched before is answered as ever.
    let event = renewed("l-1", "sub-1");
    let known = send(&slipway, &cluster, "limited", &event).await.unwrap();
    assert_eq!((known.status, known.text("result")), (200, "Duplicate"));
    cluster.remove().await;
}
