//! Sets of indexes as Kubernetes writes them: `1,3-5,7`; two in a row are `3,4`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::to_usize;

/// Indexes, as intervals with both ends, rising and apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intervals(Vec<(u32, u32)>);

impl Intervals {
    /// Reads a text; `None` for one of another form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut intervals: Vec<(u32, u32)> = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
                None => (part.parse().ok()?, part.parse().ok()?),
            };
            let is_rising = intervals.last().is_none_or(|(_, before)| *before < first);
            if last < first || !is_rising {
                return None;
            }
            intervals.push((first, last));
        }
        Some(Self(intervals))
    }

    /// Those below a number of completions.
    pub(super) fn below(&self, completions: u32) -> Self {
        let Some(highest) = completions.checked_sub(1) else {
            return Self::default();
        };
        let inside = self.0.iter().filter(|(first, _)| *first <= highest);
        Self(
            inside
                .map(|(first, last)| (*first, *last.min(&highest)))
                .collect(),
        )
    }

    /// How many there are.
    pub(super) fn total(&self) -> usize {
        self.0
            .iter()
            .map(|(first, last)| to_usize(last - first).saturating_add(1))
            .sum()
    }

    /// How many of these are in a set.
    pub(super) fn total_of(&self, indexes: &BTreeSet<u32>) -> usize {
        self.0
            .iter()
            .map(|(first, last)| indexes.range(first..=last).count())
            .sum()
    }
}

/// A set as it stands in a status.
pub(super) fn written(indexes: &BTreeSet<u32>) -> String {
    let mut text = String::new();
    let mut rest = indexes.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if(|next| *next == last + 1) {
            last = next;
        }
        if !text.is_empty() {
            text.push(',');
        }
        let written = match last - first {
            0 => write!(text, "{first}"),
            1 => write!(text, "{first},{last}"),
            _ => write!(text, "{first}-{last}"),
        };
        written.expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_as_kubernetes_writes_them() {
        let cases: [(&[u32], &str); 4] = [
            (&[], ""),
            (&[0], "0"),
            (&[0, 1, 3], "0,1,3"),
            (&[1, 3, 4, 5, 7], "1,3-5,7"),
        ];
        for (indexes, expected) in cases {
            assert_eq!(written(&indexes.iter().copied().collect()), expected);
        }
    }

    #[test]
    fn intervals_are_read_cut_and_counted() {
        let intervals = Intervals::parse("0,2-4,9").unwrap();
        assert_eq!(intervals.total(), 5);
        assert_eq!(intervals.below(4).total(), 3);
        assert_eq!(intervals.below(0).total(), 0);
        assert_eq!(intervals.total_of(&BTreeSet::from([1, 2, 3, 9])), 3);
        assert_eq!(Intervals::parse("").unwrap().total(), 0);
        for wrong in ["a", "3-2", "2,1", "1,,2", "1-", "1-3,3"] {
            assert_eq!(Intervals::parse(wrong), None, "{wrong}");
        }
    }
}
