//! Who brings events, and who may: from a request to an answer, without a word of HTTP's wire.
//!
//! `webhook` answers requests, `auth` decides who may send, `fetch` reads what
//! issuers publish. What a Job is, is `launch`'s.

use futures::future::BoxFuture;
use http::HeaderMap;

use crate::event::Attributes;

/// Bodies up to this are taken: EventBridge's largest event (1 MiB since January 2026), as text in a JSON string of an
/// SNS message, with room for what is around it. Unit: bytes.
pub const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// What is known of a sender, by which it gets room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderKind {
    /// Its credentials are right.
    Proved,
    /// Nothing is known of it, or anybody may send.
    Stranger,
}

/// A request's body, read when somebody asks for it.
pub trait Body: Send {
    /// All of it. It takes of the room for this kind of sender.
    ///
    /// # Errors
    ///
    /// [`BodyError`] when there is no whole body to be had.
    fn read(&mut self, sender: SenderKind) -> BoxFuture<'_, Result<Vec<u8>, BodyError>>;

    /// The request is let in: it takes a place among those that wait for their answers.
    ///
    /// # Errors
    ///
    /// [`BodyError::Busy`] when there is none for this EventJob now.
    fn admit(&mut self, sender: SenderKind) -> Result<(), BodyError>;
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More than [`LARGEST_BODY`].
    #[error("the body has more than {LARGEST_BODY} bytes")]
    TooLarge,
    /// It took too long.
    #[error("the body did not come in time")]
    TooSlow,
    /// The connection ended or failed before the body's end. That passes, so it is no fault of the request.
    #[error("the body broke off")]
    BrokeOff,
    /// The body is not framed as it says.
    #[error("the body's framing is not valid")]
    Misframed,
    /// Too many bodies are being read at once.
    #[error("too many requests at once")]
    Busy,
}

/// Headers as attributes: names in lower case. One that is not text is left out.
pub fn attributes(headers: &HeaderMap) -> Attributes {
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        let name = name.as_str();
        if headers.get_all(name).iter().nth(1).is_some() {
            attributes.insert_repeated(name.to_owned());
        } else if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
            attributes.insert(name.to_owned(), text.to_owned());
        }
    }
    attributes
}

pub mod auth;
pub mod fetch;
pub mod webhook;
