//! What is known of a Pod, in memory and in `pod.json`.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::launch::job::name;
use crate::local::rules::{Phase, PodFacts};
use crate::local::view::PodEnd;
use crate::resource::ObjectId;

/// A Pod, as it is kept in memory and, once it has started, in `pod.json`.
#[derive(Debug, Clone)]
pub(in crate::local) struct Pod {
    pub(in crate::local) name: String,
    pub(in crate::local) uid: String,
    /// Counts the Pods of a Job, from 0.
    pub(in crate::local) sequence: u64,
    pub(in crate::local) index: Option<u32>,
    pub(in crate::local) phase: Phase,
    /// It is being stopped, and will count for nothing.
    pub(in crate::local) stopping: bool,
    pub(in crate::local) started_at: Option<Timestamp>,
    pub(in crate::local) finished_at: Option<Timestamp>,
    /// Says so.
    pub(in crate::local) stop: CancellationToken,
}

impl Pod {
    /// A Pod that has not started. Its name follows from the Job and its number.
    pub(in crate::local) fn new(
        job: &ObjectId,
        job_uid: &str,
        sequence: u64,
        index: Option<u32>,
    ) -> Self {
        let number = sequence.to_string();
        let letters = name::reserved("", &[job_uid, &number]).name;
        // As many as Kubernetes adds.
        let suffix = &letters[..5];
        let name = match index {
            Some(index) => format!("{}-{index}-{suffix}", job.name),
            None => format!("{}-{suffix}", job.name),
        };
        Self {
            name,
            uid: uid(&[job_uid, &number]),
            sequence,
            index,
            phase: Phase::Pending,
            stopping: false,
            started_at: None,
            finished_at: None,
            stop: CancellationToken::new(),
        }
    }

    /// What the rules look at.
    pub(in crate::local) fn facts(&self) -> PodFacts {
        PodFacts {
            index: self.index,
            phase: self.phase,
            finished_at: self.finished_at,
        }
    }

    /// The record, with how it ended.
    pub(in crate::local) fn to_json(&self, end: Option<&PodEnd>) -> Value {
        let mut record = json!({
            "name": self.name,
            "uid": self.uid,
            "sequence": self.sequence,
            "startedAt": self.started_at.map(|at| at.to_string()),
        });
        if let Some(index) = self.index {
            record["index"] = json!(index);
        }
        if self.stopping {
            record["stopping"] = json!(true);
        }
        if let Some(finished_at) = self.finished_at {
            record["finishedAt"] = json!(finished_at.to_string());
            record["phase"] = json!(match self.phase {
                Phase::Succeeded => "Succeeded",
                Phase::Removed => "Removed",
                Phase::Failed | Phase::Pending | Phase::Running => "Failed",
            });
        }
        if let Some(PodEnd::Failed {
            exit_code,
            reason,
            message,
        }) = end
        {
            record["reason"] = json!(reason);
            record["message"] = json!(message);
            record["exitCode"] = json!(exit_code);
        }
        record
    }

    /// Reads a record; `None` for text of another form.
    pub(in crate::local) fn parse(record: &Value) -> Option<Self> {
        let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let finished_at: Option<Timestamp> = time(&record["finishedAt"]);
        let phase = match (finished_at, record["phase"].as_str()) {
            (None, _) => Phase::Running,
            (Some(_), Some("Succeeded")) => Phase::Succeeded,
            (Some(_), Some("Removed")) => Phase::Removed,
            (Some(_), _) => Phase::Failed,
        };
        let stopping = record["stopping"] == true;
        let stop = CancellationToken::new();
        if stopping {
            stop.cancel();
        }
        Some(Self {
            name: record["name"].as_str()?.to_owned(),
            uid: record["uid"].as_str()?.to_owned(),
            sequence: record["sequence"].as_u64()?,
            index: match &record["index"] {
                Value::Null => None,
                index => Some(u32::try_from(index.as_u64()?).ok()?),
            },
            phase,
            stopping,
            started_at: time(&record["startedAt"]),
            finished_at,
            stop,
        })
    }
}

/// The hash of these parts, as a UID is written.
pub(in crate::local) fn uid(parts: &[&str]) -> String {
    let hash = name::hash_of(parts);
    let (one, two, three) = (&hash[..8], &hash[8..12], &hash[12..16]);
    format!("{one}-{two}-{three}-{}-{}", &hash[16..20], &hash[20..32])
}
