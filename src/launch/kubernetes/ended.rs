//! Whether a Job has ended, by its conditions.

use jiff::Timestamp;
use serde::Deserialize;

use crate::launch::JobOutcome;

/// One of `status.conditions` of a Job.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Timestamp>,
}

/// How a Job ended, and when it was said so; `None` while it is unfinished.
pub(super) fn ended(conditions: &[Condition]) -> Option<(JobOutcome, Option<Timestamp>)> {
    conditions.iter().find_map(|condition| {
        let outcome = match condition.kind.as_str() {
            "Complete" => JobOutcome::Complete,
            "Failed" => JobOutcome::Failed,
            _ => return None,
        };
        (condition.status == "True").then_some((outcome, condition.last_transition_time))
    })
}
