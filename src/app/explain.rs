//! What is known of an object, gathered: from a cluster, a state folder, a folder of records, and from replicas.

use std::path::PathBuf;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::Value;

use crate::app::history::LOCAL_FOLDER;
use crate::app::target::{Where, state_folder};
use crate::app::{clock, connect};
use crate::cluster::{Call, Cluster};
use crate::explain::{LeaseEvidence, ObjectEvidence, Tools, event_of};
use crate::history::{HistoryRecord, Subject, SubjectKind};
use crate::launch::delivered::{CRON_JOB_LABEL, EVENT_JOB_LABEL};
use crate::launch::job::name::label_value;
use crate::launch::job::spec::MANAGED_BY_LABEL;
use crate::launch::kubernetes::list;
use crate::launch::{KEDA_SCALED_JOB_LABEL, SCALED_JOB_LABEL};
use crate::resource::ObjectId;
use crate::shown::with_causes;

mod folders;
mod replica;

/// Jobs that are looked through at most for one event.
const MOST_JOBS: usize = 20_000;

/// What somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedAbout {
    /// An object.
    Object(SubjectKind, String),
    /// An event, by its id.
    Event(String),
    /// A Job.
    Job(String),
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Sources {
    /// A cluster or a state folder.
    pub place: Where,
    /// The namespace that was named.
    pub namespace: Option<String>,
    /// Admin addresses of replicas: `http://127.0.0.1:9091`.
    pub admin: Vec<String>,
    /// Folders of `--history`.
    pub folders: Vec<PathBuf>,
    /// How it was then.
    pub at: Option<Timestamp>,
}

/// Gathers what is known.
///
/// # Errors
///
/// There is nowhere to look: no cluster can be reached, and no replica and no folder was named.
pub async fn gather(asked: &AskedAbout, sources: &Sources) -> anyhow::Result<ObjectEvidence> {
    let mut gathering = Gathering::new(asked, sources);
    if matches!(asked, AskedAbout::Object(..)) {
        gathering.place(asked, sources).await?;
        gathering.told(asked, sources).await?;
    } else {
        // Records say in which namespace its Job is.
        gathering.told(asked, sources).await?;
        gathering.settle(sources);
        gathering.place(asked, sources).await?;
        gathering.pages_of_job(asked, sources).await;
    }
    gathering.concluded(asked)
}

struct Gathering {
    evidence: ObjectEvidence,
    /// How many places have answered.
    heard: usize,
    /// One of them knows the object, if only by its name.
    is_known: bool,
    /// Somebody named the namespace, or the records did.
    is_settled: bool,
}

impl Gathering {
    fn new(asked: &AskedAbout, sources: &Sources) -> Self {
        let (kind, name) = match asked {
            AskedAbout::Object(kind, name) => (*kind, name.as_str()),
            AskedAbout::Event(_) | AskedAbout::Job(_) => (SubjectKind::EventJob, ""),
        };
        let namespace = sources.namespace.as_deref().unwrap_or("default");
        let tools = match &sources.place {
            Where::Local(state) => Tools::Local(state.display().to_string()),
            Where::Cluster(_) => Tools::Kubectl,
        };
        Self {
            evidence: ObjectEvidence {
                subject: Subject {
                    kind,
                    id: ObjectId::new(namespace, name),
                },
                now: clock(),
                at: sources.at,
                tools,
                object: None,
                is_missing: false,
                is_unheard_of: false,
                events: Vec::new(),
                jobs: Vec::new(),
                pods: Vec::new(),
                are_jobs_known: false,
                page_steps: Vec::new(),
                shown_status: Value::Null,
                lease: LeaseEvidence::Unknown,
                records: Vec::new(),
                asked: Vec::new(),
            },
            heard: 0,
            is_known: false,
            is_settled: sources.namespace.is_some(),
        }
    }

    /// What was gathered, and what it means that some of it was not.
    fn concluded(mut self, asked: &AskedAbout) -> anyhow::Result<ObjectEvidence> {
        let evidence = &mut self.evidence;
        if self.heard == 0 {
            bail!("nobody could be asked: {}", evidence.asked.join("; "));
        }
        let is_known = self.is_known
            || evidence.object.is_some()
            || !(evidence.records.is_empty() && evidence.jobs.is_empty());
        let is_object = matches!(asked, AskedAbout::Object(..));
        evidence.is_unheard_of = is_object && !is_known && !evidence.is_missing;
        Ok(self.evidence)
    }

    /// Asks the cluster, or the Jobs of a state folder.
    async fn place(&mut self, asked: &AskedAbout, sources: &Sources) -> anyhow::Result<()> {
        let target = match &sources.place {
            Where::Local(state) => return self.jobs_in_folder(asked, state),
            Where::Cluster(target) => target,
        };
        match connect(target).await {
            Ok((cluster, own)) => {
                if !self.is_settled {
                    self.set_namespace(&own);
                }
                match self.cluster(asked, &cluster).await {
                    Ok(()) => Ok(()),
                    Err(error) => self.failed("the cluster", &error, sources),
                }
            }
            Err(error) => self.failed("the cluster", &error, sources),
        }
    }

    /// What folders and replicas wrote down.
    async fn told(&mut self, asked: &AskedAbout, sources: &Sources) -> anyhow::Result<()> {
        if let Where::Local(state) = &sources.place {
            self.folder(&state_folder(state)?.join(LOCAL_FOLDER), asked)?;
        }
        for folder in &sources.folders {
            if !folder.exists() {
                bail!("there is no folder {}", folder.display());
            }
            self.folder(folder, asked)?;
        }
        for url in &sources.admin {
            self.replica(url, asked).await;
        }
        Ok(())
    }

    /// Looks for its Job where its records are, unless somebody named the namespace.
    fn settle(&mut self, sources: &Sources) {
        let newest = self.evidence.records.iter().max_by_key(|record| record.at);
        let newest = newest.map(|record| record.subject.id.namespace.to_string());
        if let (None, Some(namespace)) = (&sources.namespace, newest) {
            self.set_namespace(&namespace);
            self.is_settled = true;
        }
        let namespace = self.namespace();
        let records = &mut self.evidence.records;
        let is_here = |record: &HistoryRecord| *record.subject.id.namespace == *namespace;
        let elsewhere = records.iter().find(|record| !is_here(record));
        let note = elsewhere.map(|record| {
            let other = &record.subject.id.namespace;
            format!("namespace {other} has records of it too: -n {other}")
        });
        if self.is_settled {
            records.retain(is_here);
            self.evidence.asked.extend(note);
        }
    }

    fn set_namespace(&mut self, namespace: &str) {
        let id = &self.evidence.subject.id;
        self.evidence.subject.id = ObjectId::new(namespace, &id.name);
    }

    fn namespace(&self) -> String {
        self.evidence.subject.id.namespace.to_string()
    }

    /// A place that could not be asked: no more than a note where there are others.
    fn failed(
        &mut self,
        what: &str,
        error: &anyhow::Error,
        sources: &Sources,
    ) -> anyhow::Result<()> {
        if sources.admin.is_empty() && sources.folders.is_empty() {
            bail!("{}", with_causes(error.as_ref()));
        }
        self.evidence.asked.push(format!(
            "{what} was not asked: {}",
            with_causes(error.as_ref())
        ));
        Ok(())
    }

    async fn cluster(&mut self, asked: &AskedAbout, cluster: &Cluster) -> anyhow::Result<()> {
        let namespace = self.namespace();
        let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
        match asked {
            AskedAbout::Object(..) => {
                self.object(cluster).await?;
                let subject = &self.evidence.subject;
                let (label, value) = (label_of(subject.kind), label_value(&subject.id.name));
                let call = Call::get(jobs).query("labelSelector", format!("{label}={value}"));
                self.evidence.jobs = all(cluster, call, "the list of Jobs").await?;
                self.events(cluster).await;
                self.lease(cluster).await;
            }
            AskedAbout::Job(name) => {
                let answer = cluster.send(Call::get(format!("{jobs}/{name}"))).await?;
                match answer.status {
                    404 => {}
                    _ if answer.is_success() => self.evidence.jobs.push(answer.json()?),
                    _ => bail!("job {name}: {}", answer.words()),
                }
                self.pods(cluster).await?;
            }
            AskedAbout::Event(id) => {
                let call =
                    Call::get(jobs).query("labelSelector", format!("{MANAGED_BY_LABEL}=slipway"));
                let mut found = all(cluster, call, "the list of Jobs").await?;
                found.retain(|job| event_of(job) == Some(id));
                self.evidence.jobs = found;
                self.pods(cluster).await?;
            }
        }
        let asked = format!("the API server, namespace {namespace}");
        self.evidence.asked.push(asked);
        self.evidence.are_jobs_known = true;
        self.heard += 1;
        Ok(())
    }

    /// The object: the first of the kinds that it may be.
    async fn object(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        for kind in self.kinds().iter().copied() {
            let id = &self.evidence.subject.id;
            let (group, plural) = match kind {
                SubjectKind::ScaledJob => ("slipway.dev/v1alpha1", "scaledjobs"),
                SubjectKind::KedaScaledJob => ("keda.sh/v1alpha1", "scaledjobs"),
                SubjectKind::EventJob => ("slipway.dev/v1alpha1", "eventjobs"),
                SubjectKind::CronJob => ("batch/v1", "cronjobs"),
            };
            let path = format!(
                "/apis/{group}/namespaces/{}/{plural}/{}",
                id.namespace, id.name
            );
            let answer = cluster.send(Call::get(path)).await?;
            if answer.is_success() {
                self.evidence.object = Some(answer.json()?);
                self.evidence.subject.kind = kind;
                return Ok(());
            }
            if answer.status != 404 {
                bail!("{} {id}: {}", kind.name(), answer.words());
            }
        }
        self.evidence.is_missing = true;
        Ok(())
    }

    /// Kubernetes Events about the object. They may not be ours to read.
    async fn events(&mut self, cluster: &Cluster) {
        let id = &self.evidence.subject.id;
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", id.namespace);
        let selector = format!("regarding.name={}", id.name);
        let call = Call::get(path).query("fieldSelector", selector);
        match cluster.send(call.query("limit", "200")).await {
            Ok(answer) if answer.is_success() => {
                let events: Value = answer.json().unwrap_or_default();
                self.evidence.events = events["items"].as_array().cloned().unwrap_or_default();
            }
            Ok(answer) => {
                let note = format!("Kubernetes Events were not read: {}", answer.words());
                self.evidence.asked.push(note);
            }
            Err(error) => {
                let note = format!("Kubernetes Events were not read: {}", error.detail);
                self.evidence.asked.push(note);
            }
        }
    }

    /// Who leads: by the Lease in the object's namespace, else the newest of that name anywhere.
    async fn lease(&mut self, cluster: &Cluster) {
        const NAME: &str = "slipway";
        let namespace = self.namespace();
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{NAME}");
        let Ok(answer) = cluster.send(Call::get(path)).await else {
            return;
        };
        if answer.is_success() {
            let lease: Value = answer.json().unwrap_or_default();
            self.evidence.lease = lease_of(&lease);
            return;
        }
        let call = Call::get("/apis/coordination.k8s.io/v1/leases")
            .query("fieldSelector", format!("metadata.name={NAME}"));
        let Ok(answer) = cluster.send(call).await else {
            return;
        };
        if !answer.is_success() {
            return;
        }
        let leases: Value = answer.json().unwrap_or_default();
        let newest = leases["items"].as_array().into_iter().flatten();
        let newest = newest.max_by_key(|lease| lease["spec"]["renewTime"].as_str());
        self.evidence.lease = newest.map_or(LeaseEvidence::Absent, lease_of);
    }

    /// The Job whose Pods are looked at: the first attempt.
    fn followed(&self) -> Option<String> {
        let mut jobs: Vec<&Value> = self.evidence.jobs.iter().collect();
        jobs.sort_by_key(|job| job["metadata"]["creationTimestamp"].as_str());
        let name = jobs.first()?["metadata"]["name"].as_str()?;
        Some(name.to_owned())
    }

    async fn pods(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let Some(name) = self.followed() else {
            return Ok(());
        };
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace());
        let selector = format!("batch.kubernetes.io/job-name={name}");
        let call = Call::get(path).query("labelSelector", selector);
        let answer = cluster.send(call.query("limit", "100")).await?;
        if answer.is_success() {
            let pods: Value = answer.json()?;
            self.evidence.pods = pods["items"].as_array().cloned().unwrap_or_default();
        }
        Ok(())
    }
}

impl Gathering {
    /// What the object may be: what it is, once it was found.
    fn kinds(&self) -> &'static [SubjectKind] {
        let asked = kinds(self.evidence.subject.kind);
        match self.evidence.object {
            Some(_) => &asked[..1],
            None => asked,
        }
    }
}

/// What somebody may mean by a kind, the likelier first: one of KEDA's is asked for by the word for our own, and a CronJob that was
/// converted by the word it had.
fn kinds(asked: SubjectKind) -> &'static [SubjectKind] {
    match asked {
        SubjectKind::ScaledJob => &[SubjectKind::ScaledJob, SubjectKind::KedaScaledJob],
        SubjectKind::KedaScaledJob => &[SubjectKind::KedaScaledJob],
        SubjectKind::EventJob => &[SubjectKind::EventJob],
        SubjectKind::CronJob => &[SubjectKind::CronJob, SubjectKind::EventJob],
    }
}

async fn all(cluster: &Cluster, call: Call, what: &str) -> anyhow::Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut next = None;
    loop {
        let (page, more) = list::page::<Value>(cluster, call.clone(), what, next).await?;
        items.extend(page);
        next = more;
        if next.is_none() {
            return Ok(items);
        }
        if items.len() >= MOST_JOBS {
            bail!(
                "there are more than {MOST_JOBS} Jobs in this namespace: ask a replica with --admin"
            );
        }
    }
}

fn label_of(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::ScaledJob => SCALED_JOB_LABEL,
        SubjectKind::KedaScaledJob => KEDA_SCALED_JOB_LABEL,
        SubjectKind::EventJob => EVENT_JOB_LABEL,
        SubjectKind::CronJob => CRON_JOB_LABEL,
    }
}

fn lease_of(lease: &Value) -> LeaseEvidence {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &lease["spec"];
    LeaseEvidence::Found {
        namespace: text(&lease["metadata"]["namespace"]),
        holder: text(&spec["holderIdentity"]),
        renewed_at: spec["renewTime"].as_str().and_then(|at| at.parse().ok()),
        duration_seconds: spec["leaseDurationSeconds"].as_i64().unwrap_or(15),
    }
}
