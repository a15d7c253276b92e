//! Kubernetes Events about our objects.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::debug;

use crate::cluster::{Call, Cluster};
use crate::resource::ObjectId;

/// What gets no turn in this time is not sent: its object has other things to do.
pub(super) const LONGEST_TURN: Duration = Duration::from_secs(8);
/// An Event is answered within this, or never mind.
const LONGEST_ANSWER: Duration = Duration::from_secs(2);
/// Bytes of an Event's note that the API server takes.
const LONGEST_NOTE: usize = 1024;
/// What Events call this program.
const CONTROLLER: &str = "slipway.dev/slipway";

/// One Event to be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Note {
    /// `Normal` or `Warning`.
    pub(crate) kind: &'static str,
    /// One word from a closed list.
    pub(crate) reason: &'static str,
    /// What happened; no secret, no payload.
    pub(crate) text: String,
}

/// The object that an Event is about.
pub(crate) struct Regarding<'a> {
    /// Group and version.
    pub(crate) api_version: &'a str,
    /// Kind.
    pub(crate) kind: &'a str,
    /// Namespace and name.
    pub(crate) id: &'a ObjectId,
    /// UID.
    pub(crate) uid: &'a str,
}

/// Makes an Event, within ten seconds or not at all: a failure is logged, at a low level.
pub(crate) async fn announce(
    cluster: &Cluster,
    instance: &str,
    regarding: &Regarding<'_>,
    note: &Note,
    now: Timestamp,
) {
    let id = regarding.id;
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", id.namespace);
    // Thousands may wait: what is sent is made when it is this object's turn.
    let failure = match timeout(LONGEST_TURN, cluster.turn(&Method::POST, &path)).await {
        Err(_) => "it had no turn".to_owned(),
        Ok(turn) => {
            let event = event(instance, regarding, note, now);
            let call = Call::post(path, event).within(LONGEST_ANSWER);
            match turn.send(call).await {
                Ok(answer) if answer.is_success() => return,
                Ok(answer) => answer.words(),
                Err(error) => error.detail,
            }
        }
    };
    let (kind, reason) = (regarding.kind, note.reason);
    debug!(reason, "cannot make an event about {kind} {id}: {failure}");
}

fn event(instance: &str, regarding: &Regarding<'_>, note: &Note, now: Timestamp) -> Value {
    let id = regarding.id;
    let prefix = &id.name[..id.name.floor_char_boundary(50)];
    let text = &note.text[..note.text.floor_char_boundary(LONGEST_NOTE)];
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{prefix}-"), "namespace": *id.namespace},
        "eventTime": format!("{now:.6}"),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": note.reason,
        "reason": note.reason,
        "type": note.kind,
        "note": text,
        "regarding": {
            "apiVersion": regarding.api_version,
            "kind": regarding.kind,
            "namespace": *id.namespace,
            "name": *id.name,
            "uid": regarding.uid,
        },
    })
}
