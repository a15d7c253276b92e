//! Counters and indexes of a Job, told from its Pods, and the status that they make.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::conditions::JobConditions;
use super::{IndexFailures, JobRules, PodFacts, Stopped, indexes, policy, to_usize};

/// What the Pods of a Job amount to.
#[derive(Debug, Clone)]
pub struct Tally<'a> {
    /// Pods that run or wait, and were not told to end.
    pub active: usize,
    /// Those of them that are ready.
    pub ready: usize,
    /// Pods that are ending because they were told to.
    pub terminating: usize,
    /// Completed indexes of an Indexed Job.
    pub completed: BTreeSet<u32>,
    /// Failed indexes of a Job with a limit per index.
    pub failed_indexes: Option<BTreeSet<u32>>,
    is_indexed: bool,
    succeeded_pods: usize,
    failed_pods: usize,
    /// The last Pod of each index, if the index is to run again and that Pod failed. It hands its failures on.
    replaced: BTreeMap<u32, &'a PodFacts>,
    /// Those of them that count as failed.
    replaced_failed: usize,
}

impl<'a> Tally<'a> {
    /// Counts.
    pub fn of(rules: &JobRules, pods: &[&'a PodFacts]) -> Self {
        let is_inside =
            |index: u32| rules.indexed && rules.completions.is_none_or(|all| index < all);
        let mut tally = Self {
            active: 0,
            ready: 0,
            terminating: 0,
            completed: BTreeSet::new(),
            failed_indexes: None,
            is_indexed: rules.indexed,
            succeeded_pods: 0,
            failed_pods: 0,
            replaced: BTreeMap::new(),
            replaced_failed: 0,
        };
        let mut failed_indexes = BTreeSet::new();
        for pod in pods {
            tally.active += usize::from(pod.is_active());
            tally.ready += usize::from(pod.is_active() && pod.is_ready);
            tally.terminating += usize::from(pod.is_terminating());
            let index = pod.index.filter(|index| is_inside(*index));
            if pod.has_succeeded() {
                tally.succeeded_pods += 1;
                tally.completed.extend(index);
            }
            let counts = pod.has_failed() && policy::counts(rules, pod);
            if counts || pod.stopped == Some(Stopped::Counted) {
                tally.failed_pods += 1;
            }
            let (Some(index), Some(limit)) = (index, rules.backoff_limit_per_index) else {
                continue;
            };
            // A Pod that was stopped hands nothing on, as its failures are gone with it.
            tally.replaced.remove(&index);
            if pod.has_failed() {
                if policy::fails_index(rules, pod) || counts && pod.before.counted >= limit {
                    failed_indexes.insert(index);
                } else {
                    tally.replaced.insert(index, pod);
                }
            }
        }
        if rules.backoff_limit_per_index.is_some() {
            let over =
                |index: &u32| tally.completed.contains(index) || failed_indexes.contains(index);
            tally.replaced.retain(|index, _| !over(index));
            let replaced = tally.replaced.values();
            tally.replaced_failed = replaced.filter(|pod| policy::counts(rules, pod)).count();
            tally.failed_indexes = Some(failed_indexes);
        }
        tally
    }

    /// Pods that succeeded; indexes that did, on an Indexed Job.
    pub fn succeeded(&self) -> usize {
        if self.is_indexed {
            self.completed.len()
        } else {
            self.succeeded_pods
        }
    }

    /// Pods that count as failed.
    pub fn failed(&self) -> usize {
        self.failed_pods
    }

    /// Is all the work done?
    pub(super) fn is_done(&self, rules: &JobRules) -> bool {
        match rules.completions {
            Some(completions) => self.succeeded() >= to_usize(completions),
            None => self.succeeded() > 0 && self.active == 0,
        }
    }

    /// The failed Pod that the next one of an index replaces.
    pub(super) fn replaced(&self, index: u32) -> Option<&'a PodFacts> {
        self.replaced.get(&index).copied()
    }

    /// What the next Pod of an index has to carry on.
    pub(super) fn failures_before(&self, rules: &JobRules, index: u32) -> IndexFailures {
        let Some(pod) = self.replaced(index) else {
            return IndexFailures::default();
        };
        let mut before = pod.before;
        if policy::counts(rules, pod) {
            before.counted = before.counted.saturating_add(1);
        } else {
            before.ignored = before.ignored.saturating_add(1);
        }
        before
    }
}

impl JobConditions {
    /// The whole status, as `batch/v1` has it.
    pub fn to_status(&self, rules: &JobRules, pods: &[&PodFacts]) -> Value {
        let tally = Tally::of(rules, pods);
        // As in Kubernetes, a failed Pod of an index is counted when the next one is there.
        let waiting = if self.decided().is_some() {
            0
        } else {
            tally.replaced_failed
        };
        let mut status = json!({
            "active": tally.active,
            "ready": tally.ready,
            "terminating": tally.terminating,
            "succeeded": tally.succeeded(),
            "failed": tally.failed() - waiting,
        });
        if rules.indexed {
            status["completedIndexes"] = json!(indexes::written(&tally.completed));
        }
        if let Some(failed) = &tally.failed_indexes {
            status["failedIndexes"] = json!(indexes::written(failed));
        }
        self.write(&mut status);
        status
    }
}
