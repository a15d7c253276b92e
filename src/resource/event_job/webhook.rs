//! `source.webhook`: events over HTTP.

use serde_json::Value;

use super::origin::path;
use super::{Auth, Format, Split, WebhookSource, auth};
use crate::resource::fields::Fields;

/// Ways in which one EventJob may be proved to.
const MOST_AUTH: usize = 8;
/// Origins that one EventJob lists.
const MOST_ORIGINS: usize = 16;

/// `source.webhook`; `None` when it is wrong.
pub(super) fn read(fields: &Fields<'_>) -> Option<WebhookSource> {
    let words = ["EventBridge", "SNS", "CloudEvents", "JSON"];
    let format = match fields.choice("format", &words) {
        Some("SNS") => Some(Format::Sns),
        Some("CloudEvents") => Some(Format::CloudEvents),
        Some("JSON") => Some(Format::Json),
        None if fields.get("format").is_some() => None,
        _ => Some(Format::EventBridge),
    };
    let shared = fields.switch("shared");
    let split = split(fields, format);
    let allowed_origins = origins(fields, format);
    let confirm_topic_arns = topics(fields, format);
    let auth = ways(fields, format);
    fields.refuse_others();
    Some(WebhookSource {
        format: format?,
        shared,
        split,
        allowed_origins,
        confirm_topic_arns,
        auth,
    })
}

fn split(webhook: &Fields<'_>, format: Option<Format>) -> Split {
    let split = match webhook.get("split") {
        Some(Value::Object(_)) => webhook.fields("split").and_then(|fields| {
            fields.required("path");
            let path = path(&fields, "path");
            fields.refuse_others();
            path.map(Split::At)
        }),
        _ => webhook.switch("split").then_some(Split::Elements),
    };
    if split.is_some() && format.is_some_and(|format| format != Format::Json) {
        webhook.fault(
            "split",
            "goes with format: JSON; lists of EventBridge and batches of CloudEvents are split as they come",
        );
    }
    split.unwrap_or_default()
}

/// `allowedOrigins`.
fn origins(webhook: &Fields<'_>, format: Option<Format>) -> Vec<String> {
    let origins = webhook.texts("allowedOrigins");
    if !origins.is_empty() && !matches!(format, None | Some(Format::CloudEvents | Format::Json)) {
        webhook.fault(
            "allowedOrigins",
            "goes with format: CloudEvents or JSON, whose senders ask with OPTIONS",
        );
    }
    if origins.len() > MOST_ORIGINS {
        let message = format!("must have at most {MOST_ORIGINS} entries");
        webhook.fault("allowedOrigins", message);
    }
    for (index, origin) in origins.iter().enumerate() {
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
        if origin.is_empty() || origin.len() > 253 || !origin.chars().all(is_host) {
            webhook.fault(
                &format!("allowedOrigins[{index}]"),
                "must be what the sender calls itself, such as eventgrid.azure.net",
            );
        }
    }
    origins
}

/// `confirmTopicARNs`.
fn topics(webhook: &Fields<'_>, format: Option<Format>) -> Vec<String> {
    if webhook.get("confirmTopicARNs").is_none() {
        return Vec::new();
    }
    if format.is_some_and(|format| format != Format::Sns) {
        webhook.fault("confirmTopicARNs", "goes with format: SNS");
    }
    auth::topics(webhook, "confirmTopicARNs")
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
    let mut read: Vec<_> = ways.iter().filter_map(auth::read).collect();
    read.shrink_to_fit();
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
