//! Removes Jobs that Slipway made: in a cluster, or in a state folder.
//!
//! A Job of an event or of a due time is stopped at once, and stays until it would not be made again: until its key has
//! been in the ledger for the grace, or its schedule past it for as long. Whoever leads deletes it then.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::change::change;
use crate::app::clock;
use crate::app::jobs::JobRow;
use crate::app::target::{OpenPlace, Where, job_path};
use crate::cluster::{Call, Cluster};
use crate::launch::OCCURRENCE_ANNOTATION;
use crate::launch::delivered::{
    CRON_JOB_LABEL, EVENT_JOB_LABEL, GATE_ANNOTATION, Gate, REMOVED_ANNOTATION,
};
use crate::launch::job::spec::MANAGED_BY_LABEL;
use crate::launch::round::LATEST_CREATE;
use crate::local;
use crate::local::asked::JobWish;
use crate::resource::ObjectId;

/// How often it is looked whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A `slipway local` looks at wishes twice a second.
const PATIENCE: Duration = Duration::from_secs(15);
/// Somebody else may write the Job at the same time.
const TRIES: usize = 10;

/// Removes a Job, or sees to it that it goes; says which.
///
/// # Errors
///
/// There is no such Job, it is not Slipway's, or it may not go yet.
pub async fn remove(place: &Where, namespace: Option<&str>, name: &str) -> anyhow::Result<String> {
    let place = OpenPlace::open_at(place, namespace, name).await?;
    for _ in 0..TRIES {
        let Some(job) = place.job(name).await? else {
            return Err(place.lacks(name));
        };
        let removed = match &place {
            OpenPlace::Cluster(cluster, _) => in_cluster(cluster, &job).await?,
            OpenPlace::Local(_, namespace) => {
                let id = ObjectId::new(namespace, name);
                in_folder(&place, &id, &job).await.map(Some)?
            }
        };
        if let Some(done) = removed {
            return Ok(done);
        }
    }
    bail!("job {name} is changed by others all the time: try again")
}

/// `None` when somebody else wrote in between.
async fn in_cluster(cluster: &Cluster, job: &Value) -> anyhow::Result<Option<String>> {
    let row = JobRow::of(job);
    let metadata = &job["metadata"];
    if metadata["labels"][MANAGED_BY_LABEL] != "slipway" {
        bail!(
            "job {name} was not made by Slipway: `kubectl delete job {name}`",
            name = row.name
        );
    }
    let path = job_path(&row.namespace, &row.name);
    let what = format!("job {}/{}", row.namespace, row.name);
    if is_of_event(job) {
        let marks = json!({
            GATE_ANNOTATION: Gate::Dropped.name(),
            REMOVED_ANNOTATION: format!("{:.3}", clock()),
        });
        let mut dropped = json!({"metadata": {"annotations": marks}});
        if row.ended_at.is_none() {
            dropped["spec"] = json!({"suspend": true});
        }
        let is_changed = change(cluster, path, &what, job, dropped).await?;
        return Ok(is_changed.then(|| told(job, &row)));
    }
    check_age(&row)?;
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background",
        "preconditions": {"uid": metadata["uid"]},
    });
    let answer = cluster.send(Call::delete(path, options)).await?;
    match answer.status {
        409 => Ok(None),
        _ if answer.is_success() => Ok(Some(told(job, &row))),
        _ => bail!("{what}: {}", answer.words()),
    }
}

/// A create of a Job of a round may be applied late, and would make it again.
fn check_age(row: &JobRow) -> anyhow::Result<()> {
    let Some(created_at) = row.created_at else {
        return Ok(());
    };
    let least = SignedDuration::try_from(LATEST_CREATE).unwrap_or(SignedDuration::MAX);
    let left = least.saturating_sub(clock().duration_since(created_at));
    if left.is_positive() {
        bail!(
            "job {} of {} was made a moment ago, and could be made again: try again in {} s",
            row.name,
            row.owner,
            left.as_secs() + 1
        );
    }
    Ok(())
}

async fn in_folder(place: &OpenPlace, id: &ObjectId, job: &Value) -> anyhow::Result<String> {
    let OpenPlace::Local(state, _) = place else {
        bail!("{id} is in a cluster");
    };
    let shown = || format!("the state folder {}", state.display());
    let done = told(job, &JobRow::of(job));
    local::asked::ask(state, id, &JobWish::Remove).with_context(shown)?;
    if !local::requests::is_running(state).with_context(shown)? {
        let until = "once a `slipway local` runs on this folder again";
        return Ok(format!("it was asked for; {until}: {done}"));
    }
    let deadline = Instant::now() + PATIENCE;
    while local::asked::is_waiting(state, id).with_context(shown)? {
        if Instant::now() >= deadline {
            bail!(
                "job {id} was asked to go, and {} did not answer",
                place.who_answers()
            );
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(done)
}

/// What happens to it, in words.
fn told(job: &Value, row: &JobRow) -> String {
    if !is_of_event(job) {
        return "it is removed".to_owned();
    }
    let stopped = match row.ended_at {
        Some(_) => "it has ended",
        None => "it is stopped",
    };
    format!(
        "{stopped}, and goes when nothing would make it again: --ledger-grace after it was made, or later"
    )
}

fn is_of_event(job: &Value) -> bool {
    let metadata = &job["metadata"];
    let labels = &metadata["labels"];
    (labels[EVENT_JOB_LABEL].is_string() || labels[CRON_JOB_LABEL].is_string())
        && metadata["annotations"][OCCURRENCE_ANNOTATION].is_string()
}
