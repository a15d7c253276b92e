//! EventBridge's event pattern language: is an event wanted, by whom, and if not, which field says no.
//!
//! ```text
//! text ─► document ─► parse ─► conditions, branches ─► Pattern ─► explain
//!                                                   └► Matcher (many patterns at once)
//! event ─► walk (scan, paths) ─► leaves ─► operators ─► arrays ─► verdict
//! ```
//!
//! Verdicts and error texts are the service's. Where its documentation is silent, they are those of its
//! open rule engine (event-ruler 2.0.1), recorded in `tests/vectors/pattern_probes.json`.
//! Nothing here keeps, logs or quotes an event.

mod arrays;
mod document;
mod explain;
mod matcher;
mod operator;
mod parse;
mod paths;
mod repeated;
mod scan;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use arrays::{Evidence, Scopes, consistent};
use document::EventNode;
use parse::Parsed;
use paths::Paths;
use scan::Malformed;

pub use matcher::Matcher;

/// A valid event pattern. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Arc<Compiled>);

/// Why a pattern is not valid, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Event pattern is not valid. Reason: {0}")]
pub struct Error(String);

/// The first field of a pattern that refused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Path in the pattern, such as `detail.state`.
    pub field: String,
    /// Why; quotes the pattern, never the event.
    pub reason: String,
}

impl Pattern {
    /// Reads a pattern's text. Of a repeated field the last one counts.
    ///
    /// # Errors
    ///
    /// What AWS says about it; for a text that is no JSON, the parser's words with line and column.
    pub fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str::<Value>(text).map_err(|error| Error(error.to_string()))?;
        let node =
            EventNode::read(text).map_err(|Malformed| Error("not a JSON text".to_owned()))?;
        Self::compile(&node)
    }

    /// Reads a pattern as it stands in an object. Whole numbers beyond 64 bits have lost digits there;
    /// only [`Pattern::parse`] keeps them.
    ///
    /// # Errors
    ///
    /// What AWS says about it.
    pub fn from_value(value: &Value) -> Result<Self, Error> {
        Self::compile(&EventNode::from(value))
    }

    fn compile(node: &EventNode) -> Result<Self, Error> {
        let parsed = parse::parse(node).map_err(Error)?;
        Ok(Self(Arc::new(Compiled::new(parsed))))
    }

    /// Whether the event, a JSON text, matches. A text that is no JSON object matches nothing.
    pub fn matches(&self, event: &str) -> bool {
        self.0.collect(event).is_ok_and(|collected| {
            let mut branches = self.0.in_path_order.iter();
            branches.any(|branch| collected.meets(branch))
        })
    }

    /// A path of the pattern that the event, a JSON text, has more than once: not in two elements of an array,
    /// but where one value should be.
    pub fn repeated(&self, event: &str) -> Option<String> {
        repeated::first(&self.0.paths, event)
    }

    /// Why the event does not match; `None` when it does.
    pub fn refusal(&self, event: &str) -> Option<Mismatch> {
        explain::refusal(&self.0, event)
    }
}

/// A pattern made ready for one walk over an event.
#[derive(Debug, PartialEq)]
struct Compiled {
    parsed: Parsed,
    /// The branches, each in the order in which array consistency looks at its fields.
    in_path_order: Vec<Vec<usize>>,
    paths: Paths,
    /// Conditions by the number of their path.
    by_field: Vec<Vec<usize>>,
}

impl Compiled {
    fn new(parsed: Parsed) -> Self {
        let mut paths = Paths::new();
        let mut by_field: Vec<Vec<usize>> = Vec::new();
        for (index, condition) in parsed.conditions.iter().enumerate() {
            let field = paths.insert(&condition.path);
            by_field.resize_with(by_field.len().max(field + 1), Vec::new);
            by_field[field].push(index);
        }
        let in_path_order = parsed.branches.iter().map(|branch| {
            let mut branch = branch.clone();
            branch.sort_by(|left, right| {
                let path = |index: &usize| parsed.conditions[*index].path.encode_utf16();
                path(left).cmp(path(right))
            });
            branch
        });
        let in_path_order = in_path_order.collect();
        Self {
            parsed,
            in_path_order,
            paths,
            by_field,
        }
    }

    /// Holds every leaf of an event against the conditions on its field.
    fn collect(&self, event: &str) -> Result<Collected, Malformed> {
        let conditions = &self.parsed.conditions;
        let mut evidence: Vec<Evidence> = conditions.iter().map(Evidence::of).collect();
        let scopes = walk::walk(event, &self.paths, |leaf| {
            for &index in &self.by_field[leaf.field] {
                let is_met = conditions[index].matches(&leaf.value);
                evidence[index].add(leaf.scope, is_met);
            }
        })?;
        Ok(Collected { scopes, evidence })
    }
}

/// What an event has for each condition of a pattern.
struct Collected {
    scopes: Scopes,
    evidence: Vec<Evidence>,
}

impl Collected {
    /// Whether all conditions of a branch, in the order of their paths, are met together.
    fn meets(&self, branch: &[usize]) -> bool {
        let evidence = |index: &usize| &self.evidence[*index];
        if !branch
            .iter()
            .map(evidence)
            .all(|evidence| evidence.is_possible(&self.scopes))
        {
            return false;
        }
        self.scopes.is_flat() || {
            let mut evidence: Vec<Evidence> = branch.iter().map(evidence).cloned().collect();
            consistent(&self.scopes, &mut evidence)
        }
    }
}
