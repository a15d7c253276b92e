//! Reads a mapping field by field, and remembers everything that is wrong with it.
//!
//! A deserializer stops at the first mistake; people want all of them at once.
//! What a mapping may hold is what its reader asks for: the rest is a typo.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::resource::Fault;

/// The faults found so far, shared by all [`Fields`] of a document.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, field: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(Fault::at(field, message));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// One mapping of a document.
pub(super) struct Fields<'a> {
    path: String,
    value: &'a Value,
    map: &'a Map<String, Value>,
    faults: &'a Faults,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The mapping at `path`; a fault when `value` is something else.
    pub(super) fn new(path: &str, value: &'a Value, faults: &'a Faults) -> Option<Self> {
        let Value::Object(map) = value else {
            faults.add(path, format!("must be a mapping, not {}", name_of(value)));
            return None;
        };
        Some(Self {
            path: path.to_owned(),
            value,
            map,
            faults,
            known: RefCell::default(),
        })
    }

    /// Remembers a fault at one of the mapping's fields, or at the mapping itself for the empty key.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        let path = match key {
            "" => self.path.clone(),
            key => self.path(key),
        };
        self.faults.add(path, message);
    }

    /// The mapping itself, untouched.
    pub(super) fn whole(&self) -> &'a Value {
        self.value
    }

    /// Whether something is written at a key that is then not taken for known.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// The mappings of a list, those that are mappings; `None` when there is no list.
    pub(super) fn mappings(&self, key: &'static str) -> Option<Vec<Fields<'a>>> {
        let list = self.list(key)?;
        let mapping = |(index, value)| {
            let path = self.path(&format!("{key}[{index}]"));
            Self::new(&path, value, self.faults)
        };
        Some(list.iter().enumerate().filter_map(mapping).collect())
    }

    /// The path of one of the mapping's fields.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// A field's value; null is absent, as it is to the API server.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub(super) fn required(&self, key: &'static str) -> Option<&'a Value> {
        let value = self.get(key);
        if value.is_none() {
            self.faults.add(self.path(key), "is required");
        }
        value
    }

    fn wrong(&self, key: &str, expected: &str, value: &Value) {
        let mut message = format!("must be {expected}, not {}", name_of(value));
        if expected == "text" && (value.is_number() || value.is_boolean()) {
            message.push_str(": put it in quotes");
        }
        self.faults.add(self.path(key), message);
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Option<&'a str> {
        let value = self.get(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong(key, "text", value);
        }
        text
    }

    /// A text that must be there, and not be empty.
    pub(super) fn required_text(&self, key: &'static str) -> Option<&'a str> {
        self.required(key)?;
        let text = self.text(key)?;
        if text.is_empty() {
            self.faults.add(self.path(key), "must not be empty");
            return None;
        }
        Some(text)
    }

    /// A text out of a closed list; the empty text counts as absent.
    pub(super) fn choice(
        &self,
        key: &'static str,
        choices: &[&'static str],
    ) -> Option<&'static str> {
        let text = self.text(key)?;
        let found = choices.iter().find(|choice| **choice == text);
        if found.is_none() {
            let mut message = format!("must be one of {}, not {text:?}", choices.join(", "));
            suggest(&mut message, text, choices);
            self.faults.add(self.path(key), message);
        }
        found.copied()
    }

    /// As [`Fields::choice`]; an empty text is as good as none, as in KEDA.
    pub(super) fn choice_or_empty(
        &self,
        key: &'static str,
        choices: &[&'static str],
    ) -> Option<&'static str> {
        self.text(key).filter(|text| !text.is_empty())?;
        self.choice(key, choices)
    }

    /// Whether a switch is on; off when absent.
    pub(super) fn switch(&self, key: &'static str) -> bool {
        let Some(value) = self.get(key) else {
            return false;
        };
        if !value.is_boolean() {
            self.wrong(key, "true or false", value);
        }
        value.as_bool().unwrap_or(false)
    }

    /// A whole number within a range, whose end is KEDA's `int32`.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<i32>) -> Option<i32> {
        let value = self.get(key)?;
        if !value.is_number() {
            self.wrong(key, "a whole number", value);
            return None;
        }
        let number = value
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            // The largest is named to whom it concerns.
            let is_too_large = value.as_f64() > Some(f64::from(i32::MAX));
            let has_least = *range.end() == i32::MAX && *range.start() > i32::MIN;
            let expected = if has_least && !is_too_large {
                format!("a whole number, {} or more", range.start())
            } else {
                format!("a whole number from {} to {}", range.start(), range.end())
            };
            self.faults
                .add(self.path(key), format!("must be {expected}, not {value}"));
        }
        number
    }

    /// [`Self::integer`] from 0 or 1 up, as a count.
    pub(super) fn count(&self, key: &'static str, least: i32) -> Option<u32> {
        let number = self.integer(key, least..=i32::MAX)?;
        u32::try_from(number).ok()
    }

    /// A list; a fault for anything else.
    pub(super) fn list(&self, key: &'static str) -> Option<&'a Vec<Value>> {
        let value = self.get(key)?;
        let list = value.as_array();
        if list.is_none() {
            self.wrong(key, "a list", value);
        }
        list
    }

    /// A list of texts; empty when absent.
    pub(super) fn texts(&self, key: &'static str) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, value) in self.list(key).into_iter().flatten().enumerate() {
            match value.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.wrong(&format!("{key}[{index}]"), "text", value),
            }
        }
        texts
    }

    /// A mapping from text to text; empty when absent.
    pub(super) fn text_map(&self, key: &'static str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let Some(value) = self.get(key) else {
            return map;
        };
        let Some(fields) = Self::new(&self.path(key), value, self.faults) else {
            return map;
        };
        for (name, value) in fields.map {
            match value {
                Value::String(text) => {
                    map.insert(name.clone(), text.clone());
                }
                // The API server reads null as the empty text here.
                Value::Null => {
                    map.insert(name.clone(), String::new());
                }
                other => fields.wrong(name, "text", other),
            }
        }
        map
    }

    /// A mapping below this one.
    pub(super) fn fields(&self, key: &'static str) -> Option<Fields<'a>> {
        Self::new(&self.path(key), self.get(key)?, self.faults)
    }

    /// Every field that nobody has asked for is a fault. Call it last.
    pub(super) fn refuse_others(&self) {
        self.refuse_others_but(&[]);
    }

    /// The same, past fields that have been spoken of otherwise.
    pub(super) fn refuse_others_but(&self, spoken_of: &[&str]) {
        let known = self.known.borrow();
        for key in self.map.keys() {
            if known.contains(&key.as_str()) || spoken_of.contains(&key.as_str()) {
                continue;
            }
            let mut message = String::from("there is no such field");
            if !suggest(&mut message, key, &known) {
                let mut names = known.clone();
                names.sort_unstable();
                names.dedup();
                write!(message, "; there are {}", names.join(", ")).expect("a String takes all");
            }
            self.faults.add(self.path(key), message);
        }
    }
}

/// The path of a field below `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    let (bare, index) = key.split_at(key.find('[').unwrap_or(key.len()));
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if bare.is_empty() || !bare.chars().all(plain) {
        format!("{path}[\"{key}\"]")
    } else if path.is_empty() {
        format!("{bare}{index}")
    } else {
        format!("{path}.{bare}{index}")
    }
}

/// Adds "did you mean" when a known word is near; whether it did.
pub(super) fn suggest(message: &mut String, written: &str, known: &[&str]) -> bool {
    let lower = written.to_lowercase();
    let near = known
        .iter()
        .map(|word| (distance(&lower, &word.to_lowercase()), word))
        .min_by_key(|(distance, _)| *distance);
    // A third of a word mistyped is still that word; more is another one.
    let Some((_, word)) = near.filter(|(distance, word)| *distance * 3 <= word.len()) else {
        return false;
    };
    write!(message, "; did you mean {word}?").expect("a String takes all");
    true
}

/// Letters to insert, remove, replace or swap with their neighbour, to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for row in 0..=from.len() {
        for column in 0..=to.len() {
            rows[row][column] = if row == 0 || column == 0 {
                row.max(column)
            } else {
                let replaced = usize::from(from[row - 1] != to[column - 1]);
                let mut least = (rows[row - 1][column] + 1)
                    .min(rows[row][column - 1] + 1)
                    .min(rows[row - 1][column - 1] + replaced);
                let swapped = row > 1
                    && column > 1
                    && from[row - 1] == to[column - 2]
                    && from[row - 2] == to[column - 1];
                if swapped {
                    least = least.min(rows[row - 2][column - 2] + 1);
                }
                least
            };
        }
    }
    rows[from.len()][to.len()]
}

pub(super) fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_mistake_is_found_in_one_pass() {
        let value = json!({
            "text": 5, "choice": "acurate", "switch": "yes", "count": -1, "large": 3_000_000_000_i64, "wide": 3_000_000_000_i64,
            "texts": ["a", 1], "map": {"a.b": true, "ok": "x"}, "swicth": true, "other": 1, "none": null
        });
        let faults = Faults::default();
        let fields = Fields::new("spec", &value, &faults).unwrap();
        fields.text("text");
        fields.choice("choice", &["default", "accurate"]);
        fields.switch("switch");
        fields.count("count", 0);
        fields.count("large", 1);
        fields.integer("wide", i32::MIN..=i32::MAX);
        assert_eq!(fields.texts("texts"), ["a"]);
        assert_eq!(fields.text_map("map").len(), 1);
        fields.required("none");
        fields.refuse_others();
        let texts: Vec<_> = faults.into_vec().iter().map(Fault::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.text: must be text, not a number: put it in quotes",
                "spec.choice: must be one of default, accurate, not \"acurate\"; did you mean accurate?",
                "spec.switch: must be true or false, not text",
                "spec.count: must be a whole number, 0 or more, not -1",
                "spec.large: must be a whole number from 1 to 2147483647, not 3000000000",
                "spec.wide: must be a whole number from -2147483648 to 2147483647, not 3000000000",
                "spec.texts[1]: must be text, not a number: put it in quotes",
                "spec.map[\"a.b\"]: must be text, not true or false: put it in quotes",
                "spec.none: is required",
                "spec.swicth: there is no such field; did you mean switch?",
                "spec.other: there is no such field; there are choice, count, large, map, none, switch, text, texts, wide",
            ]
        );
    }

    #[test]
    fn words_are_near_by_letters_and_swaps() {
        assert_eq!(distance("swicth", "switch"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(join("", "spec"), "spec");
        assert_eq!(join("a", "b[2]"), "a.b[2]");
        assert_eq!(join("a", "x/y"), "a[\"x/y\"]");
    }
}
