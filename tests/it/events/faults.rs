//! Everything goes wrong at once, and there are as many Jobs as distinct events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{cluster, event_job, renewed, send_to};
use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::chance::Chance;
use crate::support::process::Slipway;

/// Distinct events.
const EVENTS: usize = 2_000;
/// Every so many events one is sent by this many senders at once.
const COPIES: usize = 10;
const SENDERS: usize = 24;

fn break_it(proxy: &ApiProxy) {
    let job = "/jobs";
    for (percent, fault) in [
        (6, Fault::AppliedThen(504)),
        (6, Fault::Cut),
        (5, Fault::AppliedThen(503)),
        (5, Fault::Late(Duration::from_millis(1_500))),
        (4, Fault::Refuse(503)),
        (4, Fault::SlowDown(1)),
    ] {
        proxy.fault(Rule::on("POST", job, fault).percent(percent));
    }
    proxy.fault(Rule::on("GET", "/jobs/", Fault::Refuse(500)).percent(20));
    proxy.fault(Rule::on("PUT", "/configmaps", Fault::AppliedThen(504)).percent(20));
    proxy.fault(Rule::on("POST", "/configmaps", Fault::Cut).percent(20));
}

/// What the senders share.
struct Sending {
    namespace: String,
    /// Events that are to be sent, some of them many times.
    work: Mutex<Vec<usize>>,
    /// Where replicas listen.
    doors: Mutex<Vec<String>>,
    /// Names of Jobs that were answered, by event.
    answered: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Sending {
    fn new(namespace: &str, replicas: &[Slipway]) -> Self {
        let copies = |event: usize| if event.is_multiple_of(20) { COPIES } else { 1 };
        let work = (0..EVENTS).rev();
        Self {
            namespace: namespace.to_owned(),
            work: Mutex::new(work.flat_map(|event| vec![event; copies(event)]).collect()),
            doors: Mutex::new(
                replicas
                    .iter()
                    .map(|slipway| slipway.http().to_owned())
                    .collect(),
            ),
            answered: Mutex::default(),
        }
    }

    /// Sends until there is nothing left to send.
    async fn run(&self, seed: u64) {
        let mut chance = Chance::new(seed);
        loop {
            let Some(number) = self.work.lock().unwrap().pop() else {
                return;
            };
            self.send(&format!("e-{number}"), &mut chance).await;
        }
    }

    /// Sends one event until it is taken, each time to any of the replicas.
    async fn send(&self, id: &str, chance: &mut Chance) {
        let event = renewed(id, "sub-1");
        let deadline = Instant::now() + Duration::from_mins(4);
        loop {
            assert!(Instant::now() < deadline, "{id} is never taken");
            let door = {
                let doors = self.doors.lock().unwrap();
                let index = chance.below(doors.len() as u64);
                doors[usize::try_from(index).unwrap()].clone()
            };
            if let Some(heard) = send_to(&door, &self.namespace, "chaos", &event).await {
                if heard.status == 200 {
                    let job = heard.text("jobName").to_owned();
                    assert!(!job.is_empty(), "{heard:?}");
                    let mut answered = self.answered.lock().unwrap();
                    answered.entry(id.to_owned()).or_default().insert(job);
                    return;
                }
                assert!(matches!(heard.status, 429 | 503), "{heard:?}");
            }
            // A sender that is told to come again does.
            tokio::time::sleep(Duration::from_millis(50 + chance.below(200))).await;
        }
    }
}

#[tokio::test]
async fn two_thousand_events_through_faults_crashes_and_pauses_are_two_thousand_jobs() {
    let cluster = cluster("chaos").await;
    // Suspended: without Pods, whose making would keep the Job controller busy for an hour.
    let changes = json!({"pattern": null, "jobTemplate": {"spec": {"suspend": true}}});
    cluster.create(event_job("chaos", &changes)).await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap().to_owned();
    let start = || Slipway::run(&kubeconfig, &cluster.namespace, &[], &[]);
    let mut replicas = vec![start().await, start().await, start().await];
    break_it(&proxy);

    let sending = Arc::new(Sending::new(&cluster.namespace, &replicas));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let sending = sending.clone();
        senders.spawn(async move { sending.run(sender as u64 + 1).await });
    }
    // Meanwhile replicas are killed, and paused for longer than a create may take.
    let mut chance = Chance::new(7);
    let mut rounds = 0;
    while !sending.work.lock().unwrap().is_empty() {
        let index = usize::try_from(chance.below(3)).unwrap();
        if rounds % 2 == 0 {
            replicas[index].kill();
            replicas[index] = start().await;
            sending.doors.lock().unwrap()[index] = replicas[index].http().to_owned();
        } else {
            replicas[index].freeze(true);
            tokio::time::sleep(Duration::from_millis(1_000 + chance.below(4_000))).await;
            replicas[index].freeze(false);
        }
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    assert!(rounds > 2, "it was over before anything was killed");
    proxy.heal();

    let answered = sending.answered.lock().unwrap().clone();
    assert_eq!(answered.len(), EVENTS);
    let jobs = cluster.jobs().await;
    let mut by_event: BTreeMap<String, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for job in &jobs {
        let id = super::variable(job, "SLIPWAY_EVENT_ID").unwrap();
        *by_event.entry(id).or_default() += 1;
        names.insert(job.metadata.name.clone().unwrap());
    }
    for (id, told) in &answered {
        assert_eq!(
            told.len(),
            1,
            "{id} was answered with several names: {told:?}"
        );
        assert!(
            told.is_subset(&names),
            "{id} was answered with a Job that is not there"
        );
        assert_eq!(by_event.get(id), Some(&1), "Jobs of {id}");
    }
    assert_eq!(jobs.len(), EVENTS, "a Job that no event asked for");

    // Every key is in the ledger in the end, whoever was killed before writing it.
    await_until("every key is written", Duration::from_mins(1), async || {
        (keys(&cluster).await.len() == EVENTS).then_some(())
    })
    .await;
    drop(replicas);
    std::fs::remove_file(&kubeconfig).unwrap();
    cluster.remove().await;
}

/// The keys of the namespace's ledger.
pub(super) async fn keys(cluster: &crate::support::cluster::Cluster) -> BTreeSet<Vec<u8>> {
    use k8s_openapi::api::core::v1::ConfigMap;
    let maps: kube::Api<ConfigMap> =
        kube::Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let shards = kube::api::ListParams::default().labels("slipway.dev/ledger");
    let mut keys = BTreeSet::new();
    for shard in maps.list(&shards).await.unwrap() {
        let bytes = &shard.binary_data.unwrap()["keys"].0;
        // Eight bytes of head, then entries of twenty, sixteen of which are the key.
        for entry in bytes[8..].chunks_exact(20) {
            keys.insert(entry[..16].to_vec());
        }
    }
    keys
}
