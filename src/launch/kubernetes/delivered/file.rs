//! `bind.file`: the event as a Secret of the Job's name.
//!
//! The Secret is made before the Job, because a Pod without it would wait for
//! ever, and gets the Job as its owner after, so that it goes with it. A repeat
//! of the event does both again, and so repairs what a crash left undone.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use super::super::{refusal, unknown, unreadable};
use super::wire;
use crate::cluster::{Call, Cluster};
use crate::launch::Error;
use crate::launch::delivered::{Delivery, PAYLOAD_ANNOTATION};
use crate::resource::ObjectId;

/// One call.
const CALL: Duration = Duration::from_secs(3);

#[derive(Deserialize)]
struct Secret {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// Makes the Secret, or finds the one that an earlier delivery of the same event left.
pub(super) async fn make(
    cluster: &Cluster,
    delivery: &Delivery,
    secret: &Value,
    left: Duration,
) -> Result<(), Error> {
    let id = &delivery.launch.id;
    let object = format!("secret {id}");
    let path = format!("/api/v1/namespaces/{}/secrets", id.namespace);
    // A Secret of a delivery with another payload whose Job never came is replaced, once.
    for _ in 0..2 {
        let call = Call::post(path.clone(), secret.clone()).within(left.min(CALL));
        let answer = cluster
            .send(call)
            .await
            .map_err(|error| unknown(&object, &error))?;
        match answer.status {
            200..300 => return Ok(()),
            409 if answer.reason() == "AlreadyExists" => {}
            _ => return Err(refusal(&object, &answer)),
        }
        let Some(there) = read(cluster, id).await? else {
            continue;
        };
        let is_same = there.annotations.get(PAYLOAD_ANNOTATION) == Some(&delivery.payload);
        // Of a Job that is there the first payload stays.
        if is_same || wire::read(cluster, id, left.min(CALL)).await?.is_some() {
            return Ok(());
        }
        remove(cluster, id, &there.uid).await?;
    }
    Err(Error::Conflict { object })
}

/// Gives the Secret to the Job that it was made for.
pub(super) async fn adopt(
    cluster: &Cluster,
    delivery: &Delivery,
    left: Duration,
) -> Result<(), Error> {
    let id = &delivery.launch.id;
    let Some(job) = wire::read(cluster, id, left.min(CALL)).await? else {
        // It ran and is gone; its Secret is nobody's.
        clear(cluster, delivery).await;
        return Ok(());
    };
    let object = format!("secret {id}");
    let owner = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": id.name,
        "uid": job.uid,
    });
    let patch = json!({"metadata": {"ownerReferences": [owner]}});
    let call = Call::merge_patch(path(id), patch).within(left.min(CALL));
    let answer = cluster
        .send(call)
        .await
        .map_err(|error| unknown(&object, &error))?;
    match answer.status {
        200..300 => Ok(()),
        _ => Err(refusal(&object, &answer)),
    }
}

/// Removes the Secret of a Job that will not be. That it stays behind harms nobody.
pub(super) async fn clear(cluster: &Cluster, delivery: &Delivery) {
    let id = &delivery.launch.id;
    let cleared = async {
        match read(cluster, id).await? {
            // The Job that another delivery made has it.
            Some(_) if wire::read(cluster, id, CALL).await?.is_some() => Ok(()),
            Some(there) => remove(cluster, id, &there.uid).await,
            None => Ok(()),
        }
    };
    if let Err(error) = cleared.await {
        warn!(
            error = &error as &dyn std::error::Error,
            "the secret {id} of an event that has no Job stays behind"
        );
    }
}

async fn read(cluster: &Cluster, id: &ObjectId) -> Result<Option<Metadata>, Error> {
    let object = format!("secret {id}");
    let answer = cluster
        .send(Call::get(path(id)).within(CALL))
        .await
        .map_err(|error| unknown(&object, &error))?;
    match answer.status {
        404 => Ok(None),
        200..300 => {
            let secret: Secret = answer.json().map_err(|error| unknown(&object, &error))?;
            Ok(Some(secret.metadata))
        }
        _ => Err(unreadable(&object, &answer)),
    }
}

async fn remove(cluster: &Cluster, id: &ObjectId, uid: &str) -> Result<(), Error> {
    let object = format!("secret {id}");
    let options =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}});
    let answer = cluster
        .send(Call::delete(path(id), options).within(CALL))
        .await
        .map_err(|error| unknown(&object, &error))?;
    match answer.status {
        200..300 | 404 | 409 => Ok(()),
        _ => Err(refusal(&object, &answer)),
    }
}

fn path(id: &ObjectId) -> String {
    format!("/api/v1/namespaces/{}/secrets/{}", id.namespace, id.name)
}
