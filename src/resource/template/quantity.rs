//! Quantities such as `500m` and `1Gi`.
//!
//! Source: Kubernetes, `apimachinery/pkg/api/resource`.

use serde_json::Value;

use super::place::TemplatePlace;

/// A number, exact as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quantity {
    value: f64,
}

impl Quantity {
    pub(super) fn is_negative(self) -> bool {
        self.value < 0.0
    }

    /// Whether it is surely above another; equal ones that rounding parts are not.
    pub(super) fn is_above(self, other: Self) -> bool {
        self.value > other.value + other.value.abs() * 1e-12
    }
}

/// The quantity that stands at a place; a fault when there is something else.
pub(super) fn of(place: &TemplatePlace<'_>) -> Option<Quantity> {
    let text = match place.value() {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let quantity = parse(&text);
    if quantity.is_none() {
        place.refuse("must be a quantity such as 500m, 2 or 1Gi");
    }
    quantity
}

fn parse(text: &str) -> Option<Quantity> {
    let end = text
        .char_indices()
        .skip(usize::from(text.starts_with(['+', '-'])))
        .find(|(_, c)| !c.is_ascii_digit() && *c != '.')
        .map_or(text.len(), |(at, _)| at);
    let (number, suffix) = text.split_at(end);
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    Some(Quantity {
        value: number * factor(suffix)?,
    })
}

fn factor(suffix: &str) -> Option<f64> {
    let binary = |power| 1024_f64.powi(power);
    let decimal = |power| 10_f64.powi(power);
    Some(match suffix {
        "" => 1.0,
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let power = exponent.strip_prefix(['e', 'E'])?;
            decimal(power.parse().ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, value) in [
            ("1", Some(1.0)),
            ("+1.5", Some(1.5)),
            ("-.5", Some(-0.5)),
            ("5.", Some(5.0)),
            ("500m", Some(0.5)),
            ("1Gi", Some(1_073_741_824.0)),
            ("1e3", Some(1000.0)),
            ("1E3", Some(1000.0)),
            ("1E", Some(1e18)),
            ("", None),
            (".", None),
            ("1gb", None),
            ("1 Gi", None),
            ("1K", None),
            ("1.2.3", None),
            ("Gi", None),
        ] {
            assert_eq!(parse(text).map(|quantity| quantity.value), value, "{text}");
        }
    }
}
