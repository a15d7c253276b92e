//! Rounds, written down before their first Job.
//!
//! In `status.round` of a ScaledJob of ours; in the annotation
//! `slipway.dev/round` of one managed in place, because KEDA's CRD drops status
//! fields that it does not know. Exactly one writer gets a number: the patch
//! carries the `resourceVersion` of the object whose round was looked at, and the
//! record carries the holder, so that a writer whose patch had no clear answer
//! can tell its own record from another's.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{refusal, unavailable, unknown, unreadable};
use crate::cluster::{Call, Cluster};
use crate::launch::{Error, ROUND_ANNOTATION};
use crate::resource::{Api, Round, ScaledJob};

/// Tries against others who change the object in between (a status, an edit).
const TRIES: usize = 6;
const DEADLINE: Duration = Duration::from_secs(5);

/// The part of a ScaledJob that decides who may write.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versioned {
    metadata: Metadata,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: String,
    resource_version: String,
    #[serde(default)]
    annotations: Value,
}

/// A round as it is written down.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Record {
    number: u64,
    jobs: u32,
    /// Which process opened it.
    #[serde(default)]
    holder: String,
}

/// A name for this process that no other has: 16 hexadecimal digits.
pub fn new_holder() -> String {
    // The standard library's only source of randomness: a new hasher's key.
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// Writes the round down, if nobody has written one since `known`: the newest
/// round that the decision behind this one counted with.
///
/// # Errors
///
/// [`Error::Conflict`] when another round was written since; [`Error::Gone`] when the object
/// is gone or another one has its name; [`Error::Unknown`] when it may have been written.
pub(super) async fn open(
    cluster: &Cluster,
    holder: &str,
    scaled_job: &ScaledJob,
    known: u64,
    round: Round,
) -> Result<(), Error> {
    let object = format!("scaledjob {}", scaled_job.id);
    let wanted = Record {
        number: round.number,
        jobs: round.jobs,
        holder: holder.to_owned(),
    };
    let mut unclear = None;
    for _ in 0..TRIES {
        let current = read(cluster, &object, scaled_job).await;
        // A patch without a clear answer may have been applied: then "cannot be read" is "nobody knows".
        let current = current.map_err(|error| unclear.clone().unwrap_or(error))?;
        let written = recorded(scaled_job.api, &current);
        if written == wanted {
            return Ok(());
        }
        // Less than what is known is what somebody left who replaced the object, and our record with it.
        if written.number > known || written.number >= wanted.number {
            return Err(Error::Conflict { object });
        }
        let call = patch(scaled_job, &wanted, &current.metadata.resource_version);
        match cluster.send(call.within(DEADLINE)).await {
            Err(error) => unclear = Some(unknown(&object, &error)),
            Ok(answer) if answer.is_success() => return Ok(()),
            // Somebody changed the object; the next look tells whether it was the round.
            Ok(answer) if answer.status == 409 => {}
            Ok(answer) => match refusal(&object, &answer) {
                error @ Error::Unknown { .. } => unclear = Some(error),
                error => return Err(unclear.unwrap_or(error)),
            },
        }
    }
    Err(unclear.unwrap_or(Error::Conflict { object }))
}

async fn read(cluster: &Cluster, object: &str, scaled_job: &ScaledJob) -> Result<Versioned, Error> {
    let answer = cluster
        .send(Call::get(path(scaled_job)).within(DEADLINE))
        .await
        .map_err(|error| unavailable(object, &error))?;
    if !answer.is_success() {
        return Err(unreadable(object, &answer));
    }
    let current: Versioned = answer.json().map_err(|error| unavailable(object, &error))?;
    if current.metadata.uid != scaled_job.uid {
        return Err(Error::Gone {
            object: object.to_owned(),
        });
    }
    Ok(current)
}

/// The round that the object tells of; 0 before the first.
fn recorded(api: Api, current: &Versioned) -> Record {
    match api {
        Api::Slipway => Record::deserialize(&current.status["round"]).unwrap_or_default(),
        Api::Keda => current.metadata.annotations[ROUND_ANNOTATION]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default(),
    }
}

fn patch(scaled_job: &ScaledJob, record: &Record, resource_version: &str) -> Call {
    let round = json!({
        "number": record.number,
        "jobs": record.jobs,
        "holder": record.holder,
    });
    match scaled_job.api {
        Api::Slipway => Call::merge_patch(
            format!("{}/status", path(scaled_job)),
            json!({
                "metadata": {"resourceVersion": resource_version},
                "status": {"round": round},
            }),
        ),
        Api::Keda => Call::merge_patch(
            path(scaled_job),
            json!({"metadata": {
                "resourceVersion": resource_version,
                "annotations": {ROUND_ANNOTATION: round.to_string()},
            }}),
        ),
    }
}

fn path(scaled_job: &ScaledJob) -> String {
    let group = match scaled_job.api {
        Api::Slipway => "slipway.dev",
        Api::Keda => "keda.sh",
    };
    let id = &scaled_job.id;
    format!(
        "/apis/{group}/v1alpha1/namespaces/{}/scaledjobs/{}",
        id.namespace, id.name
    )
}
