//! Statuses and Events: KEDA's recorded conditions, and what is written into the real API server.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use slipway::cluster::{Call, Cluster};
use slipway::controller::Identity;
use slipway::controller::status::writer::Writer;
use slipway::controller::status::{Failure, Measured, Poll, Report, TriggerReport, Turn, wanted};
use slipway::resource::{Api, Fault, ObjectId};
use slipway::scaling::{Decision, JobCounts};

use crate::support::api_proxy::{self, Rule};
use crate::support::vectors;
use crate::support::world::World;

fn report(turn: Turn) -> Report {
    Report {
        generation: 1,
        now: Timestamp::from_second(1_800_000_000).expect("in range"),
        turn,
    }
}

fn trigger(metric_name: &str, result: Result<bool, &str>) -> TriggerReport {
    let failure = |text: &str| Failure {
        reason: "Unreachable",
        text: text.to_owned(),
    };
    TriggerReport {
        metric_name: metric_name.to_owned(),
        result: result
            .map(|active| Measured {
                waiting: 1.0,
                active,
            })
            .map_err(failure),
    }
}

fn poll(active: bool, triggers: Vec<TriggerReport>) -> Poll {
    Poll {
        triggers,
        pushed: None,
        counts: JobCounts::default(),
        decision: Decision {
            active,
            keda: 0,
            launch: 0,
            held_back: 0,
            reason: "a row of the vectors".to_owned(),
        },
        launched: 0,
        launch_errors: Vec::new(),
    }
}

/// One trigger, failing or not, and the activity that the decision says.
fn polled(active: bool, failing: bool) -> Turn {
    let result = if failing {
        Err("no answer")
    } else {
        Ok(active)
    };
    Turn::Polled(poll(active, vec![trigger("s0-a", result)]))
}

fn condition(status: &Value, name: &str) -> Value {
    let conditions = status["conditions"].as_array().expect("conditions");
    let mut found = conditions
        .iter()
        .find(|condition| condition["type"] == name)
        .unwrap_or(&Value::Null)
        .clone();
    let fields = found.as_object_mut().expect("a condition of each type");
    fields.remove("type");
    fields.remove("lastTransitionTime");
    found
}

/// Conditions that a row names are as it says; the others are as `before`.
fn check(row: &Value, before: &Value, after: &Value) {
    for name in ["Ready", "Active", "Fallback", "Paused"] {
        let expected = row.get(name).cloned();
        let expected = expected.unwrap_or_else(|| condition(before, name));
        assert_eq!(condition(after, name), expected, "{name} in {row}");
    }
}

fn initial() -> Value {
    json!({"conditions": vectors::rows("conditions", "initial")})
}

#[test]
fn conditions_of_a_poll_are_those_of_the_vectors() {
    for row in vectors::rows("conditions", "poll") {
        let flag = |name: &str| row[name].as_bool().expect("a flag");
        let report = report(polled(flag("isActive"), flag("isError")));
        for before in [Value::Null, initial()] {
            let after = wanted(Api::Keda, &before, &report);
            check(&row, &initial(), &after);
            let is_now = after["lastActiveTime"] == report.now.to_string();
            assert_eq!(is_now, row["lastActiveTime"] == "now", "{row}");
        }
    }
}

#[test]
fn conditions_of_an_object_that_was_read_are_those_of_the_vectors() {
    let steps = vectors::rows("conditions", "stepMessages");
    for row in vectors::rows("conditions", "reconcile") {
        let case = row["case"].as_str().expect("a case");
        if case.starts_with("unpaused") {
            let paused = wanted(Api::Keda, &Value::Null, &report(Turn::Paused));
            let after = wanted(Api::Keda, &paused, &report(Turn::Accepted));
            assert_eq!(condition(&after, "Paused"), row["Paused"]);
        } else if case.starts_with("paused") {
            check(
                &row,
                &initial(),
                &wanted(Api::Keda, &Value::Null, &report(Turn::Paused)),
            );
        } else if case.starts_with("success") {
            check(
                &row,
                &initial(),
                &wanted(Api::Keda, &Value::Null, &report(Turn::Accepted)),
            );
        } else {
            for step in &steps {
                let message = step.as_str().expect("a text");
                let turn = Turn::Invalid(vec![Fault::at("", message)]);
                let mut row = row.clone();
                row["Ready"]["message"] = message.into();
                check(
                    &row,
                    &initial(),
                    &wanted(Api::Keda, &Value::Null, &report(turn)),
                );
            }
        }
    }
}

#[test]
fn trigger_activity_is_that_of_the_vectors() {
    for row in vectors::rows("triggers_activity", "cases") {
        let names = |field: &str| -> Vec<String> {
            let list = row[field].as_array().expect("names");
            list.iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect()
        };
        let active = names("activeTriggers");
        let triggers = names("externalMetricNames")
            .iter()
            .map(|name| trigger(name, Ok(active.contains(name))))
            .collect();
        let mut poll = poll(!active.is_empty(), triggers);
        poll.pushed = row["push"].as_str().map(str::to_owned);
        let entry = |(name, active): (&String, &Value)| (name.clone(), json!({"isActive": active}));
        let entries = |field: &str| -> Map<String, Value> {
            row[field]
                .as_object()
                .into_iter()
                .flatten()
                .map(entry)
                .collect()
        };
        let before = json!({"triggersActivity": entries("previous")});
        let after = wanted(Api::Slipway, &before, &report(Turn::Polled(poll)));
        assert_eq!(after["triggersActivity"], json!(entries("expect")), "{row}");
    }
}

/// An object with a writer that goes through the proxy.
struct Written {
    world: World,
    writer: Writer,
    subject: Identity,
}

impl Written {
    async fn new(test: &str) -> Self {
        let world = World::new(test).await;
        let subject = Identity {
            uid: world.scaled_job("resize").await,
            id: ObjectId::new(&world.namespace, "resize"),
            api: Api::Slipway,
            generation: 1,
            status: Value::Null,
        };
        let writer = Writer::new(Cluster::new(world.proxy.client()), "slipway-0");
        Self {
            world,
            writer,
            subject,
        }
    }

    async fn write(&self, turn: Turn) {
        let report = report(turn);
        self.writer.write(&self.subject, &report).await;
    }

    async fn status(&self) -> Value {
        let path = format!("{}/resize", self.world.scaled_jobs_path());
        self.world.get(&path).await["status"].clone()
    }

    /// Type, reason and note of the object's Events, in the order of their names.
    async fn events(&self) -> Vec<Value> {
        let path = format!(
            "/apis/events.k8s.io/v1/namespaces/{}/events",
            self.world.namespace
        );
        let list = self.world.get(&path).await;
        let events = list["items"].as_array().expect("events");
        let ours = |event: &&Value| event["regarding"]["uid"] == self.subject.uid;
        let brief = |event: &Value| json!([event["type"], event["reason"], event["note"]]);
        events.iter().filter(ours).map(brief).collect()
    }
}

#[tokio::test]
async fn activity_events_are_those_that_keda_sends() {
    for (index, row) in vectors::rows("conditions", "pollEvents").iter().enumerate() {
        let written = Written::new(&format!("activity-{index}")).await;
        let flag = |name: &str| row[name].as_bool().expect("a flag");
        written.write(polled(flag("wasActive"), false)).await;
        let before = written.events().await;
        written.write(polled(flag("isActive"), false)).await;
        let mut after = written.events().await;
        for event in &before {
            let at = after
                .iter()
                .position(|other| other == event)
                .expect("events stay");
            after.remove(at);
        }
        let expected: Vec<Value> = row
            .get("event")
            .filter(|event| !event.is_null())
            .cloned()
            .into_iter()
            .collect();
        assert_eq!(after, expected, "{row}");
    }
}

#[tokio::test]
async fn a_status_is_written_once_and_the_round_beside_it_stays() {
    let written = Written::new("status").await;
    let path = format!("{}/resize/status", written.world.scaled_jobs_path());
    let round = json!({"status": {"round": {"number": 3, "jobs": 1}}});
    let call = Call::merge_patch(path.clone(), round);
    written.world.direct.send(call).await.expect("an answer");

    for _ in 0..5 {
        written.write(polled(true, false)).await;
    }
    assert_eq!(written.world.proxy.calls("PATCH", "/status"), 1);
    let status = written.status().await;
    assert_eq!(status["round"]["number"], 3);
    assert_eq!(status["backlog"], 1);
    assert_eq!(condition(&status, "Active")["status"], "True");

    written.write(polled(false, true)).await;
    let status = written.status().await;
    assert_eq!(
        status.get("backlog"),
        None,
        "unknown is not shown as it was"
    );
}

#[tokio::test]
async fn a_status_that_could_not_be_written_comes_with_the_next_report() {
    let written = Written::new("unwritten").await;
    let fault = api_proxy::Fault::Refuse(500);
    written
        .world
        .proxy
        .fault(Rule::on("PATCH", "/status", fault).times(2));
    for _ in 0..3 {
        written.write(polled(true, false)).await;
    }
    assert_eq!(
        condition(&written.status().await, "Active")["status"],
        "True"
    );
    let events = written.events().await;
    assert_eq!(events.len(), 2, "each once: {events:?}");
}
