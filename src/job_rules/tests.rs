use serde_json::{Value, json};

use super::*;

const BASE: Duration = Duration::from_secs(10);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// A Job with these fields in its spec; `restartPolicy: Never` unless they have a template.
fn rules(spec: &Value) -> JobRules {
    let mut job = json!({
        "metadata": {"namespace": "ns"},
        "spec": {"template": {"spec": {"restartPolicy": "Never"}}},
    });
    for (key, value) in spec.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    JobRules::parse(&job).unwrap()
}

fn on_failure() -> Value {
    json!({"spec": {"restartPolicy": "OnFailure"}})
}

/// A Job and its Pods, driven by hand. A failed Pod ended an hour ago, unless a test says otherwise.
struct World {
    rules: JobRules,
    conditions: JobConditions,
    pods: Vec<PodFacts>,
    now: Timestamp,
}

impl World {
    fn new(spec: &Value) -> Self {
        let mut world = Self {
            rules: rules(spec),
            conditions: JobConditions::default(),
            pods: Vec::new(),
            now: at(0),
        };
        world.settle();
        world
    }

    /// Takes steps until nothing is left to do; Pods that are stopped end at once.
    fn settle(&mut self) -> JobStep {
        self.settle_with(true)
    }

    fn settle_with(&mut self, stopped_end: bool) -> JobStep {
        for _ in 0..10 {
            let step = self.step();
            if step.is_finished || step.stop.is_empty() && step.start.is_empty() {
                return step;
            }
            for (place, stopped) in &step.stop {
                self.pods[*place].stopped = Some(*stopped);
                if stopped_end {
                    self.vanish(*place);
                }
            }
            for new in step.start {
                let name = format!("pod-{}", self.pods.len());
                let mut pod = PodFacts::new(name, new);
                pod.phase = Phase::Running;
                self.pods.push(pod);
            }
        }
        panic!("the rules do not come to rest");
    }

    fn step(&mut self) -> JobStep {
        let pods: Vec<&PodFacts> = self.pods.iter().collect();
        next(&self.rules, &mut self.conditions, &pods, self.now, BASE)
    }

    /// A Pod that was stopped has ended.
    fn vanish(&mut self, place: usize) {
        self.pods[place].phase = match self.pods[place].stopped {
            Some(Stopped::Counted) => Phase::Failed,
            _ => Phase::Removed,
        };
    }

    /// Ends a Pod with the exit codes of its containers `c` and `side`.
    fn exit(&mut self, place: usize, codes: &[i32]) -> &mut Self {
        let pod = &mut self.pods[place];
        assert!(pod.is_active(), "{pod:?}");
        let failed = codes.iter().any(|code| *code != 0);
        pod.phase = if failed {
            Phase::Failed
        } else {
            Phase::Succeeded
        };
        pod.exits = codes
            .iter()
            .zip(["c", "side"])
            .map(|(code, name)| ContainerExit {
                container: name.to_owned(),
                is_init: false,
                code: *code,
            })
            .collect();
        pod.finished_at = Some(at(-3600));
        self.settle();
        self
    }

    fn restart(&mut self, place: usize, times: u32) -> &mut Self {
        self.pods[place].restarts += times;
        self.settle();
        self
    }

    fn disrupt(&mut self, place: usize) -> &mut Self {
        self.pods[place].conditions = vec![PodCondition {
            kind: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
        }];
        self.exit(place, &[137])
    }

    fn status(&self) -> Value {
        let pods: Vec<&PodFacts> = self.pods.iter().collect();
        self.conditions.to_status(&self.rules, &pods)
    }

    fn active(&self) -> Vec<Option<u32>> {
        let active = self.pods.iter().filter(|pod| pod.is_active());
        active.map(|pod| pod.index).collect()
    }

    /// The status in a line: counters that are not 0, indexes, conditions with their reason.
    fn told(&self) -> String {
        let status = self.status();
        let mut words = Vec::new();
        for key in ["active", "terminating", "succeeded", "failed"] {
            if status[key] != 0 {
                words.push(format!("{key} {}", status[key]));
            }
        }
        for key in ["completedIndexes", "failedIndexes"] {
            if let Some(text) = status[key].as_str().filter(|text| !text.is_empty()) {
                words.push(format!("{key} {text}"));
            }
        }
        for condition in status["conditions"].as_array().into_iter().flatten() {
            let text = |key: &str| condition[key].as_str().unwrap();
            words.push(format!(
                "{}={} {}",
                text("type"),
                text("status"),
                text("reason")
            ));
        }
        if status["completionTime"].is_string() {
            words.push("completionTime".to_owned());
        }
        words.join("; ")
    }

    fn message(&self) -> String {
        let (ending, _) = self.conditions.finished().unwrap();
        ending.message
    }
}

const COMPLETE: &str =
    "SuccessCriteriaMet=True CompletionsReached; Complete=True CompletionsReached; completionTime";
const SUCCESS_POLICY: &str =
    "SuccessCriteriaMet=True SuccessPolicy; Complete=True SuccessPolicy; completionTime";

fn failed(reason: &str) -> String {
    format!("FailureTarget=True {reason}; Failed=True {reason}")
}

mod going_on;
mod measured;
mod written;
