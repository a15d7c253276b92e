//! Recorded answers of KEDA. `SLIPWAY_VECTORS` names another folder with files
//! of the same names and form.

use std::path::PathBuf;

use serde_json::Value;

/// One file of recorded answers, by its name without `.json`.
pub(crate) fn load(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows under `key` of a file; panics when there are none, so that no test passes on nothing.
pub(crate) fn rows(name: &str, key: &str) -> Vec<Value> {
    let file = load(name);
    let rows = file[key]
        .as_array()
        .unwrap_or_else(|| panic!("{name}.json has no list {key}"))
        .clone();
    assert!(!rows.is_empty(), "{name}.json: {key} is empty");
    rows
}

fn folder() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    std::env::var("SLIPWAY_VECTORS").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"),
        PathBuf::from,
    )
}

/// Fails on a key that is not `known`: a form this program's tests do not read must not pass unread.
pub(crate) fn assert_keys(row: &Value, known: &[&str]) {
    let object = row
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {row}"));
    for key in object.keys() {
        assert!(known.contains(&key.as_str()), "unknown key {key} in {row}");
    }
}

/// Fails when a grid has other columns than those the test reads by position.
pub(crate) fn assert_columns(grid: &Value, expected: &[&str]) {
    assert_eq!(grid["columns"], serde_json::json!(expected), "columns");
    for row in grid["rows"].as_array().expect("rows") {
        let cells = row.as_array().expect("a row is a list").len();
        assert_eq!(cells, expected.len(), "cells of {row}");
    }
}

/// Keys every file has beside its lists.
pub(crate) const HEAD: [&str; 4] = ["keda_commit", "source", "how", "note"];

/// Fails on a list of a file that its tests do not read.
pub(crate) fn assert_lists(name: &str, lists: &[&str]) {
    assert_keys(&load(name), &[&HEAD, lists].concat());
}

/// A text.
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

/// A list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {value}"))
}

/// True or false.
pub(crate) fn boolean(value: &Value) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| panic!("not a bool: {value}"))
}

/// An integer.
pub(crate) fn integer(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("not an integer: {value}"))
}

/// A count, 0 and up.
pub(crate) fn count(value: &Value) -> u32 {
    u32::try_from(integer(value)).unwrap_or_else(|_| panic!("not a count: {value}"))
}

/// A count under a key that may be absent or null.
pub(crate) fn optional_count(row: &Value, key: &str) -> Option<u32> {
    row.get(key).filter(|value| !value.is_null()).map(count)
}

/// A number; JSON has no words for NaN and infinities, so those come as text.
pub(crate) fn float(value: &Value) -> f64 {
    match value {
        Value::String(word) => match word.as_str() {
            "NaN" => f64::NAN,
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            _ => panic!("not a number: {word}"),
        },
        _ => value
            .as_f64()
            .unwrap_or_else(|| panic!("not a number: {value}")),
    }
}
