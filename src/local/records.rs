//! What a state folder says to those who only read it, whether a process runs on it or not.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::store::{OBJECTS, SCHEDULES, read_json, record_file, visible};
use crate::resource::ObjectId;

/// Every Job of the folder, with its status, as `batch/v1` has them.
///
/// # Errors
///
/// The folder, or a Job in it, cannot be read.
pub fn jobs(state: &Path) -> io::Result<Vec<Value>> {
    let mut jobs = Vec::new();
    for namespace in folders(state)? {
        for folder in folders(&namespace)? {
            jobs.extend(in_folder(&folder)?);
        }
    }
    Ok(jobs)
}

/// The objects of the files that were run in this folder last, by kind and name, each with what was said of it as its status
/// would say it; an empty one where nothing was. `None` when nobody wrote that down.
///
/// # Errors
///
/// It cannot be read.
pub fn objects(state: &Path) -> io::Result<Option<BTreeMap<(String, ObjectId), Value>>> {
    let Some(written) = read_json(&state.join(OBJECTS))? else {
        return Ok(None);
    };
    let objects = written.as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |object: &Value| {
        let id = ObjectId::new(text(&object["namespace"]), text(&object["name"]));
        let status = object["status"].as_object().cloned();
        (
            (text(&object["kind"]), id),
            status.unwrap_or_default().into(),
        )
    };
    Ok(Some(objects.map(of).collect()))
}

/// How far the schedule of an EventJob has come, as its status would say it; `null` when nothing is known.
///
/// # Errors
///
/// It cannot be read.
pub fn schedule(state: &Path, event_job: &ObjectId) -> io::Result<Value> {
    Ok(read_json(&record_file(state, SCHEDULES, event_job))?.unwrap_or_default())
}

/// The log of a Job's newest Pod: of this container, or of its first. `None` when there is none.
///
/// # Errors
///
/// The folder cannot be read.
pub fn log(
    state: &Path,
    namespace: &str,
    name: &str,
    container: Option<&str>,
) -> io::Result<Option<PathBuf>> {
    let pods = state.join(namespace).join(name).join("pods");
    let mut newest = None;
    for pod in folders(&pods)? {
        let began = fs::metadata(pod.join("pod.json")).and_then(|pod| pod.modified())?;
        if newest.as_ref().is_none_or(|(before, _)| *before <= began) {
            newest = Some((began, pod));
        }
    }
    let Some((_, pod)) = newest else {
        return Ok(None);
    };
    let named = container.map(|container| pod.join(format!("{container}.log")));
    // The first container's is `log`.
    let logs = named.into_iter().chain([pod.join("log")]);
    Ok(logs.into_iter().find(|log| log.is_file()))
}

/// What is written of a Job's Pods, the oldest first.
///
/// # Errors
///
/// The folder cannot be read.
pub fn pods(state: &Path, namespace: &str, name: &str) -> io::Result<Vec<Value>> {
    let mut pods = Vec::new();
    for folder in folders(&state.join(namespace).join(name).join("pods"))? {
        pods.extend(read_json(&folder.join("pod.json"))?);
    }
    pods.sort_by_key(|pod: &Value| pod["sequence"].as_u64());
    Ok(pods)
}

/// Whether a Job has ended, or is gone.
///
/// # Errors
///
/// The folder cannot be read.
pub fn is_over(state: &Path, namespace: &str, name: &str) -> io::Result<bool> {
    let Some(job) = job(state, namespace, name)? else {
        return Ok(true);
    };
    Ok(end(&job).is_some())
}

/// The condition that says how a `batch/v1` Job has ended; `None` while it has not.
pub fn end(job: &Value) -> Option<&Value> {
    let mut conditions = job["status"]["conditions"].as_array()?.iter();
    conditions.find(|condition| {
        let kind = &condition["type"];
        condition["status"] == "True" && (kind == "Complete" || kind == "Failed")
    })
}

/// A Job of the folder, with its status; `None` when there is none of that name.
///
/// # Errors
///
/// It cannot be read.
pub fn job(state: &Path, namespace: &str, name: &str) -> io::Result<Option<Value>> {
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    if !is_name(namespace) || !is_name(name) {
        return Ok(None);
    }
    in_folder(&state.join(namespace).join(name))
}

/// `None` when it went meanwhile.
fn in_folder(folder: &Path) -> io::Result<Option<Value>> {
    let Some(mut job) = read_json(&folder.join("job.json"))? else {
        return Ok(None);
    };
    job["status"] = read_json(&folder.join("status.json"))?.unwrap_or_default();
    Ok(Some(job))
}

/// The visible folders in one; none when it is not there.
fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    match visible(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => Ok(names?.iter().map(|name| path.join(name)).collect()),
    }
}
