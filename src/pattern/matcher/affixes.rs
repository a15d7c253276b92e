//! Which of many texts does a value start with: one binary search, whatever their number.
//!
//! The texts are sorted, and each knows the longest other text that it starts with. All texts that a value
//! starts with are on the way up from the text just before the value: whatever is sorted between one of
//! them and the value starts with it too.

use std::collections::BTreeMap;

/// Prefixes, or suffixes if all texts are given from their end.
#[derive(Debug, Default)]
pub(super) struct Affixes {
    building: BTreeMap<Vec<u8>, Vec<AffixEntry>>,
    sorted: Vec<Affix>,
}

/// A condition; whether it is met for certain, or must still be asked.
pub(super) type AffixEntry = (usize, bool);

#[derive(Debug)]
struct Affix {
    text: Vec<u8>,
    entries: Vec<AffixEntry>,
    /// The longest other text that this one starts with.
    shorter: Option<usize>,
}

impl Affixes {
    pub(super) fn add(&mut self, text: impl Iterator<Item = u8>, entry: AffixEntry) {
        self.building.entry(text.collect()).or_default().push(entry);
    }

    pub(super) fn finish(&mut self) {
        for (text, entries) in std::mem::take(&mut self.building) {
            let mut shorter = self.sorted.len().checked_sub(1);
            while let Some(index) = shorter
                && !text.starts_with(&self.sorted[index].text)
            {
                shorter = self.sorted[index].shorter;
            }
            self.sorted.push(Affix {
                text,
                entries,
                shorter,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Every entry whose text the value starts with.
    pub(super) fn find(
        &self,
        value: &(impl Iterator<Item = u8> + Clone),
        mut found: impl FnMut(AffixEntry),
    ) {
        let before = |affix: &Affix| affix.text.iter().copied().le(value.clone());
        let mut at = self.sorted.partition_point(before).checked_sub(1);
        let mut starts = false;
        while let Some(index) = at {
            let affix = &self.sorted[index];
            // If the value starts with a text, it starts with all that text starts with.
            starts = starts || starts_with(value.clone(), &affix.text);
            if starts {
                affix.entries.iter().for_each(|entry| found(*entry));
            }
            at = affix.shorter;
        }
    }
}

fn starts_with(mut value: impl Iterator<Item = u8>, text: &[u8]) -> bool {
    text.iter().all(|byte| value.next() == Some(*byte))
}
