//! From Jobs to counts: which are unfinished, and which of those are pending.
//!
//! Source: KEDA, `getRunningJobCount` and `getPendingJobCount` in
//! `pkg/scaling/executor/scale_jobs.go`. A Job list that cannot be had is the
//! launcher's error; it never gets here as an empty list.

use super::{JobState, PodState};
use crate::scaling::JobCounts;

/// Counts the Jobs of one object.
///
/// Unfinished is every Job without an outcome: suspended ones, those being
/// deleted, and reserved names not seen yet. Pending are those of them without a
/// Pod that is at work; a Job whose Pods were not asked for is therefore pending.
pub fn counts(jobs: &[JobState], pending_pod_conditions: &[String]) -> JobCounts {
    let mut counts = JobCounts::default();
    for job in jobs.iter().filter(|job| job.outcome.is_none()) {
        counts.unfinished = counts.unfinished.saturating_add(1);
        let at_work = job
            .pods
            .iter()
            .any(|pod| is_at_work(pod, pending_pod_conditions));
        if !at_work {
            counts.pending = counts.pending.saturating_add(1);
        }
    }
    counts
}

/// Without conditions the phase tells. With conditions they alone do, and one Pod must
/// have all of them; a condition written twice is never met, as in KEDA, which compares numbers.
fn is_at_work(pod: &PodState, pending_pod_conditions: &[String]) -> bool {
    if pending_pod_conditions.is_empty() {
        return matches!(pod.phase.as_str(), "Running" | "Succeeded");
    }
    let met = pod
        .true_conditions
        .iter()
        .filter(|condition| pending_pod_conditions.contains(condition))
        .count();
    met == pending_pod_conditions.len()
}
