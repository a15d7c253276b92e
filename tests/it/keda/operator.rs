//! KEDA's own operator against the real API server, with Slipway as its external scaler.

use serde_json::{Value, json};

use super::secured::{Authority, Folder};
use super::*;
use crate::controller::with_keys;
use crate::events::{KEY, deliver, event_job, renewed};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::keda::Keda as Operator;
use crate::support::process::free_port;
use crate::support::topic::Topic;

const SOON: Duration = Duration::from_mins(1);
/// KEDA's own poll is too long to have been it.
const NOT_BY_A_POLL: u32 = 600;

/// Slipway at a port for KEDA that stays the same when it is started anew.
pub(super) struct Scaler {
    grpc: String,
    namespace: String,
    connections: File,
    more: Vec<String>,
}

impl Scaler {
    pub(super) fn new(cluster: &Cluster, more: &[&str]) -> Self {
        let namespace = cluster.namespace.clone();
        Self {
            grpc: format!("127.0.0.1:{}", free_port()),
            connections: real::stage(&namespace),
            namespace,
            more: more.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) async fn start(&self) -> Slipway {
        let health = format!("127.0.0.1:{}", free_port());
        let http = format!("127.0.0.1:{}", free_port());
        let kubeconfig = servers::kubeconfig();
        let mut arguments = vec!["run", "--kubeconfig", &kubeconfig];
        arguments.extend(["--namespaces", &self.namespace]);
        arguments.extend(["--health", &health, "--http", &http, "--grpc", &self.grpc]);
        arguments.extend(["--connections", self.connections.path()]);
        arguments.extend(["--allow-address", "127.0.0.1,localhost"]);
        arguments.extend(["--allow-identity", "127.0.0.1,localhost"]);
        arguments.extend(["--reading-freshness", "300ms", "--log-format", "text"]);
        arguments.extend(self.more.iter().map(String::as_str));
        let slipway = Slipway::exactly(&arguments, health.clone(), http.clone(), &real::KEYS);
        await_until("slipway is ready", SOON, async || {
            (slipway.get("/readyz").await?.starts_with("ok")).then_some(())
        })
        .await;
        slipway
    }

    /// By the name that its certificate has.
    fn address(&self) -> String {
        self.grpc.replace("127.0.0.1", "localhost")
    }

    /// A trigger of KEDA's that asks us, with these keys.
    pub(super) fn trigger(&self, kind: &str, metadata: &Value) -> Value {
        let mut trigger = json!({"type": kind, "metadata": {"scalerAddress": self.address()}});
        for (key, value) in metadata.as_object().unwrap() {
            trigger["metadata"][key] = value.clone();
        }
        trigger
    }

    /// Ten messages a Job, through the connection to ElasticMQ.
    fn queue(&self, queue: &Queue) -> Value {
        self.trigger(
            "external",
            &json!({
                "source": "aws-sqs-queue",
                "connection": "stage",
                "queueURL": queue.url,
                "queueLength": "10",
            }),
        )
    }
}

/// Names of the Jobs that KEDA says belong to a ScaledJob.
async fn jobs_of(cluster: &Cluster, name: &str) -> Vec<String> {
    let jobs = cluster.jobs().await.into_iter();
    let mine = jobs.filter(|job| {
        let labels = job.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get("scaledjob.keda.sh/name"))
            .is_some_and(|of| of == name)
    });
    mine.filter_map(|job| job.metadata.name).collect()
}

async fn await_jobs(cluster: &Cluster, name: &str, count: usize) {
    await_until(&format!("{count} Jobs of {name}"), SOON, async || {
        (jobs_of(cluster, name).await.len() == count).then_some(())
    })
    .await;
}

/// A ScaledJob of KEDA's with one trigger; its Jobs make no Pods.
pub(super) fn scaled_job(name: &str, trigger: &Value) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": {
            "pollingInterval": 1,
            "maxReplicaCount": 50,
            "rollout": {"strategy": "gradual"},
            "jobTargetRef": {
                "suspend": true,
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "worker", "image": "example.com/worker:1"}],
                }},
            },
            "triggers": [trigger],
        },
    })
}

/// KEDA's own trigger on a queue: ten messages a Job.
fn sqs_trigger(queue: &Queue) -> Value {
    json!({
        "type": "aws-sqs-queue",
        "authenticationRef": {"name": "aws"},
        "metadata": {
            "queueURL": queue.url,
            "queueLength": "10",
            "awsRegion": "eu-west-1",
            "awsEndpoint": servers::sqs_endpoint(),
        },
    })
}

/// Status and reason of a condition of one of KEDA's objects.
async fn condition(cluster: &Cluster, plural: &str, name: &str, kind: &str) -> (String, String) {
    let object = object(cluster, "keda.sh/v1alpha1", plural, name).await;
    let conditions = object["status"]["conditions"].as_array().cloned();
    let found = conditions
        .unwrap_or_default()
        .into_iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or_default();
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

async fn object(cluster: &Cluster, api: &str, plural: &str, name: &str) -> Value {
    let namespace = &cluster.namespace;
    let path = format!("/apis/{api}/namespaces/{namespace}/{plural}/{name}");
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    cluster.client.request(request).await.unwrap()
}

#[tokio::test]
async fn kedas_own_trigger_and_ours_launch_the_same_jobs() {
    let cluster = Cluster::new("keda-pair").await;
    let operator = Operator::start(&[&cluster.namespace]).await;
    let scaler = Scaler::new(&cluster, &[]);
    let _slipway = scaler.start().await;
    with_keys(&cluster, "keda.sh").await;
    let queue = Queue::new("keda-pair").await;
    queue.send(25).await;
    for (name, trigger) in [
        ("theirs", sqs_trigger(&queue)),
        ("ours", scaler.queue(&queue)),
    ] {
        cluster.create(scaled_job(name, &trigger)).await;
        await_jobs(&cluster, name, 3).await;
    }
    // 35 wait and three Jobs are unfinished: one more.
    queue.send(10).await;
    for name in ["theirs", "ours"] {
        await_jobs(&cluster, name, 4).await;
    }
    operator.remove(&cluster.namespace).await;
}

#[tokio::test]
async fn a_topics_lag_becomes_kedas_jobs() {
    let cluster = Cluster::new("keda-topic").await;
    let operator = Operator::start(&[&cluster.namespace]).await;
    let scaler = Scaler::new(&cluster, &[]);
    let _slipway = scaler.start().await;
    let topic = Topic::new("keda-topic", 4).await;
    topic.commit(&topic.name, 0);
    topic.send(21);
    let trigger = scaler.trigger(
        "external",
        &json!({
            "source": "kafka",
            "bootstrapServers": servers::kafka_brokers(),
            "consumerGroup": topic.name,
            "topic": topic.name,
            "lagThreshold": "5",
            "allowIdleConsumers": "true",
        }),
    );
    cluster.create(scaled_job("lag", &trigger)).await;
    await_jobs(&cluster, "lag", 5).await;
    operator.remove(&cluster.namespace).await;
}

#[tokio::test]
async fn with_client_certificates_and_through_a_restart_of_either_side() {
    let cluster = Cluster::new("keda-restart").await;
    let mut operator = Operator::start(&[&cluster.namespace]).await;
    let authority = Authority::new("slipway");
    let folder = Folder::new(&authority.server(), &authority);
    let files = folder.files();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (certificate, key) = (text(&files.certificate), text(&files.key));
    let client_ca = text(&files.client_ca.unwrap());
    let scaler = Scaler::new(
        &cluster,
        &[
            "--grpc-tls-cert",
            &certificate,
            "--grpc-tls-key",
            &key,
            "--grpc-client-ca",
            &client_ca,
        ],
    );
    let mut slipway = scaler.start().await;
    let uri = format!("spiffe://cluster.local/ns/{}", cluster.namespace);
    let (client, client_key) = authority.client(&[&uri]);
    let secret = [
        ("ca", authority.pem()),
        ("cert", client),
        ("key", client_key),
    ];
    let secret = secret.each_ref().map(|(name, pem)| (*name, pem.as_str()));
    cluster.secret("scaler", &secret).await;
    cluster
        .create(json!({
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": "scaler"},
            "spec": {"secretTargetRef": [
                {"parameter": "caCert", "name": "scaler", "key": "ca"},
                {"parameter": "tlsClientCert", "name": "scaler", "key": "cert"},
                {"parameter": "tlsClientKey", "name": "scaler", "key": "key"},
            ]},
        }))
        .await;
    let queue = Queue::new("keda-restart").await;
    queue.send(15).await;
    let mut trigger = scaler.queue(&queue);
    trigger["authenticationRef"] = json!({"name": "scaler"});
    cluster.create(scaled_job("orders", &trigger)).await;
    await_jobs(&cluster, "orders", 2).await;

    slipway.kill();
    queue.send(20).await;
    let slipway = scaler.start().await;
    await_jobs(&cluster, "orders", 4).await;

    drop(operator);
    queue.send(20).await;
    operator = Operator::start(&[&cluster.namespace]).await;
    await_jobs(&cluster, "orders", 6).await;
    drop(slipway);
    operator.remove(&cluster.namespace).await;
}

#[tokio::test]
async fn a_source_that_fails_makes_no_jobs_and_kedas_condition_says_so() {
    let cluster = Cluster::new("keda-fails").await;
    let operator = Operator::start(&[&cluster.namespace]).await;
    let scaler = Scaler::new(&cluster, &["--reading-max-age", "1s"]);
    let _slipway = scaler.start().await;
    let queue = Queue::new("keda-fails").await;
    queue.send(15).await;
    cluster
        .create(scaled_job("orders", &scaler.queue(&queue)))
        .await;
    await_jobs(&cluster, "orders", 2).await;
    queue.delete().await;
    await_until("the condition says so", SOON, async || {
        let ready = condition(&cluster, "scaledjobs", "orders", "Ready").await;
        (ready == ("False".to_owned(), "TriggerError".to_owned())).then_some(())
    })
    .await;
    assert_eq!(jobs_of(&cluster, "orders").await.len(), 2);
    operator.remove(&cluster.namespace).await;
}

#[tokio::test]
async fn an_event_activates_a_scaled_object_by_a_push() {
    let cluster = Cluster::new("keda-push").await;
    let operator = Operator::start(&[&cluster.namespace]).await;
    let scaler = Scaler::new(&cluster, &[]);
    let slipway = scaler.start().await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster.create(event_job("invoice", &json!({}))).await;
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "renderer", "namespace": cluster.namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "renderer"}},
            "template": {
                "metadata": {"labels": {"app": "renderer"}},
                "spec": {"containers": [{"name": "renderer", "image": "example.com/renderer:1"}]},
            },
        },
    });
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", cluster.namespace);
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(deployment.to_string().into_bytes())
        .unwrap();
    let _: Value = cluster.client.request(request).await.unwrap();
    let trigger = scaler.trigger(
        "external-push",
        &json!({"source": "eventbridge", "eventJob": "invoice", "targetValue": "5"}),
    );
    cluster
        .create(json!({
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "renderer"},
            "spec": {
                "scaleTargetRef": {"name": "renderer"},
                "pollingInterval": NOT_BY_A_POLL,
                "minReplicaCount": 0,
                "triggers": [trigger],
            },
        }))
        .await;
    await_until("it listens", SOON, async || {
        let ready = condition(&cluster, "scaledobjects", "renderer", "Ready").await;
        let metrics = slipway.get("/metrics").await?;
        let listens = metrics
            .lines()
            .any(|line| line.starts_with("slipway_keda_open_streams") && !line.ends_with(" 0"));
        (ready.0 == "True" && listens).then_some(())
    })
    .await;
    let replicas = async || {
        let deployment = object(&cluster, "apps/v1", "deployments", "renderer").await;
        deployment["spec"]["replicas"].as_u64()
    };
    assert_eq!(replicas().await, Some(0));
    deliver(&slipway, &cluster, "invoice", &renewed("e-1", "sub-1")).await;
    await_until("a replica", SOON, async || {
        (replicas().await? > 0).then_some(())
    })
    .await;
    operator.remove(&cluster.namespace).await;
}
