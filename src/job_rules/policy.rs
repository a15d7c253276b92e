//! `podFailurePolicy` and `successPolicy`: which rule a Pod, or a set of indexes, meets.

use std::collections::BTreeSet;

use super::conditions::{EndCause, Ending};
use super::indexes::Intervals;
use super::{ContainerExit, JobRules, PodFacts, to_usize};

/// One rule of a `podFailurePolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRule {
    /// What happens to the Job.
    pub action: FailureAction,
    /// When.
    pub test: FailureTest,
}

/// What a failed Pod means for its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// The Job fails at once.
    FailJob,
    /// The Pod's index fails at once.
    FailIndex,
    /// It counts for nothing.
    Ignore,
    /// It counts as without a policy.
    Count,
}

/// What a rule looks at in a failed Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureTest {
    /// `onExitCodes`: an exit code of a container, never 0.
    ExitCodes {
        /// Only this container; any without it.
        container: Option<String>,
        /// `NotIn` instead of `In`.
        is_negated: bool,
        /// The codes.
        values: Vec<i32>,
    },
    /// `onPodConditions`: type and status of a condition, any of these.
    Conditions(Vec<(String, String)>),
}

/// One rule of a `successPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccessRule {
    /// `succeededIndexes`: these; any without it.
    pub indexes: Option<Intervals>,
    /// `succeededCount`: so many of them; all without it.
    pub count: Option<u32>,
}

/// What in a Pod met a rule.
enum Met<'a> {
    Exit(&'a ContainerExit),
    Condition(&'a str),
}

/// The first rule that a Pod meets, its place, and what met it.
fn first_met<'a>(
    rules: &'a JobRules,
    pod: &'a PodFacts,
) -> Option<(usize, FailureAction, Met<'a>)> {
    rules
        .failure_rules
        .iter()
        .enumerate()
        .find_map(|(place, rule)| Some((place, rule.action, meets(&rule.test, pod)?)))
}

fn meets<'a>(test: &FailureTest, pod: &'a PodFacts) -> Option<Met<'a>> {
    match test {
        FailureTest::ExitCodes {
            container,
            is_negated,
            values,
        } => {
            let meets = |exit: &&ContainerExit| {
                let is_named = container
                    .as_ref()
                    .is_none_or(|name| *name == exit.container);
                is_named && exit.code != 0 && values.contains(&exit.code) != *is_negated
            };
            let of = |is_init: bool| pod.exits.iter().filter(move |exit| exit.is_init == is_init);
            of(false).chain(of(true)).find(meets).map(Met::Exit)
        }
        FailureTest::Conditions(patterns) => pod
            .conditions
            .iter()
            .find(|condition| {
                let mut patterns = patterns.iter();
                patterns
                    .any(|(kind, status)| *kind == condition.kind && *status == condition.status)
            })
            .map(|condition| Met::Condition(&condition.kind)),
    }
}

/// Does this Pod count as failed, once it has?
pub(super) fn counts(rules: &JobRules, pod: &PodFacts) -> bool {
    !matches!(first_met(rules, pod), Some((_, FailureAction::Ignore, _)))
}

/// Does this failed Pod fail its index, whatever the limit?
pub(super) fn fails_index(rules: &JobRules, pod: &PodFacts) -> bool {
    matches!(
        first_met(rules, pod),
        Some((_, FailureAction::FailIndex, _))
    )
}

/// The end of a Job of which a Pod met a `FailJob` rule, in the Job controller's words.
pub(super) fn failed_by_rule(rules: &JobRules, pods: &[&PodFacts]) -> Option<Ending> {
    if rules.failure_rules.is_empty() {
        return None;
    }
    let failed = pods.iter().filter(|pod| pod.has_failed());
    failed.into_iter().find_map(|pod| {
        let (place, action, met) = first_met(rules, pod)?;
        if action != FailureAction::FailJob {
            return None;
        }
        let name = format!("{}/{}", rules.namespace, pod.name);
        let message = match met {
            Met::Exit(exit) => format!(
                "Container {} for pod {name} failed with exit code {} matching FailJob rule at index {place}",
                exit.container, exit.code
            ),
            Met::Condition(kind) => format!(
                "Pod {name} has condition {kind} matching FailJob rule at index {place}"
            ),
        };
        Some(Ending {
            cause: EndCause::PodFailurePolicy,
            message,
        })
    })
}

/// The end of a Job whose completed indexes met a rule of its `successPolicy`.
pub(super) fn succeeded_by_rule(rules: &JobRules, completed: &BTreeSet<u32>) -> Option<Ending> {
    if completed.is_empty() || !rules.indexed {
        return None;
    }
    let meets = |rule: &SuccessRule| {
        let Some(indexes) = &rule.indexes else {
            return rule
                .count
                .is_some_and(|count| completed.len() >= to_usize(count));
        };
        let required = indexes.below(rules.completions.unwrap_or(0));
        let total = required.total();
        let done = required.total_of(completed);
        total > 0 && (done == total || rule.count.is_some_and(|count| done >= to_usize(count)))
    };
    let place = rules.success_rules.iter().position(meets)?;
    Some(Ending {
        cause: EndCause::SuccessPolicy,
        message: format!("Matched rules at index {place}"),
    })
}
