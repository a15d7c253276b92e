use serde_json::json;

use super::*;

fn read(kind: &str, spec: &Value, status: &Value) -> PageObject {
    let object = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": kind,
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "annotations": {"x": "y"}},
        "spec": spec, "status": status,
    });
    PageObject::of(&object).unwrap()
}

fn ready(status: &str, reason: &str, message: &str) -> Value {
    json!([{"type": "Ready", "status": status, "reason": reason, "message": message}])
}

#[test]
fn a_scaled_job_stands_as_its_conditions_say() {
    let spec = json!({"maxReplicaCount": 7, "triggers": [{"type": "kafka"}, {"type": "external"}], "jobTargetRef": {"a": 1}});
    let rows = [
        (json!({}), PageState::Unclear, "NoStatus", NOBODY_LOOKED),
        (
            json!({"conditions": ready("False", "KEDAJobCreateFailed", "no image")}),
            PageState::Wrong,
            "KEDAJobCreateFailed",
            "no image",
        ),
        (
            json!({
                "conditions": ready("False", "TriggerError", "Triggers do not work"),
                "lastDecision": {"reason": "x", "triggers": [{"name": "s0-kafka", "error": "refused"}, {"name": "s1", "backlog": 1}]},
            }),
            PageState::Wrong,
            "TriggerError",
            "s0-kafka: refused",
        ),
        (
            json!({"conditions": ready("Unknown", "Unavailable", "no answer")}),
            PageState::Unclear,
            "Unavailable",
            "no answer",
        ),
        (
            json!({"conditions": [
                {"type": "Ready", "status": "True", "reason": "ScaledJobReady", "message": "m"},
                {"type": "Paused", "status": "True"},
            ]}),
            PageState::Paused,
            "Paused",
            "it is paused: nothing is read or launched",
        ),
        (
            json!({"conditions": ready("True", "ScaledJobReady", "m"), "runningJobs": 2, "lastDecision": {"reason": "because"}}),
            PageState::Busy,
            "",
            "because",
        ),
        (
            json!({"conditions": ready("True", "ScaledJobReady", "m"), "lastDecision": {"reason": "nothing waits"}}),
            PageState::Quiet,
            "",
            "nothing waits",
        ),
    ];
    for (status, state, reason, words) in rows {
        let object = read("ScaledJob", &spec, &status);
        let found = (object.state, object.reason.as_str(), object.words.as_str());
        assert_eq!(found, (state, reason, words), "{status}");
        assert_eq!(
            (object.cap, object.source.as_str()),
            (Some(7), "kafka, external")
        );
        assert!(object.written.value()["spec"]["jobTargetRef"].is_null());
    }
}

#[test]
fn an_event_job_stands_as_its_conditions_say() {
    let webhook = json!({"source": {"webhook": {"format": "JSON"}}, "concurrencyPolicy": "Queue", "concurrency": {"limit": 2}});
    let launching = |status: &str| {
        json!({"conditions": [
            {"type": "Ready", "status": "True", "reason": "Ready", "message": "m"},
            {"type": "Launching", "status": status, "reason": "Quota", "message": "exceeded quota"},
        ]})
    };
    let object = read("EventJob", &webhook, &launching("False"));
    assert_eq!(
        (object.state, object.words.as_str()),
        (PageState::Unclear, "exceeded quota")
    );
    assert_eq!(
        (object.cap, object.source.as_str()),
        (Some(2), "webhook JSON")
    );
    let mut busy = launching("True");
    busy["waiting"] = 3.into();
    busy["active"] = 2.into();
    busy["lastDecision"] = json!({"result": "Created", "reason": "its Job was created", "time": "2026-01-01T00:00:00Z"});
    let object = read("EventJob", &webhook, &busy);
    assert_eq!(object.state, PageState::Busy);
    assert_eq!((object.running, object.waiting), (Some(2), Some(3)));
    assert_eq!(object.words, "last event: Created: its Job was created");
    let mut suspended = webhook.clone();
    suspended["suspend"] = true.into();
    assert_eq!(
        read("EventJob", &suspended, &launching("True")).state,
        PageState::Paused
    );
    let closed = json!({"conditions": ready("False", "SecretMissing", "no Secret x")});
    assert_eq!(read("EventJob", &webhook, &closed).state, PageState::Wrong);
}

#[test]
fn a_schedule_has_its_next_due_times() {
    let spec = json!({"source": {"cron": {"schedule": "0 3 * * *", "timeZone": "Europe/Berlin"}}});
    let status = json!({
        "conditions": ready("True", "Ready", "m"),
        "nextScheduleTime": "2026-12-01T02:00:00Z",
        "schedule": {"next": ["2026-12-01T02:00:00Z", "2026-12-02T02:00:00Z"]},
    });
    let object = read("EventJob", &spec, &status);
    assert_eq!(object.source, "schedule 0 3 * * * Europe/Berlin");
    assert_eq!(object.next.len(), 2);
    assert_eq!(object.words, "it waits for its next due time");
}

#[test]
fn what_is_kept_of_an_object_is_bounded() {
    let long = "x".repeat(100_000);
    let object = read(
        "EventJob",
        &json!({"pattern": long}),
        &json!({"conditions": ready("False", "Invalid", &long), "active": 4}),
    );
    assert!(object.written.value().to_string().len() < LONGEST_OBJECT);
    assert_eq!(object.written.value()["status"]["active"], 4);
    assert_eq!(object.words.len(), LONGEST_TEXT);
}

#[test]
fn kinds_are_found_by_their_words() {
    for kind in PageKind::ALL {
        assert_eq!(PageKind::parse(&kind.word().to_lowercase()), Some(kind));
    }
    assert_eq!(PageKind::parse("Pod"), None);
    assert!(PageKey::of(&json!({"kind": "Pod", "metadata": {"name": "x"}})).is_none());
}

#[test]
fn a_cron_job_in_place_stands_as_whoever_runs_it_finds_it() {
    let cron_job = |annotations: Value, policy: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "annotations": annotations},
            "spec": {
                "schedule": "30 2 * * *", "timeZone": "Europe/Berlin", "suspend": true, "concurrencyPolicy": policy,
                "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
                }}}},
            },
        })
    };
    let now = "2026-03-28T12:00:00Z".parse().unwrap();
    let managed = cron_job(json!({"slipway.dev/managed": "true"}), "Forbid");
    let shown = PageObject::of(&managed).unwrap();
    assert_eq!(
        (shown.state, &*shown.source),
        (PageState::Quiet, "schedule 30 2 * * * Europe/Berlin")
    );
    assert_eq!(shown.clone().counting(2).state, PageState::Busy);
    assert_eq!(shown.clone().counting(2).counting(0), shown);
    let next: Vec<String> = next_times(&managed, now)
        .iter()
        .map(ToString::to_string)
        .collect();
    // On the 29th the clock jumps over half past two, and a CronJob skips the day.
    assert_eq!(next.len(), 5);
    assert_eq!(next[0], "2026-03-30T00:30:00Z");
    let paused = json!({"slipway.dev/managed": "true", "slipway.dev/paused": "true"});
    let paused = cron_job(paused, "Forbid");
    assert_eq!(PageObject::of(&paused).unwrap().state, PageState::Paused);
    assert!(next_times(&paused, now).is_empty());
    let replaces = cron_job(json!({"slipway.dev/managed": "true"}), "Replace");
    let shown = PageObject::of(&replaces).unwrap();
    assert_eq!((shown.state, &*shown.reason), (PageState::Wrong, "Invalid"));
    assert!(shown.words.contains("concurrencyPolicy"), "{}", shown.words);
}
