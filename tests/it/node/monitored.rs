//! A real Prometheus scrapes the Pods of the release, as a PodMonitor has it do.

use k8s_openapi::api::core::v1::{ContainerPort, Pod};
use serde_json::{Value, json};

use super::{HOME, Release, SOON, await_taken, runs};
use crate::alerts::dashboard;
use crate::alerts::prometheus::Prometheus;
use crate::events::{renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::is_finished;

#[tokio::test]
#[ignore = "on a real node: make node"]
async fn a_prometheus_scrapes_every_replica_and_no_alert_fires() {
    let release = Release::installed().await;
    let monitored = release.with_key("monitored").await;
    monitored.create(runs("invoice", "true")).await;
    await_taken(&release, &monitored, "invoice").await;
    // Debian's Prometheus asks no API server, so the targets of the chart's PodMonitor are looked up here.
    let targets: Vec<Value> = release.pods().await.iter().map(target).collect();
    assert_eq!(targets.len(), 2);
    let prometheus = Prometheus::scraping(&json!({"static_configs": targets})).await;
    let values = async |query: &str| -> Vec<f64> {
        let found = prometheus.query(query).await;
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        found.iter().filter_map(value).collect()
    };
    await_until("both replicas are scraped", SOON, async || {
        (values("up").await == [1.0, 1.0]).then_some(())
    })
    .await;
    let leads = values("sum(slipway_lease_held)").await;
    assert_eq!(leads, [1.0]);
    let event = renewed("e-1", "sub-1");
    let heard = send_to(&release.events, "monitored", "invoice", &event).await;
    assert_eq!(heard.unwrap().text("result"), "Created");
    await_until("its Job has finished", SOON, async || {
        monitored.jobs().await.iter().all(is_finished).then_some(())
    })
    .await;
    // Of the replica that answered, and of the one that leads.
    for query in [
        "slipway_launches_total{namespace=\"monitored\", name=\"invoice\", result=\"created\"}",
        "sum(job_duration_seconds_count{namespace=\"monitored\", name=\"invoice\"})",
    ] {
        await_until(query, SOON, async || {
            (values(query).await == [1.0]).then_some(())
        })
        .await;
    }
    for (_, query) in dashboard::queries() {
        // Whether there is anything: a panel may be empty here.
        prometheus.query(&query).await;
    }
    assert_eq!(prometheus.firing().await, Vec::<String>::new());
}

/// The port `health` of a Pod, with the labels that the operator of Prometheus gives.
fn target(pod: &Pod) -> Value {
    let spec = pod.spec.as_ref().unwrap();
    let ports = spec.containers.iter().filter_map(|it| it.ports.as_ref());
    let is_health = |port: &&ContainerPort| port.name.as_deref() == Some("health");
    let port = ports.flatten().find(is_health).unwrap().container_port;
    let address = pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap();
    json!({
        "targets": [format!("{address}:{port}")],
        "labels": {"namespace": HOME, "pod": pod.metadata.name},
    })
}
