//! `bind.file`: the event as a Secret of the Job's name.
//!
//! 1. The Secret is made. Its owner is the EventJob, so it goes with it whatever happens.
//! 2. The Job is made. A Pod without the Secret would wait, so the Secret comes first.
//! 3. The Secret gets the Job as its owner in place of the EventJob.
//!
//! Whoever makes the Secret decides the payload: while it is there no Job is made with another one. A repeat of the
//! event does again what is missing. What no repeat comes for is left to [`Leftovers`](super::leftovers).

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{refusal, unreadable};
use super::leftovers::Leftovers;
use super::wire;
use crate::cluster::{Answer, Budget, Call, Cluster, NoAnswer};
use crate::launch::delivered::{Delivery, PAYLOAD_ANNOTATION};
use crate::launch::{Error, Launched, OCCURRENCE_ANNOTATION};
use crate::resource::ObjectId;

/// One call.
pub(super) const CALL: Duration = Duration::from_secs(3);
/// No create is applied later than this after it was sent. Source: DESIGN §4, the promise.
const CREATES_END: Duration = Duration::from_mins(10);
/// When a Secret whose owner could not be written is looked at again, unless a repeat came.
const SOON: Duration = Duration::from_secs(30);

/// A Secret without its data.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretMetadata {
    uid: String,
    resource_version: String,
    creation_timestamp: jiff::Timestamp,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Debug, Deserialize)]
struct Owner {
    uid: String,
}

impl SecretMetadata {
    /// The hash of the occurrence that it was made for; empty when it is not ours.
    pub(super) fn occurrence(&self) -> &str {
        let occurrence = self.annotations.get(OCCURRENCE_ANNOTATION);
        occurrence.map_or("", String::as_str)
    }

    /// Whether it goes with this object.
    pub(super) fn is_owned_by(&self, uid: &str) -> bool {
        self.owner_references.iter().any(|owner| owner.uid == uid)
    }
}

/// The Secret of one delivery, from before its Job to after it.
pub(super) struct EventFile<'a> {
    cluster: &'a Cluster,
    leftovers: &'a Leftovers,
    delivery: &'a Delivery,
    secret: &'a Value,
    /// When it is looked at again, counted from the end of this delivery; `None` when nothing is left to do.
    look_again: Option<Duration>,
}

/// However the delivery ends, and if nobody waits for its end any more.
impl Drop for EventFile<'_> {
    fn drop(&mut self) {
        if let Some(wait) = self.look_again {
            self.leftovers.add(&self.delivery.launch.id, wait);
        }
    }
}

impl<'a> EventFile<'a> {
    /// Of a delivery with this Secret; nothing is made yet.
    pub(super) fn new(
        cluster: &'a Cluster,
        leftovers: &'a Leftovers,
        delivery: &'a Delivery,
        secret: &'a Value,
    ) -> Self {
        Self {
            cluster,
            leftovers,
            delivery,
            secret,
            look_again: None,
        }
    }

    /// Makes the Secret, or finds the one that an earlier delivery of the same payload left.
    ///
    /// # Errors
    ///
    /// [`Error`] when no Job may be made. None is the event's fault, so none is [`Error::Rejected`].
    pub(super) async fn make(&mut self, left: Duration) -> Result<(), Error> {
        let id = &self.delivery.launch.id;
        let object = format!("secret {id}");
        // Once more for a Secret that went when it was to be read, or was nobody's.
        for _ in 0..2 {
            self.look_again = Some(CREATES_END);
            let answer = self.post(self.secret, left).await?;
            match answer.status {
                200..300 => return Ok(()),
                409 if answer.reason() == "AlreadyExists" => {}
                _ => {
                    self.look_again = None;
                    // It says nothing about the event: a policy may forbid Secrets.
                    return Err(unreadable(&object, &answer));
                }
            }
            let Some(there) = read(self.cluster, id, left).await? else {
                continue;
            };
            if there.occurrence() != self.delivery.launch.occurrence {
                self.look_again = None;
                return Err(Error::NameTaken { object });
            }
            let payload = there.annotations.get(PAYLOAD_ANNOTATION);
            // Of a Job that is there the first payload stays.
            if payload == Some(&self.delivery.payload)
                || wire::read(self.cluster, id, left.min(CALL))
                    .await?
                    .is_some()
            {
                return Ok(());
            }
            let now = self.cluster.server_time();
            let age = now.map(|now| now.duration_since(there.creation_timestamp).unsigned_abs());
            if age.is_none_or(|age| age < CREATES_END) {
                return Err(Error::Unavailable {
                    object,
                    detail:
                        "it holds another payload of the same event, whose Job may still be made"
                            .to_owned(),
                });
            }
            remove(self.cluster, id, &there, left).await?;
        }
        Err(Error::Conflict { object })
    }

    /// No Job was made, and none will be by this delivery.
    pub(super) fn is_in_vain(&mut self) {
        self.look_again = Some(Duration::ZERO);
    }

    /// Gives the Secret to its Job, and makes it again when it is missing. What became of the launch is then known to the Job.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`]: the Job may be there, its Secret may not be its own yet.
    pub(super) async fn settle(
        &mut self,
        launched: Launched,
        left: Duration,
    ) -> Result<Launched, Error> {
        self.look_again = Some(SOON);
        let settled = self.settle_once(launched, left).await;
        let settled = settled.map_err(|error| Error::Unknown {
            object: format!("secret {}", self.delivery.launch.id),
            detail: error.to_string(),
        })?;
        self.look_again = None;
        Ok(settled)
    }

    async fn settle_once(&self, launched: Launched, left: Duration) -> Result<Launched, Error> {
        let Delivery {
            launch, payload, ..
        } = self.delivery;
        let job = wire::read(self.cluster, &launch.id, left.min(CALL)).await?;
        let Some(job) = job.filter(|job| job.occurrence() == launch.occurrence) else {
            // It ran and is gone; its Secret is nobody's.
            tend(self.cluster, &launch.id, left).await?;
            return Ok(match launched {
                Launched::Created => Launched::Created,
                Launched::AlreadyThere { .. } | Launched::Remembered => Launched::Remembered,
            });
        };
        let payload_differs = job.payload() != payload;
        let is_owned = launched != Launched::Created
            && read(self.cluster, &launch.id, left)
                .await?
                .is_some_and(|there| there.is_owned_by(&job.uid));
        if !is_owned && !adopt(self.cluster, &launch.id, &job.uid, left).await? && !payload_differs
        {
            let mut again = self.secret.clone();
            again["metadata"]["ownerReferences"] = json!([owner(&launch.id, &job.uid)]);
            let answer = self.post(&again, left).await?;
            let object = format!("secret {}", launch.id);
            // Made by another delivery meanwhile, which gives it to the Job.
            if !answer.is_success() && answer.reason() != "AlreadyExists" {
                return Err(refusal(&object, &answer));
            }
        }
        Ok(match launched {
            Launched::Created => Launched::Created,
            Launched::AlreadyThere { .. } | Launched::Remembered => {
                Launched::AlreadyThere { payload_differs }
            }
        })
    }

    async fn post(&self, secret: &Value, left: Duration) -> Result<Answer, Error> {
        let id = &self.delivery.launch.id;
        let path = format!("/api/v1/namespaces/{}/secrets", id.namespace);
        let call = Call::post(path, secret.clone()).within(left.min(CALL));
        send(self.cluster, id, call).await
    }
}

/// Whether Secrets may be made where the EventJob is: a dry run of an empty one.
///
/// # Errors
///
/// [`Error`] when none may be made, or nobody can tell now.
pub(super) async fn prove(cluster: &Cluster, event_job: &ObjectId) -> Result<(), Error> {
    let object = format!("the Secrets of bind.file of {event_job}");
    let path = format!("/api/v1/namespaces/{}/secrets", event_job.namespace);
    let cluster = cluster.clone().with(Budget::DryRuns);
    let turn = cluster.turn(&Method::POST, &path).await;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"generateName": "slipway-proof-", "namespace": *event_job.namespace},
        "immutable": true,
    });
    let call = Call::post(path, secret).query("dryRun", "All");
    let answer = turn.send(call).await.map_err(|error| Error::Unavailable {
        object: object.clone(),
        detail: error.detail,
    })?;
    if answer.is_success() {
        return Ok(());
    }
    match unreadable(&object, &answer) {
        Error::Quota { .. } => Ok(()),
        Error::Forbidden { object, detail } => Err(Error::Forbidden {
            object,
            detail: format!("{detail}; the chart grants it with rbac.eventFiles=true"),
        }),
        error => Err(error),
    }
}

/// Looks after a Secret without a delivery: its Job gets it, or it goes.
///
/// It goes only as it was before its Job was looked for. So a delivery that makes the Job meanwhile either finds the
/// Secret gone, and makes it again, or has changed it.
///
/// # Errors
///
/// [`Error`] when that cannot be told or done now.
pub(super) async fn tend(cluster: &Cluster, id: &ObjectId, left: Duration) -> Result<(), Error> {
    let Some(there) = read(cluster, id, left).await? else {
        return Ok(());
    };
    if there.occurrence().is_empty() {
        return Ok(()); // Somebody else's.
    }
    match wire::read(cluster, id, left.min(CALL)).await? {
        Some(job) if there.is_owned_by(&job.uid) => Ok(()),
        Some(job) if job.occurrence() == there.occurrence() => {
            adopt(cluster, id, &job.uid, left).await.map(|_| ())
        }
        Some(_) | None => remove(cluster, id, &there, left).await,
    }
}

/// Makes the Job the only owner. False when there is no Secret.
async fn adopt(cluster: &Cluster, id: &ObjectId, job: &str, left: Duration) -> Result<bool, Error> {
    let patch = json!({"metadata": {"ownerReferences": [owner(id, job)]}});
    let call = Call::merge_patch(path(id), patch).within(left.min(CALL));
    let answer = send(cluster, id, call).await?;
    match answer.status {
        200..300 => Ok(true),
        404 => Ok(false),
        _ => Err(refusal(&format!("secret {id}"), &answer)),
    }
}

fn owner(id: &ObjectId, job: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "name": *id.name, "uid": job})
}

async fn read(
    cluster: &Cluster,
    id: &ObjectId,
    left: Duration,
) -> Result<Option<SecretMetadata>, Error> {
    #[derive(Deserialize)]
    struct Secret {
        metadata: SecretMetadata,
    }
    let answer = send(cluster, id, Call::get(path(id)).within(left.min(CALL))).await?;
    match answer.status {
        404 => Ok(None),
        200..300 => {
            let secret: Secret = answer.json().map_err(|error| unavailable(id, error))?;
            Ok(Some(secret.metadata))
        }
        _ => Err(unreadable(&format!("secret {id}"), &answer)),
    }
}

/// Removes a Secret, unless it has changed since it was read.
async fn remove(
    cluster: &Cluster,
    id: &ObjectId,
    there: &SecretMetadata,
    left: Duration,
) -> Result<(), Error> {
    let options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": there.uid, "resourceVersion": there.resource_version},
    });
    let call = Call::delete(path(id), options).within(left.min(CALL));
    let answer = send(cluster, id, call).await?;
    match answer.status {
        200..300 | 404 | 409 => Ok(()),
        _ => Err(refusal(&format!("secret {id}"), &answer)),
    }
}

async fn send(cluster: &Cluster, id: &ObjectId, call: Call) -> Result<Answer, Error> {
    let answer = cluster.send(call).await;
    answer.map_err(|error| unavailable(id, error))
}

/// No Job was asked for, whatever became of the Secret.
fn unavailable(id: &ObjectId, error: NoAnswer) -> Error {
    Error::Unavailable {
        object: format!("secret {id}"),
        detail: error.detail,
    }
}

fn path(id: &ObjectId) -> String {
    format!("/api/v1/namespaces/{}/secrets/{}", id.namespace, id.name)
}
