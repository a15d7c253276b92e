//! The examples of KEDA's objects with our triggers: KEDA's own definitions take them, and our sources their keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use slipway::resource::{connection, document};

use crate::support::cluster::{Cluster, unique};
use crate::support::dry_run::dry_run;
use crate::support::keda::install_definitions;

/// Keys that are the external scaler's and not the source's.
const OURS: [&str; 3] = ["scalerAddress", "source", "connection"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/keda/external")
}

/// Every object of the folder, by file and kind.
fn objects() -> BTreeMap<(String, String), Value> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let (documents, misread) = document::read(&fs::read_to_string(&path).unwrap());
        assert_eq!(misread, [], "{file}");
        for document in documents {
            objects.insert((file.clone(), document.kind), document.value);
        }
    }
    objects
}

/// The connections of the Secret, by name.
fn connections() -> BTreeMap<String, Value> {
    let objects = objects();
    let secret = &objects[&("connections.yaml".to_owned(), "Secret".to_owned())];
    let text = secret["stringData"]["connections.yaml"].as_str().unwrap();
    let list: Vec<Value> = serde_saphyr::from_str(text).unwrap();
    let name = |connection: &Value| connection["name"].as_str().unwrap().to_owned();
    list.into_iter()
        .map(|connection| (name(&connection), connection))
        .collect()
}

/// The one trigger of each object: its file, the namespace, what it says.
fn triggers() -> Vec<(String, String, Value)> {
    let mut triggers = Vec::new();
    for ((file, kind), object) in objects() {
        if kind.starts_with("Scaled") {
            let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
            let list = object["spec"]["triggers"].as_array().unwrap();
            assert_eq!(list.len(), 1, "{file}");
            triggers.push((file, namespace, list[0].clone()));
        }
    }
    assert_eq!(triggers.len(), 3);
    triggers
}

#[tokio::test]
async fn the_definitions_of_keda_take_them() {
    let cluster = Cluster::new("keda-examples").await;
    install_definitions(&cluster.client).await;
    for ((file, kind), mut object) in objects() {
        object["metadata"]["namespace"] = json!(cluster.namespace);
        let plural = format!("{}s", kind.to_lowercase());
        let group = match object["apiVersion"].as_str().unwrap() {
            "v1" => "/api/v1".to_owned(),
            group => format!("/apis/{group}"),
        };
        let path = format!("{group}/namespaces/{}/{plural}", cluster.namespace);
        dry_run(&cluster, &path, &object)
            .await
            .is_taken(&format!("{file}: {kind}"));
        // A typo would have been seen.
        if kind.starts_with("Scaled") {
            object["spec"]["pollInterval"] = json!(1);
            assert_eq!(
                dry_run(&cluster, &path, &object).await.status,
                400,
                "{file}"
            );
        }
    }
    cluster.remove().await;
}

#[test]
fn they_call_the_service_of_the_chart_and_name_sources_that_there_are() {
    let mut sources = Vec::new();
    for (file, namespace, trigger) in triggers() {
        let metadata = &trigger["metadata"];
        // A release `slipway` in a namespace `slipway`.
        assert_eq!(
            metadata["scalerAddress"], "slipway-keda.slipway.svc:6000",
            "{file}"
        );
        let source = metadata["source"].as_str().unwrap();
        // Only what pushes by itself is worth a stream.
        let kind = if source == "eventbridge" {
            "external-push"
        } else {
            "external"
        };
        assert_eq!(trigger["type"], kind, "{file}");
        if let Some(name) = metadata["connection"].as_str() {
            let connection = &connections()[name];
            let namespaces = connection["namespaces"].as_array().unwrap();
            assert!(namespaces.contains(&json!(namespace)), "{file}");
        }
        sources.push(source.to_owned());
    }
    sources.sort();
    assert_eq!(sources, ["aws-sqs-queue", "eventbridge", "kafka"]);
    let objects = objects();
    let secret = &objects[&("connections.yaml".to_owned(), "Secret".to_owned())];
    let text = secret["stringData"]["connections.yaml"].as_str().unwrap();
    assert_eq!(connection::parse(text).unwrap().len(), connections().len());
}

/// The metadata as the source sees it: the caller's keys, then the connection's, which win.
fn of_the_source(metadata: &Value) -> Map<String, Value> {
    let mut keys = metadata.as_object().unwrap().clone();
    if let Some(name) = metadata["connection"].as_str() {
        let more = connections()[name]["metadata"].clone();
        keys.extend(more.as_object().unwrap().clone());
    }
    keys.retain(|key, _| !OURS.contains(&key.as_str()));
    keys
}

#[test]
fn their_keys_are_those_of_a_trigger_of_our_own() {
    let file = std::env::temp_dir().join(format!("slipway-keys-{}.yaml", unique()));
    let mut checked = 0;
    for (name, _, trigger) in triggers() {
        let source = trigger["metadata"]["source"].as_str().unwrap();
        let keys = of_the_source(&trigger["metadata"]);
        let manifest = json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "ScaledJob",
            "metadata": {"name": "example"},
            "spec": {
                "jobTargetRef": {
                    "ttlSecondsAfterFinished": 60,
                    "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example"}]}},
                },
                "triggers": [{"type": source, "metadata": keys}],
            },
        });
        fs::write(&file, manifest.to_string()).unwrap();
        // Without its credentials: those are in the Secret, or in Slipway's environment.
        let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .arg("check")
            .arg(&file)
            .env_clear()
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        // Whom to be is all that is missing.
        let faults = said.lines().filter(|line| line.contains(": spec."));
        let mut faults = faults.filter(|line| !line.contains(": warning: "));
        let is_read =
            faults.all(|line| line.contains("authenticationRef") || line.contains("username"));
        assert!(is_read, "{name}: {said}");
        let has_others = said.contains("does not use this parameter");
        assert!(!has_others, "{name}: {said}");
        checked += 1;
    }
    fs::remove_file(file).unwrap();
    assert_eq!(checked, 3);
}
