//! Upgrade, way back and removal, by the commands of `docs/operating.md`: under a sender, with Jobs that run.

use std::path::Path;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::rollouts::sender;
use super::{Gate, HOME, IMAGE, Release, SOON, await_taken, follow, pods, shell};
use crate::controller::{scaled_job, with_keys};
use crate::events::{event_job, renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::queue::Queue;
use crate::support::sender::{Sent, none_is_lost_or_doubled};

/// What goes on while releases come and go: Jobs that run until a gate is opened, and messages that nobody takes.
struct Work {
    cluster: Cluster,
    gate: Gate,
    queue: Queue,
    waiting: usize,
}

impl Work {
    /// Two Jobs of a backlog, as many as its ScaledJob may have, and three of events.
    async fn start(release: &Release) -> Self {
        let cluster = release.with_key("living").await;
        with_keys(&cluster, "slipway.dev").await;
        let gate = Gate::new("living");
        cluster.create(gate.waits("invoice")).await;
        let queue = Queue::new("living").await;
        queue.send(20).await;
        let container = json!({
            "name": "worker", "image": IMAGE, "command": ["sh", "-euc", Gate::command()],
            "volumeMounts": Gate::mounts(),
        });
        let pod = json!({"containers": [container], "volumes": gate.volumes(), "terminationGracePeriodSeconds": 1});
        let changes = json!({"spec": {
            "maxReplicaCount": 2,
            "jobTargetRef": {"backoffLimit": 0, "template": {"spec": pod}},
        }});
        cluster
            .create(scaled_job("drain", &queue.url, &changes))
            .await;
        await_taken(release, &cluster, "invoice").await;
        for number in 0..3 {
            let event = renewed(&format!("e-{number}"), "sub-1");
            let heard = send_to(&release.events, "living", "invoice", &event).await;
            assert_eq!(heard.unwrap().text("result"), "Created");
        }
        gate.await_running(&cluster, 5).await;
        Self {
            cluster,
            gate,
            queue,
            waiting: 20,
        }
    }

    async fn await_reading(&self, waiting: usize) {
        await_until("there is a decision on the new reading", SOON, async || {
            let reason = self.cluster.status("drain").await["lastDecision"]["reason"].clone();
            let read = format!("{waiting} waiting");
            reason.as_str()?.starts_with(&read).then_some(())
        })
        .await;
    }

    /// Whoever leads now reads the queue and counts the Jobs.
    async fn is_as_it_was(&mut self, what: &str) {
        self.queue.send(10).await;
        self.waiting += 10;
        self.await_reading(self.waiting).await;
        assert_eq!(self.cluster.jobs_of("drain").await.len(), 2, "{what}");
        assert_eq!(self.cluster.jobs().await.len(), 5, "{what}");
    }

    /// Lets the Jobs end: each has succeeded, none was run twice.
    async fn finish(self) {
        // Nothing is to be launched after them.
        self.queue.take(self.waiting).await;
        self.await_reading(0).await;
        self.gate.open();
        let jobs = await_until("the Jobs of before have finished", SOON, async || {
            let jobs = self.cluster.jobs().await;
            jobs.iter().all(is_finished).then_some(jobs)
        })
        .await;
        for job in jobs {
            let status = job.status.unwrap();
            let ends = (status.succeeded, status.failed);
            assert_eq!(ends, (Some(1), None), "{status:?}");
        }
        assert_eq!(pods(&self.cluster).await.len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "on a real node: make node"]
async fn an_upgrade_and_the_way_back_refuse_lose_and_double_nothing() {
    let release = Release::installed().await;
    follow("## Removal");
    // The chart as it was before Pods of it were tried here, with the program of today: to build the one of then would take
    // as long as all tests here.
    let before = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/node/before.tgz");
    shell(&format!(
        "helm upgrade --install slipway {} --namespace {HOME} --values values.yaml --wait",
        before.display()
    ));
    let release = Release::found(release.client).await;
    let upgrades = release.with_key("upgrades").await;
    let suspended = json!({"jobTemplate": {"spec": {"suspend": true}}});
    upgrades.create(event_job("invoice", &suspended)).await;
    await_taken(&release, &upgrades, "invoice").await;
    let mut work = Work::start(&release).await;

    let stop = CancellationToken::new();
    let mut sender = sender(&release, &upgrades, &stop);
    for section in ["## Upgrades", "## The way back", "## Upgrades"] {
        let followed = tokio::task::spawn_blocking(move || follow(section));
        followed.await.unwrap();
        await_until("the Pods of before are gone", SOON, async || {
            (release.pods().await.len() == 2).then_some(())
        })
        .await;
        work.is_as_it_was(section).await;
    }
    stop.cancel();
    let sent: Vec<Sent> = sender.join_next().await.unwrap().unwrap();
    let refused: Vec<&Sent> = sent.iter().filter(|it| it.status != Some(200)).collect();
    let (count, of) = (refused.len(), sent.len());
    assert!(refused.is_empty(), "{count} of {of}: {refused:?}");
    none_is_lost_or_doubled(&upgrades, &sent).await;
    assert_eq!(upgrades.jobs().await.len(), sent.len());
    #[expect(clippy::print_stderr, reason = "the figures, for who runs it by hand")]
    {
        eprintln!("{of} events through an upgrade, the way back and an upgrade: 0 refused");
    }
    work.finish().await;
    // An event that came before all that is still known.
    let event = renewed("e-0", "sub-1");
    let heard = send_to(&release.events, "living", "invoice", &event).await;
    assert_eq!(heard.unwrap().text("result"), "Duplicate");
}
