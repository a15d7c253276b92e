//! The forms that values take in KEDA's string map, as its typed configuration
//! reads them (`pkg/scalers/scalersconfig/typed_config.go`).
//!
//! Text in, value out. Where a value came from, whether it may be quoted and
//! what to call it in a fault is for [`Parameters`](super::Parameters).

use std::collections::BTreeMap;
use std::time::Duration;

/// The most numbers that a list with ranges may name.
///
/// Far above the partitions of any Kafka topic; it keeps `0-2147483647` from filling the memory.
pub const MAX_LISTED: usize = 1_000_000;

/// What a value should have been. Never holds the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedText(String);

impl ExpectedText {
    /// Something in place of the value, put so that it follows the word "expected".
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// The words that follow "expected".
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A signed 64-bit integer in JSON's number syntax: `5` and `-5`, not `+5`, `05`, `5.0`, `1e2` or `0x10`.
///
/// # Errors
///
/// [`ExpectedText`] when the text has another form or does not fit 64 bits.
pub fn integer(text: &str) -> Result<i64, ExpectedText> {
    json_number(text)
        .filter(|number| {
            !number
                .bytes()
                .any(|byte| matches!(byte, b'.' | b'e' | b'E'))
        })
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| {
            ExpectedText::new(
                "a whole number such as 5, with no plus sign, leading zero, point or exponent",
            )
        })
}

/// A finite number in JSON's syntax: `5`, `-1.5` and `1e3`, not `.5`, `5.`, `+1` or `NaN`.
///
/// # Errors
///
/// [`ExpectedText`] when the text has another form or is too large.
pub fn float(text: &str) -> Result<f64, ExpectedText> {
    json_number(text)
        .and_then(|number| number.parse().ok())
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| ExpectedText::new("a number such as 5, 0.5 or 1e3"))
}

/// A boolean as Go's `strconv.ParseBool` reads it.
///
/// # Errors
///
/// [`ExpectedText`] for any other text: `yes` and `on` are not booleans.
pub fn boolean(text: &str) -> Result<bool, ExpectedText> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(ExpectedText::new("true or false")),
    }
}

/// A Go duration such as `30s` or `1h30m`, or a whole number of milliseconds; not negative.
///
/// # Errors
///
/// [`ExpectedText`] when the text has another form, is negative, or is longer than Go can hold (292 years).
pub fn duration(text: &str) -> Result<Duration, ExpectedText> {
    let nanoseconds = match text.parse::<i64>() {
        Ok(milliseconds) => u64::try_from(milliseconds)
            .ok()
            .and_then(|milliseconds| milliseconds.checked_mul(1_000_000)),
        Err(_) => go_duration(text),
    };
    nanoseconds
        .filter(|&nanoseconds| i64::try_from(nanoseconds).is_ok())
        .map(Duration::from_nanos)
        .ok_or_else(|| {
            ExpectedText::new(
                "a duration such as 30s, 5m or 1h30m, or a number of milliseconds, not negative",
            )
        })
}

/// Texts parted by commas, trimmed; empty ones stay.
///
/// # Errors
///
/// None: it has the form of the other parsers so that it is called as they are.
pub fn list(text: &str) -> Result<Vec<String>, ExpectedText> {
    Ok(text
        .split(',')
        .map(|element| element.trim().to_owned())
        .collect())
}

/// Whole numbers and inclusive ranges parted by commas: `1-4,8`. A range that ends before it starts names nothing.
///
/// # Errors
///
/// [`ExpectedText`] when an element has another form, or when they name more than [`MAX_LISTED`] numbers.
pub fn integers(text: &str) -> Result<Vec<i64>, ExpectedText> {
    let wrong = || ExpectedText::new("whole numbers and ranges such as 1-4,8");
    let mut numbers = Vec::new();
    for element in text.split(',').map(str::trim) {
        let (start, end) = match element.split_once('-') {
            None => {
                let number = integer(element).map_err(|_| wrong())?;
                (number, number)
            }
            Some((start, end)) => (
                integer(start).map_err(|_| wrong())?,
                integer(end).map_err(|_| wrong())?,
            ),
        };
        let room = MAX_LISTED - numbers.len();
        let listed = end.saturating_sub(start).saturating_add(1);
        if usize::try_from(listed).is_ok_and(|listed| listed > room) {
            return Err(ExpectedText::new(format!("at most {MAX_LISTED} numbers")));
        }
        numbers.extend(start..=end);
    }
    Ok(numbers)
}

/// Pairs `key=value` parted by commas, trimmed, with exactly one `=` each.
///
/// # Errors
///
/// [`ExpectedText`] when a pair has no `=` or several.
pub fn map(text: &str) -> Result<BTreeMap<String, String>, ExpectedText> {
    text.split(',')
        .map(|pair| {
            let mut halves = pair.split('=');
            match (halves.next(), halves.next(), halves.next()) {
                (Some(key), Some(value), None) => {
                    Ok((key.trim().to_owned(), value.trim().to_owned()))
                }
                _ => Err(ExpectedText::new(
                    "pairs such as key=value,key2=value2, with one = each",
                )),
            }
        })
        .collect()
}

/// A word of a closed list. KEDA splits the text on commas and lets it pass, whole, when every piece is allowed.
///
/// # Errors
///
/// [`ExpectedText`] with the list when a piece is not on it. Upper and lower case differ.
pub fn one_of<'t>(text: &'t str, allowed: &[&str]) -> Result<&'t str, ExpectedText> {
    if text.split(',').all(|piece| allowed.contains(&piece.trim())) {
        Ok(text)
    } else {
        Err(ExpectedText::new(format!("one of {}", allowed.join(", "))))
    }
}

/// The text without the white space that JSON allows around a value, if it is a JSON number.
fn json_number(text: &str) -> Option<&str> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let (whole, rest) = digits(text.strip_prefix('-').unwrap_or(text));
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(rest) => match digits(rest) {
            ("", _) => return None,
            (_, rest) => rest,
        },
    };
    let rest = match rest.strip_prefix(['e', 'E']) {
        None => rest,
        Some(rest) => match digits(rest.strip_prefix(['+', '-']).unwrap_or(rest)) {
            ("", _) => return None,
            (_, rest) => rest,
        },
    };
    rest.is_empty().then_some(text)
}

/// The leading ASCII digits, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Nanoseconds of what Go's `time.ParseDuration` accepts, if they are not negative.
pub(in crate::resource) fn go_duration(text: &str) -> Option<u64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_end = after
            .find(|character: char| character == '.' || character.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit = nanoseconds_of(unit)?;
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total
            .checked_add(whole.checked_mul(unit)?)?
            .checked_add(fraction_of(fraction, unit))?;
        rest = after;
    }
    (!negative || total == 0).then_some(total)
}

/// Nanoseconds of one Go duration unit.
fn nanoseconds_of(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

/// Nanoseconds of `0.{digits}` units, cut to whole ones. Digits beyond the fifteenth do not reach a nanosecond of an hour.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let mut part = u128::from(unit);
    let mut sum: u128 = 0;
    let mut scale: u128 = 1;
    for digit in digits.bytes().take(15) {
        scale *= 10;
        sum = sum * 10 + u128::from(digit - b'0');
    }
    part = part * sum / scale;
    u64::try_from(part).expect("a fraction of a unit is less than the unit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("+5s", Some(5_000_000_000)),
            (".5s", Some(500_000_000)),
            ("5.s", Some(5_000_000_000)),
            ("1h2m3.004s", Some(3_723_004_000_000)),
            ("2\u{b5}s", Some(2_000)),
            ("2\u{3bc}s", Some(2_000)),
            ("-0s", Some(0)),
            ("0.3333333333333333333h", Some(1_199_999_999_999)),
            ("2562047h", Some(9_223_369_200_000_000_000)),
            ("2562048h", None),
            (".s", None),
            ("s", None),
            ("5", Some(5_000_000)),
            ("5 s", None),
            ("1s-1s", None),
            ("", None),
            ("+", None),
        ] {
            assert_eq!(
                duration(text).ok(),
                nanoseconds.map(Duration::from_nanos),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_range_as_wide_as_the_memory_is_refused() {
        assert!(integers("0-999999").is_ok());
        assert!(integers("0-1000000").is_err());
        assert!(integers("0-999999,7").is_err());
        assert!(integers("0-9223372036854775807").is_err());
    }

    #[test]
    fn what_was_expected_never_repeats_the_value() {
        let canary = "canary7";
        let texts = [
            integer(canary).unwrap_err(),
            float(canary).unwrap_err(),
            boolean(canary).unwrap_err(),
            duration(canary).unwrap_err(),
            integers(canary).unwrap_err(),
            map(canary).unwrap_err(),
            one_of(canary, &["a"]).unwrap_err(),
        ];
        for text in texts {
            assert!(!text.as_str().contains(canary), "{text:?}");
        }
    }
}
