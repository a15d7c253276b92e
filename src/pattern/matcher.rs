//! Many patterns at once, for what one costs and a little more.
//!
//! Equal conditions of all patterns are one. A leaf of the event finds the conditions it meets through
//! an [`index`](self::index) on its field, and the [`tree`](self::tree) of branches is entered only at
//! conditions that are met, rarest first. Conditions deeper in the tree are tested when they are
//! reached, against the few leaves kept for them.

mod affixes;
mod index;
mod ranges;
mod table;
mod tree;

use std::collections::HashMap;
use std::hash::Hash;

use super::Pattern;
use super::arrays::{ArrayScope, Evidence, Scopes, consistent};
use super::operator::{FieldCondition, Operator};
use super::paths::Paths;
use super::walk::{Leaf, walk};
use index::Index;
use tree::Tree;

/// Conditions on one field up to which testing each is faster than an index.
const FEW: usize = 8;

/// Many patterns compiled together.
#[derive(Debug)]
pub struct Matcher<K> {
    /// Each once, in the order they came.
    keys: Vec<K>,
    plan: MatchPlan,
}

impl<K: Clone + Eq + Hash> Matcher<K> {
    /// Compiles patterns. Two patterns under one key are one that either may meet.
    pub fn new(patterns: impl IntoIterator<Item = (K, Pattern)>) -> Self {
        let mut keys = Vec::new();
        let mut numbers: HashMap<K, usize> = HashMap::new();
        let mut builder = Builder::default();
        for (key, pattern) in patterns {
            let next = keys.len();
            let number = *numbers.entry(key.clone()).or_insert(next);
            if number == next {
                keys.push(key);
            }
            builder.add(number, &pattern);
        }
        Self {
            keys,
            plan: builder.finish(),
        }
    }

    /// The keys of all patterns that match, each once, in the order in which they were given.
    /// Always those for which [`Pattern::matches`] says true.
    pub fn matches(&self, event: &str) -> Vec<K> {
        let numbers = self.plan.matches(event);
        numbers
            .iter()
            .map(|number| self.keys[*number].clone())
            .collect()
    }
}

/// All that is known before an event comes.
#[derive(Debug)]
struct MatchPlan {
    paths: Paths,
    fields: Vec<Field>,
    conditions: Vec<Planned>,
    branches: Vec<Branch>,
    tree: Tree,
}

/// A condition, and how it is found to be met.
#[derive(Debug)]
struct Planned {
    condition: FieldCondition,
    field: usize,
    how: How,
}

/// When a condition is held against a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As the leaf is walked, by the field's index.
    Indexed,
    /// As the leaf is walked, by itself: a branch is entered by it.
    AtOnce,
    /// When a branch asks; leaves of the field are kept until then.
    WhenAsked,
}

/// What is done with the leaves of one field.
#[derive(Debug, Default)]
struct Field {
    index: Option<Box<Index>>,
    at_once: Vec<usize>,
    is_kept: bool,
}

/// Conditions that must be met together.
#[derive(Debug)]
struct Branch {
    key: usize,
    in_path_order: Box<[usize]>,
}

#[derive(Default)]
struct Builder {
    /// By path and list as written.
    known: HashMap<(Box<str>, Box<str>), usize>,
    conditions: Vec<FieldCondition>,
    /// How many branches need each condition.
    uses: Vec<usize>,
    branches: Vec<Branch>,
}

impl Builder {
    fn add(&mut self, key: usize, pattern: &Pattern) {
        let own = &pattern.0.parsed.conditions;
        let shared: Vec<usize> = own.iter().map(|condition| self.intern(condition)).collect();
        for branch in &pattern.0.in_path_order {
            let in_path_order: Box<[usize]> = branch.iter().map(|index| shared[*index]).collect();
            for condition in &in_path_order {
                self.uses[*condition] += 1;
            }
            self.branches.push(Branch { key, in_path_order });
        }
    }

    fn intern(&mut self, condition: &FieldCondition) -> usize {
        let id = (condition.path.clone(), condition.written.clone());
        *self.known.entry(id).or_insert_with(|| {
            self.conditions.push(condition.clone());
            self.uses.push(0);
            self.conditions.len() - 1
        })
    }

    fn finish(self) -> MatchPlan {
        let mut paths = Paths::new();
        let fields: Vec<usize> = self
            .conditions
            .iter()
            .map(|condition| paths.insert(&condition.path))
            .collect();
        let mut on_field = vec![0; paths.len()];
        for field in &fields {
            on_field[*field] += 1;
        }
        // The same order everywhere, so that branches share their beginnings.
        let rank = |index: &usize| {
            (
                selectivity(&self.conditions[*index]),
                self.uses[*index],
                *index,
            )
        };
        let mut tree = Tree::new();
        let mut enters = vec![false; self.conditions.len()];
        for (number, branch) in self.branches.iter().enumerate() {
            let mut order = branch.in_path_order.to_vec();
            order.sort_by_key(rank);
            if let Some(first) = order.first() {
                enters[*first] = true;
            }
            tree.insert(&order, number);
        }
        let mut plan = MatchPlan {
            fields: (0..paths.len()).map(|_| Field::default()).collect(),
            paths,
            conditions: Vec::with_capacity(self.conditions.len()),
            branches: self.branches,
            tree,
        };
        for (index, condition) in self.conditions.into_iter().enumerate() {
            let field = fields[index];
            let how = if condition.or_absent {
                How::WhenAsked
            } else if on_field[field] > FEW && Index::takes(&condition) {
                let index_of_field = plan.fields[field].index.get_or_insert_default();
                index_of_field.add(index, &condition);
                How::Indexed
            } else if enters[index] {
                plan.fields[field].at_once.push(index);
                How::AtOnce
            } else {
                How::WhenAsked
            };
            plan.fields[field].is_kept |= how == How::WhenAsked;
            plan.conditions.push(Planned {
                condition,
                field,
                how,
            });
        }
        for field in &mut plan.fields {
            field.index.iter_mut().for_each(|index| index.finish());
        }
        plan.tree
            .finish(|condition| plan.conditions[condition].how == How::WhenAsked);
        plan
    }
}

/// Conditions that most events meet come last.
fn selectivity(condition: &FieldCondition) -> u8 {
    let is_wide = |operator: &Operator| match operator {
        Operator::Exists | Operator::AnythingBut(_) => true,
        Operator::Prefix(text) | Operator::Suffix(text) => text.is_empty(),
        _ => false,
    };
    if condition.or_absent {
        2
    } else {
        u8::from(condition.any.iter().any(is_wide))
    }
}

impl MatchPlan {
    /// Numbers of the keys whose patterns match.
    fn matches(&self, event: &str) -> Vec<usize> {
        // Few patterns are met by little, many by more: growing step by step costs more than room.
        let room = if self.conditions.len() > FEW { 32 } else { 0 };
        let mut met: Vec<(usize, ArrayScope)> = Vec::with_capacity(room);
        let mut kept: Vec<Leaf<'_>> = Vec::new();
        let walked = walk(event, &self.paths, |leaf| {
            let field = &self.fields[leaf.field];
            for &condition in &field.at_once {
                if self.conditions[condition].condition.matches(&leaf.value) {
                    met.push((condition, leaf.scope));
                }
            }
            if let Some(index) = &field.index {
                index.find(&leaf.value, |condition, is_certain| {
                    if is_certain || self.conditions[condition].condition.matches(&leaf.value) {
                        met.push((condition, leaf.scope));
                    }
                });
            }
            if field.is_kept {
                kept.push(leaf);
            }
        });
        let Ok(scopes) = walked else {
            return Vec::new();
        };
        met.sort_unstable();
        met.dedup();
        // Stable, so that leaves of one field stay in order.
        kept.sort_by_key(|leaf| leaf.field);
        let seen = MatchProgress {
            plan: self,
            met,
            kept,
            scopes,
        };
        seen.keys()
    }
}

/// What an event has shown.
struct MatchProgress<'p, 'e> {
    plan: &'p MatchPlan,
    /// Conditions found to be met as leaves were walked, and where; sorted.
    met: Vec<(usize, ArrayScope)>,
    /// Sorted by field.
    kept: Vec<Leaf<'e>>,
    scopes: Scopes,
}

impl MatchProgress<'_, '_> {
    fn keys(&self) -> Vec<usize> {
        let mut keys = Vec::new();
        let met = || {
            self.met
                .chunk_by(|left, right| left.0 == right.0)
                .map(|same| same[0].0)
        };
        self.plan.tree.visit(
            met,
            |condition| self.is_possible(condition),
            |branch| {
                let branch = &self.plan.branches[branch];
                if self.meets(branch) {
                    keys.push(branch.key);
                }
            },
        );
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn kept(&self, field: usize) -> &[Leaf<'_>] {
        let start = self.kept.partition_point(|leaf| leaf.field < field);
        let length = self.kept[start..]
            .iter()
            .take_while(|leaf| leaf.field == field)
            .count();
        &self.kept[start..start + length]
    }

    /// Whether a condition, looked at alone, can be met.
    fn is_possible(&self, index: usize) -> bool {
        let Planned {
            condition,
            field,
            how,
        } = &self.plan.conditions[index];
        if *how != How::WhenAsked {
            return self
                .met
                .binary_search_by_key(&index, |(condition, _)| *condition)
                .is_ok();
        }
        let leaves = self.kept(*field);
        condition.or_absent && (leaves.is_empty() || !self.scopes.is_flat())
            || leaves.iter().any(|leaf| condition.matches(&leaf.value))
    }

    /// Whether conditions that are each possible are met together.
    fn meets(&self, branch: &Branch) -> bool {
        if self.scopes.is_flat() {
            return true;
        }
        let mut evidence: Vec<Evidence> = Vec::with_capacity(branch.in_path_order.len());
        for &index in &branch.in_path_order {
            let Planned {
                condition,
                field,
                how,
            } = &self.plan.conditions[index];
            let mut of_condition = Evidence::of(condition);
            if *how == How::WhenAsked {
                for leaf in self.kept(*field) {
                    of_condition.add(leaf.scope, condition.matches(&leaf.value));
                }
            } else {
                let start = self
                    .met
                    .partition_point(|(condition, _)| *condition < index);
                let same = self.met[start..]
                    .iter()
                    .take_while(|(condition, _)| *condition == index);
                same.for_each(|(_, scope)| of_condition.add(*scope, true));
            }
            evidence.push(of_condition);
        }
        consistent(&self.scopes, &mut evidence)
    }
}
