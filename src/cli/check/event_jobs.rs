//! What `slipway check` says of EventJobs: their template by the API server's rules, the
//! Secrets that prove who sends, what surprises.

use super::{Findings, at, reserved};
use crate::lookup::Lookup as _;
use crate::manifest::{FileDocument, Manifests};
use crate::resource::event_job::{Auth, EventJob};
use crate::resource::template::{self, Of, Opinion};
use crate::resource::{Fault, ObjectId, secret_text, traps};

/// The template of a document, perhaps of one that is wrong elsewhere.
pub(super) fn template(entry: &FileDocument) -> Opinion {
    let spec = &entry.document.value["spec"];
    let template = &spec["jobTemplate"];
    if !template["spec"].is_object() {
        return Opinion::default();
    }
    let mut job = template["spec"].clone();
    // As the Job of the event that asks for most would be.
    for count in ["completions", "parallelism"] {
        let most = &spec["bind"][count]["max"];
        if job[count].is_null() && !most.is_null() {
            job[count] = most.clone();
        }
    }
    let generate_name = template["metadata"]["generateName"].as_str();
    let name = match generate_name.filter(|name| !name.is_empty()) {
        Some(prefix) => reserved(prefix.strip_suffix('-').unwrap_or(prefix)),
        None => reserved(&entry.document.id.name),
    };
    let mut opinion = template::check_named(&job, "spec.jobTemplate.spec", Of::Job, Some(&name));
    let metadata = "spec.jobTemplate.metadata";
    let said = template::check_metadata(&template["metadata"], metadata);
    opinion.faults.extend(said);
    opinion
}

/// A valid EventJob.
pub(super) async fn check(
    manifests: &Manifests,
    entry: &FileDocument,
    event_job: &EventJob,
    findings: &mut Findings,
) {
    let warnings = traps::of_event_job(event_job, &entry.document.value);
    findings.warnings.extend(at(entry, warnings));
    let notes = traps::notes_of_event_job(event_job);
    findings.notes.extend(at(entry, notes));
    for (name, keys) in secrets(event_job) {
        let id = ObjectId::new(&event_job.id.namespace, name);
        match manifests.files.secret(&id).await {
            Ok(Some(values)) => {
                for (key, field) in keys {
                    let message = match values.get(key).map(secret_text::is_blank) {
                        Some(false) => continue,
                        Some(true) => {
                            format!("key `{key}` of Secret {id} is empty")
                        }
                        None => format!("Secret {id} has no key `{key}` that is text"),
                    };
                    findings
                        .faults
                        .push(entry.finding(Fault::at(field, message)));
                }
            }
            // Secrets seldom stand beside what uses them.
            Ok(None) => {
                let message = format!("Secret {id} is not in these files: it is not checked");
                if let Some((_, field)) = keys.into_iter().next() {
                    findings
                        .notes
                        .push(entry.finding(Fault::at(field, message)));
                }
            }
            // The Secret that is wrong has said so in its own place.
            Err(_) => {}
        }
    }
}

type KeyFields<'a> = Vec<(&'a str, String)>;

/// The Secrets that an object needs, each once, with their keys and the fields that name them.
fn secrets(event_job: &EventJob) -> Vec<(&str, KeyFields<'_>)> {
    let mut secrets: Vec<(&str, KeyFields<'_>)> = Vec::new();
    let mut need = |secret, key, field| match secrets.iter_mut().find(|(name, _)| *name == secret) {
        Some((_, keys)) => keys.push((key, field)),
        None => secrets.push((secret, vec![(key, field)])),
    };
    for (index, auth) in event_job.auth().iter().enumerate() {
        let path = format!("spec.source.webhook.auth[{index}]");
        let (kind, keys) = match auth {
            Auth::ApiKey { keys, .. } => ("apiKey", keys),
            Auth::Hmac { keys, .. } => ("hmac", keys),
            Auth::Basic { secret } => {
                for key in ["username", "password"] {
                    need(secret, key, format!("{path}.basic.secretRef.name"));
                }
                continue;
            }
            Auth::Jwt { .. } | Auth::Sns { .. } | Auth::None => continue,
        };
        for (index, reference) in keys.iter().enumerate() {
            let field = format!("{path}.{kind}.secretKeyRefs[{index}]");
            need(&reference.name, &reference.key, field);
        }
    }
    secrets
}
