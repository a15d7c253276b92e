//! A file of records: its first line, then frames. Each has its length before it and a checksum behind it.
//!
//! ```text
//! slipway history 1\n
//! LENGTH 'T' TEXT… SUM     a text; its number is how many came before it in this file
//! LENGTH 'R' RECORD… SUM   a record (`codec`)
//! LENGTH 'A' SUBJECT AT SUM   the last record of that object was so again
//! ```
//!
//! A frame that was cut off by a crash ends the file; what is before it counts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::codec::{self, read_number, write_number};
use super::record::{HistoryRecord, Subject};

/// How a file begins.
pub const HEAD: &[u8] = b"slipway history 1\n";
/// Bytes of one frame at most: of a text, with room.
const LARGEST_FRAME: usize = 1024;

/// Makes the frames of one file.
#[derive(Debug, Default)]
pub struct SegmentWriter {
    texts: HashMap<String, u32>,
    /// Those that have a record in this file.
    subjects: HashSet<u32>,
}

impl SegmentWriter {
    /// The frames that put a record into the file. `is_again`: it says the same as the object's record before it.
    pub fn frames(&mut self, record: &HistoryRecord, is_again: bool) -> Vec<u8> {
        let mut frames = Vec::new();
        let texts = &mut self.texts;
        let mut intern = |text: &str| {
            if let Some(number) = texts.get(text) {
                return *number;
            }
            let number = u32::try_from(texts.len()).unwrap_or(u32::MAX);
            texts.insert(text.to_owned(), number);
            frame(&mut frames, b'T', text.as_bytes());
            number
        };
        let subject = intern(&codec::subject_text(&record.subject));
        if is_again && self.subjects.contains(&subject) {
            let mut again = Vec::new();
            write_number(&mut again, subject.into());
            again.extend(record.at.as_millisecond().to_le_bytes());
            frame(&mut frames, b'A', &again);
            return frames;
        }
        let bytes = codec::encode(record, &mut intern);
        self.subjects.insert(subject);
        frame(&mut frames, b'R', &bytes);
        frames
    }
}

fn frame(frames: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    write_number(frames, payload.len() as u64 + 1);
    let start = frames.len();
    frames.push(tag);
    frames.extend(payload);
    let sum = checksum(&frames[start..]);
    frames.extend(sum.to_le_bytes());
}

/// What a file says next.
#[derive(Debug, Clone, PartialEq)]
pub enum SegmentItem {
    /// A record.
    Record(Box<HistoryRecord>),
    /// The last record of this object was so again.
    Again(Subject, Timestamp),
}

/// Reads the frames of one file.
pub struct SegmentReader<'a> {
    bytes: &'a [u8],
    texts: Vec<Arc<str>>,
}

impl<'a> SegmentReader<'a> {
    /// From a whole file; `None` when it is none of ours.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(HEAD)?;
        Some(Self {
            bytes,
            texts: Vec::new(),
        })
    }

    /// Bytes that were not read: more than none at the end means that the last frame is damaged.
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    /// The next frame, if it is whole.
    fn frame(&mut self) -> Option<(u8, &'a [u8])> {
        let (length, rest) = read_number(self.bytes)?;
        let length = usize::try_from(length).ok()?;
        if length == 0 || length > LARGEST_FRAME {
            return None;
        }
        let (payload, rest) = rest.split_at_checked(length)?;
        let (sum, rest) = rest.split_at_checked(4)?;
        if checksum(payload).to_le_bytes() != *sum {
            return None;
        }
        self.bytes = rest;
        let (tag, payload) = payload.split_first()?;
        Some((*tag, payload))
    }
}

impl Iterator for SegmentReader<'_> {
    type Item = SegmentItem;

    fn next(&mut self) -> Option<SegmentItem> {
        loop {
            let (tag, payload) = self.frame()?;
            match tag {
                b'T' => self.texts.push(std::str::from_utf8(payload).ok()?.into()),
                b'R' => {
                    let texts = &self.texts;
                    let text = |number: u32| texts.get(usize::try_from(number).ok()?).cloned();
                    let record = codec::decode(payload, &text)?;
                    return Some(SegmentItem::Record(Box::new(record)));
                }
                b'A' => {
                    let (subject, at) = read_number(payload)?;
                    let subject = self.texts.get(usize::try_from(subject).ok()?)?;
                    let at = i64::from_le_bytes(at.try_into().ok()?);
                    let at = Timestamp::from_millisecond(at).ok()?;
                    return Some(SegmentItem::Again(codec::subject_of(subject)?, at));
                }
                // Of a later release.
                _ => {}
            }
        }
    }
}

/// FNV-1a: tells a frame that was written whole from one that was not.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = 0x811c_9dc5_u32;
    for byte in bytes {
        sum = (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    sum
}
