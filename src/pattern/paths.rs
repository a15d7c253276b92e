//! The fields that patterns ask for, as a tree of keys: what lets the walker pass over the rest.

use std::collections::HashMap;

/// Children above which a table is faster than looking at each.
const FEW: usize = 8;
/// The node of the event itself.
pub(super) const ROOT: usize = 0;

/// A tree of path segments. A path is split at its dots, wherever they come from: `{"a.b": …}` and
/// `{"a": {"b": …}}` are the same path, in patterns and in events.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    fields: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    field: Option<usize>,
    /// First bytes of the segments below; most keys of an event are dismissed by this alone.
    first_bytes: [u64; 4],
    few: Vec<(Box<str>, usize)>,
    /// All segments, if they are not few.
    many: HashMap<Box<str>, usize>,
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            fields: 0,
        }
    }

    /// The number of a path; fields are numbered from 0 as they come.
    pub(super) fn insert(&mut self, path: &str) -> usize {
        let mut at = ROOT;
        for segment in path.split('.') {
            at = self.nodes[at].child(segment).unwrap_or_else(|| {
                let child = self.nodes.len();
                self.nodes[at].add(segment, child);
                self.nodes.push(Node::default());
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
    pub(super) fn step(&self, node: usize, key: &str) -> Option<usize> {
        let node = &self.nodes[node];
        if !node.may_start_with(key.as_bytes().first().copied()) {
            return None;
        }
        if node.many.is_empty() {
            for (segment, child) in &node.few {
                if key.len() == segment.len() {
                    // Mostly a few bytes: cheaper than a call that compares memory.
                    if key.bytes().eq(segment.bytes()) {
                        return Some(*child);
                    }
                } else if key.as_bytes().get(segment.len()) == Some(&b'.')
                    && key.starts_with(&**segment)
                {
                    return self.step(*child, &key[segment.len() + 1..]);
                }
            }
            return None;
        }
        if let Some(child) = node.many.get(key) {
            return Some(*child);
        }
        let (segment, rest) = key.split_once('.')?;
        self.step(*node.many.get(segment)?, rest)
    }
}

impl Node {
    fn child(&self, segment: &str) -> Option<usize> {
        if !self.many.is_empty() {
            return self.many.get(segment).copied();
        }
        let found = self.few.iter().find(|(edge, _)| **edge == *segment);
        found.map(|(_, child)| *child)
    }

    fn add(&mut self, segment: &str, child: usize) {
        match segment.as_bytes().first() {
            Some(&byte) => {
                self.first_bytes[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
            // An empty segment begins the empty key and those that begin with a dot.
            None => self.first_bytes = [u64::MAX; 4],
        }
        if self.few.len() < FEW {
            self.few.push((segment.into(), child));
            return;
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().cloned());
        }
        self.many.insert(segment.into(), child);
    }

    #[inline]
    fn may_start_with(&self, byte: Option<u8>) -> bool {
        let byte = byte.unwrap_or(0);
        self.first_bytes[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }
}
