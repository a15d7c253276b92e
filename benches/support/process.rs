//! What benches share that measure the built binary: a cluster with our CRDs, queues, and the binary as a process.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde_json::{Value, json};
use slipway::cluster::{self, Call, Cluster};
use usage::Usage;

#[path = "usage.rs"]
pub(crate) mod usage;

/// The API server of the tests, with Slipway's CRDs.
pub(crate) async fn cluster() -> Cluster {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first provider");
    let config = kube::Config::infer()
        .await
        .expect("KUBECONFIG: run with tests/env/with");
    let cluster = Cluster::new(cluster::client(config).expect("a client"));
    for definition in slipway::resource::definitions::ALL {
        let body = serde_saphyr::from_str::<Value>(definition.yaml).expect("YAML");
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        // Another bench may have made it.
        drop(cluster.send(Call::post(path, body)).await);
    }
    cluster
}

/// Makes a namespace, whose name it returns.
pub(crate) async fn namespace(cluster: &Cluster, prefix: &str) -> String {
    let name = format!("{prefix}-{}", std::process::id());
    let body = json!({"metadata": {"name": name}});
    create(cluster, "/api/v1/namespaces", body).await;
    name
}

/// Removes a namespace with all that is in it, in the background.
pub(crate) async fn remove(cluster: &Cluster, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}");
    let call = Call::delete(path, json!({}));
    cluster.send(call).await.expect("an answer");
}

/// Makes one object.
pub(crate) async fn create(cluster: &Cluster, path: &str, body: Value) {
    let call = Call::post(path, body);
    let answer = cluster.send(call).await.expect("an answer");
    assert!(answer.is_success(), "{}", answer.words());
}

/// Makes a queue, whose URL it returns.
pub(crate) async fn queue(endpoint: &str, name: &str) -> String {
    let name = format!("{name}-{}", std::process::id());
    let queue = sqs(endpoint).create_queue().queue_name(name);
    let created = queue.send().await.expect("a queue");
    created.queue_url.expect("its URL")
}

/// Sends so many messages to a queue.
pub(crate) async fn fill(endpoint: &str, queue_url: &str, messages: u32) {
    let client = sqs(endpoint);
    let bodies: Vec<u32> = (0..messages).collect();
    for batch in bodies.chunks(10) {
        let entry = |body: &u32| {
            SendMessageBatchRequestEntry::builder()
                .id(body.to_string())
                .message_body("work")
                .build()
                .expect("an entry")
        };
        let entries = batch.iter().map(entry).collect();
        let request = client.send_message_batch().queue_url(queue_url);
        let sent = request.set_entries(Some(entries)).send().await;
        assert!(sent.expect("an answer").failed.is_empty());
    }
}

fn sqs(endpoint: &str) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}

/// A ScaledJob on a queue.
pub(crate) fn scaled_job(name: &str, queue_url: &str, endpoint: &str, seconds: u64) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": {
            "pollingInterval": seconds,
            "jobTargetRef": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "worker", "image": "example.com/worker:1"}]
            }}},
            "triggers": [{"type": "aws-sqs-queue", "metadata": {
                "queueURL": queue_url,
                "awsRegion": "eu-west-1",
                "awsEndpoint": endpoint,
                "identityOwner": "operator"
            }}]
        }
    })
}

/// The binary as a process; killed when dropped.
pub(crate) struct Slipway {
    child: Child,
    health: String,
}

impl Slipway {
    /// Runs for one namespace, its ports free ones of loopback.
    pub(crate) fn start(namespace: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let health = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let child = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args([
                "run",
                "--namespaces",
                namespace,
                "--health",
                &health,
                "--grpc",
                "127.0.0.1:0",
                "--log",
                "warn",
            ])
            .args(["--allow-address", "127.0.0.1,localhost"])
            .args(["--allow-identity", "127.0.0.1,localhost"])
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stdin(Stdio::null())
            .spawn()
            .expect("slipway starts");
        Self { child, health }
    }

    /// Waits until it says that it is ready; how long that took.
    pub(crate) fn await_ready(&self, most: Duration) -> Duration {
        let start = Instant::now();
        while !self
            .get("/readyz")
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            assert!(start.elapsed() < most, "slipway is not ready");
            std::thread::sleep(Duration::from_millis(100));
        }
        start.elapsed()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.health).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Calls to SQS since it started.
    pub(crate) fn calls(&self) -> f64 {
        self.metric("slipway_source_calls_total")
    }

    /// The sum of all series of a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").expect("metrics");
        let series = metrics.lines().filter(|line| line.starts_with(name));
        series
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// What it has taken.
    pub(crate) fn usage(&self) -> Usage {
        Usage(self.child.id())
    }
}

impl Drop for Slipway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A variable of the servers'.
pub(crate) fn setting(name: &str) -> String {
    variable(name).expect("the variables of tests/env/with")
}

/// A bench's own setting.
pub(crate) fn setting_or(name: &str, otherwise: &str) -> String {
    variable(name).unwrap_or_else(|| otherwise.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the bench's own settings")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
