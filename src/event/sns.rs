//! What SNS sends: a notification around a message, a message alone (raw delivery), or word of a subscription.

use serde_json::Value;

use super::json::{self, Json};
use super::{
    Attributes, Event, EventIdentity, Opened, Refusal, eventbridge, form, header_field, trace,
};

/// The members that decide what becomes of a body.
const MEMBERS: [&str; 6] = [
    "Type",
    "TopicArn",
    "MessageId",
    "Message",
    "MessageAttributes",
    "SubscribeURL",
];

/// Said of a notification that lacks a part.
const HINT: &str = ": it must be what SNS sends";

/// Opens a body.
///
/// What it says it is counts, not its headers: the signature is over the body alone.
pub(super) fn open(attributes: &Attributes, body: &[u8]) -> Result<Opened, Refusal> {
    let json = json::read(body).map_err(|refusal| form::named(refusal, attributes))?;
    json::refuse_repeated(&json.text, &MEMBERS)?;
    let is_sns = json.value["TopicArn"].is_string();
    match json.value["Type"].as_str().filter(|_| is_sns) {
        Some("Notification") => {
            notification(json, attributes).map(|event| Opened::One(Box::new(event)))
        }
        Some("SubscriptionConfirmation") => Ok(Opened::Confirmation {
            topic_arn: json::text_of(&json.value, "TopicArn", HINT)?.to_owned(),
            subscribe_url: json::text_of(&json.value, "SubscribeURL", HINT)?.to_owned(),
        }),
        Some("UnsubscribeConfirmation") => Ok(Opened::Unsubscribed),
        _ if is_raw(attributes) => Ok(Opened::One(Box::new(raw(json, attributes)))),
        _ => Err(Refusal::new(
            "$.Type",
            "must be Notification, SubscriptionConfirmation or UnsubscribeConfirmation, with a TopicArn; with raw delivery, the header x-amz-sns-rawdelivery must say so",
        )),
    }
}

fn is_raw(attributes: &Attributes) -> bool {
    let header = attributes.get("x-amz-sns-rawdelivery");
    header.is_some_and(|value| value == "true")
}

/// A message, opened when it is an envelope of EventBridge; else the notification as it is.
fn notification(json: Json, attributes: &Attributes) -> Result<Event, Refusal> {
    let identity = EventIdentity {
        source: json::text_of(&json.value, "TopicArn", HINT)?.to_owned(),
        id: json::text_of(&json.value, "MessageId", HINT)?.to_owned(),
        replay: None,
    };
    let attributes = with_message_attributes(attributes, &json.value);
    let message = json.value["Message"].as_str().unwrap_or_default();
    let inner = message
        .trim_start()
        .starts_with('{')
        .then(|| json::read(message.as_bytes()).ok())
        .flatten()
        .filter(|inner| eventbridge::is_envelope(&inner.value));
    let mut event = match inner {
        Some(inner) => eventbridge::event(inner, &attributes),
        None => json.event(&attributes, Ok(identity)),
    };
    event.trace = trace::of(&attributes);
    Ok(event)
}

fn raw(json: Json, attributes: &Attributes) -> Event {
    if eventbridge::is_envelope(&json.value) {
        return eventbridge::event(json, attributes);
    }
    let header = |name: &str| {
        attributes.check(name)?;
        let value = attributes.get(name).filter(|value| !value.is_empty());
        value.cloned().ok_or_else(|| {
            Refusal::new(
                header_field(name),
                "is missing: a raw delivery's id stands in it, or where idFrom says",
            )
        })
    };
    let identity = header("x-amz-sns-topic-arn").and_then(|source| {
        Ok(EventIdentity {
            source,
            id: header("x-amz-sns-message-id")?,
            replay: None,
        })
    });
    json.event(attributes, identity)
}

/// Texts of `MessageAttributes`, beside the headers; a header of the same name wins.
fn with_message_attributes(attributes: &Attributes, notification: &Value) -> Attributes {
    let mut attributes = attributes.clone();
    let own = notification["MessageAttributes"].as_object();
    for (name, attribute) in own.into_iter().flatten() {
        if let Some(value) = attribute["Value"].as_str() {
            attributes.insert_if_absent(name.to_ascii_lowercase(), value);
        }
    }
    attributes
}
