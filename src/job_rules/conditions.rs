//! What a Job remembers beside its Pods: when it started, and its conditions.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Why a Job ends: reasons of the conditions Complete and Failed.
///
/// Source: Kubernetes, `batch/v1`, `JobReason…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// As many Pods succeeded as were asked for.
    CompletionsReached,
    /// A rule of `successPolicy` is met.
    SuccessPolicy,
    /// More Pods failed than `backoffLimit`, or containers were restarted as often.
    BackoffLimitExceeded,
    /// It ran longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// A Pod met a `FailJob` rule of `podFailurePolicy`.
    PodFailurePolicy,
    /// Every index has ended, and at least one failed.
    FailedIndexes,
    /// More indexes failed than `maxFailedIndexes`.
    MaxFailedIndexesExceeded,
}

const CAUSES: [EndCause; 7] = [
    EndCause::CompletionsReached,
    EndCause::SuccessPolicy,
    EndCause::BackoffLimitExceeded,
    EndCause::DeadlineExceeded,
    EndCause::PodFailurePolicy,
    EndCause::FailedIndexes,
    EndCause::MaxFailedIndexesExceeded,
];

impl EndCause {
    /// The conditions' reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::CompletionsReached => "CompletionsReached",
            Self::SuccessPolicy => "SuccessPolicy",
            Self::BackoffLimitExceeded => "BackoffLimitExceeded",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::PodFailurePolicy => "PodFailurePolicy",
            Self::FailedIndexes => "FailedIndexes",
            Self::MaxFailedIndexesExceeded => "MaxFailedIndexesExceeded",
        }
    }

    /// Has the Job done what it was for?
    pub fn is_success(self) -> bool {
        matches!(self, Self::CompletionsReached | Self::SuccessPolicy)
    }

    /// Kubernetes' words; policies have words of their own for each case.
    fn message(self) -> &'static str {
        match self {
            Self::CompletionsReached => "Reached expected number of succeeded pods",
            Self::BackoffLimitExceeded => "Job has reached the specified backoff limit",
            Self::DeadlineExceeded => "Job was active longer than specified deadline",
            Self::FailedIndexes => "Job has failed indexes",
            Self::MaxFailedIndexesExceeded => {
                "Job has exceeded the specified maximal number of failed indexes"
            }
            Self::SuccessPolicy | Self::PodFailurePolicy => "",
        }
    }
}

/// How a Job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub cause: EndCause,
    /// In the Job controller's words.
    pub message: String,
}

impl Ending {
    pub(super) fn of(cause: EndCause) -> Self {
        Self {
            cause,
            message: cause.message().to_owned(),
        }
    }
}

/// What is remembered of a Job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobConditions {
    /// `startTime`; `None` while suspended.
    pub started_at: Option<Timestamp>,
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

impl JobConditions {
    /// Reads them from a status; what is not known there is left out.
    pub fn parse(status: &Value) -> Self {
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

    /// The end that was decided, while the last Pods are being stopped, and later.
    pub fn decided(&self) -> Option<Ending> {
        let decided = self
            .holding("SuccessCriteriaMet")
            .or_else(|| self.holding("FailureTarget"))?;
        decided.ending()
    }

    /// How and when it finished.
    pub fn finished(&self) -> Option<(Ending, Timestamp)> {
        let condition = self
            .holding("Complete")
            .or_else(|| self.holding("Failed"))?;
        Some((condition.ending()?, condition.since))
    }

    /// Sets `startTime` of a Job that has none and may run.
    pub(super) fn start(&mut self, suspend: bool, now: Timestamp) {
        if !suspend {
            self.started_at = self.started_at.or(Some(now));
        }
    }

    /// The end is decided; Pods may still run.
    pub(super) fn decide(&mut self, ending: &Ending, now: Timestamp) {
        let kind = if ending.cause.is_success() {
            "SuccessCriteriaMet"
        } else {
            "FailureTarget"
        };
        self.set(kind, true, ending.cause.reason(), &ending.message, now);
    }

    /// No Pod runs any more.
    pub(super) fn finish(&mut self, ending: &Ending, now: Timestamp) {
        let kind = if ending.cause.is_success() {
            "Complete"
        } else {
            "Failed"
        };
        self.set(kind, true, ending.cause.reason(), &ending.message, now);
    }

    /// Brings the condition Suspended in line with `suspend`, and `startTime` with it: a suspended Job has none.
    pub(super) fn follow(&mut self, suspend: bool, now: Timestamp) {
        if suspend {
            if self.set("Suspended", true, "JobSuspended", "Job suspended", now) {
                self.started_at = None;
            }
        } else if self.conditions.iter().any(|one| one.kind == "Suspended")
            && self.set("Suspended", false, "JobResumed", "Job resumed", now)
        {
            self.started_at = Some(now);
        }
    }

    fn holding(&self, kind: &str) -> Option<&JobCondition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind && condition.holds)
    }

    /// Sets a condition where it stands, or as the last. Whether that changed it.
    fn set(
        &mut self,
        kind: &str,
        holds: bool,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> bool {
        let new = JobCondition {
            kind: kind.to_owned(),
            holds,
            reason: reason.to_owned(),
            message: message.to_owned(),
            since: now,
        };
        let mut conditions = self.conditions.iter_mut();
        match conditions.find(|condition| condition.kind == kind) {
            Some(there) if there.holds == holds => false,
            Some(there) => {
                *there = new;
                true
            }
            None => {
                self.conditions.push(new);
                true
            }
        }
    }

    /// Writes them into a status.
    pub(super) fn write(&self, status: &mut Value) {
        if let Some(start) = self.started_at {
            status["startTime"] = json!(start.to_string());
        }
        if let Some((ending, at)) = self.finished()
            && ending.cause.is_success()
        {
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
    }
}

impl JobCondition {
    fn ending(&self) -> Option<Ending> {
        let cause = CAUSES
            .into_iter()
            .find(|cause| cause.reason() == self.reason)?;
        Some(Ending {
            cause,
            message: self.message.clone(),
        })
    }
}
