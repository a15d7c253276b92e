//! A change of an object as it was read: nothing is changed where somebody else wrote in between.

use anyhow::bail;
use serde_json::Value;

use crate::cluster::{Call, Cluster};

/// Merges `change` into the object at `path`, which `what` names. False when somebody else wrote since it was `read`.
pub(super) async fn change(
    cluster: &Cluster,
    path: String,
    what: &str,
    read: &Value,
    mut change: Value,
) -> anyhow::Result<bool> {
    for field in ["uid", "resourceVersion"] {
        change["metadata"][field] = read["metadata"][field].clone();
    }
    let answer = cluster.send(Call::merge_patch(path, change)).await?;
    match answer.status {
        409 => Ok(false),
        _ if answer.is_success() => Ok(true),
        _ => bail!("{what}: {}", answer.words()),
    }
}
