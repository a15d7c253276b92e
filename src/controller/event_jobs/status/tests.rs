use super::*;
use crate::launch::fixtures::{as_seen, delivered as job};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn facts() -> Facts {
    Facts {
        generation: 3,
        standing: EventJobStanding::Ready,
        proof: None,
        has_schedule: Some(false),
        suspended: false,
        jobs: Some(Vec::new()),
        latest: None,
        schedule: None,
        now: at(100),
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().unwrap();
    let mut found = conditions
        .iter()
        .filter(|condition| condition["type"] == kind);
    found.next().unwrap()
}

fn status(before: &Value, facts: &Facts) -> Value {
    wanted(&ObjectId::new("production", "invoice"), before, facts)
}

#[test]
fn what_the_jobs_tell_does_not_depend_on_who_received_the_event() {
    let mut waiting = job("b", 20);
    waiting.gate = Some(Gate::Waiting);
    waiting.is_suspended = true;
    waiting.active_pods = 0;
    let mut done = job("c", 10);
    done.ended = Some((JobOutcome::Complete, at(15)));
    let mut facts = facts();
    facts.jobs = Some(as_seen([job("a", 11), waiting, done]));
    let status = status(&Value::Null, &facts);
    assert_eq!(status["active"], 1);
    assert_eq!(status["waiting"], 1);
    assert_eq!(status["lastJobName"], "b");
    assert_eq!(status["lastEventTime"], "1970-01-01T00:00:20Z");
    assert_eq!(status["lastSuccessfulTime"], "1970-01-01T00:00:15Z");
    assert_eq!(status["url"], "/events/production/invoice");
}

#[test]
fn jobs_that_are_gone_or_not_seen_take_nothing_back() {
    let mut facts = facts();
    facts.jobs = Some(as_seen([job("a", 11)]));
    let first = status(&Value::Null, &facts);
    facts.jobs = Some(Vec::new());
    let second = status(&first, &facts);
    assert_eq!(second["lastEventTime"], first["lastEventTime"]);
    assert_eq!(second["lastJobName"], "a");
    assert_eq!(second["active"], 0);
    facts.jobs = None;
    assert_eq!(status(&first, &facts)["active"], 1);
}

#[test]
fn conditions_say_why_and_keep_their_time_until_they_turn() {
    let mut facts = facts();
    let ready = status(&Value::Null, &facts);
    assert_eq!(condition(&ready, "Ready")["status"], "True");
    assert_eq!(condition(&ready, "Launching")["status"], "True");
    facts.now = at(200);
    facts.standing = EventJobStanding::Invalid(vec![Fault::at("spec.pattern", "is wrong")]);
    let invalid = status(&ready, &facts);
    let first = condition(&invalid, "Ready");
    assert_eq!(first["reason"], "Invalid");
    assert_eq!(first["message"], "spec.pattern: is wrong");
    assert_eq!(first["lastTransitionTime"], "1970-01-01T00:03:20Z");
    assert_eq!(
        condition(&invalid, "Suspended")["lastTransitionTime"],
        "1970-01-01T00:01:40Z"
    );
    facts.standing = EventJobStanding::Ready;
    facts.suspended = true;
    let suspended = status(&invalid, &facts);
    assert_eq!(condition(&suspended, "Suspended")["status"], "True");
    assert_eq!(condition(&suspended, "Launching")["reason"], "Suspended");
}

#[test]
fn one_with_a_schedule_speaks_of_due_times_and_has_no_address() {
    let mut facts = facts();
    facts.has_schedule = Some(true);
    facts.suspended = true;
    let before = json!({"url": "/events/production/invoice", "schedule": {"version": 1}});
    let written = status(&before, &facts);
    assert_eq!(written["url"], Value::Null);
    for kind in ["Ready", "Launching", "Suspended"] {
        let message = condition(&written, kind)["message"].as_str().unwrap();
        assert!(!message.contains("event"), "{kind}: {message}");
    }
    // An edit that makes it invalid makes it no receiver of events.
    facts.has_schedule = None;
    facts.standing = EventJobStanding::Invalid(vec![Fault::at("spec.source.cron", "is wrong")]);
    let invalid = status(&before, &facts);
    assert_eq!(invalid["url"], Value::Null);
    let launching = condition(&invalid, "Launching");
    assert_eq!(launching["message"], "no due time becomes a Job");
}

#[test]
fn a_schedule_that_is_held_up_says_why_it_launches_nothing() {
    let held_up = Facts {
        has_schedule: Some(true),
        schedule: Some(Trouble {
            reason: "Unavailable",
            text: "its record cannot be read".to_owned(),
        }),
        ..facts()
    };
    let status = status(&json!({}), &held_up);
    assert_eq!(condition(&status, "Ready")["status"], "True");
    let launching = condition(&status, "Launching");
    assert_eq!(launching["status"], "False");
    assert_eq!(launching["message"], "its record cannot be read");
}
