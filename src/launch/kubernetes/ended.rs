//! Whether a Job has ended, by its conditions.

use jiff::Timestamp;
use serde::Deserialize;

use crate::launch::{self, JobOutcome};

/// One of `status.conditions` of a Job.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Timestamp>,
    #[serde(default)]
    reason: String,
}

/// The end of a Job.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobEnd {
    pub(super) outcome: JobOutcome,
    /// When it was said.
    pub(super) said_at: Option<Timestamp>,
    /// From [`launch::END_REASONS`].
    pub(super) reason: &'static str,
}

/// How a Job ended; `None` while it is unfinished.
pub(super) fn ended(conditions: &[Condition]) -> Option<JobEnd> {
    conditions.iter().find_map(|condition| {
        let outcome = match condition.kind.as_str() {
            "Complete" => JobOutcome::Complete,
            "Failed" => JobOutcome::Failed,
            _ => return None,
        };
        (condition.status == "True").then(|| JobEnd {
            outcome,
            said_at: condition.last_transition_time,
            reason: launch::end_reason(&condition.reason),
        })
    })
}
