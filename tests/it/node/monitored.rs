//! A real Prometheus finds the Pods of the release by the API server, as a PodMonitor has it do, and scrapes them.

use serde_json::json;

use super::{HOME, Release, SOON, await_taken, runs};
use crate::alerts::dashboard;
use crate::alerts::prometheus::Prometheus;
use crate::events::{renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::is_finished;
use crate::support::servers;

#[tokio::test]
#[ignore = "on a real node: make node"]
async fn a_prometheus_scrapes_every_replica_and_no_alert_fires() {
    let release = Release::installed().await;
    let monitored = release.with_key("monitored").await;
    monitored.create(runs("invoice", "true")).await;
    await_taken(&release, &monitored, "invoice").await;
    // What the operator of Prometheus makes of the chart's PodMonitor.
    let prometheus = Prometheus::scraping(&json!({
        "kubernetes_sd_configs": [{
            "role": "pod",
            "kubeconfig_file": servers::named("KUBECONFIG"),
            "namespaces": {"names": [HOME]},
        }],
        "relabel_configs": [
            {
                "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
                "regex": "slipway", "action": "keep",
            },
            {
                "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                "regex": "health", "action": "keep",
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        ],
    }))
    .await;
    let values = async |query: &str| -> Vec<f64> {
        let found = prometheus.query(query).await;
        let value = |series: &serde_json::Value| series["value"][1].as_str()?.parse().ok();
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
