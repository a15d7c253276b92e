//! JSON schemas for kubeconform, made of what the API server says of its own kinds and of others' CustomResourceDefinitions:
//! no network is needed, and they fit their versions.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::cluster::{client, install_crds};
use crate::support::servers;

/// How kubeconform is told to find them.
pub(super) const LOCATION: &str = "{{ .Group }}-{{ .ResourceKind }}-{{ .ResourceAPIVersion }}.json";

const PREFIX: &str = "#/definitions/";

/// Writes one file for each kind that the API server serves.
pub(super) async fn write(folder: &Path) -> usize {
    let client = client().await;
    install_crds(&client).await;
    let request = http::Request::get("/openapi/v2").body(Vec::new()).unwrap();
    let text = client.request_text(request).await.unwrap();
    let openapi: Value = serde_json::from_str(&text).unwrap();
    let mut definitions = openapi["definitions"].as_object().unwrap().clone();
    for definition in definitions.values_mut() {
        close(definition);
    }
    let mut written = 0;
    for (name, definition) in &definitions {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        for kind in kinds.into_iter().flatten() {
            let text = |field: &str| kind[field].as_str().unwrap_or_default().to_lowercase();
            // It takes what stands before the slash for the group: of the core group the version.
            let group = match text("group") {
                group if group.is_empty() => text("version"),
                group => group,
            };
            let file = file(&group, &text("kind"), &text("version"));
            let schema = json!({"$ref": format!("{PREFIX}{name}"), "definitions": reachable(name, &definitions)});
            std::fs::write(folder.join(file), schema.to_string()).unwrap();
            written += 1;
        }
    }
    written + write_foreign(folder)
}

/// Writes one file for each version of each of the others' kinds.
fn write_foreign(folder: &Path) -> usize {
    let mut written = 0;
    for entry in std::fs::read_dir(servers::named("TEST_FOREIGN_CRDS")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let definition: Value = serde_saphyr::from_str(&text).unwrap();
        let spec = &definition["spec"];
        let text = |value: &Value| value.as_str().unwrap().to_lowercase();
        for version in spec["versions"].as_array().unwrap() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            // Kubernetes has them in every object.
            schema["properties"]["metadata"] = json!({"type": "object"});
            close(&mut schema);
            let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]));
            let file = file(&group, &kind, &text(&version["name"]));
            std::fs::write(folder.join(file), schema.to_string()).unwrap();
            written += 1;
        }
    }
    assert!(written >= 5, "{written}");
    written
}

/// How a kind's file is called.
fn file(group: &str, kind: &str, version: &str) -> String {
    LOCATION
        .replace("{{ .Group }}", group)
        .replace("{{ .ResourceKind }}", kind)
        .replace("{{ .ResourceAPIVersion }}", version)
}

/// Closes every object whose fields are known, and lets quantities and ports be numbers, as the API server does.
fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if fields.get("format") == Some(&json!("int-or-string")) {
        fields.insert("type".to_owned(), json!(["integer", "string"]));
    }
    let describes_quantity = |text: &str| text.starts_with("Quantity is a fixed-point");
    let description = fields.get("description").and_then(Value::as_str);
    if description.is_some_and(describes_quantity) {
        fields.insert("type".to_owned(), json!(["number", "string"]));
    }
    let is_open = fields.contains_key("x-kubernetes-preserve-unknown-fields");
    if let Some(properties) = fields.get_mut("properties") {
        for property in properties.as_object_mut().unwrap().values_mut() {
            close(property);
        }
        if !is_open && !fields.contains_key("additionalProperties") {
            fields.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    for part in ["items", "additionalProperties"] {
        if let Some(part) = fields.get_mut(part) {
            close(part);
        }
    }
}

/// A definition and all that it refers to.
fn reachable(name: &str, definitions: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open = BTreeSet::from([name.to_owned()]);
    while let Some(name) = open.pop_first() {
        let definition = &definitions[&name];
        found.insert(name, definition.clone());
        let mut named = BTreeSet::new();
        references(definition, &mut named);
        open.extend(named.into_iter().filter(|name| !found.contains_key(name)));
    }
    found
}

fn references(schema: &Value, named: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            // Of a field that is called `$ref` the value is no text.
            let reference = fields.get("$ref").and_then(Value::as_str);
            named.extend(reference.and_then(|text| Some(text.strip_prefix(PREFIX)?.to_owned())));
            fields.values().for_each(|part| references(part, named));
        }
        Value::Array(parts) => parts.iter().for_each(|part| references(part, named)),
        _ => {}
    }
}
