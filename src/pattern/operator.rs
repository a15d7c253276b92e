//! What one value of an event is held against: an operator, and the list of them under a field.

use std::borrow::Cow;
use std::net::IpAddr;

pub(super) mod address;
pub(super) mod fold;
pub(super) mod number;
pub(super) mod same;
pub(super) mod wildcard;

use address::{Cidr, address};
use number::{Number, Range, comparable};
use same::same;
use wildcard::Wildcard;

/// A leaf of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LeafValue<'e> {
    /// Escapes resolved.
    Text(Cow<'e, str>),
    /// As written.
    Number(&'e str),
    True,
    False,
    Null,
}

/// One alternative in a field's list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operator {
    /// A string; also `exactly`.
    Equals(Box<str>),
    /// A string that says an IP address meets every way to write that address.
    EqualsAddress(IpAddr),
    EqualsNumber(Number),
    /// `true`, `false` or `null`.
    EqualsLiteral(LeafValue<'static>),
    EqualsIgnoreCase(Box<str>),
    Prefix(Box<str>),
    PrefixIgnoreCase(Box<str>),
    Suffix(Box<str>),
    SuffixIgnoreCase(Box<str>),
    Wildcard(Wildcard),
    Numeric(Range),
    Cidr(Cidr),
    /// `exists: true`.
    Exists,
    AnythingBut(Excluded),
}

/// What `anything-but` excludes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Excluded {
    /// Sorted.
    Texts(Vec<Box<str>>),
    /// Sorted.
    Numbers(Vec<f64>),
    IgnoreCase(Vec<Box<str>>),
    Prefixes(Vec<Box<str>>),
    Suffixes(Vec<Box<str>>),
    Wildcards(Vec<Wildcard>),
}

impl Operator {
    /// Whether one value meets this.
    pub(super) fn matches(&self, value: &LeafValue<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::EqualsLiteral(literal), value) => literal == value,
            (Self::AnythingBut(excluded), value) => !excluded.contains(value),
            (Self::EqualsNumber(number), LeafValue::Number(text)) => number.equals(text),
            (Self::Numeric(range), LeafValue::Number(text)) => {
                comparable(text).is_some_and(|value| range.contains(value))
            }
            (_, LeafValue::Text(text)) => self.matches_text(text),
            _ => false,
        }
    }

    fn matches_text(&self, text: &str) -> bool {
        match self {
            Self::Equals(expected) => same(expected.as_bytes(), text.as_bytes()),
            Self::EqualsAddress(expected) => address(text) == Some(*expected),
            Self::EqualsIgnoreCase(expected) => fold::equals(expected, text),
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::PrefixIgnoreCase(prefix) => fold::strip_prefix(prefix, text).is_some(),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::SuffixIgnoreCase(suffix) => fold::strip_suffix(suffix, text).is_some(),
            Self::Wildcard(wildcard) => wildcard.matches(text),
            Self::Cidr(cidr) => address(text).is_some_and(|address| cidr.contains(address)),
            Self::EqualsNumber(_)
            | Self::EqualsLiteral(_)
            | Self::Numeric(_)
            | Self::Exists
            | Self::AnythingBut(_) => false,
        }
    }
}

impl Excluded {
    /// Values of another type than the excluded ones are never excluded.
    fn contains(&self, value: &LeafValue<'_>) -> bool {
        let text = match (self, value) {
            (Self::Numbers(numbers), LeafValue::Number(text)) => {
                return comparable(text).is_some_and(|value| {
                    numbers
                        .binary_search_by(|number| number.total_cmp(&value))
                        .is_ok()
                });
            }
            (_, LeafValue::Text(text)) => &**text,
            _ => return false,
        };
        match self {
            Self::Texts(texts) => texts
                .binary_search_by(|excluded| (**excluded).cmp(text))
                .is_ok(),
            Self::IgnoreCase(texts) => texts.iter().any(|excluded| fold::equals(excluded, text)),
            Self::Prefixes(prefixes) => prefixes.iter().any(|prefix| text.starts_with(&**prefix)),
            Self::Suffixes(suffixes) => suffixes.iter().any(|suffix| text.ends_with(&**suffix)),
            Self::Wildcards(wildcards) => wildcards.iter().any(|wildcard| wildcard.matches(text)),
            Self::Numbers(_) => false,
        }
    }
}

/// A field of a pattern and what it asks of the event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldCondition {
    /// Keys joined by dots, in which form events and patterns are compared.
    pub(super) path: Box<str>,
    /// The list as the pattern has it, in compact JSON.
    pub(super) written: Box<str>,
    /// A value that meets any one of these meets the condition.
    pub(super) any: Box<[Operator]>,
    /// The list has `exists: false`: no value meets it too.
    pub(super) or_absent: bool,
}

impl FieldCondition {
    /// Whether one value meets it.
    pub(super) fn matches(&self, value: &LeafValue<'_>) -> bool {
        self.any.iter().any(|operator| operator.matches(value))
    }
}
