//! `slipway replay`: the same program decides the same, and one that differs is told where.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use jiff::Timestamp;
use serde_json::{Value, json};
use slipway::cli::replay::{self, Args};
use slipway::history::json as wire;
use slipway::history::replay::ReplayEngine;
use slipway::history::segment::{HEAD, SegmentWriter};
use slipway::history::{
    AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, MissedRecord, Subject, SubjectKind,
    TurnRecord, TurnStep, WakeWord,
};
use slipway::resource::ObjectId;
use slipway::scaling::{
    self, Bounds, Calculation, DecisionResult, JobCounts, Measure, Policy, Reading, Strategy,
};

use super::Folder;
use crate::support::process::answer;

/// So many decisions, of every strategy and calculation, with numbers that repeat in none.
fn records(count: u32) -> impl Iterator<Item = HistoryRecord> {
    (0..count).map(|number| {
        let strategies = [
            Strategy::Default,
            Strategy::Custom {
                deduction: i64::from(number % 3),
                running_percentage: 0.37,
            },
            Strategy::Accurate,
            Strategy::Eager,
        ];
        let calculations = [
            Calculation::Max,
            Calculation::Min,
            Calculation::Avg,
            Calculation::Sum,
        ];
        let policy = Policy {
            strategy: strategies[number as usize % 4],
            calculation: calculations[number as usize / 4 % 4],
            bounds: Bounds {
                min: (number % 5 == 0).then_some(2),
                max: Some(10 + number % 90),
            },
        };
        let measure = |index: u32| Measure {
            label: format!("s{index}-kafka-orders"),
            reading: Reading::new(f64::from(number % 997) + 0.25 * f64::from(index)),
            target: f64::from(1 + number % 7),
            activation: 0.0,
        };
        let measures: Vec<Measure> = (0..=number % 2).map(measure).collect();
        let counts = JobCounts {
            unfinished: number % 60,
            pending: number % 11,
        };
        let step = if number % 10 == 9 {
            let top_up = scaling::top_up(policy.bounds, number % 40, counts);
            TurnStep::ToppedUp {
                bounds: policy.bounds,
                held_back: number % 40,
                counts,
                result: DecisionResult::of_top_up(&top_up),
            }
        } else {
            let decision = scaling::decide(&policy, &measures, counts);
            TurnStep::Decided {
                result: DecisionResult::of(&decision),
                policy,
                measures,
                counts,
            }
        };
        let turn = TurnRecord {
            wake: WakeWord::Timer,
            step,
            unread: Vec::new(),
            launched: 0,
            round: None,
            uid: "".into(),
            trouble: None,
            next_look: None,
        };
        let subject = Subject {
            kind: SubjectKind::ScaledJob,
            id: ObjectId::new("production", format!("orders-{}", number % 50)),
        };
        let time = Timestamp::from_second(1_796_000_000 + i64::from(number)).unwrap();
        HistoryRecord::new(subject, time, HistoryFact::Turn(turn))
    })
}

fn file(records: impl Iterator<Item = HistoryRecord>) -> Vec<u8> {
    let mut writer = SegmentWriter::default();
    let mut file = HEAD.to_vec();
    for record in records {
        file.extend(writer.frames(&record, false));
    }
    file
}

fn result(record: &mut HistoryRecord) -> Option<&mut DecisionResult> {
    match &mut record.fact {
        HistoryFact::Turn(turn) => match &mut turn.step {
            TurnStep::Decided { result, .. } | TurnStep::ToppedUp { result, .. } => Some(result),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// What a program with another engine says.
fn replayed(engine: ReplayEngine, arguments: &[&str]) -> (ExitCode, String) {
    let line = [&["replay"], arguments].concat();
    let Line { args } = Line::parse_from(line);
    let mut out = Vec::new();
    let code = replay::run_with(&args, engine, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn many_records_are_decided_again_to_the_same_and_in_time() {
    let folder = Folder::new("many");
    let count = 100_000;
    let bytes = file(records(count));
    assert!(
        bytes.len() < 60 * count as usize,
        "{} bytes a record",
        bytes.len() / count as usize
    );
    let path = folder.file("a.history", bytes);
    let started = Instant::now();
    let (code, text) = answer(&["replay", &path], "");
    let took = started.elapsed();
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("0 of 100000 decisions would differ"),
        "{text}"
    );
    // Not optimised, and beside other tests.
    assert!(took < Duration::from_mins(1), "{took:?}");
}

#[test]
fn altered_results_are_listed_and_no_others() {
    let folder = Folder::new("altered");
    let altered = [17, 999, 1_234];
    let planted = records(2_000).enumerate().map(|(number, mut record)| {
        if altered.contains(&number)
            && let Some(result) = result(&mut record)
        {
            result.launch += 1;
        }
        record
    });
    let path = folder.file("a.history", file(planted));
    let (code, text) = answer(&["replay", &path], "");
    assert_eq!(code, Some(1), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), altered.len() + 1, "{text}");
    for (line, number) in lines.iter().zip(altered) {
        let name = format!("ScaledJob production/orders-{}: launch was", number % 50);
        assert!(line.contains(&name), "{line}");
        assert!(line.contains("; now: "), "{line}");
    }
    assert!(lines[3].starts_with("3 of 2000 decisions would differ"));
}

#[test]
fn a_program_with_a_changed_strategy_is_told_exactly_the_decisions_that_it_changes() {
    let folder = Folder::new("changed");
    let path = folder.file("a.history", file(records(4_000)));
    let changed: fn(&Policy, &[Measure], JobCounts) -> DecisionResult =
        |policy, measures, counts| {
            let mut result = scaling::decide_numbers(policy, measures, counts);
            if policy.strategy == Strategy::Eager {
                result.launch = result.launch.saturating_sub(1);
            }
            result
        };
    let engine = ReplayEngine {
        decide: changed,
        ..ReplayEngine::default()
    };
    let (_, text) = replayed(engine, &[&path, "-o", "json"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    let differing = told["differing"].as_array().unwrap();
    let expected = records(4_000).filter(|record| match &record.fact {
        HistoryFact::Turn(turn) => match &turn.step {
            TurnStep::Decided { policy, result, .. } => {
                policy.strategy == Strategy::Eager && result.launch > 0
            }
            _ => false,
        },
        _ => false,
    });
    let expected: Vec<Value> = expected.map(|record| wire::to_json(&record)).collect();
    assert!(expected.len() > 100);
    let told: Vec<Value> = differing.iter().map(|one| one["record"].clone()).collect();
    assert_eq!(told, expected);
    let (code, text) = replayed(ReplayEngine::default(), &[&path]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(text.starts_with("0 of 4000"), "{text}");
}

#[test]
fn what_the_api_and_other_programs_write_is_read_too() {
    let all: Vec<Value> = records(30).map(|record| wire::to_json(&record)).collect();
    let lines: Vec<String> = all.iter().map(Value::to_string).collect();
    for text in [
        json!({"records": all}).to_string(),
        json!(all).to_string(),
        lines.join("\n"),
    ] {
        let (code, said) = answer(&["replay", "-"], &text);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("0 of 30 decisions"), "{said}");
    }
    let (code, _) = answer(&["replay", "-"], "{\"records\": []}");
    assert_eq!(code, Some(2), "there is no decision");
    let (code, _) = answer(&["replay", "-"], "not json");
    assert_eq!(code, Some(1));
    let (code, _) = answer(&["replay", "-"], "{\"a\": 1}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_file_that_a_crash_cut_counts_up_to_there() {
    let folder = Folder::new("cut");
    let mut bytes = file(records(100));
    bytes.truncate(bytes.len() - 3);
    folder.file("a.history", bytes);
    let (code, text) = answer(&["replay", folder.path().to_str().unwrap()], "");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0 of 99 decisions"), "{text}");
    assert!(text.contains("1 could not be read"), "{text}");
}

#[test]
fn what_was_decided_of_due_times_is_counted_and_not_decided_again() {
    let at = |second: i64| Timestamp::from_second(1_796_000_000 + second).unwrap();
    let of = |fact| {
        HistoryRecord::new(
            Subject::event_job(&ObjectId::new("shop", "nightly")),
            at(5),
            fact,
        )
    };
    let answer_of = |origin| {
        of(HistoryFact::Answer(AnswerRecord {
            origin,
            event: Some("id".into()),
            result: "Created".into(),
            status: 0,
            job: Some("nightly-x".into()),
            message: "its Job was created".into(),
            took: Duration::ZERO,
        }))
    };
    let missed = of(HistoryFact::Missed(MissedRecord {
        due: at(0),
        count: 3,
        reason: "MissSchedule".into(),
        message: "3 missed".into(),
    }));
    let due = answer_of(AnswerOrigin::Due(at(0)));
    let others = [
        due.clone(),
        missed,
        answer_of(AnswerOrigin::Trigger(at(0))),
        answer_of(AnswerOrigin::Webhook),
    ];
    let all: Vec<Value> = records(3)
        .chain(others)
        .map(|record| wire::to_json(&record))
        .collect();
    let text = json!(all).to_string();
    let (code, said) = answer(&["replay", "-"], &text);
    assert_eq!(code, Some(0), "{said}");
    let last = said.lines().last().unwrap();
    for part in [
        "0 of 3 decisions would differ",
        "2 decisions of due times cannot be decided again, because a record does not have the schedule",
        "2 records are of events and states",
    ] {
        assert!(last.contains(part), "{part}: {said}");
    }
    let (_, told) = answer(&["replay", "-", "-o", "json"], &text);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["dueTimes"], &told["otherRecords"]),
        (&json!(2), &json!(2))
    );
    // Of those alone there is nothing to decide.
    let (code, _) = answer(&["replay", "-"], &json!([wire::to_json(&due)]).to_string());
    assert_eq!(code, Some(2));
}
