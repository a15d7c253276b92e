//! From a path to the service that answers it, with what holds for every call: a place,
//! a time, a count.

use std::convert::Infallible;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Service as _;

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
    let services = Routes::new(HealthServer::new(HealthService::from_health_reporter(
        health.clone(),
    )))
    .add_service(
        reflection()
            .build_v1()
            .expect("the descriptors are built in"),
    )
    .add_service(
        reflection()
            .build_v1alpha()
            .expect("the descriptors are built in"),
    )
    .prepare();
    (health, services)
}

/// What answers the calls of one connection.
pub(super) struct Calls {
    shared: Arc<ServerState>,
    scaler: ExternalScalerServer<Session>,
}

impl Calls {
    pub(super) fn new(shared: Arc<ServerState>, caller: Peer, stop: CancellationToken) -> Self {
        let session = Session {
            keda: Arc::clone(&shared.keda),
            caller,
            places: Arc::new(Semaphore::new(shared.limits.streams)),
            stop,
        };
        let scaler = ExternalScalerServer::new(session)
            .max_decoding_message_size(shared.limits.message_bytes);
        Self { shared, scaler }
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
        let Some(method) = method else {
            let mut services = shared.services.clone();
            return async move { services.call(request).await }.boxed();
        };
        let known = METHODS.into_iter().find(|known| *known == method);
        let method = known.unwrap_or("other");
        let mut scaler = self.scaler.clone();
        async move {
            let answer = async {
                let Ok(Ok(_place)) = timeout(shared.limits.wait, shared.calls.acquire()).await
                else {
                    let busy = Status::resource_exhausted("too many calls are being answered");
                    return busy.into_http();
                };
                match scaler.call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            };
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

/// Errors are told in the headers; where there is no code yet, the call went well so far.
fn code_of(response: &Response<Body>) -> Code {
    let status = response.headers().get(Status::GRPC_STATUS);
    status.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
