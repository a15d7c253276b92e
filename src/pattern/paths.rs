//! The fields that patterns ask for, as a tree of keys: what lets the walker pass over the rest.

use std::collections::HashMap;

use super::operator::same::same;
use super::scan::{MemberKey, head_of};

/// Children above which a table is faster than looking at each.
const FEW: usize = 8;
/// The node of the event itself.
pub(super) const ROOT: usize = 0;

/// A tree of path segments. A path is split at its dots, wherever they come from: `{"a.b": …}` and
/// `{"a": {"b": …}}` are the same path, in patterns and in events.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paths {
    nodes: Vec<PathNode>,
    fields: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct PathNode {
    field: Option<usize>,
    /// First bytes of the segments below; most keys of an event are dismissed by this alone.
    first_bytes: [u64; 4],
    few: Vec<Edge>,
    /// All segments, if they are not few.
    many: HashMap<Box<[u8]>, usize>,
}

#[derive(Debug, Clone, PartialEq)]
struct Edge {
    /// See [`head_of`]; with the length, all there is to most segments.
    head: u64,
    segment: Box<[u8]>,
    child: usize,
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![PathNode::default()],
            fields: 0,
        }
    }

    /// The number of a path; fields are numbered from 0 as they come.
    pub(super) fn insert(&mut self, path: &str) -> usize {
        let mut at = ROOT;
        for segment in path.split('.') {
            at = self.nodes[at]
                .find(MemberKey::new(segment.as_bytes()))
                .unwrap_or_else(|| {
                    let child = self.nodes.len();
                    self.nodes[at].add(segment, child);
                    self.nodes.push(PathNode::default());
                    child
                });
        }
        *self.nodes[at].field.get_or_insert_with(|| {
            self.fields += 1;
            self.fields - 1
        })
    }

    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.fields
    }

    pub(super) fn field(&self, node: usize) -> Option<usize> {
        self.nodes[node].field
    }

    pub(super) fn has_children(&self, node: usize) -> bool {
        !self.nodes[node].few.is_empty()
    }

    /// The node that a key of an event leads to; dots in the key are steps of their own.
    #[inline]
    pub(super) fn step(&self, node: usize, key: MemberKey<'_>) -> Option<usize> {
        let node = &self.nodes[node];
        if !node.may_start_with(key.raw.first().copied()) {
            return None;
        }
        node.find(key).or_else(|| self.step_at_dot(node, key.raw))
    }

    /// The first segment of a key with dots, then the rest of it.
    #[inline(never)]
    fn step_at_dot(&self, node: &PathNode, key: &[u8]) -> Option<usize> {
        let dot = key.iter().position(|byte| *byte == b'.')?;
        let child = node.find(MemberKey::new(&key[..dot]))?;
        self.step(child, MemberKey::new(&key[dot + 1..]))
    }
}

impl PathNode {
    #[inline]
    fn find(&self, key: MemberKey<'_>) -> Option<usize> {
        if self.many.is_empty() {
            let edge = self.few.iter().find(|edge| edge.is(key))?;
            Some(edge.child)
        } else {
            self.many.get(key.raw).copied()
        }
    }

    fn add(&mut self, segment: &str, child: usize) {
        let segment = segment.as_bytes();
        match segment.first() {
            Some(&byte) => {
                self.first_bytes[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
            // An empty segment begins the empty key and those that begin with a dot.
            None => self.first_bytes = [u64::MAX; 4],
        }
        if self.few.len() < FEW {
            self.few.push(Edge {
                head: head_of(segment),
                segment: segment.into(),
                child,
            });
            return;
        }
        if self.many.is_empty() {
            let few = self.few.iter();
            self.many
                .extend(few.map(|edge| (edge.segment.clone(), edge.child)));
        }
        self.many.insert(segment.into(), child);
    }

    #[inline]
    fn may_start_with(&self, byte: Option<u8>) -> bool {
        let byte = byte.unwrap_or(0);
        self.first_bytes[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }
}

impl Edge {
    #[inline]
    fn is(&self, key: MemberKey<'_>) -> bool {
        self.head == key.head && same(&self.segment, key.raw)
    }
}
