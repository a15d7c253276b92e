//! Bodies of HTML forms, as GitHub and Slack send them, read as JSON; and other types that are no JSON, named.

use std::collections::BTreeSet;

use url::form_urlencoded;

use super::json::{self, Json};
use super::{Attributes, Refusal, header_field};
use crate::resource::json_text::push_quoted;

/// Fields of one form.
const MOST_FIELDS: usize = 256;
/// Types that senders use by mistake. No other is named: the name would be the sender's words.
const NAMED: [&str; 7] = [
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "application/xml",
    "multipart/form-data",
    "text/html",
    "text/plain",
    "text/xml",
];

/// `type/subtype` in lower case, without parameters.
pub(super) fn media_type(attributes: &Attributes) -> String {
    let content_type = attributes.get("content-type").map_or("", String::as_str);
    let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    media_type.trim().to_ascii_lowercase()
}

/// Whether headers say that the body is a form.
pub(super) fn is_form(attributes: &Attributes) -> bool {
    media_type(attributes) == "application/x-www-form-urlencoded"
}

/// The JSON in the one field `payload`; or an object of the fields, whose values are texts.
///
/// # Errors
///
/// [`Refusal`] when a field is there twice, there are too many, or `payload` is no JSON.
pub(super) fn read(body: &[u8]) -> Result<Json, Refusal> {
    // Some senders write JSON under this type, and it has no `=` outside its texts.
    if let [b'{' | b'[', ..] = body.trim_ascii_start() {
        return json::read(body);
    }
    if !body.contains(&b'=') {
        return Err(Refusal::new(
            "body",
            "is no form, as its content type says, and no JSON either: what is sent as application/json is read as JSON",
        ));
    }
    let mut names = BTreeSet::new();
    let mut text = String::from("{");
    let mut payload = None;
    for (name, value) in form_urlencoded::parse(body) {
        if names.len() == MOST_FIELDS {
            let message = format!("is a form with more than {MOST_FIELDS} fields");
            return Err(Refusal::new("body", message));
        }
        if !names.insert(name.to_string()) {
            return Err(Refusal::repeated("a field of the form"));
        }
        if text.len() > 1 {
            text.push(',');
        }
        push_quoted(&mut text, &name);
        text.push(':');
        push_quoted(&mut text, &value);
        payload = (name == "payload").then(|| value.into_owned());
    }
    text.push('}');
    match payload {
        Some(payload) if names.len() == 1 => json::read(payload.as_bytes())
            .map_err(|refusal| Refusal::new("form field payload", refusal.message)),
        _ => json::read(text.as_bytes()),
    }
}

/// A refusal of a body that is no JSON, with its type where that is the cause.
pub(super) fn named(refusal: Refusal, attributes: &Attributes) -> Refusal {
    let media_type = media_type(attributes);
    match NAMED.iter().find(|named| **named == media_type) {
        Some(named) => Refusal::new(
            header_field("content-type"),
            format!("is {named}, and the body is no JSON: set the sender to application/json"),
        ),
        None => refusal,
    }
}
