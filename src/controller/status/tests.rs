use super::*;
use crate::controller::status_writer::notes::Announcer;
use crate::cycle;
use crate::scaling::{JobCounts, Reading, TopUp};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn report(second: i64, observed: Observed) -> Report {
    Report {
        generation: 3,
        now: at(second),
        observed,
        template: TemplateVerdict::Unknown,
    }
}

fn outcome(verdict: Verdict, launched: u32) -> TurnOutcome {
    TurnOutcome {
        triggers: Vec::new(),
        polled_at: None,
        jobs: Ok(Vec::new()),
        counts: Some(JobCounts {
            unfinished: 4,
            pending: 1,
        }),
        measures: Vec::new(),
        verdict: Some(verdict),
        round: None,
        launched,
        errors: Vec::new(),
        acted: true,
    }
}

fn decided(active: bool, launch: u32) -> Verdict {
    Verdict::Decided(Decision {
        active,
        keda: launch,
        launch,
        held_back: 0,
        reason: "because".into(),
    })
}

fn poll(active: bool, launched: u32, error: Option<&str>) -> Observed {
    let mut outcome = outcome(decided(active, launched), launched);
    let result = match error {
        None => Ok((Reading::new(2.5), active)),
        Some(text) => Err(cycle::Failure {
            reason: "Unreachable",
            message: text.to_owned(),
            transient: true,
        }),
    };
    outcome.triggers = vec![TriggerOutcome {
        metric_name: "s0-a".into(),
        result,
        warning: None,
    }];
    Observed::Turn(outcome)
}

/// Reasons of the events of a series of turns.
fn said(turns: impl IntoIterator<Item = (i64, Observed)>) -> Vec<Vec<&'static str>> {
    let mut announcer = Announcer::default();
    let mut status = Value::Null;
    let mut said = Vec::new();
    for (second, observed) in turns {
        let report = report(second, observed);
        let next = wanted(Api::Slipway, &status, &report);
        let notes = notes(&status, &next, &report);
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
    let status = wanted(Api::Slipway, &before, &report(10, Observed::Paused));
    assert_eq!(status.get("round"), None);
    assert_eq!(status.get("triggersTypes"), None);
}

#[test]
fn a_turn_that_could_not_count_says_so_and_leaves_activity_alone() {
    let first = wanted(Api::Slipway, &Value::Null, &report(10, poll(true, 0, None)));
    let mut failed = outcome(decided(true, 0), 0);
    failed.jobs = Err(launch::Error::Unavailable {
        object: "jobs of a/b".into(),
        detail: "no answer".into(),
    });
    let failed = Observed::Turn(failed);
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
    assert_eq!(said(turns), expected);
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

fn top_up(launch: u32) -> Observed {
    let verdict = Verdict::ToppedUp(TopUp {
        launch,
        held_back: 7,
        reason: "a Job finished".into(),
    });
    Observed::Turn(outcome(verdict, launch))
}

#[test]
fn a_top_up_changes_what_the_decision_comes_to_and_not_what_was_read() {
    let first = wanted(Api::Slipway, &Value::Null, &report(10, poll(true, 2, None)));
    let idle = wanted(Api::Slipway, &first, &report(20, top_up(0)));
    assert_eq!(idle, first);
    let second = wanted(Api::Slipway, &first, &report(20, top_up(1)));
    assert_eq!(second["conditions"], first["conditions"]);
    assert_eq!(second["lastLaunchTime"], at(20).to_string());
    let (before, after) = (&first["lastDecision"], &second["lastDecision"]);
    assert_eq!(after["triggers"], before["triggers"]);
    assert_eq!(
        (&after["launch"], &after["heldBack"]),
        (&json!(1), &json!(7))
    );
}

#[test]
fn an_unpaused_object_says_so_at_its_first_turn_even_if_there_is_nothing_to_launch() {
    let paused = wanted(Api::Slipway, &Value::Null, &report(10, Observed::Paused));
    let status = wanted(Api::Slipway, &paused, &report(20, top_up(0)));
    assert_eq!(status["conditions"][3]["status"], "False");
}

#[test]
fn the_last_decision_says_what_became_of_its_launch_in_the_servers_words() {
    let mut refused = outcome(decided(true, 3), 1);
    refused.errors = vec![
        launch::Error::Quota {
            object: "a/b-1".into(),
            detail: "exceeded quota".into(),
        };
        2
    ];
    let report = report(10, Observed::Turn(refused));
    let status = wanted(Api::Slipway, &Value::Null, &report);
    assert_eq!(
        status["lastDecision"]["reason"],
        "because; launched 1 of 3: no room for a/b-1: exceeded quota"
    );
}

#[test]
fn an_object_whose_jobs_are_refused_is_not_ready_until_one_is_made_or_it_is_edited() {
    let refused = |launched: u32| {
        let Observed::Turn(mut outcome) = poll(true, launched, None) else {
            unreachable!("a poll is a turn");
        };
        outcome.errors = vec![launch::Error::Rejected {
            object: "Job a/b".to_owned(),
            detail: "volumeMounts[0].name: Not found".to_owned(),
        }];
        Observed::Turn(outcome)
    };
    let ready = |status: &Value| {
        let conditions = status["conditions"].as_array().expect("a list");
        let ready = conditions
            .iter()
            .find(|condition| condition["type"] == "Ready");
        ready.expect("Ready")["status"]
            .as_str()
            .expect("a word")
            .to_owned()
    };
    let first = wanted(Api::Slipway, &Value::Null, &report(10, refused(0)));
    assert_eq!(ready(&first), "False");
    assert!(first.to_string().contains("Not found"), "{first}");
    // A turn that launches nothing says nothing about the template.
    let idle = wanted(Api::Slipway, &first, &report(20, poll(false, 0, None)));
    assert_eq!(ready(&idle), "False");
    let made = wanted(Api::Slipway, &idle, &report(30, poll(true, 1, None)));
    assert_eq!(ready(&made), "True");
    let edited = Report {
        generation: 4,
        ..report(30, poll(false, 0, None))
    };
    assert_eq!(ready(&wanted(Api::Slipway, &idle, &edited)), "True");
}

#[test]
fn a_dry_run_says_whether_jobs_can_be_made_before_there_is_work() {
    let idle = |second: i64, template: TemplateVerdict| Report {
        template,
        ..report(second, poll(false, 0, None))
    };
    let ready = |status: &Value| {
        let conditions = status["conditions"].as_array().expect("a list");
        let ready = conditions.iter().find(|one| one["type"] == "Ready");
        ready.expect("Ready").clone()
    };
    let refused = TemplateVerdict::Refused("the server's words".to_owned());
    let first = wanted(Api::Slipway, &Value::Null, &idle(10, refused));
    assert_eq!(ready(&first)["status"], "False");
    assert_eq!(ready(&first)["reason"], "KEDAJobCreateFailed");
    assert_eq!(ready(&first)["message"], "the server's words");
    // No answer changes nothing, a new one does.
    let unknown = wanted(Api::Slipway, &first, &idle(20, TemplateVerdict::Unknown));
    assert_eq!(ready(&unknown)["status"], "False");
    let proved = wanted(Api::Slipway, &unknown, &idle(30, TemplateVerdict::Proved));
    assert_eq!(ready(&proved)["status"], "True");
    assert_eq!(proved["proof"]["generation"], 3);
    // KEDA's CustomResourceDefinition has no such field.
    let kedas = wanted(Api::Keda, &Value::Null, &idle(40, TemplateVerdict::Proved));
    assert_eq!(kedas["proof"], Value::Null);
}

#[test]
fn what_a_source_warns_of_is_one_event_while_it_lasts_and_stands_in_the_status() {
    let warns = |text: Option<&str>| {
        let Observed::Turn(mut outcome) = poll(true, 0, None) else {
            unreachable!("a poll is a turn")
        };
        outcome.triggers[0].warning = text.map(str::to_owned);
        Observed::Turn(outcome)
    };
    let typo = Some("is `consumerGroup` right?");
    let turns = [typo, typo, None, typo].into_iter().zip([0, 30, 60, 900]);
    let said = said(turns.map(|(text, second)| (second, warns(text))));
    let told: Vec<usize> = said
        .iter()
        .map(|reasons| {
            let warnings = reasons.iter();
            warnings.filter(|it| **it == "TriggerWarning").count()
        })
        .collect();
    assert_eq!(told, [1, 0, 0, 1]);
    let status = wanted(Api::Slipway, &Value::Null, &report(10, warns(typo)));
    let trigger = &status["lastDecision"]["triggers"][0];
    assert_eq!(trigger["warning"], "is `consumerGroup` right?");
    let status = wanted(Api::Slipway, &status, &report(20, warns(None)));
    let trigger = &status["lastDecision"]["triggers"][0];
    assert_eq!(trigger.get("warning"), None);
}
