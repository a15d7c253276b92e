//! KEDA's recorded answers about Jobs: which count as pending, what a Job looks
//! like, which go. Whole scenarios stand in `scenarios`.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use slipway::launch::count::counts;
use slipway::launch::{
    GENERATION_ANNOTATION, JobOutcome, JobState, KEDA_GENERATION_ANNOTATION, Launch,
    OCCURRENCE_ANNOTATION, PodState, ROUND_ANNOTATION, SCALED_JOB_LABEL, history,
};
use slipway::resource::rollout::{RolloutChoice, propagation};
use slipway::resource::{Api, HistoryLimits, ObjectId, Propagation, Round, ScaledJob};
use slipway::scaling::{JobCounts, Measure, Reading, decide};

use crate::support::fixtures;
use crate::support::objects;
use crate::support::vectors::{assert_keys, assert_lists, count, list, optional_count, rows, text};

mod names;
mod scenarios;

/// KEDA's default for both history limits.
const DEFAULT_LIMIT: u32 = 100;

/// An object of texts that may be absent.
fn texts(value: &Value) -> BTreeMap<String, String> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), text(value).to_owned()))
        .collect()
}

/// An object managed in place: the one whose Jobs are to look like KEDA's.
fn scaled_job(name: &str) -> ScaledJob {
    ScaledJob {
        api: Api::Keda,
        history: HistoryLimits {
            successful: DEFAULT_LIMIT,
            failed: DEFAULT_LIMIT,
        },
        ..objects::scaled_job("production", name, "3f1c")
    }
}

fn job(name: &str, outcome: Option<JobOutcome>) -> JobState {
    JobState {
        end_reason: "",
        owner_uid: Some("3f1c".to_owned()),
        outcome,
        ..fixtures::job(name)
    }
}

fn manifest(scaled_job: &ScaledJob) -> Value {
    Launch::counted(scaled_job, Round { number: 1, jobs: 1 })
        .next()
        .expect("a round of one")
        .manifest
}

#[test]
fn pending_jobs_vector() {
    assert_lists("pending_jobs", &["cases", "derived"]);
    for row in [
        rows("pending_jobs", "cases"),
        rows("pending_jobs", "derived"),
    ]
    .concat()
    {
        assert_keys(
            &row,
            &[
                "name",
                "jobFinished",
                "pendingPodConditions",
                "pods",
                "expectPending",
            ],
        );
        let conditions: Vec<String> = list(&row["pendingPodConditions"])
            .iter()
            .map(|condition| text(condition).to_owned())
            .collect();
        let finished = row.get("jobFinished") == Some(&Value::Bool(true));
        let mut job = job("job", finished.then_some(JobOutcome::Complete));
        job.pods = list(&row["pods"]).iter().map(pod).collect();
        let counts = counts(&[job], &conditions);
        assert_eq!(counts.pending, count(&row["expectPending"]), "{row}");
        assert_eq!(counts.unfinished, u32::from(!finished), "{row}");
    }
}

fn pod(row: &Value) -> PodState {
    assert_keys(row, &["phase", "conditions"]);
    let is_true = |condition: &&Value| {
        assert_keys(condition, &["type", "status"]);
        condition["status"] == "True"
    };
    PodState {
        phase: text(&row["phase"]).to_owned(),
        true_conditions: list(&row["conditions"])
            .iter()
            .filter(is_true)
            .map(|condition| text(&condition["type"]).to_owned())
            .collect(),
    }
}

#[test]
fn history_vector() {
    assert_lists("history", &["cases"]);
    for row in rows("history", "cases") {
        assert_keys(
            &row,
            &[
                "name",
                "successfulJobsHistoryLimit",
                "failedJobsHistoryLimit",
                "jobs",
                "jobsGenerator",
                "expect",
            ],
        );
        assert_keys(&row["expect"], &["deleted"]);
        let mut object = scaled_job("orders");
        object.history = HistoryLimits {
            successful: optional_count(&row, "successfulJobsHistoryLimit").unwrap_or(DEFAULT_LIMIT),
            failed: optional_count(&row, "failedJobsHistoryLimit").unwrap_or(DEFAULT_LIMIT),
        };
        let listed = row.get("jobs").map(list).unwrap_or_default().iter();
        let generated = row.get("jobsGenerator").map(list).unwrap_or_default();
        let jobs: Vec<JobState> = listed
            .map(|entry| {
                assert_keys(entry, &["name", "completionTime", "condition"]);
                finished(text(&entry["name"]), entry)
            })
            .chain(generated.iter().flat_map(generate))
            .collect();
        assert!(!jobs.is_empty(), "{row}");
        let deleted: Vec<&str> =
            history::surplus(&object, &jobs, Timestamp::UNIX_EPOCH, Duration::ZERO)
                .iter()
                .map(|job| job.name.as_str())
                .collect();
        let expected: Vec<&str> = list(&row["expect"]["deleted"]).iter().map(text).collect();
        let as_set = |names: &[&str]| -> HashSet<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert_eq!(as_set(&deleted), as_set(&expected), "{row}");
        assert_eq!(deleted.len(), expected.len(), "{row}");
    }
}

fn finished(name: &str, entry: &Value) -> JobState {
    let outcome = match text(&entry["condition"]) {
        "Complete" => JobOutcome::Complete,
        "Failed" => JobOutcome::Failed,
        condition => panic!("unknown condition {condition}"),
    };
    let at = text(&entry["completionTime"]);
    JobState {
        end_reason: "",
        finished_at: Some(at.parse().unwrap_or_else(|error| panic!("{at}: {error}"))),
        ..job(name, Some(outcome))
    }
}

/// `fail102..fail201` with a count of 100, or one name with a count of 1.
fn generate(entry: &Value) -> Vec<JobState> {
    assert_keys(entry, &["names", "count", "completionTime", "condition"]);
    let names = text(&entry["names"]);
    let (first, last) = names.split_once("..").unwrap_or((names, names));
    let stem = first.trim_end_matches(|character: char| character.is_ascii_digit());
    let ordinal = |name: &str| -> u32 {
        name.strip_prefix(stem)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("not {stem} and a number: {name}"))
    };
    let jobs: Vec<JobState> = (ordinal(first)..=ordinal(last))
        .map(|ordinal| finished(&format!("{stem}{ordinal}"), entry))
        .collect();
    assert_eq!(jobs.len(), count(&entry["count"]) as usize, "{entry}");
    jobs
}

#[test]
fn rollout_vector() {
    assert_lists(
        "rollout",
        &[
            "strategyResolution",
            "propagation",
            "selection",
            "skippedWhen",
            "events",
        ],
    );
    for row in rows("rollout", "strategyResolution") {
        assert_keys(&row, &["rolloutStrategy", "rollout.strategy", "effective"]);
        let written = RolloutChoice::resolve(
            text(&row["rolloutStrategy"]),
            text(&row["rollout.strategy"]),
        );
        // KEDA deletes when nothing is written; that is the one place where we differ.
        let as_keda = match written {
            Some(RolloutChoice::Nothing | RolloutChoice::Immediate) => "immediate",
            Some(RolloutChoice::Gradual) => "gradual",
            None => panic!("refused: {row}"),
        };
        assert_eq!(as_keda, text(&row["effective"]), "{row}");
    }
    for row in rows("rollout", "propagation") {
        assert_keys(&row, &["rollout.propagationPolicy", "delete"]);
        let expected = match text(&row["delete"]) {
            "Background" => Propagation::Background,
            "Foreground" => Propagation::Foreground,
            policy => panic!("unknown policy {policy}"),
        };
        let policy = text(&row["rollout.propagationPolicy"]);
        assert_eq!(propagation(policy), Some(expected), "{row}");
    }
    for row in rows("rollout", "selection") {
        assert_keys(
            &row,
            &[
                "scaledJobGeneration",
                "jobAnnotation",
                "deletedWhenImmediate",
            ],
        );
        let mut object = scaled_job("orders");
        object.generation = i64::from(count(&row["scaledJobGeneration"]));
        let mut keda_s = job("orders-x", None);
        keda_s.annotations = texts(&row["jobAnnotation"]);
        // Our own annotation means the same.
        let mut ours = keda_s.clone();
        if let Some(generation) = ours.annotations.remove(KEDA_GENERATION_ANNOTATION) {
            ours.annotations
                .insert(GENERATION_ANNOTATION.to_owned(), generation);
        }
        for outcome in [None, Some(JobOutcome::Complete), Some(JobOutcome::Failed)] {
            for job in [&mut keda_s, &mut ours] {
                job.outcome = outcome;
                let outdated = !history::outdated(&object, std::slice::from_ref(job)).is_empty();
                assert_eq!(Value::from(outdated), row["deletedWhenImmediate"], "{row}");
            }
        }
    }
    // When a rollout is left out, and what is told about it, is the controller's.
    for row in rows("rollout", "skippedWhen") {
        assert!(
            ["paused", "triggers invalid"].contains(&text(&row)),
            "{row}"
        );
    }
    for row in rows("rollout", "events") {
        assert_eq!(list(&row).len(), 3, "{row}");
    }
}

#[test]
fn job_generation_vector_cases() {
    assert_lists("job_generation", &["cases", "derived"]);
    for row in rows("job_generation", "cases") {
        assert_keys(&row, &["scaledJob", "create", "expect"]);
        let (written, create, expected) = (&row["scaledJob"], &row["create"], &row["expect"]);
        assert_keys(
            written,
            &[
                "name",
                "namespace",
                "labels",
                "annotations",
                "generation",
                "jobTargetRef",
            ],
        );
        assert_keys(create, &["scaleTo", "maxScale"]);
        assert_keys(
            expected,
            &[
                "createCalls",
                "generateName",
                "namespace",
                "jobAnnotations",
                "jobLabels",
                "restartPolicy",
            ],
        );
        let object = ScaledJob {
            id: ObjectId::new(text(&written["namespace"]), text(&written["name"])),
            labels: texts(&written["labels"]),
            annotations: texts(&written["annotations"]),
            generation: i64::from(count(&written["generation"])),
            job_target: (&written["jobTargetRef"]).into(),
            ..scaled_job("replaced")
        };
        let jobs = count(&create["scaleTo"]).min(count(&create["maxScale"]));
        let launches: Vec<Launch> = Launch::counted(&object, Round { number: 1, jobs }).collect();
        assert_eq!(launches.len(), count(&expected["createCalls"]) as usize);
        for launch in launches {
            let metadata = &launch.manifest["metadata"];
            assert_eq!(metadata["generateName"], expected["generateName"], "{row}");
            assert_eq!(metadata["namespace"], expected["namespace"], "{row}");
            let mut labels = texts(&metadata["labels"]);
            assert!(labels.remove(SCALED_JOB_LABEL).is_some());
            assert_eq!(labels, texts(&expected["jobLabels"]), "{row}");
            let mut annotations = texts(&metadata["annotations"]);
            for ours in [
                OCCURRENCE_ANNOTATION,
                ROUND_ANNOTATION,
                GENERATION_ANNOTATION,
            ] {
                assert!(annotations.remove(ours).is_some(), "{ours}");
            }
            assert_eq!(annotations, texts(&expected["jobAnnotations"]), "{row}");
            let policy = &launch.manifest["spec"]["template"]["spec"]["restartPolicy"];
            assert_eq!(*policy, expected["restartPolicy"], "{row}");
        }
    }
}

#[test]
fn job_generation_vector_derived() {
    for row in rows("job_generation", "derived") {
        assert_keys(
            &row,
            &[
                "name",
                "scaledJobLabels",
                "annotation",
                "template.restartPolicy",
                "formula",
                "expect",
            ],
        );
        let mut object = scaled_job("orders");
        object.labels = texts(&row["scaledJobLabels"]);
        object.annotations = texts(&row["annotation"]);
        if let Some(policy) = row.get("template.restartPolicy") {
            object.job_target = json!({"template": {"spec": {"restartPolicy": policy}}}).into();
        }
        match row.get("expect") {
            Some(Value::Object(expected)) => {
                for (key, value) in expected {
                    derived_fact(&manifest(&object), key, value, &row);
                }
            }
            // In words. What they say about events is the controller's; the rest stands here.
            Some(Value::String(words)) if words.starts_with("annotations = ") => {
                copies_annotations_but_not_those_of_tools();
            }
            Some(Value::String(words)) if words.contains("KEDAJobCreateFailed") => {}
            None if row["formula"].is_string() => count_formula(),
            _ => panic!("a form not known here: {row}"),
        }
    }
}

/// One `key: value` of what a derived row expects of the Job.
fn derived_fact(manifest: &Value, key: &str, expected: &Value, row: &Value) {
    let filled = |words: &str| {
        words
            .replace("<scaledjob name>", "orders")
            .replace("<name>", "orders")
            .replace("<uid>", "3f1c")
    };
    let (metadata, template) = (&manifest["metadata"], &manifest["spec"]["template"]);
    let labels = texts(&metadata["labels"]);
    let owner = &metadata["ownerReferences"];
    match key {
        "podTemplateLabelsAdded" => {
            for (label, value) in texts(expected) {
                let actual = text(&template["metadata"]["labels"][&label]);
                assert_eq!(actual, filled(&value), "{row}");
            }
        }
        "podTemplateGenerateName" => {
            let actual = text(&template["metadata"]["generateName"]);
            assert_eq!(actual, filled(text(expected)), "{row}");
        }
        "copied" => {
            for label in list(expected) {
                let written = &row["scaledJobLabels"][text(label)];
                assert_eq!(labels[text(label)], text(written), "{row}");
            }
        }
        "notCopied" => {
            for label in list(expected) {
                assert!(!labels.contains_key(text(label)), "{row}");
            }
        }
        "restartPolicy" => assert_eq!(template["spec"][key], *expected, "{row}"),
        "apiVersion" | "kind" | "name" | "uid" => {
            assert_eq!(text(&owner[0][key]), filled(text(expected)), "{row}");
        }
        "controller" | "blockOwnerDeletion" => assert_eq!(owner[0][key], *expected, "{row}"),
        _ if key.contains('/') => assert_eq!(labels[key], text(expected), "{row}"),
        _ => panic!("unknown expectation {key}: {row}"),
    }
}

/// KEDA copies all annotations, even kubectl's and the pause; there we differ on purpose.
fn copies_annotations_but_not_those_of_tools() {
    let mut object = scaled_job("orders");
    let copied = BTreeMap::from([("example.com/team".to_owned(), "billing".to_owned())]);
    object.annotations = copied.clone();
    for key in [
        "kubectl.kubernetes.io/last-applied-configuration",
        "autoscaling.keda.sh/paused",
    ] {
        object.annotations.insert(key.to_owned(), "x".to_owned());
    }
    let mut annotations = texts(&manifest(&object)["metadata"]["annotations"]);
    annotations.retain(|key, _| !key.starts_with("slipway.dev/"));
    let generation = annotations.remove(KEDA_GENERATION_ANNOTATION);
    assert_eq!(generation.as_deref(), Some("1"));
    assert_eq!(annotations, copied);
}

/// `maxScale<=0 -> 0 creates; else min(scaleTo,maxScale)`.
fn count_formula() {
    for (waiting, target, running, expected) in [
        (5.0, 1.0, 0, 5),
        (5.0, 0.5, 0, 5),
        (5.0, 2.0, 0, 3),
        (5.0, 1.0, 5, 0),
        (5.0, 1.0, 9, 0),
    ] {
        let policy = scaled_job("orders").policy;
        let counts = JobCounts {
            unfinished: running,
            pending: 0,
        };
        let decision = decide(&policy, &[measure(waiting, target)], counts);
        assert_eq!(decision.keda, expected);
    }
}

fn measure(waiting: f64, target: f64) -> Measure {
    Measure {
        label: "s0-queue".to_owned(),
        reading: Reading::new(waiting),
        target,
        activation: 0.0,
    }
}
