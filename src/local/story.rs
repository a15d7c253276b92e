//! A Job and its Pods as they lie in the state folder, in the words of `batch/v1` and `v1`.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::store::{read_json, visible};
use super::{Local, blocking, unavailable};
use crate::launch::Error;
use crate::resource::ObjectId;

/// Pods of a Job that are read.
const MOST_PODS: usize = 50;

impl Local {
    /// Its state folder.
    pub fn state(&self) -> &Path {
        self.shared.store.root()
    }

    /// A Job with its status, and its Pods; `None` when there is no such Job.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the folder cannot be read.
    pub async fn story(&self, id: &ObjectId) -> Result<Option<(Value, Vec<Value>)>, Error> {
        let folder = self.shared.store.folder(id);
        let object = format!("Job {id}");
        blocking("the state folder", move || {
            read(&folder).map_err(|error| unavailable(&object, &error))
        })
        .await
    }
}

fn read(folder: &Path) -> io::Result<Option<(Value, Vec<Value>)>> {
    let Some(mut job) = read_json(&folder.join("job.json"))? else {
        return Ok(None);
    };
    job["status"] = read_json(&folder.join("status.json"))?.unwrap_or_default();
    let mut pods = Vec::new();
    let folder = folder.join("pods");
    let names = match visible(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    for name in names.iter().take(MOST_PODS) {
        let path = folder.join(name).join("pod.json");
        let Some(record) = read_json(&path)? else {
            continue;
        };
        let made = fs::metadata(folder.join(name))
            .and_then(|folder| folder.created())
            .ok();
        let made = made.and_then(|made| jiff::Timestamp::try_from(made).ok());
        pods.push(pod(&record, made));
    }
    Ok(Some((job, pods)))
}

/// A Pod's record as a Pod's status.
fn pod(record: &Value, made: Option<jiff::Timestamp>) -> Value {
    let is_over = record["finishedAt"].is_string();
    let phase = match (is_over, record["phase"].as_str()) {
        (false, _) => "Running",
        (true, Some("Succeeded")) => "Succeeded",
        (true, _) => "Failed",
    };
    let state = if is_over {
        let exit_code = match phase {
            "Succeeded" => json!(0),
            _ => record["exitCode"].clone(),
        };
        json!({"terminated": {
            "startedAt": record["startedAt"], "finishedAt": record["finishedAt"],
            "exitCode": exit_code, "reason": record["reason"],
        }})
    } else {
        json!({"running": {"startedAt": record["startedAt"]}})
    };
    json!({
        "metadata": {"name": record["name"], "creationTimestamp": made.map(|made| made.to_string())},
        "status": {
            "phase": phase, "reason": record["reason"], "message": record["message"],
            "containerStatuses": [{"state": state}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_a_pod() {
        let record = json!({
            "name": "x-1", "startedAt": "2026-11-30T10:00:00Z", "finishedAt": "2026-11-30T10:00:09Z",
            "phase": "Failed", "exitCode": 3, "reason": "Error",
        });
        let pod = pod(&record, None);
        assert_eq!(pod["status"]["phase"], "Failed");
        let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(
            (&terminated["exitCode"], &terminated["reason"]),
            (&json!(3), &json!("Error"))
        );
    }
}
