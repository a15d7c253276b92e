//! Traps in an EventJob.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::NAME_PREFIX;
use crate::resource::Fault;
use crate::resource::event_job::cron::{Cron, field_of_schedule};
use crate::resource::event_job::signature::HmacScheme;
use crate::resource::event_job::{Auth, EventJob, EventSource, Format, IdPart, WebhookSource};
use crate::resource::fields::{join, suggest};

/// How long EventBridge tries by default. Source: EventBridge User Guide, "Retrying event delivery".
const EVENTBRIDGE_RETRIES: Duration = Duration::from_hours(24);
/// The default of `--ledger-grace`. Unit: seconds.
const LEDGER_GRACE_SECONDS: i64 = 600;
/// The fields of an EventBridge envelope.
const ENVELOPE: [&str; 10] = [
    "account",
    "detail",
    "detail-type",
    "id",
    "region",
    "replay-name",
    "resources",
    "source",
    "time",
    "version",
];

/// Warnings about an EventJob; `written` is the document it was read from.
pub fn of_event_job(event_job: &EventJob, written: &Value) -> Vec<Fault> {
    let spec = &written["spec"];
    let mut found = Vec::new();
    match &event_job.source {
        EventSource::Webhook(webhook) => {
            senders(event_job, webhook, &mut found);
            identity(event_job, webhook, &mut found);
            // With an identity of their own, bodies may be anything.
            if webhook.format == Format::EventBridge && event_job.id_from.is_empty() {
                fields_of_patterns(&spec["pattern"], "spec.pattern", &mut found);
                fields_of_paths(spec, &mut found);
            }
        }
        EventSource::Cron(cron) => schedule(cron, written, &mut found),
    }
    variables(event_job, &mut found);
    jobs(event_job, &mut found);
    found
}

/// What is worth knowing and no mistake: headers that a sender's signature does not cover.
pub fn notes_of_event_job(event_job: &EventJob) -> Vec<Fault> {
    let schemes = event_job.auth().iter().filter_map(|auth| match auth {
        Auth::Hmac { scheme, .. } => Some(scheme),
        _ => None,
    });
    let schemes: Vec<&HmacScheme> = schemes.collect();
    let unsigned = |(field, header): (String, &str)| {
        let scheme = schemes.iter().find(|scheme| !scheme.signs(header))?;
        Some(Fault::at(
            field,
            format!(
                "header {header} is not signed by {}: who has a signed request can send it again with another value there",
                scheme.name
            ),
        ))
    };
    event_job
        .headers()
        .into_iter()
        .filter_map(unsigned)
        .collect()
}

/// What is surprising about a schedule.
fn schedule(cron: &Cron, written: &Value, found: &mut Vec<Fault>) {
    let schedule = &cron.schedule;
    for (index, expression) in schedule.expressions.iter().enumerate() {
        let field = field_of_schedule(index, written);
        let traps = expression.traps().into_iter();
        found.extend(traps.map(|trap| Fault::at(&field, trap)));
    }
    let own = |index: usize| format!("spec.source.cron.exclude.schedules[{index}]");
    for (index, expression) in schedule.exclude.expressions.iter().enumerate() {
        let traps = expression.traps().into_iter();
        found.extend(traps.map(|trap| Fault::at(own(index), trap)));
        if expression.names_one_minute() {
            found.push(Fault::at(
                own(index),
                format!(
                    "leaves out single minutes, as a schedule names them; for whole hours or days write * in front, as in * 2 * * * (it has {expression})"
                ),
            ));
        }
    }
    let is_ever_due = schedule
        .expressions
        .iter()
        .any(|expression| !expression.is_never_due());
    if is_ever_due && schedule.first_after(Timestamp::UNIX_EPOCH).is_none() {
        found.push(Fault::at(
            "spec.source.cron",
            "is never due: startAt, endAt and exclude leave nothing",
        ));
    }
}

fn senders(event_job: &EventJob, webhook: &WebhookSource, found: &mut Vec<Fault>) {
    let is_github =
        |auth: &Auth| matches!(auth, Auth::Hmac { scheme, .. } if scheme.name == "GitHub");
    if webhook.auth.contains(&Auth::None) {
        found.push(Fault::at(
            "spec.source.webhook.auth",
            "is none: everybody who reaches the port starts Jobs",
        ));
    }
    if webhook.format == Format::Sns
        && !webhook
            .auth
            .iter()
            .any(|auth| matches!(auth, Auth::Sns { .. }))
    {
        found.push(Fault::at(
            "spec.source.webhook.auth",
            "has no sns: subscriptions are confirmed only for topics that it lists, so somebody has to confirm them by hand",
        ));
    }
    if webhook.auth.iter().any(is_github) && webhook.format != Format::Json {
        found.push(Fault::at(
            "spec.source.webhook.format",
            "is not JSON, and what GitHub sends has no other form: every event is answered 400; write format: JSON and idFrom: [{header: X-GitHub-Delivery}]",
        ));
    }
    for (index, auth) in webhook.auth.iter().enumerate() {
        if let Auth::Hmac { scheme, .. } = auth {
            known_sender(scheme, index, found);
        }
    }
    if webhook.shared && event_job.pattern.is_none() {
        found.push(Fault::at(
            "spec.source.webhook.shared",
            "is on without a pattern: every event that is posted to the namespace starts a Job",
        ));
    }
}

/// A sender whose way to sign is known need not be described.
fn known_sender(scheme: &HmacScheme, index: usize, found: &mut Vec<Fault>) {
    let senders = scheme.senders_of();
    if let Some(first) = senders.first() {
        let names = senders.join(" and ");
        found.push(Fault::at(
            format!("spec.source.webhook.auth[{index}].hmac.signatureHeader"),
            format!("is the header of {names}, whose way to sign is known: write scheme: {first}"),
        ));
    }
}

fn identity(event_job: &EventJob, webhook: &WebhookSource, found: &mut Vec<Fault>) {
    let format = webhook.format;
    let has_id =
        |auth: &Auth| matches!(auth, Auth::Hmac { scheme, .. } if scheme.signs("webhook-id"));
    if format == Format::Json
        && event_job.id_from.is_empty()
        && !event_job.auth().iter().all(has_id)
    {
        found.push(Fault::at(
            "spec.idFrom",
            "is not written: with format: JSON an event's id is its webhook-id or Idempotency-Key header, and an event with neither is answered 400; name what the sender sets, such as {header: X-GitHub-Delivery}",
        ));
    }
    if event_job.id_from == [IdPart::BodyHash] {
        found.push(Fault::at(
            "spec.idFrom",
            "is bodyHash alone: two events that say the same within deduplicateFor are one, and get one Job",
        ));
    }
    if format == Format::EventBridge && event_job.deduplicate_for < EVENTBRIDGE_RETRIES {
        found.push(Fault::at(
            "spec.deduplicateFor",
            "is less than 24h, for which EventBridge tries again unless its rule says less: an event that comes later than this gets a second Job",
        ));
    }
}

/// Fields that no envelope has, so that the pattern never matches.
fn fields_of_patterns(pattern: &Value, path: &str, found: &mut Vec<Fault>) {
    for (key, value) in pattern.as_object().into_iter().flatten() {
        let field = join(path, key);
        if key == "$or" {
            for (index, pattern) in value.as_array().into_iter().flatten().enumerate() {
                fields_of_patterns(pattern, &format!("{field}[{index}]"), found);
            }
        } else if !ENVELOPE.contains(&key.as_str()) {
            let message = "is no field of an EventBridge event: unless the pattern asks that it is not there, nothing ever matches";
            found.push(Fault::at(field, suggested(message, key)));
        }
    }
}

/// Paths that lead to nothing in an envelope.
fn fields_of_paths(spec: &Value, found: &mut Vec<Fault>) {
    let bind = &spec["bind"];
    let mut places = Vec::new();
    for list in ["env", "labels", "annotations"] {
        for (index, entry) in bind[list].as_array().into_iter().flatten().enumerate() {
            // A default makes a path that may be missing.
            if entry["default"].is_null() {
                places.push((format!("spec.bind.{list}[{index}].path"), &entry["path"]));
            }
        }
    }
    for count in ["completions", "parallelism"] {
        places.push((format!("spec.bind.{count}.path"), &bind[count]["path"]));
    }
    let key = &spec["concurrency"]["keyFrom"]["path"];
    places.push(("spec.concurrency.keyFrom.path".to_owned(), key));
    for (field, path) in places {
        let name = path.as_str().and_then(first_name);
        if let Some(name) = name.filter(|name| !ENVELOPE.contains(name)) {
            let message =
                "begins with no field of an EventBridge event: every event is answered 400";
            found.push(Fault::at(field, suggested(message, name)));
        }
    }
}

fn suggested(message: &str, written: &str) -> String {
    let mut message = message.to_owned();
    suggest(&mut message, written, &ENVELOPE);
    message
}

/// `detail` of `$.detail.id`; `None` where it takes more to find out.
fn first_name(path: &str) -> Option<&str> {
    let rest = path.trim_start().strip_prefix('$')?;
    let name = if let Some(rest) = rest.strip_prefix('.') {
        rest.split(['.', '[']).next()?
    } else {
        let rest = rest.strip_prefix('[')?;
        let quote = rest.chars().next().filter(|c| "'\"".contains(*c))?;
        rest[1..].split(quote).next()?
    };
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
}

/// Variables that the template has too.
fn variables(event_job: &EventJob, found: &mut Vec<Fault>) {
    let template = event_job.job_template.value();
    let pod = &template["spec"]["template"]["spec"];
    for (index, binding) in event_job.bind.env.iter().enumerate() {
        let has = |container: &&Value| {
            let is_meant = binding
                .container
                .as_deref()
                .is_none_or(|name| container["name"] == name);
            let env = container["env"].as_array();
            is_meant
                && env
                    .into_iter()
                    .flatten()
                    .any(|variable| variable["name"] == binding.name.as_str())
        };
        let container = ["initContainers", "containers"]
            .iter()
            .filter_map(|list| pod[list].as_array())
            .flatten()
            .find(has);
        if let Some(name) = container.and_then(|container| container["name"].as_str()) {
            found.push(Fault::at(
                format!("spec.bind.env[{index}].name"),
                format!("is written in container {name} of jobTemplate too: the event's value replaces it"),
            ));
        }
    }
}

fn jobs(event_job: &EventJob, found: &mut Vec<Fault>) {
    let template = event_job.job_template.value();
    let job = &template["spec"];
    let generate_name = template["metadata"]["generateName"].as_str();
    let (field, name) = match generate_name.filter(|name| !name.is_empty()) {
        Some(name) => ("spec.jobTemplate.metadata.generateName", name),
        None => ("metadata.name", &*event_job.id.name),
    };
    if name.len() > NAME_PREFIX {
        found.push(Fault::at(
            field,
            format!("has {} characters, and the names of Jobs take the first {NAME_PREFIX}: two objects that differ only later look alike in lists", name.len()),
        ));
    }
    if let Some(seconds) = job["ttlSecondsAfterFinished"].as_i64()
        && (0..LEDGER_GRACE_SECONDS).contains(&seconds)
    {
        found.push(Fault::at(
            "spec.jobTemplate.spec.ttlSecondsAfterFinished",
            format!("is {seconds}, and is raised to --ledger-grace, {LEDGER_GRACE_SECONDS} by default: a Job that goes earlier may be made twice"),
        ));
    }
    if job["template"]["spec"]["restartPolicy"] == "OnFailure"
        && job["backoffLimit"].is_null()
        && job["activeDeadlineSeconds"].is_null()
    {
        found.push(Fault::at(
            "spec.jobTemplate.spec.template.spec.restartPolicy",
            "is OnFailure: a container that crashes is restarted in the same Pod for minutes, and its earlier logs are gone; write Never, or a backoffLimit or activeDeadlineSeconds",
        ));
    }
}
