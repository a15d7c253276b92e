//! What people write: the parser beside KEDA's rules and beside our own
//! CustomResourceDefinitions, `slipway check`, and the examples. The API server's
//! opinion of all of it is in `cluster`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "how a test fails, in functions that tests share too"
)]

mod alike;
mod cluster;
mod event_jobs;
mod mistakes;
mod real_files;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use slipway::cli::OutputFormat;
use slipway::cli::check::{self, Args};
use slipway::manifest::{self, Manifests};
use slipway::resource::document;
use slipway::resource::{Fault, Rollout, definitions, scaled_job};

use crate::support::vectors;

// KEDA's rules

#[test]
fn triggers_are_refused_by_kedas_rules_as_in_the_vectors() {
    for row in vectors::rows("validate_triggers", "cases") {
        let triggers = row["triggers"].as_array().expect("triggers is a list");
        let faults = scaled_job::check_triggers(triggers);
        let message = faults.first().map(|fault| fault.message.as_str());
        assert_eq!(message, row["expect"]["error"].as_str(), "{row}");
    }
}

#[test]
fn the_pause_annotation_is_read_as_in_the_vectors() {
    let file = vectors::load("paused_annotation");
    let annotation = file["annotation"].as_str().expect("annotation is text");
    for row in vectors::rows("paused_annotation", "cases") {
        for api in [
            scaled_job::SLIPWAY_API_VERSION,
            scaled_job::KEDA_API_VERSION,
        ] {
            let mut object = minimal();
            object["apiVersion"] = json!(api);
            if let Some(value) = row["annotationValue"].as_str() {
                object["metadata"]["annotations"] = json!({annotation: value});
            }
            let parsed = scaled_job::parse(&object).unwrap();
            assert_eq!(Some(parsed.paused), row["paused"].as_bool(), "{row}");
        }
    }
}

/// KEDA's choice between its two fields; but where nothing is written KEDA deletes running Jobs, and Slipway does not.
#[test]
fn the_rollout_is_chosen_as_in_the_vectors_where_one_is_written() {
    for row in vectors::rows("rollout", "strategyResolution") {
        let older = row["rolloutStrategy"].as_str().unwrap();
        let newer = row["rollout.strategy"].as_str().unwrap();
        let mut object = minimal();
        object["spec"]["rolloutStrategy"] = json!(older);
        object["spec"]["rollout"] = json!({"strategy": newer});
        let immediate = matches!(
            scaled_job::parse(&object).unwrap().rollout,
            Rollout::Immediate(_)
        );
        let is_written = !older.is_empty() || !newer.is_empty();
        let expected = is_written && row["effective"] == "immediate";
        assert_eq!(immediate, expected, "{row}");
    }
}

// The parser and the CustomResourceDefinition

fn minimal() -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
        "metadata": {"name": "orders", "namespace": "default"},
        "spec": {
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}},
            "triggers": [{"type": "kafka", "metadata": {"topic": "t"}}],
        },
    })
}

fn schema_of(definition: usize) -> Value {
    let (documents, _) = document::read(definitions::ALL[definition].yaml);
    documents[0]
        .value
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .expect("a definition has a schema")
        .clone()
}

fn texts(result: Result<slipway::resource::ScaledJob, Vec<Fault>>) -> Vec<String> {
    let faults = result.err().unwrap_or_default();
    faults.iter().map(Fault::to_string).collect()
}

/// The object with a value at a JSON pointer whose parents may be missing.
fn with(pointer: &str, value: Value) -> Value {
    put(minimal(), pointer, value)
}

fn put(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut node = &mut object;
    for key in pointer.trim_start_matches('/').split('/') {
        node = match key.parse::<usize>() {
            Ok(index) => &mut node[index],
            Err(_) => &mut node[key],
        };
    }
    *node = value;
    object
}

/// A kind of object, to be held against its definition.
struct Kind {
    /// A valid object in which every list of the schema has an entry.
    object: Value,
    /// The parser's faults.
    faults: fn(&Value) -> Vec<String>,
}

/// Goes through every mapping with named properties, and asks the parser for its own names there.
fn compare(kind: &Kind, schema: &Value, pointer: &str, seen: &mut usize) {
    if let Some(items) = schema.get("items") {
        return compare(kind, items, &format!("{pointer}/0"), seen);
    }
    let is_open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return compare_value(kind, schema, pointer, seen);
    };
    if is_open {
        return;
    }
    let unknown = format!("{pointer}/zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
    let said = (kind.faults)(&put(kind.object.clone(), &unknown, json!(1)));
    let names = said
        .iter()
        .find_map(|text| Some(text.split_once("there is no such field; there are ")?.1));
    let Some(names) = names else {
        panic!("{pointer} takes unknown fields: {said:?}");
    };
    let parsed: BTreeSet<String> = names.split(", ").map(ToOwned::to_owned).collect();
    let written: BTreeSet<String> = properties.keys().cloned().collect();
    assert_eq!(parsed, written, "{pointer}");
    for (name, schema) in properties {
        compare(kind, schema, &format!("{pointer}/{name}"), seen);
    }
}

/// Enums and ranges: what the schema takes is taken, what is next to it is refused.
fn compare_value(kind: &Kind, schema: &Value, pointer: &str, seen: &mut usize) {
    let faults_at = |value: Value| -> Vec<String> {
        let field = pointer
            .trim_start_matches('/')
            .replace('/', ".")
            .replace(".0", "[0]");
        let mut faults = (kind.faults)(&put(kind.object.clone(), pointer, value));
        faults.retain(|fault| fault.starts_with(&format!("{field}: ")));
        faults
    };
    if let Some(words) = schema["enum"].as_array() {
        *seen += words.len();
        let refused = faults_at(json!("zzz"));
        let [refused] = &refused[..] else {
            panic!("{pointer} takes any word: {refused:?}");
        };
        let known = refused.split_once("must be one of ").map(|(_, tail)| tail);
        let known = known.and_then(|tail| Some(tail.split_once(", not ")?.0));
        // The types of triggers have a message of their own.
        if let Some(known) = known {
            let parsed: BTreeSet<&str> = known.split(", ").collect();
            // An empty text is as good as none.
            let written = words.iter().filter_map(Value::as_str);
            let written = written.filter(|word| !word.is_empty()).collect();
            assert_eq!(parsed, written, "{pointer}");
        }
        for word in words {
            let faults = faults_at(word.clone());
            assert!(faults.is_empty(), "{pointer}: {faults:?}");
        }
    }
    if schema["type"] == "integer" {
        *seen += 1;
        let least = schema["minimum"]
            .as_i64()
            .unwrap_or_else(|| i32::MIN.into());
        let most = schema["maximum"]
            .as_i64()
            .unwrap_or_else(|| i32::MAX.into());
        for (value, faults) in [(least, 0), (least - 1, 1), (most, 0), (most + 1, 1)] {
            assert_eq!(faults_at(json!(value)).len(), faults, "{pointer}: {value}");
        }
        assert_eq!(faults_at(json!("1")).len(), 1, "{pointer}");
    }
}

#[test]
fn the_parser_and_the_definition_know_the_same_fields_words_and_ranges() {
    let mut seen = 0;
    let kind = Kind {
        object: minimal(),
        faults: |object| texts(scaled_job::parse(object)),
    };
    compare(&kind, &schema_of(0), "/spec", &mut seen);
    assert!(seen > 20, "only {seen} words and ranges were compared");
}

// slipway check

async fn run(files: Vec<PathBuf>, strict: bool, output: OutputFormat) -> (String, bool) {
    let mut out = Vec::new();
    let args = Args {
        files: files.into(),
        strict,
        output,
    };
    let code = check::run(&args, &mut out).await.unwrap();
    // An exit code has no other way to be looked at.
    let succeeded = format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS);
    (String::from_utf8(out).unwrap(), succeeded)
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The manifests of a folder, without those of the folders in it.
fn manifests_in(folder: &Path) -> Vec<PathBuf> {
    let files = manifest::files_of(folder).unwrap().into_iter();
    files.filter(|file| file.parent() == Some(folder)).collect()
}

const FAULTY: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: ScaledJob
metadata: {name: orders}
spec:
  pollingInterval: 2
  minReplicas: 1
  jobTargetRef:
    ttlSecondsAfterFinished: 60
    template:
      spec: {restartPolicy: Never, containers: [{name: main, image: x}]}
  triggers:
  - type: aws-sqs-queue
    metadata: {queueURL: q, awsRegion: eu-west-1, queueLength: 10, identityOwner: operator}
";

#[tokio::test]
async fn every_fault_is_printed_with_its_place_and_warnings_fail_only_when_strict() {
    let folder = std::env::temp_dir().join(format!("slipway-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("orders.yaml");
    let name = file.display();

    std::fs::write(&file, FAULTY).unwrap();
    let (text, succeeded) = run(vec![file.clone()], false, OutputFormat::Text).await;
    assert!(!succeeded);
    assert_eq!(
        text,
        format!(
            "{name}:6:3: ScaledJob default/orders: spec.minReplicas: there is no such field; did you mean minReplicaCount?\n\
             {name}:13:51: ScaledJob default/orders: spec.triggers[0].metadata.queueLength: must be text, not a number: put it in quotes\n\
             1 object: 2 faults, 0 warnings\n"
        )
    );

    let valid = FAULTY
        .replace("  minReplicas: 1\n", "")
        .replace("queueLength: 10", "queueLength: '10'");
    std::fs::write(&file, valid).unwrap();
    let (text, succeeded) = run(vec![folder.clone()], false, OutputFormat::Text).await;
    assert!(succeeded, "{text}");
    assert!(text.starts_with(&format!(
        "{name}:5:3: warning: ScaledJob default/orders: spec.pollingInterval: is 2 s, and SQS counts are estimates"
    )));
    assert!(!run(vec![folder.clone()], true, OutputFormat::Text).await.1);

    let (text, _) = run(vec![file.clone()], false, OutputFormat::Json).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["objects"], 1);
    assert_eq!(answer["faults"], json!([]));
    let warning = &answer["warnings"][0];
    assert_eq!(warning["field"], "spec.pollingInterval");
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&json!(5), &json!(3))
    );
    assert_eq!(warning["name"], "orders");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_reference_that_is_not_in_the_files_is_a_note() {
    let text = FAULTY
        .replace("  minReplicas: 1\n", "")
        .replace(
            "queueLength: 10, identityOwner: operator}",
            "queueLength: '10'}\n    authenticationRef: {name: auth}",
        )
        .replace("pollingInterval: 2", "pollingInterval: 20");
    let findings = check::check(&Manifests::from_texts([("orders.yaml", text.as_str())])).await;
    assert_eq!((findings.faults.len(), findings.warnings.len()), (0, 0));
    assert_eq!(
        findings.notes[0].to_string(),
        "orders.yaml:13:5: ScaledJob default/orders: spec.triggers[0].authenticationRef: auth is not in these files: this trigger is checked without it"
    );
    let old = "apiVersion: slipway.dev/v1alpha1\nkind: TriggerAuthentication\nmetadata: {name: auth}\nspec: {podIdentity: {provider: aws-eks}}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, annotations: {eks.amazonaws.com/role-arn: arn}}\n";
    let files = [("orders.yaml", text.as_str()), ("auth.yaml", old)];
    let findings = check::check(&Manifests::from_texts(files)).await;
    assert_eq!(findings.notes, []);
    assert_eq!(
        findings.warnings[0].fault.field,
        "spec.podIdentity.provider"
    );
}

// The examples

#[tokio::test]
async fn examples_have_neither_fault_nor_warning_nor_note() {
    for (folder, objects) in [("", 5), ("keda", 5), ("jobs", 5), ("sources", 4)] {
        let (text, succeeded) = run(
            manifests_in(&examples().join(folder)),
            true,
            OutputFormat::Text,
        )
        .await;
        assert!(succeeded, "{text}");
        assert_eq!(text, format!("{objects} objects: 0 faults, 0 warnings\n"));
    }
}

/// The promise of DESIGN §2: a manifest moves by changing its `apiVersion`.
#[tokio::test]
async fn examples_in_both_groups_differ_only_in_their_api_version() {
    let ours = manifest::load(&manifests_in(&examples())).await;
    let kedas = manifest::load(&manifests_in(&examples().join("keda"))).await;
    assert_eq!(ours.entries.len(), kedas.entries.len());
    let mut moved = 0;
    for (ours, kedas) in ours.entries.iter().zip(&kedas.entries) {
        let mut value = kedas.document.value.clone();
        if value["apiVersion"] == scaled_job::KEDA_API_VERSION {
            value["apiVersion"] = json!(scaled_job::SLIPWAY_API_VERSION);
            moved += 1;
        }
        assert_eq!(value, ours.document.value);
    }
    assert_eq!(moved, 4);
}

#[tokio::test]
async fn example_jobs_say_what_runs_in_place_of_their_image() {
    let folders = ["", "jobs", "sources"].map(|folder| manifests_in(&examples().join(folder)));
    let manifests = manifest::load(&folders.concat()).await;
    let mut commands = 0;
    for entry in &manifests.entries {
        if !matches!(entry.document.kind.as_str(), "Job" | "ScaledJob") {
            continue;
        }
        let annotations = &entry.document.value["metadata"]["annotations"];
        let command = annotations["slipway.dev/local-command"].as_str().unwrap();
        let status = tokio::process::Command::new("sh")
            .args(["-n", "-c", command])
            .status()
            .await
            .unwrap();
        assert!(status.success(), "{}: {command}", entry.file);
        commands += 1;
    }
    assert_eq!(commands, 8);
}
