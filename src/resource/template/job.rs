//! Rules of a Job's own fields.

use super::place::TemplatePlace;
use super::{Of, metadata, pod, policies};
use crate::resource::names::{is_label, is_subdomain};

/// Source: Kubernetes, `maxParallelismForIndexedJob`, `maxFailedIndexesForIndexedJob`, `completionsSoftLimit`.
const INDEXED: i64 = 100_000;
/// Above [`INDEXED`] completions with a limit per index. Source: Kubernetes, `parallelismLimitForHighCompletions`.
const MANY_COMPLETIONS: i64 = 10_000;
/// Source: Kubernetes, `maxManagedByLength`.
const MANAGED_BY: usize = 63;
/// Labels by which a Job finds its Pods; it writes them itself.
const GENERATED_LABELS: [&str; 4] = [
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

pub(super) fn rules(spec: &TemplatePlace<'_>, of: Of, name: Option<&str>) {
    for field in [
        "parallelism",
        "completions",
        "backoffLimit",
        "backoffLimitPerIndex",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "maxFailedIndexes",
    ] {
        spec.at(field).not_negative();
    }
    completion_mode(spec, name);
    selector(spec, name);
    managed_by(&spec.at("managedBy"));
    replacement(spec);
    let template = spec.at("template");
    metadata::rules(&template.at("metadata"));
    pod::rules(&template.at("spec"), of);
    policies::failure(spec);
}

fn completion_mode(spec: &TemplatePlace<'_>, name: Option<&str>) {
    let mode = spec.at("completionMode");
    // The empty mode is none of the two, and the server says so.
    let is_indexed = match mode.value().as_str() {
        None | Some("NonIndexed") => false,
        Some("Indexed") => true,
        Some(_) => return mode.refuse("must be Indexed or NonIndexed"),
    };
    let [completions, parallelism, per_index, most_failed, success] = [
        "completions",
        "parallelism",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "successPolicy",
    ]
    .map(|field| spec.at(field));
    if !is_indexed {
        for place in [&success, &per_index, &most_failed] {
            if place.is_there() {
                place.refuse("needs completionMode: Indexed");
            }
        }
        return;
    }
    // Without both, there is one.
    if !completions.is_there() && parallelism.is_there() {
        completions.refuse("is required with completionMode: Indexed and parallelism");
    }
    let count = if completions.is_there() {
        completions.number()
    } else {
        (!parallelism.is_there()).then_some(1)
    };
    parallelism.range(0, INDEXED);
    most_failed.range(0, INDEXED);
    if most_failed.is_there() && !per_index.is_there() {
        per_index.refuse("is required with maxFailedIndexes");
    }
    if let Some(completions) = count {
        if most_failed
            .number()
            .is_some_and(|number| number > completions)
        {
            most_failed.refuse(format!("must be at most completions, {completions}"));
        }
        if completions > INDEXED && per_index.is_there() {
            if !most_failed.is_there() {
                most_failed.refuse(format!(
                    "is required above {INDEXED} completions with backoffLimitPerIndex"
                ));
            }
            for place in [&parallelism, &most_failed] {
                place.range(0, MANY_COMPLETIONS);
            }
        }
        host_name(spec, completions, name);
    }
    policies::success(&success, count);
}

/// The host name of the last Pod, which the API server works out beforehand.
fn host_name(spec: &TemplatePlace<'_>, completions: i64, name: Option<&str>) {
    let Some(name) = name.filter(|_| completions > 0) else {
        return;
    };
    let last = format!("{name}-{}", completions - 1);
    if !is_label(&last) {
        spec.at("completions").refuse(format!(
            "makes Pods with host names up to {last}, and a host name has at most 63 letters, digits and dashes"
        ));
    }
}

fn selector(spec: &TemplatePlace<'_>, name: Option<&str>) {
    let selector = spec.at("selector");
    let written = selector.at("matchLabels").entries();
    let labels = spec.at("template").at("metadata").at("labels");
    if spec.at("manualSelector").is_true() {
        if !selector.is_there() {
            selector.refuse("is required with manualSelector: true");
        }
        let misses =
            |(key, value): &(&str, TemplatePlace<'_>)| labels.at(key).value() != value.value();
        if written.iter().any(misses) {
            selector.refuse("must match the labels of template.metadata");
        }
        return;
    }
    // An empty one is filled in.
    if written
        .iter()
        .any(|(key, _)| !GENERATED_LABELS.contains(key))
    {
        selector.refuse("must be left out: the API server makes one for each Job");
    }
    for key in GENERATED_LABELS {
        let label = labels.at(key);
        if label.is_there() && (key.ends_with("uid") || label.text() != name) {
            label.refuse("must be left out: the API server writes it for each Job");
        }
    }
}

/// A domain, a slash and a path.
fn managed_by(place: &TemplatePlace<'_>) {
    let is_right = |text: &str| {
        let is_path = |path: &str| {
            !path.is_empty()
                && path
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c))
        };
        text.len() <= MANAGED_BY
            && text
                .split_once('/')
                .is_some_and(|(domain, path)| is_subdomain(domain) && is_path(path))
    };
    let expected = "a domain and a path such as example.com/controller, at most 63 characters";
    place.form(is_right, expected);
    if place.is_empty_text() {
        place.refuse(format!("must be {expected}"));
    }
}

fn replacement(spec: &TemplatePlace<'_>) {
    let place = spec.at("podReplacementPolicy");
    if spec.at("podFailurePolicy").is_there() {
        let is_right = |text: &str| text == "Failed";
        place.form(is_right, "Failed, beside a podFailurePolicy");
    } else {
        place.one_of(&["Failed", "TerminatingOrFailed"]);
    }
    if place.is_empty_text() {
        place.refuse("must be Failed or TerminatingOrFailed");
    }
}
