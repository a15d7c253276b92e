//! Shards of a ledger as ConfigMaps: `binaryData.keys`, owned by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::list::pages;
use super::super::{refusal, unavailable, unknown, unreadable};
use crate::cluster::{Call, Cluster};
use crate::launch::Error;
use crate::launch::ledger::Write;

/// Label of every shard.
const LEDGER_LABEL: &str = "slipway.dev/ledger";
/// One call.
const CALL: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Listed {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    resource_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shard {
    metadata: Metadata,
    #[serde(default)]
    binary_data: Contents,
}

#[derive(Default, Deserialize)]
struct Contents {
    keys: Option<String>,
}

/// Names and versions of all shards of a namespace, by a consistent list.
pub(super) async fn list(
    cluster: &Cluster,
    namespace: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let call = Call::get(all(namespace))
        .query("labelSelector", LEDGER_LABEL)
        .metadata_only()
        .within(CALL);
    let object = format!("the ledger of {namespace}");
    let shards: Vec<Listed> = pages(cluster, call, &object).await?;
    Ok(shards
        .into_iter()
        .map(|shard| (shard.metadata.name, shard.metadata.resource_version))
        .collect())
}

/// The namespaces that have shards, of one or of all, by a consistent list.
pub(super) async fn namespaces(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<BTreeSet<String>, Error> {
    let path = namespace.map_or_else(|| "/api/v1/configmaps".to_owned(), all);
    let call = Call::get(path)
        .query("labelSelector", LEDGER_LABEL)
        .metadata_only()
        .within(CALL);
    let shards: Vec<Listed> = pages(cluster, call, "the shards of ledgers").await?;
    let names = shards.into_iter().map(|shard| shard.metadata.namespace);
    Ok(names.collect())
}

/// Version and bytes of a shard; `None` when it is gone.
pub(super) async fn read(
    cluster: &Cluster,
    namespace: &str,
    shard: &str,
) -> Result<Option<(String, Vec<u8>)>, Error> {
    let object = format!("configmap {namespace}/{shard}");
    let answer = cluster
        .send(Call::get(one(namespace, shard)).within(CALL))
        .await
        .map_err(|error| unavailable(&object, &error))?;
    match answer.status {
        404 => return Ok(None),
        200..300 => {}
        _ => return Err(unreadable(&object, &answer)),
    }
    let shard: Shard = answer
        .json()
        .map_err(|error| unavailable(&object, &error))?;
    let keys = shard.binary_data.keys.unwrap_or_default();
    let bytes = STANDARD.decode(keys).map_err(|_| Error::Unavailable {
        object,
        detail: "its keys are not base64".to_owned(),
    })?;
    Ok(Some((shard.metadata.resource_version, bytes)))
}

/// Writes a shard anew, or for the first time; its version then.
pub(super) async fn write(
    cluster: &Cluster,
    namespace: &str,
    write: &Write,
) -> Result<String, Error> {
    let object = format!("configmap {namespace}/{}", write.shard);
    let body = manifest(namespace, write);
    let call = match write.version {
        Some(_) => Call::put(one(namespace, &write.shard), body),
        None => Call::post(all(namespace), body),
    };
    let answer = cluster
        .send(call.within(CALL))
        .await
        .map_err(|error| unknown(&object, &error))?;
    if !answer.is_success() {
        return Err(refusal(&object, &answer));
    }
    let written: Listed = answer.json().map_err(|error| unknown(&object, &error))?;
    Ok(written.metadata.resource_version)
}

/// Removes a shard, if it is still of this version.
pub(super) async fn remove(
    cluster: &Cluster,
    namespace: &str,
    shard: &str,
    version: &str,
) -> Result<(), Error> {
    let object = format!("configmap {namespace}/{shard}");
    let options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"resourceVersion": version},
    });
    let answer = cluster
        .send(Call::delete(one(namespace, shard), options).within(CALL))
        .await
        .map_err(|error| unknown(&object, &error))?;
    match answer.status {
        200..300 | 404 => Ok(()),
        _ => Err(refusal(&object, &answer)),
    }
}

fn manifest(namespace: &str, write: &Write) -> Value {
    let mut manifest = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": write.shard,
            "namespace": namespace,
            "labels": {LEDGER_LABEL: "v1", "app.kubernetes.io/managed-by": "slipway"},
        },
        "binaryData": {"keys": STANDARD.encode(&write.bytes)},
    });
    if let Some(version) = &write.version {
        manifest["metadata"]["resourceVersion"] = version.clone().into();
    }
    manifest
}

fn all(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

fn one(namespace: &str, shard: &str) -> String {
    format!("{}/{shard}", all(namespace))
}
