//! YAML and JSON texts as documents that know their lines.
//!
//! Owns what a text says and where it says it: several documents in one text,
//! `kind: List` opened, the position of every field. What a document means is
//! left to the parsers beside it; reading files is left to `manifest`.

mod tree;

use std::fmt;

use serde_json::Value;

use crate::resource::ObjectId;
use tree::YamlNode;

/// The longest text that is read. Unit: bytes. What a large chart renders is a tenth of it.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// One Kubernetes object of a text.
#[derive(Debug, Clone)]
pub struct Document {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace` (`default` when absent) and `metadata.name`; a Job's `generateName` when it has no name.
    pub id: ObjectId,
    /// The whole object, fields in the order they were written.
    pub value: Value,
    node: YamlNode,
}

/// A part of a text that is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// Where reading stopped, or where the document begins.
    pub position: Position,
    /// What is wrong and what would be right; lower case, no full stop, nothing of the text's values.
    pub message: String,
    /// It is nothing for us, and not wrong: a kustomization, a policy, a dashboard.
    pub is_foreign: bool,
}

/// Reads every document of a text. A mistake in one is not one of the others.
pub fn read(text: &str) -> (Vec<Document>, Vec<Misread>) {
    let mut documents = Vec::new();
    let mut misread = Vec::new();
    if text.len() > MAX_BYTES {
        misread.push(Misread {
            position: Position { line: 1, column: 1 },
            message: format!(
                "the text has {} bytes, and {MAX_BYTES} are the most that is read: split it",
                text.len()
            ),
            is_foreign: false,
        });
        return (documents, misread);
    }
    for node in tree::read(text) {
        match node {
            Ok(node) => open(node, None, &mut documents, &mut misread),
            Err(error) => misread.push(error),
        }
    }
    (documents, misread)
}

/// A text that is one value and no Kubernetes object.
#[derive(Debug, Clone)]
pub struct Plain {
    /// What it says.
    pub value: Value,
    node: YamlNode,
}

/// Reads a text that is one value: the settings of a file.
///
/// # Errors
///
/// What is wrong with its syntax, or that there are more values than one, or none.
pub fn read_plain(text: &str) -> Result<Plain, Misread> {
    let at_start = |message: String| Misread {
        position: Position { line: 1, column: 1 },
        message,
        is_foreign: false,
    };
    if text.len() > MAX_BYTES {
        let bytes = text.len();
        return Err(at_start(format!(
            "the text has {bytes} bytes, and {MAX_BYTES} are the most that is read"
        )));
    }
    let mut nodes = tree::read(text).into_iter();
    let node = nodes
        .next()
        .ok_or_else(|| at_start("the text is empty".to_owned()))??;
    match nodes.next() {
        Some(Ok(another)) => Err(Misread {
            position: another.position,
            message: "one document is expected, and here begins a second one".to_owned(),
            is_foreign: false,
        }),
        Some(Err(error)) => Err(error),
        None => match node.repeated().into_iter().next() {
            None => Ok(Plain {
                value: node.to_value(),
                node,
            }),
            Some((position, key)) => Err(Misread {
                position,
                message: format!("{key} is written twice in one mapping: keep one of them"),
                is_foreign: false,
            }),
        },
    }
}

impl Plain {
    /// Where a field stands, as [`Document::locate`] says it.
    pub fn locate(&self, field: &str) -> Position {
        locate(&self.node, field)
    }
}

/// `apiVersion` and `kind` of an item of a list that has none of its own, as typed clients write it.
type OfList = (String, String);

/// Adds the node as a document, or the items of a `List` one by one, whichever kind of list it is.
fn open(
    node: YamlNode,
    of_list: Option<&OfList>,
    documents: &mut Vec<Document>,
    misread: &mut Vec<Misread>,
) {
    let item_kind = node.text("kind").and_then(|kind| kind.strip_suffix("List"));
    if let (Some(item_kind), Some(items)) = (item_kind, node.child("items")) {
        let api_version = node.text("apiVersion").unwrap_or_default();
        let of_list = (api_version.to_owned(), item_kind.to_owned());
        let of_list = (!item_kind.is_empty()).then_some(&of_list);
        for item in items.items().unwrap_or_default() {
            open(item.clone(), of_list, documents, misread);
        }
        return;
    }
    match Document::new(node, of_list) {
        Ok(document) => documents.push(document),
        Err(error) => misread.push(error),
    }
}

/// Where the tool that reads them looks for no object.
const KUSTOMIZE: &str = "kustomize.config.k8s.io/";

impl Document {
    fn new(node: YamlNode, of_list: Option<&OfList>) -> Result<Self, Misread> {
        let position = node.position;
        let missing = |field: &str| Misread {
            position,
            message: format!(
                "{field} is missing or no text: an object has apiVersion, kind and metadata.name"
            ),
            is_foreign: false,
        };
        let foreign = |message: &str| Misread {
            position,
            message: message.to_owned(),
            is_foreign: true,
        };
        if of_list.is_none() && node.child("apiVersion").is_none() && node.child("kind").is_none() {
            return Err(foreign(
                "is no Kubernetes object, having neither apiVersion nor kind, and is not read",
            ));
        }
        let api_version = node
            .text("apiVersion")
            .or(of_list.map(|(api_version, _)| api_version.as_str()))
            .ok_or_else(|| missing("apiVersion"))?;
        let kind = node
            .text("kind")
            .or(of_list.map(|(_, kind)| kind.as_str()))
            .ok_or_else(|| missing("kind"))?;
        if api_version.starts_with(KUSTOMIZE) {
            return Err(foreign("is a kustomization, and is not read"));
        }
        let metadata = node.child("metadata").ok_or_else(|| missing("metadata"))?;
        // The API server makes names for all kinds; here only Jobs are told apart without one.
        let generated = (kind == "Job").then(|| metadata.text("generateName"));
        let name = metadata
            .text("name")
            .or(generated.flatten())
            .ok_or_else(|| missing("metadata.name"))?;
        let namespace = metadata.text("namespace").unwrap_or("default");
        let mut value = node.to_value();
        for (field, text) in [("apiVersion", api_version), ("kind", kind)] {
            if value[field].is_null() {
                value[field] = text.into();
            }
        }
        Ok(Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            id: ObjectId::new(namespace, name),
            value,
            node,
        })
    }

    /// Keys that are written twice in one mapping, of which kubectl takes the last, and where they stand again.
    pub fn repeated_keys(&self) -> Vec<(Position, String)> {
        self.node.repeated()
    }

    /// Whether somebody deletes it: `kubectl get -o yaml` shows an object until its finalizers are done.
    pub fn is_deleted(&self) -> bool {
        !self.value["metadata"]["deletionTimestamp"].is_null()
    }

    /// Where the document begins.
    pub fn position(&self) -> Position {
        self.node.position
    }

    /// Where a field stands: the key in a mapping, the element in a list; for a field
    /// that is not there, its nearest ancestor that is.
    ///
    /// The path is written as in a [`Fault`](crate::resource::Fault):
    /// `spec.triggers[0].metadata["a.b"]`.
    pub fn locate(&self, field: &str) -> Position {
        locate(&self.node, field)
    }
}

fn locate(root: &YamlNode, field: &str) -> Position {
    let mut position = root.position;
    let mut node = root;
    for step in steps(field) {
        let found = match &step {
            FieldStep::Key(key) => node.entry(key),
            FieldStep::Index(index) => node
                .items()
                .and_then(|items| items.get(*index))
                .map(|item| (item.position, item)),
        };
        let Some((at, next)) = found else {
            break;
        };
        position = at;
        node = next;
    }
    position
}

/// One step of a field's path.
#[derive(Debug, PartialEq)]
enum FieldStep {
    Key(String),
    Index(usize),
}

/// The steps of `a.b[0]["c.d"]`. What cannot be understood ends the path: a position is a help, not a promise.
fn steps(field: &str) -> Vec<FieldStep> {
    let mut steps = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let Some((key, after)) = quoted.split_once("\"]") else {
                break;
            };
            steps.push(FieldStep::Key(key.to_owned()));
            rest = after;
        } else if let Some(indexed) = rest.strip_prefix('[') {
            let Some((index, after)) = indexed
                .split_once(']')
                .and_then(|(index, after)| Some((index.parse().ok()?, after)))
            else {
                break;
            };
            steps.push(FieldStep::Index(index));
            rest = after;
        } else {
            let bare = rest.strip_prefix('.').unwrap_or(rest);
            let end = bare.find(['.', '[']).unwrap_or(bare.len());
            if end == 0 {
                break;
            }
            steps.push(FieldStep::Key(bare[..end].to_owned()));
            rest = &bare[end..];
        }
    }
    steps
}

#[cfg(test)]
mod tests;
