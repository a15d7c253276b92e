//! `slipway schedule` and `slipway convert`, as people call them.

use serde_json::Value;

use crate::support::process::answer;

const FILE: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: report, namespace: production}
spec:
  source:
    cron:
      schedules: ['30 2 * * *', '0 12 * * 1-5']
      timeZone: Europe/Berlin
      exclude: {dates: [2026-03-30]}
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: production}
spec:
  schedule: 30 2 * * *
  timeZone: Europe/Berlin
  concurrencyPolicy: Forbid
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}}
";

const RANGE: [&str; 4] = [
    "--from",
    "2026-03-28T00:00:00Z",
    "--to",
    "2026-03-31T00:00:00Z",
];

#[test]
fn due_times_jumps_and_what_is_left_out_are_listed() {
    let (code, text) = answer(&[&["schedule", "-"], &RANGE[..]].concat(), FILE);
    assert_eq!(code, Some(0), "{text}");
    insta::assert_snapshot!("schedule_text", text);
    let json = [
        &["schedule", "-", "-o", "json", "--name", "nightly"],
        &RANGE[..],
    ]
    .concat();
    let (code, text) = answer(&json, FILE);
    assert_eq!(code, Some(0), "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let schedules = answer["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 1);
    // A CronJob skips what the clock jumps over.
    assert_eq!(schedules[0]["count"], 2);
    assert_eq!(schedules[0]["next"].as_array().unwrap().len(), 5);
}

#[test]
fn a_range_takes_in_both_of_its_ends_and_days_of_the_schedule_s_own_clock() {
    let count = |from: &str, to: &str| {
        let arguments = [
            "schedule", "-", "-o", "json", "--name", "nightly", "--from", from, "--to", to,
        ];
        let (code, text) = answer(&arguments, FILE);
        assert_eq!(code, Some(0), "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["schedules"][0]["due"].as_array().unwrap().len()
    };
    // 02:30 in Berlin is half past midnight in summer.
    let due = "2026-07-01T00:30:00Z";
    assert_eq!(count(due, due), 1);
    assert_eq!(count("2026-07-01T00:30:01Z", "2026-07-02T00:29:59Z"), 0);
    assert_eq!(count("2026-07-01", "2026-07-01"), 1);
    assert_eq!(count("2026-07-01", "2026-07-03"), 3);
    let backwards = [
        "schedule",
        "-",
        "--from",
        "2026-07-02",
        "--to",
        "2026-07-01",
    ];
    let (code, text) = answer(&backwards, FILE);
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = answer(&["schedule", "-", "--from", "2026-07-02T00:00"], FILE);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn what_holds_no_schedule_or_is_wrong_has_an_exit_code_of_its_own() {
    let (code, _) = answer(
        &["schedule", "-"],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n",
    );
    assert_eq!(code, Some(2));
    let wrong = FILE.replace("30 2 * * *", "30 2 * * 7");
    let (code, text) = answer(&["schedule", "-"], &wrong);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("Sunday is 0"), "{text}");
    let (code, _) = answer(&["schedule", "-", "--to", "2020-01-01T00:00:00Z"], FILE);
    assert_eq!(code, Some(2));
}

#[test]
fn a_cron_job_becomes_an_event_job_that_check_takes() {
    let (code, text) = answer(&["convert", "-"], FILE);
    assert_eq!(code, Some(0), "{text}");
    insta::assert_snapshot!("convert_text", text);
    let (code, said) = answer(&["check", "-"], &text);
    assert_eq!(code, Some(0), "{said}");
    let (code, _) = answer(
        &["convert", "-"],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n",
    );
    assert_eq!(code, Some(2));
}
