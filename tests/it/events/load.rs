//! What a policy costs the API server, counted by the proxy in front of it; and that it holds what it promises meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher;
use serde_json::{Value, json};

use super::{cluster, deliver, event_job, renewed};
use crate::support::api_proxy::ApiProxy;
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::process::Slipway;

/// Events posted at once.
const SENDERS: usize = 16;

/// Jobs without Pods: another controller, the test, says when they have run.
fn of_another_controller(name: &str, policy: &str) -> Value {
    let mut changes = json!({"concurrencyPolicy": policy, "jobTemplate": {"spec": {"managedBy": "example.com/test"}}});
    if policy != "Allow" {
        changes["concurrency"] = json!({"limit": 1});
    }
    event_job(name, &changes)
}

/// Posts events, in turn to each door.
async fn post(doors: &[&Slipway], cluster: &Cluster, name: &str, ids: std::ops::Range<usize>) {
    let posts = ids.map(|number| async move {
        let event = renewed(&format!("{name}-{number}"), "sub-1");
        deliver(doors[number % doors.len()], cluster, name, &event).await;
    });
    stream::iter(posts)
        .buffer_unordered(SENDERS)
        .collect::<Vec<()>>()
        .await;
}

/// The Jobs of one EventJob with a limit of one, as a watch shows every change of them; each that may run is finished.
struct Runs {
    running: BTreeSet<String>,
    /// Those that were let run, in that order, with when their event was received.
    ran: Vec<(String, String)>,
}

impl Runs {
    fn new() -> Self {
        Self {
            running: BTreeSet::new(),
            ran: Vec::new(),
        }
    }

    /// Until so many have run and ended.
    async fn until(&mut self, cluster: &Cluster, count: usize) {
        let mut shown = watcher(cluster.job_api(), watcher::Config::default()).boxed();
        let deadline = Instant::now() + Duration::from_mins(3);
        while self.ran.len() < count || !self.running.is_empty() {
            let event = tokio::time::timeout(Duration::from_mins(1), shown.next())
                .await
                .unwrap_or_else(|_| panic!("{} of {count} have run", self.ran.len()));
            assert!(Instant::now() < deadline, "{} of {count}", self.ran.len());
            let (watcher::Event::Apply(job) | watcher::Event::InitApply(job)) =
                event.unwrap().unwrap()
            else {
                continue;
            };
            self.see(cluster, &job).await;
        }
    }

    async fn see(&mut self, cluster: &Cluster, job: &Job) {
        let name = job.metadata.name.clone().unwrap();
        let is_suspended = job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
        if is_finished(job) {
            self.running.remove(&name);
            return;
        }
        let has_run = self.ran.iter().any(|(known, _)| *known == name);
        if is_suspended {
            assert!(!has_run, "{name} was let run, and waits again");
            return;
        }
        if !has_run {
            let annotations = job.metadata.annotations.as_ref().unwrap();
            let received_at = annotations["slipway.dev/received-at"].clone();
            self.ran.push((name.clone(), received_at));
            self.running.insert(name);
            assert!(self.running.len() <= 1, "{:?} run at once", self.running);
            assert!(cluster.complete(job).await, "{job:?}");
        }
    }
}

async fn through(proxy: &ApiProxy, cluster: &Cluster, arguments: &[&str]) -> Slipway {
    let kubeconfig = std::env::temp_dir().join(format!("load-{}.json", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    Slipway::run(
        kubeconfig.to_str().unwrap(),
        &cluster.namespace,
        arguments,
        &[],
    )
    .await
}

/// Bytes that the API server sent for each release, watches included, while so many waited; and writes of Jobs an event.
async fn drained(waiting: usize) -> (u64, f64) {
    let cluster = cluster("load").await;
    cluster.create(of_another_controller("load", "Queue")).await;
    let proxy = ApiProxy::start().await;
    let slipway = through(&proxy, &cluster, &["--lead"]).await;
    deliver(&slipway, &cluster, "load", &renewed("load-0", "sub-1")).await;
    let (start, began) = (proxy.mark(), Instant::now());
    post(&[&slipway], &cluster, "load", 1..waiting).await;

    // A watch counts where it began.
    let read = || proxy.traffic_since(0).answer_bytes("GET", "/jobs");
    let (mark, before) = (proxy.mark(), read());
    let mut runs = Runs::new();
    runs.until(&cluster, waiting).await;
    let watched = read() - before;
    let drain = proxy.traffic_since(mark);
    let changed = drain.answer_bytes("PATCH", "/jobs");
    let lists = drain
        .calls("GET", "/jobs?")
        .saturating_sub(drain.calls("GET", "watch=true"));
    assert_eq!(lists, 0, "{:?}", drain.lines());

    let mut by_age = runs.ran.clone();
    by_age.sort_by(|(name, at), (other, other_at)| (at, name).cmp(&(other_at, other)));
    assert_eq!(runs.ran, by_age, "first come, first served");
    assert_eq!(runs.ran.len(), waiting);

    let all = proxy.traffic_since(start);
    let of_jobs = all.writes("/jobs");
    // The ledger and the status are written once a second at most, however slow the machine.
    let others = all.writes("") - all.writes("/leases") - of_jobs;
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(others <= 2 * seconds + 20, "{others} in {seconds} s");
    cluster.remove().await;
    (
        (watched + changed) / u64::try_from(waiting).unwrap(),
        per_event(of_jobs, waiting),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand calls")]
fn per_event(writes: usize, events: usize) -> f64 {
    writes as f64 / events as f64
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures are read by people")]
async fn a_release_costs_the_same_however_many_wait_and_have_finished() {
    let (few, few_writes) = drained(150).await;
    let (many, many_writes) = drained(600).await;
    println!("150 waiting: {few} bytes a release, {few_writes:.2} writes of Jobs an event");
    println!("600 waiting: {many} bytes a release, {many_writes:.2} writes of Jobs an event");
    assert!(few <= 30_000 && many <= 30_000, "{few} and {many} bytes");
    assert!(
        many < few + few / 4,
        "{few} bytes with 150, {many} with 600"
    );
    // Made, claimed, released.
    let most = few_writes.max(many_writes);
    assert!(most <= 3.05, "{most} writes of Jobs an event");
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures are read by people")]
async fn an_event_costs_so_many_writes_whatever_the_policy_makes_of_it() {
    const EVENTS: usize = 400;
    let cluster = cluster("writes").await;
    let proxy = ApiProxy::start().await;
    let slipway = through(&proxy, &cluster, &["--lead"]).await;
    for (name, policy, most) in [
        ("allow", "Allow", 1.3),
        ("forbid", "Forbid", 3.2),
        ("replace", "Replace", 3.2),
    ] {
        cluster.create(of_another_controller(name, policy)).await;
        deliver(&slipway, &cluster, name, &renewed("first", "sub-1")).await;
        let mark = proxy.mark();
        post(&[&slipway], &cluster, name, 0..EVENTS).await;
        let settled = format!("nothing of {name} waits any more");
        await_until(&settled, Duration::from_mins(1), async || {
            (!gates(&cluster, name).await.contains_key("waiting")).then_some(())
        })
        .await;
        let traffic = proxy.traffic_since(mark);
        let writes = per_event(traffic.writes("") - traffic.writes("/leases"), EVENTS);
        println!("{policy}: {writes:.2} writes an event");
        assert!(writes <= most, "{policy}: {:?}", traffic.lines());
        if policy == "Forbid" {
            let gates = gates(&cluster, name).await;
            assert_eq!(gates["released"], 1, "{gates:?}");
        }
        if policy == "Replace" {
            let gates = gates(&cluster, name).await;
            assert_eq!(gates["dropped"], EVENTS, "{gates:?}");
        }
    }
    cluster.remove().await;
}

/// How many Jobs of an EventJob have each gate.
async fn gates(cluster: &Cluster, event_job: &str) -> BTreeMap<String, usize> {
    let mut gates = BTreeMap::new();
    for job in cluster.jobs().await {
        let labels = job.metadata.labels.unwrap_or_default();
        if labels.get("slipway.dev/eventjob").map(String::as_str) == Some(event_job) {
            let annotations = job.metadata.annotations.unwrap_or_default();
            let gate = annotations.get("slipway.dev/gate").cloned();
            *gates.entry(gate.unwrap_or_default()).or_default() += 1;
        }
    }
    gates
}

async fn holder(cluster: &Cluster) -> Option<String> {
    let resource = kube::core::ApiResource::erase::<k8s_openapi::api::coordination::v1::Lease>(&());
    let leases: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
    let leases = leases.list(&kube::api::ListParams::default()).await.ok()?;
    let holder = leases.items.first()?.data["spec"]["holderIdentity"].as_str();
    holder.filter(|name| !name.is_empty()).map(str::to_owned)
}

#[tokio::test]
async fn when_the_leader_is_killed_every_job_has_its_turn_once_and_one_at_a_time() {
    const EVENTS: usize = 60;
    let cluster = cluster("killed").await;
    cluster
        .create(of_another_controller("killed", "Queue"))
        .await;
    let proxy = ApiProxy::start().await;
    let mut leader = through(&proxy, &cluster, &[]).await;
    let first = await_until("somebody leads", Duration::from_secs(30), async || {
        holder(&cluster).await
    })
    .await;
    let other = through(&proxy, &cluster, &[]).await;
    post(&[&leader, &other], &cluster, "killed", 0..EVENTS).await;
    let mut runs = Runs::new();
    runs.until(&cluster, EVENTS / 3).await;
    leader.kill();
    runs.until(&cluster, EVENTS).await;
    assert_ne!(holder(&cluster).await, Some(first));
    let names: BTreeSet<&String> = runs.ran.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), EVENTS);
    assert_eq!(gates(&cluster, "killed").await["released"], EVENTS);
    cluster.remove().await;
}
