//! What arrives becomes an [`Event`]: one thing that happened, with its identity.
//!
//! Bodies and headers in, events out; pure. Who may send is `intake`'s, what an
//! event becomes is `launch`'s.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::pattern::Mismatch;
use crate::resource::event_job::{BindSource, EventJob, Format, IdPart, Split, WebhookSource};
use crate::resource::json_text;
use crate::resource::query::Query;

pub use self::attributes::Attributes;

mod attributes;
mod cloudevents;
pub mod due;
mod eventbridge;
mod form;
mod json;
mod sns;
mod text;
mod trace;

/// One thing that happened.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// The event as JSON text: what patterns look at. An envelope within an envelope is opened.
    pub text: String,
    /// The same, parsed: what paths look at.
    pub value: Value,
    /// Two members of it may be taken for one, so that readers may disagree what it says.
    pub has_doubtful_names: bool,
    /// What came beside it.
    pub attributes: Attributes,
    /// Its identity by its format's rule, or why it has none.
    pub identity: Result<EventIdentity, Refusal>,
    /// Where the sender's trace goes on.
    pub trace: Option<Trace>,
    /// Its place in the list that was split.
    pub element: Option<Element>,
}

/// Where an event stood in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// From 0.
    pub index: usize,
    /// How many elements before it say the same.
    pub repetition: usize,
}

impl Element {
    /// An id that came for the whole list, as this element's own.
    fn of(self, id: &str) -> String {
        format!("{id}[{}]", self.index)
    }
}

/// Which event it is: the same however often, and whichever way, it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventIdentity {
    /// Who tells ids apart: `account/region/source` for EventBridge, the topic for SNS, `source` for CloudEvents, empty for JSON.
    pub source: String,
    /// The id within it.
    pub id: String,
    /// `replay-name`, when the event is delivered again on purpose.
    pub replay: Option<String>,
}

/// W3C trace context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// `traceparent`, valid.
    pub parent: String,
    /// `tracestate`, at most 512 characters.
    pub state: Option<String>,
}

/// Why an event, or a whole body, is refused for good: a 400. Never quotes the event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Refusal {
    /// Which field of the body or which header, such as `$.detail.chunks`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What a body holds.
#[derive(Clone, PartialEq)]
pub enum Opened {
    /// One event.
    One(Box<Event>),
    /// A list, in order; each by itself.
    Many(Vec<Result<Event, Refusal>>),
    /// SNS asks to confirm a subscription.
    Confirmation {
        /// Whose.
        topic_arn: String,
        /// Where to confirm. Not checked.
        subscribe_url: String,
    },
    /// SNS tells that a subscription ended.
    Unsubscribed,
    /// The sender asks to have a value back before it sends events.
    Handshake {
        /// The member of the answer that it looks for.
        answer: &'static str,
        /// The value.
        value: String,
    },
}

/// Opens a body as an EventJob takes it.
///
/// # Errors
///
/// [`Refusal`] when it is no JSON, or not of its format.
pub fn open_for(
    webhook: &WebhookSource,
    attributes: &Attributes,
    body: &[u8],
) -> Result<Opened, Refusal> {
    match &webhook.split {
        Split::No => open(webhook.format, attributes, body),
        split => json::open(split, attributes, body),
    }
}

/// Opens a body that is not split.
///
/// # Errors
///
/// [`Refusal`] when it is no JSON, or not of its format.
pub fn open(format: Format, attributes: &Attributes, body: &[u8]) -> Result<Opened, Refusal> {
    match format {
        Format::EventBridge => eventbridge::open(attributes, body),
        Format::Sns => sns::open(attributes, body),
        Format::CloudEvents => cloudevents::open(attributes, body),
        Format::Json => json::open(&Split::No, attributes, body),
    }
}

impl Event {
    /// Its identity: by the parts given, or by its format's rule when there are none.
    ///
    /// Parts are the whole identity, but for a replay's name: what is delivered again on purpose is another event.
    ///
    /// # Errors
    ///
    /// [`Refusal`] naming the part that the event does not have.
    pub fn identity(&self, id_from: &[IdPart]) -> Result<EventIdentity, Refusal> {
        let id = match id_from {
            [] => return self.identity.clone(),
            [part] => self.part(part)?.into_owned(),
            parts => {
                // Each with its length in front, so that ("a", "bc") is not ("ab", "c").
                let mut id = String::new();
                for part in parts {
                    let part = self.part(part)?;
                    id.push_str(&part.len().to_string());
                    id.push(':');
                    id.push_str(&part);
                }
                id
            }
        };
        let own = self.identity.as_ref().ok();
        Ok(EventIdentity {
            source: String::new(),
            id,
            replay: own.and_then(|identity| identity.replay.clone()),
        })
    }

    fn part(&self, part: &IdPart) -> Result<Cow<'_, str>, Refusal> {
        let (field, found) = match part {
            IdPart::Path(query) => {
                self.check_name(query)?;
                (query.to_string(), self.at(query))
            }
            IdPart::Header(name) => (header_field(name), self.header(name)),
            IdPart::BodyHash => {
                let hash = self.payload_hash();
                return Ok(Cow::Owned(match &self.element {
                    Some(element) => format!("{hash}[{}]", element.repetition),
                    None => hash,
                }));
            }
        };
        let of_request = matches!(part, IdPart::Header(_));
        match found {
            Some(found) if !found.is_empty() => Ok(match &self.element {
                // The header is the same for each element of the list.
                Some(element) if of_request => Cow::Owned(element.of(&found)),
                _ => found,
            }),
            Some(_) => Err(Refusal::new(
                field,
                "is empty, and the event's id is made of it (idFrom)",
            )),
            None => Err(Refusal::new(
                field,
                "is missing, and the event's id is made of it (idFrom)",
            )),
        }
    }

    /// Refuses an event in which a name or a header that the EventJob looks at is there more than once.
    ///
    /// A pattern is met by any of two equal names and a path leads to the last of them, so that
    /// one value could pass for another.
    ///
    /// # Errors
    ///
    /// [`Refusal`] naming the header, or the path of the pattern, of a binding or of `idFrom`.
    pub fn check_names(&self, event_job: &EventJob) -> Result<(), Refusal> {
        if self.attributes.has_repeated() {
            let mut headers = event_job.headers().into_iter();
            headers.try_for_each(|(_, name)| self.attributes.check(name))?;
        }
        if !self.has_doubtful_names {
            return Ok(());
        }
        let pattern = event_job.pattern.as_ref();
        if let Some(path) = pattern.and_then(|pattern| pattern.repeated(&self.text)) {
            return Err(Refusal::repeated(format!("$.{path}")));
        }
        event_job.paths().try_for_each(|path| self.check_name(path))
    }

    fn check_name(&self, path: &Query) -> Result<(), Refusal> {
        if self.has_doubtful_names && path.is_ambiguous_in(&self.text) {
            return Err(Refusal::repeated(path.to_string()));
        }
        Ok(())
    }

    /// Why its headers are not those that `match.headers` wants; `None` when they are.
    pub fn header_mismatch(&self, event_job: &EventJob) -> Option<Mismatch> {
        let wanted = event_job.header_pattern.as_ref()?;
        let mut text = String::from("{");
        for name in &wanted.names {
            if let Some(value) = self.attributes.get(name) {
                if text.len() > 1 {
                    text.push(',');
                }
                json_text::push_quoted(&mut text, name);
                text.push(':');
                json_text::push_quoted(&mut text, value);
            }
        }
        text.push('}');
        let mismatch = wanted.pattern.refusal(&text)?;
        Some(Mismatch {
            field: header_field(&mismatch.field),
            reason: mismatch.reason,
        })
    }

    /// What a binding gets: a text as it is, a number or a boolean as it was written, a list or an object as
    /// compact JSON; `None` when there is nothing, or null.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when a text cannot be made of it.
    pub fn find(&self, origin: &BindSource) -> Result<Option<Cow<'_, str>>, Refusal> {
        Ok(match origin {
            BindSource::Path(query) => self.at(query),
            BindSource::Header(name) => self.header(name),
            BindSource::Template(template) => Some(Cow::Owned(text::of(self, template)?)),
        })
    }

    fn at(&self, query: &Query) -> Option<Cow<'_, str>> {
        written_value(query, &self.value, &self.text)
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.attributes.get(name);
        value.map(|value| Cow::Borrowed(value.as_str()))
    }

    /// The hash of the event's value, 64 hexadecimal digits: the same for every text that says the same.
    pub fn payload_hash(&self) -> String {
        let hash = Sha256::digest(json_text::canonical(&self.text));
        hash.iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a String takes all");
                text
            })
    }
}

impl Refusal {
    /// What is wrong with a field, and what would be right.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }

    /// A name would mean one thing to us and another to somebody else.
    pub fn repeated(field: impl Into<String>) -> Self {
        Self::new(field, "is there more than once: it must be there once")
    }
}

/// What stands at a path: a text as it is, anything else as it was written.
fn written_value<'a>(query: &Query, value: &'a Value, text: &'a str) -> Option<Cow<'a, str>> {
    match query.find(value)? {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(_) => query.find_written(text).map(Cow::Borrowed),
        Value::Array(_) | Value::Object(_) => query
            .find_written(text)
            .map(|written| Cow::Owned(json_text::compact(written))),
    }
}

/// How a header is called in a [`Refusal`].
pub fn header_field(name: &str) -> String {
    format!("header {name}")
}

#[cfg(test)]
mod tests;
