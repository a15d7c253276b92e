//! How far schedules have come, in the statuses of their EventJobs, and of CronJobs that were taken over in place.
//!
//! Of a CronJob's status `lastScheduleTime` alone is ours to write, and only while it is handed over to us. What became of
//! requests stands in an annotation beside it: the one write says both, because a CronJob's status may be written together
//! with its annotations.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{event_job_path, new_version, unavailable, unreadable};
use crate::cluster::{Budget, Call, Cluster};
use crate::launch::Error;
use crate::launch::schedule_record::ScheduleRecord;
use crate::resource::cron_job;
use crate::resource::event_job::EventJob;
use crate::resource::requests::{ANSWERS_ANNOTATION, answers_of, answers_to_json};

/// Thousands of schedules may be due at one instant: a call waits for its place rather than failing, which would only be
/// repeated. It may take as long once it is sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// By a consistent read: one without a `resourceVersion`.
pub(super) async fn read(cluster: &Cluster, event_job: &EventJob) -> Result<ScheduleRecord, Error> {
    let object = object(event_job);
    let value = get(cluster, event_job).await?;
    let version = value["metadata"]["resourceVersion"].as_str();
    let version = version.unwrap_or_default();
    let mut status = value["status"].clone();
    if event_job.cron_job.is_some() {
        status = json!({
            "lastScheduleTime": status["lastScheduleTime"],
            "requests": answers_to_json(&answers_of(&value)),
        });
    }
    ScheduleRecord::parse(&object, version, &status)
}

/// A Job in the list of active ones that kube-controller-manager keeps of its own, of a CronJob that forbids two at once.
pub(super) async fn busy(cluster: &Cluster, event_job: &EventJob) -> Result<Option<String>, Error> {
    if !event_job.cron_job.is_some_and(|cron_job| cron_job.forbids) {
        return Ok(None);
    }
    let value = get(cluster, event_job).await?;
    let active = value["status"]["active"][0]["name"].as_str();
    Ok(active.map(str::to_owned))
}

async fn get(cluster: &Cluster, event_job: &EventJob) -> Result<Value, Error> {
    let object = object(event_job);
    let cluster = cluster.clone().with(Budget::Launches);
    let call = Call::get(path(event_job)).within(PATIENCE).from_sending();
    let answer = cluster.send(call).await;
    let answer = answer.map_err(|error| unavailable(&object, &error))?;
    match answer.status {
        200..300 => {}
        404 => return Err(Error::Gone { object }),
        _ => return Err(unreadable(&object, &answer)),
    }
    let value: Value = answer
        .json()
        .map_err(|error| unavailable(&object, &error))?;
    if value["metadata"]["uid"] != event_job.uid {
        return Err(Error::Gone { object });
    }
    // Given back meanwhile: kube-controller-manager decides about its due times.
    if event_job.cron_job.is_some() && !cron_job::is_handed_over(&value) {
        return Err(Error::Gone { object });
    }
    Ok(value)
}

/// Based on the version that the record was read with.
pub(super) async fn write(
    cluster: &Cluster,
    event_job: &EventJob,
    record: &ScheduleRecord,
) -> Result<String, Error> {
    let object = object(event_job);
    let cluster = cluster.clone().with(Budget::Launches);
    let mut status = record.to_status();
    let mut metadata = json!({"uid": event_job.uid, "resourceVersion": record.version});
    if event_job.cron_job.is_some() {
        status.retain(|field, _| field == "lastScheduleTime" && record.last.is_some());
        if !record.answers.is_empty() {
            let answers = answers_to_json(&record.answers).to_string();
            metadata["annotations"] = json!({ ANSWERS_ANNOTATION: answers });
        } else if status.is_empty() {
            return Ok(record.version.clone());
        }
    }
    let patch = json!({"metadata": metadata, "status": status});
    let status = format!("{}/status", path(event_job));
    let call = Call::merge_patch(status, patch)
        .within(PATIENCE)
        .from_sending();
    new_version(&cluster, &object, call).await
}

fn object(event_job: &EventJob) -> String {
    match event_job.cron_job {
        Some(_) => format!("CronJob {}", event_job.id),
        None => format!("EventJob {}", event_job.id),
    }
}

fn path(event_job: &EventJob) -> String {
    let id = &event_job.id;
    match event_job.cron_job {
        Some(_) => format!(
            "/apis/batch/v1/namespaces/{}/cronjobs/{}",
            id.namespace, id.name
        ),
        None => event_job_path(id),
    }
}
