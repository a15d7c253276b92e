//! What is valid and yet surprises: warnings, each with its reason.
//!
//! Nothing here refuses anything; what is wrong is found by the parsers. A choice
//! that is written out is taken as meant; a trap is what silence does.

mod authentication;
mod cron_job;
mod event_job;
mod triggers;

use serde_json::Value;

use crate::resource::fields::join;
use crate::resource::scaled_job::{
    KEDA_PAUSED_ANNOTATION, MANAGED_ANNOTATION, PAUSED_ANNOTATION, is_managed_in_place, pauses,
};
use crate::resource::{Api, Fault, Rollout, ScaledJob, TriggerKind};
use crate::scaling::{Calculation, Strategy};

pub use authentication::{of_authentication, of_pair};
pub use cron_job::{notes_of_cron_job, of_cron_job};
pub use event_job::{notes_of_event_job, of_event_job};

/// Longest part of an object's name that goes into its Jobs' names. Unit: characters. Room for ten more letters, and for the API server's own suffixes.
const NAME_PREFIX: usize = 47;
/// Labels that say whose a Job is.
const OUR_LABELS: [&str; 3] = [
    "slipway.dev/scaledjob",
    "scaledjob.keda.sh/name",
    "app.kubernetes.io/managed-by",
];

/// Warnings about a ScaledJob; `written` is the document it was read from, which tells silence from a choice.
pub fn warnings(scaled_job: &ScaledJob, written: &Value) -> Vec<Fault> {
    let spec = &written["spec"];
    let mut found = Vec::new();
    names(scaled_job, &mut found);
    annotations(scaled_job, written, &mut found);
    template(scaled_job, spec, &mut found);
    replicas(scaled_job, &mut found);
    strategy(scaled_job, &spec["scalingStrategy"], &mut found);
    for trigger in &*scaled_job.triggers {
        triggers::warnings(scaled_job, trigger, &spec["triggers"], &mut found);
    }
    found
}

fn names(scaled_job: &ScaledJob, found: &mut Vec<Fault>) {
    let length = scaled_job.id.name.len();
    if length > NAME_PREFIX {
        found.push(Fault::at(
            "metadata.name",
            format!(
                "has {length} characters, and the names of Jobs take the first {NAME_PREFIX}: two objects that differ only later look alike in lists{}",
                if length > 63 {
                    "; above 63 KEDA cannot create a Job at all"
                } else {
                    ""
                }
            ),
        ));
    }
    for label in scaled_job.labels.keys() {
        if OUR_LABELS.contains(&label.as_str()) {
            found.push(Fault::at(
                join("metadata.labels", label),
                "is copied over the label that tells whose a Job is: KEDA no longer counts, cleans or rolls out such Jobs",
            ));
        }
    }
}

fn annotations(scaled_job: &ScaledJob, written: &Value, found: &mut Vec<Fault>) {
    let path = |name: &str| join("metadata.annotations", name);
    for name in [KEDA_PAUSED_ANNOTATION, PAUSED_ANNOTATION] {
        let Some(text) = scaled_job.annotations.get(name) else {
            continue;
        };
        if !matches!(text.as_str(), "true" | "True" | "TRUE" | "t" | "T" | "1") && pauses(text) {
            found.push(Fault::at(
                path(name),
                "is neither true nor false, and then it pauses, as with KEDA; take it off to go on",
            ));
        }
    }
    if !scaled_job.annotations.contains_key(MANAGED_ANNOTATION) {
        return;
    }
    match scaled_job.api {
        Api::Slipway => found.push(Fault::at(
            path(MANAGED_ANNOTATION),
            format!("has no effect on an object of slipway.dev, but {KEDA_PAUSED_ANNOTATION}, which goes with it, pauses one"),
        )),
        Api::Keda if !is_managed_in_place(written) => found.push(Fault::at(
            path(MANAGED_ANNOTATION),
            format!("hands the object over only when it and {KEDA_PAUSED_ANNOTATION} are both exactly \"true\": in a cluster Slipway leaves this object alone"),
        )),
        Api::Keda => {}
    }
}

fn template(scaled_job: &ScaledJob, spec: &Value, found: &mut Vec<Fault>) {
    let job = scaled_job.job_target.value();
    let unwritten = |key: &str| spec[key].is_null();
    if job["ttlSecondsAfterFinished"].is_null()
        && (unwritten("successfulJobsHistoryLimit") || unwritten("failedJobsHistoryLimit"))
    {
        found.push(Fault::at(
            "spec.jobTargetRef.ttlSecondsAfterFinished",
            "is not written, nor are both history limits: up to 100 complete and 100 failed Jobs stay with their Pods, however old; write a TTL or both limits",
        ));
    }
    let restart_policy = job["template"]["spec"]["restartPolicy"].as_str();
    let field = "spec.jobTargetRef.template.spec.restartPolicy";
    match restart_policy {
        Some("Never") => {}
        Some("Always") => found.push(Fault::at(
            field,
            "is Always, which the API server refuses for Jobs: write Never or OnFailure",
        )),
        _ if job["backoffLimit"].is_null() && job["activeDeadlineSeconds"].is_null() => {
            found.push(Fault::at(
                field,
                format!(
                    "{}: a container that crashes is restarted in the same Pod for minutes, its earlier logs are gone, and the Job counts as running all that time; thousands of such Pods slow a whole cluster; write Never, or a backoffLimit or activeDeadlineSeconds",
                    if restart_policy.is_some() {
                        "is OnFailure"
                    } else {
                        "is not written and becomes OnFailure, as with KEDA"
                    }
                ),
            ));
        }
        _ => {}
    }
    if matches!(scaled_job.rollout, Rollout::Immediate(_)) {
        let field = if spec["rolloutStrategy"].as_str() == Some("immediate") {
            "spec.rolloutStrategy"
        } else {
            "spec.rollout.strategy"
        };
        found.push(Fault::at(
            field,
            "is immediate: every edit of this object deletes its running Jobs, in the middle of their work",
        ));
    }
}

fn replicas(scaled_job: &ScaledJob, found: &mut Vec<Fault>) {
    let bounds = scaled_job.policy.bounds;
    if let (Some(min), Some(max)) = (bounds.min, bounds.max)
        && max < min
    {
        found.push(Fault::at(
            "spec.maxReplicaCount",
            format!("is below minReplicaCount: {max} Jobs run, not {min}, and nothing waiting ever starts another"),
        ));
    }
}

fn strategy(scaled_job: &ScaledJob, written: &Value, found: &mut Vec<Fault>) {
    const DEDUCTION: &str = "customScalingQueueLengthDeduction";
    const PERCENTAGE: &str = "customScalingRunningJobPercentage";
    let is_custom = written["strategy"].as_str() == Some("custom");
    for field in [DEDUCTION, PERCENTAGE] {
        if !written[field].is_null() && !is_custom {
            found.push(Fault::at(
                format!("spec.scalingStrategy.{field}"),
                "has no effect without strategy: custom",
            ));
        }
    }
    if is_custom && !matches!(scaled_job.policy.strategy, Strategy::Custom { .. }) {
        let (field, what) = if written[PERCENTAGE].is_null() {
            (
                "strategy",
                "is custom without customScalingRunningJobPercentage",
            )
        } else {
            (PERCENTAGE, "is no number such as \"0.5\"")
        };
        found.push(Fault::at(
            format!("spec.scalingStrategy.{field}"),
            format!("{what}: the default strategy is used and the deduction ignored, as KEDA does; \"0\" subtracts no running Job"),
        ));
    }
    let counts_commits = |kind| matches!(kind, TriggerKind::Kafka | TriggerKind::ApacheKafka);
    if scaled_job.policy.strategy.counts_pending()
        && scaled_job
            .triggers
            .iter()
            .any(|trigger| counts_commits(trigger.kind))
    {
        found.push(Fault::at(
            "spec.scalingStrategy.strategy",
            "does not subtract running Jobs, and Kafka's lag counts what they work on until it is committed: the same records are launched for again; use default",
        ));
    }
    if scaled_job.policy.calculation == Calculation::Min && scaled_job.triggers.len() > 1 {
        found.push(Fault::at(
            "spec.scalingStrategy.multipleScalersCalculation",
            "is min: a trigger with nothing waiting counts as not yet read, so that the result depends on the order of the triggers, as with KEDA",
        ));
    }
    let conditions = &scaled_job.pending_pod_conditions;
    for (index, condition) in conditions.iter().enumerate() {
        if conditions[..index].contains(condition) {
            found.push(Fault::at(
                format!("spec.scalingStrategy.pendingPodConditions[{index}]"),
                "is there twice, which no Pod satisfies: every Job counts as pending for ever",
            ));
        }
    }
    if !conditions.is_empty() && !scaled_job.policy.strategy.counts_pending() {
        found.push(Fault::at(
            "spec.scalingStrategy.pendingPodConditions",
            "has no effect with this strategy: only accurate and eager look at pending Jobs",
        ));
    }
}

#[cfg(test)]
mod tests;
