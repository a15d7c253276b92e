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
            let is_group = default.is_empty() && !matches!(name.trim(), "resources" | "kedaFrom");
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
    assert!(documented > 45, "{documented}");
}

#[test]
fn what_is_no_value_or_no_good_one_is_refused_by_name() {
    let rows = [
        (json!({"replica": 1}), "replica"),
        (json!({"events": {"servce": {}}}), "servce"),
        (
            json!({"events": {"ingress": {"tls": [{"secret": "a"}]}}}),
            "secret",
        ),
        (json!({"keda": {"tls": {"secret": "a"}}}), "secret"),
        (json!({"resources": {"request": {}}}), "request"),
        (json!({"replicas": "two"}), "replicas"),
        (json!({"namespaces": ["Orders"]}), "namespaces"),
        (json!({"namespaces": "orders"}), "namespaces"),
        (json!({"namespaces": ["orders", "orders"]}), "namespaces"),
        (json!({"ledgerGrace": "soon"}), "ledgerGrace"),
        (json!({"logFormat": "xml"}), "logFormat"),
        (json!({"image": {"digest": "latest"}}), "digest"),
        (json!({"events": {"port": 0}}), "port"),
        (
            json!({"serviceAccount": {"annotations": {"a": 1}}}),
            "annotations",
        ),
        (json!({"extraArgs": ["all-namespaces"]}), "extraArgs"),
        // Together.
        (
            json!({"namespaces": ["orders"], "allNamespaces": true}),
            "exclude each other",
        ),
        (
            json!({"keda": {"tls": {"clientCAKey": "ca.crt"}}}),
            "keda.tls.secretName",
        ),
        (
            json!({"serviceAccount": {"create": false}}),
            "serviceAccount.name",
        ),
        (
            json!({"events": {"ingress": {"enabled": true}}}),
            "events.ingress.hosts",
        ),
    ];
    for (values, word) in rows {
        let said = template("slipway", &values).expect_err("refused");
        assert!(said.contains(word), "{values}: {said}");
    }
}

#[test]
fn a_chart_that_contains_this_one_may_have_values_for_all() {
    assert!(template("slipway", &json!({"global": {"region": "eu-west-1"}})).is_ok());
}
