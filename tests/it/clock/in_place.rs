//! CronJobs that are handed over to Slipway and given back, beside the real CronJob controller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{A_MINUTE, SOON, due, now};
use crate::controller::rights::{CRON_JOB_RIGHTS, RIGHTS, grant_rights};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::process::Slipway;
use crate::support::servers;

const CRON_JOBS: usize = 50;
/// Jobs go as soon as they may, so that it is seen who removes them.
const TIDYING: [&str; 5] = [
    "--cron-jobs-in-place",
    "--unseen-grace",
    "0s",
    "--ledger-grace",
    "1s",
];
const OURS: &str = "slipway.dev/cronjob";

pub(super) fn cron_jobs(cluster: &Cluster) -> Api<CronJob> {
    Api::namespaced(cluster.client.clone(), &cluster.namespace)
}

/// One that is due each minute, with changes of its spec.
pub(super) async fn create(cluster: &Cluster, name: &str, changes: &Value) {
    let mut spec = json!({
        "schedule": "* * * * *",
        "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "example.com/a:1"}],
        }}}},
    });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let manifest = json!({"metadata": {"name": name}, "spec": spec});
    let manifest = serde_json::from_value(manifest).unwrap();
    let parameters = PostParams::default();
    cron_jobs(cluster)
        .create(&parameters, &manifest)
        .await
        .unwrap();
}

pub(super) async fn change(cluster: &Cluster, name: &str, change: Value) {
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(change));
    let cron_jobs = cron_jobs(cluster);
    cron_jobs.patch(name, &parameters, &patch).await.unwrap();
}

pub(super) async fn hand_over(cluster: &Cluster, name: &str) {
    let annotations = json!({"slipway.dev/managed": "true"});
    let handed_over = json!({"metadata": {"annotations": annotations}, "spec": {"suspend": true}});
    change(cluster, name, handed_over).await;
}

async fn give_back(cluster: &Cluster, name: &str) {
    let annotations = json!({"slipway.dev/managed": null});
    let given_back = json!({"metadata": {"annotations": annotations}, "spec": {"suspend": false}});
    change(cluster, name, given_back).await;
}

/// Waits for the next full minute, and gives its number. A whole second before it is enough for what comes next.
async fn almost_a_minute() -> i64 {
    let next = now().as_second().div_euclid(60) + 1;
    let wait = next * 60 - 2 - now().as_second();
    let next = if wait < 0 { next + 1 } else { next };
    await_until("a minute is about to begin", A_MINUTE, async || {
        (now().as_second() >= next * 60 - 2).then_some(())
    })
    .await;
    next
}

/// Changes each of them at its own moment, from two seconds before a full minute to two seconds after.
async fn around_a_minute(change: impl AsyncFn(usize)) -> i64 {
    let minute = almost_a_minute().await;
    let each = Duration::from_secs(4) / u32::try_from(CRON_JOBS).unwrap();
    let began = tokio::time::Instant::now();
    let changes = (0..CRON_JOBS).map(|number| {
        let change = &change;
        async move {
            tokio::time::sleep_until(began + each * u32::try_from(number).unwrap()).await;
            change(number).await;
        }
    });
    join_all(changes).await;
    minute
}

/// Every Job that there ever was, by name: its UIDs, whose it is, and its due time.
#[derive(Default)]
struct Seen {
    jobs: BTreeMap<String, (BTreeSet<String>, Job)>,
}

impl Seen {
    /// From now on, as long as the task is kept.
    fn start(cluster: &Cluster) -> (Arc<Mutex<Self>>, JoinSet<()>) {
        let seen = Arc::new(Mutex::new(Self::default()));
        let jobs = cluster.job_api();
        let mut task = JoinSet::new();
        task.spawn({
            let seen = seen.clone();
            async move {
                let mut events = watcher(jobs, watcher::Config::default()).boxed();
                while let Some(event) = events.next().await {
                    let Ok(watcher::Event::Apply(job) | watcher::Event::InitApply(job)) = event
                    else {
                        continue;
                    };
                    let name = job.metadata.name.clone().unwrap();
                    let uid = job.metadata.uid.clone().unwrap();
                    let mut seen = seen.lock().unwrap();
                    let (uids, last) = seen
                        .jobs
                        .entry(name)
                        .or_insert_with(|| (BTreeSet::new(), job.clone()));
                    uids.insert(uid);
                    *last = job;
                }
            }
        });
        (seen, task)
    }

    fn names(&self, is: impl Fn(&Job) -> bool) -> Vec<String> {
        let jobs = self.jobs.iter().filter(|(_, (_, job))| is(job));
        jobs.map(|(name, _)| name.clone()).collect()
    }
}

fn is_ours(job: &Job) -> bool {
    let labels = job.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(OURS))
}

pub(super) async fn slipway(cluster: &Cluster) -> Slipway {
    grant_rights(cluster, RIGHTS.iter().chain(&CRON_JOB_RIGHTS)).await;
    slipway_again(cluster).await
}

/// One whose rights were granted.
pub(super) async fn slipway_again(cluster: &Cluster) -> Slipway {
    let kubeconfig = servers::named("KUBECONFIG_LIMITED");
    Slipway::run(&kubeconfig, &cluster.namespace, &TIDYING, &[]).await
}

/// Each due time has its Job, once; those of ours are not controlled by their CronJob. Gives their names.
fn once_each(
    seen: &Seen,
    cron_jobs: &[String],
    minutes: std::ops::RangeInclusive<i64>,
) -> BTreeSet<String> {
    for name in cron_jobs {
        for minute in minutes.clone() {
            let job = format!("{name}-{minute}");
            let made = seen.jobs.get(&job).map(|(uids, _)| uids.len());
            assert_eq!(made, Some(1), "{job}");
        }
    }
    // A due time has no Job of another name either.
    let due_times = seen.jobs.values().map(|(_, job)| {
        let owners = job.metadata.owner_references.clone().unwrap();
        (due(job), owners[0].name.clone())
    });
    assert_eq!(due_times.collect::<BTreeSet<_>>().len(), seen.jobs.len());
    let ours: BTreeSet<String> = seen.names(is_ours).into_iter().collect();
    for name in &ours {
        let (_, job) = &seen.jobs[name];
        let owner = &job.metadata.owner_references.as_ref().unwrap()[0];
        let (kind, controls) = (&*owner.kind, owner.controller);
        assert_eq!((kind, controls), ("CronJob", Some(false)), "{name}");
    }
    ours
}

#[tokio::test]
async fn fifty_cron_jobs_are_handed_over_and_given_back_at_a_tick_and_lose_and_double_nothing() {
    let cluster = Cluster::new("in-place-tick").await;
    let (seen, _watch) = Seen::start(&cluster);
    let _slipway = slipway(&cluster).await;
    let names: Vec<String> = (0..CRON_JOBS)
        .map(|number| format!("report-{number}"))
        .collect();
    let one = json!({"successfulJobsHistoryLimit": 1});
    for name in &names {
        create(&cluster, name, &one).await;
    }
    let first = now().as_second().div_euclid(60) + 1;
    let has = |minute: i64| {
        let seen = seen.lock().unwrap();
        let mut names = names.iter();
        names.all(|name| seen.jobs.contains_key(&format!("{name}-{minute}")))
    };
    let made = async |minute: i64| {
        let what = format!("all Jobs of minute {minute}");
        await_until(&what, A_MINUTE * 2, async || has(minute).then_some(())).await;
    };
    // The real controller makes the first ones.
    made(first).await;
    let hands = async |number: usize| hand_over(&cluster, &names[number]).await;
    let taken = around_a_minute(hands).await;
    made(taken).await;
    made(taken + 1).await;
    // What is ours has run, and its history is ours to keep.
    let of_ours = seen.lock().unwrap().names(is_ours);
    assert!(of_ours.len() >= CRON_JOBS, "{}", of_ours.len());
    await_until("they have run", A_MINUTE, async || {
        cluster.pods_become("Succeeded", usize::MAX).await;
        let jobs = cluster.jobs().await;
        jobs.iter().all(is_finished).then_some(())
    })
    .await;
    let given =
        around_a_minute(async |number: usize| give_back(&cluster, &names[number]).await).await;
    made(given).await;
    made(given + 1).await;
    let last = given + 1;

    let ours = once_each(&seen.lock().unwrap(), &names, first..=last);
    // The real controller does not know ours; of its own it may forget one whose CronJob somebody edits at that moment.
    for event in cluster.events().await {
        let unexpected = event.strip_prefix("UnexpectedJob: ");
        let about = unexpected.and_then(|text| text.rsplit_once(": "));
        assert!(about.is_none_or(|(_, job)| !ours.contains(job)), "{event}");
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_cron_job_in_place_keeps_its_policy_its_history_and_its_last_schedule_time() {
    let cluster = Cluster::new("in-place").await;
    let (seen, _watch) = Seen::start(&cluster);
    let slipway = slipway(&cluster).await;
    create(&cluster, "plain", &json!({"successfulJobsHistoryLimit": 1})).await;
    create(&cluster, "forbids", &json!({"concurrencyPolicy": "Forbid"})).await;
    create(
        &cluster,
        "replaces",
        &json!({"concurrencyPolicy": "Replace"}),
    )
    .await;
    create(&cluster, "paused", &json!({})).await;
    let has = |name: &str| {
        let seen = seen.lock().unwrap();
        let prefix = format!("{name}-");
        let mut names = seen.jobs.keys();
        names.any(|job| job.starts_with(&prefix))
    };
    await_until("the real controller has begun", A_MINUTE, async || {
        let all = ["plain", "forbids", "paused"];
        all.into_iter().all(has).then_some(())
    })
    .await;
    let paused = json!({"metadata": {"annotations": {"slipway.dev/paused": "true"}}});
    change(&cluster, "paused", paused).await;
    for name in ["plain", "forbids", "replaces", "paused"] {
        hand_over(&cluster, name).await;
    }
    await_until("what cannot be run in place is told", SOON, async || {
        let events = cluster.events().await;
        let told =
            |event: &String| event.contains("does not run it in place: spec.concurrencyPolicy");
        events.iter().any(told).then_some(())
    })
    .await;
    let ours = |name: &str| {
        let seen = seen.lock().unwrap();
        let prefix = format!("{name}-");
        let mut names = seen.names(is_ours);
        names.retain(|job| job.starts_with(&prefix));
        names
    };
    await_until("two of ours", A_MINUTE * 3, async || {
        (ours("plain").len() >= 2).then_some(())
    })
    .await;
    // A Job that the real controller made has not ended.
    assert_eq!(ours("forbids"), Vec::<String>::new());
    assert_eq!(ours("paused"), Vec::<String>::new());
    assert_eq!(ours("replaces"), Vec::<String>::new());
    let events = cluster.events().await;
    let told = |event: &String| event.contains("JobAlreadyActive");
    assert!(events.iter().any(told), "{events:?}\n{}", slipway.log());
    let status = cron_jobs(&cluster)
        .get("plain")
        .await
        .unwrap()
        .status
        .unwrap();
    let last = status.last_schedule_time.unwrap().0;
    let newest = ours("plain").pop().unwrap();
    let minute: i64 = newest.rsplit_once('-').unwrap().1.parse().unwrap();
    assert!(
        (last.as_second() / 60 - minute).abs() <= 1,
        "{last} {newest}"
    );

    cluster.finish_jobs().await;
    await_until("one of ours that has ended is left", A_MINUTE, async || {
        let jobs = cluster.jobs().await;
        let of_plain = |job: &&Job| is_ours(job) && is_finished(job);
        let mut names = jobs.iter().filter(of_plain);
        let left = names
            .by_ref()
            .filter(|job| job.metadata.name.as_ref().unwrap().starts_with("plain-"));
        (left.count() == 1).then_some(())
    })
    .await;
    cluster.remove().await;
}
