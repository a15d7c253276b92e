//! What remembers occurrences whose Job is gone: the ledger of a cluster, with files for its shards.
//!
//! ```text
//! STATE/NAMESPACE/.ledger/SHARD   the bytes that a ConfigMap holds in a cluster
//! STATE/NAMESPACE/.ledger.old     the one file of earlier releases, until its keys are in a shard
//! ```
//!
//! A shard is replaced in one step, and is on disk before the Jobs of its keys may go. The
//! folder belongs to one process, so this copy is always whole. Each run writes shards of its own.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::launch::ledger::{Entry, Key, Ledger, SHARD_PREFIX};
use crate::launch::once::Saw;

use super::store::{sync_folder, write_synced};

/// The folder of the shards, in a namespace's folder. An earlier release takes it for a damaged file, and stops.
const SHARDS: &str = ".ledger";
/// The version of a shard that nobody else writes.
const VERSION: &str = "";

/// The ledgers of all namespaces.
#[derive(Debug)]
pub(super) struct LedgerFiles {
    started: Instant,
    known: Mutex<HashMap<String, Ledger>>,
    /// Held while files are written. Never taken while `known` is held.
    writing: Mutex<()>,
}

impl Default for LedgerFiles {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            known: Mutex::default(),
            writing: Mutex::default(),
        }
    }
}

impl LedgerFiles {
    /// Reads the ledger of a namespace's folder, if it has one.
    ///
    /// # Errors
    ///
    /// It is there, and cannot be read or is damaged.
    pub(super) fn load(&self, namespace: &str, folder: &Path, now: Timestamp) -> io::Result<()> {
        let (shards, moved) = (folder.join(SHARDS), folder.join(".ledger.old"));
        let old = [&shards, &moved].into_iter().find(|path| path.is_file());
        let old = old.map(|path| old::read(&fs::read(path)?)).transpose()?;
        if shards.is_file() {
            fs::rename(&shards, &moved)?;
        }
        let mut names = Vec::new();
        if shards.is_dir() {
            for file in fs::read_dir(&shards)? {
                names.push(file?.file_name().to_string_lossy().into_owned());
            }
        }
        let is_used = |holder: &str| {
            names
                .iter()
                .any(|name| name.starts_with(&format!("{SHARD_PREFIX}{holder}-")))
        };
        let holder = (0..=names.len())
            .map(|run| format!("run{run}"))
            .find(|holder| !is_used(holder));
        let mut ledger = Ledger::new(&holder.expect("a shard is of one run"));
        for name in &names {
            let bytes = fs::read(shards.join(name))?;
            let read = ledger.read(name, VERSION, &bytes, self.started.elapsed());
            read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        self.lock().insert(namespace.to_owned(), ledger);
        if let Some(entries) = old {
            self.add(namespace, folder, &entries, now)?;
            fs::remove_file(&moved)?;
        }
        Ok(())
    }

    /// Whether a key is remembered at this moment.
    pub(super) fn has(&self, namespace: &str, key: Key, now: Timestamp) -> bool {
        // However old the copy: nobody else writes.
        let boot = self.started.elapsed();
        let known = self.lock();
        let ledger = known.get(namespace);
        ledger.is_some_and(|ledger| ledger.look(key, boot, seconds(now)) == Saw::LedgerHasKey)
    }

    /// How long this process has known the key to be on disk.
    pub(super) fn known_for(&self, namespace: &str, key: Key) -> Option<Duration> {
        let boot = self.started.elapsed();
        self.lock().get(namespace)?.remembered_for(key, boot)
    }

    /// Whether a namespace takes no more keys.
    pub(super) fn is_full(&self, namespace: &str) -> bool {
        self.lock().get(namespace).is_some_and(Ledger::is_full)
    }

    /// Writes keys that are not there yet into the ledger of a namespace's folder, and removes shards whose keys are
    /// all over. On disk when this returns.
    ///
    /// # Errors
    ///
    /// Some may not be there.
    pub(super) fn add(
        &self,
        namespace: &str,
        folder: &Path,
        entries: &[Entry],
        now: Timestamp,
    ) -> io::Result<()> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let shards = folder.join(SHARDS);
        let mut left = self.with(namespace, |ledger| ledger.wanted(entries, seconds(now)));
        while let Some(write) = self.with(namespace, |ledger| ledger.plan(&left)) {
            if !shards.is_dir() {
                fs::create_dir_all(&shards)?;
                sync_folder(folder)?;
            }
            let new = folder.join(".ledger.new");
            write_synced(&new, &write.bytes)?;
            fs::rename(&new, shards.join(&write.shard))?;
            sync_folder(&shards)?;
            left.drain(..write.taken);
            let boot = self.started.elapsed();
            self.with(namespace, |ledger| ledger.written(write, VERSION, boot));
        }
        for (shard, _) in self.with(namespace, |ledger| ledger.prunable(seconds(now))) {
            fs::remove_file(shards.join(&shard))?;
            self.with(namespace, |ledger| {
                ledger.gone(&shard);
                // A list of long ago says nothing of shards: only keys that are over go.
                ledger.listed(&BTreeMap::new(), Duration::ZERO, seconds(now));
            });
        }
        Ok(())
    }

    fn with<T>(&self, namespace: &str, act: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut known = self.lock();
        let ledger = known.entry(namespace.to_owned());
        act(ledger.or_insert_with(|| Ledger::new("run0")))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Ledger>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unix seconds; 0 before 1970.
pub(super) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_second().max(0)).unwrap_or(u32::MAX)
}

mod old;

#[cfg(test)]
mod tests;
