use serde_json::json;

use super::*;

fn texts(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn spec() -> Value {
    json!({"template": {"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "1"}]}],
    }}})
}

#[test]
fn every_value_of_a_wrong_type_is_told_and_none_is_quoted() {
    let mut spec = spec();
    spec["parallelism"] = json!("many");
    spec["suspend"] = json!("hush");
    spec["ttlSecondsAfterFinished"] = json!(3_000_000_000_i64);
    let container = &mut spec["template"]["spec"]["containers"][0];
    container["command"] = json!("hush");
    container["env"][0]["value"] = json!(5);
    container["resources"] = json!(["hush"]);
    let opinion = check(&spec, "spec", Of::Job);
    assert_eq!(
        texts(&opinion.faults),
        [
            "spec.template.spec.containers[0].env[0].value: must be text, not a number: put it in quotes",
            "spec.template.spec.containers[0].command: must be a list, not text",
            "spec.template.spec.containers[0].resources: must be a mapping, not a list",
            "spec.parallelism: must be a whole number, not text",
            "spec.suspend: must be true or false, not text",
            "spec.ttlSecondsAfterFinished: must be a whole number, and not as large as this",
        ]
    );
    assert_eq!(opinion.warnings, []);
}

#[test]
fn fields_that_would_be_dropped_are_told_at_every_level() {
    let mut spec = spec();
    spec["compeltions"] = json!(3);
    spec["newerThanUs"] = json!({"a": 1});
    spec["template"]["spec"]["restartpolicy"] = json!("Never");
    spec["template"]["spec"]["containers"][0]["comand"] = json!(["true"]);
    let said = "is no field of a Job that Kubernetes 1.33 knows: an API server that does not know it drops it in silence";
    assert_eq!(
        texts(&check(&spec, "spec.jobTargetRef", Of::ScaledJob).warnings),
        [
            format!(
                "spec.jobTargetRef.template.spec.containers[0].comand: {said}; did you mean command?"
            ),
            format!(
                "spec.jobTargetRef.template.spec.restartpolicy: {said}; did you mean restartPolicy?"
            ),
            format!("spec.jobTargetRef.compeltions: {said}; did you mean completions?"),
            format!("spec.jobTargetRef.newerThanUs: {said}"),
        ]
    );
}

#[test]
fn a_good_spec_passes_without_a_word() {
    let mut spec = spec();
    spec["completions"] = json!(4);
    spec["completionMode"] = json!("Indexed");
    spec["backoffLimitPerIndex"] = json!(1);
    spec["podFailurePolicy"] = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
    let pod = &mut spec["template"]["spec"];
    pod["containers"][0]["resources"] = json!({"limits": {"cpu": 1, "memory": "1Gi"}});
    pod["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    pod["tolerations"] = Value::Null;
    for of in [Of::Job, Of::ScaledJob] {
        assert_eq!(check(&spec, "spec", of), Opinion::default());
    }
}

#[test]
fn what_the_api_server_refuses_is_refused() {
    type Case = (&'static str, Value, &'static str);
    let cases: [Case; 12] = [
        (
            "/parallelism",
            json!(-1),
            "spec.parallelism: must be 0 or more, not -1",
        ),
        (
            "/completionMode",
            json!("indexed"),
            "spec.completionMode: must be Indexed or NonIndexed",
        ),
        (
            "/managedBy",
            json!("me"),
            "spec.managedBy: must be a domain and a path such as example.com/controller, at most 63 characters",
        ),
        (
            "/maxFailedIndexes",
            json!(1),
            "spec.maxFailedIndexes: needs completionMode: Indexed",
        ),
        (
            "/selector",
            json!({"matchLabels": {"a": "b"}}),
            "spec.selector: must be left out: the API server makes one for each Job",
        ),
        (
            "/template/spec/containers",
            json!([]),
            "spec.template.spec.containers: must hold at least one container",
        ),
        (
            "/template/spec/containers/0/name",
            json!("Main"),
            "spec.template.spec.containers[0].name: must be lower-case letters, digits and dashes, at most 63",
        ),
        (
            "/template/spec/containers/0/name",
            Value::Null,
            "spec.template.spec.containers[0].name: is required",
        ),
        (
            "/template/spec/containers/0/image",
            json!(""),
            "spec.template.spec.containers[0].image: is required",
        ),
        (
            "/template/spec/restartPolicy",
            json!("Always"),
            "spec.template.spec.restartPolicy: must be Never or OnFailure: a Job has no default for it",
        ),
        (
            "/template/spec/initContainers",
            json!([{"name": "main", "image": "x"}]),
            "spec.template.spec.containers[0].name: is the name of another container of this Pod",
        ),
        (
            "/template",
            Value::Null,
            "spec.template.spec.containers: must hold at least one container",
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut spec = spec();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[key] = value;
        let faults = texts(&check(&spec, "spec", Of::Job).faults);
        assert!(
            faults.iter().any(|fault| fault == expected),
            "{pointer}: {faults:?}"
        );
    }
}
