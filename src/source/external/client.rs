//! The calls to one scaler, each with its deadline, and what their errors mean.
//!
//! Whatever a scaler sends is a stranger's: texts are cut and cleaned, and left out
//! where the scaler was given secrets that it might repeat.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use http::Uri;
use tonic::transport::{Channel, Endpoint as Transport};
use tonic::{Code, Request, Response, Status, Streaming};

use super::answer::{self, ScalerAnswer};
use super::connector::{ConnectFailure, Connector, Resolve};
use super::push::OpenStream;
use super::tls::{self, Roots};
use crate::address::Rules;
use crate::bounded::ANSWER_BYTES;
use crate::externalscaler::external_scaler_client::ExternalScalerClient;
use crate::externalscaler::{self, GetMetricsRequest, IsActiveResponse, ScaledObjectRef};
use crate::resource::external::{Scaler, ScalerEndpoint};
use crate::shown::on_one_line;
use crate::source::Error;

/// One call takes no longer than this, the connection included.
const CALL: Duration = Duration::from_secs(3);
/// The three calls of a poll together.
const POLL: Duration = Duration::from_secs(5);
/// Largest headers of an answer.
const LARGEST_HEADERS: u32 = 16 * 1024;
/// A silent connection with something under way is pinged this often. grpc-go's servers break off connections
/// that are pinged more often than every 5 minutes (`keepalive.EnforcementPolicy`); polls find out earlier.
const PING: Duration = Duration::from_mins(6);
/// How long a ping may take.
const PONG: Duration = Duration::from_secs(20);
/// Longest text of a scaler that is shown.
const LONGEST_TEXT: usize = 200;

/// One scaler, with one connection for all who ask it.
pub(in crate::source) struct ScalerClient {
    endpoint: ScalerEndpoint,
    transport: Transport,
    connector: Connector,
    /// Made with the first call, and made anew after a call that was not answered: the connection may be dead.
    channel: Mutex<Option<Channel>>,
}

impl ScalerClient {
    /// A client; nothing is sent before the first call.
    ///
    /// # Errors
    ///
    /// What is wrong with the address or the certificates.
    pub(in crate::source) fn new(
        endpoint: ScalerEndpoint,
        rules: Rules,
        roots: &Roots,
    ) -> Result<Self, String> {
        Self::resolving(endpoint, rules, roots, super::connector::system())
    }

    fn resolving(
        endpoint: ScalerEndpoint,
        rules: Rules,
        roots: &Roots,
        resolve: Resolve,
    ) -> Result<Self, String> {
        let authority = endpoint.authority();
        let address = |scheme: &str| {
            let address = format!("{scheme}://{authority}");
            let address: Result<Uri, _> = address.parse();
            address.map_err(|_| "scalerAddress must be host:port".to_owned())
        };
        // TLS is the connector's; the scheme is only what the scaler is told.
        let origin = address(if endpoint.tls.is_some() {
            "https"
        } else {
            "http"
        })?;
        let transport = Transport::from(address("http")?)
            .origin(origin)
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| error.to_string())?
            .http2_max_header_list_size(LARGEST_HEADERS)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG);
        let tls = endpoint.tls.as_ref();
        let tls = tls.map(|tls| tls::config(tls, roots)).transpose()?;
        Ok(Self {
            connector: Connector::new(&endpoint, tls, rules, resolve),
            endpoint,
            transport,
            channel: Mutex::default(),
        })
    }

    /// Whether this is the client of that scaler, with the same certificates.
    pub(in crate::source) fn is(&self, endpoint: &ScalerEndpoint) -> bool {
        self.endpoint == *endpoint
    }

    /// What it is called in errors.
    pub(in crate::source) fn source_name(&self) -> String {
        source_name(&self.endpoint)
    }

    /// One poll.
    pub(super) async fn ask(&self, scaler: &Scaler) -> Result<ScalerAnswer, Error> {
        let poll = tokio::time::timeout(POLL, self.ask_each(scaler)).await;
        poll.unwrap_or_else(|_| {
            self.give_up();
            Err(self.silent("its answers together", POLL))
        })
    }

    async fn ask_each(&self, scaler: &Scaler) -> Result<ScalerAnswer, Error> {
        let mut service = self.service();
        let unusable = |detail| Error::BadAnswer {
            source_name: self.source_name(),
            detail,
        };
        let specs = self
            .call(scaler, "GetMetricSpec", {
                let request = request(reference(scaler));
                let mut service = service.clone();
                async move { service.get_metric_spec(request).await }
            })
            .await?;
        let (metric_name, target) = answer::spec(&specs.metric_specs).map_err(unusable)?;
        let values = self
            .call(scaler, "GetMetrics", {
                let request = request(GetMetricsRequest {
                    scaled_object_ref: Some(reference(scaler)),
                    metric_name: metric_name.clone(),
                });
                let mut service = service.clone();
                async move { service.get_metrics(request).await }
            })
            .await?;
        let waiting = answer::value(&values).map_err(unusable)?;
        let active = self
            .call(scaler, "IsActive", {
                let request = request(reference(scaler));
                async move { service.is_active(request).await }
            })
            .await?;
        Ok(answer::together(
            metric_name,
            target,
            waiting,
            active.result,
        ))
    }

    /// The scaler's stream of whether there is work. It has no deadline: a scaler may have nothing to say for days.
    pub(super) async fn stream(
        self: &Arc<Self>,
        scaler: &Arc<Scaler>,
    ) -> Result<OpenStream, Error> {
        const METHOD: &str = "StreamIsActive";
        let mut service = self.service();
        let opened = AssertUnwindSafe(service.stream_is_active(reference(scaler)))
            .catch_unwind()
            .await;
        let messages = match opened {
            Ok(Ok(response)) => messages(response.into_inner()),
            Ok(Err(status)) => return Err(self.error(scaler, METHOD, &status)),
            Err(_) => return Err(self.broken(METHOD)),
        };
        let (client, scaler) = (Arc::clone(self), Arc::clone(scaler));
        let results = messages.map(move |message| match message {
            Ok(Ok(answer)) => Ok(answer.result),
            Ok(Err(status)) => Err(client.error(&scaler, METHOD, &status)),
            Err(Broken) => Err(client.broken(METHOD)),
        });
        Ok(results.boxed())
    }

    fn service(&self) -> ExternalScalerClient<Channel> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = channel.get_or_insert_with(|| {
            self.transport
                .connect_with_connector_lazy(self.connector.clone())
        });
        ExternalScalerClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES)
    }

    /// The next call has a connection of its own; those under way keep theirs.
    fn give_up(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn call<T>(
        &self,
        scaler: &Scaler,
        method: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Error> {
        // tonic panics at headers that break gRPC's rules, and a scaler may send any.
        let call = AssertUnwindSafe(call).catch_unwind();
        match tokio::time::timeout(CALL, call).await {
            Ok(Ok(Ok(response))) => Ok(response.into_inner()),
            Ok(Ok(Err(status))) => {
                // Ours, or the scaler's that waited as long.
                if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) {
                    self.give_up();
                }
                Err(self.error(scaler, method, &status))
            }
            Ok(Err(_)) => Err(self.broken(method)),
            Err(_) => {
                self.give_up();
                Err(self.silent(method, CALL))
            }
        }
    }

    fn silent(&self, what: &str, deadline: Duration) -> Error {
        Error::Unreachable {
            source_name: self.source_name(),
            detail: format!("{what}: no answer within {} s", deadline.as_secs()),
        }
    }

    fn broken(&self, method: &str) -> Error {
        Error::BadAnswer {
            source_name: self.source_name(),
            detail: format!("{method}: it broke the rules of gRPC"),
        }
    }

    /// What a call's failure means to the trigger.
    fn error(&self, scaler: &Scaler, method: &str, status: &Status) -> Error {
        let source_name = self.source_name();
        if let Some(failure) = cause::<ConnectFailure>(status) {
            let detail = failure.to_string();
            return match failure {
                ConnectFailure::Refused(_) => Error::Invalid {
                    source_name,
                    detail,
                },
                ConnectFailure::Unconnected(_) => Error::Unreachable {
                    source_name,
                    detail,
                },
            };
        }
        let detail = format!("{method}: {}", words(scaler, status));
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Error::Forbidden {
                source_name,
                detail,
            },
            Code::NotFound => Error::NotFound {
                source_name,
                detail,
            },
            Code::ResourceExhausted => Error::Throttled {
                source_name,
                detail,
            },
            Code::InvalidArgument | Code::Unimplemented => Error::Invalid {
                source_name,
                detail,
            },
            // tonic's own word for an answer above the limit.
            Code::OutOfRange | Code::DataLoss => Error::BadAnswer {
                source_name,
                detail,
            },
            _ => Error::Unreachable {
                source_name,
                detail,
            },
        }
    }
}

/// What a scaler is called in errors.
pub(in crate::source) fn source_name(endpoint: &ScalerEndpoint) -> String {
    format!("external scaler {}", endpoint.authority())
}

/// The object and the trigger's metadata, as KEDA sends them.
fn reference(scaler: &Scaler) -> ScaledObjectRef {
    let metadata = scaler.metadata.exposed();
    let metadata: HashMap<String, String> = metadata
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    ScaledObjectRef {
        name: scaler.object.name.to_string(),
        namespace: scaler.object.namespace.to_string(),
        scaler_metadata: metadata,
    }
}

/// A request that tells the scaler how long it has.
fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    request
}

/// The scaler broke gRPC's rules, and tonic panicked.
struct Broken;

/// The messages of a stream up to its end or its first failure.
fn messages(
    streaming: Streaming<IsActiveResponse>,
) -> BoxStream<'static, Result<Result<IsActiveResponse, Status>, Broken>> {
    stream::unfold(Some(streaming), |streaming| async {
        let mut streaming = streaming?;
        let next = AssertUnwindSafe(streaming.message()).catch_unwind().await;
        match next {
            Ok(Ok(Some(message))) => Some((Ok(Ok(message)), Some(streaming))),
            Ok(Ok(None)) => None,
            Ok(Err(status)) => Some((Ok(Err(status)), None)),
            Err(_) => Some((Err(Broken), None)),
        }
    })
    .boxed()
}

/// A code, and what the scaler said with it, as far as that may be shown.
fn words(scaler: &Scaler, status: &Status) -> String {
    let code = externalscaler::code(status.code());
    // Of the transport's own making, not the scaler's.
    let is_ours = status.source().is_some();
    if scaler.metadata.has_secrets && !is_ours {
        return format!(
            "{code} (its words are not shown: it was sent values of the container's environment)"
        );
    }
    let text = shown(status.message());
    if text.is_empty() {
        code.to_owned()
    } else {
        format!("{code}: {text}")
    }
}

/// A stranger's text on one line, without control characters, and short.
fn shown(text: &str) -> String {
    let begin: String = text.chars().take(4 * LONGEST_TEXT).collect();
    let plain = on_one_line(&begin);
    let words: Vec<&str> = plain.split_whitespace().collect();
    let line = words.join(" ");
    let mut cut: String = line.chars().take(LONGEST_TEXT).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

/// The first cause of that kind.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
