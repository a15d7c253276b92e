use super::*;
use crate::launch::fixtures::{as_seen, delivered};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// An attempt of the occurrence whose first hash is "one".
fn attempt(number: u32, ended: Option<JobOutcome>) -> DeliveredJob {
    DeliveredJob {
        occurrence: if number == 1 { "one" } else { "other" }.to_owned(),
        first: (number > 1).then(|| "one".to_owned()),
        attempt: number,
        ended: ended.map(|outcome| (outcome, at(9))),
        ..delivered(&format!("invoice-{number}"), 1)
    }
}

#[test]
fn the_next_attempt_is_one_above_the_highest_and_only_once_that_has_failed() {
    use JobOutcome::{Complete, Failed};
    let first = attempt(1, Some(Failed));
    let check = |jobs: &[DeliveredJob]| next(&first, &as_seen(jobs.to_vec()));
    let runs = |attempt: u32| NextAttempt::Runs {
        attempt,
        job: format!("invoice-{attempt}"),
    };
    assert_eq!(check(&[]), NextAttempt::Make(2));
    assert_eq!(check(std::slice::from_ref(&first)), NextAttempt::Make(2));
    let third = attempt(3, Some(Failed));
    assert_eq!(check(&[third.clone(), first.clone()]), NextAttempt::Make(4));
    assert_eq!(check(&[first.clone(), attempt(2, None)]), runs(2));
    let said = |next| match next {
        NextAttempt::Never(why) => why,
        next => panic!("{next:?}"),
    };
    assert!(said(check(&[attempt(2, Some(Complete)), first.clone()])).contains("has succeeded"));
    // Those of other occurrences do not count.
    let other = DeliveredJob {
        first: Some("two".to_owned()),
        ..attempt(7, None)
    };
    assert_eq!(check(&[other]), NextAttempt::Make(2));
    assert!(said(check(&[attempt(100, Some(Failed))])).contains("100 times"));
    for wrong in [attempt(1, None), attempt(1, Some(Complete))] {
        said(next(&wrong, &[]));
    }
    let going = DeliveredJob {
        gate: Some(Gate::Dropped),
        ..first.clone()
    };
    assert!(said(next(&going, &[])).contains("being removed"));
}

#[test]
fn what_is_asked_is_read_back_and_an_attempt_that_cannot_be_is_no_request() {
    let mut request = RerunRequest::new(at(5));
    assert_eq!(request.to_text(), r#"{"asked":"1970-01-01T00:00:05Z"}"#);
    assert_eq!(
        RerunRequest::parse(&request.to_text()),
        Some(request.clone())
    );
    request.attempt = Some(2);
    let answered = request.answered(true, "attempt 2 was created", Some("a-b".to_owned()));
    assert!(!answered.is_open());
    assert_eq!(RerunRequest::parse(&answered.to_text()), Some(answered));
    for wrong in [
        "",
        "now",
        r#"{"asked":"1970-01-01T00:00:05Z","attempt":1}"#,
        r#"{"asked":"1970-01-01T00:00:05Z","attempt":101}"#,
    ] {
        assert_eq!(RerunRequest::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn names_differ_by_object_occurrence_and_attempt() {
    let name = |object: &str, first: &str, attempt: u32| {
        reserved("a-", &ObjectId::new("n", object), first, attempt).name
    };
    let names = [
        name("a", "one", 2),
        name("a", "one", 3),
        name("a", "two", 2),
        name("b", "one", 2),
    ];
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    assert_eq!(names[0], name("a", "one", 2));
}

fn event_job(changes: &str) -> EventJob {
    let text = format!(
        "apiVersion: slipway.dev/v1alpha1\nkind: EventJob\nmetadata: {{name: invoice, namespace: production, uid: u}}\nspec:\n  \
         source: {{webhook: {{auth: [{{none: {{}}}}]}}}}\n  {changes}\n  \
         jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: new}}]}}}}}}}}\n"
    );
    let (documents, misread) = crate::resource::document::read(&text);
    assert!(misread.is_empty());
    crate::resource::event_job::parse(&documents[0].value).unwrap()
}

/// As the API server shows a Job that has failed.
fn failed() -> FailedJob {
    let servers =
        json!({"controller-uid": "x", "batch.kubernetes.io/job-name": "invoice-bcd", "app": "a"});
    FailedJob {
        manifest: json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "invoice-bcd", "generateName": "invoice-", "namespace": "production", "uid": "old",
                "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"],
                "labels": {"app": "a", "slipway.dev/eventjob": "invoice", "app.kubernetes.io/managed-by": "slipway"},
                "annotations": {
                    "slipway.dev/occurrence": "one", "slipway.dev/payload": "p", "slipway.dev/deduplicate-for": "1h0m0s",
                    "slipway.dev/gate": "released", "slipway.dev/gate-holder": "h", "slipway.dev/rerun": "{}",
                    "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T00:00:00Z",
                },
                "ownerReferences": [{"uid": "stale"}],
            },
            "spec": {
                "backoffLimit": 1, "suspend": false, "selector": {"matchLabels": {"controller-uid": "x"}},
                "template": {
                    "metadata": {"labels": servers},
                    "spec": {
                        "containers": [{"name": "a", "image": "old"}],
                        "volumes": [
                            {"name": "event", "secret": {"secretName": "invoice-bcd"}},
                            {"name": "other", "secret": {"secretName": "password"}},
                        ],
                    },
                },
            },
            "status": {"failed": 1},
        }),
        version: "7".to_owned(),
        file: Some(json!({"event.json": "e30="})),
    }
}

#[test]
fn an_attempt_is_the_failed_job_once_more_with_a_name_and_a_secret_of_its_own() {
    let event_job = event_job("");
    let failed = failed();
    assert!(has_file(&failed.manifest));
    let second = Delivery::again(&event_job, &failed, 2, at(60)).unwrap();
    let name = second.launch.id.name.to_string();
    assert!(name.starts_with("invoice-") && name != "invoice-bcd");
    let job = &second.launch.manifest;
    assert_eq!(job["status"], Value::Null);
    let metadata = &job["metadata"];
    for gone in ["uid", "resourceVersion", "creationTimestamp", "finalizers"] {
        assert_eq!(metadata[gone], Value::Null, "{gone}");
    }
    assert_eq!(metadata["ownerReferences"][0]["uid"], "u");
    let annotations = &metadata["annotations"];
    assert_eq!(annotations["slipway.dev/attempt"], "2");
    assert_eq!(annotations["slipway.dev/first-occurrence"], "one");
    assert_eq!(
        annotations["slipway.dev/occurrence"],
        second.launch.occurrence.as_str()
    );
    assert_eq!(annotations["slipway.dev/payload"], "p");
    assert_eq!(
        annotations["slipway.dev/received-at"],
        "1970-01-01T00:01:00.000Z"
    );
    for gone in [
        "slipway.dev/gate",
        "slipway.dev/gate-holder",
        "slipway.dev/rerun",
    ] {
        assert_eq!(annotations[gone], Value::Null, "{gone}");
    }
    let spec = &job["spec"];
    assert_eq!(spec["selector"], Value::Null);
    assert_eq!(spec["template"]["metadata"]["labels"], json!({"app": "a"}));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "old");
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], name.as_str());
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "password");
    assert_eq!((second.due, second.is_gated), (None, false));
    assert_eq!(second.remember_for, Duration::from_hours(1));
    let secret = second.file.clone().unwrap();
    assert_eq!(secret["metadata"]["name"], name.as_str());
    assert_eq!(secret["data"], json!({"event.json": "e30="}));

    // The third of the second has the name that the third of the first would have.
    let mut again = failed.clone();
    again.manifest = job.clone();
    let third = Delivery::again(&event_job, &again, 3, at(61)).unwrap();
    let other = Delivery::again(&event_job, &failed, 3, at(62)).unwrap();
    assert_eq!(third.launch.id, other.launch.id);
    assert_eq!(third.launch.occurrence, other.launch.occurrence);
}

#[test]
fn an_attempt_waits_for_its_turn_where_there_are_turns() {
    let gated = event_job("concurrencyPolicy: Queue");
    let delivery = Delivery::again(&gated, &failed(), 2, at(60)).unwrap();
    assert!(delivery.is_gated);
    let job = &delivery.launch.manifest;
    assert_eq!(job["spec"]["suspend"], true);
    assert_eq!(
        job["metadata"]["annotations"]["slipway.dev/gate"],
        "waiting"
    );
}
