//! What librdkafka asks and tells beside its answers: whether it may connect to a broker, what went wrong there, that
//! it wants a token.
//!
//! What the errors mean is in `failure`. All of this runs on librdkafka's own threads.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::debug;

use super::client::host_of;
use super::failure::{self, BrokerFailure};
use super::token::{NoToken, TokenIssuer};
use crate::address::{self, HostProof, Rules};
use crate::source::Error;
use crate::source::aws::one_line;

/// A refusal answers for so long: fifty groups are not fifty handshakes.
pub(super) const REFUSAL_HELD: Duration = Duration::from_secs(5);

/// One client's ear, and its doorman.
pub(super) struct Context {
    rules: Rules,
    /// What proves that a broker is who it should be, if Slipway's own identity is shown to brokers.
    identity_proof: Option<HostProof>,
    issuer: Option<TokenIssuer>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// Each failure, and when it was heard last.
    failures: HashMap<BrokerFailure, Instant>,
    /// What was said of brokers that refused us, or that we refused, and when.
    refused: Vec<(String, Instant)>,
    /// The last try to get a token failed.
    token: Option<NoToken>,
}

impl Context {
    pub(super) fn new(
        rules: Rules,
        identity_proof: Option<HostProof>,
        issuer: Option<TokenIssuer>,
    ) -> Self {
        Self {
            rules,
            identity_proof,
            issuer,
            heard: Mutex::default(),
        }
    }

    /// Whether this broker may be connected to at this address. Asked before each connection, whoever named the broker.
    pub(super) fn may_connect(&self, broker: &str, address: IpAddr) -> bool {
        let mut heard = self.heard();
        heard.refused.retain(|(_, at)| at.elapsed() < REFUSAL_HELD);
        if heard.refused.iter().any(|(text, _)| names(text, broker)) {
            return false;
        }
        let Err(why) = self.check(broker, address) else {
            return true;
        };
        heard.note(BrokerFailure::NotAllowed(why), broker);
        false
    }

    fn check(&self, broker: &str, address: IpAddr) -> Result<(), String> {
        let host = host_of(broker).unwrap_or(broker);
        self.rules.check_host(host)?;
        self.rules.check_address(host, address)?;
        let Some(proof) = self.identity_proof else {
            return Ok(());
        };
        self.rules
            .check_identity(host, address::is_msk_of_aws(host), proof)
    }

    /// An error of a connection.
    pub(super) fn failed(&self, code: RDKafkaErrorCode, text: &str) {
        if let Some(failure) = BrokerFailure::of_error(code, text) {
            self.heard().note(failure, text);
        }
    }

    /// A line of librdkafka's log. That a broker hung up is told nowhere else.
    pub(super) fn logged(&self, facility: &str, text: &str) {
        debug!(facility, "librdkafka: {}", one_line(text));
        if let Some(failure) = BrokerFailure::of_log(facility, text) {
            self.heard().note(failure, text);
        }
    }

    /// A new token; what keeps us from one is remembered.
    pub(super) fn token(&self) -> Option<OAuthToken> {
        let result = self.issuer.as_ref()?.token();
        self.heard().token = result.as_ref().err().cloned();
        result.ok()
    }

    /// A poll succeeded: what was heard before is over.
    pub(super) fn succeeded(&self) {
        self.heard().failures.clear();
    }

    /// Whether there is no token to go to a broker with.
    pub(super) fn lacks_token(&self) -> bool {
        self.heard().token.is_some()
    }

    /// Whether the same call would fail again, however long it waits: it has its answer, or we were refused.
    pub(super) fn gives_up(&self, error: &KafkaError) -> bool {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        !failure::is_silence(code) || self.lacks_token() || self.refusal().is_some()
    }

    /// Why brokers refused us, or we them.
    pub(super) fn refusal(&self) -> Option<BrokerFailure> {
        let heard = self.heard();
        let refusals = heard.failures.keys().filter(|one| one.is_refusal());
        refusals.max().cloned()
    }

    /// What an error of a call means, in a poll that began then: the call itself often only knows that time ran out.
    pub(super) fn explain(&self, source_name: &str, error: &KafkaError, began: Instant) -> Error {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        if !failure::is_silence(code) {
            return failure::answered(source_name, code);
        }
        let heard = self.heard();
        if let Some(no_token) = &heard.token {
            return no_token.to_error(source_name);
        }
        let now = heard.failures.iter().filter(|(_, at)| **at >= began);
        let most = now.map(|(failure, _)| failure).max();
        let last = || heard.failures.iter().max_by_key(|(_, at)| **at);
        let known = most.or_else(|| last().map(|(failure, _)| failure));
        known
            .unwrap_or(&BrokerFailure::Silent)
            .to_error(source_name)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// Remembers a failure, and of whom it was said.
    fn note(&mut self, failure: BrokerFailure, text: &str) {
        if failure.is_refusal() {
            self.refused.push((text.to_owned(), Instant::now()));
        }
        self.failures.insert(failure, Instant::now());
    }
}

/// Whether a text of librdkafka's is about this broker: `sasl_ssl://HOST:PORT/1: …` or `GroupCoordinator: HOST:PORT: …`.
fn names(text: &str, broker: &str) -> bool {
    text.split(['/', ' '])
        .any(|word| word.trim_end_matches(':') == broker)
}

/// `native` serves librdkafka's events itself; `rdkafka` hands none of them here.
impl ClientContext for Context {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_one_broker() {
        for text in [
            "sasl_ssl://k-1:9092/bootstrap: SASL authentication error: no",
            "k-1:9092/1: Disconnected",
            "[thrd:GroupCoordinator]: GroupCoordinator: k-1:9092: Disconnected",
        ] {
            assert!(names(text, "k-1:9092"), "{text}");
            assert!(!names(text, "-1:9092"), "{text}");
            assert!(!names(text, "k-1:909"), "{text}");
        }
    }
}
