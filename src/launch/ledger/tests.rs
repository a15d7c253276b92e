use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::keys::{Keys, Slot};
use super::*;

const NOW: u32 = 1_800_000_000;
const DAY: u32 = 86_400;

fn key(number: u32) -> Key {
    // Spread as hashes are.
    Key::of(&format!(
        "{:08x}{number:056x}",
        number.wrapping_mul(2_654_435_761)
    ))
    .unwrap()
}

fn entries(numbers: std::ops::Range<u32>) -> Vec<Entry> {
    let entry = |number| Entry {
        key: key(number),
        expires_at: NOW + DAY,
    };
    numbers.map(entry).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn list(shards: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
    shards.iter().map(owned).collect()
}

/// A ledger that has read one shard of another process, `other`, at version 1, as of second 100.
fn with_other(entries: &[Entry]) -> Ledger {
    let mut ledger = Ledger::new("me");
    let listing = ledger.listed(&list(&[("other", "1")]), seconds(100), NOW);
    assert_eq!(listing.unread().collect::<Vec<_>>(), ["other"]);
    assert!(!ledger.confirm(&listing), "nothing has been read yet");
    let bytes = format::encode(entries);
    ledger.read("other", "1", &bytes, seconds(101)).unwrap();
    assert!(ledger.confirm(&listing));
    ledger
}

#[test]
fn an_occurrence_s_first_half_is_its_key() {
    let hash = "574d0418da322a523ea0e7df262eaa148e395af5617b061027b2cf54606c4256";
    let bytes = [
        0x57, 0x4d, 0x04, 0x18, 0xda, 0x32, 0x2a, 0x52, 0x3e, 0xa0, 0xe7, 0xdf, 0x26, 0x2e, 0xaa,
        0x14,
    ];
    assert_eq!(Key::of(hash), Some(Key(bytes)));
    for text in [
        "",
        "574d",
        &"g".repeat(64),
        &"é".repeat(32),
        &format!("+{}", "0".repeat(40)),
    ] {
        assert_eq!(Key::of(text), None, "{text}");
    }
}

#[test]
fn the_bytes_of_a_shard_are_a_promise_and_do_not_change() {
    // Another release must read what this one wrote, or it launches a second time.
    let entry = Entry {
        key: Key([7; 16]),
        expires_at: 0x0102_0304,
    };
    let mut bytes = b"SLK\x01\0\0\0\x01".to_vec();
    bytes.extend([7; 16]);
    bytes.extend([1, 2, 3, 4]);
    assert_eq!(format::encode(&[entry]), bytes);
    assert_eq!(format::decode(&bytes), Ok(vec![entry]));
}

#[test]
fn a_shard_that_cannot_be_read_is_an_error_and_never_an_empty_one() {
    let whole = format::encode(&entries(0..2));
    let mut later = whole.clone();
    later[3] = 2;
    let length = |found, expected| Error::Length { found, expected };
    let rows: &[(&[u8], Error)] = &[
        (b"", Error::Foreign),
        (b"SLK", Error::Foreign),
        (b"{}", Error::Foreign),
        (&later, Error::Version { found: 2 }),
        (&whole[..7], length(7, 8)),
        (&whole[..8], length(8, 48)),
        (&whole[..28], length(28, 48)),
        (&whole[..47], length(47, 48)),
        (&[&whole[..], &[0]].concat(), length(49, 48)),
        (b"SLK\x01\xff\xff\xff\xff", length(8, 85_899_345_908)),
    ];
    for (bytes, error) in rows {
        assert_eq!(format::decode(bytes), Err(error.clone()));
    }
    let mut ledger = Ledger::new("me");
    let listing = ledger.listed(&list(&[("other", "1")]), seconds(1), NOW);
    assert!(ledger.read("other", "1", b"", seconds(2)).is_err());
    assert!(!ledger.confirm(&listing));
    assert_eq!(ledger.look(key(0), seconds(2), NOW), Saw::LedgerStale);
}

#[test]
fn a_key_expires_after_the_job_s_memory_and_not_before_it_may_go() {
    let made = Timestamp::from_second(i64::from(NOW)).unwrap();
    let hash = "0".repeat(64);
    let expiry = |remember_for, not_before| {
        let entry = Entry::new(&hash, made, remember_for, not_before);
        entry.unwrap().expires_at
    };
    assert_eq!(expiry(seconds(60), 0), NOW + 62);
    assert_eq!(expiry(seconds(60), NOW + 600), NOW + 600);
    assert_eq!(expiry(Duration::MAX, 0), u32::MAX);
    assert_eq!(Entry::new("none", made, seconds(60), 0), None);
}

#[test]
fn a_copy_says_never_only_while_it_is_fresh() {
    let ledger = with_other(&entries(0..1));
    let rows = [
        (0, 100, NOW, Saw::LedgerHasKey),
        (1, 100, NOW, Saw::LedgerHasNot),
        (1, 159, NOW, Saw::LedgerHasNot),
        (1, 160, NOW, Saw::LedgerStale),
        // A clock that ran backwards proves nothing.
        (1, 99, NOW, Saw::LedgerStale),
        // What it has, it has, however old it is.
        (0, 9_999, NOW, Saw::LedgerHasKey),
        (0, 100, NOW + DAY + 3_599, Saw::LedgerHasKey),
        (0, 100, NOW + DAY + 3_600, Saw::LedgerHasNot),
        (0, 200, NOW + DAY + 3_600, Saw::LedgerStale),
    ];
    for (number, boot, now, saw) in rows {
        let looked = ledger.look(key(number), seconds(boot), now);
        assert_eq!(looked, saw, "key {number} at {boot} s, {now}");
    }
    assert_eq!(
        Ledger::new("me").look(key(1), seconds(1), NOW),
        Saw::LedgerStale
    );
}

#[test]
fn a_listing_confirms_once_every_changed_shard_has_been_read_after_it() {
    let mut ledger = with_other(&entries(0..1));
    let unchanged = ledger.listed(&list(&[("other", "1")]), seconds(130), NOW);
    assert_eq!(unchanged.unread().count(), 0);
    assert!(ledger.confirm(&unchanged));
    assert_eq!(ledger.confirmed_at(), Some(seconds(130)));

    let shards = list(&[("other", "2"), ("third", "9"), ("pruned", "5")]);
    let mut changed = ledger.listed(&shards, seconds(140), NOW);
    assert_eq!(
        changed.unread().collect::<Vec<_>>(),
        ["other", "pruned", "third"]
    );
    let two = format::encode(&entries(0..2));
    ledger.read("other", "2", &two, seconds(141)).unwrap();
    ledger
        .read("third", "9", &format::encode(&entries(5..6)), seconds(139))
        .unwrap();
    changed.gone("pruned");
    assert!(
        !ledger.confirm(&changed),
        "the third was read before it was listed"
    );
    ledger
        .read("third", "9", &format::encode(&entries(5..6)), seconds(142))
        .unwrap();
    assert!(ledger.confirm(&changed));
    // An older listing that comes to its end later makes nothing older.
    assert!(ledger.confirm(&unchanged));
    assert_eq!(ledger.confirmed_at(), Some(seconds(140)));
    assert_eq!((ledger.len(), ledger.size()), (3, (2, 3)));
}

#[test]
fn a_key_is_remembered_since_it_was_first_known_to_be_there() {
    let mut ledger = with_other(&entries(0..1));
    assert_eq!(ledger.remembered_for(key(1), seconds(200)), None);
    assert_eq!(
        ledger.remembered_for(key(0), seconds(161)),
        Some(seconds(60))
    );
    let bytes = format::encode(&entries(0..2));
    ledger
        .read("other", "2", &bytes, Duration::from_millis(200_100))
        .unwrap();
    assert_eq!(
        ledger.remembered_for(key(0), seconds(221)),
        Some(seconds(120))
    );
    // Never more than it was: 200.1 s is 201.
    assert_eq!(
        ledger.remembered_for(key(1), seconds(221)),
        Some(seconds(20))
    );
}

#[test]
fn what_was_removed_by_hand_is_still_known_and_is_wanted_again() {
    let mut ledger = with_other(&entries(0..1));
    let listing = ledger.listed(&BTreeMap::new(), seconds(150), NOW);
    assert!(ledger.confirm(&listing));
    assert_eq!(ledger.look(key(0), seconds(150), NOW), Saw::LedgerHasKey);
    assert_eq!(ledger.remembered_for(key(0), seconds(150)), None);
    assert_eq!(ledger.wanted(&entries(0..1), NOW), entries(0..1));

    let write = ledger.plan(&entries(0..1)).unwrap();
    ledger.written(write, "4", seconds(151));
    assert_eq!(ledger.wanted(&entries(0..1), NOW), []);
    assert_eq!(
        ledger.remembered_for(key(0), seconds(171)),
        Some(seconds(20))
    );
}

#[test]
fn an_entry_is_wanted_once_and_again_only_when_its_time_is_over() {
    let ledger = with_other(&entries(0..1));
    let longer = Entry {
        expires_at: NOW + 3 * DAY,
        ..entries(0..1)[0]
    };
    assert_eq!(ledger.wanted(&[longer], NOW), []);
    assert_eq!(ledger.wanted(&[longer], NOW + DAY), [longer]);
    assert_eq!(ledger.wanted(&entries(0..1), NOW + DAY), []);
    let twice = [entries(0..3), entries(1..3)].concat();
    assert_eq!(ledger.wanted(&twice, NOW), entries(1..3));
}

#[test]
fn own_shards_are_filled_one_after_the_other() {
    let mut ledger = Ledger::new("me");
    assert_eq!(ledger.plan(&[]), None);

    let first = ledger.plan(&entries(0..10)).unwrap();
    assert_eq!(
        (&*first.shard, &first.version),
        ("slipway-ledger-me-0", &None)
    );
    // No answer came: the same name again, so that it is made once.
    assert_eq!(ledger.plan(&entries(0..10)).unwrap(), first);
    ledger.written(first, "1", seconds(1));

    let second = ledger.plan(&entries(10..5_000)).unwrap();
    assert_eq!(
        (&*second.shard, second.version.as_deref()),
        ("slipway-ledger-me-0", Some("1"))
    );
    assert_eq!(second.taken, SHARD_ENTRIES - 10);
    assert_eq!(format::decode(&second.bytes).unwrap(), entries(0..4_096));
    ledger.written(second, "2", seconds(2));

    let third = ledger.plan(&entries(4_096..5_000)).unwrap();
    assert_eq!(
        (&*third.shard, &third.version, third.taken),
        ("slipway-ledger-me-1", &None, 904)
    );
    ledger.written(third, "3", seconds(3));
    assert_eq!((ledger.len(), ledger.size()), (5_000, (2, 5_000)));
}

#[test]
fn a_write_that_nobody_knows_of_is_found_by_reading_its_shard() {
    let mut ledger = Ledger::new("me");
    let write = ledger.plan(&entries(0..2)).unwrap();
    ledger
        .read(&write.shard, "7", &write.bytes, seconds(5))
        .unwrap();
    assert_eq!(ledger.wanted(&entries(0..2), NOW), []);
    let next = ledger.plan(&entries(2..3)).unwrap();
    assert_eq!(
        (&*next.shard, next.version.as_deref()),
        ("slipway-ledger-me-0", Some("7"))
    );
    assert_eq!(format::decode(&next.bytes).unwrap(), entries(0..3));
}

#[test]
fn a_shard_goes_an_hour_after_its_last_key_and_its_name_is_not_used_again() {
    let mut ledger = Ledger::new("me");
    let write = ledger.plan(&entries(0..2)).unwrap();
    ledger.written(write, "1", seconds(1));
    assert_eq!(ledger.prunable(NOW + DAY + 3_599), []);
    let shard = "slipway-ledger-me-0".to_owned();
    let now = NOW + DAY + 3_600;
    assert_eq!(ledger.prunable(now), [(shard.clone(), "1".to_owned())]);
    ledger.gone(&shard);
    drop(ledger.listed(&BTreeMap::new(), seconds(2), now));
    assert!(ledger.is_empty());
    let next = ledger.plan(&entries(2..3)).unwrap();
    assert_eq!(
        (&*next.shard, &next.version),
        ("slipway-ledger-me-1", &None)
    );
}

#[test]
fn a_list_that_is_older_than_our_write_takes_nothing_away() {
    let mut ledger = Ledger::new("me");
    let write = ledger.plan(&entries(0..1)).unwrap();
    ledger.written(write, "1", seconds(11));
    drop(ledger.listed(&BTreeMap::new(), seconds(10), NOW));
    assert_eq!(ledger.remembered_for(key(0), seconds(12)), Some(seconds(1)));
}

#[test]
fn a_key_takes_thirty_two_bytes_so_a_million_take_thirty_two_megabytes() {
    // Just before and just after every run is cut in two: the fullest and the emptiest they are.
    for count in [65_536_u32, 66_000, 100_000] {
        let mut keys = Keys::default();
        for number in 0..count {
            keys.insert(Slot::new(entries(number..number + 1)[0], seconds(1), 0));
        }
        assert!(
            (0..count)
                .step_by(97)
                .all(|number| keys.get(key(number)).is_some())
        );
        assert!(keys.get(key(count)).is_none());
        let (slots, bytes) = (keys.len(), keys.bytes());
        assert_eq!(slots, usize::try_from(count).unwrap());
        assert!(bytes < 32 * slots, "{bytes} bytes for {slots}");
        keys.retain(|_| false);
        assert!(keys.len() == 0 && keys.bytes() < slots);
    }
}
