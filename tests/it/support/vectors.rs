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
