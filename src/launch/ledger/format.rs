//! Keys, and the bytes of a shard.
//!
//! ```text
//! "SLK", 1 byte     this format: 1
//! 4 bytes           number of entries
//! 20 bytes each     16 of the key, 4 of its expiry in Unix seconds
//! ```
//!
//! Numbers have their highest byte first. What cannot be read is an error, never
//! an empty shard: an empty one would say that nothing was launched.

use std::time::Duration;

use jiff::Timestamp;

const MAGIC: &[u8; 3] = b"SLK";
const VERSION: u8 = 1;
const HEADER: usize = 8;
const ENTRY: usize = 20;

/// An occurrence: the first 128 bits of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// The key of an occurrence's hash, hexadecimal digits, the first 32 of which count. `None` for any other text.
    pub fn of(occurrence: &str) -> Option<Self> {
        let (digits, _) = occurrence.as_bytes().split_at_checked(32)?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

/// What the ledger keeps of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub key: Key,
    /// Until when it is promised to be remembered: Unix seconds, the API server's.
    pub expires_at: u32,
}

impl Entry {
    /// The entry of a Job: it expires `remember_for` after the Job was made, and not before `not_before`, so that the
    /// key of an old Job outlives the Job's removal. `None` when `occurrence` is no hash.
    pub fn new(
        occurrence: &str,
        created_at: Timestamp,
        remember_for: Duration,
        not_before: u32,
    ) -> Option<Self> {
        let created_at = u64::try_from(created_at.as_second()).unwrap_or(0);
        // Both lose a part of a second: never too early.
        let seconds = remember_for.as_secs().saturating_add(2);
        let expires_at = u32::try_from(created_at.saturating_add(seconds)).unwrap_or(u32::MAX);
        Some(Self {
            key: Key::of(occurrence)?,
            expires_at: expires_at.max(not_before),
        })
    }
}

/// Why a shard cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a shard.
    #[error("not a shard of the ledger: it does not begin as one")]
    Foreign,
    /// A later format.
    #[error("a shard of format {found}, and this release reads format {VERSION}")]
    Version {
        /// The format's number.
        found: u8,
    },
    /// Too short or too long.
    #[error("a shard of {found} bytes where {expected} were announced")]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
}

/// The bytes of a shard.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let count = u32::try_from(entries.len()).expect("a shard has few entries");
    let mut bytes = Vec::with_capacity(HEADER + entries.len() * ENTRY);
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&count.to_be_bytes());
    for entry in entries {
        bytes.extend_from_slice(&entry.key.0);
        bytes.extend_from_slice(&entry.expires_at.to_be_bytes());
    }
    bytes
}

/// The entries of a shard.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Error::Foreign)?;
    let (version, rest) = rest.split_first().ok_or(Error::Foreign)?;
    if *version != VERSION {
        return Err(Error::Version { found: *version });
    }
    let (count, rest) = rest.split_first_chunk::<4>().ok_or(Error::Length {
        found: bytes.len(),
        expected: HEADER,
    })?;
    let (entries, left) = rest.as_chunks::<ENTRY>();
    let count = usize::try_from(u32::from_be_bytes(*count)).unwrap_or(usize::MAX);
    if entries.len() != count || !left.is_empty() {
        return Err(Error::Length {
            found: bytes.len(),
            expected: count.saturating_mul(ENTRY).saturating_add(HEADER),
        });
    }
    Ok(entries.iter().map(entry).collect())
}

fn entry(bytes: &[u8; ENTRY]) -> Entry {
    let mut key = [0; 16];
    let mut expires_at = [0; 4];
    key.copy_from_slice(&bytes[..16]);
    expires_at.copy_from_slice(&bytes[16..]);
    Entry {
        key: Key(key),
        expires_at: u32::from_be_bytes(expires_at),
    }
}

fn digit(letter: u8) -> Option<u8> {
    let digit = char::from(letter).to_digit(16)?;
    u8::try_from(digit).ok()
}
