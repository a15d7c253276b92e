//! The Lease on the real API server: one leader, whatever stops, stalls or lies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use slipway::cluster::{self as api, Call};
use slipway::controller::lease::{Lease, Times};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;

/// A fifth of the real ones.
const TIMES: Times = Times {
    duration: Duration::from_secs(3),
    belief: Duration::from_secs(2),
    renewal: Duration::from_millis(800),
    look: Duration::from_millis(400),
    retry: Duration::from_millis(200),
    call: Duration::from_millis(400),
};
/// What a busy machine adds.
const SLACK: Duration = Duration::from_secs(10);

/// A candidate that runs, with a clock that a test can move.
struct Candidate {
    lease: Arc<Lease>,
    stop: CancellationToken,
    ahead_millis: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Candidate {
    fn start(client: kube::Client, namespace: &str, holder: &str) -> Self {
        Self::start_at(client, namespace, holder, || {
            timestamp("2026-06-01T12:00:00Z")
        })
    }

    /// With a wall clock of its own.
    fn start_at(
        client: kube::Client,
        namespace: &str,
        holder: &str,
        wall: fn() -> Timestamp,
    ) -> Self {
        let ahead_millis = Arc::new(AtomicU64::new(0));
        let (begin, ahead) = (Instant::now(), Arc::clone(&ahead_millis));
        let clock =
            Arc::new(move || begin.elapsed() + Duration::from_millis(ahead.load(Ordering::SeqCst)));
        let cluster = api::Cluster::new(client);
        let lease = Lease::new(cluster, namespace, "slipway", holder, TIMES, clock, wall);
        let (lease, stop) = (Arc::new(lease), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (lease, stop) = (Arc::clone(&lease), stop.clone());
            async move { lease.run(stop).await }
        });
        Self {
            lease,
            stop,
            ahead_millis,
            tasks,
        }
    }

    fn leads(&self) -> bool {
        self.lease.is_held()
    }

    async fn await_lead(&self) {
        timeout(TIMES.duration + SLACK, self.lease.changed(None))
            .await
            .expect("it leads");
    }

    /// Its process stands still: nothing of it runs, its clock goes on.
    fn pause(&mut self) {
        self.tasks.abort_all();
    }

    /// A clean stop.
    async fn end(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn spec(cluster: &Cluster) -> Value {
    let call = Call::get(path(cluster));
    let answer = api::Cluster::new(cluster.client.clone()).send(call).await;
    answer.unwrap().json::<Value>().unwrap()["spec"].clone()
}

fn collection(cluster: &Cluster) -> String {
    format!(
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
        cluster.namespace
    )
}

fn path(cluster: &Cluster) -> String {
    format!("{}/slipway", collection(cluster))
}

/// Looks at who leads, all the time, until it is dropped.
struct Watched {
    both: Arc<Mutex<Option<Vec<usize>>>>,
    _task: JoinSet<()>,
}

impl Watched {
    fn new(leases: Vec<Arc<Lease>>) -> Self {
        let both: Arc<Mutex<Option<Vec<usize>>>> = Arc::default();
        let mut task = JoinSet::new();
        let found = Arc::clone(&both);
        task.spawn(async move {
            loop {
                let leading: Vec<usize> = (0..leases.len())
                    .filter(|index| leases[*index].is_held())
                    .collect();
                if leading.len() > 1 {
                    *found.lock().unwrap() = Some(leading);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { both, _task: task }
    }

    fn never_two(&self) {
        assert_eq!(*self.both.lock().unwrap(), None, "two led at once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_candidates_one_leads_and_a_release_hands_over() {
    let cluster = Cluster::new("lease").await;
    let start = |holder: &str| Candidate::start(cluster.client.clone(), &cluster.namespace, holder);
    let mut candidates = vec![start("a"), start("b"), start("c")];
    let watched = Watched::new(candidates.iter().map(|c| Arc::clone(&c.lease)).collect());
    for others in [2, 1, 0] {
        let leader = await_until("a leader", TIMES.duration + SLACK, async || {
            candidates.iter().position(Candidate::leads)
        })
        .await;
        let mut leader = candidates.remove(leader);
        let mut registry = Registry::default();
        leader.lease.register(&mut registry);
        let started = Instant::now();
        leader.end().await;
        assert!(!leader.leads());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("lease_held 0") && text.contains("lease_transitions_total 2"));
        if others > 0 {
            await_until("a successor", SLACK, async || {
                candidates.iter().any(Candidate::leads).then_some(())
            })
            .await;
            let took = started.elapsed();
            assert!(took < TIMES.duration, "at once: {took:?}");
        }
    }
    watched.never_two();
    let spec = spec(&cluster).await;
    assert_eq!(spec["holderIdentity"], "");
    assert_eq!(spec["leaseTransitions"], 2);
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_knows_it_before_another_leads() {
    let cluster = Cluster::new("lease").await;
    let mut first = Candidate::start(cluster.client.clone(), &cluster.namespace, "first");
    first.await_lead().await;
    let second = Candidate::start(cluster.client.clone(), &cluster.namespace, "second");
    let watched = Watched::new(vec![Arc::clone(&first.lease), Arc::clone(&second.lease)]);
    // Longer than a belief: it is renewed.
    tokio::time::sleep(TIMES.belief + Duration::from_millis(500)).await;
    assert!(first.leads() && !second.leads());
    let started = Instant::now();
    first.pause();
    second.await_lead().await;
    let took = started.elapsed();
    assert!(!first.leads());
    watched.never_two();
    let least = TIMES.duration.saturating_sub(TIMES.renewal + TIMES.look);
    assert!(took > least && took < TIMES.duration + SLACK, "{took:?}");
    assert_eq!(spec(&cluster).await["holderIdentity"], "second");
    cluster.remove().await;
}

#[tokio::test]
async fn belief_ends_by_the_clock_though_nothing_runs() {
    let cluster = Cluster::new("lease").await;
    let mut leader = Candidate::start(cluster.client.clone(), &cluster.namespace, "leader");
    leader.await_lead().await;
    let term = leader.lease.term();
    leader.pause();
    // The machine slept: only the clock tells.
    let slept = u64::try_from(TIMES.belief.as_millis()).unwrap();
    leader.ahead_millis.store(slept, Ordering::SeqCst);
    assert!(!leader.leads());
    timeout(SLACK, leader.lease.changed(term)).await.unwrap();
    cluster.remove().await;
}

#[tokio::test]
async fn a_lead_that_was_doubted_for_a_moment_is_held_in_a_later_term() {
    let cluster = Cluster::new("lease").await;
    let leader = Candidate::start(cluster.client.clone(), &cluster.namespace, "leader");
    leader.await_lead().await;
    let term = leader.lease.term();
    // The machine slept, and nobody else asked for the Lease meanwhile.
    let slept = u64::try_from(TIMES.belief.as_millis()).unwrap();
    leader.ahead_millis.store(slept, Ordering::SeqCst);
    leader.await_lead().await;
    assert!(leader.lease.term() > term);
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_api_server_a_leader_steps_down_in_time() {
    let cluster = Cluster::new("lease").await;
    for fault in [Fault::Refuse(503), Fault::Hang, Fault::Cut] {
        let proxy = ApiProxy::start().await;
        let mut first = Candidate::start(proxy.client(), &cluster.namespace, "first");
        first.await_lead().await;
        let term = first.lease.term();
        for method in ["GET", "PUT"] {
            proxy.fault(Rule::on(method, "/leases", fault));
        }
        let started = Instant::now();
        timeout(TIMES.belief + SLACK, first.lease.changed(term))
            .await
            .expect("it steps down");
        if !matches!(fault, Fault::Cut | Fault::Hang) {
            assert!(started.elapsed() <= TIMES.belief + Duration::from_millis(500));
        }
        // What was applied though nobody heard it counts for those who look.
        let mut second = Candidate::start(cluster.client.clone(), &cluster.namespace, "second");
        let watched = Watched::new(vec![Arc::clone(&first.lease), Arc::clone(&second.lease)]);
        first.pause();
        second.await_lead().await;
        watched.never_two();
        second.end().await;
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_again() {
    let cluster = Cluster::new("lease").await;
    let proxy = ApiProxy::start().await;
    proxy.fault(Rule::on("POST", "/leases", Fault::AppliedThen(504)).times(1));
    proxy.fault(Rule::on("PUT", "/leases", Fault::Cut).times(1));
    let mut leader = Candidate::start(proxy.client(), &cluster.namespace, "leader");
    let started = Instant::now();
    leader.await_lead().await;
    assert!(
        started.elapsed() < TIMES.duration,
        "its own record is not waited out"
    );
    // Every second renewal is lost on its way back: it goes on leading.
    proxy.fault(Rule::on("PUT", "/leases", Fault::AppliedThen(504)).times(2));
    let term = leader.lease.term();
    let lost = timeout(2 * TIMES.belief, leader.lease.changed(term)).await;
    assert!(lost.is_err(), "it ceased to lead");
    assert!(proxy.calls("PUT", "/leases") >= 4);
    leader.end().await;
    assert_eq!(spec(&cluster).await["holderIdentity"], "");
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_on_the_wire_is_nobodys_deadline() {
    let cluster = Cluster::new("lease").await;
    let server = api::Cluster::new(cluster.client.clone());
    let record = |renewed: &str| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "slipway", "namespace": cluster.namespace},
            "spec": {"holderIdentity": "ghost", "leaseDurationSeconds": 3, "renewTime": renewed},
        })
    };
    for renewed in ["1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"] {
        let answer = server.send(Call::post(collection(&cluster), record(renewed)));
        assert!(answer.await.unwrap().is_success());
        let started = Instant::now();
        let walls = [
            || timestamp("1980-01-01T00:00:00Z"),
            || timestamp("2500-01-01T00:00:00Z"),
        ];
        let mut candidates: Vec<Candidate> = ["a", "b"]
            .into_iter()
            .zip(walls)
            .map(|(holder, wall)| {
                Candidate::start_at(cluster.client.clone(), &cluster.namespace, holder, wall)
            })
            .collect();
        let watched = Watched::new(candidates.iter().map(|c| Arc::clone(&c.lease)).collect());
        await_until("a leader", TIMES.duration + SLACK, async || {
            candidates.iter().any(Candidate::leads).then_some(())
        })
        .await;
        assert!(
            started.elapsed() >= TIMES.duration,
            "{:?}",
            started.elapsed()
        );
        // Two renewals by a clock that is centuries off.
        tokio::time::sleep(2 * TIMES.renewal).await;
        watched.never_two();
        for candidate in &mut candidates {
            candidate.end().await;
        }
        let answer = server.send(Call::delete(path(&cluster), json!({})));
        assert!(answer.await.unwrap().is_success());
    }
    cluster.remove().await;
}

#[tokio::test]
async fn who_may_not_read_the_lease_does_not_lead() {
    let cluster = Cluster::new("lease").await;
    let proxy = ApiProxy::start().await;
    proxy.fault(Rule::on("GET", "/leases", Fault::Refuse(403)));
    let mut candidate = Candidate::start(proxy.client(), &cluster.namespace, "a");
    await_until("some tries", SLACK, async || {
        (proxy.calls("GET", "/leases") > 3).then_some(())
    })
    .await;
    assert!(!candidate.leads());
    proxy.heal();
    candidate.await_lead().await;
    candidate.end().await;
    cluster.remove().await;
}
