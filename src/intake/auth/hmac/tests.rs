use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn standard() -> HmacScheme {
    HmacScheme::known("StandardWebhooks").unwrap()
}

/// One that says nothing of how signatures are written.
fn any() -> HmacScheme {
    HmacScheme {
        prefix: None,
        encoding: None,
        ..HmacScheme::known("GitHub").unwrap()
    }
}

#[test]
fn a_signature_is_thirty_two_bytes_however_it_is_written() {
    let zeroes = "A".repeat(43);
    for (text, right) in [
        ("0".repeat(64), true),
        (format!("sha256={}", "0".repeat(64)), true),
        (format!("{zeroes}="), true),
        (zeroes.clone(), true),
        (format!("v0={zeroes}="), true),
        (format!("sha256={zeroes}"), true),
        ("0".repeat(63), false),
        ("0".repeat(65), false),
        ("0".repeat(128), false),
        (format!("{}g", "0".repeat(63)), false),
        (format!("={}", "0".repeat(64)), false),
        (format!("a,b={}", "0".repeat(63)), false),
        (format!("sha256=sha256={}", "0".repeat(64)), false),
        (String::new(), false),
    ] {
        let found = signatures(&any(), &parts(&any(), &text).unwrap()).ok();
        let expected = right.then(|| vec![vec![0; 32]]);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn time_is_written_in_its_unit_and_in_no_other_way() {
    let seconds = |text| time_of(text, TimestampUnit::Seconds);
    assert_eq!(seconds("1700000000"), Some(now()));
    for text in [
        "1700000000.0",
        "-1700000000",
        "+1700000000",
        " 1700000000",
        "1700000000000000",
        "",
    ] {
        assert_eq!(seconds(text), None, "{text:?}");
    }
    let milliseconds = time_of("1700000000000", TimestampUnit::Milliseconds);
    assert_eq!(milliseconds, Some(now()));
    let text = "2023-11-14T22:13:20Z";
    assert_eq!(time_of(text, TimestampUnit::Rfc3339), Some(now()));
    assert_eq!(time_of("1700000000", TimestampUnit::Rfc3339), None);
}

#[test]
fn eight_signatures_are_looked_at_and_nine_are_not() {
    let one = format!("v1,{}=", "A".repeat(43));
    let many = |count: usize| vec![one.as_str(); count].join(" ");
    let found = |text: &str| signatures(&standard(), &parts(&standard(), text)?).ok();
    assert_eq!(found(&many(8)).map(|found| found.len()), Some(8));
    assert_eq!(found(&many(9)), None);
    assert_eq!(found(&many(99)), None);
    let beside_another = format!("v1a,xyz {one} v2,abc");
    assert_eq!(found(&beside_another), Some(vec![vec![0; 32]]));
    for text in ["", " ", "v1", "v1,", "v1,AAAA", "v2,AAAA", &one[3..]] {
        assert_eq!(found(text), None, "{text:?}");
    }
}
