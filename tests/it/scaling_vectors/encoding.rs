//! Metric values, names and types, and the way of one value from source to Jobs.

use slipway::scaling::combine::{Share, combine};
use slipway::scaling::encode::{self, MetricType};
use slipway::scaling::{Bounds, Calculation, JobCounts, Policy, Strategy, decide};

use super::{assert_same, measure};
use crate::support::vectors::{
    assert_columns, assert_keys, assert_lists, boolean, count, float, integer, list, load, rows,
    text,
};

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
