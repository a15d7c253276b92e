//! What an external scaler's answers come to: pure.
//!
//! Source: KEDA, `pkg/scalers/external_scaler.go` and `pkg/scaling/scaledjob/metrics.go`; the recorded rows
//! are in `tests/vectors/external_scaler.json`. Where KEDA takes an answer for 0
//! that says nothing (no value, NaN, infinity), here it is an error.

use std::sync::Arc;

use crate::externalscaler::{GetMetricsResponse, MetricSpec, MetricValue};
use crate::scaling::{Reading, encode};
use crate::source::Terms;

/// The longest name of a metric. Source: our own bound; KEDA's name is a segment of a path.
const LONGEST_NAME: usize = 253;
/// More specs, or values, than any scaler has.
const MOST: usize = 1000;

/// A poll's outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalerAnswer {
    /// What the scaler says is waiting.
    pub reading: Reading,
    /// What that means.
    pub terms: Arc<Terms>,
}

/// The name to ask for, and how much of it one Job takes.
///
/// Of several specs KEDA takes the first one's name, and the mean of all targets.
///
/// # Errors
///
/// No spec at all, or one with a name or a number that cannot be one.
pub fn spec(specs: &[MetricSpec]) -> Result<(String, f64), String> {
    let first = specs
        .first()
        .ok_or("GetMetricSpec names no metric; one with a target is needed")?;
    if specs.len() > MOST {
        return Err(format!(
            "GetMetricSpec names more than {MOST} metrics; one is needed"
        ));
    }
    let name = &first.metric_name;
    if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "GetMetricSpec names a metric with more than {LONGEST_NAME} bytes or control characters"
        ));
    }
    let mut total = 0.0;
    for spec in specs {
        total += encode::target(target(spec)?);
    }
    #[expect(clippy::cast_precision_loss, reason = "there are 1000 at most")]
    let mean = total / specs.len() as f64;
    Ok((name.clone(), mean))
}

/// `targetSizeFloat` when it is above 0, else `targetSize` as it is: 0 and below start no Job, as in KEDA.
///
/// # Errors
///
/// A target that is no number.
pub fn target(spec: &MetricSpec) -> Result<f64, String> {
    let number = one_of(spec.target_size_float, spec.target_size);
    number.ok_or_else(|| "GetMetricSpec gives a target that is no finite number".to_owned())
}

/// All values of one answer, summed: KEDA gives each the name that was asked for.
///
/// # Errors
///
/// No value at all, which says nothing, or one that is no number.
pub fn value(response: &GetMetricsResponse) -> Result<f64, String> {
    let values = &response.metric_values;
    if values.is_empty() || values.len() > MOST {
        return Err(format!(
            "GetMetrics gives {} values; one is needed",
            values.len()
        ));
    }
    let mut total = 0.0;
    for value in values {
        total += of_value(value)?;
    }
    Ok(total)
}

/// `metricValueFloat` when it is above 0, else `metricValue`; below 0 is 0, as in KEDA.
fn of_value(value: &MetricValue) -> Result<f64, String> {
    let number = one_of(value.metric_value_float, value.metric_value);
    let number = number.ok_or("GetMetrics gives a value that is no finite number")?;
    Ok(number.max(0.0))
}

/// The float when it is above 0, else the integer; none when the float is no number.
fn one_of(float: f64, integer: i64) -> Option<f64> {
    if float.is_nan() || float == f64::INFINITY {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "KEDA too goes on with float64; above 2^53 both are off by less than one part in 10^15"
    )]
    let integer = integer as f64;
    Some(if float > 0.0 { float } else { integer })
}

/// The three answers together.
pub fn together(metric_name: String, target: f64, waiting: f64, is_active: bool) -> ScalerAnswer {
    ScalerAnswer {
        reading: Reading::new(waiting),
        terms: Arc::new(Terms {
            metric_name,
            target,
            is_active,
        }),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small numbers are exact")]
mod tests {
    use super::*;

    fn metric(name: &str, integer: i64, float: f64) -> MetricSpec {
        MetricSpec {
            metric_name: name.to_owned(),
            target_size: integer,
            target_size_float: float,
        }
    }

    fn values(values: &[(i64, f64)]) -> GetMetricsResponse {
        let values = values.iter().map(|&(integer, float)| MetricValue {
            metric_name: "whatever".to_owned(),
            metric_value: integer,
            metric_value_float: float,
        });
        GetMetricsResponse {
            metric_values: values.collect(),
        }
    }

    #[test]
    fn the_first_spec_names_and_all_of_them_share_the_target() {
        for (specs, expected) in [
            (vec![metric("a", 5, 0.0)], ("a", 5.0)),
            (vec![metric("a", 5, 2.5)], ("a", 2.5)),
            (vec![metric("a", 4, 0.0), metric("b", 0, 1.0)], ("a", 2.5)),
            (vec![metric("", 0, 0.0004)], ("", 0.0)),
            (vec![metric("a", -5, -1.0)], ("a", -5.0)),
        ] {
            let (name, target) = spec(&specs).unwrap();
            assert_eq!((name.as_str(), target), expected, "{specs:?}");
        }
    }

    #[test]
    fn values_of_one_answer_are_summed() {
        for (given, expected) in [
            (vec![(7, 0.0)], 7.0),
            (vec![(7, 1.5)], 1.5),
            (vec![(7, -1.0)], 7.0),
            (vec![(-3, 0.0)], 0.0),
            (vec![(0, 0.0)], 0.0),
            (vec![(2, 0.0), (0, 0.5), (-9, 0.0)], 2.5),
        ] {
            assert_eq!(value(&values(&given)).unwrap(), expected, "{given:?}");
        }
    }

    #[test]
    fn an_answer_that_says_nothing_is_no_zero() {
        assert!(spec(&[]).is_err());
        assert!(spec(&[metric("a", 1, f64::NAN)]).is_err());
        assert!(spec(&[metric("a", 1, f64::INFINITY)]).is_err());
        assert!(spec(&[metric("a\n", 1, 0.0)]).is_err());
        assert!(spec(&[metric(&"a".repeat(254), 1, 0.0)]).is_err());
        assert!(spec(&vec![metric("a", 1, 0.0); 1001]).is_err());
        for given in [
            vec![],
            vec![(3, f64::NAN)],
            vec![(3, f64::INFINITY)],
            vec![(1, 0.0); 1001],
        ] {
            assert!(value(&values(&given)).is_err(), "{given:?}");
        }
    }
}
