//! What remembers occurrences whose Job is gone: a file of keys in each namespace's folder.
//!
//! ```text
//! STATE/NAMESPACE/.ledger   "slipway1", then records of 32 bytes:
//!                           key 16, expiry 8 (Unix seconds, little endian), checksum 8
//! ```
//!
//! Records are only added, and are on disk before their Job may go. A record that
//! is not whole is what a crash left of the last batch: its Job is still there, and
//! it is left out. One further up is damage, and nobody knows what it said.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::store::sync_folder;

/// First half of an occurrence's hash.
pub(super) type Key = [u8; 16];

/// Keys of one namespace at most; then nothing new is launched there.
pub(super) const MOST_KEYS: usize = 1_000_000;
/// How long a key is kept after it expired: clocks are set, and senders come late.
const LATE: Duration = Duration::from_hours(1);
/// Tells the format, and a later one.
const HEADER: &[u8; 8] = b"slipway1";
const RECORD: usize = 32;
/// Both as lengths of files.
const HEADER_BYTES: u64 = 8;
const RECORD_BYTES: u64 = 32;
/// Records that are written in one go: what a crash can tear.
const BATCH: usize = 1024;
/// A file of fewer records is not worth writing anew.
const WORTH_IT: usize = 1024;

/// The key of an occurrence; `None` when that is not 64 hexadecimal digits.
pub(super) fn key(occurrence: &str) -> Option<Key> {
    let is_hash = occurrence.len() == 64 && occurrence.bytes().all(|c| c.is_ascii_hexdigit());
    if !is_hash {
        return None;
    }
    let mut key = Key::default();
    for (byte, digits) in key.iter_mut().zip(occurrence.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(key)
}

/// A key to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: Key,
    pub(super) expires_at: Timestamp,
}

/// The ledgers of all namespaces.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: Mutex<HashMap<String, Known>>,
    /// Held while files are written. Never taken while `known` is held.
    writing: Mutex<()>,
}

/// What is on disk of one namespace.
#[derive(Debug, Default)]
struct Known {
    keys: HashMap<Key, Since>,
    /// Records in the file, those of expired keys included.
    records: usize,
}

#[derive(Debug, Clone, Copy)]
struct Since {
    /// Unix seconds.
    expires_at: u64,
    /// When this process first knew it to be there.
    since: Instant,
}

impl Ledger {
    /// Reads the ledger of a namespace's folder, if it has one.
    ///
    /// # Errors
    ///
    /// It is there, and cannot be read or is damaged.
    pub(super) fn load(&self, namespace: &str, folder: &Path) -> io::Result<()> {
        let path = file(folder);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            bytes => bytes?,
        };
        let read = read(&bytes)?;
        let since = Instant::now();
        let mut known = Known {
            keys: HashMap::with_capacity(read.records.len()),
            records: read.records.len(),
        };
        for (key, expires_at) in &read.records {
            known.add(*key, *expires_at, since);
        }
        if read.is_torn {
            // Whatever is added next begins where a record begins.
            rewrite(folder, &known.keys)?;
            known.records = known.keys.len();
        }
        self.lock().insert(namespace.to_owned(), known);
        Ok(())
    }

    /// Whether a key is remembered at this moment.
    pub(super) fn has(&self, namespace: &str, key: &Key, now: Timestamp) -> bool {
        let known = self.lock();
        let since = known.get(namespace).and_then(|known| known.keys.get(key));
        since.is_some_and(|since| !is_over(since.expires_at, now))
    }

    /// How long this process has known the key to be on disk.
    pub(super) fn known_for(&self, namespace: &str, key: &Key) -> Option<Duration> {
        let known = self.lock();
        let since = known.get(namespace)?.keys.get(key)?;
        Some(since.since.elapsed())
    }

    /// Whether a namespace takes no more keys.
    pub(super) fn is_full(&self, namespace: &str) -> bool {
        let known = self.lock();
        known
            .get(namespace)
            .is_some_and(|known| known.keys.len() >= MOST_KEYS)
    }

    /// Writes keys that are not there yet into the ledger of a namespace's folder. On disk when this returns.
    ///
    /// # Errors
    ///
    /// Some may not be there.
    pub(super) fn add(
        &self,
        namespace: &str,
        folder: &Path,
        lines: &[Line],
        now: Timestamp,
    ) -> io::Result<()> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<(Key, u64)> = lines
            .iter()
            .map(|line| (line.key, seconds(line.expires_at)))
            .collect();
        {
            let known = self.lock();
            if let Some(known) = known.get(namespace) {
                new.retain(|(key, expires_at)| known.is_news(key, *expires_at));
            }
        }
        for batch in new.chunks(BATCH) {
            append(folder, batch)?;
            let mut known = self.lock();
            let known = known.entry(namespace.to_owned()).or_default();
            known.records += batch.len();
            for (key, expires_at) in batch {
                known.add(*key, *expires_at, Instant::now());
            }
        }
        self.compact(namespace, folder, now)
    }

    /// Writes the file anew without what is over, when that is most of it.
    fn compact(&self, namespace: &str, folder: &Path, now: Timestamp) -> io::Result<()> {
        let live: HashMap<Key, Since> = {
            let known = self.lock();
            let Some(known) = known.get(namespace) else {
                return Ok(());
            };
            let live = known.live(now);
            if known.records < WORTH_IT || live.clone().count() > known.records / 2 {
                return Ok(());
            }
            live.map(|(key, since)| (*key, *since)).collect()
        };
        // Nobody adds meanwhile: this is called by whoever writes.
        rewrite(folder, &live)?;
        let mut known = self.lock();
        let known = known.entry(namespace.to_owned()).or_default();
        known.records = live.len();
        known.keys = live;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_news(&self, key: &Key, expires_at: u64) -> bool {
        let known = self.keys.get(key);
        known.is_none_or(|known| known.expires_at < expires_at)
    }

    fn add(&mut self, key: Key, expires_at: u64, since: Instant) {
        let new = Since { expires_at, since };
        let known = self.keys.entry(key).or_insert(new);
        known.expires_at = known.expires_at.max(expires_at);
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = (&Key, &Since)> + Clone {
        self.keys
            .iter()
            .filter(move |(_, since)| !is_over(since.expires_at, now))
    }
}

fn is_over(expires_at: u64, now: Timestamp) -> bool {
    expires_at.saturating_add(LATE.as_secs()) <= seconds(now)
}

/// Unix seconds; 0 before 1970.
fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}

fn file(folder: &Path) -> PathBuf {
    folder.join(".ledger")
}

/// What a file says.
struct Read {
    records: Vec<(Key, u64)>,
    /// Something at its end is not whole.
    is_torn: bool,
}

fn read(bytes: &[u8]) -> io::Result<Read> {
    let damaged = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let Some(body) = bytes.strip_prefix(HEADER) else {
        // A crash in the first batch: what the disk never got is short, or zeros.
        let same = |(found, wanted): (&u8, &u8)| found == wanted || *found == 0;
        let is_first = bytes.len() <= HEADER.len() + BATCH * RECORD;
        if is_first && bytes.iter().zip(HEADER).all(same) {
            let records = Vec::new();
            return Ok(Read {
                records,
                is_torn: true,
            });
        }
        return Err(damaged("it is no ledger of this version"));
    };
    let (whole, rest) = body.as_chunks::<RECORD>();
    let mut records = Vec::with_capacity(whole.len());
    let mut is_torn = !rest.is_empty();
    for (index, record) in whole.iter().enumerate() {
        match parse(record) {
            Some(record) => records.push(record),
            None if index + BATCH >= whole.len() => is_torn = true,
            None => return Err(damaged("a record in the middle of it is damaged")),
        }
    }
    Ok(Read { records, is_torn })
}

fn parse(record: &[u8; RECORD]) -> Option<(Key, u64)> {
    let (key, rest) = record.split_first_chunk::<16>()?;
    let (expires_at, rest) = rest.split_first_chunk::<8>()?;
    let record = written(key, u64::from_le_bytes(*expires_at));
    record
        .ends_with(rest)
        .then(|| (*key, u64::from_le_bytes(*expires_at)))
}

fn written(key: &Key, expires_at: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(key);
    record[16..24].copy_from_slice(&expires_at.to_le_bytes());
    let checksum = Sha256::digest(&record[..24]);
    record[24..].copy_from_slice(&checksum[..8]);
    record
}

fn append(folder: &Path, batch: &[(Key, u64)]) -> io::Result<()> {
    let path = file(folder);
    let is_new = !path.try_exists()?;
    if is_new {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::options().append(true).create(true).open(&path)?;
    let mut before = file.metadata()?.len();
    let begun = before.saturating_sub(HEADER_BYTES) % RECORD_BYTES;
    if begun != 0 {
        before -= begun;
        file.set_len(before)?;
    }
    let mut bytes = Vec::with_capacity(HEADER.len() + batch.len() * RECORD);
    if before == 0 {
        bytes.extend_from_slice(HEADER);
    }
    for (key, expires_at) in batch {
        bytes.extend_from_slice(&written(key, *expires_at));
    }
    let added = file.write_all(&bytes).and_then(|()| file.sync_all());
    if let Err(error) = added {
        // A disk that is full took a part: the next record must not begin in the middle of one.
        file.set_len(before)?;
        return Err(error);
    }
    if is_new {
        sync_folder(folder)?;
    }
    Ok(())
}

fn rewrite(folder: &Path, keys: &HashMap<Key, Since>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER.len() + keys.len() * RECORD);
    bytes.extend_from_slice(HEADER);
    for (key, since) in keys {
        bytes.extend_from_slice(&written(key, since.expires_at));
    }
    let new = folder.join(".ledger.new");
    let mut file = File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, self::file(folder))?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests;
