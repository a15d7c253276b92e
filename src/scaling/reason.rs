//! Why so many: a decision in words and numbers, for who runs the platform.
//!
//! The words say what was counted, never how it is implemented; every number in
//! them can be checked by hand against the object and the queue.

use super::combine::Demand;
use super::strategy::{StrategyScale, part_of};
use super::{Bounds, Calculation, JobCounts, Measure, Plan, Policy, Strategy};

/// The reason of a decision after a reading.
pub(super) fn of_decision(
    policy: &Policy,
    measures: &[Measure],
    counts: JobCounts,
    bounded: &Plan,
    unbounded: &Plan,
    launch: u32,
) -> String {
    let bounds = policy.bounds;
    if !bounded.demand.active {
        return format!("{}: launching 0", demand(policy, measures, unbounded));
    }
    let Some(step) = bounded.step else {
        return format!(
            "{} is below the minimum of {}, {} wanted before triggers are looked at; {}: {}",
            unfinished(counts),
            bounds.min_replicas(),
            bounded.jobs,
            room(bounds, counts),
            launching(launch, unbounded.jobs().saturating_sub(launch)),
        );
    };
    let pending = if policy.strategy.counts_pending() {
        format!(", {} pending", counts.pending)
    } else {
        String::new()
    };
    format!(
        "{}{}; {}{pending}; {}; {}: {}",
        demand(policy, measures, unbounded),
        limit(bounds, &bounded.demand, &unbounded.demand),
        unfinished(counts),
        arithmetic(policy, counts, &bounded.demand, step),
        room(bounds, counts),
        launching(launch, unbounded.jobs().saturating_sub(launch)),
    )
}

/// The reason of a turn between two readings.
pub(super) fn of_top_up(bounds: Bounds, held_back: u32, counts: JobCounts, launch: u32) -> String {
    format!(
        "{held_back} held back by the last decision; {}; {}: {}",
        unfinished(counts),
        room(bounds, counts),
        launching(launch, held_back - launch),
    )
}

fn unfinished(counts: JobCounts) -> String {
    format!("{} unfinished", counts.unfinished)
}

fn room(bounds: Bounds, counts: JobCounts) -> String {
    format!(
        "cap {} leaves {}",
        bounds.cap(),
        bounds.room(counts.unfinished)
    )
}

fn launching(launch: u32, held_back: u32) -> String {
    if held_back == 0 {
        format!("launching {launch}")
    } else {
        format!("launching {launch}, {held_back} held back")
    }
}

/// What the triggers ask for, before any limit.
fn demand(policy: &Policy, measures: &[Measure], unbounded: &Plan) -> String {
    let active: Vec<&Measure> = measures
        .iter()
        .filter(|measure| measure.is_active())
        .collect();
    let wanted = unbounded.demand.max_scale();
    let count = measures.len();
    let word = match policy.calculation {
        Calculation::Max => "max",
        Calculation::Min => "min",
        Calculation::Avg => "avg",
        Calculation::Sum => "sum",
    };
    match (measures, active.as_slice()) {
        ([], _) => "no trigger could be read".to_owned(),
        // An external scaler decides by itself.
        ([measure], []) if measure.activation.is_infinite() => format!(
            "{} waiting, not active by the word of its scaler",
            measure.reading.waiting()
        ),
        ([measure], []) => format!(
            "{} waiting, active only above {}",
            measure.reading.activation(),
            measure.activation
        ),
        (_, []) => format!("none of {count} triggers is active"),
        ([measure], [_]) => format!("{}{}", division(measure), equals(measure, wanted)),
        _ => {
            let Some(chosen) = unbounded.demand.chosen.map(|chosen| &measures[chosen]) else {
                let parts: Vec<String> = active
                    .iter()
                    .map(|measure| format!("{} {}", measure.label, division(measure)))
                    .collect();
                return format!(
                    "{wanted} wanted ({word} of {} active of {count} triggers: {})",
                    active.len(),
                    parts.join(", ")
                );
            };
            format!(
                "{}{} ({word} of {count} triggers: {})",
                division(chosen),
                equals(chosen, wanted),
                chosen.label
            )
        }
    }
}

fn division(measure: &Measure) -> String {
    format!(
        "{} waiting / {} per Job",
        measure.reading.waiting(),
        measure.target
    )
}

fn equals(measure: &Measure, wanted: i64) -> String {
    if measure.target == 0.0 {
        format!(" = {wanted} wanted, because a target of 0 disables scaling")
    } else {
        format!(" = {wanted} wanted")
    }
}

/// What the maximum leaves of the demand, where it takes something.
fn limit(bounds: Bounds, bounded: &Demand, unbounded: &Demand) -> String {
    if bounded.max_scale() == unbounded.max_scale() {
        return String::new();
    }
    let minimum = match bounds.min_replicas() {
        0 => String::new(),
        minimum => format!(" above the minimum of {minimum}"),
    };
    format!(", the maximum allows {}{minimum}", bounded.max_scale())
}

/// The strategy's own sum.
fn arithmetic(policy: &Policy, counts: JobCounts, demand: &Demand, step: StrategyScale) -> String {
    let minimum = policy.bounds.min_replicas();
    let wanted = demand.max_scale();
    let pending = counts.pending;
    let max_replicas = policy.bounds.max_replicas();
    let beyond = counts.unfinished.saturating_sub(minimum);
    let running = if minimum == 0 {
        beyond.to_string()
    } else {
        format!("({} - {minimum} of the minimum)", counts.unfinished)
    };
    let effective = step.effective;
    let sum = match policy.strategy {
        Strategy::Default => format!("{wanted} - {running} = {effective}"),
        Strategy::Custom {
            deduction,
            running_percentage,
        } => {
            let part = part_of(beyond, running_percentage);
            let held = if effective == i64::from(max_replicas) {
                format!(", at most {max_replicas}")
            } else {
                String::new()
            };
            format!(
                "{wanted} - {deduction} deducted - {part} ({running_percentage} of {running} running){held} = {effective}"
            )
        }
        Strategy::Accurate if effective == wanted.saturating_sub(i64::from(pending)) => {
            format!("{wanted} - {pending} pending = {effective}")
        }
        Strategy::Accurate => format!("{max_replicas} - {running} = {effective} free"),
        Strategy::Eager => format!(
            "the less of {wanted} and {max_replicas} - {running} - {pending} pending = {effective}"
        ),
    };
    let few = if step.scale_to < effective {
        format!(", but only {} waiting", step.scale_to)
    } else {
        String::new()
    };
    format!("{}: {sum}{few}", policy.strategy.name())
}
