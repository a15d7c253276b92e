use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn line(number: u16, expires: i64) -> Line {
    let mut key = Key::default();
    key[..2].copy_from_slice(&number.to_le_bytes());
    Line {
        key,
        expires_at: at(expires),
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

    fn ledger(&self) -> io::Result<Ledger> {
        let ledger = Ledger::default();
        ledger.load("n", &self.0)?;
        Ok(ledger)
    }

    fn add(&self, ledger: &Ledger, lines: &[Line], now: Timestamp) {
        ledger.add("n", &self.0, lines, now).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(file(&self.0)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_key_is_the_first_half_of_the_hash() {
    let hash = format!("00ff10{}", "ab".repeat(29));
    assert_eq!(key(&hash).unwrap()[..4], [0x00, 0xff, 0x10, 0xab]);
    for wrong in [
        "",
        "00",
        &"zz".repeat(32),
        &"é".repeat(32),
        &"+1".repeat(32),
    ] {
        assert_eq!(key(wrong), None, "{wrong}");
    }
}

#[test]
fn what_was_added_is_there_after_a_restart_and_until_an_hour_after_it_expired() {
    let folder = Folder::new("restart");
    let ledger = folder.ledger().unwrap();
    assert!(!ledger.has("n", &line(1, 0).key, at(0)));
    folder.add(&ledger, &[line(1, 10), line(2, 10)], at(0));
    folder.add(&ledger, &[line(2, 10), line(3, 20)], at(0));
    assert_eq!(folder.bytes().len(), HEADER.len() + 3 * RECORD);
    for ledger in [ledger, folder.ledger().unwrap()] {
        for number in 1..=3 {
            assert!(ledger.has("n", &line(number, 0).key, at(3_600)));
            assert!(ledger.known_for("n", &line(number, 0).key).is_some());
        }
        assert!(!ledger.has("n", &line(1, 0).key, at(3_610)));
        assert!(!ledger.has("other", &line(1, 0).key, at(0)));
    }
}

#[test]
fn a_torn_end_is_left_out_and_the_next_record_begins_where_one_begins() {
    let folder = Folder::new("torn");
    let ledger = folder.ledger().unwrap();
    folder.add(&ledger, &[line(1, 10), line(2, 10), line(3, 10)], at(0));
    let whole = folder.bytes();
    for cut in 0..whole.len() {
        let mut torn = whole[..cut].to_vec();
        // What a disk may show of a page that it never wrote.
        torn.resize(cut + cut % 3 * 7, 0);
        fs::write(file(&folder.0), &torn).unwrap();
        let ledger = folder.ledger().unwrap();
        let kept = cut.saturating_sub(HEADER.len()) / RECORD;
        folder.add(&ledger, &[line(9, 10)], at(0));
        let again = folder.ledger().unwrap();
        assert!(again.has("n", &line(9, 0).key, at(0)), "cut at {cut}");
        let there = (1..=3).filter(|number| again.has("n", &line(*number, 0).key, at(0)));
        assert_eq!(there.count(), kept, "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_is_not_taken_for_a_torn_end() {
    let folder = Folder::new("damage");
    let ledger = folder.ledger().unwrap();
    let lines: Vec<Line> = (0..2_000).map(|number| line(number, 10)).collect();
    folder.add(&ledger, &lines, at(0));
    let mut bytes = folder.bytes();
    bytes[HEADER.len() + 5 * RECORD] ^= 1;
    fs::write(file(&folder.0), &bytes).unwrap();
    let error = folder.ledger().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    fs::write(file(&folder.0), "another file").unwrap();
    assert_eq!(
        folder.ledger().unwrap_err().to_string(),
        "it is no ledger of this version"
    );
}

#[test]
fn a_file_that_is_mostly_expired_is_written_anew() {
    let folder = Folder::new("compact");
    let ledger = folder.ledger().unwrap();
    let lines: Vec<Line> = (0..3_000).map(|number| line(number, 10)).collect();
    folder.add(&ledger, &lines, at(0));
    let full = folder.bytes().len();
    // An hour is not over, so nothing is.
    folder.add(&ledger, &[line(5_000, 9_000)], at(3_000));
    assert_eq!(folder.bytes().len(), full + RECORD);
    folder.add(&ledger, &[line(5_001, 9_000)], at(4_000));
    assert_eq!(folder.bytes().len(), HEADER.len() + 2 * RECORD);
    for ledger in [ledger, folder.ledger().unwrap()] {
        assert!(ledger.has("n", &line(5_000, 0).key, at(4_000)));
        assert!(!ledger.has("n", &line(7, 0).key, at(0)));
    }
}
