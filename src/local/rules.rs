//! The Job controller's rules, as a pure function from what is known of a Job to
//! the next step. It knows no clock, file or process.
//!
//! Source: Kubernetes, `pkg/controller/job/job_controller.go` and the page "Jobs".

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

/// Longest pause after a failed Pod: ten minutes (`MaxJobPodFailureBackOff`).
const LONGEST_BACKOFF: Duration = Duration::from_mins(10);

/// What a Job asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobRules {
    /// `completions`; `None` is a work queue: done when one Pod succeeded and all have ended.
    pub(super) completions: Option<u32>,
    /// `parallelism`; 1 by default.
    pub(super) parallelism: u32,
    /// `completionMode: Indexed`.
    pub(super) indexed: bool,
    /// `backoffLimit`; 6 by default.
    pub(super) backoff_limit: u32,
    /// `activeDeadlineSeconds`.
    pub(super) active_deadline: Option<Duration>,
    /// `suspend`.
    pub(super) suspend: bool,
    /// `ttlSecondsAfterFinished`.
    pub(super) ttl: Option<Duration>,
}

/// Where a Pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Accepted, no process yet.
    Pending,
    /// Its processes run.
    Running,
    /// Every container exited with 0.
    Succeeded,
    /// A container failed, or was lost.
    Failed,
    /// Stopped because the Job was suspended or made narrower: counts for nothing.
    Removed,
}

impl Phase {
    /// Has it not ended yet?
    pub(super) fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// What the rules look at in a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PodFacts {
    /// Completion index of an Indexed Job.
    pub(super) index: Option<u32>,
    /// Where it stands.
    pub(super) phase: Phase,
    /// When it ended.
    pub(super) finished_at: Option<Timestamp>,
}

/// How a Job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As many Pods succeeded as were asked for.
    CompletionsReached,
    /// More Pods failed than `backoffLimit`.
    BackoffLimitExceeded,
    /// It ran longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
}

/// What was written down about the Job before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Decided {
    /// `status.startTime`; `None` while suspended.
    pub(super) started_at: Option<Timestamp>,
    /// The end that was decided, while its last Pods are being stopped.
    pub(super) ending: Option<Ending>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JobStep {
    /// Write this end down, stop every live Pod, and look again.
    Decide(Ending),
    /// Stop every live Pod; the decided end, or the suspension, waits for them.
    StopAll,
    /// No Pod is left: the Job is finished.
    Finish(Ending),
    /// Start and stop Pods, then wait for one of them to end, or for `wake`.
    Go {
        /// Pods to start, each with its index on an Indexed Job.
        start: Vec<Option<u32>>,
        /// Live Pods too many.
        excess: usize,
        /// When the rules would say something else with nothing having happened.
        wake: Option<Timestamp>,
    },
}

/// The next step of a Job.
pub(super) fn next(
    rules: &JobRules,
    pods: &[PodFacts],
    standing: Decided,
    now: Timestamp,
    backoff_base: Duration,
) -> JobStep {
    let live = pods.iter().filter(|pod| pod.phase.is_live()).count();
    if let Some(ending) = standing.ending {
        return if live == 0 {
            JobStep::Finish(ending)
        } else {
            JobStep::StopAll
        };
    }
    let succeeded = succeeded(rules, pods);
    // Work that is done is done, even when a deadline passed while nobody looked.
    let complete = match rules.completions {
        Some(completions) => succeeded >= to_usize(completions),
        None => succeeded > 0 && live == 0,
    };
    if complete {
        return JobStep::Decide(Ending::CompletionsReached);
    }
    let failed = count(pods, Phase::Failed);
    if failed > to_usize(rules.backoff_limit) {
        return JobStep::Decide(Ending::BackoffLimitExceeded);
    }
    let deadline = standing
        .started_at
        .zip(rules.active_deadline)
        .map(|(start, limit)| later(start, limit));
    if deadline.is_some_and(|deadline| deadline <= now) {
        return JobStep::Decide(Ending::DeadlineExceeded);
    }
    if rules.suspend {
        return if live > 0 {
            JobStep::StopAll
        } else {
            JobStep::Go {
                start: Vec::new(),
                excess: 0,
                wake: None,
            }
        };
    }
    let parallelism = to_usize(rules.parallelism);
    let wanted = match rules.completions {
        Some(completions) => parallelism.min(to_usize(completions) - succeeded),
        // Once one has succeeded, a work queue is being wound up.
        None if succeeded > 0 => live.min(parallelism),
        None => parallelism,
    };
    let missing = wanted.saturating_sub(live);
    let pause = backoff_until(pods, backoff_base).filter(|until| missing > 0 && *until > now);
    let start = if pause.is_some() {
        Vec::new()
    } else {
        pick(rules, pods, missing)
    };
    JobStep::Go {
        start,
        excess: live.saturating_sub(wanted),
        wake: pause.into_iter().chain(deadline).min(),
    }
}

/// Pods that succeeded; indexes that did, on an Indexed Job.
pub(super) fn succeeded(rules: &JobRules, pods: &[PodFacts]) -> usize {
    if rules.indexed {
        completed_indexes(pods).len()
    } else {
        count(pods, Phase::Succeeded)
    }
}

/// Indexes with a Pod that succeeded.
pub(super) fn completed_indexes(pods: &[PodFacts]) -> BTreeSet<u32> {
    pods.iter()
        .filter(|pod| pod.phase == Phase::Succeeded)
        .filter_map(|pod| pod.index)
        .collect()
}

/// Pods in a phase.
pub(super) fn count(pods: &[PodFacts], phase: Phase) -> usize {
    pods.iter().filter(|pod| pod.phase == phase).count()
}

/// `at` plus `duration`, held at the end of time.
pub(super) fn later(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// The lowest indexes that have neither succeeded nor a live Pod.
fn pick(rules: &JobRules, pods: &[PodFacts], missing: usize) -> Vec<Option<u32>> {
    if !rules.indexed {
        return vec![None; missing];
    }
    let taken: BTreeSet<u32> = pods
        .iter()
        .filter(|pod| pod.phase.is_live() || pod.phase == Phase::Succeeded)
        .filter_map(|pod| pod.index)
        .collect();
    (0..rules.completions.unwrap_or(0))
        .filter(|index| !taken.contains(index))
        .take(missing)
        .map(Some)
        .collect()
}

/// When the next Pod may start: the base, doubled with each failure since the last success, after the last failure.
fn backoff_until(pods: &[PodFacts], base: Duration) -> Option<Timestamp> {
    let ends = |phase: Phase| {
        pods.iter()
            .filter(move |pod| pod.phase == phase)
            .filter_map(|pod| pod.finished_at)
    };
    let last_success = ends(Phase::Succeeded).max();
    let failures = ends(Phase::Failed)
        .filter(|end| last_success.is_none_or(|success| *end > success))
        .count();
    let last_failure = ends(Phase::Failed).max()?;
    let doublings = u32::try_from(failures.checked_sub(1)?).unwrap_or(u32::MAX);
    let pause = 2_u32
        .checked_pow(doublings)
        .and_then(|factor| base.checked_mul(factor))
        .map_or(LONGEST_BACKOFF, |pause| pause.min(LONGEST_BACKOFF));
    Some(later(last_failure, pause))
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).expect("a 32-bit number fits")
}

#[cfg(test)]
mod tests;
