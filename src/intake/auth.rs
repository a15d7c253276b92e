//! Who may send: API keys, Basic, HMAC, JWT, SNS signatures.
//!
//! One answer for every failure; comparisons in constant time; Secrets read through `lookup`.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::HeaderMap;
use jiff::Timestamp;

use crate::lookup::Lookup;
use crate::resource::event_job::Auth;

use super::fetch::Fetch;

/// What is known of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// May send.
    Passed,
    /// Its body must be looked at: [`Authenticator::with_body`] decides.
    NeedsBody,
    /// May not: 401, whatever the cause.
    Refused,
    /// Cannot be told now: 503. Says why, safe to show to the operator (a log, a status), not to the sender.
    Unavailable(String),
}

/// Proves who sends.
pub struct Authenticator {
    lookup: Arc<dyn Lookup>,
    fetch: Arc<dyn Fetch>,
    clock: fn() -> Timestamp,
}

impl Authenticator {
    /// Secrets come from `lookup`, keys of issuers through `fetch`.
    pub fn new(lookup: Arc<dyn Lookup>, fetch: Arc<dyn Fetch>, clock: fn() -> Timestamp) -> Self {
        Self {
            lookup,
            fetch,
            clock,
        }
    }

    /// What headers alone tell. [`Verdict::NeedsBody`] only when some scheme needs it and what it needs in headers is there.
    pub fn with_headers<'a>(
        &'a self,
        _namespace: &'a str,
        _auth: &'a [Auth],
        _headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Verdict> {
        let _unused = (&self.lookup, &self.fetch, self.clock);
        Box::pin(std::future::ready(Verdict::Refused))
    }

    /// What headers and body tell. Never [`Verdict::NeedsBody`].
    pub fn with_body<'a>(
        &'a self,
        _namespace: &'a str,
        _auth: &'a [Auth],
        _headers: &'a HeaderMap,
        _body: &'a [u8],
    ) -> BoxFuture<'a, Verdict> {
        Box::pin(std::future::ready(Verdict::Refused))
    }

    /// Confirms an SNS subscription of a topic that `auth` lists, at an address that is SNS's own.
    pub fn confirm<'a>(
        &'a self,
        _auth: &'a [Auth],
        _topic_arn: &'a str,
        _subscribe_url: &'a str,
    ) -> BoxFuture<'a, Verdict> {
        Box::pin(std::future::ready(Verdict::Refused))
    }
}
