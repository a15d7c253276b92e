//! The Jobs that were measured one by one, as the first rows, and one that chance seldom makes.

use serde_json::{Value, json};

use crate::support::chance::Chance;

use super::Case;
use super::events::Event::{self, Disrupted, Exits, JobDeadline, Restarts, Runs};

#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn cases() -> Vec<Case> {
    let rows: Vec<(&str, Value, Vec<Event>)> = vec![
        ("once", json!({}), exits(&[0])),
        (
            "five-by-three",
            json!({"completions": 5, "parallelism": 3}),
            exits(&[0; 5]),
        ),
        ("queue", json!({"parallelism": 3}), exits(&[0; 3])),
        ("nothing", json!({"completions": 0}), vec![]),
        ("limit-0", json!({"backoffLimit": 0}), exits(&[1])),
        ("limit-1", json!({"backoffLimit": 1}), exits(&[1; 2])),
        ("again", json!({"backoffLimit": 3}), exits(&[1, 0])),
        (
            "fail-job",
            json!({"podFailurePolicy": rule("FailJob", "In", 42)}),
            exits(&[42]),
        ),
        (
            "fail-job-indexed",
            indexed(3, &json!({"podFailurePolicy": rule("FailJob", "In", 42)})),
            vec![Runs(1), Runs(2), Exits(0, vec![42])],
        ),
        (
            "fail-job-side",
            {
                let mut policy = rule("FailJob", "In", 3);
                policy["rules"][0]["onExitCodes"]["containerName"] = json!("side");
                json!({"podFailurePolicy": policy, "template": {"spec": two_containers()}})
            },
            vec![Exits(0, vec![0, 3])],
        ),
        (
            "ignore",
            json!({"backoffLimit": 0, "podFailurePolicy": {"rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}}),
            vec![Disrupted(0), Exits(0, vec![0])],
        ),
        (
            "count",
            json!({"backoffLimit": 0, "podFailurePolicy": rule("Count", "NotIn", 5)}),
            exits(&[1]),
        ),
        (
            "per-index",
            indexed(3, &json!({"backoffLimitPerIndex": 0})),
            vec![Exits(1, vec![1]), Exits(0, vec![0]), Exits(0, vec![0])],
        ),
        (
            "most-failed",
            indexed(
                3,
                &json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1, "parallelism": 2}),
            ),
            exits(&[1; 2]),
        ),
        (
            "fail-index",
            indexed(
                2,
                &json!({"backoffLimitPerIndex": 2, "podFailurePolicy": rule("FailIndex", "In", 7)}),
            ),
            exits(&[7, 0]),
        ),
        (
            "success-index",
            indexed(
                3,
                &json!({"successPolicy": {"rules": [{"succeededIndexes": "0"}]}}),
            ),
            exits(&[0]),
        ),
        (
            "success-count",
            indexed(
                4,
                &json!({"successPolicy": {"rules": [{"succeededIndexes": "1-3", "succeededCount": 2}]}}),
            ),
            vec![Exits(1, vec![0]), Exits(1, vec![0])],
        ),
        (
            "deadline",
            json!({"activeDeadlineSeconds": 600}),
            vec![Runs(0), JobDeadline],
        ),
        (
            "restarts-2",
            in_place(2),
            vec![Restarts(0, 1, false), Restarts(0, 1, false)],
        ),
        ("restarts-1", in_place(2), vec![Restarts(0, 1, false)]),
        ("restarts-0", in_place(0), vec![Restarts(0, 1, false)]),
        (
            "ignored-index",
            indexed(
                2,
                &json!({"backoffLimitPerIndex": 0, "podFailurePolicy": rule("Ignore", "In", 9)}),
            ),
            vec![Exits(0, vec![9]), Exits(1, vec![1]), Exits(0, vec![0])],
        ),
        ("held", json!({"parallelism": 0, "completions": 1}), vec![]),
    ];
    let case = |(name, mut spec, script): (&str, Value, Vec<Event>)| {
        with_template(&mut spec);
        Case {
            name: format!("measured-{name}"),
            spec,
            script: Some(script),
            chance: Chance::new(0),
        }
    };
    rows.into_iter().map(case).collect()
}

/// One container, if nothing is written.
pub(super) fn with_template(spec: &mut Value) {
    if spec["template"].is_null() {
        spec["template"] =
            json!({"spec": {"restartPolicy": "Never", "containers": [container("c")]}});
    }
}

/// The oldest Pod ends, again and again.
fn exits(codes: &[i32]) -> Vec<Event> {
    codes.iter().map(|code| Exits(0, vec![*code])).collect()
}

fn rule(action: &str, operator: &str, value: i32) -> Value {
    json!({"rules": [{"action": action, "onExitCodes": {"operator": operator, "values": [value]}}]})
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "none"})
}

fn two_containers() -> Value {
    json!({"restartPolicy": "Never", "containers": [container("c"), container("side")]})
}

pub(super) fn indexed(completions: u32, more: &Value) -> Value {
    let mut spec = json!({"completions": completions, "parallelism": completions, "completionMode": "Indexed"});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

fn in_place(limit: u32) -> Value {
    json!({"backoffLimit": limit, "template": {"spec": {
        "restartPolicy": "OnFailure", "containers": [container("c")]}}})
}
