use super::notes::{Announcer, Notes};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn report(second: i64, turn: Turn) -> Report {
    Report {
        generation: 3,
        now: at(second),
        turn,
    }
}

fn poll(active: bool, launched: u32, error: Option<&str>) -> Turn {
    let result = match error {
        None => Ok(Measured {
            waiting: 2.5,
            active,
        }),
        Some(text) => Err(Failure {
            reason: "Unreachable",
            text: text.to_owned(),
        }),
    };
    Turn::Polled(Poll {
        triggers: vec![TriggerReport {
            metric_name: "s0-a".into(),
            result,
        }],
        pushed: None,
        counts: JobCounts {
            unfinished: 4,
            pending: 1,
        },
        decision: Decision {
            active,
            keda: launched,
            launch: launched,
            held_back: 0,
            reason: "because".into(),
        },
        launched,
        launch_errors: Vec::new(),
    })
}

/// Reasons of the events of a series of turns.
fn said(turns: &[(i64, Turn)]) -> Vec<Vec<&'static str>> {
    let mut announcer = Announcer::default();
    let mut status = Value::Null;
    let mut said = Vec::new();
    for (second, turn) in turns {
        let report = report(*second, turn.clone());
        let next = wanted(Api::Slipway, &status, &report);
        let notes = Notes::of(&status, &next, &report);
        let due = announcer.due(notes, report.now);
        said.push(due.iter().map(|note| note.reason).collect());
        status = next;
    }
    said
}

#[test]
fn a_transition_time_stays_while_the_status_does() {
    let first = wanted(Api::Slipway, &Value::Null, &report(10, poll(true, 1, None)));
    let second = wanted(Api::Slipway, &first, &report(20, poll(true, 0, None)));
    assert_eq!(first["conditions"], second["conditions"]);
    let third = wanted(Api::Slipway, &second, &report(30, poll(false, 0, None)));
    let time =
        |status: &Value, index: usize| status["conditions"][index]["lastTransitionTime"].clone();
    assert_eq!(time(&third, 0), at(10).to_string());
    assert_eq!(time(&third, 1), at(30).to_string());
}

#[test]
fn what_was_launched_counts_as_running_and_part_of_a_unit_as_a_unit() {
    let status = wanted(Api::Slipway, &Value::Null, &report(10, poll(true, 2, None)));
    assert_eq!(status["runningJobs"], 6);
    assert_eq!(status["backlog"], 3);
    assert_eq!(status["observedGeneration"], 3);
    assert_eq!(status["lastLaunchTime"], at(10).to_string());
}

#[test]
fn an_unread_trigger_leaves_no_backlog_and_keeps_the_last_launch() {
    let first = wanted(Api::Slipway, &Value::Null, &report(10, poll(true, 2, None)));
    let second = wanted(
        Api::Slipway,
        &first,
        &report(20, poll(false, 0, Some("down"))),
    );
    assert_eq!(second.get("backlog"), None);
    assert_eq!(second["lastLaunchTime"], at(10).to_string());
    assert_eq!(second["lastDecision"]["triggers"][0]["error"], "down");
}

#[test]
fn in_place_only_fields_of_keda_are_written() {
    let status = wanted(Api::Keda, &Value::Null, &report(10, poll(true, 2, None)));
    let fields: Vec<&String> = status.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["conditions", "lastActiveTime", "triggersActivity"]);
    assert_eq!(status["conditions"][0].get("lastTransitionTime"), None);
}

#[test]
fn fields_of_others_are_not_touched() {
    let before = json!({"round": {"number": 4, "jobs": 1}, "triggersTypes": "kafka"});
    let status = wanted(Api::Slipway, &before, &report(10, Turn::Accepted));
    assert_eq!(status.get("round"), None);
    assert_eq!(status.get("triggersTypes"), None);
}

#[test]
fn a_turn_that_could_not_count_says_so_and_leaves_activity_alone() {
    let first = wanted(Api::Slipway, &Value::Null, &report(10, poll(true, 0, None)));
    let failed = Turn::Failed(Failure {
        reason: "Unavailable",
        text: "jobs of a/b cannot be read".into(),
    });
    let second = wanted(Api::Slipway, &first, &report(20, failed));
    assert_eq!(second["conditions"][0]["status"], "Unknown");
    assert_eq!(second["conditions"][0]["reason"], "Unavailable");
    assert_eq!(second["conditions"][1], first["conditions"][1]);
}

#[test]
fn events_come_once_per_change() {
    let down = |second| (second, poll(false, 0, Some("down")));
    let turns = [
        (0, poll(true, 1, None)),
        (5, poll(true, 1, None)),
        (10, poll(false, 0, None)),
        down(15),
        down(20),
        (25, poll(false, 0, None)),
        down(30),
        down(1000),
        (1005, poll(false, 0, None)),
        down(1010),
        (1400, poll(true, 1, None)),
    ];
    let expected: Vec<Vec<&str>> = vec![
        vec!["ScaledJobReady", "ScaledJobActive", "KEDAJobsCreated"],
        vec![],
        vec!["ScaledJobInactive"],
        vec!["KEDAScalerFailed"],
        vec![],
        vec!["ScaledJobReady"],
        vec![],
        vec![],
        vec!["ScaledJobReady"],
        vec!["KEDAScalerFailed"],
        vec!["ScaledJobReady", "ScaledJobActive", "KEDAJobsCreated"],
    ];
    assert_eq!(said(&turns), expected);
}

#[test]
fn times_are_whole_seconds() {
    let mut report = report(10, poll(true, 1, None));
    report.now = Timestamp::from_millisecond(10_700).expect("in range");
    let status = wanted(Api::Slipway, &Value::Null, &report);
    assert_eq!(status["lastDecision"]["time"], "1970-01-01T00:00:10Z");
    let ready = &status["conditions"][0];
    assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:10Z");
}
