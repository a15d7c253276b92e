//! KEDA's side of the port: calls as KEDA makes them, over real sockets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use slipway::externalscaler::external_scaler_client::ExternalScalerClient;
use slipway::externalscaler::{GetMetricsRequest, MetricSpec, MetricValue, ScaledObjectRef};
use slipway::resource::SourceSpec;
use slipway::serve::keda::connections::Connections;
use slipway::serve::keda::metrics::Metrics;
use slipway::serve::keda::references::References;
use slipway::serve::keda::server::{self, RpcLimits};
use slipway::serve::keda::{Ages, Keda, Parts};
use slipway::serve::tls::ServerTls;
use slipway::source::{self, Connect, Source};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::cluster::unique;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

mod answers;
mod foreign;
mod lags;
mod many;
mod operator;
mod ourselves;
mod real;
mod secured;
mod vectors;

pub(crate) type Client = ExternalScalerClient<Channel>;

/// A trigger as KEDA names it.
pub(crate) fn reference(namespace: &str, metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    ScaledObjectRef {
        name: "orders".to_owned(),
        namespace: namespace.to_owned(),
        scaler_metadata: metadata.iter().map(own).collect::<HashMap<_, _>>(),
    }
}

/// An SQS trigger without an address of its own.
pub(crate) fn sqs(queue_url: &str) -> ScaledObjectRef {
    reference(
        "orders",
        &[
            ("scalerAddress", "slipway.slipway:6000"),
            ("source", "aws-sqs-queue"),
            ("queueURL", queue_url),
            ("awsRegion", "eu-west-1"),
            ("queueLength", "2"),
        ],
    )
}

/// The first of KEDA's three calls.
pub(crate) async fn spec(client: &mut Client, of: &ScaledObjectRef) -> Result<MetricSpec, Status> {
    let answer = client.get_metric_spec(of.clone()).await?.into_inner();
    assert_eq!(answer.metric_specs.len(), 1, "one trigger is one metric");
    Ok(answer.metric_specs.into_iter().next().unwrap())
}

/// The second.
pub(crate) async fn value(
    client: &mut Client,
    of: &ScaledObjectRef,
) -> Result<MetricValue, Status> {
    let request = GetMetricsRequest {
        metric_name: spec(client, of).await?.metric_name,
        scaled_object_ref: Some(of.clone()),
    };
    let answer = client.get_metrics(request).await?.into_inner();
    assert_eq!(answer.metric_values.len(), 1, "one metric has one value");
    Ok(answer.metric_values.into_iter().next().unwrap())
}

/// The third.
pub(crate) async fn is_active(client: &mut Client, of: &ScaledObjectRef) -> Result<bool, Status> {
    Ok(client.is_active(of.clone()).await?.into_inner().result)
}

/// Connects every spec to one source, and remembers the specs.
pub(crate) struct Sources {
    source: Arc<dyn Source>,
    specs: std::sync::Mutex<Vec<SourceSpec>>,
}

impl Connect for Sources {
    fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, source::Error> {
        self.specs.lock().unwrap().push(spec.clone());
        Ok(Arc::clone(&self.source))
    }
}

/// The service on a port of its own, over sources of the test's.
pub(crate) struct Port {
    pub(crate) keda: Arc<Keda>,
    pub(crate) address: String,
    pub(crate) connections: Arc<Connections>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) registry: Registry,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

/// What a test chooses.
pub(crate) struct Choice {
    pub(crate) limits: RpcLimits,
    pub(crate) ages: Ages,
    pub(crate) most_triggers: usize,
    pub(crate) most_streams: usize,
    pub(crate) allow_address: Vec<String>,
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) lookup: Arc<dyn slipway::lookup::Lookup>,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            limits: RpcLimits::default(),
            ages: Ages::default(),
            most_triggers: slipway::serve::keda::MOST,
            most_streams: server::STREAMS,
            allow_address: Vec::new(),
            tls: None,
            lookup: Arc::new(slipway::lookup::files::Files::default()),
        }
    }
}

impl Port {
    pub(crate) async fn open(source: Arc<dyn Source>, choice: Choice) -> Self {
        let connections = Arc::new(Connections::new(Vec::new()));
        let sources = Arc::new(Sources {
            source,
            specs: std::sync::Mutex::default(),
        });
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let keda = Arc::new(Keda::new(Parts {
            sources: sources.clone(),
            references: References {
                lookup: choice.lookup,
                own_namespace: "slipway".to_owned(),
                environment: Arc::new(|name| {
                    (name == "STAGE_KEY").then(|| "k3y".to_owned().into())
                }),
                scope: Some(vec!["orders".to_owned(), "billing".to_owned()]),
            },
            connections: connections.clone(),
            allow_address: choice.allow_address,
            ages: choice.ages,
            most_triggers: choice.most_triggers,
            most_streams: choice.most_streams,
            metrics,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let polls = {
            let (keda, stop) = (keda.clone(), stop.clone());
            async move { keda.run(stop).await }
        };
        let served = {
            let (keda, stop) = (keda.clone(), stop.clone());
            async move {
                let served = server::serve(listener, keda, choice.tls, choice.limits, stop);
                served.await.unwrap();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the test joins them")]
        let tasks = vec![tokio::spawn(polls), tokio::spawn(served)];
        Self {
            keda,
            address,
            connections,
            sources,
            registry,
            stop,
            tasks,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        connect(&self.address).await
    }

    /// The number that a metric without labels has now.
    pub(crate) fn gauge(&self, name: &str) -> usize {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.expect("it is registered").parse().unwrap()
    }

    /// Stops it, and waits until everything has ended.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        for task in self.tasks {
            let ended = tokio::time::timeout(Duration::from_secs(20), task).await;
            ended.expect("the port closes").unwrap();
        }
    }
}

/// A client as KEDA has one.
pub(crate) async fn connect(address: &str) -> Client {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await;
    ExternalScalerClient::new(channel.unwrap())
}

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("slipway-keda-{}-{name}", unique()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}
