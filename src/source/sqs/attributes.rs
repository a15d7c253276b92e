//! From a queue's attributes to a backlog. Pure.

use std::collections::BTreeMap;

/// The numbers of a queue that a trigger may count.
///
/// Source: SQS API reference, GetQueueAttributes. Each may trail the truth by a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// `ApproximateNumberOfMessages`: waiting.
    Visible,
    /// `ApproximateNumberOfMessagesNotVisible`: held by a consumer.
    InFlight,
    /// `ApproximateNumberOfMessagesDelayed`: not due yet.
    Delayed,
}

impl Attribute {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Visible, Self::InFlight, Self::Delayed];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Visible => "ApproximateNumberOfMessages",
            Self::InFlight => "ApproximateNumberOfMessagesNotVisible",
            Self::Delayed => "ApproximateNumberOfMessagesDelayed",
        }
    }

    /// What a trigger counts, by `scaleOnInFlight` and `scaleOnDelayed`.
    pub fn asked(in_flight: bool, delayed: bool) -> Vec<Self> {
        let mut asked = vec![Self::Visible];
        asked.extend(in_flight.then_some(Self::InFlight));
        asked.extend(delayed.then_some(Self::Delayed));
        asked
    }
}

/// The messages that a trigger counts: the sum of the attributes it asked for.
///
/// # Errors
///
/// Which attribute is missing, is not a whole number, or is negative. What the
/// trigger did not ask for may be all of these.
pub fn waiting(answer: &BTreeMap<Attribute, String>, asked: &[Attribute]) -> Result<f64, String> {
    let mut sum: i128 = 0;
    for attribute in asked {
        let name = attribute.name();
        let text = answer
            .get(attribute)
            .ok_or_else(|| format!("{name} is missing"))?;
        let number: i64 = text
            .parse()
            .map_err(|_| format!("{name} is not a whole number"))?;
        if number < 0 {
            return Err(format!("{name} is negative"));
        }
        sum += i128::from(number);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact below 2^53; a queue of more messages is as good as that long"
    )]
    Ok(sum as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(visible: &str, in_flight: &str) -> Result<f64, String> {
        let answer = BTreeMap::from([
            (Attribute::Visible, visible.to_owned()),
            (Attribute::InFlight, in_flight.to_owned()),
        ]);
        waiting(&answer, &Attribute::asked(false, false))
    }

    #[test]
    fn what_is_not_asked_for_may_be_missing_or_wrong() {
        assert_eq!(check("3", "none"), Ok(3.0));
    }

    #[test]
    fn no_unusable_number_is_zero() {
        for text in ["", " ", "-1", "1.5", "9223372036854775808", "nine", "0x10"] {
            assert!(check(text, "0").is_err(), "{text}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_wrap() {
        let most = i64::MAX.to_string();
        let answer = Attribute::ALL.map(|attribute| (attribute, most.clone()));
        let sum = waiting(&BTreeMap::from(answer), &Attribute::ALL).unwrap();
        assert!(sum > 2.7e19);
    }
}
