//! A YAML text as a tree in which every key and element has its position.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Misread, Position};

/// The longest document. Unit: bytes. Above etcd's 1.5 MiB for one object, with room for a `List` of them.
const MAX_DOCUMENT: usize = 4 * 1024 * 1024;
/// Most values of a document; a ScaledJob has about a hundred.
const MAX_NODES: usize = 500_000;
/// Most values of all documents of a text. A value takes about 150 bytes.
const MAX_ALL_NODES: usize = 4_000_000;
/// Most values that the anchors of a document may repeat: what makes a small text large.
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
    Mapping {
        /// Of a key that is written twice the last, as it is to kubectl.
        entries: Vec<MappingEntry>,
        /// Keys that are written once more, and where.
        repeated: Vec<(Position, String)>,
    },
}

#[derive(Debug, Clone)]
struct MappingEntry {
    key: String,
    position: Position,
    node: YamlNode,
}

/// The documents of a text, one by one. A mistake in the syntax ends its document, and not the text.
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
                is_foreign: false,
            })],
        }
    })
}

fn read_here(text: &str) -> Vec<Result<YamlNode, Misread>> {
    let mut all = Vec::new();
    let mut nodes = 0;
    for (lines, document) in split(text) {
        let at = |position: Position| Position {
            line: position.line + lines,
            ..position
        };
        for read in read_documents(document) {
            let read = match read {
                Ok(mut node) => {
                    node.shift(lines);
                    nodes += node.count();
                    Ok(node)
                }
                Err(misread) => Err(Misread {
                    position: at(misread.position),
                    ..misread
                }),
            };
            all.push(read);
        }
        if nodes > MAX_ALL_NODES {
            all.push(Err(Misread {
                position: at(START),
                message: format!("the text has more than {MAX_ALL_NODES} values: split it"),
                is_foreign: false,
            }));
            break;
        }
    }
    all
}

/// The parts of a text between its lines `---`, which end a document wherever they stand, and the lines before each.
fn split(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut begin, mut begin_line, mut is_only_head) = (0, 0, true);
    let (mut at, mut line_number) = (0, 0);
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        let is_marker =
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        // Directives and comments belong to what follows them.
        if is_marker && !is_only_head {
            parts.push((begin_line, &text[begin..at]));
            (begin, begin_line) = (at, line_number);
        }
        let is_head = line.trim().is_empty() || line.starts_with(['%', '#']);
        is_only_head = !is_marker && is_only_head && is_head;
        at += line.len();
        line_number += 1;
    }
    parts.push((begin_line, &text[begin..]));
    parts
}

fn read_documents(text: &str) -> Vec<Result<YamlNode, Misread>> {
    if text.len() > MAX_DOCUMENT {
        return vec![Err(Misread {
            position: START,
            message: format!(
                "the document has {} bytes, and {MAX_DOCUMENT} are the most that is read: split it",
                text.len()
            ),
            is_foreign: false,
        })];
    }
    let mut alias_limits = serde_saphyr::options::AliasLimits::default();
    alias_limits.max_total_replayed_events = MAX_ALIAS_EVENTS;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            // A `List` of a hundred objects with the same labels is no bomb: what aliases repeat is counted.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: alias_limits,
        // `no` is a boolean to kubectl, which reads YAML 1.1.
        strict_booleans: false,
        // kubectl takes the last of two equal keys. That there are two is told.
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
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
        is_foreign: false,
    }
}

/// What the library says about its own options says nothing to the author of a file.
fn in_our_words(message: &str) -> String {
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
        let Shape::Mapping { entries, .. } = &self.shape else {
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
            Shape::Mapping { entries, .. } => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_value()))
                .collect(),
        }
    }

    /// Every key that is written twice in one mapping, where it stands again.
    pub(super) fn repeated(&self) -> Vec<(Position, String)> {
        let mut found = match &self.shape {
            Shape::Mapping { repeated, .. } => repeated.clone(),
            _ => Vec::new(),
        };
        found.extend(self.children().flat_map(Self::repeated));
        found
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.shape {
            Shape::Scalar(_) => Box::new(std::iter::empty()),
            Shape::List(items) => Box::new(items.iter()),
            Shape::Mapping { entries, .. } => Box::new(entries.iter().map(|entry| &entry.node)),
        }
    }

    /// How many values it is made of.
    fn count(&self) -> usize {
        1 + self.children().map(Self::count).sum::<usize>()
    }

    /// Moves it so many lines down.
    fn shift(&mut self, lines: u64) {
        self.position.line += lines;
        match &mut self.shape {
            Shape::Scalar(_) => {}
            Shape::List(items) => items.iter_mut().for_each(|item| item.shift(lines)),
            Shape::Mapping { entries, repeated } => {
                for entry in entries {
                    entry.position.line += lines;
                    entry.node.shift(lines);
                }
                for (position, _) in repeated {
                    position.line += lines;
                }
            }
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
        let mut entries: Vec<MappingEntry> = Vec::new();
        let mut repeated = Vec::new();
        let mut places = HashMap::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, YamlNode>()? {
            let entry = MappingEntry {
                position: position(key.referenced),
                key: key.value,
                node,
            };
            match places.insert(entry.key.clone(), entries.len()) {
                None => entries.push(entry),
                Some(place) => {
                    places.insert(entry.key.clone(), place);
                    repeated.push((entry.position, entry.key.clone()));
                    entries[place] = entry;
                }
            }
        }
        Ok(Shape::Mapping { entries, repeated })
    }
}
