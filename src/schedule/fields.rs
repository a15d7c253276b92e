//! The five fields: what each may hold, and the set of values it names.

use super::Error;
use super::expression::quoted;

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) least: u8,
    pub(super) most: u8,
    names: &'static [&'static str],
}

impl Field {
    pub(super) const MINUTE: Self = Self::numbers("minute", 0, 59);
    pub(super) const HOUR: Self = Self::numbers("hour", 0, 23);
    pub(super) const DAY_OF_MONTH: Self = Self::numbers("day of month", 1, 31);
    pub(super) const MONTH: Self = Self {
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
        ..Self::numbers("month", 1, 12)
    };
    pub(super) const DAY_OF_WEEK: Self = Self {
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        ..Self::numbers("day of week", 0, 6)
    };

    const fn numbers(name: &'static str, least: u8, most: u8) -> Self {
        Self {
            name,
            least,
            most,
            names: &[],
        }
    }
}

/// The values that one field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldSet {
    /// Bit n is value n.
    pub(super) bits: u64,
    /// Whether a `*` or `?` stands in it, for which of the two day fields counts. `*/2` has none.
    pub(super) is_star: bool,
    /// Whether a `*` or `?` is written at all.
    pub(super) has_star: bool,
}

impl FieldSet {
    pub(super) const fn only(value: u8) -> Self {
        Self {
            bits: 1 << value,
            is_star: false,
            has_star: false,
        }
    }

    pub(super) const fn every(field: Field) -> Self {
        Self {
            bits: (u64::MAX >> (63 - field.most)) & (u64::MAX << field.least),
            is_star: true,
            has_star: true,
        }
    }

    pub(super) const fn has(self, value: u8) -> bool {
        self.bits >> value & 1 == 1
    }

    /// A list of values, ranges and steps. Empty places in it name nothing, and nor does a list of them.
    fn parse(text: &str, field: Field) -> Result<Self, Error> {
        let mut set = Self {
            bits: 0,
            is_star: false,
            has_star: false,
        };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let part = Self::part(part, field).map_err(|wanted| Error::Field {
                field: field.name,
                found: quoted(part),
                wanted,
            })?;
            set.bits |= part.bits;
            set.is_star |= part.is_star;
            set.has_star |= part.has_star;
        }
        Ok(set)
    }

    /// A value, a range or a star, with a step or without. What is wrong with it otherwise.
    fn part(text: &str, field: Field) -> Result<Self, String> {
        let mut steps = text.split('/');
        let range = steps.next().unwrap_or_default();
        let step = steps.next();
        if steps.next().is_some() {
            return Err("has two steps; one is the most".to_owned());
        }
        let mut ends = range.split('-');
        let low = ends.next().unwrap_or_default();
        let high = ends.next();
        let is_star = low == "*" || low == "?";
        let (start, mut end) = if is_star {
            // What follows a star's hyphen is not looked at.
            (u64::from(field.least), u64::from(field.most))
        } else {
            let start = value(low, field, text)?;
            let end = match high {
                Some(high) => value(high, field, text)?,
                None => start,
            };
            if ends.next().is_some() {
                return Err("has two hyphens; a range has one".to_owned());
            }
            (start, end)
        };
        let mut every = 1;
        if let Some(step) = step {
            every = number(step)
                .ok_or_else(|| format!("has the step {}, which is no number", quoted(step)))?;
            if high.is_none() {
                end = u64::from(field.most);
            }
        }
        in_range(start, end, field, text)?;
        if every == 0 {
            return Err("has the step 0; 1 is the least".to_owned());
        }
        let mut bits = 0;
        let mut at = start;
        while at <= end {
            bits |= 1 << at;
            at = at.saturating_add(every);
        }
        Ok(Self {
            bits,
            is_star: is_star && every == 1,
            has_star: is_star,
        })
    }
}

fn in_range(start: u64, end: u64, field: Field, text: &str) -> Result<(), String> {
    let (least, most) = (u64::from(field.least), u64::from(field.most));
    let outside = [start, end]
        .into_iter()
        .find(|value| !(least..=most).contains(value));
    if let Some(value) = outside {
        let hint = match (field.name, value) {
            ("day of week", 7) => ": Sunday is 0",
            ("hour", 24) => ": midnight is hour 0",
            _ => "",
        };
        let what = if value.to_string() == text {
            String::new()
        } else {
            format!("has {value}, which ")
        };
        return Err(format!("{what}is not one of {least} to {most}{hint}"));
    }
    if start > end {
        return Err(format!(
            "ends before it starts; write {}{},{}{}",
            span(start, most),
            if text.contains('/') {
                " with the step"
            } else {
                ""
            },
            span(least, end),
            if field.name == "day of week" {
                ", as Sunday is 0"
            } else {
                ""
            },
        ));
    }
    Ok(())
}

fn span(from: u64, to: u64) -> String {
    if from == to {
        from.to_string()
    } else {
        format!("{from}-{to}")
    }
}

fn value(text: &str, field: Field, part: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(at) = field.names.iter().position(|name| *name == lower) {
        let at = u64::try_from(at).unwrap_or_default();
        return Ok(at + u64::from(field.least));
    }
    number(text).ok_or_else(|| not_a_value(text, &lower, field, part))
}

fn not_a_value(text: &str, lower: &str, field: Field, part: &str) -> String {
    let (least, most) = (field.least, field.most);
    let long_name = lower
        .get(..3)
        .filter(|short| lower.len() > 3 && field.names.contains(short));
    if let Some(short) = long_name {
        return format!("has a long name; names have three letters: {short}");
    }
    if text.is_empty() {
        return format!("misses a number from {least} to {most}");
    }
    if lower == "h" || lower.starts_with("h(") {
        return "is Jenkins'; CronJob's schedules have no H. Write a number, and splay to spread the starts".to_owned();
    }
    let quartz = match field.name {
        "day of month" => part.contains(['L', 'W']),
        "day of week" => part.contains(['L', '#']),
        _ => false,
    };
    if quartz {
        return "is Quartz's; CronJob's schedules have no L, W and #. Write numbers".to_owned();
    }
    let names = match field.names {
        [] => String::new(),
        [first, .., end] => format!(" or a name from {first} to {end}"),
        [only] => format!(" or {only}"),
    };
    format!("is no number from {least} to {most}{names}, and no range, list or step of them")
}

/// A whole number as Go reads it: with a plus sign or without, never negative.
fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse::<i64>().ok()?;
    u64::try_from(number).ok()
}

/// All five.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldSets {
    pub(super) minute: FieldSet,
    pub(super) hour: FieldSet,
    pub(super) day_of_month: FieldSet,
    pub(super) month: FieldSet,
    pub(super) day_of_week: FieldSet,
}

impl FieldSets {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
            return Err(match fields.len() {
                0 => Error::Empty,
                found => Error::FieldCount { found },
            });
        };
        Ok(Self {
            minute: FieldSet::parse(minute, Field::MINUTE)?,
            hour: FieldSet::parse(hour, Field::HOUR)?,
            day_of_month: FieldSet::parse(day_of_month, Field::DAY_OF_MONTH)?,
            month: FieldSet::parse(month, Field::MONTH)?,
            day_of_week: FieldSet::parse(day_of_week, Field::DAY_OF_WEEK)?,
        })
    }

    /// Whether a star stands in one of the two day fields, so that both must agree; either is enough otherwise.
    pub(super) const fn days_agree(&self) -> bool {
        self.day_of_month.is_star || self.day_of_week.is_star
    }

    /// Whether it is due on such a day; `weekday` counts from Sunday, 0.
    pub(super) const fn is_day(&self, month: u8, day: u8, weekday: u8) -> bool {
        if !self.month.has(month) {
            return false;
        }
        let by_date = self.day_of_month.has(day);
        let by_weekday = self.day_of_week.has(weekday);
        if self.days_agree() {
            by_date && by_weekday
        } else {
            by_date || by_weekday
        }
    }
}
