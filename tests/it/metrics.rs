//! What `/metrics` serves is what `docs/reference.md` says it does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use slipway::externalscaler::ScaledObjectRef;

use crate::controller::{cluster, scaled_job};
use crate::events::{KEY, deliver, event_job, event_jobs, renewed};
use crate::support::await_until;
use crate::support::cluster::unique;
use crate::support::http::post;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");

const HEADER: &str = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n";

/// One metric, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    kind: String,
    labels: Vec<String>,
    meaning: String,
}

/// What is served, by name; a histogram's bounds are no label of its own.
fn served(text: &str) -> BTreeMap<String, Row> {
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
        let samples = text.lines().filter_map(|line| line.strip_prefix(&sample));
        let mut labels = samples.filter_map(|rest| rest.strip_prefix('{')?.split_once('}'));
        let labels = labels.next().map_or("", |(labels, _)| labels);
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        let help = format!("# HELP {family} ");
        let meaning = text.lines().find_map(|line| line.strip_prefix(&help));
        let row = Row {
            kind: kind.to_owned(),
            labels: labels.map(|(name, _)| format!("`{name}`")).collect(),
            meaning: meaning.expect("a HELP").trim_end_matches('.').to_owned(),
        };
        families.insert(name, row);
    }
    families
}

/// The table of the reference.
fn table(found: &BTreeMap<String, Row>) -> String {
    let rows = found.iter().map(|(name, row)| {
        let (kind, labels) = (&row.kind, row.labels.join(", "));
        format!("| `{name}` | {kind} | {labels} | {} |\n", row.meaning)
    });
    HEADER.to_owned() + &rows.collect::<String>()
}

/// Holds the reference against what is served. With `SLIPWAY_REWRITE=1` its table is written anew.
fn check(found: &BTreeMap<String, Row>) {
    let reference = std::fs::read_to_string(REFERENCE).unwrap();
    let (before, rest) = reference.split_once(HEADER).expect("the table");
    let end = rest.find("\n\n").map_or(rest.len(), |at| at + 1);
    let table = table(found);
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    if std::env::var("SLIPWAY_REWRITE").is_ok() {
        let text = format!("{before}{table}{}", &rest[end..]);
        std::fs::write(REFERENCE, text).unwrap();
        return;
    }
    let written = HEADER.to_owned() + &rest[..end];
    assert!(
        written == table,
        "the table of metrics is another: run this test with SLIPWAY_REWRITE=1\n{table}"
    );
}

/// A certificate of a port has to be there for its end to be shown.
fn certified() -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("slipway-metrics-{}", unique()));
    std::fs::create_dir_all(&folder).unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let (certificate, private) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    (certificate, private)
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
    let mut invoice = event_job("invoice", &json!({}));
    invoice["metadata"]["annotations"] = json!({"slipway.dev/expected-interval": "24h"});
    cluster.create(invoice).await;
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
    // Another replica, whose door speaks TLS.
    let (certificate, key) = certified();
    let folder = certificate.parent().unwrap().to_owned();
    let arguments = [
        "--http-tls-cert",
        certificate.to_str().unwrap(),
        "--http-tls-key",
        key.to_str().unwrap(),
    ];
    let secured = Slipway::start(&servers::kubeconfig(), &cluster.namespace, &arguments, &[]);
    let ends = "slipway_tls_certificate_end_timestamp_seconds{";
    let certificate = await_until("its end", Duration::from_secs(30), async || {
        let text = secured.get("/metrics").await?;
        text.contains(ends).then(|| served(&text))
    })
    .await;
    drop(secured);
    std::fs::remove_dir_all(folder).unwrap();
    let found = await_until("every series", Duration::from_secs(30), async || {
        let mut found = served(&slipway.get("/metrics").await?);
        let ends = ends.trim_end_matches('{');
        found.insert(ends.to_owned(), certificate[ends].clone());
        let has_all = [
            "slipway_job_duration_seconds",
            "slipway_success_interval_seconds",
        ]
        .into_iter()
        .all(|name| found.get(name).is_some_and(|row| !row.labels.is_empty()));
        let has_last = found.contains_key("slipway_last_success_timestamp_seconds")
            && found.contains_key("slipway_ledger_keys");
        (has_all && has_last).then_some(found)
    })
    .await;
    check(&found);
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
            // A ledger outlives the objects that it remembers events of.
            let of_object = |line: &&str| {
                line.contains(&namespace)
                    && !line.contains("-nowhere")
                    && !line.starts_with("slipway_ledger_")
            };
            text.lines().find(of_object).is_none().then_some(())
        },
    )
    .await;
    cluster.remove().await;
}
