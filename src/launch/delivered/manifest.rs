//! A template and values become a Job. Nothing but what is named here changes.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::values::{Values, Variable};
use super::{
    CONCURRENCY_KEY_ANNOTATION, DEDUPLICATE_FOR_ANNOTATION, GATE_ANNOTATION, Gate, Owners,
    PAYLOAD_ANNOTATION, RECEIVED_ANNOTATION, file, is_gated, owner,
};
use crate::launch::job::name;
use crate::launch::job::spec::{MANAGED_BY_LABEL, object, object_in, pod_labels};
use crate::launch::{GENERATION_ANNOTATION, Launch, OCCURRENCE_ANNOTATION};
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// How long a finished Job stays where the template does not say. Unit: seconds.
const DEFAULT_TTL_SECONDS: u64 = 86_400;

/// The Job of the occurrence that `parts` tell from every other.
pub(super) fn launch(
    event_job: &EventJob,
    parts: &[&str],
    values: &Values,
    least_ttl: Duration,
    payload: &str,
    received_at: &str,
) -> Launch {
    let id = &event_job.id;
    let mut template = event_job.job_template.value();
    let prefix = match template["metadata"]["generateName"].as_str() {
        Some(written) if !written.is_empty() => name::cut(written),
        _ => name::prefix(&id.name),
    };
    let reserved = name::reserved(&prefix, parts);
    let mut labels = entries(&template["metadata"]["labels"]);
    set(&mut labels, &values.labels);
    labels.insert(
        Owners::of(event_job).label().to_owned(),
        name::label_value(&id.name).into(),
    );
    labels.insert(MANAGED_BY_LABEL.to_owned(), "slipway".into());

    let mut annotations = entries(&template["metadata"]["annotations"]);
    set(&mut annotations, &values.annotations);
    let mut annotate = |name: &str, value: &str| annotations.insert(name.to_owned(), value.into());
    annotate(OCCURRENCE_ANNOTATION, &reserved.occurrence);
    annotate(GENERATION_ANNOTATION, &event_job.generation.to_string());
    annotate(PAYLOAD_ANNOTATION, payload);
    annotate(RECEIVED_ANNOTATION, received_at);
    annotate(
        DEDUPLICATE_FOR_ANNOTATION,
        &go_style(event_job.deduplicate_for),
    );
    if is_gated(event_job) {
        annotate(GATE_ANNOTATION, Gate::Waiting.name());
    }
    if let Some(key) = &values.key {
        annotate(CONCURRENCY_KEY_ANNOTATION, key);
    }

    let manifest = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": reserved.name,
            "generateName": prefix,
            "namespace": *id.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner(event_job)],
        },
        "spec": job_spec(event_job, template["spec"].take(), values, least_ttl, &reserved.name),
    });
    Launch {
        id: ObjectId::new(&id.namespace, reserved.name),
        occurrence: reserved.occurrence,
        manifest,
    }
}

/// `spec`: that of the template.
fn job_spec(
    event_job: &EventJob,
    mut spec: Value,
    values: &Values,
    least_ttl: Duration,
    job: &str,
) -> Value {
    let fields = object(&mut spec);
    if let Some(completions) = values.completions {
        fields.insert("completions".to_owned(), completions.into());
    }
    if let Some(parallelism) = values.parallelism {
        fields.insert("parallelism".to_owned(), parallelism.into());
    }
    if is_gated(event_job) {
        fields.insert("suspend".to_owned(), true.into());
    }
    raise_ttl(fields, least_ttl);

    let labels = pod_labels(fields);
    set(labels, &values.labels);
    let label = name::label_value(&event_job.id.name);
    labels.insert(Owners::of(event_job).label().to_owned(), label.into());
    let template = object_in(fields, "template");
    if !values.annotations.is_empty() {
        let metadata = object_in(template, "metadata");
        set(object_in(metadata, "annotations"), &values.annotations);
    }
    let pod = object_in(template, "spec");
    for container in containers(pod) {
        set_env(container, &values.env);
    }
    if let Some(binding) = &event_job.bind.file {
        file::mount(binding, pod, job);
    }
    spec
}

/// Every container of a Pod, init containers first.
pub(super) fn containers(
    pod: &mut Map<String, Value>,
) -> impl Iterator<Item = &mut Map<String, Value>> {
    let lists = pod
        .iter_mut()
        .filter(|(key, _)| matches!(key.as_str(), "initContainers" | "containers"));
    lists
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Sets variables: in place where the template has them, in front of all others where it has not, so that
/// the template's own may refer to them.
fn set_env(container: &mut Map<String, Value>, variables: &[Variable]) {
    let own = container.get("name").and_then(Value::as_str);
    let own = own.unwrap_or_default().to_owned();
    let mut env = match container.get_mut("env") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(env)) => std::mem::take(env),
        // The API server has a word for it.
        Some(_) => return,
    };
    let mut added: Vec<Value> = Vec::new();
    for variable in variables {
        let is_meant = |container: &String| *container == own;
        if !variable.container.as_ref().is_none_or(is_meant) {
            continue;
        }
        let entry = json!({"name": variable.name, "value": escaped(&variable.value)});
        let mut is_there = false;
        for place in env.iter_mut().chain(&mut added) {
            if place["name"] == variable.name.as_str() {
                *place = entry.clone();
                is_there = true;
            }
        }
        if !is_there {
            added.push(entry);
        }
    }
    added.extend(env);
    container.insert("env".to_owned(), Value::Array(added));
}

/// The text that Kubernetes' expansion turns into `value`: a `$` that would begin something is doubled.
///
/// Source: `third_party/forked/golang/expansion`; `resource::expansion` is the same.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let mut letters = value.chars().peekable();
    while let Some(letter) = letters.next() {
        escaped.push(letter);
        if letter == '$' && matches!(letters.peek(), Some('$' | '(')) {
            escaped.push('$');
        }
    }
    escaped
}

/// No Job may be gone before the ledger knows it.
fn raise_ttl(spec: &mut Map<String, Value>, least: Duration) {
    let least = least.as_secs() + u64::from(least.subsec_nanos() > 0);
    let ttl = match spec.get("ttlSecondsAfterFinished") {
        None | Some(Value::Null) => DEFAULT_TTL_SECONDS,
        Some(written) => match written.as_u64() {
            Some(seconds) => seconds,
            // The API server has a word for it.
            None => return,
        },
    };
    spec.insert("ttlSecondsAfterFinished".to_owned(), ttl.max(least).into());
}

/// A mapping of texts, as a template has it.
fn entries(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn set(map: &mut Map<String, Value>, entries: &[(String, String)]) {
    for (name, value) in entries {
        map.insert(name.clone(), value.as_str().into());
    }
}

/// `25h0m0s`, as Go prints durations; to the millisecond.
fn go_style(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match duration.subsec_millis() {
        0 => format!("{hours}h{minutes}m{seconds}s"),
        millis => format!("{hours}h{minutes}m{seconds}.{millis:03}s"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resource::expansion::expand;

    #[test]
    fn durations_are_printed_as_go_does() {
        assert_eq!(go_style(Duration::from_hours(25)), "25h0m0s");
        assert_eq!(go_style(Duration::from_millis(61_050)), "0h1m1.050s");
    }

    #[test]
    fn only_what_would_expand_is_escaped() {
        for (value, wanted) in [
            ("5$", "5$"),
            ("$5 ${A} $A", "$5 ${A} $A"),
            ("$(A)", "$$(A)"),
            ("$$", "$$$"),
            ("$$(A)", "$$$$(A)"),
            ("$(", "$$("),
        ] {
            assert_eq!(escaped(value), wanted);
        }
    }

    proptest! {
        #[test]
        fn expansion_gives_back_the_bytes(value in "([$()A é]|\\$\\(A\\)|.){0,24}") {
            let expanded = expand(&escaped(&value), |_| Some("no".to_owned()));
            prop_assert_eq!(expanded, value);
        }
    }
}
