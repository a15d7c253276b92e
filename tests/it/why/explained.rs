//! `slipway explain`: on a state folder of `slipway local`, and on a cluster with nothing but a kubeconfig.

use std::time::Duration;

use serde_json::{Value, json};

use super::Folder;
use crate::controller::{scaled_job, slipway, with_keys};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::local::SlipwayLocal;
use crate::support::process::answer;
use crate::support::queue::Queue;
use crate::support::servers;

const HELLO: &str = "
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: hello, namespace: production}
spec:
  source: {webhook: {format: JSON, auth: [{none: {}}]}}
  idFrom: [{path: $.id}]
  pattern: {kind: [greeting]}
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: hello, image: hello, command: [sh, -c, 'echo hello']}]
";

#[test]
fn every_word_for_what_is_in_the_way_is_in_the_document() {
    let page = include_str!("../../../docs/why.md");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explain");
    let word = regex_lite::Regex::new(r#"word: "(\w+)"|(?m)^ {12}"([A-Z]\w+)",$"#).unwrap();
    let mut found = 0;
    for file in ["causes.rs", "event_job.rs", "way.rs", "way/job.rs"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for captures in word.captures_iter(&text) {
            let word = captures.get(1).or(captures.get(2)).unwrap().as_str();
            // Of a column.
            if word == "Jobs" {
                continue;
            }
            found += 1;
            assert!(page.contains(&format!("`{word}`")), "{word}");
        }
    }
    assert!(found > 25, "{found}");
}

/// The words of what is in the way.
fn words(told: &Value) -> Vec<&str> {
    let causes = told["causes"].as_array().unwrap();
    causes
        .iter()
        .map(|cause| cause["reason"].as_str().unwrap())
        .collect()
}

/// Posts an event until it is taken: right after the start it may be 503. What was answered.
async fn deliver(local: &SlipwayLocal, name: &str, event: &Value) -> Value {
    await_until("it is taken", Duration::from_mins(1), async || {
        let answered = post(local, name, event).await;
        answered.filter(|answer| answer["jobName"].is_string())
    })
    .await
}

async fn post(local: &SlipwayLocal, name: &str, body: &Value) -> Option<Value> {
    let url = format!("http://{}/events/production/{name}", local.http());
    let answer = tokio::process::Command::new("curl")
        .args([
            "-s",
            "-X",
            "POST",
            "-H",
            "content-type: application/json",
            "-d",
        ])
        .arg(body.to_string())
        .arg(&url)
        .output()
        .await
        .unwrap();
    serde_json::from_slice(&answer.stdout).ok()
}

#[tokio::test]
async fn a_state_folder_tells_the_way_of_an_event() {
    let folder = Folder::new("local");
    let file = folder.file("hello.yaml", HELLO);
    let local = SlipwayLocal::start("why-local", &[file.into()]);
    let event = json!({"id": "evt-1", "kind": "greeting"});
    let heard = deliver(&local, "hello", &event).await;
    let job = heard["jobName"].as_str().unwrap().to_owned();
    post(&local, "hello", &json!({"id": "evt-2", "kind": "insult"}))
        .await
        .unwrap();
    let state = local.state();
    let state = state.to_str().unwrap();
    let explain = |what: &str| {
        let arguments = ["explain", what, "-n", "production", "--state", state];
        let (_, text) = answer(&[&arguments[..], &["-o", "json"]].concat(), "");
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    let told = await_until(
        "the Job has succeeded",
        Duration::from_mins(1),
        async || {
            let told = explain("event/evt-1");
            let summary = told["summary"].as_str().unwrap_or_default();
            summary.contains("succeeded").then_some(told)
        },
    )
    .await;
    let way = told["way"].as_array().unwrap();
    let steps: Vec<&str> = way
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps[0], "the request came", "{steps:?}");
    // The Job may be there before its answer is written down.
    let is_answered = |step: &&str| step.starts_with("it was answered with 200, Created");
    assert!(steps[1..3].iter().any(is_answered), "{steps:?}");
    assert!(steps.iter().any(|step| step.contains("ran")), "{steps:?}");
    assert_eq!(*steps.last().unwrap(), format!("job {job} succeeded"));
    let mut waits = way.iter().filter_map(|step| step["waitedSeconds"].as_f64());
    assert!(waits.next().is_some_and(|first| first < 10.0), "{way:?}");
    let of_job = explain(&format!("job/{job}"));
    assert_eq!(of_job["way"].as_array().unwrap().len(), way.len());
    assert_eq!(words(&explain("event/evt-2")), ["Filtered"]);
    let (code, _) = answer(
        &[
            "explain",
            "event/evt-3",
            "-n",
            "production",
            "--state",
            state,
        ],
        "",
    );
    assert_eq!(code, Some(1), "nobody knows of it");
    let of_object = explain("eventjob/hello");
    let records = of_object["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{of_object:#}");
    // The namespace is that of the records, when nobody names one.
    for what in ["event/evt-1", &format!("job/{job}")] {
        let (code, text) = answer(&["explain", what, "--state", state], "");
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(&format!("job {job} succeeded")), "{text}");
    }
    let nowhere = format!("{state}/nowhere");
    let told = answer(&["explain", "event/evt-1", "--state", &nowhere], "");
    assert_eq!(told, (Some(1), String::new()), "there is no such folder");
    // In words, with a command.
    let (code, text) = answer(
        &[
            "explain",
            "event/evt-2",
            "-n",
            "production",
            "--state",
            state,
        ],
        "",
    );
    assert_eq!(code, Some(0));
    for part in [
        "event evt-2: it has no Job: Filtered",
        "next: ",
        "try:  slipway test-event",
        "from: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

const ONE_AT_A_TIME: &str = "
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: slow, namespace: production}
spec:
  source: {webhook: {format: JSON, auth: [{none: {}}]}}
  idFrom: [{path: $.id}]
  concurrencyPolicy: Queue
  concurrency: {limit: 1}
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: slow, image: slow, command: [sh, -c, 'while [ ! -e GO ]; do sleep 0.1; done']}]
";

#[tokio::test]
async fn a_job_that_waits_for_its_turn_is_told_and_then_how_long_it_waited() {
    let folder = Folder::new("turn");
    let go = folder.path().join("go");
    let text = ONE_AT_A_TIME.replace("GO", go.to_str().unwrap());
    let file = folder.file("slow.yaml", text);
    let local = SlipwayLocal::start("why-turn", &[file.into()]);
    for id in ["first", "second"] {
        deliver(&local, "slow", &json!({ "id": id })).await;
    }
    let state = local.state();
    let state = state.to_str().unwrap();
    let explain = || {
        let arguments = ["explain", "event/second", "-n", "production", "--state"];
        let (_, text) = answer(&[&arguments[..], &[state, "-o", "json"]].concat(), "");
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    assert_eq!(words(&explain()), ["WaitingForTurn"], "{:#}", explain());
    // Whoever waits on this file ends; the next one has its turn.
    std::fs::write(&go, "").unwrap();
    let told = await_until("it has succeeded", Duration::from_mins(1), async || {
        let told = explain();
        let summary = told["summary"].as_str().unwrap_or_default();
        summary.contains("succeeded").then_some(told)
    })
    .await;
    let way = told["way"].as_array().unwrap();
    let turn = way.iter().find(|step| step["step"] == "its turn came");
    let waited = turn.map(|step| step["waitedFor"].as_str().unwrap());
    assert_eq!(waited, Some("for its turn (concurrencyPolicy)"), "{told:#}");
}

/// Explains a ScaledJob by the API server alone until this word is among what is in the way.
async fn until_told(cluster: &Cluster, what: &str, word: &str) -> Value {
    let kubeconfig = servers::kubeconfig();
    await_until(
        &format!("{what} is told as {word}"),
        Duration::from_mins(1),
        async || {
            let (_, text) = answer(
                &[
                    "explain",
                    what,
                    "-n",
                    &cluster.namespace,
                    "--kubeconfig",
                    &kubeconfig,
                    "-o",
                    "json",
                ],
                "",
            );
            let told: Value = serde_json::from_str(&text).ok()?;
            words(&told).contains(&word).then_some(told)
        },
    )
    .await
}

#[tokio::test]
async fn a_kubeconfig_is_enough_for_every_state() {
    let cluster = Cluster::new("why").await;
    with_keys(&cluster, "slipway.dev").await;
    let queue = Queue::new("why").await;
    queue.send(50).await;
    let running = slipway(&cluster).await;
    let nowhere = json!({"spec": {"triggers": [{
        "type": "aws-sqs-queue",
        "metadata": {"queueURL": "http://127.0.0.1:1/queue/none", "awsRegion": "eu-west-1", "awsEndpoint": "http://127.0.0.1:1"},
        "authenticationRef": {"name": "aws"},
    }]}});
    let without_secret = json!({"spec": {"triggers": [{
        "type": "aws-sqs-queue",
        "metadata": {"queueURL": queue.url, "awsRegion": "eu-west-1", "awsEndpoint": servers::sqs_endpoint()},
        "authenticationRef": {"name": "keyless"},
    }]}});
    cluster
        .create(json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": "keyless"},
            "spec": {"secretTargetRef": [{"parameter": "awsAccessKeyID", "name": "nowhere", "key": "id"}]}
        }))
        .await;
    let suspended = json!({"spec": {"maxReplicaCount": 2, "jobTargetRef": {"suspend": true}}});
    let refused =
        json!({"spec": {"jobTargetRef": {"template": {"spec": {"restartPolicy": "Always"}}}}});
    let paused = json!({"metadata": {"annotations": {"slipway.dev/paused": "true"}}});
    for (name, changes) in [
        ("unread", &nowhere),
        ("keyless", &without_secret),
        ("capped", &suspended),
        ("refused", &refused),
        ("paused", &paused),
    ] {
        cluster.create(scaled_job(name, &queue.url, changes)).await;
    }
    let told = until_told(&cluster, "scaledjob/unread", "SourceUnread").await;
    assert!(
        told["causes"][0]["cause"]
            .as_str()
            .unwrap()
            .contains("1 of 1 triggers")
    );
    let told = until_told(&cluster, "scaledjob/keyless", "SecretMissing").await;
    let command = told["causes"][0]["command"].as_str().unwrap();
    assert!(command.ends_with("get secret nowhere"), "{command}");
    let told = until_told(&cluster, "scaledjob/capped", "Capped").await;
    assert!(
        told["causes"][0]["cause"]
            .as_str()
            .unwrap()
            .contains("of at most 2")
    );
    let told = until_told(&cluster, "scaledjob/refused", "Refused").await;
    assert!(
        told["causes"][0]["cause"]
            .as_str()
            .unwrap()
            .contains("restartPolicy")
    );
    until_told(&cluster, "scaledjob/paused", "Paused").await;
    until_told(&cluster, "scaledjob/nobody", "NotFound").await;
    let jobs = cluster.jobs_of("capped").await;
    let job = jobs[0].metadata.name.clone().unwrap();
    let told = until_told(&cluster, &format!("job/{job}"), "JobSuspended").await;
    assert!(told["way"][0]["step"].as_str().unwrap().contains(&job));
    // The replica goes, and gives the Lease up.
    running.signal("-TERM");
    let told = until_told(&cluster, "scaledjob/capped", "NoLeader").await;
    assert!(!words(&told).contains(&"NotYet"));
    cluster.remove().await;
}
