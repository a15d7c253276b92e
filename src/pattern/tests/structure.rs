//! Fields, paths, branches, arrays; and which of them refused.

use super::{matches, pattern};

#[test]
fn all_fields_must_match() {
    let pattern = r#"{"source":["s"],"detail":{"state":["on"],"deep":{"er":[1]}}}"#;
    assert!(matches(
        pattern,
        r#" { "detail" : {"deep":{"er":1.0},"state":"on"}, "source":"s" } "#
    ));
    assert!(!matches(
        pattern,
        r#"{"source":"s","detail":{"state":"on","deep":{"er":2}}}"#
    ));
    assert!(!matches(
        pattern,
        r#"{"source":"s","detail":{"state":"on"}}"#
    ));
    assert!(!matches(
        pattern,
        r#"{"source":"s","state":"on","deep":{"er":1}}"#
    ));
}

#[test]
fn dots_and_nesting_are_one_path() {
    for pattern in [
        r#"{"a.b":{"c":[1]}}"#,
        r#"{"a":{"b.c":[1]}}"#,
        r#"{"a":{"b":{"c":[1]}}}"#,
    ] {
        for event in [
            r#"{"a":{"b":{"c":1}}}"#,
            r#"{"a.b.c":1}"#,
            r#"{"a":{"b.c":1}}"#,
            r#"{"a.b":{"c":1}}"#,
        ] {
            assert!(matches(pattern, event), "{pattern} {event}");
        }
        assert!(
            !matches(
                pattern,
                r#"{"a":{"bc":1},"a.bc":1,"ab.c":1,"a.":{"b.c":1}}"#
            ),
            "{pattern}"
        );
    }
    assert!(matches(r#"{"":{"a.":[1]}}"#, r#"{".a.":1}"#));
}

#[test]
fn many_keys_below_one_are_found_too() {
    let fields: Vec<String> = (0..20)
        .map(|index| format!(r#""k{index}":{{"x":["v"]}}"#))
        .collect();
    let pattern = format!("{{{}}}", fields.join(","));
    let values: Vec<String> = (0..20)
        .map(|index| format!(r#""k{index}.x":"v""#))
        .collect();
    assert!(matches(&pattern, &format!("{{{}}}", values.join(","))));
    assert!(!matches(
        &pattern,
        &format!("{{{}}}", values[1..].join(","))
    ));
}

#[test]
fn of_a_repeated_field_the_last_counts_in_a_pattern_and_each_in_an_event() {
    assert!(matches(r#"{"a":["y"],"a":["x"]}"#, r#"{"a":"x"}"#));
    assert!(matches(
        r#"{"d":{"a":["y"],"b":[1]},"d":{"a":["x"]}}"#,
        r#"{"d":{"a":"x","b":1}}"#
    ));
    assert!(!matches(
        r#"{"d":{"a":["y"],"b":[1]},"d":{"a":["x"]}}"#,
        r#"{"d":{"a":"x"}}"#
    ));
    assert!(matches(
        r#"{"a":["x"],"b":[1]}"#,
        r#"{"a":"x","b":1,"a":"y","b":2}"#
    ));
    assert!(matches(
        r#"{"a":{"b":[1],"c":[2]}}"#,
        r#"{"a":{"b":1},"a":{"c":2}}"#
    ));
}

#[test]
fn any_branch_of_an_or_is_enough() {
    let pattern =
        r#"{"s":[1],"d":{"$or":[{"a":[1],"b":[2]},{"c":[{"exists":false}]},{"a":[3]}]},"t":[1]}"#;
    assert!(matches(pattern, r#"{"s":1,"d":{"a":1,"b":2,"c":0},"t":1}"#));
    assert!(matches(pattern, r#"{"s":1,"d":{"a":3,"c":0},"t":1}"#));
    assert!(matches(pattern, r#"{"s":1,"t":1}"#));
    assert!(!matches(pattern, r#"{"s":1,"d":{"a":1,"c":0},"t":1}"#));
    assert!(!matches(pattern, r#"{"s":1}"#));
    // In its branch, the later field replaces the earlier.
    let pattern = r#"{"a":[1],"$or":[{"a":[2]},{"b":[3]}]}"#;
    assert!(matches(pattern, r#"{"a":2}"#));
    assert!(matches(pattern, r#"{"a":1,"b":3}"#));
    assert!(!matches(pattern, r#"{"a":1}"#));
    // As a field.
    assert!(matches(r#"{"$or":["x"]}"#, r#"{"$or":"x"}"#));
    assert!(matches(
        r#"{"$or":[{"prefix":"x"},{"exists":true}]}"#,
        r#"{"$or":5}"#
    ));
}

#[test]
fn fields_below_one_array_are_met_by_one_element() {
    let people = r#"{"people":[{"first":"John","last":"Doe"},{"first":"Anna","last":"Smith"}]}"#;
    assert!(matches(
        r#"{"people":{"first":["Anna"],"last":["Smith"]}}"#,
        people
    ));
    assert!(!matches(
        r#"{"people":{"first":["Anna"],"last":["Doe"]}}"#,
        people
    ));
    let nested =
        r#"{"x":[{"k":1,"y":[{"a":1,"b":2},{"a":3,"b":4}]},{"k":2,"y":[{"a":1,"b":4}],"z":[5]}]}"#;
    for (pattern, expected) in [
        (r#"{"x":{"k":[1],"y":{"a":[3],"b":[4]}}}"#, true),
        (r#"{"x":{"k":[2],"y":{"a":[3],"b":[4]}}}"#, false),
        (r#"{"x":{"k":[2],"y":{"a":[1],"b":[4]},"z":[5]}}"#, true),
        (r#"{"x":{"k":[1],"y":{"a":[1]},"z":[5]}}"#, false),
        (r#"{"x":{"y":{"a":[3],"b":[2]}}}"#, false),
    ] {
        assert_eq!(matches(pattern, nested), expected, "{pattern}");
    }
    // Arrays of arrays are flattened; their elements stay apart.
    assert!(matches(r#"{"a":[2]}"#, r#"{"a":[[1],[[2]]]}"#));
    assert!(!matches(
        r#"{"a":{"b":[1],"c":[2]}}"#,
        r#"{"a":[[{"b":1},{"b":2}],[{"c":2}]]}"#
    ));
    // Different arrays do not hinder each other, scalars neither.
    assert!(matches(
        r#"{"a":{"x":[1]},"b":{"x":[2]}}"#,
        r#"{"a":[{"x":0},{"x":1}],"b":[{"x":2}]}"#
    ));
    assert!(matches(r#"{"a":[5],"a.x":[1]}"#, r#"{"a":[{"x":1},5]}"#));
}

#[test]
fn absence_is_judged_beside_the_elements_chosen_before() {
    let event = r#"{"x":[{"a":1},{"b":2}]}"#;
    // By path: `a` is looked at first in both.
    assert!(matches(r#"{"x":{"a":[1],"b":[{"exists":false}]}}"#, event));
    assert!(!matches(r#"{"x":{"a":[{"exists":false}],"b":[2]}}"#, event));
    assert!(!matches(r#"{"x":{"a":[{"exists":false}]}}"#, event));
}

#[test]
fn a_pattern_from_an_object_is_the_pattern_from_its_text() {
    let text = r#"{"a":["x",1,2.5,true,null,{"prefix":"p"}],"b":{"c":[{"numeric":[">",1]}]}}"#;
    let value = serde_json::from_str(text).unwrap();
    assert_eq!(super::Pattern::from_value(&value).unwrap(), pattern(text));
}

#[test]
fn what_is_no_object_matches_nothing() {
    for event in [
        "",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{",
        "{\"a\"",
        "{\"b\":1",
        "{\"b\":}",
        "{]",
        "{\"b\" 1}",
    ] {
        assert!(!matches(r#"{"a":[{"exists":false}]}"#, event), "{event}");
    }
}

#[test]
fn a_refusal_names_the_first_field_and_quotes_the_pattern_only() {
    let event = r#"{"source":"canary","detail":{"state":"canary","n":7},"x":[{"a":1},{"b":2}]}"#;
    for (text, field, reason) in [
        (
            r#"{"source":[{"prefix":"c"}],"detail":{"state":["on","off"],"n":[8]}}"#,
            "detail.state",
            r#"no value of the field meets ["on","off"]"#,
        ),
        (
            r#"{"detail":{"missing":[{"anything-but":"x"}]}}"#,
            "detail.missing",
            r#"the event has no such field, the pattern wants [{"anything-but":"x"}]"#,
        ),
        (
            r#"{"source":[{"exists":false}]}"#,
            "source",
            "the event has the field, the pattern wants it absent",
        ),
        (
            r#"{"x":{"a":[1],"b":[2]}}"#,
            "x",
            "no element of an array meets x.a, x.b together",
        ),
        (
            r#"{"detail":{"$or":[{"state":["on"]},{"n":[8]}]}}"#,
            "detail.$or",
            r#"none of the 2 combinations of $or matches; the first one fails at detail.state: no value of the field meets ["on"]"#,
        ),
        (
            r#"{"source":["s"],"$or":[{"a":[1]},{"b":[8]}]}"#,
            "source",
            r#"no value of the field meets ["s"]"#,
        ),
    ] {
        let refusal = pattern(text).refusal(event).unwrap();
        assert_eq!((&*refusal.field, &*refusal.reason), (field, reason));
        assert!(!refusal.reason.contains("canary"));
    }
    let long = format!(r#"{{"a":["{}"]}}"#, "ä".repeat(5000));
    assert!(pattern(&long).refusal("{}").unwrap().reason.chars().count() < 300);
    assert_eq!(
        pattern(&long).refusal("[]").unwrap().reason,
        "the event is no JSON object"
    );
}
