//! What `/metrics` serves is what `docs/reference.md` says it does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use slipway::externalscaler::ScaledObjectRef;

use crate::controller::{cluster, scaled_job};
use crate::events::{KEY, deliver, event_job, event_jobs, renewed};
use crate::support::await_until;
use crate::support::http::post;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

const REFERENCE: &str = include_str!("../../docs/reference.md");

/// Names and labels in the table under `## Metrics`.
fn table() -> BTreeMap<String, String> {
    let section = REFERENCE
        .split("\n## ")
        .find_map(|section| section.strip_prefix("Metrics\n"))
        .expect("a section ## Metrics");
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| `slipway_"));
    rows.map(|row| {
        let cells: Vec<String> = row
            .split('|')
            .map(|cell| cell.replace('`', "").trim().to_owned())
            .collect();
        (cells[1].clone(), cells[2].clone())
    })
    .collect()
}

/// Names and labels of what is served; a histogram's bounds are no label of its own.
fn served(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut families = BTreeMap::new();
    for family in types {
        let (family, kind) = family.split_once(' ').expect("a name and a type");
        let name = match kind {
            "counter" => format!("{family}_total"),
            _ => family.to_owned(),
        };
        let sample = match kind {
            "histogram" => format!("{family}_count"),
            _ => name.clone(),
        };
        let labels = text
            .lines()
            .filter_map(|line| line.strip_prefix(&sample))
            .find_map(|rest| rest.strip_prefix('{')?.split_once('}'))
            .map(|(labels, _)| {
                labels
                    .split(',')
                    .filter_map(|label| label.split_once('='))
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>()
                    .join(", ")
            });
        families.insert(name, labels.unwrap_or_default());
    }
    families
}

#[tokio::test]
async fn the_metrics_of_the_reference_are_those_of_the_binary() {
    let cluster = cluster("metrics").await;
    let queue = Queue::new("metrics").await;
    queue.send(20).await;
    let gone = Queue::new("metrics-gone").await;
    gone.delete().await;
    let accurate = json!({"spec": {"scalingStrategy": {"strategy": "accurate"}}});
    cluster
        .create(scaled_job("orders", &queue.url, &accurate))
        .await;
    cluster
        .create(scaled_job("gone", &gone.url, &json!({})))
        .await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster.create(event_job("invoice", &json!({}))).await;
    // A namespace that is not there cannot be watched.
    let namespaces = format!("{0},{0}-nowhere", cluster.namespace);
    let slipway = Slipway::run(&servers::kubeconfig(), &namespaces, &[], &[]).await;
    deliver(&slipway, &cluster, "invoice", &renewed("e-1", "sub-1")).await;
    // From somebody who may not send.
    let path = format!("/events/{}/invoice", cluster.namespace);
    let heard = post(slipway.http(), &path, &[("x-api-key", "wrong")], "{}")
        .await
        .unwrap();
    assert_eq!(heard.status, 401);
    let mut keda = crate::keda::connect(slipway.grpc()).await;
    let nothing = keda.is_active(ScaledObjectRef::default()).await;
    nothing.expect_err("there is no trigger without metadata");
    cluster.await_jobs(3).await;
    queue.take(20).await;
    cluster.finish_jobs().await;
    let table = table();
    let found = await_until("every series", Duration::from_secs(30), async || {
        let found = served(&slipway.get("/metrics").await?);
        (found.len() >= table.len()).then_some(found)
    })
    .await;
    assert_eq!(found, table);
    // They go with their object.
    let namespace = cluster.namespace.clone();
    for name in ["orders", "gone"] {
        cluster.delete_scaled_job(name).await;
    }
    let now = kube::api::DeleteParams::default();
    event_jobs(&cluster).delete("invoice", &now).await.unwrap();
    await_until(
        "no series of an object",
        Duration::from_secs(30),
        async || {
            let text = slipway.get("/metrics").await?;
            let of_object = |line: &&str| line.contains(&namespace) && !line.contains("-nowhere");
            text.lines().find(of_object).is_none().then_some(())
        },
    )
    .await;
    cluster.remove().await;
}
