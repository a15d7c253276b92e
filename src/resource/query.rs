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

/// A value where it stands in the text it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenValue<'a> {
    /// The value as it was written, to the digit.
    pub text: &'a str,
    /// A name on the way to it is there more than once: readers may disagree which one is meant. This is the last.
    pub is_ambiguous: bool,
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
    pub fn find_written<'a>(&self, text: &'a str) -> Option<WrittenValue<'a>> {
        let whole = WrittenValue {
            text: text.trim_matches(json_text::is_space),
            is_ambiguous: false,
        };
        self.steps
            .iter()
            .try_fold(whole, |within, step| match step {
                PathStep::Name(name) => {
                    let mut named = json_text::members(within.text)?.filter(|(key, _)| key == name);
                    let (_, mut text) = named.next()?;
                    let mut is_ambiguous = within.is_ambiguous;
                    for (_, later) in named {
                        text = later;
                        is_ambiguous = true;
                    }
                    Some(WrittenValue { text, is_ambiguous })
                }
                PathStep::Index(index) => {
                    let length = json_text::elements(within.text)?.count();
                    let index = position(*index, length)?;
                    let text = json_text::elements(within.text)?.nth(index)?;
                    Some(WrittenValue { text, ..within })
                }
            })
    }
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
