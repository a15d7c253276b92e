//! The records of late, within bounds: so many of an object, so many bytes in all, the oldest go first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::codec;
use super::names;
use super::record::{HistoryFact, HistoryRecord, LONGEST_ID, Subject, cut, is_of_event, is_of_job};

/// Records of one object at most.
pub const MOST_OF_OBJECT: usize = 100;
/// Refused requests of one object at most, each cause once: strangers cause them.
pub const MOST_REFUSED: usize = 16;
/// `--history-memory` where nobody says it. Unit: bytes.
pub const DEFAULT_MEMORY: usize = 16 << 20;

/// Bytes that a record takes beside its own: its places in three tables.
const RECORD_OVERHEAD: usize = 96;
/// Bytes that a text takes beside its own: twice in a table.
const TEXT_OVERHEAD: usize = 96;
/// Bytes that an object takes beside its records.
const OBJECT_OVERHEAD: usize = 256;

/// What a new record was to the memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// As it is kept now: with how often, and since when.
    pub record: HistoryRecord,
    /// The object's last record said the same.
    pub is_again: bool,
}

/// The records of late.
#[derive(Debug)]
pub struct RecordMemory {
    limit: usize,
    used: usize,
    next: u64,
    records: BTreeMap<u64, Kept>,
    objects: HashMap<Subject, VecDeque<u64>>,
    texts: Texts,
}

#[derive(Debug)]
struct Kept {
    subject: Subject,
    bytes: Box<[u8]>,
    texts: Box<[u32]>,
    is_refused: bool,
}

impl Kept {
    fn size(&self) -> usize {
        self.bytes.len() + self.texts.len() * size_of::<u32>() + RECORD_OVERHEAD
    }
}

/// Texts that records share, each once, with how many hold it.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    slots: Vec<Option<(Arc<str>, u32)>>,
    free: Vec<u32>,
}

impl Texts {
    /// The number of a text, and what it takes anew.
    fn hold(&mut self, text: &str) -> (u32, usize) {
        if let Some(number) = self.numbers.get(text) {
            if let Some(Some((_, holders))) = self.slots.get_mut(*number as usize) {
                *holders += 1;
            }
            return (*number, 0);
        }
        let text: Arc<str> = text.into();
        let size = text.len() + TEXT_OVERHEAD;
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.slots.get_mut(number as usize) {
            *slot = Some((text.clone(), 1));
        }
        self.numbers.insert(text, number);
        (number, size)
    }

    /// One that held it does no more. Returns what that gives back.
    fn release(&mut self, number: u32) -> usize {
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return 0;
        };
        let Some((text, holders)) = slot else {
            return 0;
        };
        *holders -= 1;
        if *holders > 0 {
            return 0;
        }
        let size = text.len() + TEXT_OVERHEAD;
        self.numbers.remove(text);
        *slot = None;
        self.free.push(number);
        size
    }

    fn get(&self, number: u32) -> Option<Arc<str>> {
        let slot = self.slots.get(number as usize)?.as_ref()?;
        Some(slot.0.clone())
    }
}

impl RecordMemory {
    /// An empty one, of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            next: 0,
            records: BTreeMap::new(),
            objects: HashMap::new(),
            texts: Texts::default(),
        }
    }

    /// Bytes that are taken, by count of what is kept.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Records that are kept.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Keeps one more; the oldest go as far as they must. One that says the same as before is kept once, with a count.
    pub fn push(&mut self, mut record: HistoryRecord) -> Noted {
        let before = self.before(&record);
        let mut is_again = false;
        if let Some((number, earlier)) = before {
            let last = self.objects.get(&record.subject).and_then(VecDeque::back);
            is_again = last == Some(&number);
            record.since = earlier.since;
            record.times = earlier.times.saturating_add(record.times);
            self.remove(number);
        }
        self.keep(&record);
        Noted { record, is_again }
    }

    /// The kept record that says the same as this one, if there is one.
    fn before(&self, record: &HistoryRecord) -> Option<(u64, HistoryRecord)> {
        let numbers = self.objects.get(&record.subject)?;
        let looked_at = match record.fact {
            HistoryFact::Turn(_) | HistoryFact::Standing(_) => 1,
            HistoryFact::Refused(_) => numbers.len(),
            HistoryFact::Answer(_) | HistoryFact::Missed(_) => 0,
        };
        let is_refused = matches!(record.fact, HistoryFact::Refused(_));
        for number in numbers.iter().rev().take(looked_at) {
            let kept = self.records.get(number)?;
            if kept.is_refused == is_refused
                && let Some(earlier) = self.decode(kept)
                && record.repeats(&earlier)
            {
                return Some((*number, earlier));
            }
        }
        None
    }

    fn keep(&mut self, record: &HistoryRecord) {
        let (texts, mut held, mut taken) = (&mut self.texts, Vec::new(), 0);
        let mut intern = |text: &str| {
            let (number, size) = texts.hold(text);
            held.push(number);
            taken += size;
            number
        };
        let bytes = codec::encode(record, &mut intern);
        let kept = Kept {
            subject: record.subject.clone(),
            bytes: bytes.into(),
            texts: held.into(),
            is_refused: matches!(record.fact, HistoryFact::Refused(_)),
        };
        self.used += kept.size() + taken;
        let is_refused = kept.is_refused;
        let number = self.next;
        self.next += 1;
        self.records.insert(number, kept);
        if !self.objects.contains_key(&record.subject) {
            self.used += OBJECT_OVERHEAD;
        }
        let numbers = self.objects.entry(record.subject.clone()).or_default();
        numbers.push_back(number);
        let surplus = (numbers.len() > MOST_OF_OBJECT).then(|| numbers[0]);
        let oldest_refused = is_refused.then(|| self.oldest_refused(&record.subject));
        for number in [surplus, oldest_refused.flatten()].into_iter().flatten() {
            self.remove(number);
        }
        while self.used > self.limit {
            let Some((oldest, _)) = self.records.first_key_value() else {
                return;
            };
            self.remove(*oldest);
        }
    }

    /// The oldest refusal of an object that has too many of them.
    fn oldest_refused(&self, subject: &Subject) -> Option<u64> {
        let numbers = self.objects.get(subject)?;
        let is_refused = |number: &&u64| {
            let kept = self.records.get(number);
            kept.is_some_and(|kept| kept.is_refused)
        };
        let refused = numbers.iter().filter(is_refused);
        (refused.clone().count() > MOST_REFUSED)
            .then(|| refused.clone().next().copied())
            .flatten()
    }

    fn remove(&mut self, number: u64) {
        let Some(kept) = self.records.remove(&number) else {
            return;
        };
        self.used -= kept.size();
        for text in &kept.texts {
            self.used -= self.texts.release(*text);
        }
        if let Some(numbers) = self.objects.get_mut(&kept.subject) {
            numbers.retain(|kept| *kept != number);
            if numbers.is_empty() {
                self.objects.remove(&kept.subject);
                self.used -= OBJECT_OVERHEAD;
            }
        }
    }

    fn decode(&self, kept: &Kept) -> Option<HistoryRecord> {
        codec::decode(&kept.bytes, &|number| self.texts.get(number))
    }

    /// The objects that have records.
    pub fn subjects(&self) -> Vec<Subject> {
        self.objects.keys().cloned().collect()
    }

    /// The records of one object, the oldest first.
    pub fn of_object(&self, subject: &Subject) -> Vec<HistoryRecord> {
        let numbers = self.objects.get(subject).into_iter().flatten();
        let kept = numbers.filter_map(|number| self.records.get(number));
        kept.filter_map(|kept| self.decode(kept)).collect()
    }

    /// What is known of an event, by its id, the oldest first.
    pub fn of_event(&self, id: &str) -> Vec<HistoryRecord> {
        let mut records = self.holding(cut(id, LONGEST_ID));
        records.retain(|record| is_of_event(record, id));
        records
    }

    /// The records that may be of a Job of this name: of them those count for which [`is_of_job`] says so. That takes a
    /// while for the Jobs of turns, so it is left to whoever holds no lock.
    pub fn near_job(&self, job: &str) -> Vec<HistoryRecord> {
        let mut records = self.holding(job);
        for subject in self.objects.keys() {
            if names::may_have_job(subject, job) {
                records.extend(self.of_object(subject));
            }
        }
        records
    }

    /// What is known of a Job, by its name: the answer or the turn that made it.
    pub fn of_job(&self, job: &str) -> Vec<HistoryRecord> {
        let mut records = self.near_job(job);
        records.retain(|record| is_of_job(record, job));
        records
    }

    /// The records that have this text in them, the oldest first: an event's id, or the name of an event's Job. There may be
    /// others among them, because records are not read but looked through.
    fn holding(&self, text: &str) -> Vec<HistoryRecord> {
        let text = text.as_bytes();
        let holds = |kept: &&Kept| {
            let mut windows = kept.bytes.windows(text.len().max(1));
            windows.any(|window| window == text)
        };
        let kept = self.records.values().filter(holds);
        kept.filter_map(|kept| self.decode(kept)).collect()
    }
}
