//! A YAML text as a tree in which every key and element has its position.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Misread, Position};

/// Most documents of a text. Each of a real object has a hundred bytes at the least: more are no manifests.
const MAX_DOCUMENTS: usize = 40_000;
/// Most values of a text; a ScaledJob has about a hundred.
const MAX_NODES: usize = 500_000;
/// Most values that anchors may repeat: what makes a small text large.
const MAX_ALIAS_EVENTS: usize = 100_000;
/// Most levels of mappings and lists in each other. The CustomResourceDefinition of a Pod template has 31.
const MAX_DEPTH: usize = 64;
/// Stack of the thread that reads. Unit: bytes. A level takes 45 KiB of it without optimisation, so that
/// the 2 MiB of a thread of ours end before [`MAX_DEPTH`] does.
const STACK: usize = 16 * 1024 * 1024;

const START: Position = Position { line: 1, column: 1 };

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct YamlNode {
    pub(super) position: Position,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    Scalar(Value),
    List(Vec<YamlNode>),
    Mapping(Vec<MappingEntry>),
}

#[derive(Debug, Clone)]
struct MappingEntry {
    key: String,
    position: Position,
    node: YamlNode,
}

/// The documents of a text, one by one; a mistake in the syntax is the last item.
pub(super) fn read(text: &str) -> Vec<Result<YamlNode, Misread>> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new()
            .name("reader".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || read_here(text));
        match reader {
            Ok(reader) => reader.join().expect("reading a text does not panic"),
            Err(error) => vec![Err(Misread {
                position: START,
                message: format!("there is no thread to read it with: {error}"),
            })],
        }
    })
}

fn read_here(text: &str) -> Vec<Result<YamlNode, Misread>> {
    let mut alias_limits = serde_saphyr::options::AliasLimits::default();
    alias_limits.max_total_replayed_events = MAX_ALIAS_EVENTS;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
        },
        alias_limits: alias_limits,
        // `no` in a Job's arguments is a word, as YAML 1.2 has it.
        strict_booleans: true,
        // `defaultMode: 0644` means to kubectl what it means to chmod.
        legacy_octal_numbers: true,
        // A snippet would show values that stand beside the mistake.
        with_snippet: false,
    };
    serde_saphyr::read_with_options(&mut text.as_bytes(), options)
        .map(|node| node.map_err(|error| misread(&error)))
        .collect()
}

fn misread(error: &serde_saphyr::Error) -> Misread {
    let position = error.location().map_or(START, position);
    // Every text of the library ends with the position, which is printed in front here.
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    let message = message
        .split_once(": ")
        .filter(|(head, _)| head.starts_with("error: line ") || head.starts_with("line "))
        .map_or(message, |(_, tail)| tail);
    Misread {
        position,
        message: in_our_words(message),
    }
}

/// What the library says about its own options says nothing to the author of a file.
fn in_our_words(message: &str) -> String {
    let duplicate = message
        .strip_prefix("duplicate mapping key: ")
        .and_then(|tail| tail.split(", set ").next());
    if let Some(key) = duplicate {
        return format!("{key} is written twice in one mapping: keep one of them");
    }
    for (begin, ours) in [
        (
            "alias replay limit exceeded",
            "aliases (*name) repeat too much: write out what is meant",
        ),
        (
            "recursive references",
            "an alias (*name) stands inside of its own anchor (&name)",
        ),
    ] {
        if message.starts_with(begin) {
            return ours.to_owned();
        }
    }
    if message.contains("depth") || message.starts_with("recursion limit") {
        return format!(
            "mappings and lists are nested too deeply: {MAX_DEPTH} levels are the most"
        );
    }
    message.to_owned()
}

fn position(location: serde_saphyr::Location) -> Position {
    Position {
        line: location.line().max(1),
        column: location.column().max(1),
    }
}

impl YamlNode {
    /// A mapping's entry: the key's position and the value.
    pub(super) fn entry(&self, key: &str) -> Option<(Position, &Self)> {
        let Shape::Mapping(entries) = &self.shape else {
            return None;
        };
        entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| (entry.position, &entry.node))
    }

    pub(super) fn child(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, node)| node)
    }

    pub(super) fn items(&self) -> Option<&[Self]> {
        match &self.shape {
            Shape::List(items) => Some(items),
            _ => None,
        }
    }

    /// A mapping's entry that is text, and not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.child(key)?.shape {
            Shape::Scalar(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match &self.shape {
            Shape::Scalar(value) => value.clone(),
            Shape::List(items) => items.iter().map(Self::to_value).collect(),
            Shape::Mapping(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_value()))
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for YamlNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Self {
            position: position(spanned.referenced),
            shape: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Shape, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        Shape::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    /// `5.0` is the integer 5, as it is to kubectl, as far as a float is exact.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Shape, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() < EXACT {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole and below 2^53: exact"
            )]
            return self.visit_i64(value as i64);
        }
        serde_json::Number::from_f64(value)
            .map(|number| Shape::Scalar(Value::Number(number)))
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Shape, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Shape::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, YamlNode>()? {
            entries.push(MappingEntry {
                position: position(key.referenced),
                key: key.value,
                node,
            });
        }
        Ok(Shape::Mapping(entries))
    }
}
