//! The Jobs that Slipway made, and what they wrote: in a cluster, or in a state folder.

use std::io::{Read as _, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use serde_json::Value;

use crate::app::connect;
use crate::app::target::{OpenPlace, Where, state_folder};
use crate::cluster::{Call, Cluster};
use crate::launch::attempt::{ATTEMPT_ANNOTATION, FIRST_OCCURRENCE_ANNOTATION};
use crate::launch::delivered::{
    CRON_JOB_LABEL, EVENT_JOB_LABEL, GATE_ANNOTATION, Gate, SCHEDULED_ANNOTATION,
};
use crate::launch::job::spec::MANAGED_BY_LABEL;
use crate::launch::kubernetes::list;
use crate::launch::{OCCURRENCE_ANNOTATION, SCALED_JOB_LABEL};
use crate::local::records;

/// Jobs that are listed at most: beyond it, ask for one namespace.
const MOST_JOBS: usize = 20_000;
/// How often a log that is followed is looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(300);

/// A Job, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `EventJob/NAME`, `ScaledJob/NAME`; empty for one of the files.
    pub owner: String,
    /// `Complete`, `Failed`, `Removing`, `Suspended`, `Running` or `Pending`.
    pub status: &'static str,
    /// Why it ended, from its condition; empty while it has not.
    pub reason: String,
    /// Which attempt of its event or due time it is; 1 and up.
    pub attempt: u32,
    /// What tells its event or due time from others; empty for a Job of none.
    pub first_occurrence: String,
    /// The due time of its schedule.
    pub due: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl JobRow {
    /// Of a `batch/v1` Job.
    pub fn of(job: &Value) -> Self {
        let metadata = &job["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let owner = &metadata["ownerReferences"][0];
        let status = &job["status"];
        let end = records::end(job);
        let annotation = |name: &str| metadata["annotations"][name].as_str();
        let first = annotation(FIRST_OCCURRENCE_ANNOTATION);
        let first = first.or_else(|| annotation(OCCURRENCE_ANNOTATION));
        let is_going = annotation(GATE_ANNOTATION) == Some(Gate::Dropped.name());
        Self {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            owner: match owner["kind"].as_str() {
                Some(kind) => format!("{kind}/{}", text(&owner["name"])),
                None => of_label(&metadata["labels"]),
            },
            attempt: annotation(ATTEMPT_ANNOTATION)
                .and_then(|attempt| attempt.parse().ok())
                .unwrap_or(1),
            first_occurrence: first.unwrap_or_default().to_owned(),
            status: match end {
                _ if is_going || metadata["deletionTimestamp"].is_string() => "Removing",
                Some(end) if end["type"] == "Complete" => "Complete",
                Some(_) => "Failed",
                None if job["spec"]["suspend"] == true => "Suspended",
                None if status["active"].as_u64().unwrap_or_default() > 0 => "Running",
                None => "Pending",
            },
            reason: end.map(|end| text(&end["reason"])).unwrap_or_default(),
            due: annotation(SCHEDULED_ANNOTATION).map(str::to_owned),
            created_at: time(&metadata["creationTimestamp"]),
            ended_at: end.and_then(|end| {
                time(&status["completionTime"]).or_else(|| time(&end["lastTransitionTime"]))
            }),
        }
    }
}

/// What a Job belongs to whose owner reference somebody has taken off.
fn of_label(labels: &Value) -> String {
    let owners = [
        ("EventJob", EVENT_JOB_LABEL),
        ("CronJob", CRON_JOB_LABEL),
        ("ScaledJob", SCALED_JOB_LABEL),
    ];
    let mut owners = owners.into_iter();
    let owner = owners.find_map(|(kind, label)| Some((kind, labels[label].as_str()?)));
    owner.map_or_else(String::new, |(kind, name)| format!("{kind}/{name}"))
}

/// The Jobs there are, the newest last. `namespace`: of one; `None` for the kubeconfig's own, or for all of a state folder.
///
/// # Errors
///
/// They cannot be read.
pub async fn jobs(
    place: &Where,
    namespace: Option<&str>,
    all: bool,
) -> anyhow::Result<Vec<JobRow>> {
    let jobs = written_jobs(place, namespace, all).await?;
    let mut rows: Vec<_> = jobs.iter().map(JobRow::of).collect();
    if let (Where::Local(_), Some(namespace)) = (place, namespace) {
        rows.retain(|row| row.namespace == namespace);
    }
    rows.sort_by(|one, other| (one.created_at, &one.name).cmp(&(other.created_at, &other.name)));
    Ok(rows)
}

/// The Jobs there are, whole, in no order; those of a state folder of every namespace.
pub(super) async fn written_jobs(
    place: &Where,
    namespace: Option<&str>,
    all: bool,
) -> anyhow::Result<Vec<Value>> {
    match place {
        Where::Cluster(target) => {
            let (cluster, own) = connect(target).await?;
            let namespace = namespace.unwrap_or(&own);
            in_cluster(&cluster, (!all).then_some(namespace)).await
        }
        Where::Local(state) => {
            let jobs = records::jobs(state_folder(state)?);
            jobs.with_context(|| format!("the state folder {}", state.display()))
        }
    }
}

async fn in_cluster(cluster: &Cluster, namespace: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let path = match namespace {
        Some(namespace) => format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
        None => "/apis/batch/v1/jobs".to_owned(),
    };
    let call = Call::get(path).query("labelSelector", format!("{MANAGED_BY_LABEL}=slipway"));
    let mut jobs = Vec::new();
    let mut next = None;
    loop {
        let (page, more) =
            list::page::<Value>(cluster, call.clone(), "the list of Jobs", next).await?;
        jobs.extend(page);
        next = more;
        if next.is_none() {
            return Ok(jobs);
        }
        if jobs.len() >= MOST_JOBS {
            bail!("there are more than {MOST_JOBS} Jobs: ask for one namespace with -n");
        }
    }
}

/// Whose log is wanted.
#[derive(Debug, Clone, Copy)]
pub struct WantedLog<'a> {
    /// The Job.
    pub job: &'a str,
    /// One of several containers; `None` for the first.
    pub container: Option<&'a str>,
    /// Go on until the Job ends.
    pub follow: bool,
}

/// Writes what the last Pod of a Job wrote.
///
/// # Errors
///
/// There is no such Job, it has no Pod yet, or its log cannot be read.
pub async fn logs(
    place: &Where,
    namespace: Option<&str>,
    wanted: WantedLog<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let place = OpenPlace::open_at(place, namespace, wanted.job).await?;
    match &place {
        OpenPlace::Cluster(cluster, namespace) => of_pod(cluster, namespace, wanted, out).await,
        OpenPlace::Local(state, namespace) => {
            if place.job(wanted.job).await?.is_none() {
                return Err(place.lacks(wanted.job));
            }
            of_process(state, namespace, wanted, out).await
        }
    }
}

async fn of_pod(
    cluster: &Cluster,
    namespace: &str,
    wanted: WantedLog<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let job = wanted.job;
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let selector = format!("batch.kubernetes.io/job-name={job}");
    let answer = cluster
        .send(Call::get(path).query("labelSelector", selector))
        .await?;
    if !answer.is_success() {
        bail!("the Pods of job {job} cannot be listed: {}", answer.words());
    }
    let pods: Value = answer.json()?;
    let pods = pods["items"].as_array().into_iter().flatten();
    let newest = pods.max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str());
    let Some(pod) = newest.and_then(|pod| pod["metadata"]["name"].as_str()) else {
        bail!(
            "job {job} has no Pod in namespace {namespace}: it waits, is gone, or never was; see `slipway jobs`"
        );
    };
    let pods: Api<Pod> = Api::namespaced(cluster.client().clone(), namespace);
    let parameters = LogParams {
        follow: wanted.follow,
        container: wanted.container.map(str::to_owned),
        ..LogParams::default()
    };
    let log = pods.log_stream(pod, &parameters).await;
    let mut log = log.with_context(|| format!("the log of Pod {pod}"))?;
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = futures::AsyncReadExt::read(&mut log, &mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        out.write_all(&bytes[..count])?;
        out.flush()?;
    }
}

async fn of_process(
    state: &Path,
    namespace: &str,
    wanted: WantedLog<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let job = wanted.job;
    let found = records::log(state, namespace, job, wanted.container);
    let Some(path) = found.with_context(|| format!("the state folder {}", state.display()))? else {
        bail!("job {job} in namespace {namespace} has no log: none of its containers has started");
    };
    let mut log = std::fs::File::open(&path)?;
    let mut bytes = vec![0; 64 << 10];
    loop {
        let is_over = !wanted.follow || records::is_over(state, namespace, job)?;
        loop {
            let count = log.read(&mut bytes)?;
            if count == 0 {
                break;
            }
            out.write_all(&bytes[..count])?;
        }
        out.flush()?;
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
