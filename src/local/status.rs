//! A Job's `status`, as `batch/v1` has it: its conditions are what is remembered
//! between two runs of this program, its counts are told from the Pods.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::launch::JobOutcome;

use super::rules::{self, Decided, Ending, JobRules, Phase, PodFacts};

/// What is remembered of a Job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct JobConditions {
    /// `startTime`.
    pub(super) started_at: Option<Timestamp>,
    conditions: Vec<JobCondition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct JobCondition {
    kind: String,
    holds: bool,
    reason: String,
    message: String,
    since: Timestamp,
}

impl Ending {
    /// The conditions' reason.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::CompletionsReached => "CompletionsReached",
            Self::BackoffLimitExceeded => "BackoffLimitExceeded",
            Self::DeadlineExceeded => "DeadlineExceeded",
        }
    }

    pub(super) fn outcome(self) -> JobOutcome {
        match self {
            Self::CompletionsReached => JobOutcome::Complete,
            Self::BackoffLimitExceeded | Self::DeadlineExceeded => JobOutcome::Failed,
        }
    }

    /// Kubernetes' words.
    fn message(self) -> &'static str {
        match self {
            Self::CompletionsReached => "Reached expected number of succeeded pods",
            Self::BackoffLimitExceeded => "Job has reached the specified backoff limit",
            Self::DeadlineExceeded => "Job was active longer than specified deadline",
        }
    }

    fn from_reason(reason: &str) -> Option<Self> {
        [
            Self::CompletionsReached,
            Self::BackoffLimitExceeded,
            Self::DeadlineExceeded,
        ]
        .into_iter()
        .find(|ending| ending.reason() == reason)
    }
}

impl JobConditions {
    /// Reads what [`JobConditions::to_json`] wrote; what it does not know is left out.
    pub(super) fn parse(status: &Value) -> Self {
        let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let conditions = status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|condition| {
                Some(JobCondition {
                    kind: text(&condition["type"]),
                    holds: condition["status"] == "True",
                    reason: text(&condition["reason"]),
                    message: text(&condition["message"]),
                    since: time(&condition["lastTransitionTime"])?,
                })
            })
            .collect();
        Self {
            started_at: time(&status["startTime"]),
            conditions,
        }
    }

    /// What the rules ask of it.
    pub(super) fn standing(&self) -> Decided {
        let decided = ["SuccessCriteriaMet", "FailureTarget"]
            .iter()
            .find_map(|kind| self.holding(kind));
        Decided {
            started_at: self.started_at,
            ending: decided.and_then(|condition| Ending::from_reason(&condition.reason)),
        }
    }

    /// How and when it finished.
    pub(super) fn finished(&self) -> Option<(Ending, Timestamp)> {
        let condition = self
            .holding("Complete")
            .or_else(|| self.holding("Failed"))?;
        Some((Ending::from_reason(&condition.reason)?, condition.since))
    }

    /// The end is decided; Pods may still run.
    pub(super) fn decide(&mut self, ending: Ending, now: Timestamp) {
        let kind = match ending.outcome() {
            JobOutcome::Complete => "SuccessCriteriaMet",
            JobOutcome::Failed => "FailureTarget",
        };
        self.set(kind, true, ending.reason(), ending.message(), now);
    }

    /// No Pod runs any more.
    pub(super) fn finish(&mut self, ending: Ending, now: Timestamp) {
        let kind = match ending.outcome() {
            JobOutcome::Complete => "Complete",
            JobOutcome::Failed => "Failed",
        };
        self.set(kind, true, ending.reason(), ending.message(), now);
    }

    /// Brings `startTime` and the condition Suspended in line with `spec.suspend`.
    pub(super) fn follow(&mut self, suspend: bool, now: Timestamp) {
        if suspend {
            self.started_at = None;
            self.set("Suspended", true, "JobSuspended", "Job suspended", now);
        } else {
            self.started_at = self.started_at.or(Some(now));
            if self.holding("Suspended").is_some() {
                self.set("Suspended", false, "JobResumed", "Job resumed", now);
            }
        }
    }

    fn holding(&self, kind: &str) -> Option<&JobCondition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind && condition.holds)
    }

    fn set(&mut self, kind: &str, holds: bool, reason: &str, message: &str, now: Timestamp) {
        if let Some(condition) = self
            .conditions
            .iter()
            .find(|condition| condition.kind == kind)
            && condition.holds == holds
        {
            return;
        }
        self.conditions.retain(|condition| condition.kind != kind);
        self.conditions.push(JobCondition {
            kind: kind.to_owned(),
            holds,
            reason: reason.to_owned(),
            message: message.to_owned(),
            since: now,
        });
    }

    /// The whole status.
    pub(super) fn to_json(&self, rules: &JobRules, pods: &[PodFacts]) -> Value {
        let live = pods.iter().filter(|pod| pod.phase.is_live()).count();
        let mut status = json!({
            "active": live,
            "ready": rules::count(pods, Phase::Running),
            "succeeded": rules::succeeded(rules, pods),
            "failed": rules::count(pods, Phase::Failed),
        });
        if let Some(start) = self.started_at {
            status["startTime"] = json!(start.to_string());
        }
        if rules.indexed {
            status["completedIndexes"] = json!(ranges(&rules::completed_indexes(pods)));
        }
        if let Some((Ending::CompletionsReached, at)) = self.finished() {
            status["completionTime"] = json!(at.to_string());
        }
        let conditions: Vec<Value> = self
            .conditions
            .iter()
            .map(|condition| {
                json!({
                    "type": condition.kind,
                    "status": if condition.holds { "True" } else { "False" },
                    "reason": condition.reason,
                    "message": condition.message,
                    "lastTransitionTime": condition.since.to_string(),
                })
            })
            .collect();
        if !conditions.is_empty() {
            status["conditions"] = json!(conditions);
        }
        status
    }
}

/// Indexes as Kubernetes writes them: `1,3-5,7`; two in a row are `3,4`.
fn ranges(indexes: &BTreeSet<u32>) -> String {
    let mut text = String::new();
    let mut rest = indexes.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if(|next| *next == last + 1) {
            last = next;
        }
        if !text.is_empty() {
            text.push(',');
        }
        let written = match last - first {
            0 => write!(text, "{first}"),
            1 => write!(text, "{first},{last}"),
            _ => write!(text, "{first}-{last}"),
        };
        written.expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completed_indexes_are_written_as_kubernetes_writes_them() {
        let cases: [(&[u32], &str); 4] = [
            (&[], ""),
            (&[0], "0"),
            (&[0, 1, 3], "0,1,3"),
            (&[1, 3, 4, 5, 7], "1,3-5,7"),
        ];
        for (indexes, expected) in cases {
            assert_eq!(ranges(&indexes.iter().copied().collect()), expected);
        }
    }

    #[test]
    fn what_is_written_is_remembered() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let mut memory = JobConditions::default();
        memory.follow(true, now);
        assert_eq!(memory.standing().started_at, None);
        memory.follow(false, now);
        memory.decide(Ending::DeadlineExceeded, now);
        let rules = JobRules {
            completions: Some(1),
            parallelism: 1,
            indexed: true,
            backoff_limit: 0,
            active_deadline: None,
            suspend: false,
            ttl: None,
        };
        let again = JobConditions::parse(&memory.to_json(&rules, &[]));
        assert_eq!(again, memory);
        assert_eq!(again.standing().ending, Some(Ending::DeadlineExceeded));
        assert_eq!(again.finished(), None);
        memory.finish(Ending::DeadlineExceeded, now);
        assert_eq!(
            JobConditions::parse(&memory.to_json(&rules, &[])).finished(),
            Some((Ending::DeadlineExceeded, now))
        );
    }
}
