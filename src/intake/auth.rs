//! Who may send: API keys, Basic, HMAC, JWT, SNS signatures.
//!
//! One answer for every failure; comparisons in constant time; Secrets read through `lookup`.
//! What is missing on our side (a Secret, an issuer's keys) is [`SenderVerdict::Unavailable`]:
//! it never lets anybody in, and never tells a sender that it is wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::HeaderMap;
use jiff::Timestamp;

use crate::lookup::Lookup;
use crate::resource::ObjectId;
use crate::resource::event_job::Auth;

use self::compare::Comparer;
use self::fault::{FaultCause, SenderFault};
use self::jwks::Issuers;
use self::rereads::Rereads;
use self::secrets::Secrets;
use self::sns::Sns;
use super::fetch::Fetch;
use super::fetch::trust::Trust;

/// What is known of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderVerdict {
    /// May send.
    Passed,
    /// Its body must be looked at: [`Authenticator::with_body`] decides.
    NeedsBody,
    /// May not: 401, whatever the cause, which is the owner's to know.
    Refused(SenderFault),
    /// Cannot be told now: 503. Says why, safe to show to the operator (a log, a status), not to the sender.
    Unavailable(String),
}

impl SenderVerdict {
    /// Passed whatever else is wrong; otherwise the trouble, if there is one.
    fn of(passed: bool, trouble: Option<String>, fault: impl FnOnce() -> SenderFault) -> Self {
        match trouble {
            _ if passed => Self::Passed,
            Some(why) => Self::Unavailable(why),
            None => Self::Refused(fault()),
        }
    }

    /// Whether it may not send, whatever the cause.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Refused before anything was looked at.
    fn stranger() -> Self {
        Self::Refused(SenderFault::new("", FaultCause::Missing))
    }

    /// Nothing of this header can be credentials.
    fn refused(headers: &HeaderMap, header: &str) -> Self {
        Self::Refused(SenderFault::absent(headers, header))
    }

    /// Of two ways in, the one that leads further.
    fn or(self, other: Self) -> Self {
        let rank = |verdict: &Self| match verdict {
            Self::Passed => 3,
            Self::NeedsBody => 2,
            Self::Unavailable(_) => 1,
            Self::Refused(_) => 0,
        };
        match (self, other) {
            (Self::Refused(one), Self::Refused(other)) => Self::Refused(one.or(other)),
            (one, other) if rank(&other) > rank(&one) => other,
            (one, _) => one,
        }
    }
}

/// Proves who sends.
pub struct Authenticator {
    lookup: Arc<dyn Lookup>,
    fetch: Arc<dyn Fetch>,
    clock: fn() -> Timestamp,
    comparer: Comparer,
    issuers: Issuers,
    sns: Sns,
    rereads: Rereads,
}

/// One request, as far as it has been read.
#[derive(Clone, Copy)]
struct ReadSoFar<'a> {
    headers: &'a HeaderMap,
    body: Option<&'a [u8]>,
    now: Timestamp,
}

impl Authenticator {
    /// Secrets come from `lookup`, keys of issuers and certificates of SNS through `fetch`. SNS's certificates are held
    /// against the machine's own authorities.
    pub fn new(lookup: Arc<dyn Lookup>, fetch: Arc<dyn Fetch>, clock: fn() -> Timestamp) -> Self {
        Self::trusting(lookup, fetch, clock, Trust::native())
    }

    /// The same, with the authorities that SNS's certificates are held against.
    pub fn trusting(
        lookup: Arc<dyn Lookup>,
        fetch: Arc<dyn Fetch>,
        clock: fn() -> Timestamp,
        trust: Trust,
    ) -> Self {
        Self {
            lookup,
            clock,
            comparer: Comparer::new(),
            issuers: Issuers::new(Arc::clone(&fetch)),
            sns: Sns::new(Arc::clone(&fetch), trust),
            rereads: Rereads::default(),
            fetch,
        }
    }

    /// What headers alone tell. [`SenderVerdict::NeedsBody`] only when some scheme needs it and what it needs in headers is there.
    pub fn with_headers<'a>(
        &'a self,
        namespace: &'a str,
        auth: &'a [Auth],
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, SenderVerdict> {
        Box::pin(self.any(namespace, auth, headers, None))
    }

    /// What headers and body tell. Never [`SenderVerdict::NeedsBody`].
    pub fn with_body<'a>(
        &'a self,
        namespace: &'a str,
        auth: &'a [Auth],
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> BoxFuture<'a, SenderVerdict> {
        Box::pin(self.any(namespace, auth, headers, Some(body)))
    }

    /// Whether SNS signed this for one of these topics.
    pub fn is_of_topic<'a>(
        &'a self,
        headers: &'a HeaderMap,
        body: &'a [u8],
        topic_arns: &'a [String],
    ) -> BoxFuture<'a, SenderVerdict> {
        let request = ReadSoFar {
            headers,
            body: Some(body),
            now: (self.clock)(),
        };
        Box::pin(self.sns.verify(request, topic_arns))
    }

    /// Confirms an SNS subscription of a topic that is listed, at an address that is SNS's own.
    pub fn confirm<'a>(
        &'a self,
        topic_arn: &'a str,
        subscribe_url: &'a str,
    ) -> BoxFuture<'a, SenderVerdict> {
        Box::pin(sns::confirm(&*self.fetch, topic_arn, subscribe_url))
    }

    async fn any(
        &self,
        namespace: &str,
        auth: &[Auth],
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> SenderVerdict {
        let verdict = self.as_remembered(namespace, auth, headers, body).await;
        let is_refused = matches!(
            verdict,
            SenderVerdict::Refused(_) | SenderVerdict::Unavailable(_)
        );
        let keys = auth.iter().flat_map(Auth::secret_keys);
        let names: BTreeSet<&str> = keys.map(|(name, _)| name).collect();
        if is_refused && !names.is_empty() && self.rereads.may(namespace, &names) {
            // A key that was rotated a moment ago may be in the Secret and not in what is remembered of it.
            for name in names {
                self.lookup.forget_secret(&ObjectId::new(namespace, name));
            }
            return self.as_remembered(namespace, auth, headers, body).await;
        }
        verdict
    }

    /// By Secrets as they were last read.
    async fn as_remembered(
        &self,
        namespace: &str,
        auth: &[Auth],
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> SenderVerdict {
        let request = ReadSoFar {
            headers,
            body,
            now: (self.clock)(),
        };
        let mut verdict = SenderVerdict::stranger();
        for scheme in auth {
            verdict = verdict.or(self.one(namespace, scheme, request).await);
            if verdict == SenderVerdict::Passed {
                break;
            }
        }
        verdict
    }

    async fn one(&self, namespace: &str, scheme: &Auth, request: ReadSoFar<'_>) -> SenderVerdict {
        let headers = request.headers;
        let secrets = Secrets {
            lookup: &*self.lookup,
            namespace,
        };
        match scheme {
            Auth::None => SenderVerdict::Passed,
            Auth::ApiKey { header, keys } => {
                api_key::api_key(secrets, &self.comparer, headers, header, keys).await
            }
            Auth::Basic { secret } => {
                api_key::basic(secrets, &self.comparer, headers, secret).await
            }
            Auth::Hmac { scheme, keys } => {
                match (hmac::claimed(scheme, headers, request.now), request.body) {
                    (Err(fault), _) => SenderVerdict::Refused(fault),
                    (Ok(_), None) => SenderVerdict::NeedsBody,
                    (Ok(claimed), Some(body)) => {
                        hmac::verify(secrets, scheme, keys, &claimed, body).await
                    }
                }
            }
            Auth::Jwt {
                issuer,
                audience,
                jwks_url,
            } => {
                let expected = jwt::ExpectedClaims {
                    issuer,
                    audience,
                    jwks_url,
                };
                jwt::verify(&self.issuers, headers, expected, request.now).await
            }
            Auth::Sns { topic_arns } => self.sns.verify(request, topic_arns).await,
        }
    }
}

mod api_key;
mod compare;
pub mod credentials;
pub mod fault;
mod headers;
mod hmac;
mod jwk;
mod jwks;
mod jwt;
mod rereads;
mod secrets;
pub mod shared;
mod sns;

#[cfg(test)]
mod tests;
