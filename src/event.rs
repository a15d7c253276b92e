//! What arrives becomes an [`Event`]: one thing that happened, with its identity.
//!
//! Bodies and headers in, events out; pure. Who may send is `intake`'s, what an
//! event becomes is `launch`'s.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::resource::event_job::{Format, IdPart};

/// Request headers or message attributes by name in lower case. Bounded by the server: 64 headers, 16 KiB.
pub type Attributes = BTreeMap<String, String>;

/// One thing that happened.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// The event as JSON text: what patterns look at. An envelope within an envelope is opened.
    pub text: String,
    /// The same, parsed: what paths look at.
    pub value: Value,
    /// What came beside it.
    pub attributes: Attributes,
    /// Its identity by its format's rule, or why it has none.
    pub identity: Result<Identity, Refusal>,
    /// Where the sender's trace goes on.
    pub trace: Option<Trace>,
}

/// Which event it is: the same however often, and whichever way, it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
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
}

/// Opens a body.
///
/// # Errors
///
/// [`Refusal`] when it is no JSON, or not of its format.
pub fn open(_format: Format, _attributes: &Attributes, _body: &[u8]) -> Result<Opened, Refusal> {
    Err(Refusal {
        field: "body".to_owned(),
        message: "is not read yet".to_owned(),
    })
}

impl Event {
    /// Its identity: by the parts given, or by its format's rule when there are none.
    ///
    /// # Errors
    ///
    /// [`Refusal`] naming the part that the event does not have.
    pub fn identity(&self, _id_from: &[IdPart]) -> Result<Identity, Refusal> {
        self.identity.clone()
    }
}
