//! Real troubles, each of which an alert is about, and what two replicas show meanwhile.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::json;
use slipway::launch::ledger::{Entry, Ledger, MOST_KEYS};

use super::scrape::Scrape;
use super::{Folder, SOON};
use crate::clock::asked::in_cluster;
use crate::clock::{hourly, scheduled};
use crate::controller::{cluster, scaled_job};
use crate::events::{KEY, event_job, renewed};
use crate::support::await_until;
use crate::support::cluster::{Cluster, is_finished};
use crate::support::http::post;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

/// An alert that fires: in which minute of the test it is looked for, and with which labels.
pub(super) struct Expected {
    pub(super) alert: String,
    pub(super) minute: u32,
    pub(super) labels: String,
}

impl Expected {
    fn new(alert: &str, minute: u32, object: &[(&str, &str)]) -> Self {
        let labels = [("alertname", alert)].into_iter().chain(object.to_vec());
        let labels = labels.map(|(label, value)| format!("{label}=\"{value}\""));
        Self {
            alert: alert.to_owned(),
            minute,
            labels: format!("{{{}}}", labels.collect::<Vec<_>>().join(", ")),
        }
    }

    /// All of them: counters right after they rose, what lasts at the end of the long trouble, the leader's end when
    /// nobody has followed.
    pub(super) fn of(trouble: &Trouble) -> Vec<Self> {
        let main = trouble.main.namespace.as_str();
        let event_job = |name| [("namespace", main), ("kind", "EventJob"), ("name", name)];
        let scaled_job = |namespace, name| {
            [
                ("namespace", namespace),
                ("kind", "ScaledJob"),
                ("name", name),
            ]
        };
        let (narrow, full) = (&trouble.narrow.namespace, &trouble.full.namespace);
        vec![
            Self::new("SlipwayJobsFailed", 23, &event_job("brittle")),
            Self::new("SlipwayEventsRefused", 23, &event_job("invoice")),
            Self::new("SlipwayNoSuccess", 219, &event_job("invoice")),
            Self::new("SlipwayNoSuccess", 219, &event_job("hourly")),
            Self::new("SlipwaySourceUnreadable", 219, &scaled_job(main, "unread")),
            Self::new("SlipwayNothingLaunched", 219, &scaled_job(narrow, "stuck")),
            Self::new("SlipwayLedgerNearlyFull", 219, &[("namespace", full)]),
            Self::new("SlipwayCertificateEnds", 219, &[]),
            Self::new("SlipwayNoLeader", 235, &[]),
        ]
    }
}

/// The cluster in which it all happens.
pub(super) struct Trouble {
    main: Cluster,
    /// Where a quota lets no Job in.
    narrow: Cluster,
    /// Whose ledger fills up.
    full: Cluster,
    /// What `unread` looks at.
    queue: Queue,
    /// What `stuck` looks at.
    backlog: Queue,
    certificates: Folder,
    slipway: Mutex<Slipway>,
}

impl Trouble {
    /// Objects that are well, and the first replica.
    pub(super) async fn set_up() -> Self {
        let main = cluster("alerts").await;
        let narrow = cluster("alerts-narrow").await;
        let full = Cluster::new("alerts-full").await;
        for cluster in [&main, &full] {
            cluster.secret("hook", &[("current", KEY)]).await;
        }
        let mut invoice = event_job("invoice", &json!({}));
        invoice["metadata"]["annotations"] = json!({"slipway.dev/expected-interval": "1h"});
        main.create(invoice).await;
        let at_once = json!({"jobTemplate": {"spec": {"backoffLimit": 0}}});
        main.create(event_job("brittle", &at_once)).await;
        // Its interval is known without anybody saying it.
        let hourly = scheduled("hourly", &hourly().0, &json!({}));
        main.create(hourly).await;
        full.create(event_job("many", &json!({}))).await;
        let queue = Queue::new("alerts").await;
        let backlog = Queue::new("alerts-backlog").await;
        main.create(scaled_job("unread", &queue.url, &json!({})))
            .await;
        narrow
            .create(scaled_job("stuck", &backlog.url, &json!({})))
            .await;
        crate::events::answers::use_up_quota(&narrow).await;
        let certificates = Folder::new();
        certify(&certificates, 90);
        let slipway = start(&[&main, &narrow, &full], &certificates);
        Self {
            main,
            narrow,
            full,
            queue,
            backlog,
            certificates,
            slipway: Mutex::new(slipway),
        }
    }

    fn slipway(&self) -> std::sync::MutexGuard<'_, Slipway> {
        self.slipway.lock().unwrap()
    }

    /// Waits until what is shown is as wanted.
    async fn scrape(&self, what: &str, is_wanted: impl Fn(&Scrape) -> bool) -> Scrape {
        let address = self.slipway().health().to_owned();
        await_until(what, SOON, async || {
            let text = crate::support::process::get(&address, "/metrics").await?;
            let scrape = Scrape { at: now(), text };
            is_wanted(&scrape).then_some(scrape)
        })
        .await
    }

    /// An event that becomes a Job.
    async fn send(&self, cluster: &Cluster, name: &str, id: &str) {
        let http = self.slipway().http().to_owned();
        await_until("the event is taken", SOON, async || {
            let event = renewed(id, "sub-1");
            let heard = crate::events::send_to(&http, &cluster.namespace, name, &event).await?;
            (heard.status == 200).then_some(())
        })
        .await;
    }

    /// A Job of the schedule, and its success.
    async fn run_the_schedule(&self) {
        self.scrape("it leads", |scrape| {
            scrape.value("slipway_lease_held", &[]) == Some(1.0)
        })
        .await;
        let (code, text) = in_cluster(&self.main, &["trigger", "hourly"]).await;
        assert_eq!(code, Some(0), "{text}");
        self.main.finish_jobs().await;
    }

    /// All is well: Jobs of `invoice` and `hourly` have succeeded.
    pub(super) async fn quiet(&self) -> Scrape {
        self.send(&self.main, "invoice", "e-1").await;
        self.send(&self.full, "many", "e-1").await;
        self.run_the_schedule().await;
        let main = self.main.namespace.clone();
        self.scrape("all is well", |scrape| {
            let is_well = |name| {
                let object = [("namespace", main.as_str()), ("name", name)];
                let last = scrape.value("slipway_last_success_timestamp_seconds", &object);
                let interval = scrape.value("slipway_success_interval_seconds", &object);
                last.is_some() && interval == Some(3600.0)
            };
            is_well("invoice")
                && is_well("hourly")
                && scrape.value("slipway_active", &[("name", "stuck")]) == Some(0.0)
                && scrape.value("slipway_trigger_failing", &[("name", "unread")]) == Some(0.0)
                && scrape
                    .value(
                        "slipway_ledger_keys",
                        &[("namespace", &self.full.namespace)],
                    )
                    .is_some()
        })
        .await
    }

    /// Everything that an alert is about, but for the leader's end.
    pub(super) async fn troubled(&self) -> Scrape {
        self.send(&self.main, "brittle", "e-2").await;
        await_until("its Job failed", SOON, async || {
            self.main.pods_become("Failed", usize::MAX).await;
            let jobs = self.main.jobs().await;
            jobs.iter().all(is_finished).then_some(())
        })
        .await;
        let gone = Queue::new("alerts-gone").await;
        gone.delete().await;
        self.look_at(&gone).await;
        self.backlog.send(20).await;
        let path = format!("/events/{}/invoice", self.main.namespace);
        let http = self.slipway().http().to_owned();
        let heard = post(&http, &path, &[("x-api-key", "wrong")], "{}").await;
        assert_eq!(heard.unwrap().status, 401);
        self.fill_the_ledger().await;
        certify(&self.certificates, 2);
        let full = self.full.namespace.clone();
        let tenths = |keys: f64| keys > 0.8 * f64::from(u32::try_from(MOST_KEYS).unwrap());
        self.scrape("all the troubles", |scrape| {
            let ends = scrape.value("slipway_tls_certificate_end_timestamp_seconds", &[]);
            let failed = [("name", "brittle"), ("outcome", "failed")];
            let refused = [("name", "invoice"), ("reason", "Unauthorized")];
            let quota = [("name", "stuck"), ("result", "Quota")];
            scrape.value("slipway_jobs_finished_total", &failed) == Some(1.0)
                && scrape.value("slipway_event_refusals_total", &refused) == Some(1.0)
                && scrape.value("slipway_trigger_failing", &[("name", "unread")]) == Some(1.0)
                && scrape.value("slipway_active", &[("name", "stuck")]) == Some(1.0)
                && scrape.value("slipway_launches_total", &quota).is_some()
                && scrape
                    .value("slipway_ledger_keys", &[("namespace", &full)])
                    .is_some_and(tenths)
                && ends.is_some_and(|ends| ends - scrape.at < 3.0 * 86_400.0)
        })
        .await
    }

    /// The leader is killed: what its follower shows before it leads, and when it does and all is well again.
    pub(super) async fn after_the_leaders_end(&self) -> (Scrape, Scrape) {
        self.slipway().kill();
        // Whoever looks after this cluster has mended it meanwhile.
        certify(&self.certificates, 90);
        self.look_at(&self.queue).await;
        let quotas: Api<ResourceQuota> =
            Api::namespaced(self.narrow.client.clone(), &self.narrow.namespace);
        let params = DeleteParams::default();
        quotas.delete("jobs", &params).await.unwrap();
        let shards = ListParams::default().labels("slipway.dev/ledger");
        let deleted = self.ledger().delete_collection(&params, &shards).await;
        deleted.unwrap();
        let clusters = [&self.main, &self.narrow, &self.full];
        *self.slipway() = start(&clusters, &self.certificates);
        let leaderless = self
            .scrape("it does not lead yet", |scrape| {
                scrape.value("slipway_lease_held", &[]) == Some(0.0)
            })
            .await;
        self.send(&self.main, "invoice", "e-3").await;
        self.send(&self.full, "many", "e-3").await;
        self.run_the_schedule().await;
        let succeeded_after = leaderless.at - 1.0;
        let well = self
            .scrape("all is well again", |scrape| {
                let has_succeeded = |name| {
                    let success = "slipway_last_success_timestamp_seconds";
                    let at = scrape.value(success, &[("name", name)]);
                    at.is_some_and(|at| at >= succeeded_after.floor())
                };
                has_succeeded("invoice")
                    && has_succeeded("hourly")
                    && scrape.value("slipway_trigger_failing", &[("name", "unread")]) == Some(0.0)
                    && scrape
                        .value("slipway_jobs_running", &[("name", "stuck")])
                        .is_some_and(|running| running > 0.0)
                    && scrape
                        .value(
                            "slipway_ledger_keys",
                            &[("namespace", &self.full.namespace)],
                        )
                        .is_some_and(|keys| keys < 100.0)
            })
            .await;
        (leaderless, well)
    }

    /// Has `unread` look at a queue.
    async fn look_at(&self, queue: &Queue) {
        let object = scaled_job("unread", &queue.url, &json!({}));
        let triggers = &object["spec"]["triggers"];
        let change = json!({"spec": {"triggers": triggers}});
        self.main.patch_scaled_job("unread", change).await;
    }

    fn ledger(&self) -> Api<ConfigMap> {
        Api::namespaced(self.full.client.clone(), &self.full.namespace)
    }

    /// Nine tenths of what a ledger can hold, written as another replica would.
    async fn fill_the_ledger(&self) {
        let mut ledger = Ledger::new("another");
        let now = wall();
        let entry = |number: usize| {
            let occurrence = format!("{number:064x}");
            // The number stands where the key is taken from, too.
            let occurrence: String = occurrence.chars().rev().collect();
            Entry::new(&occurrence, now, Duration::from_hours(25), 0).unwrap()
        };
        let entries: Vec<Entry> = (0..MOST_KEYS / 10 * 9).map(entry).collect();
        let mut left = entries.as_slice();
        while let Some(write) = ledger.plan(left) {
            let keys = k8s_openapi::ByteString(write.bytes.clone());
            let shard: ConfigMap = serde_json::from_value(json!({
                "metadata": {"name": write.shard, "labels": {"slipway.dev/ledger": "v1"}},
                "binaryData": {"keys": keys},
            }))
            .unwrap();
            let params = PostParams::default();
            if write.version.is_some() {
                let shards = self.ledger();
                shards.replace(&write.shard, &params, &shard).await.unwrap();
            } else {
                self.ledger().create(&params, &shard).await.unwrap();
            }
            left = &left[write.taken..];
            ledger.written(write, "1", Duration::ZERO);
        }
    }

    pub(super) async fn remove(&self) {
        self.slipway().kill();
        for cluster in [&self.main, &self.narrow, &self.full] {
            cluster.remove().await;
        }
    }
}

/// A replica for these namespaces.
fn start(clusters: &[&Cluster], certificates: &Folder) -> Slipway {
    let namespaces = clusters.iter().map(|cluster| cluster.namespace.as_str());
    let namespaces = namespaces.collect::<Vec<_>>().join(",");
    let (certificate, key) = (certificates.file("tls.crt"), certificates.file("tls.key"));
    let arguments = [
        "--grpc-tls-cert",
        certificate.to_str().unwrap(),
        "--grpc-tls-key",
        key.to_str().unwrap(),
    ];
    Slipway::start(&servers::kubeconfig(), &namespaces, &arguments, &[])
}

/// Writes a certificate that is valid for so many days.
fn certify(folder: &Folder, days: i64) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let end = wall() + jiff::SignedDuration::from_hours(24 * days);
    let end = end.to_zoned(TimeZone::UTC).date();
    let (month, day) = (end.month().unsigned_abs(), end.day().unsigned_abs());
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(end.year().into(), month, day);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.file("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.file("tls.key"), key.serialize_pem()).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program looks at the same clock"
)]
fn wall() -> Timestamp {
    Timestamp::now()
}

/// Seconds since 1970.
fn now() -> f64 {
    wall().as_duration().as_secs_f64()
}
