//! The ledger of releases before shards: read once, when its keys move into a shard.
//!
//! ```text
//! "slipway1", then records of 32 bytes: key 16, expiry 8 (Unix seconds, little endian), checksum 8
//! ```

use std::io;

use sha2::{Digest as _, Sha256};

use crate::launch::ledger::{Entry, Key};

const HEADER: &[u8; 8] = b"slipway1";
const RECORD: usize = 32;
/// Records that were written in one go: what a crash can tear.
const BATCH: usize = 1024;

/// What the file says. A last batch that is not whole is left out: its Jobs are still there.
///
/// # Errors
///
/// It is another file, or damaged further up.
pub(super) fn read(bytes: &[u8]) -> io::Result<Vec<Entry>> {
    let damaged = |text| Err(io::Error::new(io::ErrorKind::InvalidData, text));
    let Some(body) = bytes.strip_prefix(HEADER) else {
        // A crash in the first batch: what the disk never got is short, or zeros.
        let same = |(found, wanted): (&u8, &u8)| found == wanted || *found == 0;
        let is_first = bytes.len() <= HEADER.len() + BATCH * RECORD;
        if is_first && bytes.iter().zip(HEADER).all(same) {
            return Ok(Vec::new());
        }
        return damaged("it is no ledger that this version reads");
    };
    let (records, _) = body.as_chunks::<RECORD>();
    let mut entries = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        match entry(record) {
            Some(entry) => entries.push(entry),
            None if index + BATCH >= records.len() => {}
            None => return damaged("a record in the middle of it is damaged"),
        }
    }
    Ok(entries)
}

fn entry(record: &[u8; RECORD]) -> Option<Entry> {
    let (said, checksum) = record.split_at(24);
    let (key, expiry) = said.split_first_chunk::<16>()?;
    if !Sha256::digest(said).starts_with(checksum) {
        return None;
    }
    let expiry = u64::from_le_bytes(expiry.try_into().ok()?);
    let digits = format!("{:032x}", u128::from_be_bytes(*key));
    Some(Entry {
        key: Key::of(&digits)?,
        expires_at: u32::try_from(expiry).unwrap_or(u32::MAX),
    })
}
