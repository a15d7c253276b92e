use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Where a query leads to in an event; or why it is none.
fn check(rows: &[(&str, Option<Value>)], event: &Value) {
    let pretty = serde_json::to_string_pretty(event).unwrap();
    for (text, wanted) in rows {
        let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(query.find(event), wanted.as_ref(), "{text}");
        let written = query.find_written(&pretty);
        let read = written.map(|written| serde_json::from_str(written).unwrap());
        assert_eq!(read, *wanted, "{text}, as written");
        assert_eq!(query.to_string(), *text);
    }
}

#[test]
fn the_rfcs_examples_of_singular_queries_lead_where_it_says() {
    // Sections 1.5, 2.2.3, 2.3.1.3, 2.3.3.3 and 2.7.
    let store = json!({"store": {
        "book": [{"title": "Sayings"}, {"title": "Sword"}, {"title": "Moby Dick"}],
        "bicycle": {"color": "red", "price": 399},
    }});
    check(
        &[
            ("$", Some(store.clone())),
            ("$.store.book[0].title", Some(json!("Sayings"))),
            ("$['store']['book'][0]['title']", Some(json!("Sayings"))),
            ("$.store.book[-1].title", Some(json!("Moby Dick"))),
            ("$.store.book[2].author", None),
            ("$.store.bicycle.price", Some(json!(399))),
        ],
        &store,
    );
    check(
        &[
            ("$.o['j j']", Some(json!({"k.k": 3}))),
            ("$.o['j j']['k.k']", Some(json!(3))),
            (r#"$.o["j j"]["k.k"]"#, Some(json!(3))),
            (r#"$["'"]["@"]"#, Some(json!(2))),
        ],
        &json!({"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}),
    );
    check(
        &[
            ("$[1]", Some(json!("b"))),
            ("$[-2]", Some(json!("a"))),
            ("$[2]", None),
            ("$[-3]", None),
            ("$.a", None),
            ("$['0']", None),
        ],
        &json!(["a", "b"]),
    );
    check(
        &[
            ("$.a", Some(Value::Null)),
            ("$.a[0]", None),
            ("$.a.d", None),
            ("$.b[0]", Some(Value::Null)),
            ("$.null", Some(json!(1))),
        ],
        &json!({"a": null, "b": [null], "null": 1}),
    );
}

#[test]
fn names_are_written_in_every_way_the_rfc_knows() {
    let event = json!({
        "a": 1, "_b9": 2, "ü☃": 3, "x-y": 4, "": 5, "it's": 6, "\"q\"": 7,
        "\u{8}\u{c}\n\r\t/\\": 8, "☺😀": 9, "é": 10, "0": 11,
    });
    check(
        &[
            ("$.a", Some(json!(1))),
            ("$ .a", Some(json!(1))),
            ("$\n\t['a']", Some(json!(1))),
            ("$[ 'a'\t]", Some(json!(1))),
            ("$._b9", Some(json!(2))),
            ("$.ü☃", Some(json!(3))),
            ("$['x-y']", Some(json!(4))),
            ("$['']", Some(json!(5))),
            (r"$['it\'s']", Some(json!(6))),
            (r#"$["it's"]"#, Some(json!(6))),
            (r#"$["\"q\""]"#, Some(json!(7))),
            (r#"$['"q"']"#, Some(json!(7))),
            (r"$['\b\f\n\r\t\/\\']", Some(json!(8))),
            (r"$['\u263A\ud83D\ude00']", Some(json!(9))),
            ("$['☺😀']", Some(json!(9))),
            (r"$['\u00e9']", Some(json!(10))),
            ("$['0']", Some(json!(11))),
            ("$[0]", None),
            ("$[-9007199254740991]", None),
        ],
        &event,
    );
}

#[test]
fn what_is_no_singular_query_is_told_with_its_place_and_what_is_right() {
    let many = "must lead to one value";
    for (text, place, says) in [
        ("", 1, "must begin with $"),
        ("detail.id", 1, "must begin with $"),
        (" $.a", 1, "must begin with $"),
        ("$.a ", 4, "must not end with a space"),
        ("$a", 2, "must be . and a name"),
        ("$.", 3, "must be a name, as in $.detail"),
        ("$. a", 3, "brackets and quotes"),
        ("$.0a", 3, "brackets and quotes"),
        ("$.'a'", 3, "brackets and quotes"),
        ("$.detail-type", 9, "write ['detail-type']"),
        ("$.a.b-c-d.e", 6, "write ['b-c-d']"),
        ("$.a b", 5, "must be . and a name"),
        ("$..a", 2, many),
        ("$.a..b", 4, many),
        ("$.*", 3, "* finds many"),
        ("$[*]", 3, many),
        ("$[?@.a]", 3, many),
        ("$[1:2]", 4, many),
        ("$[:2]", 3, many),
        ("$['a','b']", 6, many),
        ("$[0, 1]", 4, many),
        ("$[", 3, "must be a name in quotes or an index"),
        ("$[]", 3, "must be a name in quotes or an index"),
        ("$[a]", 3, "must be a name in quotes or an index"),
        ("$[0", 4, "not closed"),
        ("$[0x]", 4, "must be ]"),
        ("$[01]", 3, "must be an index"),
        ("$[-0]", 3, "must be an index"),
        ("$[-]", 3, "must be an index"),
        ("$[9007199254740992]", 3, "at most 9007199254740991"),
        ("$[99999999999999999999]", 3, "at most 9007199254740991"),
        ("$['a", 5, "must be ': the name is not closed"),
        ("$['a\nb']", 5, "must be written as an escape"),
        (r#"$['\"']"#, 4, "must be one of"),
        (r"$['\x']", 4, "must be one of"),
        (r"$['\u12']", 4, "four hexadecimal digits"),
        (r"$['\u+123']", 4, "four hexadecimal digits"),
        (r"$['\uD800']", 4, "four hexadecimal digits"),
        (r"$['\uDC00\uD800']", 4, "four hexadecimal digits"),
        ("$.é[x]", 5, "must be a name in quotes or an index"),
    ] {
        let error = Query::parse(text).unwrap_err();
        assert!(
            error.starts_with(&format!("at character {place}: ")),
            "{text}: {error}"
        );
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_value_as_written_keeps_its_digits_and_says_when_its_name_is_repeated() {
    let text = r#" {"a": [1.10, 12345678901234567890123], "b": {"x":1, "x": 2.0 }, "b\u0063": 1e3, "c": {"x": 1}, "c": {}} "#;
    for (query, found, is_ambiguous) in [
        ("$.a[0]", Some("1.10"), false),
        ("$.a[-1]", Some("12345678901234567890123"), false),
        ("$.bc", Some("1e3"), false),
        ("$", Some(text.trim()), false),
        ("$.a[2]", None, false),
        ("$.b.x", Some("2.0"), true),
        ("$.b.y", None, false),
        ("$.c.x", None, true),
    ] {
        let query = Query::parse(query).unwrap();
        assert_eq!(query.find_written(text), found, "{query}");
        assert_eq!(query.is_ambiguous_in(text), is_ambiguous, "{query}");
    }
}

proptest! {
    #[test]
    fn any_name_can_be_quoted_and_no_text_panics(name in any::<String>(), text in any::<String>(), likely in "\\$[.\\[\\]'\"a0\\\\u*?: -]{0,12}") {
        let quoted = Value::from(name.as_str()).to_string();
        let query = Query::parse(&format!("$[{quoted}]"));
        let event = json!({name.as_str(): 1});
        prop_assert_eq!(query.unwrap().find(&event), Some(&json!(1)));
        for text in [text, likely] {
            if let Ok(query) = Query::parse(&text) {
                prop_assert_eq!(query.to_string(), text);
            }
        }
    }
}
