//! Bytes become JSON, or are refused; and events that are any JSON.

use serde_json::Value;

use super::{Attributes, Event, EventIdentity, Opened, Refusal, header_field, trace};
use crate::resource::json_text;

/// Events of one list that are taken: each has its own copy of the headers, and its own launch to wait for.
pub(super) const MOST_EVENTS: usize = 256;

/// Headers that tell one message of a sender from another, in the order they are looked at.
///
/// Source: Standard Webhooks 1.0; the IETF's draft of the `Idempotency-Key` header.
const ID_HEADERS: [&str; 2] = ["webhook-id", "idempotency-key"];

/// A JSON text and what it says.
pub(super) struct Json {
    pub(super) text: String,
    pub(super) value: Value,
}

/// Opens a body that is any JSON. A list is one event.
pub(super) fn open(attributes: &Attributes, body: &[u8]) -> Result<Opened, Refusal> {
    let json = read(body)?;
    let id = ID_HEADERS
        .iter()
        .filter_map(|name| attributes.get(*name))
        .find(|id| !id.is_empty());
    let identity = id
        .map(|id| EventIdentity {
            source: String::new(),
            id: id.clone(),
            replay: None,
        })
        .ok_or_else(|| {
            Refusal::new(
                header_field(ID_HEADERS[0]),
                "is missing: the event's id must stand in webhook-id or Idempotency-Key, or where idFrom says",
            )
        });
    Ok(Opened::One(Box::new(json.event(attributes, identity))))
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
