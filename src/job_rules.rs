//! The Job controller's rules, as a pure function: a Job's spec and its Pods in,
//! what to start, what to stop and the status out. It knows no clock, file or
//! process; who runs the Pods hands in how their containers ended.
//!
//! ```text
//! JobRules (spec) ─┐
//! JobConditions    ├─► next ─► JobStep: Pods to stop, Pods to start, when to look again
//! PodFacts, …      ┘      └──► JobConditions, changed in place
//!                 tally ─────► counters and indexes ─► status, as `batch/v1` has it
//! ```
//!
//! Every Pod of a Job is handed in, those that ended long ago too: counters and
//! indexes are told from them, so nothing can be counted twice.
//!
//! Source: Kubernetes 1.36, `pkg/controller/job`, and the page "Jobs". One thing
//! differs: work that is done is done, even if `activeDeadlineSeconds` has passed
//! before anybody looked.

use std::time::Duration;

use jiff::Timestamp;

/// What a Job asks for, apart from what its containers run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are fields of batch/v1, each on its own"
)]
pub struct JobRules {
    /// Where its Pods are: messages name it.
    pub namespace: String,
    /// `completions`; `None` is a work queue: done when one Pod succeeded and all have ended.
    pub completions: Option<u32>,
    /// `parallelism`; 1 by default.
    pub parallelism: u32,
    /// `completionMode: Indexed`.
    pub indexed: bool,
    /// `backoffLimit`: failed Pods, and restarts in place, that are put up with. 6 by default, without limit beside a limit per index.
    pub backoff_limit: u32,
    /// `backoffLimitPerIndex`: failed Pods of one index that are put up with.
    pub backoff_limit_per_index: Option<u32>,
    /// `maxFailedIndexes`.
    pub max_failed_indexes: Option<u32>,
    /// `activeDeadlineSeconds`.
    pub active_deadline: Option<Duration>,
    /// `suspend`.
    pub suspend: bool,
    /// `ttlSecondsAfterFinished`.
    pub ttl: Option<Duration>,
    /// `podFailurePolicy.rules`, in order: the first that matches decides.
    pub failure_rules: Vec<FailureRule>,
    /// `successPolicy.rules`, in order.
    pub success_rules: Vec<SuccessRule>,
    /// `podReplacementPolicy: Failed`, which a `podFailurePolicy` brings with it: a Pod that is being stopped keeps its place.
    pub replaces_failed_only: bool,
    /// `restartPolicy: OnFailure`: restarts in place count towards `backoff_limit`.
    pub restarts_in_place: bool,
}

/// Where a Pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accepted, no process yet.
    Pending,
    /// Its processes run.
    Running,
    /// Every container exited with 0.
    Succeeded,
    /// A container failed, or was lost.
    Failed,
    /// Stopped, gone, and counted for nothing.
    Removed,
}

impl Phase {
    /// Has it not ended yet?
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// That a Pod was told to end, by these rules, and what it counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// For nothing, however it ends: the Job was suspended, made narrower, or is done.
    Uncounted,
    /// For a failed Pod, however it ends: the Job has failed.
    Counted,
}

/// What the rules look at in a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name: messages have it.
    pub name: String,
    /// Completion index of an Indexed Job.
    pub index: Option<u32>,
    /// Where it stands.
    pub phase: Phase,
    /// Is its condition Ready true? Its init containers are done and its containers run.
    pub is_ready: bool,
    /// Whether it was told to end.
    pub stopped: Option<Stopped>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Restarts in place, of all its containers, init containers too.
    pub restarts: u32,
    /// How its containers ended, in the order of the spec; those that have no exit code are left out.
    pub exits: Vec<ContainerExit>,
    /// Its conditions, such as `DisruptionTarget`.
    pub conditions: Vec<PodCondition>,
    /// Failures of its index before it.
    pub before: IndexFailures,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerExit {
    /// The container's name.
    pub container: String,
    /// Is it an init container? Those are looked at last.
    pub is_init: bool,
    /// Its exit code; 128 and the signal's number for a signal.
    pub code: i32,
}

/// A condition of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodCondition {
    /// `type`.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// How often an index has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexFailures {
    /// Failures that count towards `backoffLimitPerIndex`.
    pub counted: u32,
    /// Failures that a rule ignores. The pause grows with them too.
    pub ignored: u32,
}

/// A Pod to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewPod {
    /// Its index, on an Indexed Job.
    pub index: Option<u32>,
    /// Failures of its index before it, for [`PodFacts::before`].
    pub before: IndexFailures,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobStep {
    /// Pods to stop, by their place in the list, and what they count for from now on.
    pub stop: Vec<(usize, Stopped)>,
    /// Pods to start.
    pub start: Vec<NewPod>,
    /// When the rules would say something else with nothing having happened.
    pub wake: Option<Timestamp>,
    /// The Job is finished: no Pod is left, and the conditions say how it ended.
    pub is_finished: bool,
}

/// The next step of a Job, whose conditions are brought up to date.
///
/// `pods`: all that were ever made, in the order in which they were made. `backoff_base`: the pause after
/// a first failure; Kubernetes has ten seconds.
pub fn next(
    rules: &JobRules,
    conditions: &mut JobConditions,
    pods: &[&PodFacts],
    now: Timestamp,
    backoff_base: Duration,
) -> JobStep {
    if conditions.finished().is_some() {
        return JobStep {
            is_finished: true,
            ..JobStep::default()
        };
    }
    conditions.start(rules.suspend, now);
    let tally = Tally::of(rules, pods);
    let deadline = conditions
        .started_at
        .zip(rules.active_deadline.filter(|_| !rules.suspend))
        .map(|(start, limit)| later(start, limit));
    let is_late = deadline.is_some_and(|deadline| deadline <= now);
    let decided = conditions
        .decided()
        .or_else(|| decide(rules, pods, &tally, is_late));
    if let Some(ending) = decided {
        return end(rules, conditions, pods, &tally, &ending, now);
    }
    let managed = manage::manage(rules, pods, &tally, now, backoff_base);
    let succeeded = tally.succeeded();
    let is_complete = match rules.completions {
        Some(completions) => succeeded >= to_usize(completions) && managed.active == 0,
        None => succeeded > 0 && managed.active == 0,
    };
    let is_finished = if is_complete {
        let ending = Ending::of(EndCause::CompletionsReached);
        conditions.decide(&ending, now);
        let is_last = tally.terminating == 0 && managed.stop.is_empty();
        if is_last {
            conditions.finish(&ending, now);
        }
        is_last
    } else {
        conditions.follow(rules.suspend, now);
        false
    };
    JobStep {
        stop: managed.stop,
        start: managed.start,
        wake: if is_complete {
            None
        } else {
            managed.pause.into_iter().chain(deadline).min()
        },
        is_finished,
    }
}

/// The end that a Job has come to, if it has; what makes a Job complete is looked at after its Pods were managed.
fn decide(
    rules: &JobRules,
    pods: &[&PodFacts],
    tally: &Tally<'_>,
    is_late: bool,
) -> Option<Ending> {
    if let Some(ending) = policy::failed_by_rule(rules, pods) {
        return Some(ending);
    }
    if tally.failed() > to_usize(rules.backoff_limit) || has_restarted_too_often(rules, pods) {
        return Some(Ending::of(EndCause::BackoffLimitExceeded));
    }
    let success = || policy::succeeded_by_rule(rules, &tally.completed);
    if is_late && !tally.is_done(rules) && success().is_none() {
        return Some(Ending::of(EndCause::DeadlineExceeded));
    }
    if let Some(failed) = tally.failed_indexes.as_ref().filter(|_| rules.indexed) {
        let too_many = rules.max_failed_indexes.map(to_usize);
        if too_many.is_some_and(|most| failed.len() > most) {
            return Some(Ending::of(EndCause::MaxFailedIndexesExceeded));
        }
        let all = to_usize(rules.completions.unwrap_or(0));
        if !failed.is_empty() && failed.len() + tally.completed.len() >= all {
            return Some(Ending::of(EndCause::FailedIndexes));
        }
    }
    success()
}

/// Restarts in place count as failures, of Pods that have not ended.
fn has_restarted_too_often(rules: &JobRules, pods: &[&PodFacts]) -> bool {
    if !rules.restarts_in_place {
        return false;
    }
    let live = pods.iter().filter(|pod| pod.phase.is_live());
    let restarts: u64 = live.map(|pod| u64::from(pod.restarts)).sum();
    match rules.backoff_limit {
        0 => restarts > 0,
        limit => restarts >= u64::from(limit),
    }
}

/// Writes a decided end down, stops what still runs, and finishes the Job when nothing does.
fn end(
    rules: &JobRules,
    conditions: &mut JobConditions,
    pods: &[&PodFacts],
    tally: &Tally<'_>,
    ending: &Ending,
    now: Timestamp,
) -> JobStep {
    conditions.decide(ending, now);
    let mut step = JobStep::default();
    for (place, pod) in pods.iter().enumerate() {
        if pod.is_active() {
            let counts = !ending.cause.is_success() && policy::counts(rules, pod);
            let stopped = if counts {
                Stopped::Counted
            } else {
                Stopped::Uncounted
            };
            step.stop.push((place, stopped));
        }
    }
    if step.stop.is_empty() && tally.terminating == 0 {
        conditions.finish(ending, now);
        step.is_finished = true;
    }
    step
}

impl PodFacts {
    /// A Pod that was just made.
    pub fn new(name: String, made: NewPod) -> Self {
        Self {
            name,
            index: made.index,
            phase: Phase::Pending,
            is_ready: false,
            stopped: None,
            finished_at: None,
            restarts: 0,
            exits: Vec::new(),
            conditions: Vec::new(),
            before: made.before,
        }
    }

    /// Does it run or wait, and was not told to end?
    pub fn is_active(&self) -> bool {
        self.phase.is_live() && self.stopped.is_none()
    }

    /// Is it ending because it was told to?
    pub fn is_terminating(&self) -> bool {
        self.phase.is_live() && self.stopped.is_some()
    }

    /// Has it failed by itself?
    fn has_failed(&self) -> bool {
        self.phase == Phase::Failed && self.stopped.is_none()
    }

    /// Has it succeeded before anybody told it to end?
    fn has_succeeded(&self) -> bool {
        self.phase == Phase::Succeeded && self.stopped.is_none()
    }
}

/// `at` plus `duration`, held at the end of time.
pub fn later(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).expect("a 32-bit number fits")
}

pub use self::conditions::{EndCause, Ending, JobConditions};
pub use self::policy::{FailureAction, FailureRule, FailureTest, SuccessRule};
pub use self::tally::Tally;

mod conditions;
mod indexes;
mod manage;
mod policy;
mod tally;
mod written;

#[cfg(test)]
mod tests;
