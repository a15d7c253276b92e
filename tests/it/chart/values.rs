//! The chart's values: each one documented, and no other taken.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Map, Value, json};

use super::{chart, template};

fn schema() -> Value {
    let text = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Paths of all fields that a schema knows; every object that has fields is closed.
fn known(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{path} is open");
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            known(property, &path, found);
            found.insert(path);
        }
    }
    if schema["items"].is_object() {
        known(&schema["items"], &format!("{path}[]"), found);
    }
}

/// Paths of all fields that the values have, as deep as the schema goes.
fn there(
    values: &Map<String, Value>,
    path: &str,
    schema: &BTreeSet<String>,
    found: &mut BTreeSet<String>,
) {
    for (name, value) in values {
        let path = format!("{path}.{name}");
        if let Some(value) = value.as_object()
            && schema
                .iter()
                .any(|known| known.starts_with(&format!("{path}.")))
        {
            there(value, &path, schema, found);
        }
        found.insert(path);
    }
}

#[test]
fn the_schema_has_the_values_and_is_closed_everywhere() {
    let mut in_schema = BTreeSet::new();
    known(&schema(), "", &mut in_schema);
    // Helm's own, for charts that contain this one; and what is within items has no default.
    in_schema.retain(|path| path != ".global" && !path.contains("[]"));
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let mut in_values = BTreeSet::new();
    there(values.as_object().unwrap(), "", &in_schema, &mut in_values);
    assert_eq!(in_values, in_schema);
}

/// What is rendered with these sets is held against the schemas of the API server.
#[test]
fn every_value_is_in_one_of_the_sets_that_are_rendered() {
    let mut in_schema = BTreeSet::new();
    known(&schema(), "", &mut in_schema);
    in_schema.retain(|path| !path.contains("[]") && !path.ends_with("issuerRef.group"));
    let mut set = BTreeSet::new();
    for (_, values) in super::value_sets() {
        there(values.as_object().unwrap(), "", &in_schema, &mut set);
    }
    let missing: Vec<_> = in_schema.difference(&set).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_value_is_documented_where_it_stands() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let mut before = "";
    let mut documented = 0;
    // Below these stands what Kubernetes documents.
    let mut foreign: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if foreign.is_some_and(|depth| indent > depth || line.trim_start().starts_with('-')) {
            before = line;
            continue;
        }
        foreign = None;
        if let Some((name, default)) = line.split_once(':')
            && !line.trim_start().starts_with('#')
        {
            let is_group = default.is_empty()
                && !matches!(
                    name.trim(),
                    "resources" | "kedaFrom" | "topologySpreadConstraints"
                );
            if !is_group {
                assert!(
                    before.trim_start().starts_with('#'),
                    "{name} has no comment"
                );
                documented += 1;
            }
            foreign = (!is_group).then_some(indent);
        }
        before = line;
    }
    assert!(documented > 100, "{documented}");
}

#[test]
fn a_chart_that_contains_this_one_may_have_values_for_all_and_a_condition() {
    let values = json!({"enabled": true, "global": {"region": "eu-west-1"}});
    assert!(template("slipway", &values).is_ok());
}
