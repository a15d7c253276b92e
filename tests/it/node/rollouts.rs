//! Rollouts, evictions, and a leader that is killed, under a sender through the Service that never repeats an event by itself.

use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, EvictParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Gate, HOME, NAMESPACES, Release, SOON, await_taken, kubectl, pods};
use crate::events::{event_job, renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::sender::{Sent, none_is_lost_or_doubled, send_all};

/// Ten events a second.
const EVERY: Duration = Duration::from_millis(100);

/// How many rollouts: three, or what `make rollouts` says.
fn rollouts() -> usize {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let count = std::env::var("SLIPWAY_ROLLOUTS");
    count.map_or(3, |count| count.parse().unwrap())
}

/// `kubectl rollout restart`, until the last Pod of before is gone.
async fn roll_out(release: &Release) {
    let deployment = ["--namespace", HOME, "deployment/slipway"];
    kubectl(&[&["rollout", "restart"], &deployment[..]].concat());
    // It waits by itself; the sender goes on meanwhile.
    let status = [&["rollout", "status", "--timeout", "2m"], &deployment[..]].concat();
    let status: Vec<String> = status.into_iter().map(str::to_owned).collect();
    let waiting = move || {
        let status: Vec<&str> = status.iter().map(String::as_str).collect();
        kubectl(&status)
    };
    tokio::task::spawn_blocking(waiting).await.unwrap();
    await_until("the Pods of before are gone", SOON, async || {
        (release.pods().await.len() == 2).then_some(())
    })
    .await;
}

/// Evicts each of the Pods that are there, as `kubectl drain` does; the disruption budget says when the next may go.
async fn drain(release: &Release) {
    let api: Api<Pod> = Api::namespaced(release.client.clone(), HOME);
    for pod in release.pods().await {
        let name = pod.metadata.name.unwrap();
        await_until("it may be evicted", SOON, async || {
            let evicted = api.evict(&name, &EvictParams::default()).await;
            evicted.ok()
        })
        .await;
        await_until("it is gone", SOON, async || {
            let there = api.get_opt(&name).await.ok()?;
            there.is_none().then_some(())
        })
        .await;
    }
    await_until("two are ready", SOON, async || {
        let pods = release.pods().await;
        let is_ready = |pod: &Pod| {
            let status = pod.status.as_ref();
            let containers = status.and_then(|status| status.container_statuses.as_deref());
            containers.is_some_and(|containers| containers.iter().all(|it| it.ready))
        };
        (pods.len() == 2 && pods.iter().all(is_ready)).then_some(())
    })
    .await;
}

/// Kills the process of the Pod that leads, as the kernel would; from when to when it was not known to be gone.
async fn kill_the_leader(release: &Release) -> (Instant, Instant) {
    let leader = leader(release).await;
    let pid = process_of(&leader);
    let killed = Instant::now();
    let kill = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(kill.unwrap().success());
    await_until("it runs again and is ready", SOON, async || {
        let pods = release.pods().await;
        let pod = pods
            .into_iter()
            .find(|pod| pod.metadata.name.as_deref() == Some(&leader))?;
        let status = pod.status?.container_statuses?.pop()?;
        (status.restart_count == 1 && status.ready).then_some(())
    })
    .await;
    (killed, Instant::now())
}

/// The Pod that holds the Lease.
async fn leader(release: &Release) -> String {
    let leases: Api<Lease> = Api::namespaced(release.client.clone(), NAMESPACES[0]);
    await_until("one leads", SOON, async || {
        let holder = leases.get("slipway").await.ok()?.spec?.holder_identity?;
        let pods = release.pods().await;
        let mut names = pods.into_iter().filter_map(|pod| pod.metadata.name);
        names.find(|name| holder.starts_with(name.as_str()))
    })
    .await
}

/// The pid of the Pod's process: the node's processes are among ours.
fn process_of(pod: &str) -> String {
    let variable = format!("HOSTNAME={pod}\0");
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut pids = processes.filter_map(|entry| {
        let folder = entry.ok()?.path();
        let environment = std::fs::read(folder.join("environ")).ok()?;
        let arguments = std::fs::read_to_string(folder.join("cmdline")).ok()?;
        let is_it = arguments.starts_with("/usr/local/bin/slipway\0run\0")
            && environment
                .windows(variable.len())
                .any(|window| window == variable.as_bytes());
        is_it.then(|| folder.file_name().unwrap().to_str().unwrap().to_owned())
    });
    pids.next()
        .unwrap_or_else(|| panic!("{pod} has no process"))
}

pub(super) fn sender(
    release: &Release,
    cluster: &Cluster,
    stop: &CancellationToken,
) -> JoinSet<Vec<Sent>> {
    let mut sender = JoinSet::new();
    let (address, namespace) = (release.events.clone(), cluster.namespace.clone());
    sender.spawn(send_all(address, namespace, EVERY, stop.clone()));
    sender
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "on a real node: make node"]
async fn rollouts_and_drains_refuse_lose_and_double_no_event() {
    let release = Release::installed().await;
    let cluster = release.with_key("rollouts").await;
    // The Jobs are what is counted: Pods would only take the machine's time.
    let suspended = json!({"jobTemplate": {"spec": {"suspend": true}}});
    cluster.create(event_job("invoice", &suspended)).await;
    await_taken(&release, &cluster, "invoice").await;
    let stop = CancellationToken::new();
    let mut sender = sender(&release, &cluster, &stop);
    let count = rollouts();
    for _ in 0..count {
        roll_out(&release).await;
    }
    drain(&release).await;
    let (killed, missed) = kill_the_leader(&release).await;
    let after = leader(&release).await;
    stop.cancel();
    let mut sent = sender.join_next().await.unwrap().unwrap();

    let failed: Vec<&Sent> = sent.iter().filter(|it| it.status != Some(200)).collect();
    let is_of_the_kill = |sent: &&Sent| sent.ended >= killed && sent.began <= missed;
    let (by_kill, refused): (Vec<&Sent>, Vec<&Sent>) = failed.into_iter().partition(is_of_the_kill);
    assert!(
        refused.is_empty(),
        "{} of {}: {refused:?}",
        refused.len(),
        sent.len()
    );
    // A connection that dies is no answer. What the other one says is an answer as ever.
    assert!(by_kill.iter().all(|it| it.status.is_none()), "{by_kill:?}");
    let unanswered = by_kill.len();
    #[expect(clippy::print_stderr, reason = "the figures, for who runs it by hand")]
    {
        eprintln!(
            "{} events through the Service, {count} rollouts, both Pods evicted: 0 refused; a leader killed: {unanswered} without an answer in {:?}; {after} leads",
            sent.len(),
            missed - killed
        );
    }
    // A sender repeats what was not answered, and that is harmless.
    for it in sent.iter_mut().filter(|it| it.status.is_none()) {
        let event = renewed(&it.id, "sub-1");
        let heard = send_to(&release.events, "rollouts", "invoice", &event).await;
        it.status = heard.map(|heard| heard.status);
        assert_eq!(it.status, Some(200), "{it:?}");
    }
    none_is_lost_or_doubled(&cluster, &sent).await;
    assert_eq!(cluster.jobs().await.len(), sent.len());
}

#[tokio::test]
#[ignore = "on a real node: make node"]
async fn twenty_running_jobs_live_through_a_rollout() {
    let release = Release::installed().await;
    let cluster = release.with_key("running").await;
    let gate = Gate::new("running");
    cluster.create(gate.waits("invoice")).await;
    await_taken(&release, &cluster, "invoice").await;
    for number in 0..20 {
        let event = renewed(&format!("e-{number}"), "sub-1");
        let heard = send_to(&release.events, "running", "invoice", &event).await;
        assert_eq!(heard.unwrap().text("result"), "Created");
    }
    gate.await_running(&cluster, 20).await;
    roll_out(&release).await;
    gate.await_running(&cluster, 20).await;
    gate.open();
    let jobs = await_until("all have finished", 2 * SOON, async || {
        let jobs = cluster.jobs().await;
        jobs.iter().all(is_finished).then_some(jobs)
    })
    .await;
    assert_eq!(jobs.len(), 20);
    for job in jobs {
        let status = job.status.unwrap();
        assert_eq!(
            (status.succeeded, status.failed),
            (Some(1), None),
            "{status:?}"
        );
    }
    assert_eq!(pods(&cluster).await.len(), 20, "none ran twice");
}
