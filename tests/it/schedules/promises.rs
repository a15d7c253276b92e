//! What holds in the end, whatever went wrong in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams};
use slipway::launch::ledger::{Key, Ledger, PRUNED_AFTER_SECONDS};
use slipway::launch::once::Saw;

use super::outside::{Outside, SeenJob};
use super::senders::Answers;
use super::{CAP, COUNTED, EVENTS, QUEUED};
use crate::events::variable;
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::queue::Queue;

/// A Lease runs out, names in doubt are waited for, and the rest of the queue is worked through.
const DRAINED: Duration = Duration::from_mins(3);
/// Keys that a crash left out, and Secrets, are looked after behind.
const TIDY: Duration = Duration::from_mins(2);
/// `deduplicateFor`, by default.
const REMEMBERED_SECONDS: u32 = 25 * 3_600;
/// A key is written with the time of the answer, not of the Job.
const ANSWERED_WITHIN_SECONDS: u32 = 5 * 60;

/// What is looked at.
pub(super) struct Promises<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) queue: &'a Queue,
    pub(super) outside: &'a Outside,
    pub(super) answers: &'a Answers,
}

impl Promises<'_> {
    /// Waits for what comes in the end, and fails when a promise was broken.
    pub(super) async fn check(&self) {
        self.no_event_is_lost_or_doubled();
        self.the_queue_is_drained().await;
        self.keys_are_those_of_jobs().await;
        self.every_secret_has_its_job().await;
        // Once more: nothing came late.
        self.no_event_is_lost_or_doubled();
        let most = self.outside.most();
        assert!(most <= CAP, "{most} unfinished Jobs at once");
        assert!(most > 0, "nobody looked");
    }

    fn no_event_is_lost_or_doubled(&self) {
        let jobs = self.outside.jobs();
        let mut by_occurrence: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut by_event: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for job in &jobs {
            let is_counted = job.is_of("slipway.dev/eventjob", COUNTED);
            if is_counted || job.is_of("slipway.dev/scaledjob", QUEUED) {
                let uids = by_occurrence.entry(job.occurrence()).or_default();
                uids.insert(job.uid());
                assert_eq!(uids.len(), 1, "{} was made twice", job.name());
            }
            if is_counted {
                let id = variable(&job.job, "SLIPWAY_EVENT_ID").expect("the event's id");
                by_event.entry(id).or_default().insert(job.name());
            }
        }
        for number in 0..EVENTS {
            let id = format!("{COUNTED}-{number}");
            let made = by_event.remove(&id).unwrap_or_default();
            assert_eq!(made.len(), 1, "Jobs of {id}: {made:?}");
            let told = self
                .answers
                .of(&id)
                .expect("it was sent until it was taken");
            let is_true = told.iter().all(|name| made.contains(name.as_str()));
            assert!(is_true, "{id} has {made:?}, and its sender heard {told:?}");
        }
        assert!(by_event.is_empty(), "nobody sent {by_event:?}");
    }

    async fn the_queue_is_drained(&self) {
        await_until("the queue is drained", DRAINED, async || {
            let jobs = self.outside.jobs();
            let idle = !jobs.iter().any(SeenJob::is_unfinished);
            let worked = jobs
                .iter()
                .filter(|job| job.is_of("slipway.dev/scaledjob", QUEUED));
            (idle && worked.count() >= EVENTS && !self.queue.take_one().await).then_some(())
        })
        .await;
    }

    /// Each counted event has its key, and each key had its Job.
    async fn keys_are_those_of_jobs(&self) {
        let jobs = self.outside.jobs();
        let key = |job: &SeenJob| Key::of(job.occurrence()).expect("a hash");
        let counted = || {
            jobs.iter()
                .filter(|job| job.is_of("slipway.dev/eventjob", COUNTED))
        };
        let ledger = await_until("every key is written", TIDY, async || {
            let ledger = ledger(self.cluster).await;
            let is_known = |job| has(&ledger, key(job), 0);
            counted().all(is_known).then_some(ledger)
        })
        .await;
        let known: BTreeSet<Key> = jobs
            .iter()
            .map(key)
            .filter(|key| has(&ledger, *key, 0))
            .collect();
        assert_eq!(ledger.len(), known.len(), "keys of what never had a Job");
        let mut last = 0;
        for job in counted() {
            let created_at = job.job.metadata.creation_timestamp.as_ref().unwrap().0;
            let created_at = u32::try_from(created_at.as_second()).unwrap();
            let promised = created_at + REMEMBERED_SECONDS;
            let name = job.name();
            assert!(
                has(&ledger, key(job), promised),
                "{name} is forgotten early"
            );
            let forgotten = promised + ANSWERED_WITHIN_SECONDS + PRUNED_AFTER_SECONDS;
            assert!(
                !has(&ledger, key(job), forgotten),
                "{name} is never forgotten"
            );
            last = last.max(forgotten);
        }
        let shards = ledger.size().0;
        assert_eq!(
            ledger.prunable(last).len(),
            shards,
            "shards that stay for ever"
        );
    }

    async fn every_secret_has_its_job(&self) {
        let secrets: Api<Secret> =
            Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        let ours = ListParams::default().labels("slipway.dev/eventjob");
        let mut without = BTreeSet::new();
        let tidy = async {
            loop {
                let secrets = secrets.list(&ours).await.unwrap();
                let jobs = self.cluster.jobs().await;
                let names = |secret: Secret| secret.metadata.name;
                let lonely = secrets.into_iter().filter(|secret| !has_job(secret, &jobs));
                without = lonely.filter_map(names).collect();
                if without.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let tidy = tokio::time::timeout(TIDY, tidy).await.is_ok();
        assert!(tidy, "Secrets without their Jobs: {without:?}");
    }
}

/// Whether the Job of the Secret's name is there and owns it.
fn has_job(secret: &Secret, jobs: &[Job]) -> bool {
    let owners = secret.metadata.owner_references.as_deref();
    let owners = owners.unwrap_or_default();
    let owns = |job: &Job| {
        owners
            .iter()
            .any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
    };
    jobs.iter()
        .any(|job| job.metadata.name == secret.metadata.name && owns(job))
}

fn has(ledger: &Ledger, key: Key, server_seconds: u32) -> bool {
    ledger.look(key, Duration::ZERO, server_seconds) == Saw::LedgerHasKey
}

/// The namespace's ledger as the program reads it.
async fn ledger(cluster: &Cluster) -> Ledger {
    let shards: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let ours = ListParams::default().labels("slipway.dev/ledger");
    let mut ledger = Ledger::new("outside");
    for shard in shards.list(&ours).await.unwrap() {
        let name = shard.metadata.name.unwrap();
        let version = shard.metadata.resource_version.unwrap();
        let bytes = &shard.binary_data.unwrap()["keys"].0;
        ledger.read(&name, &version, bytes, Duration::ZERO).unwrap();
    }
    ledger
}
