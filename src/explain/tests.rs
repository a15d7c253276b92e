use serde_json::json;

use super::*;
use crate::history::fixtures;
use crate::history::{
    HistoryFact, ObjectStanding, SubjectKind, TurnRecord, TurnStep, TurnTrouble, UnreadTrigger,
};
use crate::resource::ObjectId;
use crate::scaling::JobCounts;

mod pods;
mod standing;
mod ways;

fn at(text: &str) -> Timestamp {
    format!("2026-11-30T{text}Z").parse().unwrap()
}

fn evidence(kind: SubjectKind, name: &str) -> ObjectEvidence {
    ObjectEvidence {
        subject: Subject {
            kind,
            id: ObjectId::new("production", name),
        },
        now: at("09:10:00"),
        at: None,
        tools: Tools::Kubectl,
        object: None,
        is_missing: false,
        is_unheard_of: false,
        events: Vec::new(),
        jobs: Vec::new(),
        pods: Vec::new(),
        are_jobs_known: true,
        page_steps: Vec::new(),
        shown_status: Value::Null,
        lease: LeaseEvidence::Found {
            namespace: "slipway".into(),
            holder: "slipway-0-abc".into(),
            renewed_at: Some(at("09:09:58")),
            duration_seconds: 15,
        },
        records: Vec::new(),
        asked: vec!["the API server, namespace production".into()],
    }
}

/// A ScaledJob of at most ten, with this status.
fn scaled_job(status: &Value) -> ObjectEvidence {
    let mut evidence = evidence(SubjectKind::ScaledJob, "orders");
    evidence.object = Some(json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": "orders", "namespace": "production", "uid": "1", "generation": 1},
        "spec": {
            "maxReplicaCount": 10,
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "worker", "image": "worker"}]}}},
            "triggers": [{"type": "kafka", "metadata": {"bootstrapServers": "kafka:9092", "topic": "orders", "consumerGroup": "orders"}}],
        },
        "status": status,
    }));
    evidence
}

fn ready(status: &str, reason: &str, message: &str) -> Value {
    json!([{"type": "Ready", "status": status, "reason": reason, "message": message}])
}

fn decision(changes: &Value) -> Value {
    let mut decision = json!({
        "time": "2026-11-30T09:09:40Z",
        "active": true,
        "keda": 8,
        "launch": 5,
        "heldBack": 0,
        "launched": 5,
        "reason": "40 waiting / 5 per Job = 8 wanted",
        "unfinished": 3,
        "pending": 1,
        "triggers": [{"name": "s0-kafka-orders", "backlog": 40, "active": true}],
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        decision[field] = value.clone();
    }
    json!({"conditions": ready("True", "ScaledJobReady", ""), "lastDecision": decision})
}

fn event_job(changes: &Value, status: &Value) -> ObjectEvidence {
    let mut evidence = evidence(SubjectKind::EventJob, "renewals");
    let mut object = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": "renewals", "namespace": "production", "uid": "2", "generation": 1},
        "spec": {
            "source": {"webhook": {"format": "JSON", "auth": [{"none": {}}]}},
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "worker", "image": "worker"}]}}}},
        },
        "status": status,
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    evidence.object = Some(object);
    evidence
}

/// A turn that read so much, with the Jobs that there were.
fn turn(waiting: f64, unfinished: u32) -> TurnRecord {
    let counts = JobCounts {
        unfinished,
        pending: 1,
    };
    TurnRecord {
        round: Some(3),
        uid: "1".into(),
        next_look: Some(at("09:10:10")),
        ..fixtures::turn(waiting, counts, 10)
    }
}

fn record(evidence: &ObjectEvidence, time: &str, fact: HistoryFact) -> HistoryRecord {
    HistoryRecord::new(evidence.subject.clone(), at(time), fact)
}

/// The cause of this word. Checks what every cause has: a number, a next step in plain English, a command.
fn cause<'a>(explanation: &'a Explanation, word: &str) -> &'a Cause {
    for cause in &explanation.causes {
        assert!(
            cause.cause.chars().any(|letter| letter.is_ascii_digit()),
            "no number: {}",
            cause.cause
        );
        let starts = ["kubectl ", "slipway "];
        assert!(
            starts.iter().any(|start| cause.command.starts_with(start)),
            "no command: {}",
            cause.command
        );
        for text in [&cause.cause, &cause.next] {
            assert!(text.ends_with('.'), "no full stop: {text}");
            let first = text.chars().next().unwrap();
            assert!(first.is_uppercase() || first.is_ascii_digit(), "{text}");
        }
        for sentence in cause.next.split(". ") {
            let words = sentence.split_whitespace().count();
            assert!(words <= 25, "{words} words: {sentence}");
        }
    }
    let found = explanation.causes.iter().find(|cause| cause.word == word);
    found.unwrap_or_else(|| panic!("no {word}: {explanation:#?}"))
}

fn fact<'a>(explanation: &'a Explanation, word: &str) -> &'a str {
    let found = explanation.facts.iter().find(|(name, _)| name == word);
    &found
        .unwrap_or_else(|| panic!("no {word}: {explanation:#?}"))
        .1
}

#[test]
fn a_turn_that_launched_all_it_wanted_has_nothing_in_the_way() {
    let mut evidence = scaled_job(&json!({}));
    evidence.records = vec![record(
        &evidence,
        "09:09:40",
        HistoryFact::Turn(turn(20.0, 0)),
    )];
    let told = object(&evidence);
    assert_eq!(told.summary, "it launched 4 Jobs; nothing is in the way");
    assert!(fact(&told, "looked").contains("20 s ago, because the polling interval was over"));
    assert_eq!(
        fact(&told, "read"),
        "s0-kafka-orders: 20 waiting, 5 per Job, active"
    );
    assert_eq!(fact(&told, "counted"), "0 unfinished Jobs, 1 pending");
    assert!(fact(&told, "wanted").starts_with("20 waiting / 5 per Job = 4 wanted"));
    assert_eq!(fact(&told, "launched"), "4 of 4 Jobs");
    assert_eq!(fact(&told, "next look"), "2026-11-30T09:10:10Z, in 10 s");
    assert!(told.causes.is_empty());
    let text = told.to_text();
    assert!(
        text.starts_with("ScaledJob production/orders: it launched 4 Jobs"),
        "{text}"
    );
    assert!(text.contains("from: the API server"), "{text}");
}

#[test]
fn without_a_record_the_status_says_the_same() {
    let told = object(&scaled_job(&decision(&json!({}))));
    assert_eq!(told.summary, "it launched 5 Jobs; nothing is in the way");
    assert_eq!(fact(&told, "read"), "s0-kafka-orders: 40 waiting, active");
    assert_eq!(fact(&told, "next look"), "2026-11-30T09:10:10Z, in 10 s");
}

#[test]
fn an_unread_source_is_named_with_how_often() {
    let mut evidence = scaled_job(&decision(&json!({
        "launch": 0, "launched": 0, "active": false,
        "triggers": [{"name": "s0-kafka-orders", "error": "kafka:9092 did not answer: timed out"}],
    })));
    let told = object(&evidence);
    let unread = cause(&told, "SourceUnread");
    assert!(
        unread
            .cause
            .starts_with("1 of 1 triggers could not be read"),
        "{}",
        unread.cause
    );
    assert!(
        unread
            .cause
            .contains("kafka:9092 did not answer: timed out")
    );
    assert_eq!(
        unread.command,
        "kubectl -n production describe scaledjobs.slipway.dev orders"
    );
    let mut failed = turn(0.0, 0);
    failed.unread = vec![UnreadTrigger {
        name: "s0-kafka-orders".into(),
        reason: "Forbidden".into(),
        message: "kafka:9092 refused access: no such user".into(),
    }];
    let mut failed = record(&evidence, "09:09:50", HistoryFact::Turn(failed));
    (failed.times, failed.since) = (7, at("09:00:00"));
    evidence.records = vec![failed];
    let told = object(&evidence);
    let unread = cause(&told, "SourceUnread");
    assert!(
        unread
            .cause
            .contains("It failed 7 times since 2026-11-30T09:00:00Z.")
    );
    assert!(unread.next.contains("TriggerAuthentication"));
}

#[test]
fn the_cap_is_named_with_its_numbers_and_a_larger_one() {
    let mut evidence = scaled_job(&json!({}));
    evidence.records = vec![record(
        &evidence,
        "09:09:40",
        HistoryFact::Turn(turn(100.0, 7)),
    )];
    let told = object(&evidence);
    let capped = cause(&told, "Capped");
    assert_eq!(
        capped.cause,
        "The cap keeps 10 Jobs back: 10 of at most 10 Jobs are unfinished."
    );
    assert_eq!(
        capped.command,
        "kubectl -n production patch scaledjobs.slipway.dev orders --type merge -p '{\"spec\":{\"maxReplicaCount\":20}}'"
    );
    assert_eq!(told.summary, "it launched 3 Jobs; in the way: Capped");
    let told = object(&scaled_job(&decision(
        &json!({"heldBack": 3, "unfinished": 5}),
    )));
    assert!(
        cause(&told, "Capped")
            .cause
            .starts_with("The cap keeps 3 Jobs back: 10 of at most 10")
    );
}

#[test]
fn a_pause_is_named_with_the_annotation_that_makes_it() {
    let mut evidence = scaled_job(&decision(&json!({})));
    if let Some(object) = &mut evidence.object {
        object["metadata"]["annotations"] = json!({"slipway.dev/paused": "true"});
    }
    let told = object(&evidence);
    let paused = cause(&told, "Paused");
    assert!(paused.cause.contains("slipway.dev/paused"));
    assert_eq!(
        paused.command,
        "kubectl -n production annotate scaledjobs.slipway.dev orders slipway.dev/paused-"
    );
    // A record alone is enough, without a cluster.
    let mut evidence = self::evidence(SubjectKind::ScaledJob, "orders");
    evidence.tools = Tools::Local(".slipway".into());
    let fact = HistoryFact::Standing(ObjectStanding::Paused);
    evidence.records = vec![record(&evidence, "09:09:00", fact)];
    let told = object(&evidence);
    assert_eq!(cause(&told, "Paused").command, "slipway check FILE");
}

#[test]
fn what_the_api_server_refuses_is_told_in_its_words() {
    let words = "job production/orders-x was refused: spec.template: Unsupported value";
    let mut evidence = scaled_job(&json!({}));
    let mut refused = turn(20.0, 0);
    refused.launched = 0;
    refused.trouble = Some(TurnTrouble {
        reason: "Rejected".into(),
        message: words.into(),
    });
    evidence.records = vec![record(&evidence, "09:09:40", HistoryFact::Turn(refused))];
    let told = object(&evidence);
    let refused = cause(&told, "Refused");
    assert!(refused.cause.contains("0 of 4 Jobs were made") && refused.cause.contains(words));
    assert!(refused.next.contains("spec.jobTargetRef"));
    // The same from the status: of a turn, and of a dry run.
    let reason = format!("4 wanted; launched 0 of 4: {words}");
    let told = object(&scaled_job(&decision(
        &json!({"launch": 4, "launched": 0, "reason": reason}),
    )));
    assert!(cause(&told, "Refused").cause.contains("0 of 4 Jobs"));
    assert_eq!(fact(&told, "wanted"), "4 wanted");
    let conditions = ready("False", "KEDAJobCreateFailed", words);
    let told = object(&scaled_job(&json!({"conditions": conditions})));
    assert!(cause(&told, "Refused").cause.contains(words));
}

#[test]
fn a_quota_and_a_missing_right_are_told_apart() {
    for (reason, word, command) in [
        ("Quota", "Quota", "kubectl -n production get resourcequota"),
        (
            "Forbidden",
            "Forbidden",
            "kubectl -n production describe scaledjobs.slipway.dev orders",
        ),
        (
            "Unavailable",
            "NotMade",
            "kubectl -n production describe scaledjobs.slipway.dev orders",
        ),
    ] {
        let mut evidence = scaled_job(&json!({}));
        let mut failed = turn(20.0, 0);
        failed.launched = 1;
        failed.trouble = Some(TurnTrouble {
            reason: reason.into(),
            message: "the server says no".into(),
        });
        evidence.records = vec![record(&evidence, "09:09:40", HistoryFact::Turn(failed))];
        let told = object(&evidence);
        let found = cause(&told, word);
        assert!(
            found.cause.contains("1 of 4 Jobs were made"),
            "{}",
            found.cause
        );
        assert_eq!(found.command, command);
    }
}

#[test]
fn a_missing_secret_is_named_with_what_needs_it() {
    let message = "Secret production/aws does not exist";
    let told = object(&scaled_job(&decision(&json!({
        "triggers": [{"name": "s0-aws-sqs-orders", "error": message}],
    }))));
    let missing = cause(&told, "SecretMissing");
    assert!(
        missing
            .cause
            .contains("Trigger s0-aws-sqs-orders needs it.")
    );
    assert_eq!(missing.command, "kubectl -n production get secret aws");
    let conditions = json!([{
        "type": "Ready", "status": "False", "reason": "SecretMissing",
        "message": "Secret production/hook has no key current; a request that no other key proves is answered 503",
    }]);
    let told = object(&event_job(&json!({}), &json!({"conditions": conditions})));
    let missing = cause(&told, "SecretMissing");
    assert_eq!(missing.command, "kubectl -n production get secret hook");
    assert!(missing.next.contains("no restart is needed"));
}

#[test]
fn jobs_that_cannot_be_counted_launch_nothing() {
    let mut evidence = scaled_job(
        &json!({"conditions": ready("Unknown", "Unavailable", "Jobs of production/orders cannot be read: timed out")}),
    );
    assert!(
        cause(&object(&evidence), "Uncounted")
            .cause
            .contains("timed out")
    );
    let mut failed = turn(20.0, 0);
    failed.step = TurnStep::Uncounted;
    failed.launched = 0;
    failed.trouble = Some(TurnTrouble {
        reason: "Unavailable".into(),
        message: "timed out".into(),
    });
    evidence.object = None;
    evidence.records = vec![record(&evidence, "09:09:40", HistoryFact::Turn(failed))];
    let told = object(&evidence);
    cause(&told, "Uncounted");
    assert_eq!(told.summary, "it decided nothing; in the way: Uncounted");
}

#[test]
fn an_earlier_time_is_told_as_it_was_then() {
    let mut evidence = scaled_job(&decision(&json!({})));
    evidence.records = vec![
        record(&evidence, "09:00:00", HistoryFact::Turn(turn(100.0, 10))),
        record(&evidence, "09:05:00", HistoryFact::Turn(turn(0.0, 0))),
    ];
    evidence.at = Some(at("09:02:00"));
    let told = object(&evidence);
    assert!(fact(&told, "read").contains("100 waiting"));
    cause(&told, "Capped");
    assert_eq!(told.causes.len(), 1, "{:?}", told.causes);
    evidence.at = None;
    let told = object(&evidence);
    assert_eq!(told.earlier.len(), 2, "{:?}", told.earlier);
    assert!(
        told.earlier[1]
            .1
            .contains("100 waiting / 5 per Job = 20 wanted")
    );
}

#[test]
fn kubernetes_events_stand_where_there_are_no_records() {
    let mut evidence = scaled_job(&decision(&json!({})));
    let event = |time: &str, kind: &str, note: &str| {
        json!({
            "eventTime": format!("2026-11-30T{time}.000000Z"),
            "reason": "KEDAJobsCreated",
            "note": note,
            "regarding": {"kind": kind, "name": "orders"},
        })
    };
    evidence.events = vec![
        event("09:00:00", "ScaledJob", "Created 5 jobs"),
        event("09:01:00", "Job", "of another kind"),
        event("09:02:00", "ScaledJob", "Created 2 jobs"),
    ];
    let told = object(&evidence);
    let texts: Vec<&str> = told.earlier.iter().map(|(_, text)| &**text).collect();
    assert_eq!(
        texts,
        [
            "Event KEDAJobsCreated: Created 2 jobs",
            "Event KEDAJobsCreated: Created 5 jobs"
        ]
    );
}

#[test]
fn what_is_read_again_from_json_can_be_replayed() {
    let mut evidence = scaled_job(&json!({}));
    evidence.records = vec![record(
        &evidence,
        "09:09:40",
        HistoryFact::Turn(turn(20.0, 0)),
    )];
    let told = object(&evidence).to_json(&evidence.records);
    assert_eq!(told["causes"], json!([]));
    let read = history::json::from_json(&told["records"][0]).unwrap();
    assert_eq!(read, evidence.records[0]);
}
