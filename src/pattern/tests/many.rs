//! Many patterns at once: the same verdicts, at a cost that does not follow their number.

use super::{Matcher, Pattern, pattern};

/// Every operator, often enough that each field has an index.
fn rules(count: usize) -> Vec<String> {
    let item = |number: usize| match number % 16 {
        0 => format!(r#""t{number}""#),
        1 => format!(r#"{{"prefix":"t{number}"}}"#),
        2 => format!(r#"{{"suffix":"{number}t"}}"#),
        3 => format!(r#"{{"equals-ignore-case":"T{number}ß"}}"#),
        4 => format!(r#"{{"prefix":{{"equals-ignore-case":"T{number}"}}}}"#),
        5 => format!(r#"{{"suffix":{{"equals-ignore-case":"{number}T"}}}}"#),
        6 => format!(r#"{{"wildcard":"t{number}*"}}"#),
        7 => format!(r#"{{"wildcard":"*{number}t"}}"#),
        8 => format!(r#"{{"wildcard":"*{number}*"}}"#),
        9 => format!("{number}"),
        10 => format!(r#"{{"numeric":[">",{number}]}}"#),
        11 => format!(r#"{{"numeric":[">=",{number},"<",{}]}}"#, number + 9),
        12 => format!(
            r#"{{"cidr":"10.{}.{}.0/{}"}}"#,
            number / 256 % 256,
            number % 256,
            16 + number % 15
        ),
        13 => format!(r#""10.{}.{}.1""#, number / 256 % 256, number % 256),
        14 => format!(r#"{{"anything-but":"t{number}"}}"#),
        _ => r#"null,{"exists":false}"#.to_owned(),
    };
    (0..count)
        .map(|number| format!(r#"{{"a":[{}]}}"#, item(number)))
        .collect()
}

#[test]
fn an_index_finds_what_testing_finds() {
    let rules = rules(160);
    let patterns: Vec<Pattern> = rules.iter().map(|rule| pattern(rule)).collect();
    let matcher = Matcher::new(patterns.iter().cloned().enumerate());
    let texts = [
        "t1",
        "t10",
        "t16",
        "T19SS",
        "t3ß",
        "t3SS",
        "t20x",
        "x21t",
        "t22 7t",
        "t112t",
        "10.0.13.1",
        "10.0.28.9",
        "",
        "t0",
    ];
    let texts = texts.iter().map(|text| format!(r#""{text}""#));
    let numbers = ["9", "9.0", "26", "27.5", "11", "160", "-1", "1e400"].map(str::to_owned);
    let others = ["null", "true", "{}", r#"["t1","t16",9]"#].map(str::to_owned);
    for value in texts.chain(numbers).chain(others) {
        let event = format!(r#"{{"a":{value}}}"#);
        let matching = patterns
            .iter()
            .enumerate()
            .filter(|(_, pattern)| pattern.matches(&event));
        let expected: Vec<usize> = matching.map(|(number, _)| number).collect();
        assert_eq!(matcher.matches(&event), expected, "{event}");
    }
}

#[test]
fn a_key_is_named_once_however_many_of_its_patterns_match() {
    let matcher = Matcher::new([
        ("x", pattern(r#"{"a":[1]}"#)),
        ("y", pattern(r#"{"a":[2]}"#)),
        ("x", pattern(r#"{"$or":[{"a":[1]},{"b":[1]}]}"#)),
    ]);
    assert_eq!(matcher.matches(r#"{"a":1,"b":1}"#), ["x"]);
    assert_eq!(matcher.matches(r#"{"a":[2,1]}"#), ["x", "y"]);
    assert!(Matcher::<u8>::new([]).matches(r#"{"a":1}"#).is_empty());
}

#[test]
fn a_hundred_thousand_rules_are_compiled_and_asked() {
    let rule = |number: usize| {
        let text = format!(
            r#"{{"s":["s{}"],"d":{{"t":["t{}"],"id":["i{number}"]}}}}"#,
            number % 10,
            number % 100
        );
        (number, Pattern::parse(&text).unwrap())
    };
    let matcher = Matcher::new((0..100_000).map(rule));
    for number in [0, 7, 99_999] {
        let event = format!(
            r#"{{"s":"s{}","d":{{"t":"t{}","id":"i{number}"}}}}"#,
            number % 10,
            number % 100
        );
        assert_eq!(matcher.matches(&event), [number]);
    }
    assert!(
        matcher
            .matches(r#"{"s":"s1","d":{"t":"t2","id":"i1"}}"#)
            .is_empty()
    );
    // Each prefix of one long text, and ranges one in the other.
    let long = "x".repeat(500);
    let prefixes = (1..500).map(|length| {
        (
            length,
            pattern(&format!(r#"{{"a":[{{"prefix":"{}"}}]}}"#, &long[..length])),
        )
    });
    let matcher = Matcher::new(prefixes);
    assert_eq!(
        matcher
            .matches(&format!(r#"{{"a":"{}y"}}"#, &long[..300]))
            .len(),
        300
    );
    let ranges = (0..2000).map(|low| {
        (
            low,
            pattern(&format!(
                r#"{{"a":[{{"numeric":[">",{low},"<",{}]}}]}}"#,
                4000 - low
            )),
        )
    });
    let matcher = Matcher::new(ranges);
    assert_eq!(matcher.matches(r#"{"a":3}"#), [0, 1, 2]);
    assert!(matcher.matches(r#"{"a":0}"#).is_empty());
}
