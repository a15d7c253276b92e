//! Who leads, who waits, and what an object itself says.

use serde_json::json;

use super::{
    JobCounts, TurnRecord, TurnStep, at, cause, decision, event_job, evidence as evidence_of, fact,
    ready, record, scaled_job, turn,
};
use crate::explain::{LeaseEvidence, object};
use crate::history::{AnswerOrigin, AnswerRecord, HistoryFact, ObjectStanding, SubjectKind};

#[test]
fn no_leader_is_told_by_the_lease() {
    let mut evidence = scaled_job(&decision(&json!({})));
    evidence.lease = LeaseEvidence::Absent;
    assert!(
        cause(&object(&evidence), "NoLeader")
            .cause
            .contains("0 replicas lead")
    );
    evidence.lease = LeaseEvidence::Found {
        namespace: "slipway".into(),
        holder: "slipway-0-abc".into(),
        renewed_at: Some(at("09:05:00")),
        duration_seconds: 15,
    };
    let told = object(&evidence);
    let found = cause(&told, "NoLeader");
    assert!(
        found
            .cause
            .contains("is expired, renewed last at 2026-11-30T09:05:00Z, 5 min ago"),
        "{}",
        found.cause
    );
    assert_eq!(
        found.command,
        "kubectl -n slipway get pods -l app.kubernetes.io/name=slipway"
    );
    // One that was given up.
    evidence.lease = LeaseEvidence::Found {
        namespace: "slipway".into(),
        holder: String::new(),
        renewed_at: Some(at("09:09:59")),
        duration_seconds: 1,
    };
    assert!(
        cause(&object(&evidence), "NoLeader")
            .cause
            .contains("is free")
    );
    // Whoever asks only those that stand by is sent to the one that leads.
    let mut evidence = evidence_of(SubjectKind::ScaledJob, "orders");
    let fact = HistoryFact::Standing(ObjectStanding::StandsBy);
    evidence.records = vec![record(&evidence, "09:09:00", fact)];
    let told = object(&evidence);
    let found = cause(&told, "StandsBy");
    assert!(found.cause.contains("slipway-0-abc leads."));
    assert!(found.next.contains("--admin"));
}

#[test]
fn a_replica_that_stands_by_beside_the_leader_hides_nothing_that_the_leader_says() {
    let stands_by = HistoryFact::Standing(ObjectStanding::StandsBy);
    let mut evidence = evidence_of(SubjectKind::ScaledJob, "orders");
    evidence.records = vec![
        record(&evidence, "09:09:45", HistoryFact::Turn(turn(0.0, 0))),
        record(&evidence, "09:09:50", stands_by.clone()),
    ];
    let told = object(&evidence);
    assert!(told.causes.is_empty(), "{told:?}");
    // Since long ago nobody has led.
    evidence.records = vec![
        record(&evidence, "08:09:45", HistoryFact::Turn(turn(0.0, 0))),
        record(&evidence, "08:09:50", stands_by.clone()),
    ];
    cause(&object(&evidence), "StandsBy");
    evidence.records = vec![
        record(
            &evidence,
            "09:09:45",
            HistoryFact::Standing(ObjectStanding::Paused),
        ),
        record(&evidence, "09:09:50", stands_by),
    ];
    let told = object(&evidence);
    cause(&told, "Paused");
    assert_eq!(told.causes.len(), 1, "{told:?}");
}

#[test]
fn jobs_that_wait_for_their_turn_are_counted_beside_the_limit() {
    let changes = json!({"concurrencyPolicy": "Queue", "concurrency": {"limit": 2}});
    let status =
        json!({"active": 2, "waiting": 5, "conditions": ready("True", "Ready", "it takes events")});
    let told = object(&event_job(&changes, &status));
    let waiting = cause(&told, "WaitingForTurn");
    assert_eq!(
        waiting.cause,
        "5 Jobs wait for their turn: 2 run, and at most 2 of a key may."
    );
    assert!(waiting.next.contains("to 4 for example"));
    assert_eq!(waiting.command, "slipway jobs -n production");
    assert_eq!(fact(&told, "Jobs"), "2 active, 5 waiting for their turn");
}

#[test]
fn a_suspended_an_invalid_and_a_missing_object_are_told() {
    let told = object(&event_job(&json!({"suspend": true}), &json!({})));
    assert!(
        cause(&told, "Suspended")
            .command
            .contains("{\"suspend\":false}")
    );
    let told = object(&event_job(&json!({"pattern": "none"}), &json!({})));
    assert!(cause(&told, "Invalid").cause.contains("spec.pattern"));
    let mut evidence = scaled_job(&json!({}));
    if let Some(object) = &mut evidence.object {
        object["spec"]["triggers"] = json!([]);
    }
    assert!(
        cause(&object(&evidence), "Invalid")
            .cause
            .contains("no triggers")
    );
    let mut evidence = evidence_of(SubjectKind::ScaledJob, "nobody");
    evidence.is_missing = true;
    let told = object(&evidence);
    assert!(
        cause(&told, "NotFound")
            .cause
            .contains("There is no ScaledJob nobody")
    );
    assert_eq!(told.summary, "it is not there");
    evidence.is_missing = false;
    evidence.is_unheard_of = true;
    let told = object(&evidence);
    let found = cause(&told, "NotFound");
    assert!(found.cause.contains("0 records and 0 Jobs are about it"));
    assert!(found.next.contains("nothing has happened to it yet") && !found.command.is_empty());
    assert_eq!(told.summary, "nothing is known of it");
}

#[test]
fn an_object_that_nobody_has_looked_at_for_long_is_told() {
    let mut evidence = scaled_job(&json!({}));
    evidence.records = vec![record(
        &evidence,
        "08:10:00",
        HistoryFact::Turn(turn(0.0, 0)),
    )];
    let told = object(&evidence);
    let found = cause(&told, "NotLookedAt");
    assert!(found.cause.contains("for 1 h") && found.cause.contains("every 30 s"));
    let told = object(&scaled_job(&json!({})));
    cause(&told, "NotYet");
}

#[test]
fn a_decision_whose_readings_no_record_has_room_for_says_so() {
    let mut evidence = scaled_job(&json!({}));
    let left_out = TurnRecord {
        step: TurnStep::LeftOut {
            triggers: 24,
            counts: JobCounts {
                unfinished: 6,
                pending: 0,
            },
            result: crate::scaling::DecisionResult {
                keda: 9,
                launch: 4,
                held_back: 5,
                active: true,
            },
        },
        ..turn(0.0, 4)
    };
    let fact = HistoryFact::Turn(left_out);
    evidence.records = vec![
        record(&evidence, "09:09:15", fact.clone()),
        record(&evidence, "09:09:45", fact),
    ];
    let told = object(&evidence);
    let words = "24 triggers were read, more than a record has room for, so their readings are not kept; 9 wanted by KEDA's arithmetic; 6 unfinished; launching 4, 5 held back";
    assert!(
        told.facts
            .contains(&("wanted".to_owned(), words.to_owned())),
        "{told:?}"
    );
    assert_eq!(told.earlier.len(), 1);
    assert!(told.earlier[0].1.contains(words), "{told:?}");
}

#[test]
fn what_a_page_or_a_state_folder_shows_of_an_event_job_stands_in_its_way() {
    let mut evidence = evidence_of(SubjectKind::EventJob, "renewals");
    let shown = |ready: &serde_json::Value| json!({"conditions": ready});
    let missing = "Secret production/keys does not exist";
    evidence.shown_status = shown(&ready("False", "SecretMissing", missing));
    let told = object(&evidence);
    assert!(cause(&told, "SecretMissing").cause.contains(missing));
    evidence.shown_status = shown(&ready("False", "Invalid", "spec.pattern: is no object"));
    cause(&object(&evidence), "Invalid");
    evidence.shown_status = shown(&json!([{"type": "Suspended", "status": "True"}]));
    cause(&object(&evidence), "Suspended");
    evidence.shown_status = shown(&ready("True", "Ready", "it takes events"));
    let told = object(&evidence);
    assert!(told.causes.is_empty(), "{told:?}");
}

#[test]
fn a_schedule_is_told_with_its_last_and_its_next_due_time() {
    let mut evidence = evidence_of(SubjectKind::EventJob, "renewals");
    evidence.shown_status = json!({
        "lastScheduleTime": "2026-11-30T09:00:00Z",
        "schedule": {"next": ["2026-11-30T09:00:00Z", "2026-11-30T10:00:00Z"]},
    });
    let answer = AnswerRecord {
        origin: AnswerOrigin::Due(at("09:00:00")),
        event: None,
        result: "Waiting".into(),
        status: 0,
        job: Some("renewals-x".into()),
        message: "its Job was created and waits for its turn".into(),
        took: std::time::Duration::ZERO,
    };
    evidence.records = vec![record(&evidence, "09:00:01", HistoryFact::Answer(answer))];
    let told = object(&evidence);
    assert!(fact(&told, "last due").starts_with("2026-11-30T09:00:00Z, 10 min ago"));
    assert!(fact(&told, "next due").starts_with("2026-11-30T10:00:00Z, in 50 min"));
    assert!(told.summary.contains("waits for its turn"));
    // What has become of its Job since.
    for (spec, conditions, words) in [
        (json!({"suspend": true}), json!([]), "waits for its turn"),
        (
            json!({}),
            json!([]),
            "job renewals-x was released, and has not ended",
        ),
        (
            json!({}),
            json!([{"type": "Complete", "status": "True"}]),
            "job renewals-x succeeded",
        ),
        (
            json!({}),
            json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]),
            "job renewals-x failed, BackoffLimitExceeded",
        ),
    ] {
        let job = json!({
            "metadata": {"name": "renewals-x"}, "spec": spec, "status": {"conditions": conditions},
        });
        evidence.jobs = vec![job];
        let told = object(&evidence);
        let is_told = told
            .summary
            .starts_with("the last: due time 2026-11-30T09:00:00Z");
        assert!(is_told && told.summary.contains(words), "{}", told.summary);
    }
}
