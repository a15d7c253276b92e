//! A Job in memory: what its folder says, and what has happened since.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::job_rules::{EndCause, JobConditions, Phase, PodFacts, Tally};
use crate::launch::{JobOutcome, KEDA_SCALED_JOB_LABEL, SCALED_JOB_LABEL};
use crate::resource::ObjectId;

use super::delivered::EventOfJob;
use super::pod::Pod;
use super::spec::JobSpec;
use super::store::{self, Stored};
use super::view::{JobPhase, JobView};

/// A Job in memory.
pub(super) struct LocalJob {
    pub(super) job: Arc<Value>,
    pub(super) spec: Arc<JobSpec>,
    pub(super) uid: String,
    pub(super) created_at: Timestamp,
    pub(super) memory: JobConditions,
    /// How it finished, once that is on disk.
    pub(super) finished: Option<(EndCause, Timestamp)>,
    /// By sequence, rising.
    pub(super) pods: Vec<Pod>,
    /// The status last written.
    pub(super) written: Value,
    /// Look at it again.
    pub(super) poke: Arc<Notify>,
    /// It was removed.
    pub(super) gone: CancellationToken,
    pub(super) driven: bool,
    /// The event that it was made for.
    pub(super) delivered: Option<EventOfJob>,
}

impl LocalJob {
    /// A Job as it lies in its folder, with its Pods.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is not what this program writes.
    pub(super) fn restore(stored: Stored, folder: &Path) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let spec = JobSpec::parse(&stored.job).map_err(|fault| invalid(fault.to_string()))?;
        let metadata = &stored.job["metadata"];
        let created_at = metadata["creationTimestamp"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("metadata.creationTimestamp is not a time".to_owned()))?;
        let uid = metadata["uid"].as_str().unwrap_or_default().to_owned();
        let mut pods = Vec::new();
        match std::fs::read_dir(folder.join("pods")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries? {
                    // Without a record, nothing of it was started.
                    let record = store::read_json(&entry?.path().join("pod.json"))?;
                    pods.extend(record.as_ref().and_then(Pod::parse));
                }
            }
        }
        pods.sort_by_key(|pod| pod.sequence);
        let memory = JobConditions::parse(&stored.status);
        Ok(Self {
            spec: Arc::new(spec),
            uid,
            created_at,
            finished: memory.finished().map(|(ending, at)| (ending.cause, at)),
            memory,
            pods,
            written: stored.status,
            delivered: EventOfJob::parse(&stored.job, created_at),
            job: Arc::new(stored.job),
            poke: Arc::new(Notify::new()),
            gone: CancellationToken::new(),
            driven: false,
        })
    }

    /// The Pod of this number.
    pub(super) fn pod(&mut self, sequence: u64) -> Option<&mut Pod> {
        let position = self
            .pods
            .binary_search_by_key(&sequence, |pod| pod.sequence)
            .ok()?;
        self.pods.get_mut(position)
    }

    /// What the rules look at, in the order in which the Pods were made.
    pub(super) fn facts(&self) -> Vec<&PodFacts> {
        self.pods.iter().map(|pod| &pod.facts).collect()
    }

    /// The ScaledJob that it was made for, by its label.
    pub(super) fn scaled_job(&self) -> Option<ObjectId> {
        let metadata = &self.job["metadata"];
        let labels = &metadata["labels"];
        let name = labels[SCALED_JOB_LABEL]
            .as_str()
            .or_else(|| labels[KEDA_SCALED_JOB_LABEL].as_str())?;
        Some(ObjectId::new(
            metadata["namespace"].as_str().unwrap_or("default"),
            name,
        ))
    }

    /// Whether it is what a file without a name for it became.
    pub(super) fn is_made_of(&self, written: &Value) -> bool {
        let mut job = (*self.job).clone();
        if let Some(metadata) = job["metadata"].as_object_mut() {
            for added in ["name", "uid", "creationTimestamp"] {
                metadata.shift_remove(added);
            }
        }
        let mut written = written.clone();
        written["metadata"]["namespace"] = job["metadata"]["namespace"].clone();
        job == written
    }

    /// Whether it was made for an event of this EventJob.
    pub(super) fn is_of(&self, event_job: &ObjectId) -> bool {
        let delivered = self.delivered.as_ref();
        delivered.is_some_and(|delivered| delivered.event_job == *event_job)
    }

    /// What has become of it, in words that follow "it".
    pub(super) fn told(&self, now: Timestamp, folder: &Path) -> String {
        let log = self
            .log(folder)
            .map_or_else(String::new, |log| format!(" (log {})", log.display()));
        match self.finished {
            Some((cause, at)) => {
                let how = match outcome(cause) {
                    JobOutcome::Complete => "succeeded",
                    JobOutcome::Failed => "failed",
                };
                let seconds = now.duration_since(at).as_secs().max(0);
                format!(
                    "{how} {:#} ago{log}",
                    jiff::SignedDuration::from_secs(seconds)
                )
            }
            None if self.pods.iter().any(|pod| pod.facts.phase.is_live()) => {
                format!("is running{log}")
            }
            None => "waits to run".to_owned(),
        }
    }

    /// The log of the first container of its last failed Pod; of its last Pod when none failed.
    fn log(&self, folder: &Path) -> Option<PathBuf> {
        let started = || {
            self.pods
                .iter()
                .rev()
                .filter(|pod| pod.started_at.is_some())
        };
        let failed = started().find(|pod| pod.facts.phase == Phase::Failed);
        let pod = failed.or_else(|| started().next())?;
        Some(folder.join("pods").join(&pod.facts.name).join("log"))
    }

    /// How it stands, for people. `folder`: where it lies.
    pub(super) fn view(&self, id: &ObjectId, folder: &Path) -> JobView {
        let count = |phase| {
            let pods = self.pods.iter().filter(|pod| pod.facts.phase == phase);
            pods.count()
        };
        let running = count(Phase::Running);
        let phase = match self.finished {
            Some((cause, _)) if cause.is_success() => JobPhase::Complete,
            Some(_) => JobPhase::Failed,
            None if running > 0 => JobPhase::Running,
            None if self.spec.rules.suspend => JobPhase::Suspended,
            None => JobPhase::Waiting,
        };
        let image = self.job.pointer("/spec/template/spec/containers/0/image");
        JobView {
            id: id.clone(),
            scaled_job: self.scaled_job(),
            event_job: self
                .delivered
                .as_ref()
                .map(|delivered| delivered.event_job.clone()),
            gate: self.delivered.as_ref().and_then(|delivered| delivered.gate),
            image: image.and_then(Value::as_str).unwrap_or_default().to_owned(),
            phase,
            completions: self.spec.rules.completions,
            running,
            pending: count(Phase::Pending),
            succeeded: count(Phase::Succeeded),
            failed: Tally::of(&self.spec.rules, &self.facts()).failed(),
            created_at: self.created_at,
            finished_at: self.finished.map(|(_, at)| at),
            reason: self.finished.map(|(cause, _)| cause.reason()),
            log: self.log(folder),
        }
    }

    /// Is there nothing left to do? A suspended Job has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.finished.is_some()
            || self.spec.rules.suspend && self.pods.iter().all(|pod| !pod.facts.phase.is_live())
    }
}

/// What a Job has come to, for those who launch Jobs.
pub(super) fn outcome(cause: EndCause) -> JobOutcome {
    if cause.is_success() {
        JobOutcome::Complete
    } else {
        JobOutcome::Failed
    }
}
