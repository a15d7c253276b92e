//! CloudEvents 1.0 over HTTP: structured, in batches, and binary.
//!
//! Source: CloudEvents 1.0.2, JSON event format and HTTP protocol binding. However an event came, patterns
//! and paths see one object: its attributes, and `data` (or `data_base64`, when it is neither JSON nor text).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{self, Json};
use super::{Attributes, Event, EventIdentity, Opened, Refusal, form, header_field, trace};
use crate::resource::json_text::push_quoted;

/// Attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// Opens a body.
pub(super) fn open(attributes: &Attributes, body: &[u8]) -> Result<Opened, Refusal> {
    let content_type = form::media_type(attributes);
    match content_type.as_str() {
        "application/cloudevents+json" => {
            let event = structured(json::read(body)?, attributes)?;
            Ok(Opened::One(Box::new(event)))
        }
        "application/cloudevents-batch+json" => {
            let items = json::items(&json::read(body)?)?
                .ok_or_else(|| Refusal::new("body", "must be a list: it came as a batch"))?;
            let events = items.into_iter().map(|item| structured(item, attributes));
            Ok(Opened::Many(events.collect()))
        }
        other if other.starts_with("application/cloudevents") => Err(Refusal::new(
            header_field("content-type"),
            "must be application/cloudevents+json or application/cloudevents-batch+json: other formats are not read",
        )),
        _ if attributes.contains_key("ce-specversion") => {
            let json = binary(attributes, &content_type, body)?;
            Ok(Opened::One(Box::new(structured(json, attributes)?)))
        }
        _ => {
            attributes.check("ce-specversion")?;
            Err(Refusal::new(
                header_field("content-type"),
                "must be application/cloudevents+json or application/cloudevents-batch+json; without them, the attributes must stand in ce- headers, and ce-specversion is missing",
            ))
        }
    }
}

fn structured(json: Json, attributes: &Attributes) -> Result<Event, Refusal> {
    if !json.value.is_object() {
        return Err(Refusal::new("$", "must be an object: a CloudEvent"));
    }
    json::refuse_repeated(&json.text, &REQUIRED)?;
    for name in REQUIRED {
        json::text_of(&json.value, name, ": every CloudEvent has it")?;
    }
    if json.value["specversion"] != "1.0" {
        return Err(Refusal::new("$.specversion", "must be 1.0"));
    }
    let text = |name: &str| json.value[name].as_str().unwrap_or_default().to_owned();
    let identity = EventIdentity {
        source: text("source"),
        id: text("id"),
        replay: None,
    };
    // The extension says where the event came from; a header, by which way this delivery did.
    let own = trace::parse(
        json.value["traceparent"].as_str(),
        json.value["tracestate"].as_str(),
    );
    let mut event = json.event(attributes, Ok(identity));
    event.trace = event.trace.or(own);
    Ok(event)
}

/// The object that an event in binary mode is.
fn binary(attributes: &Attributes, content_type: &str, body: &[u8]) -> Result<Json, Refusal> {
    let mut text = String::with_capacity(body.len() + 256);
    let mut member = |name: &str, value: &dyn Fn(&mut String)| {
        text.push(if text.is_empty() { '{' } else { ',' });
        push_quoted(&mut text, name);
        text.push(':');
        value(&mut text);
    };
    attributes.check_all("ce-")?;
    for (header, value) in attributes.iter() {
        let Some(name) = header.strip_prefix("ce-").filter(|name| is_attribute(name)) else {
            continue;
        };
        let value = unescaped(value).ok_or_else(|| {
            Refusal::new(header_field(header), "must be UTF-8 text, percent-encoded")
        })?;
        member(name, &|text| push_quoted(text, &value));
    }
    if let Some(content_type) = attributes.get("content-type") {
        member("datacontenttype", &|text| push_quoted(text, content_type));
    }
    if !body.is_empty() {
        if is_json(content_type) {
            let data = json::read(body)?;
            member("data", &|text| text.push_str(&data.text));
        } else if let Ok(data) = std::str::from_utf8(body) {
            member("data", &|text| push_quoted(text, data));
        } else {
            member("data_base64", &|text| {
                push_quoted(text, &STANDARD.encode(body));
            });
        }
    }
    text.push('}');
    json::read(text.as_bytes())
}

/// Whether a header's name after `ce-` is an attribute's: lower-case letters and digits. `data` and
/// `datacontenttype` are not sent that way.
fn is_attribute(name: &str) -> bool {
    let is_right = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    !name.is_empty() && name.bytes().all(is_right) && !matches!(name, "data" | "datacontenttype")
}

fn is_json(media_type: &str) -> bool {
    media_type.is_empty()
        || media_type
            .rsplit_once('/')
            .is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

/// A header's value as the binding says: quotes taken off, then one round of percent-decoding.
fn unescaped(value: &str) -> Option<String> {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let bytes = match inner {
        Some(inner) => {
            let mut bytes = Vec::with_capacity(inner.len());
            let mut rest = inner.bytes();
            while let Some(byte) = rest.next() {
                bytes.push(if byte == b'\\' { rest.next()? } else { byte });
            }
            bytes
        }
        None => value.as_bytes().to_vec(),
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let digit = |index: usize| char::from(*after.get(index)?).to_digit(16);
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).ok()?);
                rest = &after[2..];
            }
            _ => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok()
}
