//! Which of many ranges hold a number, without asking each.
//!
//! The bounds of all ranges cut the line into slots: each bound, and each gap between two. A range is
//! entered at the few nodes of a binary tree over the slots that cover it; a number meets what stands on
//! the way from its slot to the root.

use std::ops::Bound;

use super::super::operator::number::Range;

#[derive(Debug, Default)]
pub(super) struct Ranges {
    building: Vec<(Range, usize)>,
    bounds: Vec<f64>,
    /// A binary tree in an array: the children of `n` are `2n` and `2n + 1`, the slots are its second half.
    nodes: Vec<Vec<usize>>,
}

impl Ranges {
    pub(super) fn add(&mut self, range: Range, condition: usize) {
        self.building.push((range, condition));
    }

    pub(super) fn finish(&mut self) {
        let building = std::mem::take(&mut self.building);
        let ends = building
            .iter()
            .flat_map(|(range, _)| [range.bottom, range.top]);
        self.bounds = ends
            .filter_map(|bound| match bound {
                Bound::Included(value) | Bound::Excluded(value) => Some(value),
                Bound::Unbounded => None,
            })
            .collect();
        self.bounds.sort_unstable_by(f64::total_cmp);
        self.bounds.dedup();
        if building.is_empty() {
            return;
        }
        let slots = self.slots();
        self.nodes = vec![Vec::new(); 2 * slots];
        for (range, condition) in building {
            // The slot of a bound is odd, that of the gap behind it follows.
            let mut low = slots
                + match range.bottom {
                    Bound::Included(value) => self.slot(value),
                    Bound::Excluded(value) => self.slot(value) + 1,
                    Bound::Unbounded => 0,
                };
            let mut high = slots
                + match range.top {
                    Bound::Included(value) => self.slot(value) + 1,
                    Bound::Excluded(value) => self.slot(value),
                    Bound::Unbounded => slots,
                };
            while low < high {
                if low % 2 == 1 {
                    self.nodes[low].push(condition);
                    low += 1;
                }
                if high % 2 == 1 {
                    high -= 1;
                    self.nodes[high].push(condition);
                }
                low /= 2;
                high /= 2;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every condition whose range holds the number.
    pub(super) fn find(&self, value: f64, mut found: impl FnMut(usize)) {
        let mut at = self.slots() + self.slot(value);
        while at > 0 {
            self.nodes[at]
                .iter()
                .for_each(|condition| found(*condition));
            at /= 2;
        }
    }

    fn slots(&self) -> usize {
        2 * self.bounds.len() + 1
    }

    fn slot(&self, value: f64) -> usize {
        let index = self.bounds.partition_point(|bound| *bound < value);
        2 * index + usize::from(self.bounds.get(index) == Some(&value))
    }
}
