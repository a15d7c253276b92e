//! Numbers as KEDA's messages carry them.
//!
//! Each number has a field of whole numbers, which older KEDAs read, and one of floats,
//! which newer ones read where it is above 0. Both are written so that either reading is
//! the same number, as far as whole numbers go; a fraction is rounded up for the older
//! ones, so that little work is never none.
//! Source: KEDA, `pkg/scalers/external_scaler.go`.

use crate::scaling::encode;

/// A number in both fields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Encoded {
    /// `targetSize`, `metricValue`.
    pub whole: i64,
    /// `targetSizeFloat`, `metricValueFloat`; 0 where KEDA shall read the other.
    pub float: f64,
}

/// What waits, finite, 0 and up.
pub fn value(waiting: f64) -> Encoded {
    // What KEDA would round to nothing has to be nothing in both fields.
    let read = encode::read_back(waiting);
    if read > 0.0 {
        Encoded {
            whole: rounded_up(read),
            float: waiting,
        }
    } else {
        Encoded {
            whole: 0,
            float: 0.0,
        }
    }
}

/// What one Job, or replica, takes. Whole targets of 0 and below pass as they are, as in KEDA's own triggers.
pub fn target(target: f64) -> Encoded {
    let whole = rounded_up(encode::target(target));
    if target.fract() == 0.0 {
        return Encoded {
            whole,
            float: target.max(0.0),
        };
    }
    if encode::target(target) > 0.0 {
        Encoded {
            whole,
            float: target,
        }
    } else {
        Encoded {
            whole: 0,
            float: 0.0,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float above the largest integer becomes that one, and there is no NaN"
)]
fn rounded_up(number: f64) -> i64 {
    number.ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_up_for_older_ones_and_nothing_is_nothing_to_both() {
        let pair = |encoded: Encoded| (encoded.whole, encoded.float);
        assert_eq!(pair(value(0.0)), (0, 0.0));
        assert_eq!(pair(value(7.0)), (7, 7.0));
        assert_eq!(pair(value(0.2)), (1, 0.2));
        assert_eq!(pair(value(0.0004)), (0, 0.0));
        assert_eq!(pair(value(1e19)), (i64::MAX, 1e19));
        assert_eq!(pair(target(1.5)), (2, 1.5));
        assert_eq!(pair(target(5.0)), (5, 5.0));
        assert_eq!(pair(target(0.0)), (0, 0.0));
        assert_eq!(pair(target(-3.0)), (-3, 0.0));
        assert_eq!(pair(target(0.0004)), (0, 0.0));
    }
}
