//! `spec`: bounds, strategy, history, rollout, the Job's template.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::triggers;
use crate::resource::fields::{Faults, Fields};
use crate::resource::rollout::{RolloutChoice, propagation};
use crate::resource::{HistoryLimits, KeptJson, POLLING_INTERVAL, Rollout, TriggerEntry};
use crate::scaling::{Bounds, Calculation, Policy, Strategy};

/// KEDA's executor keeps as many of each kind.
const HISTORY_LIMIT: u32 = 100;

pub(super) struct Spec {
    pub(super) job_target: KeptJson,
    pub(super) polling_interval: Duration,
    pub(super) history: HistoryLimits,
    pub(super) rollout: Rollout,
    pub(super) policy: Policy,
    pub(super) pending_pod_conditions: Vec<String>,
    pub(super) env_source_container: Option<String>,
    pub(super) triggers: Arc<[TriggerEntry]>,
}

pub(super) fn read(fields: &Fields<'_>, faults: &Faults) -> Option<Spec> {
    fields.required("jobTargetRef");
    let job_target = job_target(fields, faults);
    let polling_interval = fields.count("pollingInterval", 1);
    let history = HistoryLimits {
        successful: fields
            .count("successfulJobsHistoryLimit", 0)
            .unwrap_or(HISTORY_LIMIT),
        failed: fields
            .count("failedJobsHistoryLimit", 0)
            .unwrap_or(HISTORY_LIMIT),
    };
    let rollout = rollout(fields);
    let bounds = Bounds {
        min: fields.count("minReplicaCount", 0),
        max: fields.count("maxReplicaCount", 1),
    };
    let env_source_container = fields
        .text("envSourceContainerName")
        .filter(|name| !name.is_empty());
    let scaling = scaling_strategy(fields);
    fields.required("triggers");
    let written_triggers = fields.list("triggers");
    let triggers = triggers::read(written_triggers.map_or(&[], Vec::as_slice), faults);
    fields.refuse_others();
    if !faults.is_empty() {
        return None;
    }

    // The shape is right: now what contradicts itself.
    for fault in triggers::check(written_triggers.map_or(&[], Vec::as_slice)) {
        faults.add(fault.field, fault.message);
    }
    if let (Some(name), Some(job_target)) = (env_source_container, job_target)
        && !has_container(job_target, name)
    {
        faults.add(
            fields.path("envSourceContainerName"),
            format!("no container of jobTargetRef.template is named {name:?}"),
        );
    }
    let (strategy, calculation, pending_pod_conditions) = scaling;
    Some(Spec {
        job_target: job_target?.into(),
        polling_interval: polling_interval.map_or(POLLING_INTERVAL, |seconds| {
            Duration::from_secs(seconds.into())
        }),
        history,
        rollout,
        policy: Policy {
            strategy,
            calculation,
            bounds,
        },
        pending_pod_conditions,
        env_source_container: env_source_container.map(ToOwned::to_owned),
        triggers,
    })
}

/// `jobTargetRef`, which is passed on untouched: only that there is a container to run.
fn job_target<'a>(fields: &Fields<'a>, faults: &Faults) -> Option<&'a Value> {
    let job = fields.fields("jobTargetRef")?;
    job.required("template");
    let template = job.fields("template")?;
    template.required("spec");
    let pod = template.fields("spec")?;
    pod.required("containers");
    let containers = pod.list("containers")?;
    if containers.is_empty() {
        faults.add(pod.path("containers"), "must hold at least one container");
    }
    for (index, container) in containers.iter().enumerate() {
        let path = pod.path(&format!("containers[{index}]"));
        if let Some(container) = Fields::new(&path, container, faults) {
            container.required_text("name");
        }
    }
    fields.get("jobTargetRef")
}

fn has_container(job_target: &Value, name: &str) -> bool {
    job_target
        .pointer("/template/spec/containers")
        .and_then(Value::as_array)
        .is_some_and(|containers| {
            containers
                .iter()
                .any(|container| container.get("name").and_then(Value::as_str) == Some(name))
        })
}

/// Only a written `immediate` deletes running Jobs; KEDA takes silence for it.
fn rollout(fields: &Fields<'_>) -> Rollout {
    const STRATEGIES: [&str; 2] = ["gradual", "immediate"];
    let older = fields.choice_or_empty("rolloutStrategy", &STRATEGIES);
    let (mut strategy, mut policy) = (None, None);
    if let Some(rollout) = fields.fields("rollout") {
        strategy = rollout.choice_or_empty("strategy", &STRATEGIES);
        policy = rollout.choice_or_empty("propagationPolicy", &["background", "foreground"]);
        rollout.refuse_others();
    }
    let written = RolloutChoice::resolve(older.unwrap_or_default(), strategy.unwrap_or_default());
    match (written, propagation(policy.unwrap_or_default())) {
        (Some(RolloutChoice::Immediate), Some(propagation)) => Rollout::Immediate(propagation),
        _ => Rollout::Gradual,
    }
}

fn scaling_strategy(fields: &Fields<'_>) -> (Strategy, Calculation, Vec<String>) {
    let Some(scaling) = fields.fields("scalingStrategy") else {
        return (Strategy::Default, Calculation::Max, Vec::new());
    };
    let strategy = scaling.choice_or_empty("strategy", &["default", "custom", "accurate", "eager"]);
    let deduction = scaling.integer("customScalingQueueLengthDeduction", i32::MIN..=i32::MAX);
    let percentage = scaling.text("customScalingRunningJobPercentage");
    let conditions = scaling.texts("pendingPodConditions");
    let calculation =
        scaling.choice_or_empty("multipleScalersCalculation", &["min", "avg", "sum", "max"]);
    scaling.refuse_others();
    let calculation = match calculation {
        Some("min") => Calculation::Min,
        Some("avg") => Calculation::Avg,
        Some("sum") => Calculation::Sum,
        _ => Calculation::Max,
    };
    let strategy = Strategy::select(
        strategy.unwrap_or_default(),
        deduction.map(i64::from),
        percentage.unwrap_or_default(),
    );
    (strategy, calculation, conditions)
}
