//! Every rule of `resource::template`, from both sides, beside a server-side dry run of the same Job:
//! what the one refuses, the other refuses.

use futures::StreamExt as _;
use futures::stream;
use kube::Client;
use serde_json::{Value, json};
use slipway::resource::template::{self, Of};

use crate::support::cluster;

/// Rows merged into a Job's spec where the last `@` says. `+`: taken; `-`: refused.
const ROWS: &str = include_str!("template_corpus/rows.txt");

/// A Job for rows that begin with `@ plain`.
fn plain() -> Value {
    json!({"template": {
        "metadata": {"labels": {"app": "corpus"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]},
    }})
}

/// A Job for rows that begin with `@ indexed`.
fn indexed() -> Value {
    let mut spec = plain();
    spec["completionMode"] = json!("Indexed");
    spec["completions"] = json!(5);
    spec
}

/// RFC 7386, but null stays: the API server has to take it for absent.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

struct Row {
    what: String,
    spec: Value,
    name: String,
    is_right: bool,
}

impl Row {
    fn new(what: &str, spec: Value, is_right: bool) -> Self {
        Self {
            what: what.chars().take(200).collect(),
            spec,
            name: "corpus".to_owned(),
            is_right,
        }
    }
}

fn written() -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut base, mut pointer) = (plain(), "");
    for line in ROWS.lines().filter(|line| !line.is_empty()) {
        let (mark, rest) = line.split_once(' ').unwrap();
        if mark == "@" {
            let (name, place) = rest.split_once(' ').unwrap_or((rest, ""));
            base = if name == "indexed" {
                indexed()
            } else {
                plain()
            };
            pointer = place;
            continue;
        }
        let patch = serde_json::from_str(rest).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut spec = base.clone();
        merge(spec.pointer_mut(pointer).unwrap(), &patch);
        rows.push(Row::new(line, spec, mark == "+"));
    }
    rows
}

/// What is too long to be written out.
fn computed() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |what: &str, base: Value, pointer: &str, patch: Value, is_right: bool| {
        let mut spec = base;
        merge(spec.pointer_mut(pointer).unwrap(), &patch);
        rows.push(Row::new(what, spec, is_right));
    };
    let ignore = json!({"action": "Ignore", "onPodConditions": [{"type": "A"}]});
    let codes = |count: i32| {
        let values: Vec<_> = (1..=count).collect();
        json!({"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": values}}]}})
    };
    let conditions = |count: usize| {
        let conditions = vec![json!({"type": "A"}); count];
        json!({"podFailurePolicy": {"rules": [{"action": "Count", "onPodConditions": conditions}]}})
    };
    for (count, is_right) in [(20, true), (21, false)] {
        let rules = json!({"podFailurePolicy": {"rules": vec![ignore.clone(); count]}});
        add("failure rules", plain(), "", rules, is_right);
        add("conditions", plain(), "", conditions(count), is_right);
        let rules = json!({"successPolicy": {"rules": vec![json!({"succeededCount": 1}); count]}});
        add("success rules", indexed(), "", rules, is_right);
    }
    add("exit codes", plain(), "", codes(255), true);
    add("exit codes", plain(), "", codes(256), false);
    // Every second index: 64 KiB and a little less.
    for (count, is_right) in [(11_500, true), (12_000, false)] {
        let indexes: Vec<_> = (0..count).map(|index| (index * 2).to_string()).collect();
        let policy = json!({
            "completions": 100_000,
            "successPolicy": {"rules": [{"succeededIndexes": indexes.join(",")}]},
        });
        add("indexes", indexed(), "", policy, is_right);
    }
    for (size, is_right) in [(256 * 1024 - 1, true), (256 * 1024, false)] {
        let annotations = json!({"annotations": {"a": "x".repeat(size)}});
        add(
            "annotations",
            plain(),
            "/template/metadata",
            annotations,
            is_right,
        );
    }
    // The names of an Indexed Job's Pods.
    for (name, completions, is_right) in [
        ("a".repeat(61), 10, true),
        ("a".repeat(61), 11, false),
        ("a".repeat(61), 0, true),
        ("a.b".to_owned(), 1, false),
    ] {
        let mut spec = indexed();
        spec["completions"] = json!(completions);
        let mut row = Row::new(&format!("{name} {completions}"), spec, is_right);
        row.name = name;
        rows.push(row);
    }
    rows
}

/// Whether the API server takes the Job; its words when it does not.
async fn dry_run(client: &Client, row: &Row) -> Result<(), String> {
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": row.name, "namespace": "default"},
        "spec": row.spec,
    });
    let request = http::Request::post(
        "/apis/batch/v1/namespaces/default/jobs?dryRun=All&fieldValidation=Strict",
    )
    .header("content-type", "application/json")
    .body(serde_json::to_vec(&job).unwrap())
    .unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => {
            Err(status.message.clone())
        }
        Err(error) => panic!("{}: {error}", row.what),
    }
}

/// Our verdict. Strict validation refuses what we only warn about: fields that are not known.
fn ours(row: &Row) -> Result<(), String> {
    let opinion = template::check_named(&row.spec, "spec", Of::Job, Some(&row.name));
    let said: Vec<_> = opinion.faults.iter().chain(&opinion.warnings).collect();
    if said.is_empty() {
        return Ok(());
    }
    Err(format!("{said:?}"))
}

#[tokio::test]
async fn our_verdict_on_a_job_is_the_api_servers() {
    let client = cluster::client().await;
    let rows: Vec<_> = written().into_iter().chain(computed()).collect();
    let (right, wrong): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_right);
    assert!(right.len() > 80, "only {} are taken", right.len());
    assert!(wrong.len() > 120, "only {} are refused", wrong.len());
    let checked = rows.iter().map(|row| async {
        let (theirs, ours) = (dry_run(&client, row).await, ours(row));
        let agree = theirs.is_ok() == row.is_right && ours.is_ok() == row.is_right;
        (!agree).then(|| format!("{}\n  server: {theirs:?}\n  ours: {ours:?}", row.what))
    });
    let wrong: Vec<_> = stream::iter(checked)
        .buffer_unordered(16)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
