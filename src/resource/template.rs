//! A Job's spec as the API server would take it: wrong types, fields it would drop,
//! rules it would refuse by. For those who want to know before they deploy; the
//! spec itself travels untouched, whatever is said here.
//!
//! Source of the rules: Kubernetes, `pkg/apis/batch/validation` and `pkg/apis/core/validation`.

mod words;

use k8s_openapi::api::batch::v1::JobSpec;
use serde_json::Value;

use crate::resource::Fault;
use crate::resource::fields::{join, name_of, suggest};

/// Most values of a wrong type that are told at once.
const MOST_WRONG: usize = 20;

/// What there is to say about a Job's spec.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opinion {
    /// The API server refuses it.
    pub faults: Vec<Fault>,
    /// The API server takes it, and drops something.
    pub warnings: Vec<Fault>,
}

/// Whose spec it is, which decides what may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A plain Job: sent as it is.
    Job,
    /// A ScaledJob's `jobTargetRef`: its `restartPolicy` is defaulted, and its own parser looks at the rest of its form.
    ScaledJob,
}

/// Looks at a Job's spec that stands at `path`.
///
/// # Panics
///
/// Never: what was read from JSON is JSON.
pub fn check(spec: &Value, path: &str, of: Of) -> Opinion {
    let mut opinion = Opinion::default();
    let mut readable = spec.clone();
    let known = loop {
        let wrong = match serde_path_to_error::deserialize::<_, JobSpec>(&readable) {
            Ok(known) => break Some(known),
            Err(error) => error,
        };
        let steps = steps(wrong.path());
        let field = steps
            .iter()
            .fold(path.to_owned(), |path, step| join_step(&path, step));
        let is_new = opinion.faults.iter().all(|fault| fault.field != field);
        let Some(value) = at(&mut readable, &steps).filter(|_| is_new) else {
            break None;
        };
        let message = wrong_type(&wrong.inner().to_string(), value);
        opinion.faults.push(Fault::at(field, message));
        if opinion.faults.len() == MOST_WRONG {
            break None;
        }
        // Without it the rest can be read.
        *value = Value::Null;
    };
    if let Some(known) = known {
        let known = serde_json::to_value(known).expect("a Job's spec is JSON");
        dropped(&readable, &known, path, &mut opinion.warnings);
    }
    rules(&readable, path, of, &mut opinion.faults);
    opinion
}

enum Step {
    Key(String),
    Index(usize),
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn join_step(path: &str, step: &Step) -> String {
    match step {
        Step::Key(key) => join(path, key),
        Step::Index(index) => format!("{path}[{index}]"),
    }
}

fn at<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// What would be right; the value is not quoted, for it may be secret.
fn wrong_type(text: &str, value: &Value) -> String {
    let expected = text
        .rsplit_once("expected ")
        .map_or("another type", |(_, expected)| expected);
    let expected = match expected {
        "i32" | "i64" => "a whole number",
        "a string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        // The name of a Kubernetes type.
        other if other.starts_with(|first: char| first.is_ascii_uppercase()) => "a mapping",
        other => other,
    };
    if expected == "a whole number" && value.is_number() {
        return "must be a whole number, and not as large as this".to_owned();
    }
    let found = name_of(value);
    let quotes = if expected == "text" && (value.is_number() || value.is_boolean()) {
        ": put it in quotes"
    } else {
        ""
    };
    format!("must be {expected}, not {found}{quotes}")
}

/// Everything that is written and that reading has not kept.
fn dropped(written: &Value, kept: &Value, path: &str, warnings: &mut Vec<Fault>) {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => {
            for (key, value) in written {
                let field = join(path, key);
                match kept.get(key) {
                    Some(kept) => dropped(value, kept, &field, warnings),
                    None if value.is_null() => {}
                    None => {
                        let mut message = String::from(
                            "is no field of a Job that Kubernetes 1.33 knows: an API server that does not know it drops it in silence",
                        );
                        suggest(&mut message, key, words::FIELDS);
                        warnings.push(Fault::at(field, message));
                    }
                }
            }
        }
        (Value::Array(written), Value::Array(kept)) => {
            for (index, (written, kept)) in written.iter().zip(kept).enumerate() {
                dropped(written, kept, &format!("{path}[{index}]"), warnings);
            }
        }
        _ => {}
    }
}

fn rules(spec: &Value, path: &str, of: Of, faults: &mut Vec<Fault>) {
    let mut refuse = |field: &str, message: String| {
        let fault = Fault::at(format!("{path}.{field}"), message);
        if faults.iter().all(|earlier| earlier.field != fault.field) {
            faults.push(fault);
        }
    };
    for field in [
        "parallelism",
        "completions",
        "backoffLimit",
        "backoffLimitPerIndex",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "maxFailedIndexes",
    ] {
        if let Some(number) = spec[field].as_i64().filter(|number| *number < 0) {
            refuse(field, format!("must be 0 or more, not {number}"));
        }
    }
    let is_indexed = match spec["completionMode"].as_str() {
        None | Some("NonIndexed") => false,
        Some("Indexed") => true,
        Some(_) => {
            refuse("completionMode", "must be Indexed or NonIndexed".to_owned());
            // What depends on it is not known.
            true
        }
    };
    if is_indexed && spec["completionMode"] == "Indexed" && spec["completions"].is_null() {
        refuse(
            "completions",
            "is required with completionMode: Indexed".to_owned(),
        );
    }
    for field in ["successPolicy", "backoffLimitPerIndex", "maxFailedIndexes"] {
        if !spec[field].is_null() && !is_indexed {
            refuse(field, "needs completionMode: Indexed".to_owned());
        }
    }
    if !spec["selector"].is_null() && spec["manualSelector"] != true {
        refuse(
            "selector",
            "must be left out: the API server makes one for each Job".to_owned(),
        );
    }
    pod(&spec["template"]["spec"], of, &mut |field, message| {
        refuse(&format!("template.spec{field}"), message);
    });
    if !spec["podFailurePolicy"].is_null() && spec["template"]["spec"]["restartPolicy"] != "Never" {
        refuse("podFailurePolicy", "needs restartPolicy: Never".to_owned());
    }
}

fn pod(pod: &Value, of: Of, refuse: &mut dyn FnMut(&str, String)) {
    if of == Of::Job {
        if pod["containers"].as_array().is_none_or(Vec::is_empty) {
            refuse(".containers", "must hold at least one container".to_owned());
        }
        if !matches!(pod["restartPolicy"].as_str(), Some("Never" | "OnFailure")) {
            refuse(
                ".restartPolicy",
                "must be Never or OnFailure: a Job has no default for it".to_owned(),
            );
        }
    }
    let mut names = Vec::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in pod[list].as_array().into_iter().flatten().enumerate() {
            let field = |name: &str| format!(".{list}[{index}].{name}");
            match container["name"].as_str() {
                Some(name) if !is_label(name) => refuse(
                    &field("name"),
                    "must be lower-case letters, digits and dashes, at most 63".to_owned(),
                ),
                Some(name) if names.contains(&name) => refuse(
                    &field("name"),
                    "is the name of another container of this Pod".to_owned(),
                ),
                Some(name) => names.push(name),
                None if of == Of::Job => refuse(&field("name"), "is required".to_owned()),
                None => {}
            }
            if container["image"].as_str().is_none_or(str::is_empty) {
                refuse(&field("image"), "is required".to_owned());
            }
        }
    }
}

/// Whether the API server takes a text as a DNS label: the name of a container or a namespace.
pub fn is_label(name: &str) -> bool {
    let edge = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name
            .chars()
            .all(|character| edge(character) || character == '-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    fn spec() -> Value {
        json!({"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "1"}]}],
        }}})
    }

    #[test]
    fn every_value_of_a_wrong_type_is_told_and_none_is_quoted() {
        let mut spec = spec();
        spec["parallelism"] = json!("many");
        spec["suspend"] = json!("hush");
        spec["ttlSecondsAfterFinished"] = json!(3_000_000_000_i64);
        let container = &mut spec["template"]["spec"]["containers"][0];
        container["command"] = json!("hush");
        container["env"][0]["value"] = json!(5);
        container["resources"] = json!(["hush"]);
        let opinion = check(&spec, "spec", Of::Job);
        assert_eq!(
            texts(&opinion.faults),
            [
                "spec.template.spec.containers[0].env[0].value: must be text, not a number: put it in quotes",
                "spec.template.spec.containers[0].command: must be a list, not text",
                "spec.template.spec.containers[0].resources: must be a mapping, not a list",
                "spec.parallelism: must be a whole number, not text",
                "spec.suspend: must be true or false, not text",
                "spec.ttlSecondsAfterFinished: must be a whole number, and not as large as this",
            ]
        );
        assert_eq!(opinion.warnings, []);
    }

    #[test]
    fn fields_that_would_be_dropped_are_told_at_every_level() {
        let mut spec = spec();
        spec["compeltions"] = json!(3);
        spec["newerThanUs"] = json!({"a": 1});
        spec["template"]["spec"]["restartpolicy"] = json!("Never");
        spec["template"]["spec"]["containers"][0]["comand"] = json!(["true"]);
        let said = "is no field of a Job that Kubernetes 1.33 knows: an API server that does not know it drops it in silence";
        assert_eq!(
            texts(&check(&spec, "spec.jobTargetRef", Of::ScaledJob).warnings),
            [
                format!(
                    "spec.jobTargetRef.template.spec.containers[0].comand: {said}; did you mean command?"
                ),
                format!(
                    "spec.jobTargetRef.template.spec.restartpolicy: {said}; did you mean restartPolicy?"
                ),
                format!("spec.jobTargetRef.compeltions: {said}; did you mean completions?"),
                format!("spec.jobTargetRef.newerThanUs: {said}"),
            ]
        );
    }

    #[test]
    fn a_good_spec_passes_without_a_word() {
        let mut spec = spec();
        spec["completions"] = json!(4);
        spec["completionMode"] = json!("Indexed");
        spec["backoffLimitPerIndex"] = json!(1);
        spec["podFailurePolicy"] = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
        let pod = &mut spec["template"]["spec"];
        pod["containers"][0]["resources"] = json!({"limits": {"cpu": 1, "memory": "1Gi"}});
        pod["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        pod["tolerations"] = Value::Null;
        for of in [Of::Job, Of::ScaledJob] {
            assert_eq!(check(&spec, "spec", of), Opinion::default());
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        type Case = (&'static str, Value, &'static str);
        let cases: [Case; 12] = [
            (
                "/parallelism",
                json!(-1),
                "spec.parallelism: must be 0 or more, not -1",
            ),
            (
                "/completionMode",
                json!("indexed"),
                "spec.completionMode: must be Indexed or NonIndexed",
            ),
            (
                "/completionMode",
                json!("Indexed"),
                "spec.completions: is required with completionMode: Indexed",
            ),
            (
                "/maxFailedIndexes",
                json!(1),
                "spec.maxFailedIndexes: needs completionMode: Indexed",
            ),
            (
                "/selector",
                json!({"matchLabels": {"a": "b"}}),
                "spec.selector: must be left out: the API server makes one for each Job",
            ),
            (
                "/template/spec/containers",
                json!([]),
                "spec.template.spec.containers: must hold at least one container",
            ),
            (
                "/template/spec/containers/0/name",
                json!("Main"),
                "spec.template.spec.containers[0].name: must be lower-case letters, digits and dashes, at most 63",
            ),
            (
                "/template/spec/containers/0/name",
                Value::Null,
                "spec.template.spec.containers[0].name: is required",
            ),
            (
                "/template/spec/containers/0/image",
                json!(""),
                "spec.template.spec.containers[0].image: is required",
            ),
            (
                "/template/spec/restartPolicy",
                json!("Always"),
                "spec.template.spec.restartPolicy: must be Never or OnFailure: a Job has no default for it",
            ),
            (
                "/template/spec/initContainers",
                json!([{"name": "main", "image": "x"}]),
                "spec.template.spec.containers[0].name: is the name of another container of this Pod",
            ),
            (
                "/template",
                Value::Null,
                "spec.template.spec.containers: must hold at least one container",
            ),
        ];
        for (pointer, value, expected) in cases {
            let mut spec = spec();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[key] = value;
            let faults = texts(&check(&spec, "spec", Of::Job).faults);
            assert!(
                faults.iter().any(|fault| fault == expected),
                "{pointer}: {faults:?}"
            );
        }
    }
}
