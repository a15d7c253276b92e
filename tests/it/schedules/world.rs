//! The namespace of a schedule, its two replicas, and the steps that happen to them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::outside::Outside;
use super::plan::{Schedule, Step, Trouble};
use super::promises::Promises;
use super::senders::{Answers, send};
use super::{CAP, COUNTED, DELETED, EVENTS, QUEUED, hands};
use crate::events::{self, event_job, event_jobs};
use crate::support::api_proxy::{ApiProxy, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::queue::Queue;

/// Both shorter than the program's own, and longer than any create of a schedule is under way: late by 3 s, in frost for
/// 4 s, and a busy machine. A Job stays until every copy of the ledger that lacks its key is too old to be believed
/// ([`FRESH_FOR`](slipway::launch::ledger::FRESH_FOR)): with less, seeds 4 and 7 made an event's Job twice.
const GRACES: [&str; 4] = ["--unseen-grace", "12s", "--ledger-grace", "75s"];

/// One replica, behind a proxy of its own.
pub(super) struct Replica {
    proxy: ApiProxy,
    kubeconfig: PathBuf,
    namespace: String,
    process: tokio::sync::Mutex<Slipway>,
    /// Those that were killed: a failing schedule shows what they said.
    killed: Mutex<Vec<Slipway>>,
    door: Mutex<String>,
}

impl Replica {
    async fn start(cluster: &Cluster, number: usize, seed: u64) -> Self {
        let proxy = ApiProxy::start().await;
        proxy.reseed(seed);
        let file = format!("{}-{number}.kubeconfig", cluster.namespace);
        let kubeconfig = std::env::temp_dir().join(file);
        std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
        let path = kubeconfig.to_str().unwrap();
        let slipway = Slipway::run(path, &cluster.namespace, &GRACES, &[]).await;
        Self {
            proxy,
            kubeconfig,
            namespace: cluster.namespace.clone(),
            door: Mutex::new(slipway.http().to_owned()),
            process: tokio::sync::Mutex::new(slipway),
            killed: Mutex::default(),
        }
    }

    /// Where it takes events.
    pub(super) fn door(&self) -> String {
        self.door.lock().unwrap().clone()
    }

    async fn kill(&self, down: Duration) {
        let mut process = self.process.lock().await;
        process.kill();
        tokio::time::sleep(down).await;
        let path = self.kubeconfig.to_str().unwrap();
        let next = Slipway::start(path, &self.namespace, &GRACES, &[]);
        next.http().clone_into(&mut self.door.lock().unwrap());
        let before = std::mem::replace(&mut *process, next);
        self.killed.lock().unwrap().push(before);
    }

    async fn stop(&self, lasting: Duration) {
        let process = self.process.lock().await;
        process.freeze(true);
        tokio::time::sleep(lasting).await;
        process.freeze(false);
    }

    /// Fails when it has ended and nobody killed it.
    async fn assert_alive(&self) {
        let mut process = self.process.lock().await;
        assert!(!process.has_ended(), "a replica ended by itself");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.kubeconfig));
    }
}

/// Everything that the steps of a schedule work on.
struct World {
    cluster: Arc<Cluster>,
    replicas: Vec<Replica>,
}

impl World {
    /// Waits for a step's time, and does it, to its end.
    async fn happen(&self, step: &Step, start: Instant) {
        tokio::time::sleep_until((start + step.at).into()).await;
        match step.trouble {
            Trouble::Kill { replica, down } => self.replicas[replica].kill(down).await,
            Trouble::Stop { replica, lasting } => self.replicas[replica].stop(lasting).await,
            Trouble::Calls {
                replica,
                method,
                path,
                percent,
                fault,
                lasting,
            } => {
                let proxy = &self.replicas[replica].proxy;
                let rule = proxy.fault(Rule::on(method, path, fault).percent(percent));
                tokio::time::sleep(lasting).await;
                proxy.lift(rule);
            }
            Trouble::Freeze { replica, lasting } => {
                let proxy = &self.replicas[replica].proxy;
                proxy.freeze();
                tokio::time::sleep(lasting).await;
                proxy.thaw();
            }
            Trouble::Silence { replica, lasting } => {
                let proxy = &self.replicas[replica].proxy;
                proxy.silence(true);
                tokio::time::sleep(lasting).await;
                proxy.silence(false);
            }
            Trouble::CutWatches { replica } => self.replicas[replica].proxy.cut_watches(),
            Trouble::EditEventJob { image } => {
                let containers =
                    json!([{"name": "generator", "image": format!("example.com/invoice:{image}")}]);
                let template = json!({"spec": {"template": {"spec": {"containers": containers}}}});
                let change = json!({"spec": {"jobTemplate": template}});
                events::patch(&self.cluster, COUNTED, change).await;
            }
            Trouble::EditScaledJob { cap } => {
                let change = json!({"spec": {"maxReplicaCount": cap}});
                self.cluster.patch_scaled_job(QUEUED, change).await;
            }
            Trouble::Delete { gone } => self.delete(gone).await,
        }
    }

    async fn delete(&self, gone: Duration) {
        let event_jobs = event_jobs(&self.cluster);
        let background = DeleteParams::background();
        event_jobs.delete(DELETED, &background).await.unwrap();
        tokio::time::sleep(gone).await;
        self.cluster.create(with_file(DELETED)).await;
    }
}

/// An EventJob whose Jobs get their event as a file, and go soon after they have ended. The test plays their controller.
fn with_file(name: &str) -> Value {
    let changes = json!({
        "bind": {"file": {"path": "/var/run/slipway/event.json"}},
        "successfulJobsHistoryLimit": 5,
        "jobTemplate": {"spec": {"managedBy": "example.com/test"}},
    });
    event_job(name, &changes)
}

/// One Job a message, at most [`CAP`].
fn queued(queue: &Queue) -> Value {
    let changes = json!({"spec": {
        "maxReplicaCount": CAP,
        "successfulJobsHistoryLimit": 5,
        "jobTargetRef": {"managedBy": "example.com/test"},
    }});
    let mut manifest = crate::controller::scaled_job(QUEUED, &queue.url, &changes);
    manifest["spec"]["triggers"][0]["metadata"]["queueLength"] = json!("1");
    manifest
}

/// Lets a schedule happen, and checks every promise.
pub(super) async fn run(schedule: Schedule) {
    let cluster = events::cluster(&format!("faults-{}", schedule.seed)).await;
    crate::controller::with_keys(&cluster, "slipway.dev").await;
    let queue = Arc::new(Queue::new("faults").await);
    queue.send(EVENTS).await;
    for name in [COUNTED, DELETED] {
        cluster.create(with_file(name)).await;
    }
    let cluster = Arc::new(cluster);
    let outside = Outside::default();
    let mut behind = JoinSet::new();
    behind.spawn(outside.clone().watch(cluster.job_api()));
    let hands = hands::work(Arc::clone(&cluster), Arc::clone(&queue), outside.clone());
    behind.spawn(hands);
    let replicas = vec![
        Replica::start(&cluster, 0, schedule.seed).await,
        Replica::start(&cluster, 1, schedule.seed.wrapping_add(1 << 32)).await,
    ];
    cluster.create(queued(&queue)).await;
    let world = World {
        cluster: Arc::clone(&cluster),
        replicas,
    };
    let answers = Answers::default();
    tokio::select! {
        ended = behind.join_next() => panic!("somebody who watches or works ended: {ended:?}"),
        () = happen(&schedule, &world, &answers) => {}
    }
    let promises = Promises {
        cluster: &cluster,
        queue: &queue,
        outside: &outside,
        answers: &answers,
    };
    tokio::select! {
        ended = behind.join_next() => panic!("somebody who watches or works ended: {ended:?}"),
        () = promises.check() => {}
    }
    drop(world);
    queue.delete().await;
    cluster.remove().await;
}

/// All steps and all deliveries; after it both replicas are up and nothing is broken any more.
async fn happen(schedule: &Schedule, world: &World, answers: &Answers) {
    let start = Instant::now();
    let steps = async {
        join_all(schedule.steps.iter().map(|step| world.happen(step, start))).await;
        for replica in &world.replicas {
            replica.proxy.heal();
        }
    };
    let namespace = &world.cluster.namespace;
    let deliveries = schedule.deliveries.iter();
    let sent = join_all(
        deliveries.map(|delivery| send(delivery, start, namespace, &world.replicas, answers)),
    );
    tokio::join!(steps, sent);
    for replica in &world.replicas {
        await_until("a replica is ready", Duration::from_mins(1), async || {
            replica.assert_alive().await;
            let process = replica.process.lock().await;
            process
                .get("/readyz")
                .await?
                .starts_with("ok")
                .then_some(())
        })
        .await;
    }
}
