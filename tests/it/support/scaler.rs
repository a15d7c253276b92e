//! An external scaler of KEDA's kind: a real gRPC server that says what a test wants.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use slipway::externalscaler::external_scaler_server::{ExternalScaler, ExternalScalerServer};
use slipway::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// What it answers.
#[derive(Clone)]
pub(crate) struct Says {
    /// Name, integer target, float target.
    pub(crate) specs: Vec<(String, i64, f64)>,
    /// Integer and float.
    pub(crate) values: Vec<(i64, f64)>,
    pub(crate) active: bool,
    /// Methods that fail, and how.
    pub(crate) fails: BTreeMap<&'static str, Status>,
    /// A method that never answers.
    pub(crate) hangs: Option<&'static str>,
}

impl Says {
    /// So much is waiting, one Job takes `target`, and there is work if there is any.
    pub(crate) fn waiting(value: i64, target: i64) -> Self {
        Self {
            specs: vec![("queue".to_owned(), target, 0.0)],
            values: vec![(value, 0.0)],
            active: value > 0,
            fails: BTreeMap::new(),
            hangs: None,
        }
    }

    pub(crate) fn failing(method: &'static str, status: Status) -> Self {
        Self {
            fails: BTreeMap::from([(method, status)]),
            ..Self::waiting(3, 1)
        }
    }
}

/// A call that came: its method, what it was about, and the metric it named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) metric: String,
}

struct State {
    says: Mutex<Says>,
    calls: Mutex<Vec<Call>>,
    pushes: Mutex<broadcast::Sender<Option<bool>>>,
    streams: AtomicUsize,
    connections: AtomicUsize,
}

/// The server; gone, connections and all, when it is dropped.
pub(crate) struct Scaler {
    address: SocketAddr,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

impl Scaler {
    pub(crate) fn start(says: Says) -> Self {
        Self::start_at(says, "127.0.0.1:0".parse().unwrap(), None)
    }

    pub(crate) fn start_with_tls(says: Says, tls: ServerTlsConfig) -> Self {
        Self::start_at(says, "127.0.0.1:0".parse().unwrap(), Some(tls))
    }

    pub(crate) fn start_at(says: Says, address: SocketAddr, tls: Option<ServerTlsConfig>) -> Self {
        let state = Arc::new(State {
            says: Mutex::new(says),
            calls: Mutex::default(),
            pushes: Mutex::new(broadcast::channel(16 * 1024).0),
            streams: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        // A runtime of its own: with it everything ends at once, as with a process.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        runtime.spawn({
            let state = Arc::clone(&state);
            async move {
                let listener = TcpListener::bind(address).await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let counted = Arc::clone(&state);
                let incoming = stream::unfold((listener, counted), |(listener, state)| async {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    state.connections.fetch_add(1, Ordering::SeqCst);
                    Some((accepted, (listener, state)))
                });
                let mut server = Server::builder();
                if let Some(tls) = tls {
                    server = server.tls_config(tls).unwrap();
                }
                let service = ExternalScalerServer::new(Service(state));
                let service = service.max_encoding_message_size(64 * 1024 * 1024);
                let server = server.add_service(service);
                server.serve_with_incoming(incoming).await.unwrap();
            }
        });
        let address = told.recv_timeout(Duration::from_secs(10)).unwrap();
        Self {
            address,
            state,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn says(&self, says: Says) {
        *self.state.says.lock().unwrap() = says;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }

    /// How often a method was called.
    pub(crate) fn count(&self, method: &str) -> usize {
        let calls = self.state.calls.lock().unwrap();
        calls.iter().filter(|call| call.method == method).count()
    }

    /// Connections that were ever accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Streams that are open.
    pub(crate) fn streams(&self) -> usize {
        self.state.streams.load(Ordering::SeqCst)
    }

    /// Sends it on every open stream.
    pub(crate) fn push(&self, active: bool) {
        // Nobody may be there to hear it.
        self.pushes().send(Some(active)).ok();
    }

    /// Ends every open stream cleanly.
    pub(crate) fn end_streams(&self) {
        self.pushes().send(None).ok();
    }

    fn pushes(&self) -> MutexGuard<'_, broadcast::Sender<Option<bool>>> {
        self.state.pushes.lock().unwrap()
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not in a runtime's own thread; afterwards the port is free.
            let ended =
                std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            drop(ended.join());
        }
    }
}

struct Service(Arc<State>);

impl Service {
    async fn called(
        &self,
        method: &'static str,
        about: ScaledObjectRef,
        metric: String,
    ) -> Result<Says, Status> {
        self.0.calls.lock().unwrap().push(Call {
            method,
            name: about.name,
            namespace: about.namespace,
            metadata: about.scaler_metadata,
            metric,
        });
        let says = self.0.says.lock().unwrap().clone();
        if says.hangs == Some(method) {
            std::future::pending::<()>().await;
        }
        match says.fails.get(method) {
            Some(status) => Err(status.clone()),
            None => Ok(says),
        }
    }
}

/// Counts an open stream until it is dropped.
struct OpenStream(Arc<State>);

impl OpenStream {
    fn new(state: &Arc<State>) -> Self {
        state.streams.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ExternalScaler for Service {
    type StreamIsActiveStream = Answers<IsActiveResponse>;
    type StreamMetricSpecStream = Answers<GetMetricSpecResponse>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let request = request.into_inner();
        let says = self.called("IsActive", request, String::new()).await?;
        let result = says.active;
        Ok(Response::new(IsActiveResponse { result }))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let pushes = self.0.pushes.lock().unwrap().subscribe();
        self.called("StreamIsActive", request.into_inner(), String::new())
            .await?;
        let open = OpenStream::new(&self.0);
        let answers = stream::unfold((pushes, open), |(mut pushes, open)| async {
            let result = pushes.recv().await.ok().flatten()?;
            Some((Ok(IsActiveResponse { result }), (pushes, open)))
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let request = request.into_inner();
        let says = self.called("GetMetricSpec", request, String::new()).await?;
        let specs = says.specs.into_iter();
        let metric_specs = specs.map(|(metric_name, target_size, target_size_float)| MetricSpec {
            metric_name,
            target_size,
            target_size_float,
        });
        Ok(Response::new(GetMetricSpecResponse {
            metric_specs: metric_specs.collect(),
        }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let request = request.into_inner();
        let about = request.scaled_object_ref.unwrap_or_default();
        let says = self
            .called("GetMetrics", about, request.metric_name.clone())
            .await?;
        let values = says.values.into_iter();
        let metric_values = values.map(|(metric_value, metric_value_float)| MetricValue {
            metric_name: request.metric_name.clone(),
            metric_value,
            metric_value_float,
        });
        Ok(Response::new(GetMetricsResponse {
            metric_values: metric_values.collect(),
        }))
    }

    async fn stream_metric_spec(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
