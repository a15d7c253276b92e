//! The Pods of a Job's way, and objects that other programs run.

use serde_json::{Value, json};

use super::{cause, evidence as evidence_of};
use crate::explain::{Explanation, job, object};
use crate::history::SubjectKind;

/// The steps of job `x`, each with what was waited for before it.
fn steps(told: &Explanation) -> Vec<String> {
    let steps = told.way.iter().map(|step| match &step.waited {
        Some((time, name)) => format!("{} after {} s {name}", step.what, time.as_secs()),
        None => step.what.clone(),
    });
    steps.collect()
}

/// Job `x` with these Pods: a name, seconds after nine when it was created, ran and ended, and its restarts.
fn with_pods(end: &str, pods: &[(&str, [Option<u32>; 3], u32)]) -> Explanation {
    let mut evidence = evidence_of(SubjectKind::EventJob, "");
    let time = |seconds: u32| format!("2026-11-30T09:00:{seconds:02}Z");
    let conditions = match end {
        "" => json!([]),
        end => {
            json!([{"type": end, "status": "True", "reason": "r", "message": "m", "lastTransitionTime": time(50)}])
        }
    };
    evidence.jobs = vec![json!({
        "metadata": {"name": "x", "namespace": "production", "creationTimestamp": time(0)},
        "spec": {},
        "status": {"conditions": conditions},
    })];
    let pod = |(name, [created, ran, ended], restarts): &(&str, [Option<u32>; 3], u32)| {
        let state = match (ran, ended) {
            (None, _) => json!({"waiting": {"reason": "ContainerCreating"}}),
            (Some(ran), None) => json!({"running": {"startedAt": time(*ran)}}),
            (Some(ran), Some(ended)) => {
                json!({"terminated": {"startedAt": time(*ran), "finishedAt": time(*ended)}})
            }
        };
        json!({
            "metadata": {"name": name, "creationTimestamp": time(created.unwrap())},
            "status": {"containerStatuses": [{"state": state, "restartCount": restarts}]},
        })
    };
    evidence.pods = pods.iter().map(pod).collect();
    job("x", &evidence)
}

#[test]
fn the_pause_before_another_pod_is_not_the_work_of_the_first() {
    let pods = [
        ("one", [Some(1), Some(2), Some(12)], 0),
        ("two", [Some(32), Some(33), Some(49)], 0),
    ];
    let told = with_pods("Failed", &pods);
    assert_eq!(
        steps(&told),
        [
            "job x was created",
            "Pod one was created after 1 s for the Job controller to make a Pod",
            "Pod one ran after 1 s for its image and its containers",
            "Pod one ended after 10 s for its work",
            "Pod two was created after 20 s for the Job controller's pause before it makes another Pod",
            "Pod two ran after 1 s for its image and its containers",
            "Pod two ended after 16 s for its work",
            "job x failed, r: m after 1 s for the Job controller to see its end",
        ]
    );
}

#[test]
fn pods_beside_each_other_stand_in_the_order_of_time_and_wait_for_their_own() {
    let pods = [
        ("one", [Some(1), Some(3), Some(20)], 0),
        ("two", [Some(1), Some(2), None], 2),
    ];
    let told = with_pods("", &pods);
    assert_eq!(
        steps(&told),
        [
            "job x was created",
            "Pod one was created after 1 s for the Job controller to make a Pod",
            "Pod two was created",
            "Pod two ran, restarted 2 times after 1 s for its image, its earlier runs and the pauses between them",
            "Pod one ran after 2 s for its image and its containers",
            "Pod one ended after 17 s for its work",
        ]
    );
    assert!(told.summary.starts_with("job x runs"), "{}", told.summary);
}

#[test]
fn a_pod_that_waits_after_one_that_ended_is_what_is_in_the_way() {
    let pods = [
        ("one", [Some(1), Some(2), Some(12)], 0),
        ("two", [Some(32), None, None], 0),
    ];
    let told = with_pods("", &pods);
    assert!(
        told.summary.starts_with("job x has no running Pod yet"),
        "{}",
        told.summary
    );
    cause(&told, "PodPending");
}

fn cron_job(managed: bool, suspended: bool, status: &Value) -> Explanation {
    let mut evidence = evidence_of(SubjectKind::CronJob, "cleanup");
    let annotations = if managed {
        json!({"slipway.dev/managed": "true"})
    } else {
        json!({})
    };
    evidence.object = Some(json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {
            "name": "cleanup", "namespace": "production", "uid": "3", "annotations": annotations,
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": {
            "schedule": "0 * * * *", "suspend": suspended,
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}},
        },
        "status": status,
    }));
    object(&evidence)
}

#[test]
fn what_hands_a_cron_job_over_is_named_as_far_as_it_is_missing() {
    for (managed, suspended, words) in [
        (
            false,
            false,
            "Kubernetes runs it. 2 of 2 things that hand it over to Slipway are missing: spec.suspend: true, and the annotation slipway.dev/managed: \"true\".",
        ),
        (
            true,
            false,
            "Kubernetes runs it. 1 of 2 things that hand it over to Slipway are missing: spec.suspend: true.",
        ),
        (
            false,
            true,
            "Nobody runs it. 1 of 2 things that hand it over to Slipway are missing: the annotation slipway.dev/managed: \"true\".",
        ),
    ] {
        let told = cron_job(managed, suspended, &json!({}));
        let found = cause(&told, "NotManaged");
        assert_eq!(found.cause, words);
        assert_eq!(
            found.command,
            "kubectl -n production patch cronjobs.batch cleanup --type merge -p \
             '{\"metadata\":{\"annotations\":{\"slipway.dev/managed\":\"true\"}},\"spec\":{\"suspend\":true}}'"
        );
    }
}

#[test]
fn a_cron_job_in_place_tells_its_next_due_time() {
    let status = json!({"lastScheduleTime": "2026-11-30T09:00:00Z"});
    let told = cron_job(true, true, &status);
    let next = told.facts.iter().find(|(word, _)| word == "next due");
    let (_, next) = next.unwrap();
    assert!(next.contains("10:00:00"), "{next}");
    assert_eq!(
        told.summary,
        "of its due times only the last is known here; nothing is in the way"
    );
}
