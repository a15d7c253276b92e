//! Messages that SNS signed, for topics that are listed.
//!
//! Signature version 2 only (SHA-256; version 1 is SHA-1). The certificate comes
//! from SNS's own host, its chain must lead to an authority that we believe, and its
//! name must be SNS's. Raw delivery has no signature and is refused.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use url::Url;

use crate::intake::fetch::Fetch;
use crate::intake::fetch::trust::Trust;
use crate::resource::event_job::Auth;

use self::certificates::Certificates;
use self::message::Message;
use super::SenderVerdict;
use super::headers::only;

/// How old a message may be. Unit: seconds. Source: SNS retries for at most 3,600 s (SNS Developer Guide, "Message
/// delivery retries"); a quarter more for the last try and the way.
const OLDEST: i64 = 4_500;
/// How far SNS's clock may be ahead. Unit: seconds.
const AHEAD: i64 = 300;

/// Knows SNS's signature.
pub(super) struct Sns {
    certificates: Certificates,
}

impl Sns {
    /// Certificates come through `fetch` and are held against `trust`.
    pub(super) fn new(fetch: Arc<dyn Fetch>, trust: Trust) -> Self {
        Self {
            certificates: Certificates::new(fetch, trust),
        }
    }

    /// Whether headers say that this is a signed message of a listed topic.
    pub(super) fn is_claimed(headers: &HeaderMap, topic_arns: &[String]) -> bool {
        let is_raw = headers.contains_key("x-amz-sns-rawdelivery");
        let topic = only(headers, "x-amz-sns-topic-arn");
        let is_listed = topic.is_some_and(|topic| topic_arns.iter().any(|listed| listed == topic));
        let kind = only(headers, "x-amz-sns-message-type");
        is_listed && !is_raw && kind.is_some_and(message::is_kind)
    }

    /// `sns`: the message's topic, age and signature.
    pub(super) async fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        topic_arns: &[String],
        now: Timestamp,
    ) -> SenderVerdict {
        let message = Message::parse(body).filter(|message| {
            let age = now.as_second() - message.timestamp.as_second();
            topic_arns.contains(&message.topic_arn)
                && (-AHEAD..=OLDEST).contains(&age)
                // What the headers say was looked at first, and others may act on it.
                && only(headers, "x-amz-sns-topic-arn") == Some(message.topic_arn.as_str())
                && only(headers, "x-amz-sns-message-type") == Some(message.kind.as_str())
        });
        let Some(message) = message else {
            return SenderVerdict::Refused;
        };
        let Some(address) = address::of_certificate(&message.certificate_url) else {
            return SenderVerdict::Refused;
        };
        match self.certificates.get(&address).await {
            Ok(certificate) => certificate.verdict(&message, now),
            Err(why) => SenderVerdict::Unavailable(why),
        }
    }
}

/// Confirms a subscription: only of a listed topic, only at SNS's own address.
pub(super) async fn confirm(
    fetch: &dyn Fetch,
    auth: &[Auth],
    topic_arn: &str,
    subscribe_url: &str,
) -> SenderVerdict {
    let is_listed = auth.iter().any(|auth| match auth {
        Auth::Sns { topic_arns } => topic_arns.iter().any(|listed| listed == topic_arn),
        _ => false,
    });
    let url: Option<Url> = address::of_confirmation(subscribe_url, topic_arn);
    let Some(url) = url.filter(|_| is_listed) else {
        return SenderVerdict::Refused;
    };
    match fetch.get(&url).await {
        Ok(_) => SenderVerdict::Passed,
        Err(why) => SenderVerdict::Unavailable(format!("the subscription is not confirmed: {why}")),
    }
}

mod address;
mod certificates;
mod message;
