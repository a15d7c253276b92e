//! `slipway simulate`: every strategy side by side, as a table and a picture.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Folder;
use crate::support::process::answer;

fn scaled_job(name: &str, strategy: &str) -> String {
    format!(
        "apiVersion: slipway.dev/v1alpha1
kind: ScaledJob
metadata: {{name: {name}, namespace: production}}
spec:
  pollingInterval: 30
  maxReplicaCount: 50
  scalingStrategy: {{strategy: {strategy}}}
  jobTargetRef: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: worker, image: worker, command: [work]}}]}}}}}}
  triggers:
  - type: kafka
    metadata: {{bootstrapServers: 'kafka:9092', topic: orders, consumerGroup: {name}, lagThreshold: '1'}}
---
"
    )
}

#[test]
fn four_strategies_stand_side_by_side_and_say_the_same_twice() {
    let folder = Folder::new("four");
    let file = folder.file("orders.yaml", scaled_job("orders", "accurate"));
    let svg = folder.path().join("orders.svg");
    let arguments = [
        "simulate",
        &file,
        "--arrivals",
        "12/m",
        "--for",
        "6h",
        "--job-duration",
        "2m",
        "--svg",
        svg.to_str().unwrap(),
    ];
    let (code, text) = answer(&arguments, "");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("4320 units arrive in 6h0m"), "{text}");
    let row = |strategy: &str| {
        let line = text.lines().find(|line| line.starts_with(strategy));
        line.unwrap_or_else(|| panic!("{strategy}: {text}"))
    };
    for strategy in ["default", "custom", "accurate (its own)", "eager"] {
        row(strategy);
    }
    let picture = std::fs::read_to_string(&svg).unwrap();
    for label in [
        "time (hours)",
        "unfinished (Jobs)",
        "waiting (units of work)",
    ] {
        assert!(picture.contains(label), "{label}");
    }
    assert_eq!(
        picture.matches(r#"class="line""#).count(),
        8,
        "four in each"
    );
    assert_eq!(picture.matches(r#"class="legend""#).count(), 8);
    assert!(picture.matches(r#"class="tick""#).count() > 20);
    assert!(picture.contains("accurate (its own)"));
    let (_, again) = answer(&arguments, "");
    assert_eq!(again, text);
    assert_eq!(std::fs::read_to_string(&svg).unwrap(), picture);
}

#[test]
fn a_backlog_that_was_written_down_is_run_again() {
    let folder = Folder::new("backlog");
    let file = folder.file("orders.yaml", scaled_job("orders", "default"));
    let series = folder.file("monday.csv", "time,units\n0s,0\n1m,40\n10m,0\n20m,0\n");
    let arguments = ["simulate", &file, "--backlog", &series, "-o", "json"];
    let (code, text) = answer(&arguments, "");
    assert_eq!(code, Some(0), "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    let result = &told["results"][0];
    assert_eq!(result["seconds"], 1200.0);
    let own = &result["strategies"][0];
    assert_eq!(
        (
            &own["strategy"],
            &own["isOwn"],
            &own["started"],
            &own["wasted"],
            &own["notTaken"]
        ),
        (
            &"default".into(),
            &true.into(),
            &40.into(),
            &0.into(),
            &0.into()
        )
    );
    // It came at second 60, with a poll; a Job starts after five.
    assert_eq!(own["longestWaitSeconds"], 5.0);
}

#[test]
fn a_day_of_a_hundred_triggers_takes_little_time() {
    let folder = Folder::new("hundred");
    let mut text = String::new();
    for number in 0..100 {
        write!(
            text,
            "{}",
            scaled_job(&format!("orders-{number}"), "default")
        )
        .unwrap();
    }
    let file = folder.file("all.yaml", text);
    let started = Instant::now();
    let (code, text) = answer(
        &[
            "simulate",
            &file,
            "--arrivals",
            "10/m",
            "--for",
            "24h",
            "-o",
            "json",
        ],
        "",
    );
    let took = started.elapsed();
    assert_eq!(code, Some(0), "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["results"].as_array().unwrap().len(), 100);
    // Not optimised, and beside other tests.
    assert!(took < Duration::from_mins(1), "{took:?}");
}

#[test]
fn wrong_usage_says_what_would_be_right() {
    let folder = Folder::new("wrong");
    let file = folder.file("orders.yaml", scaled_job("orders", "default"));
    let series = folder.file("bad.csv", "1\nmany\n");
    let code = |arguments: &[&str]| answer(&[&["simulate"], arguments].concat(), "");
    for wrong in [
        &[&*file][..],
        &[&file, "--arrivals", "10"],
        &[&file, "--arrivals", "-1/s"],
        &[&file, "--arrivals", "1/s", "--backlog", &series],
        &[&file, "--arrivals", "1/s", "--name", "nobody"],
    ] {
        assert_eq!(code(wrong).0, Some(2), "{wrong:?}");
    }
    let (code, text) = code(&[&file, "--backlog", &series]);
    assert_eq!(code, Some(1));
    assert!(text.contains("line 2"), "{text}");
}

#[test]
fn what_says_who_slipway_is_to_a_source_may_be_elsewhere() {
    let folder = Folder::new("elsewhere");
    let objects = [
        "sasl: scram_sha512",
        "sasl: oauthbearer, saslTokenProvider: aws_msk_iam, awsRegion: eu-west-1",
    ]
    .iter()
    .enumerate()
    .map(|(index, sasl)| {
        let kafka = scaled_job(&format!("orders-{index}"), "default");
        let sasl = format!("lagThreshold: '1', {sasl}}}\n    authenticationRef: {{name: kafka}}");
        kafka.replace("lagThreshold: '1'}", &sasl)
    });
    let sqs = scaled_job("mails", "default").replace("type: kafka", "type: aws-sqs-queue");
    let (head, _) = sqs.split_once("    metadata: {bootstrapServers").unwrap();
    let sqs = format!(
        "{head}    metadata: {{queueURL: 'https://sqs.eu-west-1.amazonaws.com/1/mails', queueLength: '7'}}\n    authenticationRef: {{name: aws}}\n"
    );
    let file = folder.file("all.yaml", objects.collect::<String>() + &sqs);
    let arguments = ["simulate", &file, "--arrivals", "12/m", "--for", "1h"];
    let (code, text) = answer(&arguments, "");
    assert_eq!(code, Some(0), "{text}");
    let notes: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("note: "))
        .collect();
    assert_eq!(notes.len(), 3, "{text}");
    for part in [
        "ScaledJob production/orders-0",
        "TriggerAuthentication production/kafka does not exist",
        "no source is read",
    ] {
        assert!(notes[0].contains(part), "{part}: {}", notes[0]);
    }
    assert!(text.contains("7 units wanted per Job"), "{text}");
    let (_, told) = answer(&[&arguments[..], &["-o", "json"]].concat(), "");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (
            told["notes"].as_array().unwrap().len(),
            told["faults"].clone()
        ),
        (3, serde_json::json!([]))
    );
    assert_eq!(told["results"].as_array().unwrap().len(), 3);
    // What is wrong beside it is refused as before.
    let wrong = std::fs::read_to_string(&file)
        .unwrap()
        .replace("queueLength: '7'", "queueLength: many");
    let wrong = folder.file("wrong.yaml", wrong);
    let (code, text) = answer(&["simulate", &wrong, "--arrivals", "12/m"], "");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("queueLength"), "{text}");
}
