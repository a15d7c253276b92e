//! Statuses and Events: KEDA's recorded conditions, and what is written into the real API server.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use slipway::cluster::{Call, Cluster};
use slipway::controller::status::{Observed, Report, TemplateVerdict, wanted};
use slipway::controller::status_writer::StatusWriter;
use slipway::controller::{Identity, Reporter as _};
use slipway::cycle::{Failure, TriggerOutcome, TurnOutcome, Verdict};
use slipway::resource::{Api, Fault, ObjectId};
use slipway::scaling::{Decision, JobCounts, Reading};

use crate::support::api_proxy::{self, Rule};
use crate::support::vectors;
use crate::support::world::World;

fn report(observed: Observed) -> Report {
    Report {
        generation: 1,
        now: Timestamp::from_second(1_800_000_000).expect("in range"),
        observed,
        template: TemplateVerdict::Unknown,
    }
}

fn trigger(metric_name: &str, result: Result<bool, &str>) -> TriggerOutcome {
    let reading = Reading::new(1.0);
    let failure = |text: &str| Failure {
        reason: "Unreachable",
        message: text.to_owned(),
        transient: true,
    };
    TriggerOutcome {
        metric_name: metric_name.to_owned(),
        result: result.map(|active| (reading, active)).map_err(failure),
        warning: None,
    }
}

fn poll(active: bool, triggers: Vec<TriggerOutcome>) -> Observed {
    Observed::Turn(TurnOutcome {
        triggers,
        polled_at: None,
        jobs: Ok(Vec::new()),
        counts: Some(JobCounts::default()),
        measures: Vec::new(),
        round: None,
        verdict: Some(Verdict::Decided(Decision {
            active,
            keda: 0,
            launch: 0,
            held_back: 0,
            reason: "a row of the vectors".to_owned(),
        })),
        launched: 0,
        errors: Vec::new(),
        acted: true,
    })
}

/// One trigger, failing or not, and the activity that the decision says.
fn polled(active: bool, failing: bool) -> Observed {
    let result = if failing {
        Err("no answer")
    } else {
        Ok(active)
    };
    poll(active, vec![trigger("s0-a", result)])
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
    let after = |before: &Value, observed| wanted(Api::Keda, before, &report(observed));
    for row in vectors::rows("conditions", "reconcile") {
        let case = row["case"].as_str().expect("a case");
        if case.starts_with("unpaused") {
            let paused = after(&Value::Null, Observed::Paused);
            let polled = after(&paused, polled(true, false));
            assert_eq!(condition(&polled, "Paused"), row["Paused"]);
        } else if case.starts_with("paused") {
            check(&row, &initial(), &after(&Value::Null, Observed::Paused));
        } else if case.starts_with("success") {
            // KEDA's reconciler says "ready to scaling" until the first poll says "ready for scaling". Our first
            // status comes with the first poll: but for that word, Ready is the row's.
            let mut row = row.clone();
            let message = row["Ready"]["message"].as_str().expect("a text");
            row["Ready"]["message"] = message.replace("ready to", "ready for").into();
            let polled = after(&Value::Null, polled(false, false));
            assert_eq!(condition(&polled, "Ready"), row["Ready"]);
        } else {
            for step in &steps {
                let message = step.as_str().expect("a text");
                let invalid = Observed::Invalid(vec![Fault::at("", message)]);
                let mut row = row.clone();
                row["Ready"]["message"] = message.into();
                check(&row, &initial(), &after(&Value::Null, invalid));
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
        let mut active = names("activeTriggers");
        if let Some(pushed) = row["push"].as_str() {
            // KEDA looks only at the trigger that pushed, and keeps what it knew of the others. We read them all, so
            // the others are active here because their source says so: the same entries come of it.
            let before = row["previous"].as_object().expect("what KEDA knew");
            let others = before.iter().filter(|(name, _)| *name != pushed);
            let still = others.filter(|(_, active)| **active == json!(true));
            active.extend(still.map(|(name, _)| name.clone()));
        }
        let triggers = names("externalMetricNames")
            .iter()
            .map(|name| trigger(name, Ok(active.contains(name))))
            .collect();
        let poll = poll(!active.is_empty(), triggers);
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
        let after = wanted(Api::Slipway, &before, &report(poll));
        assert_eq!(after["triggersActivity"], json!(entries("expect")), "{row}");
    }
}

/// An object with a writer that goes through the proxy.
struct Written {
    world: World,
    writer: StatusWriter,
    subject: Identity,
    path: String,
}

impl Written {
    async fn new(test: &str) -> Self {
        Self::of(test, Api::Slipway).await
    }

    async fn of(test: &str, api: Api) -> Self {
        let world = World::new(test).await;
        let group = match api {
            Api::Slipway => "slipway.dev",
            Api::Keda => "keda.sh",
        };
        let subject = Identity {
            uid: world.scaled_job_in(group, "resize").await,
            id: ObjectId::new(&world.namespace, "resize"),
            api,
            generation: 1,
            status: Value::Null.into(),
        };
        let path = format!("{}/resize", world.path(group, "scaledjobs"));
        let writer = StatusWriter::scaled_jobs(Cluster::new(world.proxy.client()), "slipway-0");
        Self {
            world,
            writer,
            subject,
            path,
        }
    }

    /// Reports on the object as it was read last. Whether there is something left to write.
    async fn write(&self, observed: Observed) -> bool {
        self.writer.report(&self.subject, report(observed));
        self.writer.flush(&self.subject).await.is_some()
    }

    /// The watch shows the object as it is.
    async fn see(&mut self) {
        self.subject.status = self.status().await.into();
    }

    async fn status(&self) -> Value {
        self.world.get(&self.path).await["status"].clone()
    }

    fn writes(&self) -> usize {
        self.world.proxy.calls("PATCH", "/status")
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
    assert_eq!(written.writes(), 1);
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

/// A leads and freezes; B writes; A leads again.
#[tokio::test]
async fn a_status_is_true_again_at_the_first_report_of_a_leader_that_was_away() {
    let mut first = Written::new("status-again").await;
    first.write(polled(true, false)).await;
    first.see().await;
    let cluster = Cluster::new(first.world.proxy.client());
    let second = StatusWriter::scaled_jobs(cluster, "slipway-1");
    let failing = report(polled(false, true));
    second.report(&first.subject, failing);
    second.flush(&first.subject).await;
    let ready = async |written: &Written| condition(&written.status().await, "Ready");
    assert_eq!(ready(&first).await["reason"], "TriggerError");

    first.see().await;
    first.writer.forget(&first.subject);
    first.write(polled(true, false)).await;
    assert_eq!(ready(&first).await["reason"], "ScaledJobReady");
    assert_eq!(first.status().await["backlog"], 1);

    // Nor does it stay when nobody noticed that another wrote.
    first.see().await;
    first.write(polled(true, false)).await;
    let failing = report(polled(false, true));
    second.report(&first.subject, failing);
    second.flush(&first.subject).await;
    first.see().await;
    first.write(polled(true, false)).await;
    assert_eq!(ready(&first).await["reason"], "ScaledJobReady");
}

#[tokio::test]
async fn a_status_that_the_watch_has_shown_costs_no_call_whatever_the_server_made_of_it() {
    // KEDA's CRD in these tests keeps conditions alone, as older ones do not know triggersActivity.
    for (test, api) in [("shown", Api::Slipway), ("shown-keda", Api::Keda)] {
        let mut written = Written::of(test, api).await;
        let is_open = written.write(polled(true, false)).await;
        assert!(is_open, "until the watch shows it");
        written.see().await;
        for _ in 0..3 {
            assert!(!written.write(polled(true, false)).await);
            assert_eq!(written.writer.flush(&written.subject).await, None);
        }
        assert_eq!(written.writes(), 1, "{test}");
        written.write(polled(false, false)).await;
        assert_eq!(written.writes(), 2, "{test}");
    }
}

#[tokio::test]
async fn a_status_that_could_not_be_written_is_written_without_another_report() {
    let written = Written::new("flushed").await;
    let fault = api_proxy::Fault::Refuse(500);
    let rule = Rule::on("PATCH", "/status", fault).times(1);
    written.world.proxy.fault(rule);
    assert!(written.write(Observed::Paused).await);
    assert_eq!(written.status().await, Value::Null);
    assert!(written.writer.flush(&written.subject).await.is_some());
    let status = written.status().await;
    assert_eq!(condition(&status, "Paused")["status"], "True");
}
