//! A pattern's text as a tree that keeps what `serde_json::Value` loses: repeated keys, their order
//! and numbers as they are written.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::scan::{Malformed, Scanner, unescape};

/// One JSON value of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Text(String),
    /// As written.
    Number(String),
    Bool(bool),
    Null,
}

impl Node {
    /// Reads a text that serde_json has found valid, which also bounds its depth.
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        value(&mut Scanner::new(text))
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

impl From<&Value> for Node {
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
impl Display for Node {
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

fn value(scanner: &mut Scanner<'_>) -> Result<Node, Malformed> {
    Ok(match scanner.peek()? {
        b'{' => {
            scanner.bump();
            let mut members = Vec::new();
            if scanner.peek()? == b'}' {
                scanner.bump();
                return Ok(Node::Object(members));
            }
            loop {
                let key = text(scanner)?;
                scanner.expect(b':')?;
                members.push((key, value(scanner)?));
                if !scanner.more(b'}')? {
                    return Ok(Node::Object(members));
                }
            }
        }
        b'[' => {
            scanner.bump();
            let mut items = Vec::new();
            if scanner.peek()? == b']' {
                scanner.bump();
                return Ok(Node::Array(items));
            }
            loop {
                items.push(value(scanner)?);
                if !scanner.more(b']')? {
                    return Ok(Node::Array(items));
                }
            }
        }
        b'"' => Node::Text(text(scanner)?),
        _ => match scanner.bare()? {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            "null" => Node::Null,
            number => Node::Number(number.to_owned()),
        },
    })
}

fn text(scanner: &mut Scanner<'_>) -> Result<String, Malformed> {
    let text = scanner.string()?;
    if text.escaped {
        unescape(text.raw)
    } else {
        Ok(text.raw.to_owned())
    }
}
