//! Replicas that come and go under a sender that never repeats an event: nobody notices, but of a kill.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::events::{self, event_job};
use crate::support::await_until;
use crate::support::balancer::Balancer;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::sender::{Sent, none_is_lost_or_doubled, send_all};
use crate::support::servers;

/// 50 events a second.
const EVERY: Duration = Duration::from_millis(20);
/// For a replica that stops, starts or is missed, on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// Two replicas behind a balancer.
struct Replicas<'a> {
    cluster: &'a Cluster,
    balancer: &'a Balancer,
    running: Vec<Slipway>,
}

impl Replicas<'_> {
    /// A replica that goes as the chart has it go, with connections.
    async fn start(&mut self) {
        let settings = [("SLIPWAY_SHUTDOWN_DELAY", "5s"), ("SLIPWAY_LOG", "info")];
        let namespace = &self.cluster.namespace;
        let slipway = Slipway::start(&servers::kubeconfig(), namespace, &[], &settings);
        self.balancer.add(slipway.http()).await;
        self.running.push(slipway);
    }

    /// Stops the oldest one; and starts another, when it has ended.
    async fn restart(&mut self) {
        let mut oldest = self.running.remove(0);
        assert_eq!(oldest.terminate().await, Some(0));
        let door = oldest.http();
        assert!(!self.balancer.serves(door), "its end was announced");
        self.balancer.remove(door);
        self.start().await;
    }

    /// Kills the one that leads; from when to when others may have noticed.
    async fn kill_the_leader(&mut self) -> (Instant, Instant) {
        let leader = await_until("one leads", SOON, async || {
            for (index, slipway) in self.running.iter().enumerate() {
                let metrics = slipway.get("/metrics").await?;
                if metrics.contains("slipway_lease_held 1") {
                    return Some(index);
                }
            }
            None
        })
        .await;
        let mut leader = self.running.remove(leader);
        let killed = Instant::now();
        leader.kill();
        await_until("nobody is sent to it", SOON, async || {
            (!self.balancer.serves(leader.http())).then_some(())
        })
        .await;
        let missed = Instant::now();
        self.balancer.remove(leader.http());
        self.start().await;
        (killed, missed)
    }
}

/// So many restarts, half of them before the leader is killed.
async fn nobody_notices(restarts: usize) {
    let cluster = events::cluster("restarts").await;
    // Jobs that nobody runs.
    let managed = json!({"jobTemplate": {"spec": {"managedBy": "example.com/nobody"}}});
    cluster.create(event_job("invoice", &managed)).await;
    let balancer = Balancer::start().await;
    let mut replicas = Replicas {
        cluster: &cluster,
        balancer: &balancer,
        running: Vec::new(),
    };
    replicas.start().await;
    replicas.start().await;
    let stop = CancellationToken::new();
    let mut sender = JoinSet::new();
    let address = balancer.address().to_owned();
    let namespace = cluster.namespace.clone();
    sender.spawn(send_all(address, namespace, EVERY, stop.clone()));
    let mut kill = None;
    for number in 0..restarts {
        if number == restarts / 2 {
            kill = Some(replicas.kill_the_leader().await);
        }
        replicas.restart().await;
    }
    stop.cancel();
    let sent = sender.join_next().await.unwrap().unwrap();
    let (killed, missed) = kill.expect("a leader is killed");
    let is_of_the_kill = |sent: &&Sent| sent.ended >= killed && sent.began <= missed;
    let failed: Vec<&Sent> = sent.iter().filter(|it| it.status != Some(200)).collect();
    let (by_kill, by_stop): (Vec<&Sent>, Vec<&Sent>) = failed.into_iter().partition(is_of_the_kill);
    assert!(
        by_stop.is_empty(),
        "{} of {} noticed a stop or a start: {by_stop:?}",
        by_stop.len(),
        sent.len()
    );
    // A connection that dies is no answer. What another one says is an answer as ever.
    assert!(by_kill.iter().all(|it| it.status.is_none()), "{by_kill:?}");

    none_is_lost_or_doubled(&cluster, &sent).await;
    #[expect(clippy::print_stderr, reason = "the figures, for who runs it by hand")]
    {
        eprintln!(
            "{} events, {restarts} restarts and a kill: {} without an answer, each within {:?} of the kill",
            sent.len(),
            by_kill.len(),
            missed - killed
        );
    }
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_are_noticed_by_no_sender() {
    nobody_notices(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes three minutes: make restarts"]
async fn twenty_restarts_are_noticed_by_no_sender() {
    nobody_notices(20).await;
}
