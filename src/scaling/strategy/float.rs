//! Go's text form of floats, which decides whether `custom` is really selected.
//!
//! Source: Go, `strconv.ParseFloat`: `readFloat` and `special` in `strconv/atof.go`.

/// Parses a float as Go's `strconv.ParseFloat(text, 64)` does; `None` where Go returns an error.
///
/// Go takes more than Rust: hexadecimal floats (`0x1p-1`), underscores between
/// digits (`1_0.5`). And less: `+nan`, and numbers too large for a float64 are errors.
pub fn parse(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'+' => (false, &text[1..]),
        b'-' => (true, &text[1..]),
        _ => (false, text),
    };
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let infinite =
        unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity");
    let magnitude = if infinite {
        f64::INFINITY
    } else if !underscores_separate_digits(unsigned) {
        return None;
    } else {
        let digits = unsigned.replace('_', "");
        let parsed = match digits.get(..2) {
            Some("0x" | "0X") => parse_hexadecimal(&digits[2..])?,
            _ => parse_decimal(&digits)?,
        };
        // Go's ErrRange.
        Some(parsed).filter(|value| value.is_finite())?
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Underscores stand only between digits, or between a base prefix and a digit.
/// Source: Go, `underscoreOK` in `strconv/atoi.go`.
fn underscores_separate_digits(unsigned: &str) -> bool {
    let hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    let number = if hexadecimal {
        &unsigned[2..]
    } else {
        unsigned
    };
    let mut before = if hexadecimal { '0' } else { '.' };
    for character in number.chars() {
        let digit = character.is_ascii_digit() || hexadecimal && character.is_ascii_hexdigit();
        let now = match character {
            '_' if before == '0' => '_',
            '_' => return false,
            _ if digit => '0',
            _ if before == '_' => return false,
            _ => '.',
        };
        before = now;
    }
    before != '_'
}

/// Rust's own parser agrees with Go on decimal digits, but also knows words and signs.
fn parse_decimal(digits: &str) -> Option<f64> {
    let starts =
        |text: &str| text.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    starts(digits).then(|| digits.parse().ok()).flatten()
}

/// A hexadecimal float after its `0x`, rounded half to even. The exponent is required.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Go, too, stops counting at ten thousand; no mantissa that a person writes brings it back.
    let written = exponent_digits.parse::<i64>().unwrap_or(10_000).min(10_000);
    let mut exponent = if exponent.starts_with('-') {
        -written
    } else {
        written
    };

    let mut bits: u64 = 0;
    let mut lost = false;
    for (digits, width) in [(whole, 0), (fraction, 4)] {
        for character in digits.chars() {
            let digit = u64::from(character.to_digit(16)?);
            if bits >> 60 == 0 {
                bits = bits << 4 | digit;
                exponent -= width;
            } else {
                lost |= digit != 0;
                exponent += 4 - width;
            }
        }
    }
    Some(nearest(bits, lost, exponent))
}

/// `bits × 2^exponent` as the nearest float, halves to even. `lost` says that more than nothing was cut off below `bits`.
fn nearest(bits: u64, lost: bool, exponent: i64) -> f64 {
    /// Bits of a float64's mantissa, the hidden one included.
    const MANTISSA: i64 = 53;
    /// Exponent of the smallest positive float64, 2^-1074.
    const SMALLEST: i64 = -1074;

    if bits == 0 {
        return 0.0;
    }
    let shift = i64::from(bits.leading_zeros());
    let (bits, exponent) = (bits << shift, exponent - shift);
    // Subnormal numbers keep fewer bits.
    let dropped = (64 - MANTISSA).max(SMALLEST - exponent);
    if dropped > 64 {
        return 0.0;
    }
    let wide = u128::from(bits);
    let kept = wide >> dropped;
    let rest = wide & ((1 << dropped) - 1);
    let half = 1_u128 << (dropped - 1);
    let up = rest > half || rest == half && (lost || kept & 1 == 1);
    let exponent = i32::try_from(exponent + dropped).unwrap_or(i32::MAX);
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53: exact")]
    let kept = (kept + u128::from(up)) as f64;
    // In two steps, each exact, because 2^-1074 alone is out of `powi`'s reach.
    let first = (exponent / 2).clamp(-1100, 1100);
    let second = (exponent - exponent / 2).clamp(-1100, 1100);
    kept * 2_f64.powi(first) * 2_f64.powi(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_floats_round_as_go_does() {
        for (text, expected) in [
            ("0x1p-1", Some(0.5)),
            ("0X1P-1", Some(0.5)),
            ("-0x.8p1", Some(-1.0)),
            ("0x1.8p1", Some(3.0)),
            ("0x_1p0", Some(1.0)),
            ("0x1_0p0", Some(16.0)),
            ("0x1.fffffffffffff8p0", Some(2.0)),
            ("0x1.00000000000008p0", Some(1.0)),
            ("0x1.00000000000008000000000001p0", Some(1.0 + f64::EPSILON)),
            // More digits than 64 bits hold.
            ("0x1.0000000000000800000000000p0", Some(1.0)),
            ("0x10000000000000000000p0", Some(2_f64.powi(76))),
            ("0x1.fffffffffffffp1023", Some(f64::MAX)),
            ("0x1.fffffffffffff7p1023", Some(f64::MAX)),
            ("0x1.fffffffffffff8p1023", None),
            ("0x1p1024", None),
            ("0x1p99999999999999999999", None),
            ("0x1p-1074", Some(f64::from_bits(1))),
            ("0x1p-1075", Some(0.0)),
            ("0x1.8p-1075", Some(f64::from_bits(1))),
            ("0x1p-1022", Some(f64::MIN_POSITIVE)),
            ("0x1p-99999", Some(0.0)),
            ("0x0p99999", Some(0.0)),
            ("0x1", None),
            ("0xp1", None),
            ("0x.p1", None),
            ("0x1p", None),
            ("0x1p+", None),
            ("0x1p+_1", None),
            ("0x1p-", None),
            ("0x1p-1a", None),
            ("0x1.2.3p1", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn decimal_floats_parse_as_in_go() {
        for (text, expected) in [
            ("1_000.5", Some(1000.5)),
            ("1_0e1_0", Some(10e10)),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("1_.5", None),
            ("1._5", None),
            ("", None),
            ("+", None),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("--1", None),
            ("+-1", None),
            ("-+1", None),
            ("infi", None),
            ("+infinity", Some(f64::INFINITY)),
            ("-INF", Some(f64::NEG_INFINITY)),
            ("+nan", None),
            ("-nan", None),
            ("in_f", None),
            ("1.7976931348623157e308", Some(f64::MAX)),
            ("1.8e308", None),
            ("1e-400", Some(0.0)),
            ("é", None),
            ("0é", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
