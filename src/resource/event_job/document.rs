//! The document and its `spec`: which parts there are, and which exclude each other.

use std::time::Duration;

use serde_json::Value;

use super::origin::Origins;
use super::template::Template;
use super::{Concurrency, EventJob, EventSource, HeaderPattern, bind, cron, policy, webhook};
use crate::pattern::Pattern;
use crate::resource::fields::{Faults, Fields};
use crate::resource::metadata::text::go_duration;
use crate::resource::names::is_header;
use crate::resource::{Api, object, requests};

/// The label by which Kueue takes a Job in hand. Source: Kueue, `pkg/controller/constants`.
const KUEUE_QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// Sources that are known words and not served yet.
const PLANNED: [&str; 2] = ["sqs", "kafka"];
const EXACTLY_ONE: &str = "must have exactly one of webhook and cron";

pub(super) fn read(value: &Value, faults: &Faults) -> Option<EventJob> {
    let (_, metadata, event_job) = object::read(value, faults, "EventJob", &[Api::Slipway], spec)?;
    let created = value["metadata"]["creationTimestamp"].as_str();
    let created = created.unwrap_or_default().to_owned();
    Some(EventJob {
        source: match event_job.source {
            EventSource::Cron(cron) => {
                EventSource::Cron(Box::new(cron.of_object(&metadata.id, &created)))
            }
            source @ EventSource::Webhook(_) => source,
        },
        uid: metadata.uid.unwrap_or_else(|| metadata.id.to_string()),
        id: metadata.id,
        generation: metadata.generation,
        created,
        expected_interval: expected_interval(value, faults),
        requests: requests::of(value),
        ..event_job
    })
}

/// The annotation by which an owner says how often a Job should succeed.
const EXPECTED_INTERVAL: &str = "slipway.dev/expected-interval";

fn expected_interval(value: &Value, faults: &Faults) -> Option<Duration> {
    let written = value["metadata"]["annotations"][EXPECTED_INTERVAL].as_str()?;
    let interval = go_duration(written).map(Duration::from_nanos);
    let interval = interval.filter(|interval| !interval.is_zero());
    if interval.is_none() {
        let message = format!("{written:?} is not a duration: write 24h or 1h30m");
        faults.add(
            format!("metadata.annotations[{EXPECTED_INTERVAL}]"),
            message,
        );
    }
    interval
}

/// Everything but the object's own name, which stands in `metadata`.
fn spec(fields: &Fields<'_>, faults: &Faults) -> Option<EventJob> {
    fields.required("source");
    let written = &fields.whole()["source"];
    let is_cron = written["cron"].is_object() && written["webhook"].is_null();
    let source = fields.fields("source").and_then(|fields| source(&fields));
    let origins = Origins::new(match &source {
        Some(EventSource::Webhook(webhook)) => Some(webhook),
        Some(EventSource::Cron(_)) | None => None,
    });
    if is_cron {
        cron::refuse_senders(fields);
    }
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
    if is_cron {
        cron::refuse_bindings(fields, &bind);
    }

    let concurrency = policy::concurrency(fields, &origins);
    let rate_limit = policy::rate_limit(fields);
    let deduplicate_for = policy::deduplicate_for(fields);
    let suspend = fields.switch("suspend");
    let has_ttl = template
        .as_ref()
        .is_some_and(|template| !template.spec["ttlSecondsAfterFinished"].is_null());
    let history = policy::history(fields, has_ttl, is_cron);
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
        source: source?,
        pattern,
        header_pattern,
        expected_interval: None,
        requests: Ok(Vec::new()),
        id_from,
        bind,
        concurrency: concurrency?,
        rate_limit,
        deduplicate_for,
        suspend,
        history,
        job_template: template.value.into(),
        cron_job: None,
    })
}

/// `source`: exactly one of those that there are.
fn source(fields: &Fields<'_>) -> Option<EventSource> {
    let planned: Vec<_> = PLANNED
        .into_iter()
        .filter(|name| fields.has(name))
        .collect();
    for name in &planned {
        fields.fault(
            name,
            "is not supported by this version: there are webhook and cron",
        );
    }
    let source = match (fields.fields("webhook"), fields.fields("cron")) {
        (Some(webhook), None) => webhook::read(&webhook).map(EventSource::Webhook),
        (None, Some(cron)) => cron::read(&cron).map(|cron| EventSource::Cron(Box::new(cron))),
        (Some(webhook), Some(cron)) => {
            fields.fault("", EXACTLY_ONE);
            let _both = (webhook::read(&webhook), cron::read(&cron));
            None
        }
        (None, None) => {
            if planned.is_empty() && !fields.has("webhook") && !fields.has("cron") {
                fields.fault("", EXACTLY_ONE);
            }
            None
        }
    };
    fields.refuse_others_but(&PLANNED);
    source
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
