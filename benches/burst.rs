//! A thousand Jobs from one backlog into the real API server: `tests/env/with cargo bench --bench burst`.
//!
//! One turn, measured whole: reading, counting, deciding, writing the round down, a thousand creates. Beside it a bare
//! create loop of the same client at the same concurrency; both take turns, so that noise strikes both.
//!
//! Then the built binary and KEDA's operator, each with a ScaledJob on a queue with a thousand messages: from the
//! making of the object to its thousandth Job.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use process::Slipway;
use serde_json::{Value, json};
use slipway::cluster::{Budget, Call, Cluster, Scope};
use slipway::cycle::{self, Carried, Connected};
use slipway::launch::kubernetes::Kubernetes;
use slipway::launch::{Launch, Launcher as _};
use slipway::resource::{Round, ScaledJob, scaled_job};
use slipway::scaling::Reading;
use slipway::source::{Error, Source, Taken};

#[path = "support/beside.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod beside;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod process;

const JOBS: u32 = 1000;
const ROUNDS: usize = 5;
/// As many as `cycle` has in flight.
const IN_FLIGHT: usize = 32;

/// After this what is there is divided by the time.
const LONGEST: Duration = Duration::from_mins(2);

#[tokio::main]
async fn main() {
    let cluster = process::cluster().await.with(Budget::Launches);
    one_turn(&cluster).await;
    let endpoint = process::setting("TEST_SQS_ENDPOINT");
    let queue_url = process::queue(&endpoint, "burst").await;
    process::fill(&endpoint, &queue_url, JOBS).await;
    let mut object = process::scaled_job("burst", &queue_url, &endpoint, 5);
    object["spec"]["maxReplicaCount"] = json!(JOBS);
    object["spec"]["jobTargetRef"]["suspend"] = json!(true);
    object["spec"]["triggers"][0]["metadata"]["queueLength"] = json!("1");

    let namespace = process::namespace(&cluster, "burst-slipway").await;
    let slipway = Slipway::start(&namespace);
    slipway.await_ready(Duration::from_mins(1));
    let path = beside::scaled_jobs("slipway.dev", &namespace);
    let ours = backlog(&cluster, &namespace, &path, object.clone()).await;
    drop(slipway);
    process::remove(&cluster, &namespace).await;

    let namespace = process::namespace(&cluster, "burst-keda").await;
    let keda = beside::Keda::start(&[&namespace]).await;
    let path = beside::scaled_jobs("keda.sh", &namespace);
    let theirs = backlog(&cluster, &namespace, &path, beside::of_keda(object)).await;
    keda.remove(&namespace).await;
    println!("{:<28}{:>10}{:>10}{:>9}", "", "slipway", "KEDA", "ratio");
    println!("{}", beside::line("Jobs/s of a backlog", ours, theirs));
}

/// Jobs a second, from the making of the object to its last Job.
async fn backlog(cluster: &Cluster, namespace: &str, path: &str, object: Value) -> f64 {
    let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let start = Instant::now();
    create(cluster, path, object).await;
    loop {
        let made = beside::count(cluster, &jobs).await;
        let seconds = start.elapsed();
        if made >= u64::from(JOBS) || seconds > LONGEST {
            let made = u32::try_from(made).expect("a thousand");
            return f64::from(made) / seconds.as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What one turn needs beside a bare loop.
async fn one_turn(cluster: &Cluster) {
    let namespace = process::namespace(cluster, "burst").await;
    let launcher = Arc::new(Kubernetes::new(
        cluster.clone(),
        Scope::Namespaces(vec![namespace.clone()]),
        Duration::from_mins(1),
    ));
    let watching = launcher.clone();
    let measured = async {
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let bare = bare(cluster, &namespace, round).await;
            let turn = turn(cluster, &launcher, &namespace, round).await;
            println!(
                "bare loop {bare:>6.0} Jobs/s   one turn {turn:>6.0} Jobs/s   ratio {:.2}",
                turn / bare
            );
            ratios.push(turn / bare);
        }
        ratios.sort_by(f64::total_cmp);
        println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    };
    tokio::select! {
        () = watching.run(std::future::pending::<()>()) => {}
        () = measured => {}
    }
    process::remove(cluster, &namespace).await;
}

/// Posts a thousand Jobs and nothing else.
async fn bare(cluster: &Cluster, namespace: &str, round: usize) -> f64 {
    let template = parsed(
        namespace,
        &format!("bare-{round}"),
        "00000000-0000-0000-0000-000000000000",
    );
    let launches = Launch::counted(
        &template,
        Round {
            number: 1,
            jobs: JOBS,
        },
    );
    // An owner that does not exist would have them collected.
    let manifests = launches.map(|launch| {
        let mut manifest = launch.manifest;
        manifest["metadata"]["ownerReferences"] = json!([]);
        manifest
    });
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let start = Instant::now();
    let answers: Vec<u16> = futures::stream::iter(manifests)
        .map(|manifest| {
            let call = Call::post(path.clone(), manifest);
            async move { cluster.send(call).await.expect("an answer").status }
        })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    assert!(answers.iter().all(|status| *status == 201));
    f64::from(JOBS) / start.elapsed().as_secs_f64()
}

/// One whole turn on a backlog of a thousand.
async fn turn(cluster: &Cluster, launcher: &Arc<Kubernetes>, namespace: &str, round: usize) -> f64 {
    let name = format!("turn-{round}");
    let path = format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}/scaledjobs");
    let made = create(cluster, &path, manifest(namespace, &name, "")).await;
    let object = parsed(
        namespace,
        &name,
        made["metadata"]["uid"].as_str().expect("a UID"),
    );
    // Until the first list is there nothing can be counted.
    while launcher.jobs(&object).await.is_err() {
        tokio::task::yield_now().await;
    }
    let triggers = [Ok(Connected {
        metric_name: "s0-thousand".to_owned(),
        target: 1.0,
        activation: 0.0,
        source: Arc::new(Thousand),
    })];
    let mut memory = Carried::default();
    let start = Instant::now();
    let outcome = cycle::turn(
        &object,
        &triggers,
        Duration::ZERO,
        &mut memory,
        launcher.as_ref(),
    )
    .await;
    assert_eq!(outcome.launched, JOBS, "{:?}", outcome.errors.first());
    f64::from(JOBS) / start.elapsed().as_secs_f64()
}

struct Thousand;

impl Source for Thousand {
    fn read(&self, _freshness: Duration) -> BoxFuture<'_, Result<Taken, Error>> {
        let taken = Taken {
            terms: None,
            warning: None,
            reading: Reading::new(f64::from(JOBS)),
            at: Instant::now(),
        };
        Box::pin(std::future::ready(Ok(taken)))
    }
}

fn manifest(namespace: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {
            "maxReplicaCount": JOBS,
            "jobTargetRef": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "worker", "image": "example.com/worker:1"}]
            }}},
            "triggers": [{"type": "kafka", "metadata": {
                "bootstrapServers": "kafka:9092", "consumerGroup": "bench", "topic": "bench"
            }}]
        }
    })
}

fn parsed(namespace: &str, name: &str, uid: &str) -> ScaledJob {
    scaled_job::parse(&manifest(namespace, name, uid)).expect("a valid object")
}

async fn create(cluster: &Cluster, path: &str, body: Value) -> Value {
    let answer = cluster
        .send(Call::post(path, body))
        .await
        .expect("an answer");
    assert!(answer.is_success(), "{}", answer.words());
    answer.json().expect("JSON")
}
