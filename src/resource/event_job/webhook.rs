//! `source`, of which only `webhook` is served by this version.

use super::{Auth, Format, WebhookSource, auth};
use crate::resource::fields::Fields;

/// Sources that are known words and not served yet.
const PLANNED: [&str; 3] = ["sqs", "kafka", "cron"];
/// Ways in which one EventJob may be proved to.
const MOST_AUTH: usize = 8;

pub(super) fn read(source: &Fields<'_>) -> Option<WebhookSource> {
    let planned: Vec<_> = PLANNED
        .into_iter()
        .filter(|name| source.has(name))
        .collect();
    for name in &planned {
        source.fault(
            name,
            "is not supported by this version: the one source is webhook",
        );
    }
    if planned.is_empty() {
        source.required("webhook");
        source.refuse_others();
    }
    let fields = source.fields("webhook")?;
    let words = ["EventBridge", "SNS", "CloudEvents", "JSON"];
    let format = match fields.choice("format", &words) {
        Some("SNS") => Some(Format::Sns),
        Some("CloudEvents") => Some(Format::CloudEvents),
        Some("JSON") => Some(Format::Json),
        None if fields.get("format").is_some_and(|text| text != "") => None,
        _ => Some(Format::EventBridge),
    };
    let shared = fields.switch("shared");
    let auth = ways(&fields, format);
    fields.refuse_others();
    Some(WebhookSource {
        format: format?,
        shared,
        auth,
    })
}

fn ways(webhook: &Fields<'_>, format: Option<Format>) -> Vec<Auth> {
    if webhook.get("auth").is_none() {
        webhook.fault(
            "auth",
            "is required: who may send events; `- none: {}` lets everybody",
        );
        return Vec::new();
    }
    let Some(ways) = webhook.mappings("auth") else {
        return Vec::new();
    };
    if !(1..=MOST_AUTH).contains(&ways.len()) {
        webhook.fault(
            "auth",
            format!("must have 1 to {MOST_AUTH} entries; `- none: {{}}` lets everybody in"),
        );
    }
    let read: Vec<_> = ways.iter().filter_map(auth::read).collect();
    if ways.len() > 1 && read.contains(&Auth::None) {
        webhook.fault(
            "auth",
            "has none beside others: none lets everybody in, so it must stand alone",
        );
    }
    if format.is_some_and(|format| format != Format::Sns)
        && read.iter().any(|auth| matches!(auth, Auth::Sns { .. }))
    {
        webhook.fault(
            "auth",
            "has sns, which proves only what SNS sends: it needs format: SNS",
        );
    }
    read
}
