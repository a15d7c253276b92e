use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::{
    Just, any, prop_assert, prop_assert_eq, prop_compose, prop_oneof, proptest,
};
use proptest::strategy::Strategy as Strategy_;

use super::codec::{self, FRAME, LARGEST_RECORD};
use super::memory::{MOST_OF_OBJECT, MOST_REFUSED};
use super::record::{LONGEST_ID, MOST_UNREAD, cut};
use super::segment::{HEAD, SegmentItem, SegmentReader, SegmentWriter};
use super::*;
use crate::launch::job::name;
use crate::resource::ObjectId;
use crate::scaling::{
    self, Bounds, Calculation, DecisionResult, JobCounts, Measure, Policy, Reading, Strategy,
};

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap()
}

fn subject(name: &str) -> Subject {
    Subject {
        kind: SubjectKind::ScaledJob,
        id: ObjectId::new("production", name),
    }
}

fn event_job(name: &str) -> Subject {
    Subject::event_job(&ObjectId::new("production", name))
}

/// A turn that read so much.
fn turn(waiting: f64, unfinished: u32, max: u32) -> TurnRecord {
    let counts = JobCounts {
        unfinished,
        pending: 0,
    };
    let turn = fixtures::turn(waiting, counts, max);
    let launches = turn.launched > 0;
    TurnRecord {
        round: launches.then_some(7),
        uid: if launches { "uid-1" } else { "" }.into(),
        next_look: Some(at(1_000)),
        ..turn
    }
}

fn of_turn(name: &str, time: i64, waiting: f64) -> HistoryRecord {
    HistoryRecord::new(
        subject(name),
        at(time),
        HistoryFact::Turn(turn(waiting, 0, 100)),
    )
}

fn answer(name: &str, time: i64, event: &str) -> HistoryRecord {
    let answer = AnswerRecord {
        origin: AnswerOrigin::Webhook,
        event: Some(event.into()),
        result: "Created".into(),
        status: 200,
        job: Some(format!("{name}-bcdfghjklm").into()),
        message: "its Job was created".into(),
        took: Duration::from_millis(12),
    };
    HistoryRecord::new(event_job(name), at(time), HistoryFact::Answer(answer))
}

fn refused(name: &str, time: i64, field: &str) -> HistoryRecord {
    let refused = RefusedRecord {
        reason: "Unauthorized".into(),
        field: field.into(),
        message: "is not known".into(),
    };
    HistoryRecord::new(event_job(name), at(time), HistoryFact::Refused(refused))
}

/// As bytes, and back.
fn there_and_back(record: &HistoryRecord) -> (usize, HistoryRecord) {
    let texts: RefCell<Vec<Arc<str>>> = RefCell::default();
    let mut intern = |text: &str| {
        let mut texts = texts.borrow_mut();
        texts.push(text.into());
        u32::try_from(texts.len() - 1).unwrap()
    };
    let bytes = codec::encode(record, &mut intern);
    let text = |number: u32| texts.borrow().get(number as usize).cloned();
    (bytes.len(), codec::decode(&bytes, &text).unwrap())
}

fn float() -> impl Strategy_<Value = f64> {
    prop_oneof![
        (0_u32..1_000_000).prop_map(f64::from),
        0.0_f64..1e12,
        Just(f64::MAX),
    ]
}

fn strategies() -> impl Strategy_<Value = Strategy> {
    prop_oneof![
        Just(Strategy::Default),
        Just(Strategy::Accurate),
        Just(Strategy::Eager),
        (any::<i32>(), -2.0_f64..2.0).prop_map(|(deduction, running_percentage)| {
            Strategy::Custom {
                deduction: deduction.into(),
                running_percentage,
            }
        }),
    ]
}

prop_compose! {
    fn measures()(
        label in "[a-z0-9-]{1,60}",
        waiting in float(),
        activation in float(),
        target in float(),
        threshold in prop_oneof![float(), Just(f64::INFINITY), Just(-1.0)],
    ) -> Measure {
        Measure {
            label,
            reading: Reading::with_activation(waiting, activation),
            target,
            activation: threshold,
        }
    }
}

prop_compose! {
    fn turns()(
        strategy in strategies(),
        calculation in prop_oneof![
            Just(Calculation::Max), Just(Calculation::Min), Just(Calculation::Avg), Just(Calculation::Sum),
        ],
        min in proptest::option::of(any::<u32>()),
        max in proptest::option::of(any::<u32>()),
        measures in proptest::collection::vec(measures(), 0..40),
        unfinished in any::<u32>(),
        pending in any::<u32>(),
        unread in 0..=MOST_UNREAD,
        round in proptest::option::of(any::<u64>()),
        is_top_up in any::<bool>(),
        held_back in any::<u32>(),
        next in proptest::option::of(0_i64..10_000_000_000_000),
        has_trouble in any::<bool>(),
    ) -> TurnRecord {
        let policy = Policy { strategy, calculation, bounds: Bounds { min, max } };
        let counts = JobCounts { unfinished, pending };
        let step = if is_top_up {
            let result = scaling::top_up(policy.bounds, held_back, counts);
            TurnStep::ToppedUp {
                bounds: policy.bounds,
                held_back,
                counts,
                result: DecisionResult::of_top_up(&result),
            }
        } else {
            let result = DecisionResult::of(&scaling::decide(&policy, &measures, counts));
            TurnStep::Decided { policy, measures, counts, result }
        };
        let unread = (0..unread).map(|number| UnreadTrigger {
            name: format!("s{number}-kafka").into(),
            reason: "Unreachable".into(),
            message: "broker kafka:9092 cannot be reached".into(),
        });
        TurnRecord {
            wake: WakeWord::Pushed,
            step,
            unread: unread.collect(),
            launched: pending,
            round,
            uid: "2f7a3b7e-0000-4000-8000-0123456789ab".into(),
            trouble: has_trouble.then(|| TurnTrouble { reason: "Rejected".into(), message: "no".into() }),
            next_look: next.map(at),
        }
    }
}

proptest! {
    #[test]
    fn a_turn_comes_back_from_bytes_and_from_json_to_the_last_bit_and_is_never_too_long(
        turn in turns(), time in 0_i64..10_000_000_000_000, times in any::<u32>(),
    ) {
        let mut record = HistoryRecord::new(subject("orders"), at(time), HistoryFact::Turn(turn));
        record.times = times;
        let (size, back) = there_and_back(&record);
        prop_assert!(size + FRAME <= LARGEST_RECORD, "{size} bytes");
        let is_left_out = |record: &HistoryRecord| matches!(
            &record.fact, HistoryFact::Turn(TurnRecord { step: TurnStep::LeftOut { .. }, .. })
        );
        if !is_left_out(&back) {
            prop_assert_eq!(&back, &record);
            let (HistoryFact::Turn(back), HistoryFact::Turn(turn)) = (&back.fact, &record.fact) else {
                unreachable!("they are equal");
            };
            prop_assert_eq!(back.step.again(), turn.step.again());
            prop_assert_eq!(back.step.again().unwrap().0, turn.step.result().unwrap());
        }
        let text = json::to_json(&record).to_string();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(json::from_json(&read), Some(record));
    }

    #[test]
    fn bytes_that_are_no_record_are_none(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let text = |_| Some(Arc::from("ScaledJob/a/b"));
        let _ = codec::decode(&bytes, &text);
        let mut file = HEAD.to_vec();
        file.extend(&bytes);
        prop_assert_eq!(SegmentReader::new(&file).unwrap().count(), 0);
    }
}

#[test]
fn readings_of_a_common_object_fit_and_those_of_a_monstrous_one_are_left_out() {
    let with = |count: usize| {
        let mut turn = turn(123.0, 4, 100);
        if let TurnStep::Decided { measures, .. } = &mut turn.step {
            *measures = vec![measures[0].clone(); count];
        }
        let record = HistoryRecord::new(subject("orders"), at(0), HistoryFact::Turn(turn));
        there_and_back(&record)
    };
    let (small, back) = with(1);
    assert!(small < 64, "{small} bytes for one trigger");
    assert!(matches!(&back.fact, HistoryFact::Turn(turn) if turn.step.again().is_some()));
    let (_, back) = with(20);
    assert!(matches!(&back.fact, HistoryFact::Turn(turn) if turn.step.again().is_some()));
    let (_, back) = with(200);
    let HistoryFact::Turn(turn) = &back.fact else {
        panic!("it is a turn");
    };
    assert!(matches!(turn.step, TurnStep::LeftOut { triggers: 200, .. }));
    assert_eq!(turn.step.result().unwrap().launch, 21);
}

#[test]
fn every_other_fact_comes_back_from_bytes_and_from_json() {
    let missed = MissedRecord {
        due: at(5_000),
        count: 3,
        reason: "TooLate".into(),
        message: "3 missed".into(),
    };
    let mut records = vec![
        answer("renewals", 9, "evt-1"),
        refused("renewals", 8, "x-api-key"),
        HistoryRecord::new(event_job("nightly"), at(7), HistoryFact::Missed(missed)),
    ];
    for standing in [
        ObjectStanding::Paused,
        ObjectStanding::Invalid("spec.triggers: is missing".into()),
        ObjectStanding::StandsBy,
        ObjectStanding::Broken,
    ] {
        let fact = HistoryFact::Standing(standing);
        records.push(HistoryRecord::new(subject("orders"), at(6), fact));
    }
    for origin in [
        AnswerOrigin::Due(at(1)),
        AnswerOrigin::Backfill(at(2)),
        AnswerOrigin::Trigger(at(3)),
    ] {
        let mut record = answer("nightly", 9, "x");
        if let HistoryFact::Answer(answer) = &mut record.fact {
            answer.origin = origin;
            (answer.job, answer.event) = (None, None);
        }
        records.push(record);
    }
    for record in records {
        let (size, back) = there_and_back(&record);
        assert_eq!(back, record);
        assert!(size + FRAME <= LARGEST_RECORD);
        assert_eq!(json::from_json(&json::to_json(&record)), Some(record));
    }
}

#[test]
fn a_long_id_is_cut_and_found_by_the_whole_one() {
    let id = "ü".repeat(300);
    let history = SharedHistory::default();
    history.record(answer("renewals", 1, &id));
    let found = history.of_event(&id);
    assert_eq!(found.len(), 1);
    let HistoryFact::Answer(found) = &found[0].fact else {
        panic!("it is an answer");
    };
    assert_eq!(found.event.as_deref(), Some(cut(&id, LONGEST_ID)));
    let (size, _) = there_and_back(&answer("renewals", 1, &id));
    assert!(size + FRAME <= LARGEST_RECORD, "{size}");
}

#[test]
fn quiet_turns_that_say_the_same_are_one_record_and_launches_are_each_their_own() {
    let history = SharedHistory::default();
    for second in 0..10 {
        history.record(of_turn("orders", second * 1000, 0.0));
    }
    let records = history.of_object(&subject("orders"), None);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].times, 10);
    assert_eq!((records[0].since, records[0].at), (at(0), at(9_000)));
    for second in 10..13 {
        history.record(of_turn("orders", second * 1000, 20.0));
    }
    let records = history.of_object(&subject("orders"), None);
    assert_eq!(records.len(), 4);
    let by_then = history.of_object(&subject("orders"), Some(at(10_500)));
    assert_eq!(by_then.len(), 2, "what came later is left out");
}

#[test]
fn an_object_keeps_its_last_hundred_and_all_keep_to_the_bytes() {
    let mut memory = RecordMemory::new(64 << 10);
    for number in 0..250 {
        memory.push(of_turn("orders", number, 20.0));
    }
    let records = memory.of_object(&subject("orders"));
    assert_eq!(records.len(), MOST_OF_OBJECT);
    assert_eq!(records[0].at, at(150), "the oldest went first");
    for number in 0..5_000_i64 {
        let name = format!("object-{}", number % 200);
        memory.push(answer(&name, 1_000 + number, &format!("event-{number}")));
        assert!(memory.used() <= 64 << 10, "{} bytes", memory.used());
    }
    assert!(
        memory.of_object(&subject("orders")).is_empty(),
        "the oldest of all went"
    );
    let newest = memory.of_object(&event_job("object-199"));
    assert_eq!(newest.last().unwrap().at, at(5_999));
    assert!(memory.len() > 100);
}

#[test]
fn an_empty_memory_counts_nothing() {
    let mut memory = RecordMemory::new(1 << 20);
    for number in 0..300 {
        memory.push(of_turn(&format!("object-{number}"), number, 20.0));
        memory.push(refused("renewals", number, &format!("header-{number}")));
    }
    assert!(memory.used() > 0);
    // So small that nothing fits: everything goes, and nothing is counted as left.
    let mut memory = RecordMemory::new(1);
    memory.push(of_turn("orders", 1, 20.0));
    assert_eq!((memory.used(), memory.len()), (0, 0));
    assert!(memory.subjects().is_empty());
}

#[test]
fn strangers_push_no_answer_out() {
    let history = SharedHistory::default();
    history.record(answer("renewals", 1, "evt-1"));
    for number in 0..10_000 {
        let field = format!("header-{}", number % 500);
        history.record(refused("renewals", 2 + number, &field));
    }
    let records = history.of_object(&event_job("renewals"), None);
    assert_eq!(records.len(), 1 + MOST_REFUSED);
    assert_eq!(records[0].at, at(1));
    let of_one_cause = SharedHistory::default();
    for number in 0..500 {
        of_one_cause.record(refused("renewals", 2 * number, "a"));
        of_one_cause.record(refused("renewals", 2 * number + 1, "b"));
    }
    let records = of_one_cause.of_object(&event_job("renewals"), None);
    let times: Vec<u32> = records.iter().map(|record| record.times).collect();
    assert_eq!(times, [500, 500]);
}

#[test]
fn a_job_is_found_by_its_name_in_the_turn_or_the_answer_that_made_it() {
    let history = SharedHistory::default();
    history.record(answer("renewals", 1, "evt-1"));
    history.record(of_turn("orders", 2, 20.0));
    history.record(of_turn("orders", 3, 0.0));
    let found = history.of_job("renewals-bcdfghjklm");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at, at(1));
    let job = name::counted(&name::prefix("orders"), "uid-1", 7, 3).name;
    let found = history.of_job(&job);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at, at(2));
    let beyond = name::counted(&name::prefix("orders"), "uid-1", 7, 4).name;
    assert!(history.of_job(&beyond).is_empty(), "it launched four");
}

#[test]
fn a_file_says_what_was_written_and_each_text_once() {
    let mut writer = SegmentWriter::default();
    let mut file = HEAD.to_vec();
    let mut memory = RecordMemory::new(1 << 20);
    let mut largest = 0;
    for number in 0..50 {
        let mut record = of_turn("orders", number, 0.0);
        if let HistoryFact::Turn(turn) = &mut record.fact {
            turn.trouble = Some(TurnTrouble {
                reason: "Rejected".into(),
                message: "the API server says no, at some length".into(),
            });
        }
        let noted = memory.push(record);
        let frames = writer.frames(&noted.record, noted.is_again);
        if number > 0 {
            largest = largest.max(frames.len());
        }
        file.extend(frames);
    }
    file.extend(writer.frames(&answer("renewals", 60, "evt-1"), false));
    let text = String::from_utf8_lossy(&file);
    assert_eq!(text.matches("at some length").count(), 1);
    assert!(largest < 32, "{largest} bytes for the same again");
    let items: Vec<SegmentItem> = SegmentReader::new(&file).unwrap().collect();
    assert_eq!(items.len(), 51);
    assert!(
        matches!(&items[1], SegmentItem::Again(of, time) if *of == subject("orders") && *time == at(1))
    );
    assert_eq!(
        items[50],
        SegmentItem::Record(Box::new(answer("renewals", 60, "evt-1")))
    );
    // A crash in the middle of a frame: what is before it counts.
    for cut in 1..20 {
        let mut reader = SegmentReader::new(&file[..file.len() - cut]).unwrap();
        let whole = reader.by_ref().count();
        assert_eq!(whole, 50, "{cut} bytes are missing");
        assert!(reader.left() > 0);
    }
    let mut flipped = file.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    assert_eq!(SegmentReader::new(&flipped).unwrap().count(), 50);
}

#[test]
fn each_kind_has_one_word() {
    let mut words = HashMap::new();
    for kind in SubjectKind::ALL {
        assert_eq!(SubjectKind::named(kind.name()), Some(kind));
        assert!(words.insert(kind.name(), kind).is_none());
    }
    assert_eq!(SubjectKind::named("ej"), Some(SubjectKind::EventJob));
    assert_eq!(SubjectKind::named("pod"), None);
}
