//! KEDA's recorded answers about numbers: strategies and bounds here, encoding
//! and combination beside it.

use serde_json::Value;
use slipway::scaling::encode;
use slipway::scaling::strategy::{Situation, StrategyScale, float as go_float};
use slipway::scaling::{
    Bounds, Calculation, JobCounts, Measure, Policy, Reading, Strategy, decide,
};

use crate::support::vectors::{
    assert_columns, assert_keys, assert_lists, count, float, integer, load, optional_count, rows,
    text,
};

mod combination;
mod encoding;

fn strategy(name: &Value, deduction: &Value, percentage: &Value) -> Strategy {
    let deduction = (!deduction.is_null()).then(|| integer(deduction));
    Strategy::select(text(name), deduction, text(percentage))
}

/// Bit for bit, except that every NaN is the same.
#[track_caller]
fn assert_same(actual: f64, expected: f64, row: &Value) {
    let same = actual.to_bits() == expected.to_bits() || actual.is_nan() && expected.is_nan();
    assert!(same, "{actual} instead of {expected}: {row}");
}

#[test]
fn strategy_vector_selection() {
    assert_lists("strategy", &["selection", "strategies", "decision"]);
    for row in rows("strategy", "selection") {
        assert_keys(
            &row,
            &[
                "strategy",
                "customScalingQueueLengthDeduction",
                "customScalingRunningJobPercentage",
                "selected",
            ],
        );
        let selected = strategy(
            &row["strategy"],
            &row["customScalingQueueLengthDeduction"],
            &row["customScalingRunningJobPercentage"],
        );
        assert_eq!(selected.name(), text(&row["selected"]), "{row}");
    }
}

#[test]
fn strategy_vector_strategies() {
    for row in rows("strategy", "strategies") {
        let (given, expected) = (&row["in"], &row["expect"]);
        assert_keys(
            &row,
            &[
                "strategy",
                "customScalingQueueLengthDeduction",
                "customScalingRunningJobPercentage",
                "in",
                "expect",
            ],
        );
        assert_keys(
            given,
            &[
                "maxScale",
                "runningJobCount",
                "pendingJobCount",
                "maxReplicaCount",
                "scaleTo",
            ],
        );
        assert_keys(expected, &["effectiveMaxScale", "scaleTo"]);
        let scale_to = integer(&given["scaleTo"]);
        let step = strategy(
            &row["strategy"],
            &row["customScalingQueueLengthDeduction"],
            &row["customScalingRunningJobPercentage"],
        )
        .step(&Situation {
            max_scale: integer(&given["maxScale"]),
            scale_to,
            running: count(&given["runningJobCount"]),
            pending: count(&given["pendingJobCount"]),
            max_replicas: Some(count(&given["maxReplicaCount"])),
        });
        let expected = StrategyScale {
            effective: integer(&expected["effectiveMaxScale"]),
            scale_to: expected.get("scaleTo").map_or(scale_to, integer),
        };
        assert_eq!(step, expected, "{row}");
    }
}

#[test]
fn strategy_vector_decision() {
    for row in rows("strategy", "decision") {
        let (spec, given, expected) = (&row["spec"], &row["in"], &row["expect"]);
        assert_keys(&row, &["spec", "in", "expect"]);
        assert_keys(spec, &["minReplicaCount", "maxReplicaCount", "strategy"]);
        assert_keys(
            given,
            &["runningJobCount", "scaleTo", "maxScale", "pendingJobCount"],
        );
        assert_keys(expected, &["effectiveMaxScale", "scaleTo"]);
        // One trigger with a target of 1 asks for exactly its number.
        assert_eq!(given["scaleTo"], given["maxScale"], "{row}");
        let policy = Policy {
            strategy: strategy(&spec["strategy"], &Value::Null, &Value::from("")),
            calculation: Calculation::Max,
            bounds: Bounds {
                min: optional_count(spec, "minReplicaCount"),
                max: optional_count(spec, "maxReplicaCount"),
            },
        };
        let counts = JobCounts {
            unfinished: count(&given["runningJobCount"]),
            pending: count(&given["pendingJobCount"]),
        };
        let decision = decide(&policy, &[measure(float(&given["scaleTo"]), 1.0)], counts);
        let created = integer(&expected["effectiveMaxScale"]).min(integer(&expected["scaleTo"]));
        assert_eq!(i64::from(decision.keda), created.max(0), "{row}");
    }
}

/// A bound in a grid: null is unwritten.
fn written(cell: &Value) -> Option<u32> {
    (!cell.is_null()).then(|| count(cell))
}

fn measure(waiting: f64, target: f64) -> Measure {
    Measure {
        label: "s0-queue".to_owned(),
        reading: Reading::new(waiting),
        target,
        activation: 0.0,
    }
}

#[test]
fn strategy_grid_vector() {
    assert_lists("strategy_grid", &["columns", "rows"]);
    assert_columns(
        &load("strategy_grid"),
        &[
            "strategy",
            "customScalingQueueLengthDeduction",
            "customScalingRunningJobPercentage",
            "spec.minReplicaCount",
            "spec.maxReplicaCount",
            "runningJobCount",
            "pendingJobCount",
            "in.queueLength(scaleTo)",
            "in.maxValue(maxScale)",
            "eff.MinReplicaCount()",
            "eff.MaxReplicaCount()",
            "out.effectiveMaxScale",
            "out.scaleTo",
            "jobsCreated_if_active",
        ],
    );
    let mut through_decide = 0;
    for row in rows("strategy_grid", "rows") {
        let strategy = strategy(&row[0], &row[1], &row[2]);
        let bounds = Bounds {
            min: written(&row[3]),
            max: written(&row[4]),
        };
        let (unfinished, pending) = (count(&row[5]), count(&row[6]));
        let (scale_to, max_scale) = (integer(&row[7]), integer(&row[8]));
        assert_eq!(bounds.min_replicas(), count(&row[9]), "{row}");
        assert_eq!(bounds.max_replicas(), count(&row[10]), "{row}");
        let step = unfinished.checked_sub(bounds.min_replicas()).map_or_else(
            || {
                let missing = i64::from(bounds.min_replicas() - unfinished);
                StrategyScale {
                    effective: missing,
                    scale_to: missing,
                }
            },
            |running| {
                strategy.step(&Situation {
                    max_scale,
                    scale_to,
                    running,
                    pending,
                    max_replicas: Some(bounds.max_replicas()),
                })
            },
        );
        assert_eq!(step.effective, integer(&row[11]), "{row}");
        assert_eq!(step.scale_to, integer(&row[12]), "{row}");
        assert_eq!(
            step.effective.min(step.scale_to).max(0),
            integer(&row[13]),
            "{row}"
        );
        through_decide += u32::from(whole_decision_agrees(strategy, bounds, &row));
    }
    assert!(through_decide > 0, "no row came out of a reading");
}

/// The same row through `decide`; false where no reading and target ask for exactly these two numbers.
fn whole_decision_agrees(strategy: Strategy, bounds: Bounds, row: &Value) -> bool {
    let (scale_to, max_scale) = (float(&row[7]), float(&row[8]));
    let target = match (scale_to, max_scale) {
        (0.0, 0.0) => 1.0,
        (_, 0.0) => 0.0,
        _ => scale_to / max_scale,
    };
    // KEDA's target has three decimal places; not every quotient comes back from that.
    let reached = (scale_to / encode::target(target)).min(f64::from(bounds.max_replicas()));
    if target != 0.0 && (scale_to == 0.0 || reached.ceil().to_bits() != max_scale.to_bits()) {
        return false;
    }
    let policy = Policy {
        strategy,
        calculation: Calculation::Max,
        bounds,
    };
    let counts = JobCounts {
        unfinished: count(&row[5]),
        pending: count(&row[6]),
    };
    let decision = decide(&policy, &[measure(scale_to, target)], counts);
    assert_eq!(i64::from(decision.keda), integer(&row[13]), "{row}");
    let room = bounds.cap().saturating_sub(counts.unfinished);
    assert_eq!(decision.launch, decision.keda.min(room), "{row}");
    true
}

#[test]
fn custom_percentage_vector() {
    assert_lists("custom_percentage_parse", &["cases"]);
    for row in rows("custom_percentage_parse", "cases") {
        assert_keys(&row, &["value", "strategy", "parsed"]);
        let value = text(&row["value"]);
        let selected = Strategy::select("custom", Some(1), value);
        assert_eq!(selected.name(), text(&row["strategy"]), "{row}");
        match (go_float::parse(value), row.get("parsed")) {
            (Some(parsed), Some(expected)) => assert_same(parsed, float(expected), &row),
            (None, None) => {}
            (parsed, _) => panic!("{parsed:?}: {row}"),
        }
    }
}

#[test]
fn min_max_replica_vector() {
    assert_lists("min_max_replica", &["cases"]);
    for row in rows("min_max_replica", "cases") {
        assert_keys(&row, &["name", "spec", "expect"]);
        assert_keys(&row["spec"], &["minReplicaCount", "maxReplicaCount"]);
        assert_keys(&row["expect"], &["MinReplicaCount()", "MaxReplicaCount()"]);
        let bounds = Bounds {
            min: optional_count(&row["spec"], "minReplicaCount"),
            max: optional_count(&row["spec"], "maxReplicaCount"),
        };
        let expected = &row["expect"];
        assert_eq!(
            bounds.min_replicas(),
            count(&expected["MinReplicaCount()"]),
            "{row}"
        );
        assert_eq!(
            bounds.max_replicas(),
            count(&expected["MaxReplicaCount()"]),
            "{row}"
        );
    }
}
