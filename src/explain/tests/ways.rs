//! The ways of events and Jobs.

use std::time::Duration;

use serde_json::json;

use super::{cause, evidence, record, turn};
use crate::explain::{PageStep, Tools, event, job};
use crate::history::{AnswerOrigin, AnswerRecord, HistoryFact, SubjectKind};
use crate::resource::ObjectId;
use serde_json::Value;

fn answered(result: &str, job: Option<&str>) -> AnswerRecord {
    AnswerRecord {
        origin: AnswerOrigin::Webhook,
        event: Some("evt-1".into()),
        result: result.into(),
        status: 200,
        job: job.map(Into::into),
        message: "its Job was created and waits for its turn".into(),
        took: Duration::from_millis(30),
    }
}

/// The Job of `evt-1`, with these marks.
fn job_of(name: &str, changes: &Value) -> Value {
    let mut job = json!({
        "metadata": {
            "name": name, "namespace": "production", "creationTimestamp": "2026-11-30T09:00:00Z",
            "annotations": {"slipway.dev/received-at": "2026-11-30T09:00:00Z"},
        },
        "spec": {"template": {"spec": {"containers": [{"name": "worker", "env": [{"name": "SLIPWAY_EVENT_ID", "value": "evt-1"}]}]}}},
        "status": {},
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        for (name, value) in value.as_object().into_iter().flatten() {
            job[field][name] = value.clone();
        }
    }
    job
}

#[test]
fn the_way_of_an_event_names_each_wait() {
    let mut evidence = evidence(SubjectKind::EventJob, "");
    let mut answer = record(
        &evidence,
        "09:00:00",
        HistoryFact::Answer(answered("Waiting", Some("renewals-x"))),
    );
    answer.subject.id = ObjectId::new("production", "renewals");
    evidence.records = vec![answer];
    evidence.jobs = vec![job_of(
        "renewals-x",
        &json!({
            "metadata": {"annotations": {
                "slipway.dev/gate": "released", "slipway.dev/received-at": "2026-11-30T09:00:00Z",
            }},
            "status": {
                "startTime": "2026-11-30T09:03:00Z", "completionTime": "2026-11-30T09:03:30Z", "succeeded": 1,
                "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-30T09:03:30Z"}],
            },
        }),
    )];
    evidence.pods = vec![json!({
        "metadata": {"name": "renewals-x-abcde", "creationTimestamp": "2026-11-30T09:03:01Z"},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-30T09:03:05Z"}],
            "containerStatuses": [{"state": {"terminated": {"startedAt": "2026-11-30T09:03:10Z"}}}],
        },
    })];
    let told = event("evt-1", &evidence);
    let steps: Vec<(&str, Option<i64>)> = told
        .way
        .iter()
        .map(|step| {
            (
                &*step.what,
                step.waited.as_ref().map(|(waited, _)| waited.as_secs()),
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            ("the request came", None),
            ("job renewals-x was created", None),
            (
                "it was answered with 200, Waiting: its Job was created and waits for its turn",
                Some(0)
            ),
            ("its turn came", Some(180)),
            ("Pod renewals-x-abcde was created", Some(1)),
            ("Pod renewals-x-abcde got a node", Some(4)),
            ("Pod renewals-x-abcde ran", Some(5)),
            ("job renewals-x succeeded", Some(20)),
        ]
    );
    assert_eq!(
        told.summary,
        "job renewals-x succeeded; 3 min 30 s from the first step to the last"
    );
    let text = told.to_text();
    assert!(
        text.contains("waited 3 min for its turn (concurrencyPolicy)"),
        "{text}"
    );
    assert!(text.contains("waited 4 s for a node with room"), "{text}");
    // Without a record the Job tells when the request came.
    evidence.records.clear();
    let told = event("evt-1", &evidence);
    assert_eq!(told.way[0].what, "the request came");
    assert_eq!(told.way.len(), 7);
}

#[test]
fn an_event_that_comes_again_stands_where_it_came_and_is_no_part_of_the_time_taken() {
    let mut evidence = evidence(SubjectKind::EventJob, "");
    let answer = |time: &str, result: &str| {
        let answer = answered(result, Some("renewals-x"));
        record(&evidence, time, HistoryFact::Answer(answer))
    };
    let records = vec![
        answer("09:00:01", "Created"),
        answer("09:00:20", "Duplicate"),
        answer("09:10:00", "Duplicate"),
    ];
    evidence.records = records;
    let job = job_of(
        "renewals-x",
        &json!({
            "status": {
                "completionTime": "2026-11-30T09:00:30Z", "succeeded": 1,
                "conditions": [{"type": "Complete", "status": "True"}],
            },
        }),
    );
    evidence.jobs = vec![job];
    let told = event("evt-1", &evidence);
    let steps: Vec<&str> = told
        .way
        .iter()
        .map(|step| step.what.split(',').next().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "the request came",
            "job renewals-x was created",
            "it was answered with 200",
            "it came again",
            "it was answered with 200",
            "job renewals-x succeeded",
            "it came again",
            "it was answered with 200",
        ]
    );
    assert!(told.way.is_sorted_by_key(|step| step.at.as_second()));
    assert!(
        told.summary
            .ends_with("; 29 s from the first step to the last"),
        "{}",
        told.summary
    );
    // A Job that is older than every answer that is known comes first.
    evidence.records.remove(0);
    let told = event("evt-1", &evidence);
    assert_eq!(told.way[0].what, "job renewals-x was created");
}

#[test]
fn an_event_whose_job_waits_failed_or_never_was_is_told() {
    let mut evidence = evidence(SubjectKind::EventJob, "");
    let told = event("evt-1", &evidence);
    let unknown = cause(&told, "UnknownEvent");
    assert!(unknown.next.contains("--admin"));
    evidence.jobs = vec![job_of(
        "renewals-x",
        &json!({"metadata": {"annotations": {"slipway.dev/gate": "waiting"}}, "spec": {"suspend": true}}),
    )];
    cause(&event("evt-1", &evidence), "WaitingForTurn");
    evidence.jobs = vec![job_of(
        "renewals-x",
        &json!({"status": {"failed": 7, "conditions": [{
            "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit.",
            "lastTransitionTime": "2026-11-30T09:05:00Z",
        }]}}),
    )];
    let told = event("evt-1", &evidence);
    assert_eq!(
        cause(&told, "JobFailed").command,
        "slipway logs renewals-x -n production"
    );
    evidence.jobs = vec![job_of("renewals-x", &json!({}))];
    evidence.pods = vec![json!({
        "metadata": {"name": "p", "creationTimestamp": "2026-11-30T09:00:01Z"},
        "status": {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
    })];
    assert!(
        cause(&event("evt-1", &evidence), "PodPending")
            .cause
            .contains("ImagePullBackOff")
    );
    evidence.jobs.clear();
    let mut filtered = answered("Filtered", None);
    filtered.message = "detail-type: is not one of the pattern's".into();
    evidence.records = vec![record(&evidence, "09:00:00", HistoryFact::Answer(filtered))];
    let told = event("evt-1", &evidence);
    assert!(cause(&told, "Filtered").cause.contains("detail-type"));
    let gone = answered("Created", Some("renewals-x"));
    evidence.records = vec![record(&evidence, "09:00:00", HistoryFact::Answer(gone))];
    assert!(
        cause(&event("evt-1", &evidence), "JobGone")
            .cause
            .contains("renewals-x")
    );
}

#[test]
fn a_counted_job_leads_to_the_turn_that_launched_it() {
    let mut evidence = evidence(SubjectKind::ScaledJob, "orders");
    evidence.records = vec![record(
        &evidence,
        "09:00:00",
        HistoryFact::Turn(turn(20.0, 0)),
    )];
    let prefix = crate::launch::job::name::prefix("orders");
    let name = crate::launch::job::name::counted(&prefix, "1", 3, 2).name;
    let told = job(&name, &evidence);
    assert!(
        told.way[0]
            .what
            .starts_with("a turn launched it: 20 waiting / 5 per Job"),
        "{told:?}"
    );
    cause(&told, "JobGone");
    let told = job("orders-nobody", &evidence);
    cause(&told, "UnknownJob");
}

/// A Job of `evt-1` that has failed, with these marks.
fn failed_job(annotations: &Value) -> Value {
    job_of(
        "renewals-x",
        &json!({
            "metadata": {"annotations": annotations},
            "status": {"failed": 7, "conditions": [{
                "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too many",
                "lastTransitionTime": "2026-11-30T09:05:00Z",
            }]},
        }),
    )
}

#[test]
fn an_event_is_told_with_its_later_attempts() {
    let mut evidence = evidence(SubjectKind::EventJob, "");
    evidence.tools = Tools::Local(".slipway".into());
    evidence.jobs = vec![failed_job(&json!({}))];
    let told = event("evt-1", &evidence);
    let words = "`slipway rerun renewals-x -n production --state .slipway` runs it again.";
    let failed = cause(&told, "JobFailed");
    assert!(failed.next.ends_with(words), "{}", failed.next);

    let asked =
        r#"{"asked":"2026-11-30T09:06:00Z","attempt":2,"result":"Done","jobName":"renewals-y"}"#;
    let first = failed_job(&json!({"slipway.dev/rerun": asked}));
    let second = job_of(
        "renewals-y",
        &json!({
            "metadata": {
                "creationTimestamp": "2026-11-30T09:06:01Z",
                "annotations": {"slipway.dev/attempt": "2"},
            },
            "status": {
                "completionTime": "2026-11-30T09:06:31Z",
                "conditions": [{"type": "Complete", "status": "True"}],
            },
        }),
    );
    let answer = HistoryFact::Answer(answered("Created", Some("renewals-x")));
    evidence.records = vec![record(&evidence, "09:00:00", answer)];
    evidence.jobs = vec![second, first];
    let told = event("evt-1", &evidence);
    assert!(
        told.summary
            .starts_with("attempt 2, job renewals-y succeeded; 6 min 31 s"),
        "{}",
        told.summary
    );
    assert!(told.causes.is_empty(), "{told:?}");
    let steps: Vec<&str> = told.way.iter().map(|step| &*step.what).collect();
    assert_eq!(
        steps[3..],
        [
            "job renewals-x failed, BackoffLimitExceeded: too many",
            "job renewals-y was created, attempt 2",
            "job renewals-y succeeded",
        ]
    );
    // Whoever asks for the failed Job is sent to the next one.
    evidence.jobs.remove(0);
    let told = job("renewals-x", &evidence);
    let failed = cause(&told, "JobFailed");
    assert_eq!(failed.next, "Look at its next attempt, job renewals-y.");
    assert!(failed.command.contains("explain job/renewals-y"));
}

#[test]
fn a_job_that_somebody_removed_was_not_dropped_by_a_policy() {
    let mut evidence = evidence(SubjectKind::EventJob, "");
    let dropped = json!({"slipway.dev/gate": "dropped"});
    let removed =
        json!({"slipway.dev/gate": "dropped", "slipway.dev/removed-at": "2026-11-30T09:07:00Z"});
    evidence.jobs = vec![failed_job(&removed)];
    let told = job("renewals-x", &evidence);
    assert!(
        told.summary
            .starts_with("job renewals-x failed, and was removed by somebody; 7 min"),
        "{}",
        told.summary
    );
    let found = cause(&told, "JobRemoved");
    assert!(found.cause.contains("at 2026-11-30T09:07:00Z") && found.cause.contains("too many"));
    // A release before this mark.
    evidence.jobs = vec![failed_job(&dropped)];
    cause(&job("renewals-x", &evidence), "JobRemoved");
    for (marks, summary) in [
        (
            &removed,
            "job renewals-x was stopped, and was removed by somebody",
        ),
        (&dropped, "job renewals-x was dropped"),
    ] {
        evidence.jobs = vec![job_of(
            "renewals-x",
            &json!({"metadata": {"annotations": marks}, "spec": {"suspend": true}}),
        )];
        let told = job("renewals-x", &evidence);
        assert!(told.summary.starts_with(summary), "{}", told.summary);
    }
    assert!(
        cause(&job("renewals-x", &evidence), "Dropped")
            .cause
            .contains("concurrencyPolicy")
    );
}

#[test]
fn jobs_that_nobody_was_asked_for_are_not_said_to_be_gone() {
    let mut evidence = evidence(SubjectKind::EventJob, "");
    let answer = HistoryFact::Answer(answered("Created", Some("renewals-x")));
    evidence.records = vec![record(&evidence, "09:00:00", answer)];
    evidence.are_jobs_known = false;
    let told = event("evt-1", &evidence);
    cause(&told, "JobsUnasked");
    assert_eq!(told.causes.len(), 1, "{told:?}");
    // A page shows its way.
    let step = |at: Option<&str>, what: &str, detail: &str, waited_for: &str| PageStep {
        at: at.map(super::at),
        what: what.into(),
        detail: detail.into(),
        waited_for: waited_for.into(),
    };
    evidence.are_jobs_known = true;
    evidence.page_steps = vec![
        step(Some("09:00:00"), "event received", "", ""),
        step(Some("09:00:00"), "Job created", "", "Slipway"),
        step(None, "its turn", "", "its turn"),
    ];
    let told = event("evt-1", &evidence);
    assert!(told.causes.is_empty(), "{told:?}");
    assert!(
        told.summary
            .starts_with("job renewals-x is there; what comes next: its turn"),
        "{}",
        told.summary
    );
    let end = step(
        Some("09:01:00"),
        "Job failed",
        "BackoffLimitExceeded too many",
        "the Job controller",
    );
    evidence.page_steps[2] = end;
    let told = event("evt-1", &evidence);
    assert_eq!(told.way.len(), 4, "{told:?}");
    assert!(
        cause(&told, "JobFailed")
            .cause
            .contains("BackoffLimitExceeded: 1 Pods failed. too many")
    );
}

#[test]
fn a_due_time_waits_for_no_credentials() {
    let mut evidence = evidence(SubjectKind::EventJob, "");
    let answer = AnswerRecord {
        origin: AnswerOrigin::Due(super::at("09:00:00")),
        ..answered("Created", Some("renewals-x"))
    };
    evidence.records = vec![record(&evidence, "09:00:01", HistoryFact::Answer(answer))];
    evidence.jobs = vec![job_of("renewals-x", &json!({}))];
    let text = job("renewals-x", &evidence).to_text();
    assert!(text.contains("for its Job to be made"), "{text}");
    assert!(!text.contains("credentials"), "{text}");
}
