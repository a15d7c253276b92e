use std::time::Duration;

use super::*;
use crate::history::{Subject, TurnTrouble, UnreadTrigger, WakeWord};
use crate::resource::ObjectId;
use crate::scaling::{DecisionResult, JobCounts};

fn line(fact: HistoryFact) -> DecisionLine {
    let subject = Subject::event_job(&ObjectId::new("shop", "orders"));
    let now = "2026-11-30T10:00:00Z".parse().unwrap();
    let mut record = HistoryRecord::new(subject, now, fact);
    record.times = 3;
    (&record).into()
}

#[test]
fn an_answer_says_what_became_of_its_event() {
    let shown = line(HistoryFact::Answer(AnswerRecord {
        origin: AnswerOrigin::Webhook,
        event: Some("a<b".into()),
        result: "Created".into(),
        status: 200,
        job: Some("orders-x".into()),
        message: "its Job was created".into(),
        took: Duration::from_millis(7),
    }));
    assert_eq!(
        shown.words,
        "event: Created (200), its Job was created; it took 7 ms (3 times since 2026-11-30T10:00:00Z)"
    );
    let html = list(&[shown], true).into_string();
    for part in [
        "/find?q=a%3Cb",
        "a&lt;b",
        "/jobs/shop/orders-x",
        "/objects/EventJob/shop/orders",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[test]
fn a_turn_says_what_it_came_to_and_what_was_in_its_way() {
    let turn = |step, launched| TurnRecord {
        wake: WakeWord::Timer,
        step,
        unread: vec![UnreadTrigger {
            name: "s0-kafka".into(),
            reason: "Unreachable".into(),
            message: "no answer".into(),
        }],
        launched,
        round: None,
        uid: "".into(),
        trouble: Some(TurnTrouble {
            reason: "Quota".into(),
            message: "exceeded".into(),
        }),
        next_look: None,
    };
    let step = TurnStep::LeftOut {
        triggers: 9,
        counts: JobCounts::default(),
        result: DecisionResult {
            launch: 4,
            ..DecisionResult::default()
        },
    };
    let words = line(HistoryFact::Turn(turn(step, 2))).words;
    assert!(
        words.starts_with("decided to launch 4; 9 triggers were read, more than a record has room for, so their readings are not kept; 0 Jobs unfinished; launched 2 of 4; s0-kafka could not be read, Unreachable: no answer; Quota: exceeded"),
        "{words}"
    );
    let words = line(HistoryFact::Turn(turn(TurnStep::Uncounted, 0))).words;
    assert!(
        words.starts_with("nothing was decided: its Jobs could not be counted"),
        "{words}"
    );
}
