//! What EventBridge sends: an envelope, what a transformer made of one, or a list of either.
//!
//! Nothing is guessed: what has no envelope's identity has none, and `idFrom` says what counts.

use serde_json::Value;

use super::json::{self, Json};
use super::{Attributes, Event, EventIdentity, Opened, Refusal, form};
use crate::resource::json_text;

/// The members that tell one event from another.
const IDENTITY: [&str; 5] = ["id", "account", "region", "source", "replay-name"];

/// Said of what has no envelope's identity.
const HINT: &str = ": an EventBridge event has id, account, region and source; where an input transformer leaves them out, idFrom must say what its id is";

/// Opens a body.
pub(super) fn open(attributes: &Attributes, body: &[u8]) -> Result<Opened, Refusal> {
    let json = json::read(body).map_err(|refusal| form::named(refusal, attributes))?;
    Ok(match json::items(&json)? {
        Some(items) => Opened::Many(
            items
                .into_iter()
                .map(|item| Ok(event(item, attributes)))
                .collect(),
        ),
        None => Opened::One(Box::new(event(json, attributes))),
    })
}

/// One event of EventBridge.
pub(super) fn event(json: Json, attributes: &Attributes) -> Event {
    let identity = identity(&json.text, &json.value);
    json.event(attributes, identity)
}

/// Whether a value is an event as EventBridge delivers it.
pub(super) fn is_envelope(value: &Value) -> bool {
    let texts = ["id", "account", "region", "source", "detail-type", "time"];
    texts.iter().all(|name| value[*name].is_string()) && value["detail"].is_object()
}

fn identity(text: &str, value: &Value) -> Result<EventIdentity, Refusal> {
    if value["SystemMetadata"].is_object() && value.get("Data").is_some() {
        return identity_with_metadata(text, value);
    }
    json::refuse_repeated(text, &IDENTITY)?;
    let id = json::text_of(value, "id", HINT)?;
    let account = json::text_of(value, "account", HINT)?;
    let region = json::text_of(value, "region", HINT)?;
    let source = json::text_of(value, "source", HINT)?;
    for (name, part) in [("account", account), ("region", region)] {
        // Or two triples could be one text.
        if part.contains('/') {
            return Err(Refusal::new(json::field(name), "must have no slash"));
        }
    }
    let replay = match value.get("replay-name") {
        None | Some(Value::Null) => None,
        Some(_) => {
            Some(json::text_of(value, "replay-name", ": it must be a replay's name")?.to_owned())
        }
    };
    Ok(EventIdentity {
        source: format!("{account}/{region}/{source}"),
        id: id.to_owned(),
        replay,
    })
}

/// What a subscriber of a custom bus gets with its metadata: `{Data, Metadata, SystemMetadata}`. `Data` is an
/// envelope when the event was published as one, and is then the same event as without metadata.
fn identity_with_metadata(text: &str, value: &Value) -> Result<EventIdentity, Refusal> {
    json::refuse_repeated(text, &["Data", "SystemMetadata"])?;
    let member = |name: &str| {
        let mut members = json_text::members(text).into_iter().flatten();
        members.find_map(|(key, text)| (key == name).then_some(text))
    };
    let inside = |name: &str, refusal: Refusal| {
        let rest = refusal.field.trim_start_matches('$').to_owned();
        Refusal::new(format!("$.{name}{rest}"), refusal.message)
    };
    let data = &value["Data"];
    if is_envelope(data) {
        let text = member("Data").unwrap_or_default();
        return identity(text, data).map_err(|refusal| inside("Data", refusal));
    }
    let name = "EventId";
    let text = member("SystemMetadata").unwrap_or_default();
    let id = json::refuse_repeated(text, &[name]).and_then(|()| {
        json::text_of(
            &value["SystemMetadata"],
            name,
            ": or idFrom must say what the event's id is",
        )
    });
    let id = id.map_err(|refusal| inside("SystemMetadata", refusal))?;
    Ok(EventIdentity {
        source: String::new(),
        id: id.to_owned(),
        replay: None,
    })
}
