//! Numbers by value: `300`, `300.0` and `3e2` are one number; 2^53 and 2^53 + 1 are two.
//!
//! A number is compared as a double if the double says exactly what the text says, in the sense that
//! its shortest decimal form is the same number. One that is not (too many digits, too large) is only
//! equal to the same text, and no range holds it. Source: `ComparableNumber`, event-ruler 2.0.1.

use std::ops::Bound;

/// Digits that every double keeps. Source: `DBL_DIG`.
const SAFE_DIGITS: usize = 15;
/// Well above the doubles that lose digits.
const SAFE_MAGNITUDE: f64 = 1e-290;

/// The double that says the same as a number's text; `None` if there is none.
pub(in crate::pattern) fn comparable(text: &str) -> Option<f64> {
    if let Some(value) = short(text) {
        return Some(value);
    }
    // Adding zero turns -0.0 into 0.0.
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())? + 0.0;
    let written = Decimal::read(text)?;
    let is_short = written.digits.len() <= SAFE_DIGITS && value.abs() >= SAFE_MAGNITUDE;
    let is_exact = is_short || written == Decimal::read(&format!("{value:e}"))?;
    is_exact.then_some(value)
}

/// A number of few digits, with or without a point, as most are: its digits and a power of ten that are
/// both exact give the nearest double by one division. `None` says nothing about other numbers.
fn short(text: &str) -> Option<f64> {
    if text.len() > SAFE_DIGITS {
        return None;
    }
    let (mut digits, mut scale) = (0_u64, 0_u64);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                digits = digits * 10 + u64::from(byte - b'0');
                scale *= 10;
            }
            b'.' if scale == 0 => scale = 1,
            _ => return None,
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "fifteen digits are below 2^53")]
    let (digits, scale) = (digits as f64, scale.max(1) as f64);
    Some(digits / scale)
}

/// A decimal number: sign apart, `0.DIGITS` times a power of ten, no zeros at either end.
#[derive(Debug, PartialEq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..leading);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let exponent = if digits.is_empty() {
            0
        } else {
            let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
            exponent.parse::<i64>().ok()?.checked_add(point)?
        };
        Some(Self { digits, exponent })
    }
}

/// A number that a value must equal.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::pattern) struct Number {
    text: Box<str>,
    value: Option<f64>,
}

impl Number {
    pub(in crate::pattern) fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            value: comparable(text),
        }
    }

    pub(in crate::pattern) fn equals(&self, other: &str) -> bool {
        match self.value {
            Some(value) => comparable(other) == Some(value),
            None => *self.text == *other,
        }
    }

    pub(in crate::pattern) fn text(&self) -> &str {
        &self.text
    }
}

/// What a number has in common with those that equal it.
pub(in crate::pattern) fn number_key(text: &str) -> NumberKey<'_> {
    let value = comparable(text);
    value.map_or(NumberKey::Text(text), |value| {
        NumberKey::Value(value.to_bits())
    })
}

/// What equal numbers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::pattern) enum NumberKey<'t> {
    /// Bits of the double.
    Value(u64),
    Text(&'t str),
}

/// Numbers between two bounds.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::pattern) struct Range {
    pub(in crate::pattern) bottom: Bound<f64>,
    pub(in crate::pattern) top: Bound<f64>,
}

impl Range {
    pub(in crate::pattern) fn contains(&self, value: f64) -> bool {
        let above = match self.bottom {
            Bound::Included(bottom) => value >= bottom,
            Bound::Excluded(bottom) => value > bottom,
            Bound::Unbounded => true,
        };
        above
            && match self.top {
                Bound::Included(top) => value <= top,
                Bound::Excluded(top) => value < top,
                Bound::Unbounded => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::comparable;

    #[test]
    fn a_short_number_is_the_double_that_parsing_gives() {
        let mut digits = 1_u64;
        for length in 1..=14 {
            digits = digits * 10 + digits * 7 % 10;
            let written = digits.to_string();
            for point in 1..written.len() {
                let text = format!("{}.{}", &written[..point], &written[point..]);
                assert_eq!(comparable(&text), text.parse().ok(), "{length}: {text}");
            }
        }
        for (text, value) in [
            ("0.0", 0.0),
            ("0.10", 0.1),
            ("1500.5", 1500.5),
            ("-1.5", -1.5),
        ] {
            assert_eq!(comparable(text), Some(value), "{text}");
        }
        assert_eq!(comparable("1.2.3"), None);
    }
}
