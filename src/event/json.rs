//! Bytes become JSON, or are refused; and events that are any JSON.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Attributes, Element, Event, EventIdentity, Opened, Refusal, form, header_field, trace,
};
use crate::resource::event_job::Split;
use crate::resource::json_text;

/// Events of one list that are taken: each has its own copy of the headers, and its own launch to wait for.
pub(super) const MOST_EVENTS: usize = 256;

/// The longest value that is sent back in a handshake. Unit: bytes.
const LONGEST_CHALLENGE: usize = 512;

/// Headers that tell one message of a sender from another, in the order they are looked at.
///
/// Source: Standard Webhooks 1.0; the IETF's draft of the `Idempotency-Key` header.
const ID_HEADERS: [&str; 2] = ["webhook-id", "idempotency-key"];

/// A JSON text and what it says.
pub(super) struct Json {
    pub(super) text: String,
    pub(super) value: Value,
}

/// Opens a body that is any JSON, or a form. A list is one event unless it is split.
pub(super) fn open(split: &Split, attributes: &Attributes, body: &[u8]) -> Result<Opened, Refusal> {
    let json = if form::is_form(attributes) {
        form::read(body)?
    } else {
        read(body).map_err(|refusal| form::named(refusal, attributes))?
    };
    if let Some(handshake) = handshake(&json, attributes) {
        return Ok(handshake);
    }
    let Some(items) = split_at(split, &json)? else {
        let identity = identity(attributes);
        return Ok(Opened::One(Box::new(json.event(attributes, identity))));
    };
    let mut repetitions: HashMap<String, usize> = HashMap::new();
    let mut events = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let mut event = item.event(attributes, identity(attributes));
        let repetition = repetitions.entry(event.payload_hash()).or_default();
        let element = Element {
            index,
            repetition: *repetition,
        };
        *repetition += 1;
        if let Ok(identity) = &mut event.identity {
            identity.id = element.of(&identity.id);
        }
        event.element = Some(element);
        events.push(Ok(event));
    }
    Ok(Opened::Many(events))
}

/// The events of a body that is split; `None` for one that is not.
fn split_at(split: &Split, json: &Json) -> Result<Option<Vec<Json>>, Refusal> {
    let at = match split {
        Split::No => return Ok(None),
        Split::Elements => {
            let whole = || {
                vec![Json {
                    text: json.text.clone(),
                    value: json.value.clone(),
                }]
            };
            return Ok(Some(items(json)?.unwrap_or_else(whole)));
        }
        Split::At(at) => at,
    };
    if at.is_ambiguous_in(&json.text) {
        return Err(Refusal::repeated(at.to_string()));
    }
    let (value, text) = (at.find(&json.value), at.find_written(&json.text));
    let found = value.zip(text).map(|(value, text)| Json {
        text: text.to_owned(),
        value: value.clone(),
    });
    let items = match &found {
        Some(list) => {
            items(list).map_err(|refusal| Refusal::new(at.to_string(), refusal.message))?
        }
        None => None,
    };
    let no_list = || {
        Refusal::new(
            at.to_string(),
            "must be a list: its elements are the events",
        )
    };
    items.map(Some).ok_or_else(no_list)
}

/// What some senders ask before they send: Slack's `url_verification`, Event Grid's `SubscriptionValidation`.
fn handshake(json: &Json, attributes: &Attributes) -> Option<Opened> {
    let is_event_grid = attributes
        .get("aeg-event-type")
        .is_some_and(|kind| kind == "SubscriptionValidation");
    let is_slack =
        attributes.contains_key("x-slack-signature") && json.value["type"] == "url_verification";
    let (answer, value) = if is_event_grid {
        let first = json.value.get(0).unwrap_or(&json.value);
        ("validationResponse", &first["data"]["validationCode"])
    } else if is_slack {
        ("challenge", &json.value["challenge"])
    } else {
        return None;
    };
    let value = value.as_str()?;
    (value.len() <= LONGEST_CHALLENGE).then(|| Opened::Handshake {
        answer,
        value: value.to_owned(),
    })
}

fn identity(attributes: &Attributes) -> Result<EventIdentity, Refusal> {
    for name in ID_HEADERS {
        attributes.check(name)?;
    }
    let id = ID_HEADERS
        .iter()
        .filter_map(|name| attributes.get(*name))
        .find(|id| !id.is_empty());
    id.map(|id| EventIdentity {
        source: String::new(),
        id: id.clone(),
        replay: None,
    })
    .ok_or_else(|| {
        Refusal::new(
            header_field(ID_HEADERS[0]),
            "is missing: the event's id must stand in webhook-id or Idempotency-Key, or where idFrom says",
        )
    })
}

impl Json {
    pub(super) fn event(
        self,
        attributes: &Attributes,
        identity: Result<EventIdentity, Refusal>,
    ) -> Event {
        Event {
            has_doubtful_names: has_doubtful_names(&self.text, &self.value),
            trace: trace::of(attributes),
            text: self.text,
            value: self.value,
            attributes: attributes.clone(),
            identity,
            element: None,
        }
    }
}

/// Whether two members of the text may be taken for one: a name that is repeated, or one with a dot, which patterns take for a path.
fn has_doubtful_names(text: &str, value: &Value) -> bool {
    fn count(value: &Value, has_dot: &mut bool) -> usize {
        match value {
            Value::Array(elements) => elements.iter().map(|value| count(value, has_dot)).sum(),
            Value::Object(members) => {
                *has_dot |= members.keys().any(|name| name.contains('.'));
                let below = members.values().map(|value| count(value, has_dot));
                members.len() + below.sum::<usize>()
            }
            _ => 0,
        }
    }
    let mut has_dot = false;
    count(value, &mut has_dot) != json_text::member_count(text) || has_dot
}

/// Reads a body. A byte order mark is skipped, as RFC 8259 lets readers do: some senders cannot help it.
///
/// # Errors
///
/// [`Refusal`] when it is not JSON in UTF-8, or nested deeper than 128.
pub(super) fn read(body: &[u8]) -> Result<Json, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Refusal::new("body", format!("is not UTF-8 text, from byte {at} on"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_matches(json_text::is_space).is_empty() {
        return Err(Refusal::new("body", "is empty: it must be JSON"));
    }
    // The reader's words tell places and expected signs, never what stands there.
    let value = serde_json::from_str(text)
        .map_err(|error| Refusal::new("body", format!("is not JSON that is read: {error}")))?;
    Ok(Json {
        text: text.to_owned(),
        value,
    })
}

/// The elements of a list, one by one; `None` when it is no list.
///
/// # Errors
///
/// [`Refusal`] when there are more than [`MOST_EVENTS`].
pub(super) fn items(json: &Json) -> Result<Option<Vec<Json>>, Refusal> {
    let Value::Array(values) = &json.value else {
        return Ok(None);
    };
    if values.len() > MOST_EVENTS {
        let message = format!(
            "holds {} events, and {MOST_EVENTS} are taken at once",
            values.len()
        );
        return Err(Refusal::new("body", message));
    }
    let texts = json_text::elements(&json.text).into_iter().flatten();
    let items = texts.zip(values).map(|(text, value)| Json {
        text: text.to_owned(),
        value: value.clone(),
    });
    Ok(Some(items.collect()))
}

/// Refuses an object in which one of these names is there more than once: readers may disagree which one is meant.
pub(super) fn refuse_repeated(text: &str, names: &[&str]) -> Result<(), Refusal> {
    let mut seen = vec![false; names.len()];
    for (name, _) in json_text::members(text).into_iter().flatten() {
        let Some(index) = names.iter().position(|known| *known == name) else {
            continue;
        };
        if std::mem::replace(&mut seen[index], true) {
            return Err(Refusal::repeated(field(names[index])));
        }
    }
    Ok(())
}

/// The text of a member; neither missing nor empty.
///
/// # Errors
///
/// [`Refusal`] that ends with `hint`.
pub(super) fn text_of<'a>(value: &'a Value, name: &str, hint: &str) -> Result<&'a str, Refusal> {
    let what = match value.get(name) {
        Some(Value::String(text)) if !text.is_empty() => return Ok(text),
        Some(Value::String(_)) => "is empty",
        None | Some(Value::Null) => "is missing",
        Some(_) => "is not text",
    };
    Err(Refusal::new(field(name), format!("{what}{hint}")))
}

/// A member as a path.
pub(super) fn field(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.chars().all(is_plain) {
        format!("$.{name}")
    } else {
        format!("$['{name}']")
    }
}
