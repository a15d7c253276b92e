//! What an expression means and its author may not: the texts that `check` shows.

use super::Expression;
use super::expression::Timing;
use super::fields::{Field, FieldSet, FieldSets};

/// Days of the longest form of each month.
const DAYS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Expression {
    /// What is surprising about it, each in a sentence without its full stop.
    pub fn traps(&self) -> Vec<String> {
        match &self.timing {
            Timing::Fields(sets) => of_fields(self.text(), sets),
            Timing::Every { .. } => Vec::new(),
        }
    }

    /// Whether it names one minute of an hour, rather than all of them or several.
    pub fn names_one_minute(&self) -> bool {
        self.sets()
            .is_some_and(|sets| sets.minute.bits.is_power_of_two())
    }

    /// Whether there is no instant at which it is due.
    pub fn is_never_due(&self) -> bool {
        self.sets().is_some_and(|sets| never_why(sets).is_some())
    }
}

fn of_fields(text: &str, sets: &FieldSets) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(why) = never_why(sets) {
        found.push(format!("is never due: {why}"));
        return found;
    }
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !word.contains('='))
        .collect();
    let [minute, hour, day_of_month, month, day_of_week] = words[..] else {
        return found;
    };
    days(sets, [day_of_month, day_of_week], &mut found);
    let fields = [
        (Field::MINUTE, minute),
        (Field::HOUR, hour),
        (Field::DAY_OF_MONTH, day_of_month),
        (Field::MONTH, month),
        (Field::DAY_OF_WEEK, day_of_week),
    ];
    for (field, word) in fields {
        parts(field, word, &mut found);
    }
    if sets.minute.is_star && !sets.hour.is_star {
        found.push(format!(
            "is due in every minute of the hours {hour}: for once an hour write a number in the first field"
        ));
    }
    found
}

/// How the two day fields go together.
fn days(sets: &FieldSets, [day_of_month, day_of_week]: [&str; 2], found: &mut Vec<String>) {
    let all = |set: FieldSet, field: Field| set.bits == FieldSet::every(field).bits;
    let restricts_date = !all(sets.day_of_month, Field::DAY_OF_MONTH);
    let restricts_weekday = !all(sets.day_of_week, Field::DAY_OF_WEEK);
    if !sets.days_agree() {
        let step = [day_of_month, day_of_week]
            .into_iter()
            .find(|word| word.starts_with(['*', '?']));
        let because = step.map_or_else(String::new, |word| {
            format!(", because {word} does not count as *")
        });
        found.push(format!(
            "is due when the day of month ({day_of_month}) or the day of week ({day_of_week}) fits, not only when both do{because}"
        ));
    } else if restricts_date && restricts_weekday {
        found.push(format!(
            "is due only when both the day of month ({day_of_month}) and the day of week ({day_of_week}) fit, because of the * in one of them"
        ));
    }
    let only_leap = sets.month.bits == 1 << 2 && sets.day_of_month.bits == 1 << 29;
    if !restricts_date || (!sets.days_agree() && restricts_weekday) {
        return;
    }
    let least = sets.day_of_month.bits.trailing_zeros();
    if only_leap {
        found.push("is due in leap years only".to_owned());
    } else if least > 28 && sets.days_agree() {
        let left_out = (1..)
            .zip(DAYS)
            .any(|(month, days)| sets.month.has(month) && least > u32::from(days));
        if left_out {
            found.push(format!("leaves out the months that have no day {least}"));
        } else if least > 28 && sets.month.has(2) {
            found.push("leaves out February in most years".to_owned());
        }
    }
}

/// What is odd in one field.
fn parts(field: Field, word: &str, found: &mut Vec<String>) {
    let name = field.name;
    let size = u64::from(field.most - field.least) + 1;
    for part in word.split(',') {
        if part.is_empty() {
            found.push(format!(
                "{name}: the list {word} has an empty place, which names nothing"
            ));
            continue;
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u64>().ok()),
            None => (part, None),
        };
        if range.starts_with(['*', '?']) && range.len() > 1 {
            found.push(format!(
                "{name}: {part} is a *; what stands behind the hyphen is not looked at"
            ));
        }
        if range.len() > 1
            && range.starts_with('0')
            && range.bytes().all(|digit| digit.is_ascii_digit())
        {
            let plain = range.trim_start_matches('0');
            let plain = if plain.is_empty() { "0" } else { plain };
            if plain.len() > 1 {
                found.push(format!(
                    "{name}: {range} is {plain}: a leading zero changes nothing"
                ));
            }
        }
        let Some(step) = step else { continue };
        if step >= size {
            let least = if range.starts_with(['*', '?']) {
                field.least.to_string()
            } else {
                range.split('-').next().unwrap_or_default().to_owned()
            };
            found.push(format!(
                "{name}: {part} names only {least}, as the step is larger than the field"
            ));
        } else if range.starts_with(['*', '?'])
            && step > 1
            && size % step != 0
            && matches!(name, "minute" | "hour")
        {
            let last = (size - 1) / step * step;
            found.push(format!(
                "{name}: {part} starts anew at 0: {} {}s lie between {last} and 0, not {step}",
                size - last,
                name
            ));
        }
    }
}

/// Why no instant is ever due; `None` when there is one.
fn never_why(sets: &FieldSets) -> Option<String> {
    for (set, field) in [
        (sets.minute, Field::MINUTE),
        (sets.hour, Field::HOUR),
        (sets.month, Field::MONTH),
    ] {
        if set.bits == 0 {
            return Some(format!("the field {} names nothing", field.name));
        }
    }
    let by_weekday = sets.day_of_week.bits != 0;
    let by_date = (1..).zip(DAYS).any(|(month, days)| {
        sets.month.has(month) && (1..=days).any(|day| sets.day_of_month.has(day))
    });
    let ever = if sets.days_agree() {
        by_weekday && by_date
    } else {
        by_weekday || by_date
    };
    if ever {
        return None;
    }
    Some(
        if sets.day_of_month.bits == 0 || (sets.days_agree() && !by_weekday) {
            "its day fields name nothing".to_owned()
        } else {
            "none of its months has such a day".to_owned()
        },
    )
}
