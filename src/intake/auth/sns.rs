//! Messages that SNS signed, for topics that are listed.
//!
//! Signature version 2 only (SHA-256; version 1 is SHA-1). The certificate comes
//! from SNS's own host, its chain must lead to an authority that we believe, and its
//! name must be SNS's. Raw delivery has no signature and is refused.

use std::sync::Arc;

use http::HeaderMap;

use crate::intake::fetch::Fetch;
use crate::intake::fetch::trust::Trust;

use self::certificates::Certificates;
use self::message::Message;
use super::fault::{FaultCause, SenderFault};
use super::headers::only;
use super::{ReadSoFar, SenderVerdict};

/// How old a message may be. Unit: seconds. Source: SNS retries for at most 3,600 s (SNS Developer Guide, "Message
/// delivery retries"); a quarter more for the last try and the way.
const OLDEST: i64 = 4_500;
/// How far SNS's clock may be ahead. Unit: seconds.
const AHEAD: i64 = 300;

const TOPIC_ARN: &str = "x-amz-sns-topic-arn";
const MESSAGE_TYPE: &str = "x-amz-sns-message-type";
const RAW: &str = "x-amz-sns-rawdelivery";

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

    /// What headers must say: that this is a signed message of a listed topic.
    ///
    /// # Errors
    ///
    /// Which of them does not.
    fn claimed(headers: &HeaderMap, topic_arns: &[String]) -> Result<(), SenderFault> {
        let fault = |header: &str, cause| Err(SenderFault::new(header, cause));
        let Some(topic) = only(headers, TOPIC_ARN) else {
            return fault(TOPIC_ARN, FaultCause::Missing);
        };
        if !topic_arns.iter().any(|listed| listed == topic) {
            return fault(TOPIC_ARN, FaultCause::NotListed);
        }
        if headers.contains_key(RAW) {
            return fault(RAW, FaultCause::Raw);
        }
        match only(headers, MESSAGE_TYPE) {
            Some(kind) if message::is_kind(kind) => Ok(()),
            Some(_) => fault(MESSAGE_TYPE, FaultCause::Malformed),
            None => fault(MESSAGE_TYPE, FaultCause::Missing),
        }
    }

    /// `sns`: what the headers say, then the message's topic, age and signature.
    pub(super) async fn verify(
        &self,
        request: ReadSoFar<'_>,
        topic_arns: &[String],
    ) -> SenderVerdict {
        let ReadSoFar { headers, body, now } = request;
        if let Err(fault) = Self::claimed(headers, topic_arns) {
            return SenderVerdict::Refused(fault);
        }
        let Some(body) = body else {
            return SenderVerdict::NeedsBody;
        };
        let fault = |field: &str, cause| SenderVerdict::Refused(SenderFault::new(field, cause));
        let message = match Message::parse(body) {
            Ok(message) => message,
            Err(found) => return SenderVerdict::Refused(found),
        };
        // What the headers say was looked at first, and others may act on it.
        if only(headers, TOPIC_ARN) != Some(message.topic_arn.as_str())
            || !topic_arns.contains(&message.topic_arn)
        {
            return fault("$.TopicArn", FaultCause::Wrong);
        }
        if only(headers, MESSAGE_TYPE) != Some(message.kind.as_str()) {
            return fault("$.Type", FaultCause::Wrong);
        }
        let age = now.as_second() - message.timestamp.as_second();
        if !(-AHEAD..=OLDEST).contains(&age) {
            return fault("$.Timestamp", FaultCause::Clock(age));
        }
        let Some(address) = address::of_certificate(&message.certificate_url) else {
            return fault("$.SigningCertURL", FaultCause::Malformed);
        };
        match self.certificates.get(&address).await {
            Ok(certificate) => certificate.verdict(&message, now),
            Err(why) => SenderVerdict::Unavailable(why),
        }
    }
}

/// Confirms a subscription at SNS's own address for this topic.
pub(super) async fn confirm(
    fetch: &dyn Fetch,
    topic_arn: &str,
    subscribe_url: &str,
) -> SenderVerdict {
    let Some(url) = address::of_confirmation(subscribe_url, topic_arn) else {
        let fault = SenderFault::new("$.SubscribeURL", FaultCause::Malformed);
        return SenderVerdict::Refused(fault);
    };
    match fetch.get(&url).await {
        Ok(_) => SenderVerdict::Passed,
        Err(why) => SenderVerdict::Unavailable(format!("the subscription is not confirmed: {why}")),
    }
}

mod address;
mod certificates;
mod message;
