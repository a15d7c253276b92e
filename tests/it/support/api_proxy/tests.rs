//! Each fault does what it says, against the real API server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slipway::cluster::{Answer, Call, Cluster};

use super::{Fault, Rule};
use crate::support::await_until;
use crate::support::world::World;

const DEADLINE: Duration = Duration::from_secs(20);

impl World {
    fn config_maps(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    /// Through the proxy.
    async fn make(&self, name: &str) -> Answer {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let cluster = Cluster::new(self.proxy.client());
        let call = Call::post(self.config_maps(), manifest).within(DEADLINE);
        cluster.send(call).await.expect("an answer")
    }

    /// Past the proxy.
    async fn is_there(&self, name: &str) -> bool {
        let path = format!("{}/{name}", self.config_maps());
        let answer = self.direct.send(Call::get(path)).await;
        answer.expect("an answer").is_success()
    }

    async fn comes(&self, name: &str) {
        await_until("the object is there", DEADLINE, async || {
            self.is_there(name).await.then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_delayed_call_is_forwarded_later_although_its_caller_has_gone() {
    let world = World::new("proxy-delay").await;
    let delay = Duration::from_millis(700);
    world
        .proxy
        .fault(Rule::on("POST", world.config_maps(), Fault::Delay(delay)));
    let start = Instant::now();
    assert!(world.make("waited-for").await.is_success());
    assert!(start.elapsed() >= delay);

    let start = Instant::now();
    let given_up = tokio::time::timeout(delay / 7, world.make("given-up")).await;
    assert!(given_up.is_err());
    world.comes("given-up").await;
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_delayed_answer_comes_after_the_object() {
    let world = World::new("proxy-answer").await;
    let delay = Fault::DelayAnswer(DEADLINE / 2);
    world
        .proxy
        .fault(Rule::on("POST", world.config_maps(), delay));
    tokio::select! {
        _ = world.make("early") => panic!("the answer came before the object was seen"),
        () = world.comes("early") => {}
    }
}

#[tokio::test]
async fn a_rule_strikes_what_it_names_until_it_is_lifted() {
    let world = World::new("proxy-rules").await;
    let expression = format!("/namespaces/{}/config[a-z]+\\?", world.namespace);
    let matching = Rule::matching("POST", &expression, Fault::Refuse(418));
    let in_namespace = Rule::in_namespace("POST", &world.namespace, Fault::Refuse(503));
    let elsewhere = Rule::in_namespace("POST", "elsewhere", Fault::Refuse(500));
    world.proxy.fault(elsewhere);
    let other_method = Rule::matching("PUT", "configmaps", Fault::Refuse(500));
    world.proxy.fault(other_method);
    let first = world.proxy.fault(matching);
    let second = world.proxy.fault(in_namespace);

    // The query of a POST is its time limit.
    assert_eq!(world.make("refused").await.status, 418);
    world.proxy.lift(first);
    assert_eq!(world.make("refused").await.status, 503);
    world.proxy.lift(second);
    assert!(world.make("made").await.is_success());
}

#[tokio::test]
async fn what_comes_to_a_frozen_proxy_waits_until_it_is_thawed() {
    let world = World::new("proxy-freeze").await;
    world.proxy.freeze();
    let given_up = tokio::time::timeout(Duration::from_millis(200), world.make("given-up")).await;
    assert!(given_up.is_err());
    assert_eq!(world.proxy.calls("POST", "/configmaps"), 1);
    let thawed = async {
        await_until("the second call has come", DEADLINE, async || {
            (world.proxy.calls("POST", "/configmaps") == 2).then_some(())
        })
        .await;
        assert!(!world.is_there("given-up").await);
        assert!(!world.is_there("waited-for").await);
        world.proxy.thaw();
    };
    let (answer, ()) = tokio::join!(world.make("waited-for"), thawed);
    assert!(answer.is_success());
    world.comes("given-up").await;
}

#[tokio::test]
async fn what_passes_is_counted_by_method_and_path_and_in_bytes() {
    let world = World::new("proxy-traffic").await;
    assert!(world.make("before").await.is_success());
    let mark = world.proxy.mark();
    assert!(world.make("after").await.is_success());
    let cluster = Cluster::new(world.proxy.client());
    let path = format!("{}/after", world.config_maps());
    let read = cluster.send(Call::get(&path)).await.expect("an answer");
    let read: Value = read.json().expect("JSON");

    let traffic = world.proxy.traffic_since(mark);
    assert_eq!(traffic.calls("GET", "/configmaps/after"), 1);
    assert_eq!(traffic.writes("/configmaps"), 1);
    assert_eq!(traffic.writes("/jobs"), 0);
    assert_eq!(
        traffic.lines(),
        [
            format!("POST {}", world.config_maps()),
            format!("GET {path}")
        ]
    );
    // kube-apiserver prints objects without white space, and ends them with a new line.
    let length = read.to_string().len() as u64 + 1;
    assert_eq!(traffic.answer_bytes("GET", "/configmaps/after"), length);
    assert_eq!(world.proxy.calls("POST", "/configmaps"), 2);
}
