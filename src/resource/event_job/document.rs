//! The document and its `spec`: which parts there are, and which exclude each other.

use serde_json::Value;

use super::origin::Origins;
use super::template::Template;
use super::{Concurrency, EventJob, HeaderPattern, bind, policy, webhook};
use crate::pattern::Pattern;
use crate::resource::fields::{Faults, Fields};
use crate::resource::names::is_header;
use crate::resource::{Api, object};

/// The label by which Kueue takes a Job in hand. Source: Kueue, `pkg/controller/constants`.
const KUEUE_QUEUE: &str = "kueue.x-k8s.io/queue-name";

pub(super) fn read(value: &Value, faults: &Faults) -> Option<EventJob> {
    let (_, metadata, event_job) = object::read(value, faults, "EventJob", &[Api::Slipway], spec)?;
    Some(EventJob {
        uid: metadata.uid.unwrap_or_else(|| metadata.id.to_string()),
        id: metadata.id,
        generation: metadata.generation,
        created: value["metadata"]["creationTimestamp"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        ..event_job
    })
}

/// Everything but the object's own name, which stands in `metadata`.
fn spec(fields: &Fields<'_>, faults: &Faults) -> Option<EventJob> {
    fields.required("source");
    let webhook = fields
        .fields("source")
        .and_then(|source| webhook::read(&source));
    let origins = Origins::new(webhook.as_ref());
    let pattern = fields.get("pattern").and_then(|written| {
        // AWS's own words for what is not a mapping, too.
        let pattern = Pattern::from_value(written);
        if let Err(error) = &pattern {
            fields.fault("pattern", error.to_string());
        }
        pattern.ok()
    });
    let header_pattern = headers(fields, &origins);
    let id_from = origins.id_from(fields);

    fields.required("jobTemplate");
    let template = fields
        .fields("jobTemplate")
        .and_then(|template| Template::read(&template));
    let bind = fields
        .fields("bind")
        .map(|bind| bind::read(&bind, &origins, template.as_ref()))
        .unwrap_or_default();

    let concurrency = policy::concurrency(fields, &origins);
    let rate_limit = policy::rate_limit(fields);
    let deduplicate_for = policy::deduplicate_for(fields);
    let suspend = fields.switch("suspend");
    let has_ttl = template
        .as_ref()
        .is_some_and(|template| !template.spec["ttlSecondsAfterFinished"].is_null());
    let history = policy::history(fields, has_ttl);
    fields.refuse_others();

    let template = template?;
    if concurrency.as_ref() != Some(&Concurrency::Allow) {
        another_owner(&template, faults);
    }
    Some(EventJob {
        id: crate::resource::ObjectId::new("", ""),
        uid: String::new(),
        generation: 0,
        created: String::new(),
        webhook: webhook?,
        pattern,
        header_pattern,
        id_from,
        bind,
        concurrency: concurrency?,
        rate_limit,
        deduplicate_for,
        suspend,
        history,
        job_template: template.value.into(),
    })
}

/// `match.headers`.
fn headers(spec: &Fields<'_>, origins: &Origins) -> Option<HeaderPattern> {
    let matched = spec.fields("match")?;
    matched.required("headers");
    let headers = matched.get("headers");
    matched.refuse_others();
    let headers = headers?;
    let pattern = match Pattern::from_value(headers) {
        Ok(pattern) => pattern,
        Err(error) => {
            matched.fault("headers", error.to_string());
            return None;
        }
    };
    let mut names = Vec::new();
    let fields = matched.fields("headers")?;
    for (name, wanted) in headers.as_object()? {
        if !is_header(name) || name.starts_with('$') || *name != name.to_ascii_lowercase() {
            let message = "must be the name of a header in lower case, such as x-github-event";
            fields.fault(name, message);
        } else if let Some(why) = origins.why_secret(name) {
            fields.fault(name, why);
        } else if !wanted.is_array() {
            fields.fault(
                name,
                "must be a list of values and conditions, as in a pattern",
            );
        }
        names.push(name.clone());
    }
    Some(HeaderPattern { names, pattern })
}

/// A Job that somebody else releases cannot be ours to release too.
fn another_owner(template: &Template<'_>, faults: &Faults) {
    let advice = "write concurrencyPolicy: Allow, or leave it out";
    if template.spec["suspend"] == true {
        faults.add(
            "spec.jobTemplate.spec.suspend",
            format!("is on: whoever resumes such Jobs and this concurrencyPolicy would undo each other; {advice}"),
        );
    }
    for map in ["labels", "annotations"] {
        if !template.value["metadata"][map][KUEUE_QUEUE].is_null() {
            faults.add(
                format!("spec.jobTemplate.metadata.{map}[\"{KUEUE_QUEUE}\"]"),
                format!("names a queue of Kueue, which decides when such Jobs start, as this concurrencyPolicy would; {advice}"),
            );
            return;
        }
    }
}
