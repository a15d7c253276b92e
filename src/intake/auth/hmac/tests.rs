use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
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
        (format!("a b={}", "0".repeat(64)), false),
        (format!("sha256=sha256={}", "0".repeat(64)), false),
        (String::new(), false),
    ] {
        let expected = right.then_some([0; 32]);
        assert_eq!(generic(&text), expected, "{text}");
    }
}

#[test]
fn time_is_whole_seconds_at_most_five_minutes_away() {
    for (text, right) in [
        ("1700000000", true),
        ("1700000300", true),
        ("1699999700", true),
        ("1700000301", false),
        ("1699999699", false),
        ("1700000000.0", false),
        ("1700000000000", false),
        ("-1700000000", false),
        ("+1700000000", false),
        (" 1700000000", false),
        ("", false),
    ] {
        assert_eq!(fresh(text, now()).is_some(), right, "{text:?}");
    }
}

#[test]
fn eight_signatures_are_looked_at_and_nine_are_not() {
    let one = format!("v1,{}=", "A".repeat(43));
    let many = |count: usize| vec![one.as_str(); count].join(" ");
    assert_eq!(standard(&many(8)).map(|found| found.len()), Some(8));
    assert_eq!(standard(&many(9)), None);
    let beside_another = format!("v1a,xyz {one} v2,abc");
    assert_eq!(standard(&beside_another), Some(vec![[0; 32]]));
    for text in ["", " ", "v1", "v1,", "v1,AAAA", "v2,AAAA", &one[3..]] {
        assert_eq!(standard(text), None, "{text:?}");
    }
}
