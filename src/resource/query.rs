//! A path to one value of an event: an RFC 9535 singular query.

use std::fmt;

use serde_json::Value;

/// A singular query: names and indexes, from the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Name(String),
    /// From the end when negative.
    Index(i64),
}

impl Query {
    /// Reads a query such as `$.detail['order-id'].items[0]`.
    ///
    /// # Errors
    ///
    /// What is wrong with it and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let steps = text.strip_prefix("$.").map(|rest| {
            let names = rest.split('.').map(|name| Step::Name(name.to_owned()));
            names.collect()
        });
        let steps = steps.ok_or("must begin with $")?;
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// The value it leads to.
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(value, |value, step| match step {
            Step::Name(name) => value.get(name),
            Step::Index(index) => {
                let list = value.as_array()?;
                let index = match usize::try_from(*index) {
                    Ok(index) => index,
                    Err(_) => list
                        .len()
                        .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
                };
                list.get(index)
            }
        })
    }
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
