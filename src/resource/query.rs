//! A path to one value of an event: an RFC 9535 singular query.

mod parse;

use std::fmt;

use serde_json::Value;

use crate::resource::json_text;

/// A singular query: names and indexes, from the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    text: String,
    steps: Vec<PathStep>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum PathStep {
    Name(String),
    /// From the end when negative.
    Index(i64),
}

impl Query {
    /// Reads a query such as `$.detail['order-id'].items[0]`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, where, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self {
            text: text.to_owned(),
            steps: parse::steps(text)?,
        })
    }

    /// The value it leads to.
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(value, |value, step| match step {
            PathStep::Name(name) => value.as_object()?.get(name),
            PathStep::Index(index) => {
                let list = value.as_array()?;
                list.get(position(*index, list.len())?)
            }
        })
    }

    /// The same value in the JSON text that `value` was read from: numbers have the digits they were written with.
    pub fn find_written<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.walk(text).last_found
    }

    /// Whether a name on the way to it is there more than once: readers may disagree which one is meant.
    pub fn is_ambiguous_in(&self, text: &str) -> bool {
        self.walk(text).is_ambiguous
    }

    /// Goes as far as the text does; of a repeated name the last one leads on, as in a parsed value.
    fn walk<'a>(&self, text: &'a str) -> Walked<'a> {
        let mut walked = Walked {
            last_found: Some(text.trim_matches(json_text::is_space)),
            is_ambiguous: false,
        };
        for step in &self.steps {
            let Some(within) = walked.last_found else {
                return walked;
            };
            walked.last_found = match step {
                PathStep::Name(name) => {
                    let mut named = json_text::members(within)
                        .into_iter()
                        .flatten()
                        .filter(|(key, _)| key == name)
                        .map(|(_, text)| text);
                    let first = named.next();
                    let last = named.last();
                    walked.is_ambiguous |= last.is_some();
                    last.or(first)
                }
                PathStep::Index(index) => json_text::elements(within).and_then(|elements| {
                    let index = position(*index, elements.count())?;
                    json_text::elements(within)?.nth(index)
                }),
            };
        }
        walked
    }
}

/// How far a query went in a text.
struct Walked<'a> {
    last_found: Option<&'a str>,
    is_ambiguous: bool,
}

/// Where an index points to in a list of this length.
fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => (index < length).then_some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
