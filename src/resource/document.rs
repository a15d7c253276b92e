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

/// The longest text that is read. Unit: bytes. Above etcd's 1.5 MiB for one object, with room for a bundle of them.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

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
}

/// Reads every document of a text. What stands before a mistake is kept.
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
        });
        return (documents, misread);
    }
    for node in tree::read(text) {
        match node {
            Ok(node) => open(node, &mut documents, &mut misread),
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
        }),
        Some(Err(error)) => Err(error),
        None => Ok(Plain {
            value: node.to_value(),
            node,
        }),
    }
}

impl Plain {
    /// Where a field stands, as [`Document::locate`] says it.
    pub fn locate(&self, field: &str) -> Position {
        locate(&self.node, field)
    }
}

/// Adds the node as a document, or the items of a `List` one by one.
fn open(node: YamlNode, documents: &mut Vec<Document>, misread: &mut Vec<Misread>) {
    let is_list = node.text("kind") == Some("List");
    if is_list && let Some(items) = node.child("items").and_then(YamlNode::items) {
        for item in items {
            open(item.clone(), documents, misread);
        }
        return;
    }
    match Document::new(node) {
        Ok(document) => documents.push(document),
        Err(error) => misread.push(error),
    }
}

impl Document {
    fn new(node: YamlNode) -> Result<Self, Misread> {
        let position = node.position;
        let missing = |field: &str| Misread {
            position,
            message: format!(
                "{field} is missing or no text: an object has apiVersion, kind and metadata.name"
            ),
        };
        let api_version = node
            .text("apiVersion")
            .ok_or_else(|| missing("apiVersion"))?;
        let kind = node.text("kind").ok_or_else(|| missing("kind"))?;
        let metadata = node.child("metadata").ok_or_else(|| missing("metadata"))?;
        // The API server makes names for all kinds; here only Jobs are told apart without one.
        let generated = (kind == "Job").then(|| metadata.text("generateName"));
        let name = metadata
            .text("name")
            .or(generated.flatten())
            .ok_or_else(|| missing("metadata.name"))?;
        let namespace = metadata.text("namespace").unwrap_or("default");
        Ok(Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            id: ObjectId::new(namespace, name),
            value: node.to_value(),
            node,
        })
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
mod tests {
    use super::*;
    use serde_json::json;

    fn only(text: &str) -> Document {
        let (mut documents, misread) = read(text);
        assert_eq!(misread, []);
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.remove(0)
    }

    const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: it\n";

    #[test]
    fn a_field_is_found_at_its_key_and_a_missing_one_at_its_parent() {
        let document = only(
            "# a comment\napiVersion: v1\nkind: Thing\nmetadata: {name: it, annotations: {a.b/c: x}}\nspec:\n  list:\n  - one\n  - deep:\n      er: 1\n",
        );
        let at = |field: &str| document.locate(field).to_string();
        assert_eq!(at("spec.list"), "6:3");
        assert_eq!(at("spec.list[1].deep.er"), "9:7");
        assert_eq!(at("spec.list[1].deep.missing[3].x"), "8:5");
        assert_eq!(at("spec.list[0]"), "7:5");
        assert_eq!(at("metadata.annotations[\"a.b/c\"]"), "4:36");
        assert_eq!(at(""), "2:1");
        assert_eq!(at("status"), "2:1");
    }

    #[test]
    fn texts_hold_several_documents_and_lists_are_opened() {
        let text = format!(
            "{OBJECT}---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {{name: inner, namespace: there}}\n"
        );
        let (documents, misread) = read(&text);
        assert_eq!(misread, []);
        let ids: Vec<_> = documents
            .iter()
            .map(|document| (document.kind.as_str(), document.id.to_string()))
            .collect();
        assert_eq!(
            ids,
            [
                ("ConfigMap", "default/it".to_owned()),
                ("Secret", "there/inner".to_owned())
            ]
        );
        assert_eq!(documents[1].locate("metadata.name").to_string(), "13:14");
    }

    #[test]
    fn line_ends_of_windows_and_a_byte_order_mark_change_nothing() {
        let document = only(&format!("\u{feff}{OBJECT}data: {{a: b}}\n").replace('\n', "\r\n"));
        assert_eq!(document.value["data"], json!({"a": "b"}));
        assert_eq!(document.locate("data").to_string(), "5:1");
    }

    #[test]
    fn json_is_read_like_yaml() {
        let document = only(
            "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\",\n \"metadata\": {\"name\": \"it\"}, \"data\": {\"tab\": \"a\\tb\"}}",
        );
        assert_eq!(document.value["data"], json!({"tab": "a\tb"}));
        assert_eq!(document.locate("metadata.name").to_string(), "2:15");
    }

    #[test]
    fn scalars_keep_their_type_and_integers_are_exact() {
        let document = only(&format!(
            "{OBJECT}data:\n  text: \"10\"\n  no: no\n  yes: \"true\"\n  flag: true\n  big: 9007199254740993\n  least: -9223372036854775808\n  most: 18446744073709551615\n  mode: 0644\n  float: 1.5\n  round: 5.0\n  nothing: ~\n  time: 2026-01-01\n  block: |\n    a\n    b\n"
        ));
        assert_eq!(
            document.value["data"].to_string(),
            r#"{"text":"10","no":"no","yes":"true","flag":true,"big":9007199254740993,"least":-9223372036854775808,"most":18446744073709551615,"mode":420,"float":1.5,"round":5,"nothing":null,"time":"2026-01-01","block":"a\nb\n"}"#
        );
    }

    #[test]
    fn anchors_and_merges_are_followed() {
        let document = only(&format!(
            "x: &base {{a: 1}}\n{OBJECT}data:\n  <<: *base\n  b: *base\n"
        ));
        assert_eq!(document.value["data"], json!({"a": 1, "b": {"a": 1}}));
    }

    #[test]
    fn mistakes_have_a_line_and_leave_what_stands_before_them() {
        for (broken, line, words) in [
            ("a: [1\n", 6, "unclosed"),
            ("a: 1\na: 2\n", 7, "written twice"),
            ("apiVersion: v1\nkind: Pod\n", 6, "metadata is missing"),
            (
                "kind: Pod\nmetadata: {name: x}\n",
                6,
                "apiVersion is missing",
            ),
            (
                "apiVersion: 1\nkind: Pod\n",
                6,
                "apiVersion is missing or no text",
            ),
            ("just words\n", 6, "apiVersion is missing"),
        ] {
            let (documents, misread) = read(&format!("{OBJECT}---\n{broken}"));
            assert_eq!(documents.len(), 1, "{broken}");
            assert_eq!(misread.len(), 1, "{broken}: {misread:?}");
            assert_eq!(misread[0].position.line, line, "{broken}: {misread:?}");
            assert!(misread[0].message.contains(words), "{misread:?}");
            assert!(!misread[0].message.contains("line"), "{misread:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_what_is_allowed_fits_the_stack() {
        let nested = |levels: usize| format!("{}1{}", "{a: ".repeat(levels), "}".repeat(levels));
        let (documents, misread) = read(&format!("{OBJECT}data: {}\n", nested(60)));
        assert_eq!((documents.len(), misread), (1, vec![]));
        for levels in [70, 5_000] {
            let (documents, misread) = read(&format!("{OBJECT}data: {}\n", nested(levels)));
            assert!(documents.is_empty());
            assert_eq!(
                misread[0].message,
                "mappings and lists are nested too deeply: 64 levels are the most"
            );
        }
    }

    #[test]
    fn what_the_library_says_of_its_options_is_not_repeated() {
        for (broken, message) in [
            (
                "data: {a: 1, a: 2}\n",
                "a is written twice in one mapping: keep one of them",
            ),
            (
                "data: &x {a: *x}\n",
                "an alias (*name) stands inside of its own anchor (&name)",
            ),
        ] {
            let (_, misread) = read(&format!("{OBJECT}{broken}"));
            assert_eq!(misread[0].message, message);
        }
    }

    #[test]
    fn a_job_may_have_its_name_generated() {
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: load-}\n";
        assert_eq!(only(job).id.name, "load-");
        let (documents, _) = read(&job.replace("Job", "ConfigMap"));
        assert!(documents.is_empty());
    }

    #[test]
    fn a_bundle_of_thousands_is_read() {
        let (documents, misread) = read(&format!("{OBJECT}---\n").repeat(3_000));
        assert_eq!((documents.len(), misread), (3_000, vec![]));
    }

    #[test]
    fn an_oversized_or_exploding_text_is_refused() {
        let (documents, misread) = read(&"#".repeat(MAX_BYTES + 1));
        assert!(documents.is_empty() && misread[0].message.contains("split it"));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let before = level - 1;
            let aliases = [format!("*a{before}").as_str(); 10].join(", ");
            bomb = [bomb, format!("a{level}: &a{level} [{aliases}]\n")].concat();
        }
        let (documents, misread) = read(&bomb);
        assert!(documents.is_empty());
        assert_eq!(misread.len(), 1, "{misread:?}");
    }

    #[test]
    fn paths_are_read_as_faults_write_them() {
        assert_eq!(
            steps("a.b[0][\"c.d\"].e"),
            [
                FieldStep::Key("a".into()),
                FieldStep::Key("b".into()),
                FieldStep::Index(0),
                FieldStep::Key("c.d".into()),
                FieldStep::Key("e".into())
            ]
        );
        assert_eq!(steps("a[x].b"), [FieldStep::Key("a".into())]);
        assert_eq!(steps(""), []);
    }
}
