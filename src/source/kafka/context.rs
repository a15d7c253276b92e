//! What librdkafka tells us beside its answers: logs, errors of connections, and
//! that it wants a token.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::warn;

use super::token::{self, TokenIssuer};
use crate::source::Error;
use crate::source::aws::one_line;

/// librdkafka repeats itself for every broker and every try; one line of it in this time is enough.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// One client's ear.
pub(super) struct Context {
    issuer: Option<TokenIssuer>,
    heard: Mutex<BrokerErrors>,
}

#[derive(Default)]
struct BrokerErrors {
    /// The error of a connection in this poll that says most.
    connection: Option<(RDKafkaErrorCode, String)>,
    /// The last try to get a token failed.
    token: Option<token::NoToken>,
    logged: Option<Instant>,
    suppressed: u64,
}

impl Context {
    pub(super) fn new(issuer: Option<TokenIssuer>) -> Self {
        Self {
            issuer,
            heard: Mutex::default(),
        }
    }

    /// A poll begins: what was heard of connections before is old.
    pub(super) fn begin(&self) {
        self.heard().connection = None;
    }

    /// Why there is no token, if that is so.
    pub(super) fn token_error(&self, source_name: &str) -> Option<Error> {
        let heard = self.heard();
        let error = heard.token.as_ref()?;
        let source_name = source_name.to_owned();
        let detail = error.detail.clone();
        Some(if error.refused {
            Error::Forbidden {
                source_name,
                detail,
            }
        } else {
            Error::Unreachable {
                source_name,
                detail,
            }
        })
    }

    /// Whether the same call would fail again, however long it waits: it has its answer, or the connection was refused for a reason that stays.
    pub(super) fn gives_up(&self, error: &KafkaError) -> bool {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        let heard = self.heard();
        let refused = matches!(
            heard.connection,
            Some((
                Code::Authentication | Code::SSL | Code::SaslAuthenticationFailed,
                _
            ))
        );
        !is_silence(code) || refused
    }

    /// An error of a call, with what was heard meanwhile: the call itself often only knows that time ran out.
    pub(super) fn explain(&self, source_name: String, error: &KafkaError) -> Error {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let heard = self.heard();
        match &heard.connection {
            Some((known, text)) if is_silence(code) => to_error(source_name, *known, text),
            _ => to_error(source_name, code, &code.to_string()),
        }
    }

    fn heard(&self) -> MutexGuard<'_, BrokerErrors> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let mut heard = self.heard();
        if heard.logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            heard.suppressed += 1;
            return;
        }
        heard.logged = Some(Instant::now());
        let suppressed = std::mem::take(&mut heard.suppressed);
        drop(heard);
        let message = one_line(message);
        warn!(?level, facility, suppressed, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        let mut heard = self.heard();
        // "All brokers down" follows what took them down, and says less.
        if heard.connection.is_none() || code != RDKafkaErrorCode::AllBrokersDown {
            heard.connection = Some((code, one_line(reason)));
        }
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let issuer = self
            .issuer
            .as_ref()
            .expect("librdkafka asks for tokens only with OAUTHBEARER, which has an issuer");
        let result = issuer.token();
        self.heard().token = result.as_ref().err().cloned();
        Ok(result?)
    }
}

impl ConsumerContext for Context {}

/// Nobody answered, and the call does not know why.
fn is_silence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::OperationTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::WaitingForCoordinator
            | Code::RequestTimedOut
            | Code::Fail
    )
}

fn to_error(source_name: String, code: RDKafkaErrorCode, text: &str) -> Error {
    use RDKafkaErrorCode as Code;
    let detail = text.to_owned();
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
        | Code::Authentication
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
        _ if is_silence(code) => Error::Unreachable {
            source_name,
            detail,
        },
        Code::Resolve
        | Code::SSL
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
