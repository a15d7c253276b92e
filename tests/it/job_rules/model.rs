//! Our side: the rules and the Pods that they asked for, which carry the names of the real ones.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use slipway::job_rules::{self, JobConditions, JobRules, Phase, PodFacts};

use super::real::Shown;

const BASE: Duration = Duration::from_secs(10);

pub(super) struct Model {
    pub(super) rules: JobRules,
    pub(super) spec: Value,
    pub(super) pods: Vec<PodFacts>,
    conditions: JobConditions,
    now: Timestamp,
    /// Ends of containers, each a second after the last, all long ago.
    ends: i64,
    /// Containers end now instead.
    pub(super) ends_now: bool,
    /// When the rules want to be asked again.
    wake: Option<Timestamp>,
}

impl Model {
    pub(super) fn new(job: &Value) -> Self {
        Self {
            rules: JobRules::parse(job).unwrap(),
            spec: job["spec"].clone(),
            pods: Vec::new(),
            conditions: JobConditions::default(),
            now: Timestamp::from_second(2_000_000_000).unwrap(),
            ends: -3600,
            ends_now: false,
            wake: None,
        }
    }

    /// Seconds before now at which something ends, later with each call.
    pub(super) fn next_end(&mut self) -> i64 {
        if self.ends_now {
            return 0;
        }
        self.ends += 1;
        self.ends
    }

    pub(super) fn at(&self, seconds: i64) -> Timestamp {
        self.now + jiff::SignedDuration::from_secs(seconds)
    }

    /// The spec changed.
    pub(super) fn change(&mut self, patch: &Value) {
        for (key, value) in patch.as_object().unwrap() {
            self.spec[key] = value.clone();
        }
        let namespace = self.rules.namespace.clone();
        let job = json!({"metadata": {"namespace": namespace}, "spec": self.spec});
        self.rules = JobRules::parse(&job).unwrap();
    }

    /// A second passes.
    pub(super) fn tick(&mut self) {
        self.now += jiff::SignedDuration::from_secs(1);
    }

    /// Time passes, so that any deadline of the Job has passed.
    pub(super) fn wait(&mut self) {
        self.now += jiff::SignedDuration::from_secs(1000);
        self.ends -= 1000;
    }

    /// The pause that the rules make now, which then has passed.
    pub(super) fn pause(&mut self) -> Duration {
        let wake = self.wake.take().expect("a Pod is missing");
        let pause = wake.duration_since(self.now);
        self.now = wake;
        pause.unsigned_abs()
    }

    /// Takes steps until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            let pods: Vec<&PodFacts> = self.pods.iter().collect();
            let step = job_rules::next(&self.rules, &mut self.conditions, &pods, self.now, BASE);
            if step.is_finished || step.stop.is_empty() && step.start.is_empty() {
                self.wake = step.wake;
                assert!(
                    step.wake.is_none_or(|wake| wake > self.now),
                    "{step:?} wants to be asked at once"
                );
                return;
            }
            for (place, stopped) in step.stop {
                self.pods[place].stopped = Some(stopped);
                if !self.is_on_a_node() {
                    self.vanish(place);
                }
            }
            for new in step.start {
                self.pods.push(PodFacts::new(String::new(), new));
            }
        }
        panic!("the rules do not come to rest: {:?}", self.pods);
    }

    /// Do Pods that are deleted stay until the kubelet has ended them?
    pub(super) fn is_on_a_node(&self) -> bool {
        self.spec["template"]["spec"]["nodeName"].is_string()
    }

    /// A Pod that was told to end is gone.
    pub(super) fn vanish(&mut self, place: usize) {
        let pod = &mut self.pods[place];
        assert!(pod.stopped.is_some(), "{pod:?}");
        pod.phase = Phase::Removed;
    }

    pub(super) fn active(&self) -> Vec<usize> {
        self.places(PodFacts::is_active)
    }

    pub(super) fn terminating(&self) -> Vec<usize> {
        self.places(PodFacts::is_terminating)
    }

    fn places(&self, wanted: fn(&PodFacts) -> bool) -> Vec<usize> {
        let pods = self.pods.iter().enumerate();
        let pods = pods.filter(|(_, pod)| wanted(pod));
        pods.map(|(place, _)| place).collect()
    }

    /// Gives Pods without a name that of a real one with the same index. Whether all have one now.
    pub(super) fn name_pods(&mut self, shown: &Shown) -> bool {
        let known: BTreeSet<String> = self.pods.iter().map(|pod| pod.name.clone()).collect();
        let mut new: Vec<_> = shown.active();
        new.retain(|(name, _)| !known.contains(name));
        let mut all = true;
        for pod in &mut self.pods {
            if !pod.name.is_empty() || pod.phase == Phase::Removed {
                continue;
            }
            match new.iter().position(|(_, of)| *of == pod.index) {
                Some(place) => pod.name = new.remove(place).0,
                None => all = false,
            }
        }
        all
    }

    pub(super) fn is_finished(&self) -> bool {
        self.conditions.finished().is_some()
    }

    pub(super) fn reason(&self) -> String {
        let finished = self.conditions.finished();
        finished.map_or_else(String::new, |(ending, _)| ending.cause.reason().to_owned())
    }

    /// What is compared: the status without its times, and the Pods that live.
    pub(super) fn told(&self) -> Value {
        let pods: Vec<&PodFacts> = self.pods.iter().collect();
        let status = self.conditions.to_status(&self.rules, &pods);
        let indexes = |wanted: fn(&PodFacts) -> bool| {
            let pods = self.pods.iter().filter(|pod| wanted(pod));
            let mut indexes: Vec<_> = pods.map(|pod| pod.index).collect();
            indexes.sort_unstable();
            indexes
        };
        super::real::comparable(
            &status,
            &indexes(PodFacts::is_active),
            &indexes(PodFacts::is_terminating),
        )
    }
}
