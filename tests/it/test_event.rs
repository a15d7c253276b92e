//! `slipway test-event`: what it prints, and its exit code.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::process::answer;

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
    answer(&[&["test-event"], arguments].concat(), event)
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

/// Arguments, the event, the exit code, and what is printed among others.
type Row<'a> = (Vec<&'a str>, &'a str, i32, &'a str);

fn check(rows: &[Row<'_>]) {
    for (arguments, event, code, says) in rows {
        let (told, text) = test_event(arguments, event);
        assert_eq!(told, Some(*code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
}

#[test]
fn an_event_job_says_yes_or_which_field_says_no_or_what_is_wrong() {
    let jobs = file("answers.yaml", EVENT_JOBS);
    let wrong = EVENT_JOBS.replace("renewed", "exists: 5");
    let wrong = file("wrong.yaml", &wrong);
    let (jobs, wrong) = (jobs.to_str().unwrap(), wrong.to_str().unwrap());
    let good = event(&json!({"state": "renewed", "id": 5}));
    let bare = event(&json!({"state": "renewed"}));
    let other = good.replace("renewed", "x");
    let nameless = good.replace("e1", "");
    let list = format!("[{good},{bare}]");
    let invoices = |file| vec![file, "-", "--name", "invoices"];
    let orders = |header| vec![jobs, "-", "--name", "orders", "--header", header];
    let no_id = "orders: not valid: header webhook-id: is missing";
    check(&[
        (invoices(jobs), &good, 0, "invoices: match, event id \"e1\""),
        (
            invoices(jobs),
            &other,
            1,
            "invoices: no match: detail.state: ",
        ),
        (
            invoices(jobs),
            &bare,
            2,
            "not valid: $.detail.id: is missing",
        ),
        (invoices(jobs), &nameless, 2, "not valid: $.id: is empty"),
        (invoices(jobs), "{", 2, "not valid: body: is not JSON"),
        (invoices(jobs), &list, 2, "invoices: event 1: not valid: "),
        (
            orders("Webhook-Id: w1"),
            &good,
            0,
            "orders: match, event id \"w1\"",
        ),
        (orders("x-other: 1"), &good, 2, no_id),
        (vec![jobs, "-"], &good, 2, no_id),
        (invoices(wrong), &good, 2, "not valid: "),
    ]);
}

#[test]
fn a_pattern_alone_is_told_in_the_words_of_aws() {
    let good = event(&json!({}));
    let pattern = |pattern| vec!["--pattern", pattern, "-"];
    let wrong = r#"Event pattern is not valid. Reason: "source" must be an object or an array"#;
    check(&[
        (pattern(r#"{"source":["billing"]}"#), &good, 0, "# match\n"),
        (
            pattern(r#"{"source":["x"]}"#),
            &good,
            1,
            "# no match: source: ",
        ),
        (pattern(r#"{"source":"x"}"#), &good, 2, wrong),
        (
            pattern(r#"{"source":["x"]}"#),
            "x",
            2,
            "not valid: body: is not JSON",
        ),
    ]);
}

#[test]
fn what_cannot_be_read_or_understood_is_two_and_never_a_no() {
    let jobs = file("usage.yaml", EVENT_JOBS);
    let jobs = jobs.to_str().unwrap();
    let named = |name| vec![jobs, "-", "--name", name];
    check(&[
        (
            named("no"),
            "1",
            2,
            "FILE: holds no EventJob of the name no",
        ),
        (
            vec!["/nowhere.yaml", "-"],
            "1",
            2,
            "/nowhere.yaml:1:1: cannot be read",
        ),
        (
            vec![jobs, "/nowhere.json"],
            "1",
            2,
            "/nowhere.json: cannot be read",
        ),
        (vec![jobs], "1", 2, ""),
        (vec!["-", "-"], "1", 2, ""),
        (vec!["--pattern", "{}", jobs, "-"], "1", 2, ""),
        (vec![jobs, "-", "--header", "no colon"], "1", 2, ""),
    ]);
}

#[test]
fn a_key_that_comes_twice_on_a_path_in_use_is_two_as_at_the_door() {
    let jobs = file("twice.yaml", EVENT_JOBS);
    let jobs = jobs.to_str().unwrap();
    let named = vec![jobs, "-", "--name", "invoices"];
    let event = |detail: &str| {
        format!(r#"{{"id":"e1","source":"billing","account":"1","region":"r",{detail}}}"#)
    };
    let by_pattern = event(r#""detail":{"state":"renewed","state":"ended","id":"i"}"#);
    let by_binding = event(r#""detail":{"state":"renewed","id":"i","id":"j"}"#);
    let elsewhere = event(r#""detail":{"state":"renewed","id":"i","x":1,"x":2}"#);
    let told = |path: &str| format!("not valid: {path}: is there more than once");
    let (state, id) = (told("$.detail.state"), told("$.detail.id"));
    check(&[
        (named.clone(), &by_pattern, 2, &state),
        (named.clone(), &by_binding, 2, &id),
        (named, &elsewhere, 0, "match"),
        (
            vec!["--pattern", r#"{"detail":{"state":["renewed"]}}"#, "-"],
            &by_pattern,
            2,
            &state,
        ),
    ]);
}
