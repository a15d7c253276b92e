//! `{"prefix": …}` and its like: one object in a field's list.

use std::ops::Bound;

use super::super::document::EventNode;
use super::super::operator::address::Cidr;
use super::super::operator::number::{Number, Range, comparable};
use super::super::operator::wildcard::Wildcard;
use super::super::operator::{Excluded, Operator};
use super::{InvalidPattern, refuse};

const IGNORE_CASE: &str = "equals-ignore-case";
const ONE_KEY: &str = "Only one key allowed in match expression";
/// The service says this of `anything-but` too.
const TOO_MANY: &str = "Too many elements in numeric expression";
const TOO_COMPLEX: &str = "Rule is too complex - try using fewer wildcard characters or fewer repeating character \
                           sequences after a wildcard character";

type Members = [(String, EventNode)];

/// The operator that an object is; `None` for `exists: false`, which is about no value.
pub(super) fn parse(members: &Members) -> Result<Option<Operator>, InvalidPattern> {
    let Some((name, operand)) = members.first() else {
        return refuse("Match expression name not found");
    };
    let operator = match name.as_str() {
        "exactly" => {
            let text = string(operand, "exact match pattern must be a string")?;
            Operator::Equals(text.into())
        }
        "prefix" => match operand {
            EventNode::Object(members) => {
                Operator::PrefixIgnoreCase(ignoring_case(members, "Prefix", "prefix")?)
            }
            _ => Operator::Prefix(string(operand, "prefix match pattern must be a string")?.into()),
        },
        "suffix" => match operand {
            EventNode::Object(members) => {
                Operator::SuffixIgnoreCase(ignoring_case(members, "Suffix", "suffix")?)
            }
            _ => Operator::Suffix(string(operand, "suffix match pattern must be a string")?.into()),
        },
        IGNORE_CASE => {
            let text = string(operand, "equals-ignore-case match pattern must be a string")?;
            Operator::EqualsIgnoreCase(text.into())
        }
        "wildcard" => {
            let wildcard = wildcard(string(operand, "wildcard match pattern must be a string")?)?;
            if wildcard.is_too_complex() {
                return Err(InvalidPattern::Always(TOO_COMPLEX.to_owned()));
            }
            Operator::Wildcard(wildcard)
        }
        "cidr" => {
            // The service's own slip of the name.
            let text = string(operand, "prefix match pattern must be a string")?;
            // It does not try `$or` as a field after this one.
            Operator::Cidr(Cidr::parse(text).map_err(InvalidPattern::Always)?)
        }
        "numeric" => {
            let EventNode::Array(terms) = operand else {
                return refuse("Value of numeric must be an array.");
            };
            numeric(terms)?
        }
        "anything-but" => Operator::AnythingBut(anything_but(operand)?),
        "exists" => {
            let EventNode::Bool(exists) = operand else {
                return refuse("exists match pattern must be either true or false.");
            };
            only(members, ONE_KEY)?;
            return Ok(exists.then_some(Operator::Exists));
        }
        _ => return refuse(format!("Unrecognized match type {name}")),
    };
    let is_numeric = matches!(name.as_str(), "numeric" | "anything-but");
    only(members, if is_numeric { TOO_MANY } else { ONE_KEY })?;
    Ok(Some(operator))
}

fn only(members: &Members, otherwise: &str) -> Result<(), InvalidPattern> {
    if members.len() > 1 {
        return refuse(otherwise);
    }
    Ok(())
}

fn string<'n>(node: &'n EventNode, otherwise: &str) -> Result<&'n str, InvalidPattern> {
    match node {
        EventNode::Text(text) => Ok(text),
        _ => refuse(otherwise),
    }
}

fn wildcard(text: &str) -> Result<Wildcard, InvalidPattern> {
    Wildcard::parse(text).or_else(refuse)
}

/// `{"equals-ignore-case": …}` inside `prefix` and `suffix`.
fn ignoring_case(members: &Members, title: &str, name: &str) -> Result<Box<str>, InvalidPattern> {
    let Some((inner, operand)) = members.first() else {
        return refuse(format!("{title} expression name not found"));
    };
    if inner != IGNORE_CASE {
        return refuse(format!("Unsupported {name} pattern: {inner}"));
    }
    let text = string(operand, "equals-ignore-case match pattern must be a string")?;
    only(members, ONE_KEY)?;
    Ok(text.into())
}

fn anything_but(operand: &EventNode) -> Result<Excluded, InvalidPattern> {
    const NEITHER: &str = "Value of anything-but must be an array or single string/number value.";
    match operand {
        EventNode::Object(members) => {
            let Some((name, operand)) = members.first() else {
                return refuse("Anything-But expression name not found");
            };
            if !matches!(
                name.as_str(),
                IGNORE_CASE | "prefix" | "suffix" | "wildcard"
            ) {
                return refuse(format!("Unsupported anything-but pattern: {name}"));
            }
            let items = match operand {
                EventNode::Array(items) => items,
                EventNode::Text(_) | EventNode::Number(_) => std::slice::from_ref(operand),
                _ => return refuse(NEITHER),
            };
            let excluded = excluded(name, items)?;
            only(members, TOO_MANY)?;
            Ok(excluded)
        }
        EventNode::Array(items) => list(items),
        EventNode::Text(_) | EventNode::Number(_) => list(std::slice::from_ref(operand)),
        _ => refuse(NEITHER),
    }
}

/// Strings or numbers, not both.
fn list(items: &[EventNode]) -> Result<Excluded, InvalidPattern> {
    let mut texts: Vec<Box<str>> = Vec::new();
    let mut numbers = Vec::new();
    for item in items {
        match item {
            EventNode::Text(text) => texts.push(text.as_str().into()),
            EventNode::Number(text) => numbers.push(number(text)?),
            _ => {
                return refuse("Inside anything but list, start|null|boolean is not supported.");
            }
        }
    }
    if texts.is_empty() == numbers.is_empty() {
        return refuse(
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        );
    }
    texts.sort_unstable();
    numbers.sort_unstable_by(f64::total_cmp);
    Ok(if numbers.is_empty() {
        Excluded::Texts(texts)
    } else {
        Excluded::Numbers(numbers)
    })
}

/// Strings under an operator that `anything-but` negates.
fn excluded(name: &str, items: &[EventNode]) -> Result<Excluded, InvalidPattern> {
    let is_affix = matches!(name, "prefix" | "suffix");
    let otherwise = match name {
        IGNORE_CASE => {
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
        }
        "wildcard" => "wildcard match pattern must be a string",
        _ => "prefix/suffix match pattern must be a string",
    };
    if items.is_empty() {
        return refuse("Empty arrays are not allowed");
    }
    let mut texts: Vec<Box<str>> = Vec::with_capacity(items.len());
    for item in items {
        let text = string(item, otherwise)?;
        if is_affix && text.is_empty() {
            return refuse("Null prefix/suffix not allowed");
        }
        texts.push(text.into());
    }
    Ok(match name {
        IGNORE_CASE => Excluded::IgnoreCase(texts),
        "prefix" => Excluded::Prefixes(texts),
        "suffix" => Excluded::Suffixes(texts),
        _ => {
            let wildcards = texts.iter().map(|text| wildcard(text));
            Excluded::Wildcards(wildcards.collect::<Result<_, _>>()?)
        }
    })
}

/// `[OPERATOR, NUMBER]`, or two of them, the lower end first.
fn numeric(terms: &[EventNode]) -> Result<Operator, InvalidPattern> {
    let operator = match terms.first() {
        Some(EventNode::Text(operator)) => operator.as_str(),
        first => {
            let token = first.map_or("]", EventNode::token);
            return refuse(format!("Invalid member in numeric match: {token}"));
        }
    };
    let name = match operator {
        "=" => "equals",
        "<" | "<=" | ">" | ">=" => operator,
        _ => {
            return refuse(format!("Unrecognized numeric range operator: {operator}"));
        }
    };
    let Some(EventNode::Number(text)) = terms.get(1) else {
        return refuse(format!("Value of {name} must be numeric"));
    };
    let value = number(text)?;
    let bottom = match operator {
        ">" => Bound::Excluded(value),
        ">=" => Bound::Included(value),
        _ => {
            if terms.len() > 2 {
                return refuse(TOO_MANY);
            }
            return Ok(match operator {
                "=" => Operator::EqualsNumber(Number::new(text)),
                "<" => range(Bound::Unbounded, Bound::Excluded(value)),
                _ => range(Bound::Unbounded, Bound::Included(value)),
            });
        }
    };
    let Some(second) = terms.get(2) else {
        return Ok(range(bottom, Bound::Unbounded));
    };
    let EventNode::Text(operator) = second else {
        return refuse(format!("Bad value in numeric range: {}", second.token()));
    };
    if operator != "<" && operator != "<=" {
        return refuse(format!("Bad numeric range operator: {operator}"));
    }
    let Some(EventNode::Number(text)) = terms.get(3) else {
        return refuse(format!("Value of {operator} must be numeric"));
    };
    if terms.len() > 4 {
        return refuse("Too many terms in numeric range expression");
    }
    let top = number(text)?;
    if value >= top {
        return refuse("Bottom must be less than top");
    }
    let is_open = operator == "<";
    Ok(range(
        bottom,
        if is_open {
            Bound::Excluded(top)
        } else {
            Bound::Included(top)
        },
    ))
}

fn range(bottom: Bound<f64>, top: Bound<f64>) -> Operator {
    Operator::Numeric(Range { bottom, top })
}

fn number(text: &str) -> Result<f64, InvalidPattern> {
    match comparable(text) {
        Some(value) => Ok(value),
        None => refuse(format!("Cannot compare number : {text}")),
    }
}
