//! Branches by the conditions they need: a prefix tree of sets.
//!
//! Every branch is a path of its conditions, all in one order that puts the rare ones first. A branch is
//! reached only over conditions that are met, so those of no interest to an event cost nothing.

use std::collections::HashMap;

/// Children above which they are looked up by what is met, rather than each asked.
const FEW: usize = 16;
const ROOT: usize = 0;
/// No node: the root is never entered by a condition.
const NOWHERE: u32 = 0;

#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<TreeNode>,
    /// Where the conditions that the walk finds lead from the root, by their number.
    /// Short, so that many of them are near each other.
    entrances: Vec<u32>,
    /// Node and condition to child; only while the tree is built.
    edges: HashMap<(usize, usize), usize>,
}

#[derive(Debug, Default)]
struct TreeNode {
    /// Branches all of whose conditions lead here.
    branches: Vec<usize>,
    /// Conditions found met by the walk, and where they lead; sorted.
    walked: Vec<(usize, usize)>,
    /// Conditions that must be asked.
    asked: Vec<(usize, usize)>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![TreeNode::default()],
            entrances: Vec::new(),
            edges: HashMap::new(),
        }
    }

    pub(super) fn insert(&mut self, conditions: &[usize], branch: usize) {
        let mut at = ROOT;
        for condition in conditions {
            let next = self.nodes.len();
            let child = *self.edges.entry((at, *condition)).or_insert(next);
            if child == next {
                self.nodes.push(TreeNode::default());
                self.nodes[at].walked.push((*condition, child));
            }
            at = child;
        }
        self.nodes[at].branches.push(branch);
    }

    /// Ends the building: tells the conditions that must be asked from those that the walk finds.
    pub(super) fn finish(&mut self, is_asked: impl Fn(usize) -> bool) {
        self.edges = HashMap::new();
        for node in &mut self.nodes {
            let edges = std::mem::take(&mut node.walked).into_iter();
            (node.asked, node.walked) = edges.partition(|(condition, _)| is_asked(*condition));
            node.walked.sort_unstable();
        }
        let root = std::mem::take(&mut self.nodes[ROOT].walked);
        self.entrances = vec![NOWHERE; root.last().map_or(0, |(condition, _)| condition + 1)];
        for (condition, child) in root {
            self.entrances[condition] =
                u32::try_from(child).expect("nodes fit in memory many times over");
        }
    }

    /// Gives every branch all of whose conditions are possible to `found`.
    ///
    /// `met` lists the conditions that the walk found, each once; `is_possible` answers for any.
    pub(super) fn visit<I: Iterator<Item = usize>>(
        &self,
        met: impl Fn() -> I,
        is_possible: impl Fn(usize) -> bool,
        mut found: impl FnMut(usize),
    ) {
        let entered = met().filter_map(|condition| {
            let entrance = *self.entrances.get(condition)?;
            (entrance != NOWHERE).then_some(entrance as usize)
        });
        let mut waiting: Vec<usize> = entered.collect();
        // The root is always entered.
        let mut next = Some(ROOT);
        while let Some(at) = next {
            let node = &self.nodes[at];
            node.branches.iter().for_each(|branch| found(*branch));
            if node.walked.len() > FEW {
                for condition in met() {
                    let place = node
                        .walked
                        .binary_search_by_key(&condition, |(condition, _)| *condition);
                    waiting.extend(place.ok().map(|place| node.walked[place].1));
                }
            } else {
                let possible = node
                    .walked
                    .iter()
                    .filter(|(condition, _)| is_possible(*condition));
                waiting.extend(possible.map(|(_, child)| *child));
            }
            let possible = node
                .asked
                .iter()
                .filter(|(condition, _)| is_possible(*condition));
            waiting.extend(possible.map(|(_, child)| *child));
            next = waiting.pop();
        }
    }
}
