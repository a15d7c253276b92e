//! KEDA's operator, as the tests start it: what is measured beside Slipway in the same run.

use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster};

pub(crate) use keda::Keda;

#[expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the tests' own: what is wrong ends them"
)]
#[path = "../../tests/it/support/basic.rs"]
mod basic;
#[expect(clippy::unwrap_used, clippy::panic, reason = "likewise")]
#[path = "../../tests/it/support/keda.rs"]
mod keda;

/// The same ScaledJob as KEDA's.
pub(crate) fn of_keda(mut object: Value) -> Value {
    object["apiVersion"] = json!("keda.sh/v1alpha1");
    object
}

/// Where ScaledJobs of a group lie.
pub(crate) fn scaled_jobs(group: &str, namespace: &str) -> String {
    format!("/apis/{group}/v1alpha1/namespaces/{namespace}/scaledjobs")
}

/// How many objects lie at a path.
pub(crate) async fn count(cluster: &Cluster, path: &str) -> u64 {
    let call = Call::get(path).query("limit", "1");
    let answer = cluster.send(call).await.expect("an answer");
    let list: Value = answer.json().expect("a list");
    let shown = list["items"].as_array().map_or(0, Vec::len) as u64;
    shown + list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0)
}

/// One line for each figure: ours, KEDA's, and ours to KEDA's.
pub(crate) fn line(what: &str, ours: f64, theirs: f64) -> String {
    format!("{what:<28}{ours:>10.2}{theirs:>10.2}{:>9.2}", ours / theirs)
}
