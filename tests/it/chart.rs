//! The chart: what it renders, what it refuses, what rights it gives, and the built binary run as it would be run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use slipway::resource::document;

use crate::support::servers;

mod image;
mod installed;
mod refusals;
mod rendering;
mod rights;
mod schemas;
mod values;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/slipway")
}

fn helm(arguments: &[&str]) -> Output {
    Command::new(servers::named("TEST_HELM"))
        .args(arguments)
        .output()
        .unwrap()
}

/// `--set-json` for each of the values.
fn set(values: &Value) -> Vec<String> {
    let values = values.as_object().unwrap().iter();
    values
        .flat_map(|(key, value)| ["--set-json".to_owned(), format!("{key}={value}")])
        .collect()
}

/// What `helm template` says of a release in a namespace.
fn template(namespace: &str, values: &Value) -> Result<String, String> {
    template_with(namespace, values, &[])
}

/// The same with more flags of helm's.
fn template_with(namespace: &str, values: &Value, flags: &[&str]) -> Result<String, String> {
    let chart = chart();
    let set = set(values);
    let mut arguments = vec!["template", "slipway", chart.to_str().unwrap()];
    arguments.extend(["--namespace", namespace]);
    arguments.extend(flags);
    arguments.extend(set.iter().map(String::as_str));
    let output = helm(&arguments);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// The objects that the chart makes of these values.
pub(crate) fn render(values: &Value) -> Vec<Value> {
    render_with(values, &[])
}

/// The same with more flags of helm's.
fn render_with(values: &Value, flags: &[&str]) -> Vec<Value> {
    let text = template_with("slipway", values, flags).unwrap();
    let (documents, misread) = document::read(&text);
    assert_eq!(misread, []);
    documents
        .into_iter()
        .map(|document| document.value)
        .collect()
}

/// The one object of that kind and name.
#[track_caller]
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let found: Vec<&Value> = objects.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0]
}

fn kinds(objects: &[Value]) -> BTreeSet<&str> {
    let kinds = objects.iter().map(|object| object["kind"].as_str());
    kinds.map(Option::unwrap).collect()
}

/// The arguments of a Deployment's container.
fn arguments(deployment: &Value) -> Vec<String> {
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    serde_json::from_value(arguments.clone()).unwrap()
}

/// `--flag` of `--flag=value`.
fn flag(argument: &str) -> &str {
    argument.split('=').next().unwrap()
}

/// The smallest values, and sets that between them use everything there is.
fn value_sets() -> Vec<(&'static str, Value)> {
    let read = |text: &str| serde_saphyr::from_str(text).unwrap();
    vec![
        ("nothing", json!({})),
        (
            "everything",
            read(include_str!("chart/values/everything.yaml")),
        ),
        (
            "operators",
            read(include_str!("chart/values/operators.yaml")),
        ),
        (
            "all-namespaces",
            read(include_str!("chart/values/all-namespaces.yaml")),
        ),
        ("little", read(include_str!("chart/values/little.yaml"))),
    ]
}

/// One of them.
fn value_set(name: &str) -> Value {
    let found = value_sets().into_iter().find(|(of, _)| *of == name);
    found.expect("a set of that name").1
}
