//! What is known of a Pod, in memory and in `pod.json`.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::job_rules::{
    ContainerExit, IndexFailures, NewPod, Phase, PodCondition, PodFacts, Stopped,
};
use crate::launch::job::name;
use crate::local::view::PodEnd;
use crate::resource::ObjectId;

/// A Pod, as it is kept in memory and, once it has started, in `pod.json`.
#[derive(Debug, Clone)]
pub(in crate::local) struct Pod {
    /// What the rules look at.
    pub(in crate::local) facts: PodFacts,
    pub(in crate::local) uid: String,
    /// Counts the Pods of a Job, from 0.
    pub(in crate::local) sequence: u64,
    pub(in crate::local) started_at: Option<Timestamp>,
    /// Its processes are told to end.
    pub(in crate::local) stop: CancellationToken,
}

impl Pod {
    /// A Pod that has not started. Its name follows from the Job and its number.
    pub(in crate::local) fn new(job: &ObjectId, job_uid: &str, sequence: u64, new: NewPod) -> Self {
        let number = sequence.to_string();
        let letters = name::reserved("", &[job_uid, &number]).name;
        // As many as Kubernetes adds.
        let suffix = &letters[..5];
        let name = match new.index {
            Some(index) => format!("{}-{index}-{suffix}", job.name),
            None => format!("{}-{suffix}", job.name),
        };
        Self {
            facts: PodFacts::new(name, new),
            uid: uid(&[job_uid, &number]),
            sequence,
            started_at: None,
            stop: CancellationToken::new(),
        }
    }

    /// The record, with how it ended.
    pub(in crate::local) fn to_json(&self, end: Option<&PodEnd>) -> Value {
        let facts = &self.facts;
        let mut record = json!({
            "name": facts.name,
            "uid": self.uid,
            "sequence": self.sequence,
            "startedAt": self.started_at.map(|at| at.to_string()),
        });
        if let Some(index) = facts.index {
            record["index"] = json!(index);
        }
        if facts.before != IndexFailures::default() {
            let IndexFailures { counted, ignored } = facts.before;
            record["failuresBefore"] = json!({"counted": counted, "ignored": ignored});
        }
        if let Some(stopped) = facts.stopped {
            record["stopped"] = json!(match stopped {
                Stopped::Counted => "Counted",
                Stopped::Uncounted => "Uncounted",
            });
        }
        if let Some(finished_at) = facts.finished_at {
            record["finishedAt"] = json!(finished_at.to_string());
            record["phase"] = json!(match facts.phase {
                Phase::Succeeded => "Succeeded",
                Phase::Removed => "Removed",
                Phase::Failed | Phase::Pending | Phase::Running => "Failed",
            });
            record["exits"] = facts.exits.iter().map(exit_to_json).collect();
        }
        if facts.restarts > 0 {
            record["restarts"] = json!(facts.restarts);
        }
        if !facts.conditions.is_empty() {
            let condition = |one: &PodCondition| json!({"type": one.kind, "status": one.status});
            record["conditions"] = facts.conditions.iter().map(condition).collect();
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
        let number = |value: &Value| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.unwrap_or(0)
        };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let finished_at: Option<Timestamp> = time(&record["finishedAt"]);
        let phase = match (finished_at, record["phase"].as_str()) {
            (None, _) => Phase::Running,
            (Some(_), Some("Succeeded")) => Phase::Succeeded,
            (Some(_), Some("Removed")) => Phase::Removed,
            (Some(_), _) => Phase::Failed,
        };
        let stopped = match record["stopped"].as_str() {
            Some("Counted") => Some(Stopped::Counted),
            Some(_) => Some(Stopped::Uncounted),
            // As an earlier release wrote it.
            None => (record["stopping"] == true).then_some(Stopped::Uncounted),
        };
        let stop = CancellationToken::new();
        if stopped.is_some() {
            stop.cancel();
        }
        let before = &record["failuresBefore"];
        Some(Self {
            facts: PodFacts {
                name: record["name"].as_str()?.to_owned(),
                index: match &record["index"] {
                    Value::Null => None,
                    index => Some(u32::try_from(index.as_u64()?).ok()?),
                },
                phase,
                is_ready: false,
                stopped,
                finished_at,
                restarts: number(&record["restarts"]),
                exits: list(&record["exits"]).iter().filter_map(exit_of).collect(),
                conditions: list(&record["conditions"])
                    .iter()
                    .filter_map(condition_of)
                    .collect(),
                before: IndexFailures {
                    counted: number(&before["counted"]),
                    ignored: number(&before["ignored"]),
                },
            },
            uid: record["uid"].as_str()?.to_owned(),
            sequence: record["sequence"].as_u64()?,
            started_at: time(&record["startedAt"]),
            stop,
        })
    }
}

fn exit_to_json(exit: &ContainerExit) -> Value {
    json!({"container": exit.container, "init": exit.is_init, "exitCode": exit.code})
}

fn exit_of(record: &Value) -> Option<ContainerExit> {
    Some(ContainerExit {
        container: record["container"].as_str()?.to_owned(),
        is_init: record["init"] == true,
        code: i32::try_from(record["exitCode"].as_i64()?).ok()?,
    })
}

fn condition_of(record: &Value) -> Option<PodCondition> {
    Some(PodCondition {
        kind: record["type"].as_str()?.to_owned(),
        status: record["status"].as_str()?.to_owned(),
    })
}

/// The hash of these parts, as a UID is written.
pub(in crate::local) fn uid(parts: &[&str]) -> String {
    let hash = name::hash_of(parts);
    let (one, two, three) = (&hash[..8], &hash[8..12], &hash[12..16]);
    format!("{one}-{two}-{three}-{}-{}", &hash[16..20], &hash[20..32])
}
