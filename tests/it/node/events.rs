//! An event through the Service becomes a Pod that does its work; and how long that takes.

use super::{Release, SOON, await_taken, phase, pods, runs, written};
use crate::events::{renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::is_finished;

/// Events one at a time for the figure: twenty, or what `make node EVENTS=…` says.
pub(super) fn events() -> usize {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let count = std::env::var("SLIPWAY_EVENTS");
    count.map_or(20, |count| count.parse().unwrap())
}

#[tokio::test]
#[ignore = "on a real node: make node"]
async fn an_event_through_the_service_becomes_a_pod_that_finishes() {
    let release = Release::installed().await;
    let orders = release.with_key("orders").await;
    let says = "echo \"$SUBSCRIPTION_ID of $BILLING_PERIOD\"";
    orders.create(runs("invoice", says)).await;
    await_taken(&release, &orders, "invoice").await;
    let event = renewed("e-1", "sub-42");
    let first = send_to(&release.events, "orders", "invoice", &event)
        .await
        .unwrap();
    assert_eq!(first.text("result"), "Created", "{first:?}");
    let second = send_to(&release.events, "orders", "invoice", &event)
        .await
        .unwrap();
    assert_eq!(second.text("result"), "Duplicate", "{second:?}");
    let jobs = await_until("its Job has finished", SOON, async || {
        let jobs = orders.jobs().await;
        jobs.iter().all(is_finished).then_some(jobs)
    })
    .await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].status.as_ref().unwrap().succeeded, Some(1));
    let pods = pods(&orders).await;
    assert_eq!(pods.len(), 1);
    let name = pods[0].metadata.name.as_deref().unwrap();
    assert_eq!(written(&orders, name).await, "sub-42 of 2026-11\n");
}

/// Seconds after which something is wrong, however busy the machine.
const TOO_LONG: f64 = 15.0;

/// Seconds since the machine started. Pods see the same clock.
pub(super) fn uptime() -> f64 {
    seconds(&std::fs::read_to_string("/proc/uptime").unwrap())
}

pub(super) fn seconds(uptime: &str) -> f64 {
    let seconds = uptime.split_whitespace().next();
    seconds.and_then(|seconds| seconds.parse().ok()).unwrap()
}

#[tokio::test]
#[ignore = "on a real node: make node"]
async fn events_become_running_pods_one_at_a_time() {
    let release = Release::installed().await;
    let figures = release.with_key("figures").await;
    // Its first act is to write down when it runs.
    let says = "cat /proc/uptime; sleep 2";
    figures.create(runs("invoice", says)).await;
    await_taken(&release, &figures, "invoice").await;
    let (mut ran, mut shown) = (Vec::new(), Vec::new());
    let count = events();
    for number in 0..count {
        let event = renewed(&format!("e-{number}"), "sub-1");
        let began = uptime();
        let heard = send_to(&release.events, "figures", "invoice", &event).await;
        assert_eq!(heard.unwrap().text("result"), "Created");
        let pod = await_until("its Pod is running", SOON, async || {
            let pods = pods(&figures).await;
            pods.into_iter().find(|pod| phase(pod) == "Running")
        })
        .await;
        shown.push(uptime() - began);
        let name = pod.metadata.name.as_deref().unwrap();
        let text = await_until("it has written", SOON, async || {
            let text = written(&figures, name).await;
            text.ends_with('\n').then_some(text)
        })
        .await;
        ran.push(seconds(&text) - began);
        // One at a time: the next one has the node to itself.
        await_until("it has finished", SOON, async || {
            let jobs = figures.jobs().await;
            jobs.iter().all(is_finished).then_some(())
        })
        .await;
    }
    report("its process runs", ran);
    report("the API server says Running", shown);
}

/// Prints a figure of docs/figures.md: seconds from a POST, or from a message, until something.
pub(super) fn report(until: &str, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    let count = seconds.len();
    let (median, high) = (seconds[count / 2], seconds[count * 95 / 100]);
    #[expect(clippy::print_stderr, reason = "the figures of docs/figures.md")]
    {
        eprintln!("{count} one at a time until {until}: p50 {median:.2} s, p95 {high:.2} s");
    }
    assert!(median < TOO_LONG, "{seconds:?}");
}
