//! Patterns and events that are meant to hurt: each must end soon, and without a panic.

use super::{matches, pattern};

#[test]
fn hostile_wildcards_take_linear_time() {
    let pattern = r#"{"a":[{"wildcard":"a*a*a*a*b"}]}"#;
    let event = format!(r#"{{"a":"{}"}}"#, "a".repeat(1 << 20));
    assert!(!matches(pattern, &event));
    let pattern = format!(
        r#"{{"a":[{{"anything-but":{{"wildcard":"{}b"}}}}]}}"#,
        "a*".repeat(500)
    );
    assert!(matches(&pattern, &event));
    let half = "a".repeat(1 << 10);
    let pattern = format!(r#"{{"a":[{{"wildcard":"*{half}b*"}}]}}"#);
    let error = super::Pattern::parse(&pattern).unwrap_err().to_string();
    assert!(error.contains("too complex"), "{error}");
}

#[test]
fn long_strings_match_like_short_ones() {
    let long = "é".repeat(1 << 19);
    let event = format!(r#"{{"b":"{long}\\","a":"{long}"}}"#);
    assert!(matches(&format!(r#"{{"a":["{long}"]}}"#), &event));
    assert!(matches(
        &format!(
            r#"{{"a":[{{"equals-ignore-case":"{}"}}]}}"#,
            "É".repeat(1 << 16)
        ),
        &format!(r#"{{"a":"{}"}}"#, "é".repeat(1 << 16))
    ));
}

#[test]
fn deep_events_are_passed_over_and_refused_where_they_are_asked_for() {
    for open in ["[", r#"{"a":"#, r#"{"b":"#] {
        let event = format!(r#"{{"a":1,"x":{}"#, open.repeat(1 << 14));
        assert!(!matches(r#"{"a":[1]}"#, &event));
        let event = format!(r#"{{"a":{}"#, open.repeat(1 << 14));
        assert!(!matches(r#"{"a":[1],"a.a":[1]}"#, &event));
    }
    let event = format!(
        r#"{{"x":{}{},"a":1}}"#,
        "[".repeat(1 << 14),
        "]".repeat(1 << 14)
    );
    assert!(matches(r#"{"a":[1]}"#, &event));
}

#[test]
fn every_cut_and_every_changed_byte_of_an_event_is_survived() {
    let event =
        r#"{"a":[{"b":"x\u00e9\ud83d\ude00\n","c":-1.5e3},null,[true]],"d.e":{"f":"é"},"g":[]}"#;
    let pattern = pattern(
        r#"{"a":{"b":[{"suffix":"\n"}],"c":[-1500]},"a":[null],"d":{"e":{"f":["é"]}},"g":[{"exists":false}]}"#,
    );
    assert!(pattern.matches(event));
    let matcher = super::Matcher::new([((), pattern.clone())]);
    for index in 0..event.len() {
        if let Some(cut) = event.get(..index) {
            assert!(!pattern.matches(cut), "{cut}");
        }
        for byte in *b"\"\\{}[],:u0 -e\0" {
            let mut bytes = event.as_bytes().to_vec();
            bytes[index] = byte;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert_eq!(
                !matcher.matches(&changed).is_empty(),
                pattern.matches(&changed),
                "{changed}"
            );
        }
    }
}

#[test]
fn large_arrays_take_time_in_proportion() {
    let count = 3_000;
    let element = |index: usize| {
        format!(
            r#"{{"a":1,"b":{},"c":[{{"d":1}},{{"e":{index}}}]}}"#,
            index % 7
        )
    };
    let elements: Vec<String> = (0..count).map(element).collect();
    let event = format!(r#"{{"x":[{}]}}"#, elements.join(","));
    assert!(matches(r#"{"x":{"a":[1],"b":[3],"c":{"d":[1]}}}"#, &event));
    assert!(!matches(
        r#"{"x":{"a":[1],"b":[3],"c":{"d":[1],"e":[5]}}}"#,
        &event
    ));
    assert!(!matches(r#"{"x":{"a":[1],"b":[9]}}"#, &event));
    // One half has one field, the other half the other.
    let halves = format!(
        r#"{{"x":[{}{{"b":2}}]}}"#,
        r#"{"a":1},"#.repeat(count) + &r#"{"b":2},"#.repeat(count)
    );
    assert!(!matches(r#"{"x":{"a":[1],"b":[2]}}"#, &halves));
}

#[test]
fn an_event_that_repeats_its_arrays_cannot_make_the_search_explode() {
    let array = |index: usize| format!(r#""x":[{{"f{index}":1}},{{"g{index}":1}}]"#);
    let arrays: Vec<String> = (0..40).map(array).collect();
    let event = format!("{{{}}}", arrays.join(","));
    let fields: Vec<String> = (0..40)
        .map(|index| format!(r#""f{index}":[1],"g{index}":[1]"#))
        .collect();
    assert!(!matches(
        &format!(r#"{{"x":{{{}}}}}"#, fields.join(",")),
        &event
    ));
    let fields: Vec<String> = (0..40).map(|index| format!(r#""f{index}":[1]"#)).collect();
    assert!(matches(
        &format!(r#"{{"x":{{{}}}}}"#, fields.join(",")),
        &event
    ));
}

#[test]
fn escapes_and_quotes_may_stand_anywhere_in_a_block() {
    for escapes in [r#"\""#, r"\\", r#"\\\""#, r#"]\"}"#] {
        for filling in 0..200 {
            let filling = "x".repeat(filling);
            let text = format!("{filling}{escapes}");
            let skipped = format!(r#"{{"a":1,"{text}":[{{"y":"{text}"}}],"b":"{text}"}}"#);
            let members: serde_json::Value = serde_json::from_str(&skipped).unwrap();
            let rule = serde_json::json!({"a": [1], "b": [members["b"]]});
            assert!(matches(&rule.to_string(), &skipped), "{skipped}");
            let rule = serde_json::json!({"a": [1], "b": [filling]});
            assert!(!matches(&rule.to_string(), &skipped), "{skipped}");
        }
    }
}
