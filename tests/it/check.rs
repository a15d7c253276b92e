//! What people write: the parser beside KEDA's rules and beside our own
//! CustomResourceDefinitions, `slipway check`, the examples, and the real API
//! server's opinion of all of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::ApiResource;
use kube::{Client, Config};
use serde_json::{Value, json};
use slipway::cli::check::{self, Args, Output};
use slipway::manifest::{self, Manifests};
use slipway::resource::document::{self, Document};
use slipway::resource::{Fault, Rollout, definitions, scaled_job};

use crate::support::{await_until, servers, vectors};

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
    let mut object = minimal();
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

/// Goes through every mapping with named properties, and asks the parser for its own names there.
fn compare(schema: &Value, pointer: &str, seen: &mut usize) {
    if let Some(items) = schema.get("items") {
        return compare(items, &format!("{pointer}/0"), seen);
    }
    let is_open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return compare_value(schema, pointer, seen);
    };
    if is_open {
        return;
    }
    let probe = with(
        &format!("{pointer}/zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"),
        json!(1),
    );
    let said = texts(scaled_job::parse(&probe));
    let names = said
        .iter()
        .find_map(|text| text.split_once("there is no such field; there are "))
        .map(|(_, names)| names.split(", ").map(ToOwned::to_owned).collect())
        .unwrap_or_else(|| panic!("{pointer} takes unknown fields: {said:?}"));
    let parsed: BTreeSet<String> = names;
    let written: BTreeSet<String> = properties.keys().cloned().collect();
    assert_eq!(parsed, written, "{pointer}");
    for (name, schema) in properties {
        compare(schema, &format!("{pointer}/{name}"), seen);
    }
}

/// Enums and ranges: what the schema takes is taken, what is next to it is refused.
fn compare_value(schema: &Value, pointer: &str, seen: &mut usize) {
    let faults_at = |value: Value| -> Vec<String> {
        let field = pointer
            .trim_start_matches('/')
            .replace('/', ".")
            .replace(".0", "[0]");
        let mut faults = texts(scaled_job::parse(&with(pointer, value)));
        faults.retain(|fault| fault.starts_with(&format!("{field}: ")));
        faults
    };
    for word in schema["enum"].as_array().into_iter().flatten() {
        *seen += 1;
        let faults = faults_at(word.clone());
        let is_planned = faults
            .iter()
            .all(|fault| fault.ends_with("not supported by this version"));
        assert!(is_planned, "{pointer}: {faults:?}");
    }
    if !schema["enum"].is_null() {
        assert_eq!(faults_at(json!("zzz")).len(), 1, "{pointer}");
    }
    if schema["type"] == "integer" {
        *seen += 1;
        let least = schema["minimum"]
            .as_i64()
            .unwrap_or_else(|| i32::MIN.into());
        for (value, faults) in [
            (least, 0),
            (least - 1, 1),
            (i32::MAX.into(), 0),
            (i64::from(i32::MAX) + 1, 1),
        ] {
            assert_eq!(faults_at(json!(value)).len(), faults, "{pointer}: {value}");
        }
        assert_eq!(faults_at(json!("1")).len(), 1, "{pointer}");
    }
}

#[test]
fn the_parser_and_the_definition_know_the_same_fields_words_and_ranges() {
    let mut seen = 0;
    compare(&schema_of(0), "/spec", &mut seen);
    assert!(seen > 20, "only {seen} words and ranges were compared");
}

// slipway check

async fn run(files: Vec<PathBuf>, strict: bool, output: Output) -> (String, bool) {
    let mut out = Vec::new();
    let args = Args {
        files,
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
    metadata: {queueURL: q, awsRegion: r, queueLength: 10}
";

#[tokio::test]
async fn every_fault_is_printed_with_its_place_and_warnings_fail_only_when_strict() {
    let folder = std::env::temp_dir().join(format!("slipway-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("orders.yaml");
    let name = file.display();

    std::fs::write(&file, FAULTY).unwrap();
    let (text, succeeded) = run(vec![file.clone()], false, Output::Text).await;
    assert!(!succeeded);
    assert_eq!(
        text,
        format!(
            "{name}:6:3: ScaledJob default/orders: spec.minReplicas: there is no such field; did you mean minReplicaCount?\n\
             {name}:13:43: ScaledJob default/orders: spec.triggers[0].metadata.queueLength: must be text, not a number: put it in quotes\n\
             1 object: 2 faults, 0 warnings\n"
        )
    );

    let valid = FAULTY
        .replace("  minReplicas: 1\n", "")
        .replace("queueLength: 10", "queueLength: '10'");
    std::fs::write(&file, valid).unwrap();
    let (text, succeeded) = run(vec![folder.clone()], false, Output::Text).await;
    assert!(succeeded, "{text}");
    assert!(text.starts_with(&format!(
        "{name}:5:3: warning: ScaledJob default/orders: spec.pollingInterval: is 2 s, and SQS counts are estimates"
    )));
    assert!(!run(vec![folder.clone()], true, Output::Text).await.1);

    let (text, _) = run(vec![file.clone()], false, Output::Json).await;
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
            "queueLength: 10}",
            "queueLength: '10'}\n    authenticationRef: {name: auth}",
        )
        .replace("pollingInterval: 2", "pollingInterval: 20");
    let findings = check::check(&Manifests::from_texts([("orders.yaml", text.as_str())])).await;
    assert_eq!((findings.faults.len(), findings.warnings.len()), (0, 0));
    assert_eq!(
        findings.notes[0].to_string(),
        "orders.yaml:13:5: ScaledJob default/orders: spec.triggers[0].authenticationRef: auth is not in these files: this trigger is checked without it"
    );
    let old = "apiVersion: slipway.dev/v1alpha1\nkind: TriggerAuthentication\nmetadata: {name: auth}\nspec: {podIdentity: {provider: aws-eks}}\n";
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
    for (folder, objects) in [("", 5), ("keda", 5), ("jobs", 4)] {
        let (text, succeeded) = run(vec![examples().join(folder)], true, Output::Text).await;
        assert!(succeeded, "{text}");
        assert_eq!(text, format!("{objects} objects: 0 faults, 0 warnings\n"));
    }
}

/// The promise of DESIGN §2: a manifest moves by changing its `apiVersion`.
#[tokio::test]
async fn examples_in_both_groups_differ_only_in_their_api_version() {
    let ours = manifest::load(&[examples()]).await;
    let kedas = manifest::load(&[examples().join("keda")]).await;
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
    let manifests = manifest::load(&[examples(), examples().join("jobs")]).await;
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
    assert_eq!(commands, 5);
}

// The real API server

async fn cluster() -> Client {
    let kubeconfig = Kubeconfig::read_from(servers::kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    config.read_timeout = Some(Duration::from_secs(20));
    let client = Client::try_from(config).unwrap();
    apply_definitions(&client).await;
    client
}

/// Server-side apply, so that tests that run at the same time do not disturb each other.
async fn apply_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let parameters = PatchParams::apply("slipway-tests")
        .force()
        .validation_strict();
    for definition in definitions::ALL {
        let (documents, _) = document::read(definition.yaml);
        let patch = Patch::Apply(&documents[0].value);
        api.patch(definition.name, &parameters, &patch)
            .await
            .unwrap();
        let what = format!("{} is established", definition.name);
        await_until(&what, Duration::from_secs(20), async || {
            let found = api.get(definition.name).await.ok()?;
            let conditions = found.status?.conditions?;
            let is = |kind: &str| {
                conditions
                    .iter()
                    .any(|condition| condition.type_ == kind && condition.status == "True")
            };
            assert!(!is("NonStructuralSchema"), "{conditions:?}");
            is("Established").then_some(())
        })
        .await;
    }
}

/// What the API server says to `kubectl apply --dry-run=server --validate=strict`.
async fn apply(client: &Client, object: &Value) -> Result<DynamicObject, String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let api_version = text("/apiVersion").unwrap();
    let kind = text("/kind").unwrap();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    let api: Api<DynamicObject> = if kind.starts_with("Cluster") {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), "default", &resource)
    };
    let parameters = PatchParams::apply("slipway-tests")
        .dry_run()
        .validation_strict();
    let name = text("/metadata/name").unwrap();
    let answer = await_until("the kind is served", Duration::from_secs(20), async || {
        match api.patch(name, &parameters, &Patch::Apply(object)).await {
            // A new kind is not served in the moment it is established.
            Err(kube::Error::Api(status))
                if status.code == 404 && !status.message.contains("namespaces") =>
            {
                None
            }
            answer => Some(answer),
        }
    })
    .await;
    answer.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_api_server_takes_the_definitions_and_the_examples() {
    let client = cluster().await;
    let manifests =
        manifest::load(&[examples(), examples().join("keda"), examples().join("jobs")]).await;
    let mut applied = 0;
    for Document { value, .. } in manifests.entries.iter().map(|entry| &entry.document) {
        let mut value = value.clone();
        if value["apiVersion"] == scaled_job::KEDA_API_VERSION {
            value["apiVersion"] = json!(scaled_job::SLIPWAY_API_VERSION);
        }
        let answer = apply(&client, &value).await.unwrap();
        // Nothing is defaulted and nothing pruned: GitOps tools see no difference.
        if value["apiVersion"] == scaled_job::SLIPWAY_API_VERSION {
            assert_eq!(answer.data["spec"], value["spec"]);
        }
        applied += 1;
    }
    assert_eq!(applied, 14);
}

#[tokio::test]
async fn the_api_server_refuses_typos_and_contradictions() {
    let client = cluster().await;
    let accepted = apply(&client, &minimal()).await;
    assert!(accepted.is_ok(), "{accepted:?}");
    let named = json!({"type": "kafka", "name": "same", "metadata": {}});
    for (pointer, value, words) in [
        ("/spec/pollInterval", json!(1), "pollInterval"),
        (
            "/spec/triggers/0/authentication",
            json!({}),
            "authentication",
        ),
        (
            "/spec/scalingStrategy",
            json!({"strategy": "acurate"}),
            "Unsupported value",
        ),
        (
            "/spec/pollingInterval",
            json!(0),
            "greater than or equal to 1",
        ),
        ("/spec/triggers", json!([]), "should have at least 1 items"),
        (
            "/spec/triggers",
            json!([named, named]),
            "the names of triggers must be unique",
        ),
        (
            "/spec/triggers/0/type",
            json!("rabbitmq"),
            "Unsupported value",
        ),
        ("/spec/triggers/0/metadata/lagThreshold", json!(5), "string"),
        (
            "/spec/jobTargetRef",
            json!({"parallelism": 1}),
            "template: Required value",
        ),
    ] {
        let object = with(pointer, value);
        let refused = apply(&client, &object).await.expect_err(pointer);
        assert!(refused.contains(words), "{pointer}: {refused}");
        assert!(scaled_job::parse(&object).is_err(), "{pointer}");
    }
}

#[tokio::test]
async fn the_api_server_refuses_pod_identities_that_contradict_themselves() {
    let client = cluster().await;
    for kind in ["TriggerAuthentication", "ClusterTriggerAuthentication"] {
        let object = |identity: Value| {
            json!({
                "apiVersion": "slipway.dev/v1alpha1", "kind": kind, "metadata": {"name": "auth"},
                "spec": {"podIdentity": identity},
            })
        };
        for identity in [
            json!({"provider": "aws"}),
            json!({"provider": "aws", "roleArn": "arn:aws:iam::1:role/r", "externalID": "e"}),
            json!({"provider": "aws", "identityOwner": "workload"}),
            json!({"provider": "aws-eks"}),
            json!({"provider": "none"}),
        ] {
            let answer = apply(&client, &object(identity)).await;
            assert!(answer.is_ok(), "{answer:?}");
        }
        for (identity, words) in [
            (
                json!({"provider": "aws", "roleArn": "r", "identityOwner": "workload"}),
                "give one of them",
            ),
            (
                json!({"provider": "aws", "externalID": "e"}),
                "which is missing",
            ),
            (json!({"provider": "gcp"}), "Unsupported value"),
            (json!({}), "provider: Required value"),
            (json!({"provider": "aws", "rolearn": "r"}), "rolearn"),
        ] {
            let refused = apply(&client, &object(identity)).await.unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
