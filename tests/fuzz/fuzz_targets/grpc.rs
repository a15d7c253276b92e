//! What KEDA may ask for: each call has an answer with a clear code, and what is refused leaves nothing.
//!
//! Input: lines `KEY=VALUE` of a trigger's metadata.
#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libfuzzer_sys::fuzz_target;
use slipway::externalscaler::external_scaler_client::ExternalScalerClient;
use slipway::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use slipway::lookup::files::Files;
use slipway::resource::SourceSpec;
use slipway::resource::connection;
use slipway::scaling::Reading;
use slipway::serve::keda::connections::Connections;
use slipway::serve::keda::metrics::Metrics;
use slipway::serve::keda::references::References;
use slipway::serve::keda::server::{self, RpcLimits};
use slipway::serve::keda::{Ages, Keda, Parts};
use slipway::source::{self, Connect, Source, Taken};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

/// Three messages wait, whatever is asked for.
struct Three;

impl Source for Three {
    fn read(&self, _: Duration) -> BoxFuture<'_, Result<Taken, source::Error>> {
        let taken = Taken {
            reading: Reading::new(3.0),
            at: Instant::now(),
            terms: None,
            warning: None,
        };
        async { Ok(taken) }.boxed()
    }
}

impl Connect for Three {
    fn connect(&self, _: &SourceSpec) -> Result<Arc<dyn Source>, source::Error> {
        Ok(Arc::new(Three))
    }
}

/// The port as it is.
struct Bench {
    runtime: Runtime,
    client: ExternalScalerClient<Channel>,
    keda: Arc<Keda>,
}

const CONNECTIONS: &str =
    "- name: lab\n  namespaces: [shop]\n  metadata: {awsEndpoint: 'https://sqs.example.com'}\n";
/// Far below what the table holds, and far above what one input can add.
const TRIGGERS: usize = 500;

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let connections = connection::parse(CONNECTIONS).expect("connections");
    let keda = Arc::new(Keda::new(Parts {
        sources: Arc::new(Three),
        references: References {
            lookup: Arc::new(Files::default()),
            own_namespace: "slipway".to_owned(),
            environment: Arc::new(|_| None),
            scope: Some(vec!["shop".to_owned()]),
        },
        connections: Arc::new(Connections::new(connections)),
        allow_address: vec!["*.example.com".to_owned()],
        ages: Ages::default(),
        most_triggers: TRIGGERS,
        most_streams: 10,
        metrics: Metrics::default(),
    }));
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = server::serve(
        listener,
        keda.clone(),
        None,
        RpcLimits::default(),
        CancellationToken::new(),
    );
    runtime.spawn(async move { drop(served.await) });
    let client = runtime
        .block_on(ExternalScalerClient::connect(format!("http://{address}")))
        .expect("a client");
    Bench {
        runtime,
        client,
        keda,
    }
});

/// What a caller can do something about.
const CLEAR: [Code; 5] = [
    Code::InvalidArgument,
    Code::PermissionDenied,
    Code::NotFound,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
];

/// In every value that comes from a variable.
const CANARY: &str = "canary-7f3a9c";

fuzz_target!(|text: &str| {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let metadata: HashMap<String, String> = pairs
        .map(|(key, value)| {
            let canary = if key.ends_with("FromEnv") { CANARY } else { "" };
            (key.to_owned(), format!("{value}{canary}"))
        })
        .collect();
    let of = ScaledObjectRef {
        name: "orders".to_owned(),
        namespace: "shop".to_owned(),
        scaler_metadata: metadata,
    };
    let mut client = BENCH.client.clone();
    BENCH.runtime.block_on(async {
        let refused = match client.get_metric_spec(of.clone()).await {
            Err(refused) => refused,
            Ok(spec) => {
                let spec = spec.into_inner().metric_specs.remove(0);
                let request = GetMetricsRequest {
                    metric_name: spec.metric_name,
                    scaled_object_ref: Some(of.clone()),
                };
                let values = client
                    .get_metrics(request)
                    .await
                    .expect("who has a name has a number");
                assert_eq!(values.into_inner().metric_values.len(), 1);
                return;
            }
        };
        assert!(CLEAR.contains(&refused.code()), "{refused}");
        assert!(
            !refused.message().is_empty() && refused.message().len() <= 4_096,
            "{refused}"
        );
        assert!(
            !refused.message().contains(CANARY),
            "a variable's value is not said back: {refused}"
        );
        let active = client.is_active(of).await;
        assert!(active.is_err(), "refused once, and answered once");
    });
    assert!(BENCH.keda.triggers() <= TRIGGERS);
});
