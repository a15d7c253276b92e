//! KEDA's encoding of metric values, names and types.
//!
//! A value leaves a scaler as decimal text with three places and is read back as
//! thousandths times 0.001. The detour moves some numbers by an ulp, which
//! decides how a quotient rounds: so we take the same road.
//! Source: KEDA, `pkg/scalers/scaler.go`; Kubernetes, `resource.Quantity`.

/// Kubernetes' largest quantity, 2^63 - 1 (the nearest float to it).
const LARGEST: f64 = 9_223_372_036_854_775_807.0;

/// A metric value as KEDA writes it: three decimal places, the exact binary value
/// rounded half to even; `0` for NaN, infinities and negative numbers.
pub fn decimal(value: f64) -> String {
    if value.is_finite() && value >= 0.0 {
        // `abs` for the zero that has a sign.
        format!("{:.3}", value.abs())
    } else {
        "0".to_owned()
    }
}

/// What KEDA reads back from [`decimal`]: finite, 0 and up.
pub fn read_back(value: f64) -> f64 {
    // A whole number's thousandths are exact up to 2^53: no detour over its text is needed.
    if value.fract() == 0.0 && (0.0..9e12).contains(&value) {
        // `abs` for the zero that has a sign.
        return value.abs() * 1000.0 * 1e-3;
    }
    // As a whole number of thousandths, and then times 0.001: not the same as parsing the decimals.
    match decimal(value).replace('.', "").parse::<f64>() {
        Ok(thousandths) => (thousandths * 1e-3).min(LARGEST),
        Err(_) => unreachable!("a decimal without its point is a number"),
    }
}

/// A target as KEDA reads it back. Integers stay as they are, negative ones too:
/// KEDA does not write those with decimal places.
pub fn target(value: f64) -> f64 {
    if value.fract() == 0.0 {
        value
    } else {
        read_back(value)
    }
}

/// A metric name in the characters KEDA allows: `/ . : % ( )` become `-`.
/// Source: KEDA, `pkg/util/normalize_string.go`.
pub fn normalize(name: &str) -> String {
    name.replace(['/', '.', ':', '%', '(', ')'], "-")
}

/// The metric name with the trigger's position in front: `s0-aws-sqs-orders`.
pub fn with_index(trigger_index: usize, name: &str) -> String {
    format!("s{trigger_index}-{name}")
}

/// The metric name without the position; `None` when it carries another one, or none.
pub fn without_index(trigger_index: usize, name: &str) -> Option<&str> {
    name.strip_prefix('s')?
        .strip_prefix(&trigger_index.to_string())?
        .strip_prefix('-')
}

/// How a value is compared with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Divided by the number of replicas first; the only one that means anything to a ScaledJob.
    AverageValue,
    /// As it is.
    Value,
}

/// A `metricType` that is not possible here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metricType {written} is not supported; use AverageValue or Value, or leave it out")]
pub struct UnsupportedMetricType {
    /// What was written.
    pub written: String,
}

/// The metric type that `metricType` selects; empty is `AverageValue`.
///
/// # Errors
///
/// [`UnsupportedMetricType`] for `Utilization`, which only resource metrics have, and for unknown words.
pub fn metric_type(written: &str) -> Result<MetricType, UnsupportedMetricType> {
    match written {
        "" | "AverageValue" => Ok(MetricType::AverageValue),
        "Value" => Ok(MetricType::Value),
        _ => Err(UnsupportedMetricType {
            written: written.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_thousandth_go_to_the_even_neighbour() {
        // These four are exact in binary.
        for (value, expected) in [
            (0.0625, "0.062"),
            (0.1875, "0.188"),
            (0.3125, "0.312"),
            (0.4375, "0.438"),
        ] {
            assert_eq!(decimal(value), expected);
        }
    }

    #[test]
    fn integers_survive_the_detour() {
        for value in [1.0, 3.0, 7.0, 999.0, 1_234_567.0, 8_999_999_999_999.0] {
            assert_eq!(read_back(value).to_bits(), f64::to_bits(value));
        }
    }

    #[test]
    fn whole_numbers_are_read_back_as_from_their_text() {
        for value in (0..100_000)
            .chain(8_999_999_999_000..9_000_000_000_100)
            .chain((0..40).map(|bits| (1_i64 << bits) + 1))
        {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let value = value as f64;
            let thousandths: f64 = decimal(value).replace('.', "").parse().unwrap();
            assert_eq!(read_back(value).to_bits(), (thousandths * 1e-3).to_bits());
        }
    }

    #[test]
    fn the_zero_with_a_sign_has_none_afterwards() {
        assert_eq!(decimal(-0.0), "0.000");
        assert!(read_back(-0.0).is_sign_positive());
    }

    #[test]
    fn nothing_is_larger_than_the_largest_quantity() {
        assert_eq!(read_back(f64::MAX).to_bits(), LARGEST.to_bits());
    }
}
