//! KEDA's polls at the built binary, beside the least that a scaler over grpc-go can be
//! (`keda-grpc-go/`, which answers a constant): 10,000 triggers, three calls each, over
//! and over, with 1,000 streams held open. Each server has one core, the client another.
//! `tests/env/with cargo bench --bench keda`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::json;
use slipway::cluster::{self, Call, Cluster};
use slipway::externalscaler::external_scaler_client::ExternalScalerClient;
use slipway::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use usage::Usage;

#[allow(dead_code, reason = "each bench uses a part of it")]
#[path = "support/usage.rs"]
mod usage;

const TRIGGERS: usize = 10_000;
const STREAMS: usize = 1_000;
/// Calls under way at any time.
const CALLERS: usize = 32;
const MEASURED: Duration = Duration::from_secs(20);

type Client = ExternalScalerClient<Channel>;

/// What a run came to.
struct Figures {
    calls_per_second: f64,
    calls_per_cpu_second: f64,
    half: Duration,
    most: Duration,
    megabytes: f64,
}

/// One core for the client too: its threads are as many as it has cores.
fn main() {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-acp", "1", &own])
        .stdout(Stdio::null())
        .status();
    println!(
        "the client has a core of its own: {}",
        pinned.is_ok_and(|status| status.success())
    );
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(run());
}

async fn run() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first provider");
    let kube = kube::Config::infer()
        .await
        .expect("KUBECONFIG: run with tests/env/with");
    let cluster = Cluster::new(cluster::client(kube).expect("a client"));
    let namespace = format!("keda-bench-{}", std::process::id());
    let body = json!({"metadata": {"name": namespace}});
    let created = cluster.send(Call::post("/api/v1/namespaces", body)).await;
    created.expect("an answer");
    let queue_url = queue().await;
    let triggers = triggers(&namespace, &queue_url);

    let (address, server) = slipway(&namespace);
    let ours = measure(&address, server, &triggers).await;
    let (address, server) = grpc_go();
    let theirs = measure(&address, server, &triggers).await;
    println!("{TRIGGERS} triggers, three calls each, {CALLERS} at once, {STREAMS} streams open:");
    println!("{:<22}{:>12}{:>12}{:>9}", "", "slipway", "grpc-go", "ratio");
    let line = |what: &str, ours: f64, theirs: f64| {
        println!("{what:<22}{ours:>12.2}{theirs:>12.2}{:>9.2}", ours / theirs);
    };
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    line("calls/s", ours.calls_per_second, theirs.calls_per_second);
    line(
        "calls/CPU second",
        ours.calls_per_cpu_second,
        theirs.calls_per_cpu_second,
    );
    line(
        "median, ms",
        milliseconds(ours.half),
        milliseconds(theirs.half),
    );
    line(
        "99th percentile, ms",
        milliseconds(ours.most),
        milliseconds(theirs.most),
    );
    line("memory, MB", ours.megabytes, theirs.megabytes);
    let path = format!("/api/v1/namespaces/{namespace}");
    cluster
        .send(Call::delete(path, json!({})))
        .await
        .expect("an answer");
}

/// Opens the streams, asks once for every trigger, and measures from then on.
async fn measure(address: &str, server: Server, triggers: &Arc<Vec<ScaledObjectRef>>) -> Figures {
    let client = connect(address).await;
    let mut streams = Vec::new();
    for trigger in &triggers[..STREAMS] {
        let stream = client.clone().stream_is_active(trigger.clone()).await;
        let mut stream = stream.expect("a stream").into_inner();
        assert!(
            stream
                .message()
                .await
                .expect("a state")
                .expect("a state")
                .result
        );
        streams.push(stream);
    }
    polls(&client, triggers, Until::Once).await;
    let (cpu, began) = (server.usage().cpu_seconds(), Instant::now());
    let mut times = polls(&client, triggers, Until::At(began + MEASURED)).await;
    let (cpu, seconds) = (
        server.usage().cpu_seconds() - cpu,
        began.elapsed().as_secs_f64(),
    );
    let megabytes = server.usage().resident_megabytes();
    drop(streams);
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "some millions of calls")]
    let calls = times.len() as f64;
    Figures {
        calls_per_second: calls / seconds,
        calls_per_cpu_second: calls / cpu,
        half: times[times.len() / 2],
        most: times[times.len() * 99 / 100],
        megabytes,
    }
}

#[derive(Clone, Copy)]
enum Until {
    /// Every trigger was asked for.
    Once,
    At(Instant),
}

/// KEDA's three calls, trigger after trigger; how long each call took.
async fn polls(
    client: &Client,
    triggers: &Arc<Vec<ScaledObjectRef>>,
    until: Until,
) -> Vec<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (mut client, triggers, next) =
            (client.clone(), Arc::clone(triggers), Arc::clone(&next));
        callers.spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let is_over = match until {
                    Until::Once => number >= triggers.len(),
                    Until::At(end) => Instant::now() >= end,
                };
                if is_over {
                    return times;
                }
                let trigger = &triggers[number % triggers.len()];
                poll(&mut client, trigger, &mut times).await;
            }
        });
    }
    callers.join_all().await.concat()
}

async fn poll(client: &mut Client, trigger: &ScaledObjectRef, times: &mut Vec<Duration>) {
    let began = Instant::now();
    let spec = client
        .get_metric_spec(trigger.clone())
        .await
        .expect("a spec");
    times.push(began.elapsed());
    let spec = spec.into_inner().metric_specs.remove(0);
    let request = GetMetricsRequest {
        scaled_object_ref: Some(trigger.clone()),
        metric_name: spec.metric_name,
    };
    let began = Instant::now();
    let values = client.get_metrics(request).await.expect("a value");
    times.push(began.elapsed());
    assert_eq!(values.get_ref().metric_values[0].metric_value, 7);
    let began = Instant::now();
    let active = client.is_active(trigger.clone()).await.expect("a state");
    times.push(began.elapsed());
    assert!(active.get_ref().result);
}

/// Triggers on one queue, each written in a way of its own.
fn triggers(namespace: &str, queue_url: &str) -> Arc<Vec<ScaledObjectRef>> {
    let trigger = |number: usize| ScaledObjectRef {
        name: format!("orders-{number}"),
        namespace: namespace.to_owned(),
        scaler_metadata: [
            ("scalerAddress", "slipway-keda.slipway.svc:6000".to_owned()),
            ("source", "aws-sqs-queue".to_owned()),
            ("connection", "stage".to_owned()),
            ("queueURL", queue_url.to_owned()),
            ("queueLength", (number + 1).to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
    };
    Arc::new((0..TRIGGERS).map(trigger).collect())
}

/// The queue that all of them look at, with seven messages.
async fn queue() -> String {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new("eu-west-1"))
        .endpoint_url(setting("TEST_SQS_ENDPOINT"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .build();
    let client = aws_sdk_sqs::Client::from_conf(config);
    let name = format!("keda-bench-{}", std::process::id());
    let queue = client.create_queue().queue_name(name).send().await;
    let url = queue.expect("a queue").queue_url.expect("its address");
    for _ in 0..7 {
        let message = client.send_message().queue_url(&url).message_body("work");
        message.send().await.expect("sent");
    }
    url
}

/// A server as a process on the first core; killed when dropped.
struct Server(Child);

/// The built binary.
fn slipway(namespace: &str) -> (String, Server) {
    let file = std::env::temp_dir().join(format!("slipway-keda-bench-{}.json", std::process::id()));
    let connections = json!([{
        "name": "stage",
        "namespaces": [namespace],
        "metadata": {"awsEndpoint": setting("TEST_SQS_ENDPOINT"), "awsRegion": "eu-west-1"},
    }]);
    std::fs::write(&file, connections.to_string()).expect("a file");
    let (grpc, other) = (free_address(), "127.0.0.1:0");
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0", env!("CARGO_BIN_EXE_slipway"), "run"])
        .args(["--namespaces", namespace, "--grpc", &grpc])
        .args(["--http", other, "--health", other, "--log", "warn"])
        .args(["--allow-address", "127.0.0.1,localhost"])
        .args(["--allow-identity", "127.0.0.1,localhost", "--connections"])
        .arg(file)
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench");
    (grpc, Server::start(&mut command))
}

/// The scaler that answers a constant.
fn grpc_go() -> (String, Server) {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/keda-grpc-go");
    let binary = std::env::temp_dir().join(format!("keda-grpc-go-{}", std::process::id()));
    let built = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&binary)
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .status();
    assert!(built.expect("go").success(), "keda-grpc-go does not build");
    let address = free_address();
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(&binary).arg(&address);
    let server = Server::start(&mut command);
    (address, server)
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self(child.expect("taskset starts it"))
    }

    fn usage(&self) -> Usage {
        Usage(self.0.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn connect(address: &str) -> Client {
    let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match channel.connect().await {
            Ok(channel) => return ExternalScalerClient::new(channel),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}

#[expect(clippy::disallowed_methods, reason = "a bench's own setting")]
fn setting(name: &str) -> String {
    std::env::var(name).expect("run with tests/env/with")
}
