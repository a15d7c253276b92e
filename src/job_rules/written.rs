//! `batch/v1` as it is written → [`JobRules`], with Kubernetes' defaults.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::resource::Fault;

use super::JobRules;
use super::indexes::Intervals;
use super::policy::{FailureAction, FailureRule, FailureTest, SuccessRule};

/// Kubernetes' default of `backoffLimit`.
const BACKOFF_LIMIT: u32 = 6;
/// And beside `backoffLimitPerIndex`: the highest number that the field can have.
const NO_LIMIT: u32 = i32::MAX.unsigned_abs();

#[derive(Deserialize)]
struct Job {
    #[serde(default, deserialize_with = "nullable")]
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize, Default)]
struct Metadata {
    namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    completions: Option<u32>,
    parallelism: Option<u32>,
    completion_mode: Option<CompletionMode>,
    backoff_limit: Option<u32>,
    backoff_limit_per_index: Option<u32>,
    max_failed_indexes: Option<u32>,
    active_deadline_seconds: Option<u64>,
    suspend: Option<bool>,
    ttl_seconds_after_finished: Option<u64>,
    pod_failure_policy: Option<Policy<WrittenFailureRule>>,
    success_policy: Option<Policy<WrittenSuccessRule>>,
    pod_replacement_policy: Option<Replacement>,
    template: Template,
}

#[derive(Deserialize, PartialEq, Eq)]
enum CompletionMode {
    NonIndexed,
    Indexed,
}

#[derive(Deserialize, PartialEq, Eq)]
enum Replacement {
    TerminatingOrFailed,
    Failed,
}

#[derive(Deserialize)]
struct Template {
    spec: PodTemplate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodTemplate {
    restart_policy: Option<RestartPolicy>,
}

/// An empty policy is KEDA's `OnFailure`.
#[derive(Deserialize, PartialEq, Eq)]
enum RestartPolicy {
    Never,
    OnFailure,
    #[serde(rename = "")]
    Unset,
}

#[derive(Deserialize)]
struct Policy<R> {
    rules: Option<Vec<R>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenFailureRule {
    action: WrittenAction,
    on_exit_codes: Option<OnExitCodes>,
    #[serde(default, deserialize_with = "nullable")]
    on_pod_conditions: Vec<OnPodCondition>,
}

#[derive(Deserialize)]
enum WrittenAction {
    FailJob,
    FailIndex,
    Ignore,
    Count,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnExitCodes {
    container_name: Option<String>,
    operator: Operator,
    values: Vec<i32>,
}

#[derive(Deserialize, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
}

#[derive(Deserialize)]
struct OnPodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenSuccessRule {
    succeeded_indexes: Option<String>,
    succeeded_count: Option<u32>,
}

impl JobRules {
    /// Reads a Job. What the API server would refuse may pass: this only needs to make sense of it.
    ///
    /// # Errors
    ///
    /// A [`Fault`] at the first field that is of another form, or without which a rule has no meaning.
    pub fn parse(job: &Value) -> Result<Self, Fault> {
        let Job { metadata, spec } = serde_path_to_error::deserialize(job)
            .map_err(|error| Fault::at(error.path().to_string(), error.inner().to_string()))?;
        let completions = match (spec.completions, spec.parallelism) {
            // With neither written, Kubernetes makes both 1.
            (None, None) => Some(1),
            (completions, _) => completions,
        };
        let indexed = spec.completion_mode == Some(CompletionMode::Indexed);
        if indexed && completions.is_none() {
            return Err(Fault::at(
                "spec.completions",
                "an Indexed Job needs a number of completions",
            ));
        }
        let backoff_limit = match spec.backoff_limit_per_index {
            None => BACKOFF_LIMIT,
            Some(_) => NO_LIMIT,
        };
        let replaces_failed_only = spec.pod_failure_policy.is_some()
            || spec.pod_replacement_policy == Some(Replacement::Failed);
        Ok(Self {
            namespace: metadata.namespace.unwrap_or_else(|| "default".to_owned()),
            completions,
            parallelism: spec.parallelism.unwrap_or(1),
            indexed,
            backoff_limit: spec.backoff_limit.unwrap_or(backoff_limit),
            backoff_limit_per_index: spec.backoff_limit_per_index,
            max_failed_indexes: spec.max_failed_indexes,
            active_deadline: spec.active_deadline_seconds.map(Duration::from_secs),
            suspend: spec.suspend.unwrap_or(false),
            ttl: spec.ttl_seconds_after_finished.map(Duration::from_secs),
            failure_rules: failure_rules(spec.pod_failure_policy)?,
            success_rules: success_rules(spec.success_policy)?,
            replaces_failed_only,
            restarts_in_place: spec.template.spec.restart_policy != Some(RestartPolicy::Never),
        })
    }
}

fn failure_rules(policy: Option<Policy<WrittenFailureRule>>) -> Result<Vec<FailureRule>, Fault> {
    let rules = policy.and_then(|policy| policy.rules).into_iter().flatten();
    let rule = |(place, rule): (usize, WrittenFailureRule)| {
        let test = match rule.on_exit_codes {
            Some(codes) => FailureTest::ExitCodes {
                container: codes.container_name,
                is_negated: codes.operator == Operator::NotIn,
                values: codes.values,
            },
            None if rule.on_pod_conditions.is_empty() => {
                return Err(Fault::at(
                    format!("spec.podFailurePolicy.rules[{place}]"),
                    "must have onExitCodes or onPodConditions",
                ));
            }
            None => {
                let status = |status: Option<String>| status.unwrap_or_else(|| "True".to_owned());
                let patterns = rule.on_pod_conditions.into_iter();
                FailureTest::Conditions(
                    patterns
                        .map(|pattern| (pattern.kind, status(pattern.status)))
                        .collect(),
                )
            }
        };
        let action = match rule.action {
            WrittenAction::FailJob => FailureAction::FailJob,
            WrittenAction::FailIndex => FailureAction::FailIndex,
            WrittenAction::Ignore => FailureAction::Ignore,
            WrittenAction::Count => FailureAction::Count,
        };
        Ok(FailureRule { action, test })
    };
    rules.enumerate().map(rule).collect()
}

fn success_rules(policy: Option<Policy<WrittenSuccessRule>>) -> Result<Vec<SuccessRule>, Fault> {
    let rules = policy.and_then(|policy| policy.rules).into_iter().flatten();
    let rule = |(place, rule): (usize, WrittenSuccessRule)| {
        let parse = |text: String| {
            Intervals::parse(&text).ok_or_else(|| {
                Fault::at(
                    format!("spec.successPolicy.rules[{place}].succeededIndexes"),
                    "must be indexes in rising order, such as 0,2-4",
                )
            })
        };
        Ok(SuccessRule {
            indexes: rule.succeeded_indexes.map(parse).transpose()?,
            count: rule.succeeded_count,
        })
    };
    rules.enumerate().map(rule).collect()
}

/// A field that is written and empty (`rules:`) is one that is not written, as the API server has it.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
