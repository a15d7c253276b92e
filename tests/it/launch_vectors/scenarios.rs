//! KEDA's end-to-end scenarios, against a queue and Jobs that are simulated.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use slipway::launch::{JobOutcome, history};
use slipway::resource::{HistoryLimits, ScaledJob};
use slipway::scaling::{Bounds, JobCounts, Strategy, decide};

use super::{DEFAULT_LIMIT, job, manifest, measure, scaled_job, texts};
use crate::support::vectors::{assert_keys, assert_lists, count, list, optional_count, rows, text};

#[test]
fn e2e_scenarios_vector() {
    assert_lists("e2e_scenarios", &["cases"]);
    let mut simulated = 0;
    for row in rows("e2e_scenarios", "cases") {
        assert_keys(
            &row,
            &[
                "name",
                "note",
                "type",
                "strategy",
                "minReplicaCount",
                "maxReplicaCount",
                "pollingInterval",
                "target",
                "metricThreshold",
                "metric",
                "steps",
                "successfulJobsHistoryLimit",
                "failedJobsHistoryLimit",
                "expectJobs",
                "annotate",
                "annotation",
                "triggers",
                "expect",
            ],
        );
        if row.get("steps").is_some() {
            Simulation::new(&row).run_steps();
            simulated += 1;
        } else if row.get("expectJobs").is_some() {
            Simulation::new(&row).run_to_rest();
            simulated += 1;
        } else if let Some(annotation) = row.get("annotation") {
            excluded_labels_are_absent(text(annotation), &row);
        } else {
            // Pausing and refused objects are proved where objects are read.
            assert!(
                row.get("annotate").is_some() || row["triggers"] == json!([]),
                "a form not known here: {row}"
            );
        }
    }
    assert!(simulated > 0);
}

fn excluded_labels_are_absent(annotation: &str, row: &Value) {
    let (key, excluded) = annotation.split_once(": ").expect("key: value");
    let mut object = scaled_job("orders");
    object
        .annotations
        .insert(key.to_owned(), excluded.to_owned());
    for label in excluded.split(',').chain(["example.com/kept"]) {
        object.labels.insert(label.to_owned(), "x".to_owned());
    }
    let labels = texts(&manifest(&object)["metadata"]["labels"]);
    assert!(labels.contains_key("example.com/kept"), "{row}");
    for label in excluded.split(',') {
        assert!(!labels.contains_key(label), "{label}: {row}");
    }
}

/// A queue, Jobs that start at once and never finish, and a poll that decides.
struct Simulation<'a> {
    row: &'a Value,
    object: ScaledJob,
    target: f64,
    waiting: u32,
    jobs: u32,
}

impl<'a> Simulation<'a> {
    fn new(row: &'a Value) -> Self {
        let mut object = scaled_job("orders");
        let strategy = row.get("strategy").map_or("", text);
        object.policy.strategy = Strategy::select(strategy, None, "");
        object.policy.bounds = Bounds {
            min: optional_count(row, "minReplicaCount"),
            max: optional_count(row, "maxReplicaCount"),
        };
        let limit = |key| optional_count(row, key).unwrap_or(DEFAULT_LIMIT);
        object.history = HistoryLimits {
            successful: limit("successfulJobsHistoryLimit"),
            failed: limit("failedJobsHistoryLimit"),
        };
        let target =
            optional_count(row, "target").or_else(|| optional_count(row, "metricThreshold"));
        Self {
            row,
            object,
            target: f64::from(target.unwrap_or(1)),
            waiting: optional_count(row, "metric").unwrap_or(0),
            jobs: 0,
        }
    }

    /// One poll; says how many Jobs it started.
    fn poll(&mut self) -> u32 {
        let counts = JobCounts {
            unfinished: self.jobs,
            pending: 0,
        };
        let measures = [measure(f64::from(self.waiting), self.target)];
        let decision = decide(&self.object.policy, &measures, counts);
        self.jobs += decision.launch;
        let cap = self.object.policy.bounds.cap();
        assert!(self.jobs <= cap, "{}", self.row);
        decision.launch
    }

    /// A metric that stands still: polls until nothing more is started. Jobs that finish are then
    /// cleaned up, where the row says that none is kept.
    fn run_to_rest(mut self) {
        while self.poll() > 0 {}
        if self.object.history.successful == 0 {
            let finished = [
                job("one", Some(JobOutcome::Complete)),
                job("two", Some(JobOutcome::Failed)),
            ];
            let surplus = history::surplus(
                &self.object,
                &finished,
                Timestamp::UNIX_EPOCH,
                Duration::ZERO,
            );
            assert_eq!(surplus.len(), 2);
        }
        assert_eq!(self.jobs, count(&self.row["expectJobs"]), "{}", self.row);
    }

    /// Messages come in steps. The upstream test waits until the count of Jobs is seen; its messages
    /// are brought by a Pod, so that a poll may come before them.
    fn run_steps(mut self) {
        for step in list(&self.row["steps"]) {
            assert_keys(step, &["enqueue", "publish", "totalJobs", "runningPods"]);
            let expected = count(&step["totalJobs"]);
            let mut seen = self.poll_and_work(step) == expected;
            self.waiting += optional_count(step, "enqueue")
                .or_else(|| optional_count(step, "publish"))
                .expect("a step brings messages");
            if !seen {
                seen = self.poll_and_work(step) == expected;
            }
            assert!(seen, "{} Jobs at {step} of {}", self.jobs, self.row);
            if let Some(pods) = optional_count(step, "runningPods") {
                assert_eq!(self.jobs, pods, "{}", self.row);
            }
        }
    }

    /// In a row that says `enqueue` each Job takes one message as it starts; in one that says
    /// `publish` none does.
    fn poll_and_work(&mut self, step: &Value) -> u32 {
        let started = self.poll();
        if step.get("enqueue").is_some() {
            self.waiting -= started;
        }
        self.jobs
    }
}
