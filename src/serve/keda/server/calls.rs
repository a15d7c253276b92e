//! From a path to the service that answers it, with what holds for every call: a place,
//! a time, a count.

use std::convert::Infallible;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Service as _;

use super::peer::PeerState;
use super::requests::RequestCharge;
use super::{Peer, ServerState};
use crate::externalscaler::DESCRIPTORS;
use crate::externalscaler::external_scaler_server::ExternalScalerServer;
use crate::serve::keda::Session;

/// The service's full name.
pub(super) const SERVICE: &str = "externalscaler.ExternalScaler";
/// Methods, as metrics call them; all others are one.
const METHODS: [&str; 5] = [
    "IsActive",
    "StreamIsActive",
    "GetMetricSpec",
    "GetMetrics",
    "StreamMetricSpec",
];

/// What gRPC puts before a message. Unit: bytes. Source: gRPC over HTTP/2, Length-Prefixed-Message.
const PREFIX: usize = 5;
/// Longest request of health and reflection. Unit: bytes.
const SIDE_REQUEST: usize = 4 << 10;

/// Health and reflection, beside KEDA's own.
pub(super) type Services = Routes;

/// The services that every connection shares.
///
/// # Panics
///
/// When the descriptors that are built in cannot be read.
pub(super) fn services() -> (HealthReporter, Services) {
    let health = HealthReporter::new();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let service = HealthService::from_health_reporter(health.clone());
    let services = Routes::new(HealthServer::new(service).max_decoding_message_size(SIDE_REQUEST))
        .add_service(
            reflection()
                .build_v1()
                .expect("the descriptors are built in")
                .max_decoding_message_size(SIDE_REQUEST),
        )
        .add_service(
            reflection()
                .build_v1alpha()
                .expect("the descriptors are built in")
                .max_decoding_message_size(SIDE_REQUEST),
        )
        .prepare();
    (health, services)
}

/// What answers the calls of one connection.
pub(super) struct Calls {
    shared: Arc<ServerState>,
    peer: Arc<PeerState>,
    scaler: ExternalScalerServer<Session>,
    /// Places for health and reflection.
    side_places: Arc<Semaphore>,
}

impl Calls {
    pub(super) fn new(
        shared: Arc<ServerState>,
        caller: Peer,
        peer: Arc<PeerState>,
        stop: CancellationToken,
    ) -> Self {
        let session = Session {
            keda: Arc::clone(&shared.keda),
            caller,
            places: Arc::new(Semaphore::new(shared.limits.streams)),
            stop,
        };
        let scaler = ExternalScalerServer::new(session)
            .max_decoding_message_size(shared.limits.message_bytes);
        Self {
            side_places: Arc::new(Semaphore::new(shared.limits.side_calls)),
            shared,
            peer,
            scaler,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let path = request.uri().path();
        let method = path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(SERVICE)?.strip_prefix('/'));
        let known = method.map(|method| METHODS.into_iter().find(|known| *known == method));
        let Some(charge) = self.peer.budget.begin(request.headers()) else {
            let busy = Status::resource_exhausted("too many requests are unfinished");
            return ready(Ok(busy.into_http())).boxed();
        };
        let Some(known) = known else {
            return self.side_call(request, charge).boxed();
        };
        let method = known.unwrap_or("other");
        let (scaler, peer) = (self.scaler.clone(), Arc::clone(&self.peer));
        async move {
            let answer = answer(&shared, scaler, &peer, request, charge);
            let response = timeout(shared.limits.call, answer)
                .await
                .unwrap_or_else(|_| {
                    Status::deadline_exceeded("the call took longer than Slipway gives it")
                        .into_http()
                });
            shared.keda.metrics.called(method, code_of(&response));
            Ok(response)
        }
        .boxed()
    }
}

/// Reads the whole request, waits for a place among the calls, and has the scaler answer.
async fn answer(
    shared: &ServerState,
    mut scaler: ExternalScalerServer<Session>,
    peer: &Arc<PeerState>,
    request: Request<Incoming>,
    mut charge: RequestCharge,
) -> Response<Body> {
    let most = shared.limits.message_bytes;
    let request = match timeout(shared.limits.request, whole(request, &mut charge, most)).await {
        Ok(Ok(request)) => request,
        Ok(Err(refusal)) => return refusal.into_http(),
        Err(_) => {
            return Status::deadline_exceeded("the request did not come in time").into_http();
        }
    };
    let busy = peer.busy();
    let Ok(Ok(_place)) = timeout(shared.limits.wait, shared.calls.acquire()).await else {
        return Status::resource_exhausted("too many calls are being answered").into_http();
    };
    drop(charge);
    match scaler.call(request).await {
        Ok(response) => {
            busy.answered();
            holding(response, busy)
        }
        Err(never) => match never {},
    }
}

/// The request with all of its message: a caller that leaves it unfinished takes no place among the calls.
async fn whole(
    request: Request<Incoming>,
    charge: &mut RequestCharge,
    most: usize,
) -> Result<Request<Full<Bytes>>, Status> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Status::cancelled("the request broke off"))?;
        let Ok(part) = frame.into_data() else {
            continue;
        };
        if body.len() + part.len() > PREFIX + most {
            let text = format!("the request has more than {most} bytes");
            return Err(Status::out_of_range(text));
        }
        if !charge.add(part.len()) {
            return Err(Status::resource_exhausted(
                "too many requests are unfinished",
            ));
        }
        body.extend_from_slice(&part);
    }
    charge.whole();
    Ok(Request::from_parts(head, Full::from(body)))
}

/// The response, whose body keeps something until it is sent.
fn holding<T: Send + Sync + 'static>(response: Response<Body>, held: T) -> Response<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &held;
            frame
        }))
    })
}

impl Calls {
    /// Health and reflection. They are no reason for a connection to stay where another one needs its room.
    fn side_call(
        &self,
        request: Request<Incoming>,
        charge: RequestCharge,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
        let place = Arc::clone(&self.side_places).try_acquire_owned();
        let mut services = self.shared.services.clone();
        let deadline = self.shared.limits.call;
        async move {
            let Ok(place) = place else {
                let busy = Status::resource_exhausted("too many calls of this service");
                return Ok(busy.into_http());
            };
            match timeout(deadline, services.call(request)).await {
                Ok(response) => Ok(holding(response?, (place, charge))),
                Err(_) => Ok(Status::deadline_exceeded("the call took too long").into_http()),
            }
        }
    }
}

/// Errors are told in the headers; where there is no code yet, the call went well so far.
fn code_of(response: &Response<Body>) -> Code {
    let status = response.headers().get(Status::GRPC_STATUS);
    status.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
