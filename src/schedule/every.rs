//! Durations as Go reads them, for `@every`.

/// Nanoseconds of a second.
pub(super) const SECOND: i128 = 1_000_000_000;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    // The micro sign, and the Greek letter.
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];

/// Nanoseconds of a text such as `1h30m`; what is wrong with it otherwise.
///
/// Source: Go's `time.ParseDuration`.
pub(super) fn parse(text: &str) -> Result<i128, String> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err("no number is written".to_owned());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, behind) = one(rest)?;
        total += nanoseconds;
        if sign * total > i128::from(i64::MAX) || sign * total < i128::from(i64::MIN) {
            return Err("it is longer than 292 years".to_owned());
        }
        rest = behind;
    }
    Ok(sign * total)
}

/// One number with its unit, and what stands behind it.
fn one(text: &str) -> Result<(i128, &str), String> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err("a number with a unit is missing".to_owned());
    }
    let end = rest
        .find(|letter: char| letter == '.' || letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, behind) = rest.split_at(end);
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => "a unit is missing: s, m or h".to_owned(),
            "d" | "w" => format!("there is no unit {unit}; a day is 24h"),
            _ => "units are ns, us, ms, s, m and h, with no blanks".to_owned(),
        });
    };
    // 19 digits are more than any number of nanoseconds has.
    let too_long = || "it is longer than 292 years".to_owned();
    let whole = match whole.trim_start_matches('0') {
        "" => 0,
        whole if whole.len() > 19 => return Err(too_long()),
        whole => whole.parse::<i128>().map_err(|_| too_long())?,
    };
    let mut nanoseconds = whole * scale;
    let mut part = *scale;
    for digit in fraction.bytes().take(18) {
        // What is below a nanosecond is cut.
        nanoseconds += i128::from(digit - b'0') * part / 10;
        part /= 10;
        if part == 0 {
            break;
        }
    }
    Ok((nanoseconds, behind))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}
