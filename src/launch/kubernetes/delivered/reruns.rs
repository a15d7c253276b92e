//! Failed Jobs that are to run again, read whole, and what became of that, in an annotation.

use serde_json::{Value, json};

use super::super::{job_path, new_version, unavailable, unreadable};
use super::READ;
use crate::cluster::{Budget, Call, Cluster};
use crate::launch::attempt::{self, FailedJob, RERUN_ANNOTATION, RerunRequest};
use crate::launch::ports::DeliveredJob;
use crate::launch::{Error, OCCURRENCE_ANNOTATION};

/// By consistent reads of the Job, and of the Secret with its event.
pub(super) async fn read(cluster: &Cluster, job: &DeliveredJob) -> Result<FailedJob, Error> {
    let object = format!("job {}", job.id);
    let manifest = get(cluster, &object, job_path(&job.id)).await?;
    let manifest = manifest.filter(|manifest| manifest["metadata"]["uid"] == job.uid);
    let Some(manifest) = manifest else {
        return Err(Error::Gone { object });
    };
    let file = if attempt::has_file(&manifest) {
        Some(event(cluster, job, &manifest).await?)
    } else {
        None
    };
    let version = manifest["metadata"]["resourceVersion"].as_str();
    Ok(FailedJob {
        version: version.unwrap_or_default().to_owned(),
        manifest,
        file,
    })
}

/// The data of the Secret with a Job's name.
async fn event(cluster: &Cluster, job: &DeliveredJob, manifest: &Value) -> Result<Value, Error> {
    let object = format!("secret {}", job.id);
    let path = format!(
        "/api/v1/namespaces/{}/secrets/{}",
        job.id.namespace, job.id.name
    );
    let secret = get(cluster, &object, path).await?;
    let occurrence =
        |object: &Value| object["metadata"]["annotations"][OCCURRENCE_ANNOTATION].clone();
    match secret {
        Some(secret) if occurrence(&secret) == occurrence(manifest) => Ok(secret["data"].clone()),
        _ => Err(Error::Rejected {
            object,
            detail: "the Secret with its event is gone".to_owned(),
        }),
    }
}

async fn get(cluster: &Cluster, object: &str, path: String) -> Result<Option<Value>, Error> {
    let cluster = cluster.clone().with(Budget::Launches);
    let answer = cluster.send(Call::get(path).within(READ)).await;
    let answer = answer.map_err(|error| unavailable(object, &error))?;
    match answer.status {
        404 => Ok(None),
        200..300 => answer
            .json()
            .map(Some)
            .map_err(|error| unavailable(object, &error)),
        _ => Err(unreadable(object, &answer)),
    }
}

/// Based on the version that was read. Returns the new one.
pub(super) async fn write(
    cluster: &Cluster,
    job: &DeliveredJob,
    version: &str,
    request: &RerunRequest,
) -> Result<String, Error> {
    let object = format!("job {}", job.id);
    let patch = json!({"metadata": {
        "uid": job.uid, "resourceVersion": version,
        "annotations": {RERUN_ANNOTATION: request.to_text()},
    }});
    let cluster = cluster.clone().with(Budget::Launches);
    let call = Call::merge_patch(job_path(&job.id), patch).within(READ);
    new_version(&cluster, &object, call).await
}
