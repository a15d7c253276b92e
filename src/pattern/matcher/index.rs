//! The conditions on one field, found by a value instead of tested one by one.

use std::net::IpAddr;

use super::super::operator::address::{Cidr, address};
use super::super::operator::number::{NumberKey, comparable, number_key};
use super::super::operator::{FieldCondition, LeafValue, Operator, fold};
use super::affixes::{AffixEntry, Affixes};
use super::ranges::Ranges;
use super::table::{ConditionSet, Table, enter};

/// What a value of one field may be held against, by kind.
#[derive(Debug, Default)]
pub(super) struct Index {
    texts: Table<Box<str>>,
    numbers: Table<u64>,
    number_texts: Table<Box<str>>,
    literals: [Vec<usize>; 3],
    addresses: Table<IpAddr>,
    networks: Table<Cidr>,
    /// Masks that networks have.
    masks: Vec<u8>,
    ranges: Ranges,
    prefixes: Affixes,
    suffixes: Affixes,
    /// By a form that does not know case; what is found must still be asked.
    folded: Table<String>,
    folded_prefixes: Affixes,
    folded_suffixes: Affixes,
    needs_fold: bool,
    needs_address: bool,
}

impl Index {
    /// Whether every alternative of a condition can be found by a value.
    pub(super) fn takes(condition: &FieldCondition) -> bool {
        condition.any.iter().all(|operator| match operator {
            Operator::Exists | Operator::AnythingBut(_) => false,
            // One that starts and ends with `*` is tested.
            Operator::Wildcard(wildcard) => {
                !wildcard.head().is_empty() || wildcard.tail().is_none_or(|tail| !tail.is_empty())
            }
            _ => true,
        })
    }

    pub(super) fn add(&mut self, index: usize, condition: &FieldCondition) {
        for operator in &condition.any {
            match operator {
                Operator::Equals(text) => enter(&mut self.texts, text.clone(), index),
                Operator::EqualsAddress(address) => {
                    enter(&mut self.addresses, *address, index);
                }
                Operator::EqualsNumber(number) => match number_key(number.text()) {
                    NumberKey::Value(bits) => enter(&mut self.numbers, bits, index),
                    NumberKey::Text(text) => {
                        enter(&mut self.number_texts, text.into(), index);
                    }
                },
                Operator::EqualsLiteral(literal) => {
                    self.literals[literal_place(literal)].push(index);
                }
                Operator::EqualsIgnoreCase(text) => {
                    enter(&mut self.folded, fold::key(text), index);
                }
                Operator::Prefix(text) => self.prefixes.add(text.bytes(), (index, true)),
                Operator::PrefixIgnoreCase(text) => {
                    self.folded_prefixes
                        .add(fold::key(text).bytes(), (index, false));
                }
                Operator::Suffix(text) => self.suffixes.add(text.bytes().rev(), (index, true)),
                Operator::SuffixIgnoreCase(text) => {
                    self.folded_suffixes
                        .add(fold::key(text).bytes().rev(), (index, false));
                }
                Operator::Wildcard(wildcard) => match wildcard.tail() {
                    None => {
                        enter(&mut self.texts, wildcard.head().into(), index);
                    }
                    Some(tail) if wildcard.head().len() < tail.len() => {
                        self.suffixes.add(tail.bytes().rev(), (index, false));
                    }
                    Some(_) => self.prefixes.add(wildcard.head().bytes(), (index, false)),
                },
                Operator::Numeric(range) => self.ranges.add(range.clone(), index),
                Operator::Cidr(network) => {
                    enter(&mut self.networks, *network, index);
                    self.masks.push(network.mask_bits());
                }
                // `takes` says no to these.
                Operator::Exists | Operator::AnythingBut(_) => {}
            }
        }
    }

    /// Ends the building.
    pub(super) fn finish(&mut self) {
        self.masks.sort_unstable();
        self.masks.dedup();
        self.ranges.finish();
        for affixes in [
            &mut self.prefixes,
            &mut self.suffixes,
            &mut self.folded_prefixes,
            &mut self.folded_suffixes,
        ] {
            affixes.finish();
        }
        self.needs_address = !self.addresses.is_empty() || !self.networks.is_empty();
        self.needs_fold = !self.folded.is_empty()
            || !self.folded_prefixes.is_empty()
            || !self.folded_suffixes.is_empty();
    }

    /// Conditions that a value meets for certain (true), or may meet. One may be named twice.
    pub(super) fn find(&self, value: &LeafValue<'_>, mut found: impl FnMut(usize, bool)) {
        match value {
            LeafValue::Text(text) => self.find_text(text, found),
            LeafValue::Number(text) => {
                let number = comparable(text);
                let equal = match number {
                    Some(value) => self.numbers.get(&value.to_bits()),
                    None => self.number_texts.get(*text),
                };
                equal
                    .into_iter()
                    .flat_map(ConditionSet::iter)
                    .for_each(|index| found(index, true));
                if let Some(value) = number
                    && !self.ranges.is_empty()
                {
                    self.ranges.find(value, |index| found(index, true));
                }
            }
            literal => {
                let equal = &self.literals[literal_place(literal)];
                for index in equal {
                    found(*index, true);
                }
            }
        }
    }

    fn find_text(&self, text: &str, mut found: impl FnMut(usize, bool)) {
        let mut each = |list: Option<&ConditionSet>, is_certain: bool| {
            list.into_iter()
                .flat_map(ConditionSet::iter)
                .for_each(|index| found(index, is_certain));
        };
        if !self.texts.is_empty() {
            each(self.texts.get(text), true);
        }
        if self.needs_address
            && let Some(address) = address(text)
        {
            each(self.addresses.get(&address), true);
            for mask in &self.masks {
                let network = Cidr::around(address, *mask);
                each(
                    network.and_then(|network| self.networks.get(&network)),
                    true,
                );
            }
        }
        let folded = if self.needs_fold {
            fold::key(text)
        } else {
            String::new()
        };
        if self.needs_fold {
            each(self.folded.get(&folded), false);
        }
        let mut entry = |(index, is_certain): AffixEntry| found(index, is_certain);
        if !self.prefixes.is_empty() {
            self.prefixes.find(&text.bytes(), &mut entry);
        }
        if !self.suffixes.is_empty() {
            self.suffixes.find(&text.bytes().rev(), &mut entry);
        }
        if !self.folded_prefixes.is_empty() {
            self.folded_prefixes.find(&folded.bytes(), &mut entry);
        }
        if !self.folded_suffixes.is_empty() {
            self.folded_suffixes.find(&folded.bytes().rev(), &mut entry);
        }
    }
}

fn literal_place(literal: &LeafValue<'_>) -> usize {
    match literal {
        LeafValue::True => 0,
        LeafValue::False => 1,
        _ => 2,
    }
}
