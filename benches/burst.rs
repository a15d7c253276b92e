//! A thousand Jobs from one backlog into the real API server, beside a bare
//! create loop of the same client at the same concurrency:
//! `tests/env/with cargo bench --profile bench-fast --bench burst`.
//!
//! One turn is measured whole: reading, counting, deciding, writing the round
//! down, a thousand creates. Both take turns, so that noise strikes both.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use slipway::cluster::{self, Budget, Call, Cluster, Scope};
use slipway::cycle::{self, Carried, Connected};
use slipway::launch::kubernetes::Kubernetes;
use slipway::launch::{Launch, Launcher as _};
use slipway::resource::{Round, ScaledJob, scaled_job};
use slipway::scaling::Reading;
use slipway::source::{Error, Source, Taken};

const JOBS: u32 = 1000;
const ROUNDS: usize = 5;
/// As many as `cycle` has in flight.
const IN_FLIGHT: usize = 32;

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
        cluster
            .send(Call::post(
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                body,
            ))
            .await
            .expect("an answer");
    }
    let namespace = format!("burst-{}", std::process::id());
    create(
        &cluster,
        "/api/v1/namespaces",
        json!({"metadata": {"name": namespace}}),
    )
    .await;
    let launcher = Arc::new(Kubernetes::new(
        cluster.clone(),
        Scope::Namespaces(vec![namespace.clone()]),
        Duration::from_mins(1),
    ));
    let watching = launcher.clone();
    let measured = async {
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let bare = bare(&cluster, &namespace, round).await;
            let turn = turn(&cluster, &launcher, &namespace, round).await;
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
    cluster
        .send(Call::delete(
            format!("/api/v1/namespaces/{namespace}"),
            json!({}),
        ))
        .await
        .expect("an answer");
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
