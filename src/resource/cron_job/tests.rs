use serde_json::{Value, json};

use super::*;
use crate::resource::traps;

fn written(spec: &Value) -> Value {
    let mut written = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {
            "name": "nightly", "namespace": "production", "labels": {"app": "x"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "a"},
        },
        "spec": {
            "schedule": "30 2 * * *",
            "jobTemplate": {
                "metadata": {"name": "n", "labels": {"app": "x"}},
                "spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
                }}},
            },
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        written["spec"][key] = value.clone();
    }
    written
}

fn texts(spec: &Value) -> Vec<String> {
    let faults = parse(&written(spec)).err().unwrap_or_default();
    faults.iter().map(Fault::to_string).collect()
}

#[test]
fn what_is_not_written_has_kubernetes_default() {
    let cron_job = parse(&written(&json!({}))).unwrap();
    assert_eq!(cron_job.id, ObjectId::new("production", "nightly"));
    assert_eq!(cron_job.concurrency_policy, CronJobPolicy::Allow);
    assert_eq!(
        (cron_job.history.successful, cron_job.history.failed),
        (3, 1)
    );
    assert_eq!(cron_job.starting_deadline, None);
    assert!(!cron_job.suspend);
}

#[test]
fn what_the_api_server_refuses_is_a_fault_and_a_trap_is_none() {
    for (spec, wanted) in [
        (
            json!({"schedule": "0 2 * * 7"}),
            "spec.schedule: day of week: \"7\" is not one of 0 to 6: Sunday is 0",
        ),
        (
            json!({"schedule": "TZ=UTC 0 2 * * *"}),
            "spec.schedule: names a time zone itself",
        ),
        (json!({"schedule": null}), "spec.schedule: is required"),
        (
            json!({"timeZone": ""}),
            "spec.timeZone: \"\" is not a time zone",
        ),
        (
            json!({"concurrencyPolicy": "Queue"}),
            "spec.concurrencyPolicy: must be one of Allow, Forbid, Replace",
        ),
        (
            json!({"startingDeadlineSeconds": -1}),
            "spec.startingDeadlineSeconds: must be a whole number, 0 or more",
        ),
        (
            json!({"shedule": "x"}),
            "spec.shedule: there is no such field; did you mean schedule?",
        ),
        (
            json!({"jobTemplate": {}}),
            "spec.jobTemplate.spec: is required",
        ),
    ] {
        let said = texts(&spec);
        assert!(
            said.len() == 1 && said[0].starts_with(wanted),
            "{spec}: {said:?}"
        );
    }
    for (spec, warnings, notes) in [
        (json!({}), 0, 0),
        (json!({"startingDeadlineSeconds": 0}), 1, 0),
        (json!({"schedule": "@every 20s"}), 1, 0),
        (json!({"schedule": "0 0 */2 * 1"}), 1, 1),
        (json!({"schedule": "0,5 14 * * *"}), 0, 1),
        (json!({"concurrencyPolicy": "Forbid"}), 1, 0),
    ] {
        let cron_job = parse(&written(&spec)).unwrap();
        assert_eq!(traps::of_cron_job(&cron_job).len(), warnings, "{spec}");
        assert_eq!(traps::notes_of_cron_job(&cron_job).len(), notes, "{spec}");
    }
    let mut long = written(&json!({}));
    long["metadata"]["name"] = json!("n".repeat(53));
    assert!(parse(&long).is_err());
}

#[test]
fn it_becomes_an_event_job_and_each_difference_is_named() {
    let convert = |spec: &Value| {
        let written = written(spec);
        let converted = convert(&parse(&written).unwrap(), &written);
        let read = crate::resource::event_job::parse(&converted.event_job);
        assert!(read.is_ok(), "{read:?}");
        converted
    };
    let whole = convert(&json!({
        "timeZone": "Europe/Berlin", "startingDeadlineSeconds": 300, "concurrencyPolicy": "Forbid", "suspend": true,
    }));
    let event_job = &whole.event_job;
    assert_eq!(
        event_job["metadata"],
        json!({"name": "nightly", "namespace": "production", "labels": {"app": "x"}, "annotations": {"team": "a"}})
    );
    assert_eq!(
        event_job["spec"]["source"],
        json!({"cron": {"schedule": "30 2 * * *", "timeZone": "Europe/Berlin", "startingDeadlineSeconds": 300}})
    );
    assert_eq!(
        event_job["spec"]["jobTemplate"]["metadata"],
        json!({"labels": {"app": "x"}})
    );
    assert_eq!(event_job["spec"]["successfulJobsHistoryLimit"], 3);
    for (at, named) in [
        "gap: Next",
        "fold: First",
        "catchUp: Last",
        "concurrencyPolicy: Forbid",
        "jobTemplate.metadata.name",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            whole.differences[at].starts_with(named),
            "{:#?}",
            whole.differences
        );
    }
    let odd = convert(&json!({"schedule": "@every 20s", "startingDeadlineSeconds": 0}));
    assert_eq!(
        odd.event_job["spec"]["source"]["cron"],
        json!({"schedule": "@every 1m"})
    );
    let named = |words: &str| odd.differences.iter().any(|told| told.contains(words));
    assert!(named("is @every 1m") && named("0 is left out") && named("timeZone: is not written"));
}
