//! KEDA's recorded answers about numbers: encoding, combination, strategies, bounds.

use serde_json::Value;
use slipway::scaling::combine::{Share, combine};
use slipway::scaling::encode::{self, MetricType};
use slipway::scaling::strategy::{Situation, Step, parse_float};
use slipway::scaling::{
    Bounds, Calculation, JobCounts, Measure, Policy, Reading, Strategy, decide,
};

use crate::support::vectors::{assert_columns, assert_keys, assert_lists, load, rows};

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

fn integer(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("not an integer: {value}"))
}

fn count(value: &Value) -> u32 {
    u32::try_from(integer(value)).unwrap_or_else(|_| panic!("not a count: {value}"))
}

/// A number; JSON has no words for the others, so those come as text.
fn float(value: &Value) -> f64 {
    match value {
        Value::String(word) => match word.as_str() {
            "NaN" => f64::NAN,
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            _ => panic!("not a number: {word}"),
        },
        _ => value
            .as_f64()
            .unwrap_or_else(|| panic!("not a number: {value}")),
    }
}

fn boolean(value: &Value) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| panic!("not a bool: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {value}"))
}

fn optional(value: &Value) -> Option<u32> {
    (!value.is_null()).then(|| count(value))
}

fn strategy(name: &Value, deduction: &Value, percentage: &Value) -> Strategy {
    let deduction = (!deduction.is_null()).then(|| integer(deduction));
    Strategy::select(text(name), deduction, text(percentage))
}

fn calculation(word: &Value) -> Calculation {
    match text(word) {
        "" | "max" => Calculation::Max,
        "min" => Calculation::Min,
        "avg" => Calculation::Avg,
        "sum" => Calculation::Sum,
        word => panic!("unknown calculation {word}"),
    }
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
        let expected = Step {
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
                min: optional(&spec["minReplicaCount"]),
                max: optional(&spec["maxReplicaCount"]),
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
            min: optional(&row[3]),
            max: optional(&row[4]),
        };
        let (unfinished, pending) = (count(&row[5]), count(&row[6]));
        let (scale_to, max_scale) = (integer(&row[7]), integer(&row[8]));
        assert_eq!(bounds.min_replicas(), count(&row[9]), "{row}");
        assert_eq!(bounds.max_replicas(), count(&row[10]), "{row}");
        let step = unfinished.checked_sub(bounds.min_replicas()).map_or_else(
            || {
                let missing = i64::from(bounds.min_replicas() - unfinished);
                Step {
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
        match (parse_float(value), row.get("parsed")) {
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
            min: optional(&row["spec"]["minReplicaCount"]),
            max: optional(&row["spec"]["maxReplicaCount"]),
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

#[test]
fn multiscaler_vector_chain() {
    assert_lists("multiscaler", &["cases", "targetAverageValue", "edgeCases"]);
    for row in rows("multiscaler", "cases") {
        assert_keys(
            &row,
            &[
                "name",
                "metricName",
                "multipleScalersCalculation",
                "minReplicaCount",
                "maxReplicaCount",
                "triggers",
                "expect",
            ],
        );
        let bounds = Bounds {
            min: optional(&row["minReplicaCount"]),
            max: optional(&row["maxReplicaCount"]),
        };
        // A closed cache is a trigger that was not read: it brings no measure.
        let read = list(&row["triggers"])
            .iter()
            .filter(|trigger| trigger.get("cacheClosed") != Some(&Value::Bool(true)));
        let measures: Vec<Measure> = read
            .map(|trigger| {
                assert_keys(trigger, &["queueLength", "targetAverageValue", "isActive"]);
                Measure {
                    activation: if boolean(&trigger["isActive"]) {
                        -1.0
                    } else {
                        f64::MAX
                    },
                    ..measure(
                        float(&trigger["queueLength"]),
                        float(&trigger["targetAverageValue"]),
                    )
                }
            })
            .collect();
        let expected = &row["expect"];
        assert_keys(
            expected,
            &[
                "isActive",
                "isError",
                "queueLength",
                "maxValue",
                "activeTriggers",
                "events",
            ],
        );
        // Errors are the sources'; no measure is one, and an unread trigger is not active.
        assert_eq!(expected["isError"], false, "{row}");
        if let Some(active) = expected.get("activeTriggers") {
            let found = measures
                .iter()
                .filter(|measure| measure.is_active())
                .count();
            assert_eq!(found, list(active).len(), "{row}");
        }
        if let Some(events) = expected.get("events") {
            assert!(list(events).is_empty(), "{row}");
        }
        let max_replicas = Some(bounds.max_replicas());
        let shares: Vec<Share> = measures
            .iter()
            .map(|measure| Share::of(measure, max_replicas))
            .collect();
        let calculation = calculation(&row["multipleScalersCalculation"]);
        let demand = combine(calculation, &shares, bounds.min_replicas(), max_replicas);
        if let Some(active) = expected.get("isActive") {
            assert_eq!(demand.active, boolean(active), "{row}");
            assert_eq!(
                demand.scale_to(),
                integer(&expected["queueLength"]),
                "{row}"
            );
            assert_eq!(demand.max_scale(), integer(&expected["maxValue"]), "{row}");
        }
    }
}

#[test]
fn multiscaler_vector_edge_cases() {
    for row in rows("multiscaler", "edgeCases") {
        assert_keys(
            &row,
            &[
                "name",
                "multipleScalersCalculation",
                "MinReplicaCount()",
                "MaxReplicaCount()",
                "scalers",
                "expect",
            ],
        );
        let expected = &row["expect"];
        assert_keys(expected, &["isActive", "queueLength", "maxValue"]);
        let shares: Vec<Share> = list(&row["scalers"])
            .iter()
            .map(|scaler| {
                assert_keys(scaler, &["queueLength", "maxValue", "isActive"]);
                Share {
                    queue_length: float(&scaler["queueLength"]),
                    max_value: float(&scaler["maxValue"]),
                    active: boolean(&scaler["isActive"]),
                }
            })
            .collect();
        let demand = combine(
            calculation(&row["multipleScalersCalculation"]),
            &shares,
            count(&row["MinReplicaCount()"]),
            Some(count(&row["MaxReplicaCount()"])),
        );
        assert_eq!(demand.active, boolean(&expected["isActive"]), "{row}");
        assert_eq!(
            demand.scale_to(),
            integer(&expected["queueLength"]),
            "{row}"
        );
        assert_eq!(demand.max_scale(), integer(&expected["maxValue"]), "{row}");
    }
}

#[test]
fn multiscaler_vector_target_mean() {
    for row in rows("multiscaler", "targetAverageValue") {
        assert_keys(&row, &["targets", "expect"]);
        // Our triggers have one target each, so there is no mean of targets here; it is the
        // arithmetic of `avg`, and the recorded means hold that arithmetic to the last bit.
        let shares: Vec<Share> = list(&row["targets"])
            .iter()
            .map(|target| Share {
                queue_length: 0.0,
                max_value: float(target),
                active: true,
            })
            .collect();
        let mean = combine(Calculation::Avg, &shares, 0, None).max_value;
        assert_same(mean, float(&row["expect"]), &row);
    }
}

#[test]
fn multiscaler_grid_vector() {
    assert_lists("multiscaler_grid", &["columns", "rows"]);
    assert_columns(
        &load("multiscaler_grid"),
        &[
            "multipleScalersCalculation",
            "MinReplicaCount()",
            "MaxReplicaCount()",
            "scalers[[queueLength,maxValue,isActive]...] in trigger order",
            "isActive",
            "queueLength(ceil)",
            "maxValue(ceil)",
            "maxValue(float)",
        ],
    );
    for row in rows("multiscaler_grid", "rows") {
        let shares: Vec<Share> = list(&row[3])
            .iter()
            .map(|scaler| {
                assert_eq!(list(scaler).len(), 3, "{row}");
                Share {
                    queue_length: float(&scaler[0]),
                    max_value: float(&scaler[1]),
                    active: boolean(&scaler[2]),
                }
            })
            .collect();
        let demand = combine(
            calculation(&row[0]),
            &shares,
            count(&row[1]),
            Some(count(&row[2])),
        );
        assert_eq!(demand.active, boolean(&row[4]), "{row}");
        assert_eq!(demand.scale_to(), integer(&row[5]), "{row}");
        assert_eq!(demand.max_scale(), integer(&row[6]), "{row}");
        assert_same(demand.max_value, float(&row[7]), &row);
    }
}

#[test]
fn metric_encoding_vector_names_and_types() {
    assert_lists(
        "metric_encoding",
        &[
            "metricTargetType",
            "removeIndex",
            "normalize",
            "zeroCases",
            "encodeFloat",
            "floatRoundingTraps",
            "pipeline",
        ],
    );
    for row in rows("metric_encoding", "metricTargetType") {
        assert_keys(&row, &["metricType", "expect"]);
        assert_keys(&row["expect"], &["type", "error"]);
        let expected = row["expect"].get("type").map(|word| match text(word) {
            "AverageValue" => MetricType::AverageValue,
            "Value" => MetricType::Value,
            word => panic!("unknown type {word}"),
        });
        let actual = encode::metric_type(text(&row["metricType"]));
        assert_eq!(actual.ok(), expected, "{row}");
    }
    for row in rows("metric_encoding", "removeIndex") {
        assert_keys(&row, &["triggerIndex", "metricName", "expect"]);
        assert_keys(&row["expect"], &["error", "name"]);
        let index = usize::try_from(integer(&row["triggerIndex"])).unwrap();
        let name = text(&row["metricName"]);
        let bare = encode::without_index(index, name);
        assert_eq!(bare.is_none(), boolean(&row["expect"]["error"]), "{row}");
        assert_eq!(bare, row["expect"].get("name").map(text), "{row}");
        if let Some(bare) = bare {
            assert_eq!(encode::with_index(index, bare), name, "{row}");
        }
    }
    for row in rows("metric_encoding", "normalize") {
        assert_keys(&row, &["input", "expect"]);
        assert_eq!(
            encode::normalize(text(&row["input"])),
            text(&row["expect"]),
            "{row}"
        );
    }
}

#[test]
fn metric_encoding_vector_numbers() {
    for row in rows("metric_encoding", "zeroCases") {
        assert_eq!(encode::decimal(float(&row)), "0", "{row}");
        assert_same(encode::read_back(float(&row)), 0.0, &row);
    }
    for row in rows("metric_encoding", "encodeFloat") {
        assert_keys(&row, &["in", "decimal", "asApproximateFloat64"]);
        let value = float(&row["in"]);
        assert_eq!(encode::decimal(value), text(&row["decimal"]), "{row}");
        let expected = float(&row["asApproximateFloat64"]);
        assert_same(encode::read_back(value), expected, &row);
    }
    for row in rows("metric_encoding", "floatRoundingTraps") {
        assert_keys(
            &row,
            &[
                "exactRatio",
                "maxValueCeil",
                "maxValueFloat",
                "queueLengthFloat",
                "targetAverageFloat",
                "targetMilli",
                "valueMilli",
            ],
        );
        let (value, target) = (float(&row["valueMilli"]), float(&row["targetMilli"]));
        let measure = measure(value / 1000.0, target / 1000.0);
        let share = Share::of(&measure, None);
        assert_same(share.queue_length, float(&row["queueLengthFloat"]), &row);
        let target_read = encode::target(measure.target);
        assert_same(target_read, float(&row["targetAverageFloat"]), &row);
        assert_same(share.max_value, float(&row["maxValueFloat"]), &row);
        let demand = combine(Calculation::Max, &[share], 0, None);
        assert_eq!(demand.max_scale(), integer(&row["maxValueCeil"]), "{row}");
        assert_same((value / target).floor(), float(&row["exactRatio"]), &row);
    }
}

#[test]
fn metric_encoding_vector_pipeline() {
    let pipeline = &load("metric_encoding")["pipeline"];
    assert_keys(pipeline, &["columns", "rows"]);
    assert_columns(
        pipeline,
        &[
            "metricValue",
            "target",
            "targetIsInt64",
            "MaxReplicaCount()",
            "queueLength",
            "targetAverageValue",
            "maxValue",
            "isActive(metric active iff value>0, calc=max, min=0)",
            "scaleTo(ceil)",
            "maxScale(ceil)",
        ],
    );
    let rows = list(&pipeline["rows"]);
    assert!(!rows.is_empty());
    for row in rows {
        let target = float(&row[1]);
        // An int64 target is the integer it is; a float target may be one too, and is then the same.
        assert!(!boolean(&row[2]) || target.fract() == 0.0, "{row}");
        assert_same(encode::target(target), float(&row[5]), row);
        let max_replicas = count(&row[3]);
        let measure = measure(float(&row[0]), target);
        let share = Share::of(&measure, Some(max_replicas));
        assert_same(share.queue_length, float(&row[4]), row);
        let demand = combine(Calculation::Max, &[share], 0, Some(max_replicas));
        assert_same(demand.max_value, float(&row[6]), row);
        assert_eq!(demand.active, boolean(&row[7]), "{row}");
        assert_eq!(demand.scale_to(), integer(&row[8]), "{row}");
        assert_eq!(demand.max_scale(), integer(&row[9]), "{row}");
        let decision = decide(
            &Policy {
                strategy: Strategy::Default,
                calculation: Calculation::Max,
                bounds: Bounds {
                    min: None,
                    max: Some(max_replicas),
                },
            },
            &[measure],
            JobCounts::default(),
        );
        let created = integer(&row[8]).min(integer(&row[9]));
        assert_eq!(i64::from(decision.launch), created, "{row}");
    }
}
