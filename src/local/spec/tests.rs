use serde_json::json;

use super::*;

fn job(spec: &Value) -> Value {
    let mut job = json!({
        "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "command": ["true"]}]}}}
    });
    for (key, value) in spec.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

#[test]
fn what_is_not_written_has_kubernetes_defaults() {
    let spec = JobSpec::parse(&job(&json!({}))).unwrap();
    assert_eq!(
        (spec.rules.completions, spec.rules.parallelism),
        (Some(1), 1)
    );
    assert_eq!(spec.rules.backoff_limit, 6);
    assert_eq!(spec.pod.grace, Duration::from_secs(30));
    let queue = JobSpec::parse(&job(&json!({"parallelism": 3}))).unwrap();
    assert_eq!(queue.rules.completions, None);
}

#[test]
fn what_cannot_be_done_here_is_refused_by_the_name_of_its_field() {
    let containers = |container: Value| json!({"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}});
    let env = |entry: Value| containers(json!({"name": "a", "command": ["x"], "env": [entry]}));
    let cases = [
        (
            json!({"completionMode": "Indexed", "parallelism": 1}),
            "spec.completions",
        ),
        (
            containers(json!({"name": "a", "command": ["x"], "restartPolicy": "Always"})),
            "spec.template.spec.containers[0].restartPolicy",
        ),
        (
            containers(json!({"name": "a", "command": ["x"], "restartPolicyRules": [{}]})),
            "spec.template.spec.containers[0].restartPolicyRules",
        ),
        (json!({"completions": -1}), "spec.completions"),
        (
            containers(json!({"name": "a", "image": "x"})),
            "spec.template.spec.containers[0].command",
        ),
        (
            containers(json!({"name": "../a", "command": ["x"]})),
            "spec.template.spec.containers[0].name",
        ),
        (
            env(json!({"name": "a.b", "value": "x"})),
            "spec.template.spec.containers[0].env[0].name",
        ),
        (
            env(json!({"name": "A", "valueFrom": {}})),
            "spec.template.spec.containers[0].env[0].valueFrom",
        ),
        (
            json!({"template": {"spec": {"restartPolicy": "Always", "containers": []}}}),
            "spec.template.spec.restartPolicy",
        ),
    ];
    for (spec, field) in cases {
        let fault = JobSpec::parse(&job(&spec)).unwrap_err();
        assert_eq!(fault.field, field, "{fault}");
    }
}

#[test]
fn a_job_with_no_command_is_told_of_the_annotation_and_runs_with_it() {
    let mut image = job(&json!({}));
    image["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "a", "image": "x", "args": ["y"]}]);
    let fault = JobSpec::parse(&image).unwrap_err();
    assert!(fault.message.contains(LOCAL_COMMAND_ANNOTATION), "{fault}");
    for place in ["/metadata", "/spec/template/metadata"] {
        let mut job = image.clone();
        job["spec"]["template"]["metadata"] = json!({});
        job.pointer_mut(place).unwrap()["annotations"] =
            json!({LOCAL_COMMAND_ANNOTATION: "echo hello"});
        let spec = JobSpec::parse(&job).unwrap();
        assert_eq!(
            spec.pod.containers[0].command,
            ContainerCommand::Shell("echo hello".to_owned())
        );
    }
}

#[test]
fn an_empty_restart_policy_and_on_failure_are_taken() {
    for policy in [json!(""), json!("OnFailure"), json!(null)] {
        let mut job = job(&json!({}));
        job["spec"]["template"]["spec"]["restartPolicy"] = policy;
        let spec = JobSpec::parse(&job).unwrap();
        assert_eq!(spec.pod.containers[0].restarts, RestartRule::OnFailure);
    }
}

#[test]
fn a_containers_own_restart_policy_goes_before_its_pods() {
    let mut job = job(&json!({}));
    let pod = &mut job["spec"]["template"]["spec"];
    pod["containers"][0]["restartPolicy"] = json!("OnFailure");
    pod["initContainers"] = json!([
        {"name": "proxy", "command": ["x"], "restartPolicy": "Always"},
        {"name": "load", "command": ["x"]},
    ]);
    let pod = JobSpec::parse(&job).unwrap().pod;
    let rules: Vec<_> = pod.all().map(|(one, _)| one.restarts).collect();
    assert_eq!(
        rules,
        [
            RestartRule::Always,
            RestartRule::Never,
            RestartRule::OnFailure
        ]
    );
}

#[test]
fn a_field_that_is_written_and_empty_is_one_that_is_not_written() {
    let mut job = job(&json!({"completions": null, "suspend": null}));
    job["metadata"]["annotations"] = json!(null);
    job["spec"]["template"]["metadata"] = json!(null);
    job["spec"]["template"]["spec"]["initContainers"] = json!(null);
    job["spec"]["template"]["spec"]["containers"][0]["env"] = json!(null);
    assert_eq!(JobSpec::parse(&job).unwrap().rules.completions, Some(1));
}
