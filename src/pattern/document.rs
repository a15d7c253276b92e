//! A pattern's text as a tree that keeps what `serde_json::Value` loses: repeated keys, their order
//! and numbers as they are written.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::scan::{BlockScanner, Malformed, unescape};

/// One JSON value of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum EventNode {
    Object(Vec<(String, EventNode)>),
    Array(Vec<EventNode>),
    Text(String),
    /// As written.
    Number(String),
    Bool(bool),
    Null,
}

impl EventNode {
    /// Reads a text that serde_json has found valid, which also bounds its depth.
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        value(&mut BlockScanner::new(text))
    }

    /// What Java's JSON parser shows of the token that starts this value; error texts quote it.
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Object(_) => "{",
            Self::Array(_) => "[",
            Self::Text(text) | Self::Number(text) => text,
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Null => "null",
        }
    }
}

impl From<&Value> for EventNode {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                let member = |(key, value): (&String, &Value)| (key.clone(), Self::from(value));
                Self::Object(members.iter().map(member).collect())
            }
        }
    }
}

/// Compact JSON, as explanations quote it.
impl Display for EventNode {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(members) => {
                formatter.write_str("{")?;
                for (index, (key, value)) in members.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(formatter, "{comma}{}:{value}", Value::from(key.as_str()))?;
                }
                formatter.write_str("}")
            }
            Self::Array(items) => {
                formatter.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(formatter, "{comma}{item}")?;
                }
                formatter.write_str("]")
            }
            Self::Text(text) => write!(formatter, "{}", Value::from(text.as_str())),
            Self::Number(_) | Self::Bool(_) | Self::Null => formatter.write_str(self.token()),
        }
    }
}

fn value(scanner: &mut BlockScanner<'_>) -> Result<EventNode, Malformed> {
    Ok(match scanner.peek()? {
        b'{' => {
            scanner.bump();
            let mut members = Vec::new();
            if scanner.peek()? == b'}' {
                scanner.bump();
                return Ok(EventNode::Object(members));
            }
            loop {
                let key = text(scanner)?;
                scanner.expect(b':')?;
                members.push((key, value(scanner)?));
                if !scanner.more(b'}')? {
                    return Ok(EventNode::Object(members));
                }
            }
        }
        b'[' => {
            scanner.bump();
            let mut items = Vec::new();
            if scanner.peek()? == b']' {
                scanner.bump();
                return Ok(EventNode::Array(items));
            }
            loop {
                items.push(value(scanner)?);
                if !scanner.more(b']')? {
                    return Ok(EventNode::Array(items));
                }
            }
        }
        b'"' => EventNode::Text(text(scanner)?),
        _ => match scanner.bare()? {
            "true" => EventNode::Bool(true),
            "false" => EventNode::Bool(false),
            "null" => EventNode::Null,
            number => EventNode::Number(number.to_owned()),
        },
    })
}

fn text(scanner: &mut BlockScanner<'_>) -> Result<String, Malformed> {
    let text = scanner.string()?;
    if text.escaped {
        unescape(text.raw)
    } else {
        Ok(text.raw.to_owned())
    }
}
