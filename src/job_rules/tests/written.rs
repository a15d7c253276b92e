//! What is written becomes rules, and what is remembered is read again.

use super::*;

#[test]
fn what_is_not_written_has_kubernetes_defaults() {
    let plain = rules(&json!({}));
    assert_eq!((plain.completions, plain.parallelism), (Some(1), 1));
    assert_eq!(plain.backoff_limit, 6);
    assert!(!plain.restarts_in_place && !plain.replaces_failed_only);
    assert_eq!(rules(&json!({"parallelism": 3})).completions, None);
    let indexed = rules(&json!({"completionMode": "Indexed"}));
    assert_eq!(indexed.completions, Some(1));
    let per_index =
        rules(&json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1}));
    assert_eq!(per_index.backoff_limit, 2_147_483_647);
    assert!(rules(&json!({"podFailurePolicy": {"rules": []}})).replaces_failed_only);
    assert!(rules(&json!({"podReplacementPolicy": "Failed"})).replaces_failed_only);
    for policy in [json!(""), json!("OnFailure"), json!(null)] {
        let template = json!({"spec": {"restartPolicy": policy}});
        assert!(rules(&json!({"template": template})).restarts_in_place);
    }
}

#[test]
fn a_rule_without_a_meaning_is_refused_by_its_place() {
    let cases = [
        (json!({"completions": -1}), "spec.completions"),
        (
            json!({"completionMode": "Indexed", "parallelism": 2}),
            "spec.completions",
        ),
        (
            json!({"podFailurePolicy": {"rules": [{"action": "Ignore"}]}}),
            "spec.podFailurePolicy.rules[0]",
        ),
        (
            json!({"podFailurePolicy": {"rules": [{"action": "Stop"}]}}),
            "spec.podFailurePolicy.rules[0].action",
        ),
        (
            json!({"successPolicy": {"rules": [{"succeededIndexes": "2-1"}]}}),
            "spec.successPolicy.rules[0].succeededIndexes",
        ),
        (
            json!({"podReplacementPolicy": "Always"}),
            "spec.podReplacementPolicy",
        ),
        (
            json!({"template": {"spec": {"restartPolicy": "Always"}}}),
            "spec.template.spec.restartPolicy",
        ),
    ];
    for (spec, field) in cases {
        let mut job = json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}}});
        for (key, value) in spec.as_object().unwrap() {
            job["spec"][key] = value.clone();
        }
        let fault = JobRules::parse(&job).unwrap_err();
        assert_eq!(fault.field, field, "{}", fault.message);
    }
}

#[test]
fn what_is_written_down_is_remembered() {
    let mut job = World::new(&json!({"suspend": true}));
    assert_eq!(job.conditions.started_at, None);
    job.rules.suspend = false;
    job.settle();
    let policy = json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [9]}}]});
    job.rules.failure_rules = rules(&json!({"podFailurePolicy": policy})).failure_rules;
    let before = job.pods.len();
    job.pods[0].phase = Phase::Failed;
    job.pods[0].exits.push(ContainerExit {
        container: "c".to_owned(),
        is_init: true,
        code: 1,
    });
    job.step();
    assert_eq!(job.pods.len(), before);
    assert_eq!(JobConditions::parse(&job.status()), job.conditions);
    let (ending, since) = job.conditions.finished().unwrap();
    assert_eq!((ending.cause, since), (EndCause::PodFailurePolicy, at(0)));
}
