//! The chart on a real node, as operators have it: kubelet, containerd, scheduler and kube-proxy; the chart's own Pods; events
//! through its Service; Pods that do the work. `tests/env/node/with` starts the node, `make node` runs these there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::events::{KEY, event_job};
use crate::support::await_until;
use crate::support::cluster::{self, Cluster};
use crate::support::servers;

mod backlog;
mod events;
mod keda;
mod monitored;
mod rollouts;
mod upgrades;

/// Where the release is. Only restricted Pods may run there: docs/operating.md says how.
const HOME: &str = "slipway";
/// Where its work is: a namespace for each test, because the release has rights in those that it is told.
const NAMESPACES: [&str; 8] = [
    "orders",
    "queues",
    "figures",
    "rollouts",
    "running",
    "upgrades",
    "living",
    "monitored",
];
/// Of `tests/env/install`: a shell with the usual commands, which is on the node already.
const IMAGE: &str = "busybox:node";
/// For what takes kubelet a few looks, on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// The chart, installed.
struct Release {
    client: Client,
    /// `host:port` of the Service for events.
    events: String,
}

impl Release {
    /// The one release of all tests, installed as `docs/operating.md` says, with the chart's own values as far as a node
    /// without a registry allows.
    async fn installed() -> Self {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        let client = cluster::client().await;
        if INSTALLED.get().is_none() {
            for name in NAMESPACES {
                namespace(&client, name).await;
            }
            let blocks = documented("## Install");
            shell(&blocks[0]);
            keda::connections(&client).await;
            for block in &blocks[1..] {
                shell(block);
            }
            INSTALLED.set(()).unwrap();
        }
        Self::found(client).await
    }

    async fn found(client: Client) -> Self {
        let services: Api<Service> = Api::namespaced(client.clone(), HOME);
        let service = services.get("slipway").await.unwrap().spec.unwrap();
        let port = service.ports.unwrap()[0].port;
        let events = format!("{}:{port}", service.cluster_ip.unwrap());
        Self { client, events }
    }

    /// One of its namespaces.
    fn namespace(&self, name: &str) -> Cluster {
        assert!(NAMESPACES.contains(&name), "{name}");
        Cluster {
            client: self.client.clone(),
            namespace: name.to_owned(),
        }
    }

    /// The same with the Secret that lets senders in.
    async fn with_key(&self, name: &str) -> Cluster {
        let cluster = self.namespace(name);
        cluster.secret("hook", &[("current", KEY)]).await;
        cluster
    }

    /// The Pods of the release, also those that are about to end.
    async fn pods(&self) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), HOME);
        let labels = ListParams::default().labels("app.kubernetes.io/name=slipway");
        pods.list(&labels).await.unwrap().items
    }
}

async fn namespace(client: &Client, name: &str) {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let api: Api<Namespace> = Api::all(client.clone());
    let params = PatchParams::apply("slipway-tests");
    api.patch(name, &params, &Patch::Apply(object))
        .await
        .unwrap();
}

/// The `values.yaml` of the commands.
fn values() -> Value {
    json!({
        "image": {"tag": "node"},
        "namespaces": NAMESPACES,
        // ElasticMQ is at the node's own address.
        "allowAddress": ["10.77.0.1"],
        "connections": {"secretName": "connections"},
        "extraEnv": [{"name": "STAGE_ID", "value": "test"}, {"name": "STAGE_SECRET", "value": "test"}],
    })
}

/// The blocks of commands of a section of `docs/operating.md`.
#[track_caller]
fn documented(section: &str) -> Vec<String> {
    let page = include_str!("../../docs/operating.md");
    let (_, text) = page.split_once(&format!("\n{section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let blocks = text.split("```sh\n").skip(1);
    let blocks: Vec<String> = blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "{section}");
    blocks
}

/// Runs all commands of a section of `docs/operating.md`.
fn follow(section: &str) {
    for block in documented(section) {
        shell(&block);
    }
}

/// Runs commands as a person would: beside `charts` and a `values.yaml`, with helm and kubectl on the path.
fn shell(commands: &str) {
    let folder = PathBuf::from(servers::named("SLIPWAY_NODE_DIR")).join("shell");
    if !folder.exists() {
        let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(charts, folder.join("charts")).unwrap();
        std::fs::write(folder.join("values.yaml"), values().to_string()).unwrap();
    }
    let programs = ["TEST_HELM", "TEST_KUBECTL"].map(servers::named);
    let mut path: Vec<PathBuf> = programs
        .iter()
        .map(|program| Path::new(program).parent().unwrap().to_owned())
        .collect();
    path.extend(std::env::split_paths(&servers::named("PATH")));
    let output = Command::new("bash")
        .args(["-euc", commands])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{commands}: {output:?}");
}

/// Holds Pods until it is opened: they wait for a file on the node.
struct Gate {
    folder: PathBuf,
}

impl Gate {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(servers::named("SLIPWAY_NODE_DIR")).join(name);
        std::fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    fn open(&self) {
        std::fs::write(self.folder.join("open"), "").unwrap();
    }

    fn command() -> &'static str {
        "until [ -e /gate/open ]; do sleep 1; done"
    }

    fn mounts() -> Value {
        json!([{"name": "gate", "mountPath": "/gate"}])
    }

    fn volumes(&self) -> Value {
        json!([{"name": "gate", "hostPath": {"path": self.folder}}])
    }

    /// An EventJob whose Pods wait for it.
    fn waits(&self, name: &str) -> Value {
        let mut job = runs(name, Self::command());
        let pod = &mut job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        pod["volumes"] = self.volumes();
        pod["containers"][0]["volumeMounts"] = Self::mounts();
        job
    }

    /// Waits until so many Pods of a namespace are running.
    async fn await_running(&self, cluster: &Cluster, count: usize) {
        await_until("the Pods are running", 2 * SOON, async || {
            let pods = pods(cluster).await;
            let running = pods.iter().filter(|pod| phase(pod) == "Running");
            (running.count() == count).then_some(())
        })
        .await;
    }
}

fn kubectl(arguments: &[&str]) -> String {
    run("TEST_KUBECTL", arguments)
}

/// What a program of the node's environment prints; panics when it fails.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(servers::named(program))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until the Service answers: what an object's admission takes differs between replicas.
async fn await_taken(release: &Release, cluster: &Cluster, name: &str) {
    let path = format!("/events/{}/{name}", cluster.namespace);
    let probe = json!({"source": "nobody", "detail-type": "nothing", "id": "probe"}).to_string();
    // Several in a row, so that each replica is asked.
    let mut in_a_row = 0;
    await_until("events are taken by every replica", SOON, async || {
        let headers = [("x-api-key", KEY)];
        let heard = crate::support::http::post(&release.events, &path, &headers, &probe).await;
        in_a_row = if heard?.status == 200 {
            in_a_row + 1
        } else {
            0
        };
        (in_a_row == 20).then_some(())
    })
    .await;
}

/// An EventJob of [`event_job`]'s kind whose Pods run a command of the shell.
fn runs(name: &str, command: &str) -> Value {
    let container =
        json!({"name": "generator", "image": IMAGE, "command": ["sh", "-euc", command]});
    event_job(
        name,
        &json!({"jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": {
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        }}}}}),
    )
}

/// What the one container of a Pod has written.
async fn written(cluster: &Cluster, pod: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    pods.logs(pod, &kube::api::LogParams::default())
        .await
        .unwrap()
}

/// The Pods of a namespace.
async fn pods(cluster: &Cluster) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    pods.list(&ListParams::default()).await.unwrap().items
}

fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    phase.unwrap_or_default()
}
