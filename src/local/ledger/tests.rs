use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn entry(number: u16, expires: i64) -> Entry {
    Entry {
        key: Key::of(&format!("{number:032x}")).unwrap(),
        expires_at: seconds(at(expires)),
    }
}

/// A namespace's folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("slipway-ledger-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn ledger(&self) -> io::Result<LedgerFiles> {
        let ledger = LedgerFiles::default();
        ledger.load("n", &self.0, at(0))?;
        Ok(ledger)
    }

    fn add(&self, ledger: &LedgerFiles, entries: &[Entry], now: Timestamp) {
        ledger.add("n", &self.0, entries, now).unwrap();
    }

    fn shards(&self) -> usize {
        fs::read_dir(self.0.join(SHARDS)).unwrap().count()
    }

    /// The file of earlier releases.
    fn write_old(&self, entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
        let mut bytes = b"slipway1".to_vec();
        for (number, entry) in entries.into_iter().enumerate() {
            let number = u128::try_from(number).unwrap();
            let mut record = number.to_be_bytes().to_vec();
            record.extend(u64::from(entry.expires_at).to_le_bytes());
            let checksum = Sha256::digest(&record);
            record.extend(&checksum[..8]);
            bytes.extend(record);
        }
        fs::write(self.0.join(SHARDS), &bytes).unwrap();
        bytes
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn what_was_added_is_there_after_a_restart_and_until_an_hour_after_it_expired() {
    let folder = Folder::new("restart");
    let first = folder.ledger().unwrap();
    assert!(!first.has("n", entry(1, 0).key, at(0)));
    folder.add(&first, &[entry(1, 10), entry(2, 10)], at(0));
    folder.add(&first, &[entry(2, 10), entry(3, 20)], at(0));
    assert_eq!(folder.shards(), 1);
    let second = folder.ledger().unwrap();
    // Each run writes shards of its own, and never over those of an earlier one.
    folder.add(&second, &[entry(4, 20)], at(0));
    assert_eq!(folder.shards(), 2);
    let third = folder.ledger().unwrap();
    for (ledger, keys) in [(first, 3), (second, 4), (third, 4)] {
        for number in 1..=keys {
            assert!(ledger.has("n", entry(number, 0).key, at(3_600)));
            assert!(ledger.known_for("n", entry(number, 0).key).is_some());
        }
        assert!(!ledger.has("n", entry(1, 0).key, at(3_610)));
        assert!(!ledger.has("other", entry(1, 0).key, at(0)));
    }
}

#[test]
fn a_damaged_shard_is_no_empty_ledger() {
    let folder = Folder::new("damage");
    folder.add(&folder.ledger().unwrap(), &[entry(1, 10)], at(0));
    let shard = folder.0.join(SHARDS).join("slipway-ledger-run0-0");
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() - 1]).unwrap();
    let error = folder.ledger().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_shard_goes_when_every_key_of_it_is_over_and_its_keys_with_it() {
    let folder = Folder::new("prune");
    let ledger = folder.ledger().unwrap();
    let entries: Vec<Entry> = (0..5_000).map(|number| entry(number, 10)).collect();
    folder.add(&ledger, &entries, at(0));
    // An hour is not over, so nothing is.
    folder.add(&ledger, &[entry(6_000, 9_000)], at(3_000));
    assert_eq!(folder.shards(), 2);
    folder.add(&ledger, &[entry(6_001, 9_000)], at(4_000));
    assert_eq!(folder.shards(), 1);
    for ledger in [ledger, folder.ledger().unwrap()] {
        assert!(ledger.has("n", entry(6_000, 0).key, at(4_000)));
        assert_eq!(ledger.known_for("n", entry(7, 0).key), None);
    }
}

#[test]
fn the_file_of_an_earlier_release_moves_into_a_shard_once() {
    let folder = Folder::new("old");
    let whole = folder.write_old((0..3).map(|number| entry(number, 10)));
    for cut in 0..whole.len() {
        drop(fs::remove_dir_all(folder.0.join(SHARDS)));
        let mut torn = whole[..cut].to_vec();
        // What a disk may show of a page that it never wrote.
        torn.resize(cut + cut % 3 * 7, 0);
        fs::write(folder.0.join(SHARDS), &torn).unwrap();
        for ledger in [folder.ledger().unwrap(), folder.ledger().unwrap()] {
            let there = (0..3).filter(|number| ledger.has("n", entry(*number, 0).key, at(0)));
            assert_eq!(there.count(), cut.saturating_sub(8) / 32, "cut at {cut}");
        }
        assert!(!folder.0.join(".ledger.old").exists());
    }
}

#[test]
fn a_move_that_a_crash_cut_short_is_made_again() {
    let folder = Folder::new("crash");
    folder.write_old([entry(0, 10)]);
    fs::rename(folder.0.join(SHARDS), folder.0.join(".ledger.old")).unwrap();
    assert!(folder.ledger().unwrap().has("n", entry(0, 0).key, at(0)));
}

#[test]
fn damage_in_the_middle_of_an_old_file_is_not_taken_for_a_torn_end() {
    let folder = Folder::new("old-damage");
    let mut bytes = folder.write_old((0..2_000).map(|number| entry(number, 10)));
    bytes[8 + 5 * 32] ^= 1;
    fs::write(folder.0.join(SHARDS), &bytes).unwrap();
    let error = folder.ledger().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    fs::write(folder.0.join(SHARDS), "another file").unwrap();
    assert_eq!(
        folder.ledger().unwrap_err().to_string(),
        "it is no ledger that this version reads"
    );
}
