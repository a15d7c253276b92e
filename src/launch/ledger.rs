//! What remembers occurrences after their Job is gone: one namespace's ledger, as this process knows it.
//! Pure: shards and clocks in, what to read, write and remove out.
//!
//! The ledger itself is a set of shards at the server, named `slipway-ledger-HOLDER-N`; each process
//! writes to shards of its own only, and anybody may remove one whose every key has expired. Bytes and entries are `format`'s,
//! the keys in memory `keys`'. Whoever does the I/O:
//!
//! * to read: note the time, list names and versions consistently, hand them to [`Ledger::listed`], read what it
//!   names into [`Ledger::read`], then [`Ledger::confirm`];
//! * to write: [`Ledger::wanted`], [`Ledger::plan`], one create or one update based on the version, then
//!   [`Ledger::written`]; when it was refused, or nobody knows: read that shard, and plan again;
//! * to remove: [`Ledger::prunable`], based on the version, then [`Ledger::gone`].
//!
//! Two clocks: `boot` times are this machine's, which goes on while it sleeps; expiries are Unix seconds of the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::keys::{Keys, Slot};
use crate::launch::once::Saw;

pub use self::format::{Entry, Error, Key};

mod format;
mod keys;

/// How old a copy may be that says "never seen": DESIGN §4.
pub const FRESH_FOR: Duration = Duration::from_mins(1);
/// Keys outlive their expiry by this many seconds, so that no clock needs to be right to the minute.
pub const PRUNED_AFTER_SECONDS: u32 = 3_600;
/// Keys of one namespace, beyond which nothing new is launched there.
pub const MOST_KEYS: usize = 1_000_000;
/// Entries of one shard: 80 KiB, a tenth of what a ConfigMap may hold, so that a write a second is cheap.
pub const SHARD_ENTRIES: usize = 4_096;
/// What names of shards begin with.
pub const SHARD_PREFIX: &str = "slipway-ledger-";

/// A copy of one namespace's ledger.
#[derive(Debug)]
pub struct Ledger {
    holder: String,
    shards: BTreeMap<String, Shard>,
    keys: Keys,
    /// The shard that takes what comes next. `None` until one of ours is known to exist.
    open: Option<Open>,
    /// Shards of ours that exist or existed; the number of the next.
    opened: u32,
    /// What shards are called among the keys: a number each, never used again.
    numbers: u32,
    /// Boot time.
    confirmed_at: Option<Duration>,
}

#[derive(Debug)]
struct Shard {
    number: u32,
    version: String,
    entries: usize,
    latest_expiry: u32,
    /// Boot time after which it is known to be like this.
    read_at: Duration,
}

#[derive(Debug)]
struct Open {
    shard: String,
    entries: Vec<Entry>,
}

/// A listing under way: the copy is as fresh as it once all its shards have been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardListing {
    asked_at: Duration,
    unread: BTreeSet<String>,
}

impl ShardListing {
    /// Shards to be read, by name.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        self.unread.iter().map(String::as_str)
    }

    /// A listed shard was not there any more when it was to be read: every key of it had expired.
    pub fn gone(&mut self, shard: &str) {
        self.unread.remove(shard);
    }
}

/// One write to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The shard's name.
    pub shard: String,
    /// The version it is based on; `None`: it is to be created.
    pub version: Option<String>,
    /// All of the shard.
    pub bytes: Vec<u8>,
    /// How many of the entries handed to [`Ledger::plan`] it holds, from the front.
    pub taken: usize,
    entries: Vec<Entry>,
}

impl Ledger {
    /// A copy that knows nothing yet. `holder`: lower-case letters and digits that no other process has.
    pub fn new(holder: &str) -> Self {
        Self {
            holder: holder.to_owned(),
            shards: BTreeMap::new(),
            keys: Keys::default(),
            open: None,
            opened: 0,
            numbers: 0,
            confirmed_at: None,
        }
    }

    /// Whether the occurrence had its Job: what the launch sees right before it sends.
    pub fn look(&self, key: Key, boot: Duration, server_seconds: u32) -> Saw {
        if self
            .keys
            .get(key)
            .is_some_and(|slot| is_remembered(slot.expires_at, server_seconds))
        {
            return Saw::LedgerHasKey;
        }
        match self.confirmed_at {
            // A clock that ran backwards proves nothing.
            Some(at) if boot.checked_sub(at).is_some_and(|age| age < FRESH_FOR) => {
                Saw::LedgerHasNot
            }
            _ => Saw::LedgerStale,
        }
    }

    /// When the copy was last known to be whole, in boot time.
    pub fn confirmed_at(&self) -> Option<Duration> {
        self.confirmed_at
    }

    /// How long the key is known to have been in the ledger; `None` when it is not known to be there.
    pub fn remembered_for(&self, key: Key, boot: Duration) -> Option<Duration> {
        let since = self.keys.get(key)?.since()?;
        Some(boot.saturating_sub(since))
    }

    /// Keys, those that have expired less than an hour ago included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.len() == 0
    }

    /// Whether nothing new may be launched. What others wrote is read all the same.
    pub fn is_full(&self) -> bool {
        self.keys.len() >= MOST_KEYS
    }

    /// Takes a consistent list of all shards, name and version, that was asked for at `asked_at`.
    ///
    /// Drops keys that expired an hour ago. A shard that is gone before its keys expired was removed by hand: its
    /// keys are still known, but are not in the ledger any more, and [`Ledger::wanted`] again.
    pub fn listed(
        &mut self,
        shards: &BTreeMap<String, String>,
        asked_at: Duration,
        server_seconds: u32,
    ) -> ShardListing {
        self.keys
            .retain(|slot| is_remembered(slot.expires_at, server_seconds));
        let missing: Vec<String> = self
            .shards
            .iter()
            // One that we wrote since may be missing in an older list.
            .filter(|(name, shard)| !shards.contains_key(*name) && shard.read_at < asked_at)
            .map(|(name, _)| name.clone())
            .collect();
        for name in missing {
            self.gone(&name);
        }
        let unread = shards
            .iter()
            .filter(|(name, version)| {
                self.shards
                    .get(*name)
                    .is_none_or(|shard| shard.version != **version)
            })
            .map(|(name, _)| name.clone())
            .collect();
        ShardListing { asked_at, unread }
    }

    /// Takes what a shard holds. `boot`: any time after the answer came.
    ///
    /// # Errors
    ///
    /// [`Error`] when the bytes cannot be understood. The copy is as it was.
    pub fn read(
        &mut self,
        shard: &str,
        version: &str,
        bytes: &[u8],
        boot: Duration,
    ) -> Result<(), Error> {
        let entries = format::decode(bytes)?;
        self.set(shard, version, &entries, boot);
        if self.is_own_newest(shard) {
            self.open = Some(Open {
                shard: shard.to_owned(),
                entries,
            });
        }
        Ok(())
    }

    /// The copy is whole as of the listing, if every shard of it has been read. Whether it is.
    pub fn confirm(&mut self, listing: &ShardListing) -> bool {
        let is_whole = listing.unread().all(|name| {
            let shard = self.shards.get(name);
            shard.is_some_and(|shard| shard.read_at >= listing.asked_at)
        });
        if is_whole {
            self.confirmed_at = self.confirmed_at.max(Some(listing.asked_at));
        }
        is_whole
    }

    /// The entries that the ledger lacks, and those it would lose before the new expiry because theirs has passed.
    pub fn wanted(&self, entries: &[Entry], server_seconds: u32) -> Vec<Entry> {
        let mut seen = BTreeSet::new();
        let mut wanted = entries.to_vec();
        wanted.retain(|entry| {
            let lacks = self.keys.get(entry.key).is_none_or(|slot| {
                let has_passed = slot.expires_at <= server_seconds;
                slot.since().is_none() || (has_passed && slot.expires_at < entry.expires_at)
            });
            lacks && seen.insert(entry.key)
        });
        wanted
    }

    /// The next write that puts entries into the ledger, as many of them as one shard has room for.
    pub fn plan(&self, entries: &[Entry]) -> Option<Write> {
        if entries.is_empty() {
            return None;
        }
        let open = self
            .open
            .as_ref()
            .filter(|open| open.entries.len() < SHARD_ENTRIES);
        let known = open.and_then(|open| Some((open, self.shards.get(&open.shard)?)));
        let (shard, version, mut all) = match known {
            Some((open, shard)) => {
                let version = Some(shard.version.clone());
                (open.shard.clone(), version, open.entries.clone())
            }
            None => (self.own(self.opened), None, Vec::new()),
        };
        let taken = entries.len().min(SHARD_ENTRIES - all.len());
        all.extend_from_slice(&entries[..taken]);
        Some(Write {
            shard,
            version,
            bytes: format::encode(&all),
            taken,
            entries: all,
        })
    }

    /// The write was done: the shard has this version now. `boot`: any time after the answer came.
    pub fn written(&mut self, write: Write, version: &str, boot: Duration) {
        self.set(&write.shard, version, &write.entries, boot);
        if self.is_own_newest(&write.shard) {
            self.open = Some(Open {
                shard: write.shard,
                entries: write.entries,
            });
        }
    }

    /// A shard is not at the server any more.
    pub fn gone(&mut self, shard: &str) {
        if let Some(shard) = self.shards.remove(shard) {
            self.keys.lose(shard.number);
        }
        if self.open.as_ref().is_some_and(|open| open.shard == shard) {
            self.open = None;
        }
    }

    /// Shards that nobody needs any more, with the version that the removal must be based on.
    pub fn prunable(&self, server_seconds: u32) -> Vec<(String, String)> {
        self.shards
            .iter()
            .filter(|(_, shard)| !is_remembered(shard.latest_expiry, server_seconds))
            .map(|(name, shard)| (name.clone(), shard.version.clone()))
            .collect()
    }

    /// Shards, and the entries in them; a key may be in several.
    pub fn size(&self) -> (usize, usize) {
        let entries = self.shards.values().map(|shard| shard.entries).sum();
        (self.shards.len(), entries)
    }

    fn set(&mut self, name: &str, version: &str, entries: &[Entry], boot: Duration) {
        let number = self
            .shards
            .get(name)
            .map_or(self.numbers, |shard| shard.number);
        self.numbers = self.numbers.max(number + 1);
        let shard = Shard {
            number,
            version: version.to_owned(),
            entries: entries.len(),
            latest_expiry: entries
                .iter()
                .map(|entry| entry.expires_at)
                .max()
                .unwrap_or(0),
            read_at: boot,
        };
        self.shards.insert(name.to_owned(), shard);
        for entry in entries {
            self.keys.insert(Slot::new(*entry, boot, number));
        }
    }

    /// Whether it is the shard that we opened last, or were about to. From then on the next number is the one after it.
    fn is_own_newest(&mut self, shard: &str) -> bool {
        if shard == self.own(self.opened) {
            self.opened += 1;
            return true;
        }
        self.opened > 0 && shard == self.own(self.opened - 1)
    }

    fn own(&self, number: u32) -> String {
        format!("{SHARD_PREFIX}{}-{number}", self.holder)
    }
}

/// Until an hour after its expiry.
fn is_remembered(expires_at: u32, server_seconds: u32) -> bool {
    server_seconds < expires_at.saturating_add(PRUNED_AFTER_SECONDS)
}

#[cfg(test)]
mod tests;
