//! A Job's spec as the API server would take it: wrong types, fields it would drop,
//! rules it would refuse by. For those who want to know before they deploy; the
//! spec itself travels untouched, whatever is said here.
//!
//! Nothing is refused that some supported server takes. Where servers differ, and
//! where a rule depends on how a server is set up (feature gates, privileged
//! containers, admission, quotas), nothing is said; nor of rare parts: affinity, DNS
//! options, resource claims, Windows, volumes of single vendors.
//! `tests/it/template_corpus.rs` holds every rule against a real server, from both sides.
//!
//! Source of the rules: Kubernetes, `pkg/apis/batch/validation` and `pkg/apis/core/validation`.

mod container;
mod environment;
mod job;
mod metadata;
mod place;
mod pod;
mod policies;
mod probe;
mod quantity;
mod scheduling;
mod volume;
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
    check_named(spec, path, of, None)
}

/// The same, for a Job whose name is known, or one as long: the names of an Indexed Job's Pods depend on it.
///
/// # Panics
///
/// Never: what was read from JSON is JSON.
pub fn check_named(spec: &Value, path: &str, of: Of, name: Option<&str>) -> Opinion {
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
    let places = place::FieldFaults::new(opinion.faults);
    job::rules(
        &place::TemplatePlace::new(&readable, path, &places),
        of,
        name,
    );
    Opinion {
        faults: places.into_vec(),
        warnings: opinion.warnings,
    }
}

enum TemplateStep {
    Key(String),
    Index(usize),
}

fn steps(path: &serde_path_to_error::Path) -> Vec<TemplateStep> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(TemplateStep::Index(*index)),
            Segment::Map { key } => Some(TemplateStep::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn join_step(path: &str, step: &TemplateStep) -> String {
    match step {
        TemplateStep::Key(key) => join(path, key),
        TemplateStep::Index(index) => format!("{path}[{index}]"),
    }
}

fn at<'a>(value: &'a mut Value, steps: &[TemplateStep]) -> Option<&'a mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        TemplateStep::Key(key) => value.get_mut(key),
        TemplateStep::Index(index) => value.get_mut(index),
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

/// Looks at the labels and annotations of a Job's own `metadata`, which stands at `path`.
pub fn check_metadata(metadata: &Value, path: &str) -> Vec<Fault> {
    let places = place::FieldFaults::new(Vec::new());
    metadata::rules(&place::TemplatePlace::new(metadata, path, &places));
    places.into_vec()
}

#[cfg(test)]
mod tests;
