//! What librdkafka's errors mean, in words that stay the same as long as the cause does.
//!
//! Pure. librdkafka's own texts count tries and milliseconds; a new text would be a new Event each time.

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::source::Error;

/// Why no broker answers. What says more stands further down, and is greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum BrokerFailure {
    /// Nobody answered, and nobody knows why.
    Silent,
    /// No connection came about, in the words of the operating system.
    Unconnected(String),
    /// A broker's name is not known.
    Unresolved,
    /// The broker hung up before the first answer.
    HungUp,
    /// The TLS handshake failed, in OpenSSL's words.
    Tls(String),
    /// The broker's certificate does not verify.
    Certificate,
    /// The broker refused the credentials, in its words.
    Sasl(String),
    /// The broker is at an address where we may not go, or not as who we are.
    NotAllowed(String),
}

impl BrokerFailure {
    /// What an error of a connection means, if it says anything.
    pub(super) fn of_error(code: Code, text: &str) -> Option<Self> {
        let (text, moment) = without_counts(text);
        Some(match code {
            Code::SSL if text.contains("certificate verify failed") => Self::Certificate,
            Code::SSL => Self::Tls(openssl_reason(text).to_owned()),
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState => Self::Sasl(broker_words(text)),
            Code::Resolve => Self::Unresolved,
            Code::BrokerTransportFailure if hung_up(text, moment) => Self::HungUp,
            Code::BrokerTransportFailure => Self::Unconnected(os_words(text)?),
            _ => return None,
        })
    }

    /// What a line of the log means, if it says that a broker hung up.
    pub(super) fn of_log(facility: &str, text: &str) -> Option<Self> {
        let (text, moment) = without_counts(text);
        (facility == "FAIL" && hung_up(text, moment)).then_some(Self::HungUp)
    }

    /// Whether trying again at once would end the same way.
    pub(super) fn is_refusal(&self) -> bool {
        *self >= Self::HungUp
    }

    /// What a poll fails with.
    pub(super) fn to_error(&self, source_name: &str) -> Error {
        let source_name = source_name.to_owned();
        match self {
            Self::Silent => Error::Unreachable {
                source_name,
                detail: "no broker answered in time".to_owned(),
            },
            Self::Unconnected(words) => Error::Unreachable {
                source_name,
                detail: format!("no connection to a broker: {words}"),
            },
            Self::Unresolved => Error::Unreachable {
                source_name,
                detail: "a broker's name cannot be resolved".to_owned(),
            },
            Self::HungUp => Error::Unreachable {
                source_name,
                detail: "the broker closed during the handshake: is `sasl` or `tls` missing?"
                    .to_owned(),
            },
            Self::Tls(words) if words.contains("alert") => Error::Forbidden {
                source_name,
                detail: format!("the broker ended the TLS handshake: {words}"),
            },
            Self::Tls(words) => Error::Invalid {
                source_name,
                detail: format!(
                    "the TLS handshake failed: {words}; does the broker speak TLS on this port?"
                ),
            },
            Self::Certificate => Error::Invalid {
                source_name,
                detail: "certificate verify failed: the broker's certificate is expired, is for another name, or is of an authority that is unknown here; give the authority's certificate as `ca`".to_owned(),
            },
            Self::Sasl(words) => Error::Forbidden {
                source_name,
                detail: words.clone(),
            },
            Self::NotAllowed(why) => Error::Invalid {
                source_name,
                detail: format!("the cluster has a broker that may not be called: {why}"),
            },
        }
    }
}

/// Nobody answered, and the call does not know why.
pub(super) fn is_silence(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::WaitingForCoordinator
            | Code::RequestTimedOut
            | Code::Authentication
            | Code::SSL
            | Code::Fail
    )
}

/// What a poll fails with that a broker answered with this code.
pub(super) fn answered(source_name: &str, code: Code) -> Error {
    let source_name = source_name.to_owned();
    let detail = code.to_string();
    match code {
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicId
        | Code::UnknownGroup
        | Code::GroupIdNotFound => Error::NotFound {
            source_name,
            detail,
        },
        Code::TopicAuthorizationFailed => Error::Forbidden {
            source_name,
            detail: format!("{detail}; needs DESCRIBE on the topic"),
        },
        Code::GroupAuthorizationFailed => Error::Forbidden {
            source_name,
            detail: format!("{detail}; needs DESCRIBE on the group"),
        },
        Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => Error::Forbidden {
            source_name,
            detail,
        },
        Code::InvalidTopic | Code::InvalidGroupId => Error::Invalid {
            source_name,
            detail,
        },
        Code::ThrottlingQuotaExceeded => Error::Throttled {
            source_name,
            detail,
        },
        Code::Resolve
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NetworkException
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::KafkaStorageError
        | Code::UnknownBroker
        | Code::BrokerDestroy
        | Code::DestroyBroker => Error::Unreachable {
            source_name,
            detail,
        },
        _ => Error::BadAnswer {
            source_name,
            detail,
        },
    }
}

/// A text before its ` (after 301ms in state AUTH_REQ, 8 identical error(s) suppressed)`, and that.
fn without_counts(text: &str) -> (&str, &str) {
    text.rsplit_once(" (after ").unwrap_or((text, ""))
}

/// Whether the broker closed the connection before it had answered anything of use; `moment` is `3ms in state UP)`.
fn hung_up(text: &str, moment: &str) -> bool {
    let closed = text.contains("Disconnected") || text.contains("reset by peer");
    let (time, state) = moment.split_once("ms in state ").unwrap_or_default();
    let state = state.split([',', ')']).next().unwrap_or("");
    let early = match state {
        "SSL_HANDSHAKE" | "APIVERSION_QUERY" | "AUTH_LEGACY" | "AUTH_HANDSHAKE" | "AUTH_REQ" => {
            true
        }
        // As a listener for SASL does at the first request of a client that has none.
        "UP" => time.parse().is_ok_and(|time: u64| time < 2_000),
        _ => false,
    };
    closed && early
}

/// `certificate required` of `…error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116`.
fn openssl_reason(text: &str) -> &str {
    let reason = text.rsplit_once("::").map_or("", |(_, rest)| rest);
    let reason = reason.split(':').next().unwrap_or("").trim();
    if reason.is_empty() {
        "no reason is known"
    } else {
        reason
    }
}

/// `Connection refused` of `127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused`.
fn os_words(text: &str) -> Option<String> {
    let (_, words) = text.rsplit_once(": ")?;
    Some(words.trim().to_owned())
}

/// The broker's own words, from `SASL` on, without request ids and numbers: a mechanism's name is the only word that keeps digits.
fn broker_words(text: &str) -> String {
    let from = text.find("SASL ").unwrap_or(0);
    let steady = |word: &&str| {
        let has = |is: fn(u8) -> bool| word.bytes().any(is);
        !has(|byte| byte.is_ascii_digit())
            || (has(|byte| byte.is_ascii_uppercase()) && !has(|byte| byte.is_ascii_lowercase()))
    };
    let words: Vec<&str> = text[from..].split_whitespace().filter(steady).collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: Code, text: &str, reason: &str, words: &str) {
        let why = BrokerFailure::of_error(code, text).expect(text);
        let error = why.to_error("Kafka topic orders for group g");
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn librdkafkas_texts_become_words_that_stay() {
        for (first, later, code, reason, words) in [
            (
                "sasl_plaintext://127.0.0.1:9092/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 301ms in state AUTH_REQ)",
                "sasl_plaintext://127.0.0.1:9093/1: SASL authentication error: Authentication failed: Invalid username or password (after 305ms in state AUTH_REQ, 8 identical error(s) suppressed)",
                Code::Authentication,
                "Forbidden",
                "Invalid username or password",
            ),
            (
                "sasl_ssl://b-1:9098/bootstrap: SASL authentication error: [0a4f1c2e-77d1-4a55]: Access denied (after 12ms in state AUTH_REQ)",
                "sasl_ssl://b-2:9098/bootstrap: SASL authentication error: [9b1d2c3e-11f1-5b66]: Access denied (after 9ms in state AUTH_REQ)",
                Code::Authentication,
                "Forbidden",
                "SASL authentication error: Access denied",
            ),
            (
                "sasl_plaintext://k:9092/bootstrap: SASL OAUTHBEARER mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: PLAIN,SCRAM-SHA-256 (after 1ms in state AUTH_HANDSHAKE)",
                "sasl_plaintext://k:9092/bootstrap: SASL OAUTHBEARER mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: PLAIN,SCRAM-SHA-256 (after 4ms in state AUTH_HANDSHAKE, 1 identical error(s) suppressed)",
                Code::Authentication,
                "Forbidden",
                "mechanisms: PLAIN,SCRAM-SHA-256",
            ),
            (
                "ssl://127.0.0.1:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified (after 4ms in state SSL_HANDSHAKE)",
                "ssl://127.0.0.1:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified (after 5ms in state SSL_HANDSHAKE, 30 identical error(s) suppressed)",
                Code::SSL,
                "Invalid",
                "certificate verify failed",
            ),
            (
                "ssl://k:9093/1: Receive failed: ssl/record/rec_layer_s3.c:1605: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116 (after 2ms in state APIVERSION_QUERY)",
                "ssl://k:9093/1: Receive failed: ssl/record/rec_layer_s3.c:1605: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116 (after 3ms in state APIVERSION_QUERY)",
                Code::SSL,
                "Forbidden",
                "certificate required",
            ),
            (
                "ssl://k:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 2ms in state SSL_HANDSHAKE)",
                "ssl://k:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after 9ms in state SSL_HANDSHAKE)",
                Code::BrokerTransportFailure,
                "Unreachable",
                "the broker closed during the handshake: is `sasl` or `tls` missing?",
            ),
            (
                "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)",
                "127.0.0.1:10/bootstrap: Connect to ipv4#127.0.0.1:10 failed: Connection refused (after 1ms in state CONNECT, 3 identical error(s) suppressed)",
                Code::BrokerTransportFailure,
                "Unreachable",
                "no connection to a broker: Connection refused",
            ),
            (
                "k-0:9092/bootstrap: Failed to resolve 'k-0:9092': Name or service not known (after 2ms in state CONNECT)",
                "k-1:9092/bootstrap: Failed to resolve 'k-1:9092': Name or service not known (after 7ms in state CONNECT)",
                Code::Resolve,
                "Unreachable",
                "cannot be resolved",
            ),
        ] {
            check(code, first, reason, words);
            assert_eq!(
                BrokerFailure::of_error(code, first),
                BrokerFailure::of_error(code, later)
            );
        }
    }

    #[test]
    fn a_broker_that_hangs_up_early_is_told_from_one_that_was_idle() {
        let of_log = |text| BrokerFailure::of_log("FAIL", text);
        let early = "127.0.0.1:9092/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?) or broker version is < 0.10 (see api.version.request) (after 3ms in state APIVERSION_QUERY)";
        assert_eq!(of_log(early), Some(BrokerFailure::HungUp));
        let no_sasl = "127.0.0.1:9092/1: Disconnected: connection closed by peer: receive 0 after POLLIN (after 2ms in state UP)";
        assert_eq!(of_log(no_sasl), Some(BrokerFailure::HungUp));
        let idle = "127.0.0.1:9092/1: Disconnected (after 600004ms in state UP)";
        assert_eq!(of_log(idle), None);
        assert_eq!(BrokerFailure::of_log("REQTMOUT", early), None);
    }

    #[test]
    fn what_says_most_is_last() {
        assert!(BrokerFailure::Silent < BrokerFailure::Unconnected("z".to_owned()));
        assert!(BrokerFailure::HungUp < BrokerFailure::Certificate);
        assert!(!BrokerFailure::Unresolved.is_refusal());
        assert!(BrokerFailure::HungUp.is_refusal());
    }
}
