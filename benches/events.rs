//! Events over HTTP into the real API server, through the built binary, beside a bare
//! create of the same Job by the same client:
//! `tests/env/with cargo bench --bench events`.
//!
//! Two figures, each of both in turn, so that noise strikes both: one at a time
//! (from POST to answer, beside a create), and many in flight (events a second,
//! beside Jobs a second). Every event is checked to have its Job.
//!
//! Under each round of many stands what it cost, by process and by call. Calls are
//! counted whoever makes them: those of the Job controller too.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cost::Costs;
use futures::StreamExt as _;
use serde_json::{Value, json};
use slipway::cluster::{self, Budget, Call, Cluster};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use usage::Usage;

#[path = "support/cost.rs"]
mod cost;
#[path = "support/usage.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod usage;

/// One at a time.
const SINGLY: usize = 300;
/// Many in flight.
const TOGETHER: usize = 2_000;
const IN_FLIGHT: usize = 32;
const ROUNDS: usize = 5;
const KEY: &str = "bench-0123456789abcdef0123456789";

#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first provider");
    let config = kube::Config::infer()
        .await
        .expect("KUBECONFIG: run with tests/env/with");
    let cluster = Cluster::new(cluster::client(config).expect("a client")).with(Budget::Launches);
    for definition in slipway::resource::definitions::ALL {
        let body = serde_saphyr::from_str::<Value>(definition.yaml).expect("YAML");
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        // Another bench may have made it.
        drop(cluster.send(Call::post(path, body)).await);
    }
    let namespace = format!("events-{}", std::process::id());
    let mut bench = Bench {
        cluster,
        job: Value::Null,
        path: format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
        door: format!("127.0.0.1:{}", free_port()),
        namespace,
    };
    bench.prepare().await;
    let mut slipway = bench.start();
    bench.warm().await;
    bench.job = bench.job_of_an_event().await;
    let own = [
        ("slipway", Usage(slipway.id())),
        ("bench", Usage(std::process::id())),
    ];
    let costs = Costs::of(
        bench.cluster.clone(),
        &setting("SLIPWAY_TEST_ENV_DIR"),
        &own,
    );
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let bare = bench.bare_singly(round).await;
        let events = bench.events_singly(round).await;
        println!(
            "one at a time: create p50 {:>5.2} p99 {:>6.2} ms   event p50 {:>5.2} p99 {:>6.2} ms   {:+.2} and {:+.2} ms",
            bare.0,
            bare.1,
            events.0,
            events.1,
            events.0 - bare.0,
            events.1 - bare.1,
        );
        let before = costs.now().await;
        let bare = bench.bare_together(round).await;
        let of_bare = costs.since(&before, TOGETHER).await;
        let before = costs.now().await;
        let events = bench.events_together(round).await;
        let of_events = costs.since(&before, TOGETHER).await;
        let ratio = events / bare;
        println!(
            "{IN_FLIGHT} in flight: creates {bare:>5.0}/s   events {events:>5.0}/s   ratio {ratio:.2}"
        );
        println!("  a create:\n{of_bare}\n  an event:\n{of_events}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    slipway.kill().expect("a process of ours");
    slipway.wait().expect("its end");
    let path = format!("/api/v1/namespaces/{}", bench.namespace);
    bench
        .cluster
        .send(Call::delete(path, json!({})))
        .await
        .expect("an answer");
}

struct Bench {
    cluster: Cluster,
    namespace: String,
    /// Where Jobs are posted.
    path: String,
    /// Where events are posted.
    door: String,
    /// What an event became.
    job: Value,
}

impl Bench {
    async fn prepare(&self) {
        let namespace = &self.namespace;
        self.create(
            "/api/v1/namespaces",
            json!({"metadata": {"name": namespace}}),
        )
        .await;
        let secret = json!({"metadata": {"name": "hook"}, "stringData": {"key": KEY}});
        self.create(&format!("/api/v1/namespaces/{namespace}/secrets"), secret)
            .await;
        let event_job = json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "EventJob",
            "metadata": {"name": "invoice"},
            "spec": {
                "source": {"webhook": {"auth": [{"apiKey": {"secretKeyRefs": [{"name": "hook", "key": "key"}]}}]}},
                "pattern": {"source": ["billing"]},
                "bind": {"env": [{"name": "SUBSCRIPTION_ID", "path": "$.detail.subscriptionId"}]},
                "jobTemplate": {"spec": spec()},
            },
        });
        let path = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}/eventjobs");
        // Its definition was made a moment ago.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let call = Call::post(path.clone(), event_job.clone());
            let answer = self.cluster.send(call).await.expect("an answer");
            if answer.is_success() {
                return;
            }
            assert!(Instant::now() < deadline, "{}", answer.words());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn start(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args(["run", "--namespaces", &self.namespace, "--http", &self.door])
            .args([
                "--health",
                &format!("127.0.0.1:{}", free_port()),
                "--grpc",
                "127.0.0.1:0",
                "--log",
                "warn",
            ])
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary")
    }

    /// Until the first event is taken.
    async fn warm(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(mut sender) = Sender::connect(self).await
                && sender.send("warm").await == 200
            {
                return;
            }
            assert!(Instant::now() < deadline, "no event is taken");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn bare_singly(&self, round: usize) -> (f64, f64) {
        let mut took = Vec::with_capacity(SINGLY);
        for number in 0..SINGLY {
            let started = Instant::now();
            self.bare(&format!("singly-{round}-{number}")).await;
            took.push(started.elapsed());
        }
        percentiles(took)
    }

    async fn events_singly(&self, round: usize) -> (f64, f64) {
        let mut sender = Sender::connect(self).await.expect("a connection");
        let mut took = Vec::with_capacity(SINGLY);
        for number in 0..SINGLY {
            let started = Instant::now();
            assert_eq!(sender.send(&format!("singly-{round}-{number}")).await, 200);
            took.push(started.elapsed());
        }
        percentiles(took)
    }

    async fn bare_together(&self, round: usize) -> f64 {
        let started = Instant::now();
        futures::stream::iter(0..TOGETHER)
            .map(|number| async move { self.bare(&format!("together-{round}-{number}")).await })
            .buffer_unordered(IN_FLIGHT)
            .collect::<Vec<()>>()
            .await;
        rate(TOGETHER, started)
    }

    async fn events_together(&self, round: usize) -> f64 {
        let started = Instant::now();
        let each = TOGETHER / IN_FLIGHT;
        let senders = (0..IN_FLIGHT).map(|sender| async move {
            let mut connection = Sender::connect(self).await.expect("a connection");
            for number in 0..each {
                let id = format!("together-{round}-{sender}-{number}");
                assert_eq!(connection.send(&id).await, 200);
            }
        });
        futures::future::join_all(senders).await;
        rate(each * IN_FLIGHT, started)
    }

    /// The Job that an event became, as it was sent; with another label, so that Slipway has nothing to do with its copies.
    async fn job_of_an_event(&self) -> Value {
        let listed = self.cluster.send(Call::get(&self.path)).await;
        let listed: Value = listed.expect("an answer").json().expect("a list");
        let metadata = &listed["items"][0]["metadata"];
        let mut labels = metadata["labels"].clone();
        let labelled = labels.as_object_mut().expect("labels");
        let event_job = labelled.shift_remove("slipway.dev/eventjob");
        labelled.insert("slipway.dev/barecopy".to_owned(), event_job.expect("ours"));
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "labels": labels,
                "annotations": metadata["annotations"],
                "ownerReferences": metadata["ownerReferences"],
            },
            "spec": spec(),
        })
    }

    /// The Job of an event, without an event.
    async fn bare(&self, id: &str) {
        let mut manifest = self.job.clone();
        manifest["metadata"]["name"] = format!("bare-{id}").into();
        let answer = self
            .cluster
            .send(Call::post(self.path.clone(), manifest))
            .await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.words());
    }

    async fn create(&self, path: &str, body: Value) {
        let answer = self
            .cluster
            .send(Call::post(path, body))
            .await
            .expect("an answer");
        assert!(answer.is_success(), "{}", answer.words());
    }
}

/// Suspended: without Pods, whose making would keep the Job controller busy.
fn spec() -> Value {
    json!({
        "suspend": true,
        "backoffLimit": 3,
        "ttlSecondsAfterFinished": 86_400,
        "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "generator", "image": "example.com/invoice:1",
                "env": [{"name": "SUBSCRIPTION_ID", "value": "sub-1"}]}],
        }},
    })
}

/// One connection of a sender.
struct Sender {
    stream: TcpStream,
    path: String,
    buffer: Vec<u8>,
}

impl Sender {
    async fn connect(bench: &Bench) -> std::io::Result<Self> {
        let stream = TcpStream::connect(&bench.door).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            path: format!("/events/{}/invoice", bench.namespace),
            buffer: vec![0; 4096],
        })
    }

    /// The status that an event is answered with.
    async fn send(&mut self, id: &str) -> u16 {
        let event = json!({
            "version": "0", "id": id, "detail-type": "subscription.renewed", "source": "billing",
            "account": "012345678901", "time": "2026-11-28T10:00:00Z", "region": "eu-west-1", "resources": [],
            "detail": {"subscriptionId": "sub-1", "billingPeriod": "2026-11", "note": "x".repeat(400)},
        })
        .to_string();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: bench\r\nx-api-key: {KEY}\r\nContent-Length: {}\r\n\r\n",
            self.path,
            event.len()
        );
        self.stream
            .write_all((head + &event).as_bytes())
            .await
            .expect("a door");
        let mut length = 0;
        loop {
            let read = self
                .stream
                .read(&mut self.buffer[length..])
                .await
                .expect("an answer");
            assert_ne!(read, 0, "the door closed");
            length += read;
            let text = std::str::from_utf8(&self.buffer[..length]).expect("text");
            // The body is one JSON object and the last there is.
            if text.contains("\r\n\r\n") && text.ends_with('}') {
                let status = text.split(' ').nth(1).expect("a status");
                return status.parse().expect("a number");
            }
        }
    }
}

/// The middle and the 99th of a hundred, in milliseconds.
fn percentiles(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    (at(50), at(99))
}

fn rate(count: usize, started: Instant) -> f64 {
    let count = u32::try_from(count).expect("a few thousand");
    f64::from(count) / started.elapsed().as_secs_f64()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

#[expect(clippy::disallowed_methods, reason = "the bench's own setting")]
fn setting(name: &str) -> String {
    std::env::var(name).expect("run with tests/env/with")
}
