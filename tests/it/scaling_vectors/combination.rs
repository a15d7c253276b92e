//! Several triggers, one demand.

use serde_json::Value;
use slipway::scaling::combine::{Share, combine};
use slipway::scaling::{Bounds, Calculation, Measure};

use super::{assert_same, measure};
use crate::support::vectors::{
    assert_columns, assert_keys, assert_lists, boolean, count, float, integer, list, load,
    optional_count, rows, text,
};

fn calculation(word: &Value) -> Calculation {
    match text(word) {
        "" | "max" => Calculation::Max,
        "min" => Calculation::Min,
        "avg" => Calculation::Avg,
        "sum" => Calculation::Sum,
        word => panic!("unknown calculation {word}"),
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
            min: optional_count(&row, "minReplicaCount"),
            max: optional_count(&row, "maxReplicaCount"),
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
