//! Asks for another attempt of Jobs that failed, and waits for the answers: in a cluster, or on a state folder.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::change::change;
use crate::app::clock;
use crate::app::jobs::{JobRow, written_jobs};
use crate::app::requests::RequestOutcome;
use crate::app::target::{OpenPlace, Where, job_path};
use crate::cluster::Cluster;
use crate::launch::attempt::{RERUN_ANNOTATION, RerunRequest};
use crate::launch::delivered::{CRON_JOB_LABEL, EVENT_JOB_LABEL};
use crate::local;
use crate::local::asked::JobWish;
use crate::resource::ObjectId;

/// How often an answer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Somebody else may write the Job at the same time.
const TRIES: usize = 10;

/// Which failed Jobs are to run again.
#[derive(Debug, Clone, Copy)]
pub struct WantedReruns {
    /// Those that failed since then.
    pub since: Timestamp,
    /// How many are asked for at once: the next when one is answered.
    pub at_once: usize,
    /// How long each may take.
    pub patience: Duration,
}

/// What many reruns came to.
#[derive(Debug, Default)]
pub struct RerunSummary {
    /// Jobs that have their next attempt.
    pub done: usize,
    /// Jobs that have none.
    pub failed: usize,
    /// Failed Jobs of ScaledJobs, which were left out.
    pub counted: usize,
}

/// Asks for the next attempt of one Job, and waits for the answer no longer than `patience`.
///
/// # Errors
///
/// There is no such Job, it may not run again, or nobody answers.
pub async fn rerun(
    place: &Where,
    namespace: Option<&str>,
    name: &str,
    patience: Duration,
) -> anyhow::Result<RequestOutcome> {
    let place = OpenPlace::open_at(place, namespace, name).await?;
    rerun_in(&place, name, patience).await
}

/// Asks for the next attempts of all Jobs that failed since a moment, a few at a time; `told` hears of each.
///
/// # Errors
///
/// The Jobs cannot be read.
pub async fn rerun_failed(
    place: &Where,
    namespace: Option<&str>,
    wanted: WantedReruns,
    mut told: impl FnMut(&str, &anyhow::Result<RequestOutcome>) -> std::io::Result<()>,
) -> anyhow::Result<RerunSummary> {
    let open = OpenPlace::open(place, namespace).await?;
    let rows = written_jobs(place, Some(open.namespace()), false).await?;
    let rows: Vec<_> = rows.iter().map(JobRow::of).collect();
    let mut newest: BTreeMap<&str, u32> = BTreeMap::new();
    for row in &rows {
        let attempt = newest.entry(&row.first_occurrence).or_default();
        *attempt = row.attempt.max(*attempt);
    }
    let mut summary = RerunSummary::default();
    let mut names = Vec::new();
    for row in &rows {
        let is_wanted = row.status == "Failed" && row.ended_at.is_some_and(|at| at >= wanted.since);
        if !is_wanted || row.namespace != open.namespace() {
            continue;
        }
        if row.owner.starts_with("ScaledJob/") {
            summary.counted += 1;
        } else if (row.owner.starts_with("EventJob/") || row.owner.starts_with("CronJob/"))
            && newest.get(&*row.first_occurrence) == Some(&row.attempt)
        {
            names.push(row.name.clone());
        }
    }
    let reruns = names.iter().map(|name| async {
        let answered = rerun_in(&open, name, wanted.patience).await;
        (name.as_str(), answered)
    });
    let reruns: Vec<_> = reruns.collect();
    let mut answers = futures::stream::iter(reruns).buffer_unordered(wanted.at_once.max(1));
    while let Some((name, answered)) = answers.next().await {
        match &answered {
            Ok(outcome) if outcome.is_done => summary.done += 1,
            _ => summary.failed += 1,
        }
        told(name, &answered)?;
    }
    Ok(summary)
}

/// The same, in a place that is open.
///
/// # Errors
///
/// As of [`rerun`].
pub(in crate::app) async fn rerun_in(
    place: &OpenPlace,
    name: &str,
    patience: Duration,
) -> anyhow::Result<RequestOutcome> {
    let asked = ask(place, name).await?;
    let deadline = Instant::now() + patience;
    loop {
        let Some(job) = place.job(name).await? else {
            bail!("job {name} went before anybody answered");
        };
        let answer = request(&job).filter(|request| request.asked == asked && !request.is_open());
        if let Some(answer) = answer {
            return Ok(RequestOutcome {
                is_done: answer.result.as_deref() == Some("Done"),
                message: answer.message.unwrap_or_default(),
                job: answer.job,
            });
        }
        if Instant::now() >= deadline {
            let seconds = patience.as_secs();
            bail!(
                "job {name} was asked to run again, and {} did not answer within {seconds} s; it stays asked for",
                place.who_answers()
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Asks, or joins whoever has. Returns when it was asked: that tells the answer from others.
async fn ask(place: &OpenPlace, name: &str) -> anyhow::Result<Timestamp> {
    for _ in 0..TRIES {
        let Some(job) = place.job(name).await? else {
            return Err(place.lacks(name));
        };
        check(&job)?;
        if let Some(open) = request(&job).filter(RerunRequest::is_open) {
            return Ok(open.asked);
        }
        let wish = RerunRequest::new(clock());
        match place {
            OpenPlace::Local(state, namespace) => {
                if !local::requests::is_running(state)? {
                    bail!(
                        "no `slipway local` runs on the state folder {}: start it, or name its folder with --state",
                        state.display()
                    );
                }
                let id = ObjectId::new(namespace, name);
                // Somebody else asks at this moment: it is looked at within a second.
                if local::asked::is_waiting(state, &id)? {
                    sleep(LOOK_EVERY).await;
                    continue;
                }
                let asked = wish.asked;
                local::asked::ask(state, &id, &JobWish::Rerun(wish))
                    .with_context(|| format!("the state folder {}", state.display()))?;
                return Ok(asked);
            }
            OpenPlace::Cluster(cluster, namespace) => {
                if annotate(cluster, &ObjectId::new(namespace, name), &job, &wish).await? {
                    return Ok(wish.asked);
                }
            }
        }
    }
    bail!("job {name} is changed by others all the time: try again")
}

/// Adds the annotation; false when somebody else wrote in between.
async fn annotate(
    cluster: &Cluster,
    id: &ObjectId,
    job: &Value,
    wish: &RerunRequest,
) -> anyhow::Result<bool> {
    let asked = json!({"metadata": {"annotations": {RERUN_ANNOTATION: wish.to_text()}}});
    let path = job_path(&id.namespace, &id.name);
    change(cluster, path, &format!("job {id}"), job, asked).await
}

fn request(job: &Value) -> Option<RerunRequest> {
    let text = job["metadata"]["annotations"][RERUN_ANNOTATION].as_str()?;
    RerunRequest::parse(text)
}

/// Whether a Job can run again, as far as it says so itself. The leader looks again.
fn check(job: &Value) -> anyhow::Result<()> {
    let row = JobRow::of(job);
    let name = &row.name;
    if row.owner.starts_with("ScaledJob/") {
        bail!(
            "job {name} is one of {}, which counts messages and does not know which was its own: send the message again",
            row.owner
        );
    }
    let labels = &job["metadata"]["labels"];
    if labels[EVENT_JOB_LABEL].is_null() && labels[CRON_JOB_LABEL].is_null() {
        bail!("job {name} is none of an EventJob: only those run again");
    }
    if row.status != "Failed" {
        bail!(
            "job {name} has not failed, its status is {}: only a Job that failed runs again",
            row.status
        );
    }
    Ok(())
}
