//! Several replicas and one Lease: one launches what is counted, whatever is killed, stopped or told to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::controller::{self, scaled_job};
use crate::support::api_proxy::{ApiProxy, CREATES, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::process::Slipway;
use crate::support::queue::Queue;

const CAP: usize = 5;
/// A Lease runs out in 15 s, and is looked at each 2 s; the rest is for a busy machine.
const TAKE_OVER: Duration = Duration::from_secs(45);
/// Less than a Lease takes to run out: only one that was given back is taken so soon.
const HAND_OVER: Duration = Duration::from_secs(12);

/// A replica behind a proxy of its own, which counts what it does.
struct Replica {
    slipway: Slipway,
    proxy: ApiProxy,
    kubeconfig: std::path::PathBuf,
}

impl Replica {
    async fn start(cluster: &Cluster, name: &str) -> Self {
        let proxy = ApiProxy::start().await;
        let file = format!("{}-{name}.kubeconfig", cluster.namespace);
        let kubeconfig = std::env::temp_dir().join(file);
        std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
        let path = kubeconfig.to_str().unwrap();
        let slipway = Slipway::run(path, &cluster.namespace, &[], &[]).await;
        Self {
            slipway,
            proxy,
            kubeconfig,
        }
    }

    async fn leads(&self) -> bool {
        let metrics = self.slipway.get("/metrics").await.unwrap_or_default();
        metrics.lines().any(|line| line == "slipway_lease_held 1")
    }

    async fn await_lead(&self, within: Duration) {
        await_until("it leads", within, async || {
            self.leads().await.then_some(())
        })
        .await;
    }

    /// Creates of Jobs that it has sent.
    fn creates(&self) -> usize {
        self.proxy.calls("POST", CREATES)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.kubeconfig));
    }
}

/// Two replicas, the first of which leads, and more messages than they ever finish.
async fn pair(name: &str) -> (Cluster, Replica, Replica) {
    let queue = Queue::new(name).await;
    queue.send(500).await;
    pair_on(name, &queue).await
}

async fn pair_on(name: &str, queue: &Queue) -> (Cluster, Replica, Replica) {
    let cluster = controller::cluster(name).await;
    let changes = json!({"spec": {"maxReplicaCount": CAP}});
    cluster
        .create(scaled_job("orders", &queue.url, &changes))
        .await;
    let first = Replica::start(&cluster, "first").await;
    first.await_lead(TAKE_OVER).await;
    let second = Replica::start(&cluster, "second").await;
    (cluster, first, second)
}

/// Runs Pods to their end until so many more Jobs have finished. Names of a round that its leader had no time to
/// launch are waited for a minute.
async fn work_goes_on(cluster: &Cluster) {
    let finished = async || {
        let jobs = cluster.jobs().await;
        jobs.iter().filter(|job| is_finished(job)).count()
    };
    let before = finished().await;
    await_until("work goes on", Duration::from_mins(3), async || {
        cluster.pods_become("Succeeded", 2).await;
        (finished().await >= before + 3 * CAP).then_some(())
    })
    .await;
}

/// `test`, while somebody counts: never more unfinished Jobs than the cap.
async fn below_the_cap(cluster: &Cluster, test: impl Future<Output = ()>) {
    let stop = AtomicBool::new(false);
    let look = async {
        let mut most = 0;
        while !stop.load(Ordering::Relaxed) {
            most = most.max(cluster.unfinished().await);
        }
        most
    };
    let test = async {
        test.await;
        stop.store(true, Ordering::Relaxed);
    };
    let (most, ()) = tokio::join!(look, test);
    assert!(most <= CAP, "{most} unfinished Jobs at once");
}

#[tokio::test]
async fn one_replica_launches_and_when_it_is_killed_the_other_does() {
    let (cluster, mut first, second) = pair("leader-killed").await;
    below_the_cap(
        &cluster,
        Box::pin(async {
            work_goes_on(&cluster).await;
            assert_eq!(second.creates(), 0, "only who leads launches");
            first.slipway.kill();
            second.await_lead(TAKE_OVER).await;
            work_goes_on(&cluster).await;
        }),
    )
    .await;
    assert!(second.creates() > 0);
    cluster.remove().await;
}

#[tokio::test]
async fn a_leader_stopped_past_its_lease_launches_nothing_when_it_wakes() {
    let (cluster, first, second) = pair("leader-stopped").await;
    below_the_cap(
        &cluster,
        Box::pin(async {
            work_goes_on(&cluster).await;
            first.slipway.freeze(true);
            second.await_lead(TAKE_OVER).await;
            work_goes_on(&cluster).await;
            let before = first.creates();
            first.slipway.freeze(false);
            // It answers again, and so has had the time to do what it had in mind.
            await_until("it knows better", TAKE_OVER, async || {
                (first.slipway.get("/readyz").await.is_some() && !first.leads().await).then_some(())
            })
            .await;
            work_goes_on(&cluster).await;
            assert_eq!(first.creates(), before);
        }),
    )
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_leader_frozen_while_its_creates_wait_sends_none_of_them_when_it_wakes() {
    let queue = Queue::new("leader-frozen").await;
    let (cluster, first, second) = pair_on("leader-frozen", &queue).await;
    below_the_cap(
        &cluster,
        Box::pin(async {
            let slow_down = Rule::on("POST", CREATES, Fault::SlowDown(20));
            first.proxy.fault(slow_down);
            queue.send(500).await;
            await_until(
                "the server asks its creates to wait",
                TAKE_OVER,
                async || (first.creates() > 0).then_some(()),
            )
            .await;
            first.slipway.freeze(true);
            first.proxy.heal();
            second.await_lead(TAKE_OVER).await;
            // Names of the first one's round may still come for a minute.
            await_until("the second launches", Duration::from_mins(2), async || {
                (cluster.unfinished().await == CAP).then_some(())
            })
            .await;
            let before = first.creates();
            first.slipway.freeze(false);
            await_until("it knows better", TAKE_OVER, async || {
                (first.slipway.get("/readyz").await.is_some() && !first.leads().await).then_some(())
            })
            .await;
            work_goes_on(&cluster).await;
            assert_eq!(first.creates(), before);
        }),
    )
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_leader_that_is_told_to_stop_gives_its_lease_back() {
    let (cluster, mut first, second) = pair("leader-ends").await;
    below_the_cap(
        &cluster,
        Box::pin(async {
            work_goes_on(&cluster).await;
            assert_eq!(first.slipway.terminate().await, Some(0));
            second.await_lead(HAND_OVER).await;
            work_goes_on(&cluster).await;
        }),
    )
    .await;
    cluster.remove().await;
}
