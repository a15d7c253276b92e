//! Who brings events, and who may: from a request to an answer, without a word of HTTP's wire.
//!
//! `webhook` answers requests, `auth` decides who may send, `fetch` reads what
//! issuers publish. What a Job is, is `launch`'s.

use std::collections::HashMap;

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

/// Headers as attributes: names in lower case; one that comes twice is left out, as nobody can say which is meant; so is one that is not text.
pub fn attributes(headers: &HeaderMap) -> Attributes {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for name in headers.keys() {
        seen.insert(name.as_str(), headers.get_all(name).iter().count());
    }
    headers
        .iter()
        .filter(|(name, _)| seen.get(name.as_str()) == Some(&1))
        .filter_map(|(name, value)| {
            let text = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((name.as_str().to_owned(), text.to_owned()))
        })
        .collect()
}

pub mod auth;
pub mod fetch;
pub mod webhook;
