//! KEDA's external scaler: `externalscaler.ExternalScaler` over gRPC.
//!
//! The five calls, thin. What a trigger is, is in `request`; which of them are alive, in
//! `triggers`; the one rule for readings, in `live`; streams in `streams`; sockets, TLS
//! and limits in `server`. Nothing here knows a source's library, and only here and below
//! is tonic known.

use std::sync::Arc;

use futures::stream::BoxStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use self::caller::Peer;
use self::live::{Reads, Ready};
use self::refusal::RpcRefusal;
use self::streams::{Listener, StreamPlace};
use self::triggers::{LiveTrigger, Triggers, Workshop};
use crate::address::Rules;
use crate::externalscaler::external_scaler_server::ExternalScaler;
use crate::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricValue,
    ScaledObjectRef,
};
use crate::source::Connect;

mod addresses;
mod caller;
pub mod connections;
pub mod encode;
mod lent;
mod live;
pub mod metrics;
pub mod references;
mod refusal;
mod request;
pub mod server;
mod streams;
mod telling;
mod triggers;

pub use live::Ages;
pub use triggers::{FORGOTTEN_AFTER, MOST};

/// What the service is made of.
pub struct Parts {
    /// Connects sources.
    pub sources: Arc<dyn Connect>,
    /// Reads what triggers refer to.
    pub references: references::References,
    /// What callers may use by name.
    pub connections: Arc<connections::Connections>,
    /// `--allow-address`; AWS's own hosts when it says nothing.
    pub allow_address: Vec<String>,
    /// How old readings may be.
    pub ages: Ages,
    /// Most triggers at once.
    pub most_triggers: usize,
    /// Most streams at once, of all connections.
    pub most_streams: usize,
    /// The room's metrics.
    pub metrics: metrics::Metrics,
}

/// The service, for every connection.
pub struct Keda {
    triggers: Arc<Triggers>,
    places: Arc<Semaphore>,
    polls: mpsc::Sender<Arc<LiveTrigger>>,
    begun: std::sync::Mutex<Option<mpsc::Receiver<Arc<LiveTrigger>>>>,
    metrics: metrics::Metrics,
}

impl Keda {
    /// The service; it asks nobody before it is asked.
    pub fn new(parts: Parts) -> Self {
        let allow = if parts.allow_address.is_empty() {
            addresses::DEFAULT.map(str::to_owned).to_vec()
        } else {
            parts.allow_address
        };
        let workshop = Workshop {
            sources: parts.sources,
            references: parts.references,
            connections: parts.connections,
            rules: Rules::new(allow, false),
            ages: parts.ages,
            reads: Arc::new(Reads::default()),
        };
        // Each trigger waits here at most once, and there are no more of them than streams.
        let (polls, begun) = mpsc::channel(parts.most_streams.max(1));
        Self {
            triggers: Arc::new(Triggers::new(
                workshop,
                parts.most_triggers,
                parts.metrics.clone(),
            )),
            places: Arc::new(Semaphore::new(parts.most_streams)),
            polls,
            begun: std::sync::Mutex::new(Some(begun)),
            metrics: parts.metrics,
        }
    }

    /// Polls for streams and forgets what nobody asks for, until `stop`.
    ///
    /// # Panics
    ///
    /// When it is called twice.
    pub async fn run(&self, stop: CancellationToken) {
        let begun = self.begun.lock().expect("no panic under the lock").take();
        let begun = begun.expect("it runs once");
        let sweep = async {
            let mut ticks = tokio::time::interval(FORGOTTEN_AFTER / 10);
            loop {
                ticks.tick().await;
                self.triggers.sweep(FORGOTTEN_AFTER);
            }
        };
        let polls = streams::poll_all(Arc::clone(&self.triggers), begun, stop);
        tokio::select! {
            () = polls => {}
            () = sweep => {}
        }
    }

    /// Triggers that are alive.
    pub fn triggers(&self) -> usize {
        self.triggers.len()
    }
}

/// The service as one connection sees it.
pub(super) struct Session {
    keda: Arc<Keda>,
    caller: Peer,
    /// Streams that the connection may still open.
    places: Arc<Semaphore>,
    /// The end of the connection, or of the program.
    stop: CancellationToken,
}

impl Session {
    fn live(&self, reference: &ScaledObjectRef) -> Result<Arc<LiveTrigger>, RpcRefusal> {
        let (namespace, metadata) = (&reference.namespace, &reference.scaler_metadata);
        request::check_size(namespace, metadata)?;
        let proven = self.caller.proves(namespace)?;
        self.keda.triggers.find(namespace, metadata, proven)
    }

    async fn ready(&self, reference: &ScaledObjectRef) -> Result<Arc<Ready>, RpcRefusal> {
        let live = self.live(reference)?;
        self.keda.triggers.ready(&live).await
    }

    fn listen(&self, live: Arc<LiveTrigger>) -> Result<Listener, RpcRefusal> {
        let full = |_| RpcRefusal::Exhausted("too many streams are open");
        let place = StreamPlace {
            _of_connection: Arc::clone(&self.places).try_acquire_owned().map_err(full)?,
            _of_all: Arc::clone(&self.keda.places)
                .try_acquire_owned()
                .map_err(full)?,
            _counted: self.keda.metrics.stream(),
        };
        Listener::new(
            Arc::clone(&self.keda.triggers),
            live,
            place,
            &self.keda.polls,
        )
    }
}

#[tonic::async_trait]
impl ExternalScaler for Session {
    type StreamIsActiveStream = BoxStream<'static, Result<IsActiveResponse, Status>>;
    type StreamMetricSpecStream = BoxStream<'static, Result<GetMetricSpecResponse, Status>>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let ready = self.ready(request.get_ref()).await?;
        let taken = ready.activity().await?;
        let result = ready.is_active(&taken);
        Ok(Response::new(IsActiveResponse { result }))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let ready = self.ready(request.get_ref()).await?;
        Ok(Response::new(GetMetricSpecResponse {
            metric_specs: vec![streams::metric_spec(&ready)],
        }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let request = request.into_inner();
        let reference = request
            .scaled_object_ref
            .ok_or_else(|| RpcRefusal::Invalid("scaledObjectRef is missing".to_owned()))?;
        let ready = self.ready(&reference).await?;
        if request.metric_name != ready.metric_name() {
            return Err(RpcRefusal::Invalid(format!(
                "metricName: this trigger has no such metric; its one metric is {:?}, as GetMetricSpec says",
                ready.metric_name()
            ))
            .into());
        }
        let value = encode::value(ready.value().await?.reading.waiting());
        Ok(Response::new(GetMetricsResponse {
            metric_values: vec![MetricValue {
                metric_name: request.metric_name,
                metric_value: value.whole,
                metric_value_float: value.float,
            }],
        }))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let live = self.live(request.get_ref())?;
        let ready = self.keda.triggers.ready(&live).await?;
        let listener = self.listen(live)?;
        let stream = streams::activity(listener, ready, self.stop.clone());
        Ok(Response::new(stream))
    }

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let live = self.live(request.get_ref())?;
        self.keda.triggers.ready(&live).await?;
        let listener = self.listen(live)?;
        Ok(Response::new(streams::specs(listener, self.stop.clone())))
    }
}

#[cfg(test)]
mod tests;
