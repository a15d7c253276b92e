//! What 500 idle ScaledJobs on one queue cost the built binary: memory, CPU and
//! calls to SQS. `tests/env/with cargo bench --profile bench-fast --bench idle`.
//!
//! KEDA 2.21 on the same machine, with the same 500 objects and interval: 186 MB,
//! 13 % of a core, 100 calls a second.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};
use slipway::cluster::{self, Call, Cluster};

const OBJECTS: usize = 500;
const INTERVAL_SECONDS: u64 = 5;
const MEASURED: Duration = Duration::from_mins(1);
/// `USER_HZ` on Linux: ticks of `/proc/PID/stat` in a second.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first provider");
    let config = kube::Config::infer()
        .await
        .expect("KUBECONFIG: run with tests/env/with");
    let cluster = Cluster::new(cluster::client(config).expect("a client"));
    let endpoint = setting("TEST_SQS_ENDPOINT");
    let queue_url = queue(&endpoint).await;
    for definition in slipway::resource::definitions::ALL {
        let body = serde_saphyr::from_str::<Value>(definition.yaml).expect("YAML");
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        cluster
            .send(Call::post(path, body))
            .await
            .expect("an answer");
    }
    let namespace = format!("idle-{}", std::process::id());
    create(
        &cluster,
        "/api/v1/namespaces",
        json!({"metadata": {"name": namespace}}),
    )
    .await;
    let path = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}/scaledjobs");
    for number in 0..OBJECTS {
        create(&cluster, &path, scaled_job(number, &queue_url, &endpoint)).await;
    }
    let slipway = Slipway::start(&namespace);
    slipway.await_ready();
    // The first turns, and the statuses they write.
    tokio::time::sleep(Duration::from_secs(2 * INTERVAL_SECONDS)).await;
    let (cpu, calls, start) = (slipway.cpu_seconds(), slipway.calls(), Instant::now());
    tokio::time::sleep(MEASURED).await;
    let seconds = start.elapsed().as_secs_f64();
    println!("{OBJECTS} ScaledJobs on one queue, every {INTERVAL_SECONDS} s, for {seconds:.0} s:");
    println!("memory            {:>8.1} MB", slipway.resident_megabytes());
    println!(
        "CPU               {:>8.2} % of a core",
        100.0 * (slipway.cpu_seconds() - cpu) / seconds
    );
    println!(
        "calls to SQS      {:>8.2} in an interval",
        (slipway.calls() - calls) * (f64::from(5_u32) / seconds)
    );
    drop(slipway);
    cluster
        .send(Call::delete(
            format!("/api/v1/namespaces/{namespace}"),
            json!({}),
        ))
        .await
        .expect("an answer");
}

fn scaled_job(number: usize, queue_url: &str, endpoint: &str) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": format!("idle-{number}")},
        "spec": {
            "pollingInterval": INTERVAL_SECONDS,
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
struct Slipway {
    child: Child,
    health: String,
}

impl Slipway {
    fn start(namespace: &str) -> Self {
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
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stdin(Stdio::null())
            .spawn()
            .expect("slipway starts");
        Self { child, health }
    }

    fn await_ready(&self) {
        let start = Instant::now();
        while !self
            .get("/readyz")
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "slipway is not ready"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
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
    fn calls(&self) -> f64 {
        let metrics = self.get("/metrics").expect("metrics");
        let calls = metrics
            .lines()
            .filter(|line| line.starts_with("slipway_source_calls_total"));
        calls
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    fn cpu_seconds(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or_default()
        };
        (ticks(11) + ticks(12)) / TICKS
    }

    fn resident_megabytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a process");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap_or_default();
        let kilobytes: f64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default();
        kilobytes / 1024.0
    }
}

impl Drop for Slipway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn queue(endpoint: &str) -> String {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .build();
    let client = aws_sdk_sqs::Client::from_conf(config);
    let name = format!("idle-{}", std::process::id());
    let created = client
        .create_queue()
        .queue_name(name)
        .send()
        .await
        .expect("a queue");
    created.queue_url.expect("its URL")
}

async fn create(cluster: &Cluster, path: &str, body: Value) {
    let answer = cluster
        .send(Call::post(path, body))
        .await
        .expect("an answer");
    assert!(answer.is_success(), "{}", answer.words());
}

#[expect(clippy::disallowed_methods, reason = "the bench's own setting")]
fn setting(name: &str) -> String {
    std::env::var(name).expect("the variables of tests/env/with")
}
