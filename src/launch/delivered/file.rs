//! The whole event as a file: a Secret of the Job's name, and its mount in every container.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::manifest::containers;
use super::{EVENT_JOB_LABEL, PAYLOAD_ANNOTATION};
use crate::event::Refusal;
use crate::launch::job::spec::MANAGED_BY_LABEL;
use crate::launch::{Launch, OCCURRENCE_ANNOTATION};
use crate::resource::event_job::FileBinding;

/// Bytes of a Secret's data. Source: Kubernetes, `core.MaxSecretSize`.
const LARGEST_SECRET: usize = 1024 * 1024;

/// The volume's name, unless the template has one of that name.
const VOLUME: &str = "slipway-event";

/// The Secret that holds the event. It is made before its Job, so it has the Job's owner, the EventJob, until it gets the Job.
///
/// # Errors
///
/// [`Refusal`] when the event is larger than a Secret can be.
pub(super) fn secret(
    binding: &FileBinding,
    launch: &Launch,
    text: &str,
    payload: &str,
) -> Result<Value, Refusal> {
    if text.len() > LARGEST_SECRET {
        let message = format!(
            "has {} bytes, and bind.file takes {LARGEST_SECRET}: a Secret holds no more",
            text.len()
        );
        return Err(Refusal::new("body", message));
    }
    let mut data = Map::new();
    data.insert(name_of(binding).to_owned(), STANDARD.encode(text).into());
    Ok(of(launch, &Value::Object(data), payload))
}

/// The Secret of this Job with this `data`.
pub(in crate::launch) fn of(launch: &Launch, data: &Value, payload: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": *launch.id.name,
            "namespace": *launch.id.namespace,
            "labels": labels(launch),
            "annotations": {
                OCCURRENCE_ANNOTATION: launch.occurrence,
                PAYLOAD_ANNOTATION: payload,
            },
            "ownerReferences": launch.manifest["metadata"]["ownerReferences"],
        },
        "immutable": true,
        "type": "Opaque",
        "data": data,
    })
}

/// The labels that find the Job find its Secret.
fn labels(launch: &Launch) -> Value {
    let job = &launch.manifest["metadata"]["labels"];
    let found = [EVENT_JOB_LABEL, MANAGED_BY_LABEL];
    let labels = found.map(|name| (name.to_owned(), job[name].clone()));
    Value::Object(labels.into_iter().collect())
}

/// Mounts the Secret in every container, as the one file: what else is in its folder stays visible.
pub(super) fn mount(binding: &FileBinding, pod: &mut Map<String, Value>, secret: &str) {
    let volume = volume_name(pod);
    for container in containers(pod) {
        let mounts = list_in(container, "volumeMounts");
        mounts.push(json!({
            "name": volume,
            "mountPath": binding.path,
            "subPath": name_of(binding),
            "readOnly": true,
        }));
    }
    list_in(pod, "volumes").push(json!({"name": volume, "secret": {"secretName": secret}}));
}

fn volume_name(pod: &Map<String, Value>) -> String {
    let own = pod.get("volumes").and_then(Value::as_array);
    let is_taken =
        |name: &str| own.is_some_and(|own| own.iter().any(|volume| volume["name"] == name));
    let mut name = VOLUME.to_owned();
    while is_taken(&name) {
        name.push_str("-x");
    }
    name
}

/// The file's name in its folder.
fn name_of(binding: &FileBinding) -> &str {
    let path = binding.path.as_str();
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn list_in<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let list = parent.entry(key).or_insert(Value::Null);
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut().expect("made a list just now")
}
