//! `slipway test-event`: what it prints, and its exit code.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const EVENT_JOBS: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: invoices, namespace: production}
spec:
  source: {webhook: {auth: [{none: {}}]}}
  pattern: {source: [billing], detail: {state: [renewed]}}
  bind:
    env: [{name: SUBSCRIPTION_ID, path: $.detail.id}]
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: i}]}}}}
---
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: orders, namespace: production}
spec:
  source: {webhook: {format: JSON, auth: [{none: {}}]}}
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: i}]}}}}
";

fn event(detail: &Value) -> String {
    json!({"id": "e1", "source": "billing", "account": "1", "region": "r", "detail": detail})
        .to_string()
}

/// A file of this process's own.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("slipway-test-event-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Exit code and standard output, with the event on standard input.
fn test_event(arguments: &[&str], event: &str) -> (Option<i32>, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .arg("test-event")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Wrong usage ends before it is read.
    drop(process.stdin.take().unwrap().write_all(event.as_bytes()));
    let output = process.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_matching_event_comes_out_as_the_job_it_becomes() {
    let jobs = file("match.yaml", EVENT_JOBS);
    let jobs = jobs.to_str().unwrap();
    let hostile = "yes\n---\nkind: Secret # $(A) \"'";
    let event = event(&json!({"state": "renewed", "id": hostile}));
    let (code, text) = test_event(&[jobs, "-", "--name", "invoices"], &event);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("# EventJob production/invoices: match, event id \"e1\"\n---\napiVersion: batch/v1\nkind: Job\n"), "{text}");
    // What is printed is YAML, and says what the event says.
    let (documents, misread) = slipway::resource::document::read(&text);
    assert!(misread.is_empty());
    assert_eq!(documents.len(), 1);
    let env = &documents[0].value["spec"]["template"]["spec"]["containers"][0]["env"];
    let escaped = hostile.replace("$(", "$$(");
    assert_eq!(env[1], json!({"name": "SUBSCRIPTION_ID", "value": escaped}));

    let (code, text) = test_event(&[jobs, "-", "--name", "invoices", "-o", "json"], &event);
    assert_eq!(code, Some(0));
    let answer: Value = serde_json::from_str(&text).unwrap();
    let result = &answer["results"][0];
    assert_eq!(result["result"], "Match");
    assert_eq!(result["eventId"], "e1");
    assert_eq!(result["job"]["kind"], "Job");
}

#[test]
fn every_answer_has_its_exit_code_and_says_which_field_it_is_about() {
    let jobs = file("answers.yaml", EVENT_JOBS);
    let wrong = file(
        "wrong.yaml",
        &EVENT_JOBS
            .replace("renewed", "exists: 5")
            .replace("Never", "Newer"),
    );
    let (jobs, wrong) = (jobs.to_str().unwrap(), wrong.to_str().unwrap());
    let good = event(&json!({"state": "renewed", "id": 5}));
    let bare = event(&json!({"state": "renewed"}));
    let invoices = |file| vec![file, "-", "--name", "invoices"];
    let orders = |header| vec![jobs, "-", "--name", "orders", "--header", header];
    let pattern = |pattern| vec!["--pattern", pattern, "-"];
    for (arguments, event, code, says) in [
        (invoices(jobs), &good, 0, "invoices: match, event id \"e1\""),
        (
            invoices(jobs),
            &good.replace("renewed", "x"),
            1,
            "invoices: no match: detail.state: ",
        ),
        (
            invoices(jobs),
            &bare,
            2,
            "invoices: not valid: $.detail.id: is missing",
        ),
        (
            invoices(jobs),
            &good.replace("e1", ""),
            2,
            "not valid: $.id: is empty",
        ),
        (
            invoices(jobs),
            &"{".to_owned(),
            2,
            "not valid: body: is not JSON",
        ),
        (
            invoices(jobs),
            &format!("[{good},{bare}]"),
            2,
            "invoices: event 1: not valid: ",
        ),
        (
            orders("Webhook-Id: w1"),
            &good,
            0,
            "orders: match, event id \"w1\"",
        ),
        (
            orders("x-other: 1"),
            &good,
            2,
            "orders: not valid: header webhook-id: is missing",
        ),
        (
            vec![jobs, "-"],
            &good,
            2,
            "orders: not valid: header webhook-id: is missing",
        ),
        (invoices(wrong), &good, 2, "not valid: "),
        (
            vec![jobs, "-", "--name", "no"],
            &good,
            2,
            "# not valid: FILE: holds no EventJob of the name no",
        ),
        (
            vec!["/nowhere.yaml", "-"],
            &good,
            2,
            "# not valid: /nowhere.yaml:1:1: cannot be read",
        ),
        (
            vec![jobs, "/nowhere.json"],
            &good,
            2,
            "# not valid: /nowhere.json: cannot be read",
        ),
        (pattern(r#"{"source":["billing"]}"#), &good, 0, "# match\n"),
        (
            pattern(r#"{"source":["x"]}"#),
            &good,
            1,
            "# no match: source: ",
        ),
        (
            pattern(r#"{"source":"x"}"#),
            &good,
            2,
            r#"Event pattern is not valid. Reason: "source" must be an object or an array"#,
        ),
        (
            pattern(r#"{"source":["x"]}"#),
            &"x".to_owned(),
            2,
            "# not valid: body: is not JSON",
        ),
        // Wrong usage.
        (vec![jobs], &good, 2, ""),
        (vec!["-", "-"], &good, 2, ""),
        (vec!["--pattern", "{}", jobs, "-"], &good, 2, ""),
        (orders("no colon"), &good, 2, ""),
    ] {
        let (told, text) = test_event(&arguments, event);
        assert_eq!(told, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
}
