//! A record as bytes: small numbers are short, texts that come often are numbers of a table that is kept beside.
//!
//! The same form is kept in memory and in files. No record is longer than [`LARGEST_RECORD`]: one whose triggers are too
//! many for it keeps its numbers and leaves out its readings, and says so.

use std::sync::Arc;

use jiff::Timestamp;

use self::read::Reader;
use self::write::Writer;
use super::record::{
    HistoryFact, HistoryRecord, MissedRecord, ObjectStanding, RefusedRecord, Subject, SubjectKind,
};
use crate::resource::ObjectId;

mod read;
mod write;

/// Bytes of one record at most, what a file puts around it included.
pub const LARGEST_RECORD: usize = 300;
/// Bytes that a file puts around a record.
pub const FRAME: usize = 8;
/// Bytes of a Job's name.
const LONGEST_NAME: usize = 63;

/// The subject as the one text that stands for it in tables.
pub fn subject_text(subject: &Subject) -> String {
    let Subject { kind, id } = subject;
    format!("{}/{}/{}", kind.name(), id.namespace, id.name)
}

/// The subject of such a text.
pub fn subject_of(text: &str) -> Option<Subject> {
    let mut parts = text.split('/');
    let kind = parts.next()?;
    let kind = SubjectKind::ALL
        .into_iter()
        .find(|known| known.name() == kind)?;
    let id = ObjectId::new(parts.next()?, parts.next()?);
    parts.next().is_none().then_some(Subject { kind, id })
}

/// The record as bytes; `intern` gives texts their numbers.
pub fn encode(record: &HistoryRecord, intern: &mut dyn FnMut(&str) -> u32) -> Vec<u8> {
    let whole = encode_as(record, true, intern);
    if whole.len() + FRAME <= LARGEST_RECORD {
        return whole;
    }
    encode_as(record, false, intern)
}

fn encode_as(
    record: &HistoryRecord,
    with_readings: bool,
    intern: &mut dyn FnMut(&str) -> u32,
) -> Vec<u8> {
    let mut writer = Writer {
        bytes: Vec::with_capacity(96),
        with_readings,
        intern,
    };
    writer.text(&subject_text(&record.subject));
    writer.time(record.since);
    let since = record.since.as_millisecond();
    writer.signed(record.at.as_millisecond().saturating_sub(since));
    writer.number(record.times.into());
    match &record.fact {
        HistoryFact::Turn(turn) => {
            writer.byte(0);
            writer.turn(turn);
        }
        HistoryFact::Standing(standing) => {
            writer.byte(1);
            match standing {
                ObjectStanding::Paused => writer.byte(0),
                ObjectStanding::Invalid(why) => {
                    writer.byte(1);
                    writer.text(why);
                }
                ObjectStanding::StandsBy => writer.byte(2),
                ObjectStanding::Broken => writer.byte(3),
            }
        }
        HistoryFact::Answer(answer) => {
            writer.byte(2);
            writer.answer(answer);
        }
        HistoryFact::Refused(refused) => {
            writer.byte(3);
            writer.text(&refused.reason);
            writer.text(&refused.field);
            writer.text(&refused.message);
        }
        HistoryFact::Missed(missed) => {
            writer.byte(4);
            writer.time(missed.due);
            writer.number(missed.count);
            writer.text(&missed.reason);
            writer.text(&missed.message);
        }
    }
    writer.bytes
}

/// The record of such bytes; `None` when they are none. `text` knows what the numbers stand for.
pub fn decode(bytes: &[u8], text: &dyn Fn(u32) -> Option<Arc<str>>) -> Option<HistoryRecord> {
    let mut reader = Reader { bytes, text };
    let subject = subject_of(&reader.text()?)?;
    let since = reader.number_signed()?;
    let at = since.checked_add(reader.number_signed()?)?;
    let times = reader.small()?;
    let fact = match reader.byte()? {
        0 => HistoryFact::Turn(reader.turn()?),
        1 => HistoryFact::Standing(match reader.byte()? {
            0 => ObjectStanding::Paused,
            1 => ObjectStanding::Invalid(reader.text()?),
            2 => ObjectStanding::StandsBy,
            3 => ObjectStanding::Broken,
            _ => return None,
        }),
        2 => HistoryFact::Answer(reader.answer()?),
        3 => HistoryFact::Refused(RefusedRecord {
            reason: reader.text()?,
            field: reader.text()?,
            message: reader.text()?,
        }),
        4 => HistoryFact::Missed(MissedRecord {
            due: reader.time()?,
            count: reader.number()?,
            reason: reader.text()?,
            message: reader.text()?,
        }),
        _ => return None,
    };
    Some(HistoryRecord {
        subject,
        since: Timestamp::from_millisecond(since).ok()?,
        at: Timestamp::from_millisecond(at).ok()?,
        times,
        fact,
    })
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
pub(super) fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

/// Such a number, and what follows it.
pub(super) fn read_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && *byte > 1 {
            return None;
        }
        number |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}
