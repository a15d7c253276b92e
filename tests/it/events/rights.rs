//! The rights that the README lists are enough for events, and a missing one is named to who can grant it.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::{cluster, deliver, event_job, event_jobs, renewed, send};
use crate::controller::rights::grant;
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::process::Slipway;
use crate::support::servers;

async fn slipway(cluster: &Cluster) -> Slipway {
    let kubeconfig = servers::named("KUBECONFIG_LIMITED");
    let arguments = ["--ledger-grace", "2s"];
    Slipway::run(&kubeconfig, &cluster.namespace, &arguments, &[]).await
}

/// Gated, with the event as a file, and no history: every right is used.
fn demanding() -> Value {
    json!({
        "concurrencyPolicy": "Queue",
        "successfulJobsHistoryLimit": 0,
        "bind": {"file": {"path": "/var/run/slipway/event.json"}},
    })
}

#[tokio::test]
async fn the_rights_of_the_readme_are_enough_for_events() {
    let cluster = cluster("eventrights").await;
    grant(&cluster, None).await;
    cluster.create(event_job("invoice", &demanding())).await;
    let slipway = slipway(&cluster).await;
    deliver(&slipway, &cluster, "invoice", &renewed("e-1", "sub-1")).await;
    await_until(
        "it has run and is gone",
        Duration::from_mins(1),
        async || {
            cluster.pods_become("Succeeded", usize::MAX).await;
            let jobs = cluster.jobs().await;
            assert!(jobs.len() <= 1);
            jobs.is_empty().then_some(())
        },
    )
    .await;
    await_until("its status", Duration::from_secs(20), async || {
        let object = event_jobs(&cluster).get("invoice").await.ok()?;
        object.data["status"]["lastSuccessfulTime"]
            .is_string()
            .then_some(())
    })
    .await;
    let events = cluster.events().await;
    let is_told = events
        .iter()
        .any(|event| event.starts_with("SuccessfulCreate"));
    assert!(is_told, "{events:?}");
    let log = slipway.log();
    assert!(!log.contains("WARN"), "{log}");
    cluster.remove().await;
}

async fn check(verb: &str, resource: &str) {
    let cluster = cluster("eventright").await;
    grant(&cluster, Some((verb, resource))).await;
    cluster.create(event_job("invoice", &demanding())).await;
    let slipway = slipway(&cluster).await;
    let words = format!("cannot {verb} resource \"{resource}\"");
    let what = format!("{words} is said");
    await_until(&what, Duration::from_secs(40), async || {
        // A sender that is not let through comes again; what happens then differs.
        drop(send(&slipway, &cluster, "invoice", &renewed("e-1", "sub-1")).await);
        let jobs = cluster.jobs().await;
        if jobs.iter().any(|job| !is_finished(job)) {
            cluster.pods_become("Succeeded", usize::MAX).await;
        }
        slipway.log().contains(&words).then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_right_that_events_miss_is_named_with_verb_and_resource() {
    let rows = [
        ("create", "jobs"),
        ("patch", "jobs"),
        ("delete", "jobs"),
        ("list", "configmaps"),
        ("create", "configmaps"),
        ("create", "secrets"),
        ("list", "eventjobs"),
        ("patch", "eventjobs/status"),
    ];
    join_all(rows.map(|(verb, resource)| check(verb, resource))).await;
}
