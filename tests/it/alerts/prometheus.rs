//! A real Prometheus scrapes the built binary, with the chart's rules.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Folder, SOON, dashboard, rules};
use crate::controller::{cluster, scaled_job};
use crate::events::{KEY, deliver, event_job, renewed};
use crate::support::await_until;
use crate::support::process::{Slipway, free_port};
use crate::support::queue::Queue;
use crate::support::servers;

/// A Prometheus with the chart's rules that scrapes every second; killed when dropped.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
    _folder: Folder,
}

impl Prometheus {
    /// One that scrapes what a `scrape_config` names.
    pub(crate) async fn scraping(what: &Value) -> Self {
        let mut scraped = json!({
            "job_name": "slipway",
            // As in the chart's monitors: the labels are those of the objects.
            "honor_labels": true,
        });
        for (field, value) in what.as_object().unwrap() {
            scraped[field] = value.clone();
        }
        let folder = Folder::new();
        let address = format!("127.0.0.1:{}", free_port());
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules()],
            "scrape_configs": [scraped],
        });
        let file = folder.file("prometheus.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let log = fs::File::create(folder.file("log")).unwrap();
        let child = Command::new(servers::named("TEST_PROMETHEUS"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.file("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Self {
            child,
            address,
            _folder: folder,
        };
        await_until("Prometheus is ready", SOON, async || {
            let ready = prometheus.get("/-/ready").await?;
            ready.contains("Ready").then_some(())
        })
        .await;
        prometheus
    }

    /// The body behind a path. HTTP/1.0, so that it comes in one piece.
    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(body.to_owned())
    }

    /// What a query comes to now.
    pub(crate) async fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}")).await;
        let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The alerts that fire. Every rule is valid.
    pub(crate) async fn firing(&self) -> Vec<String> {
        let rules = self.get("/api/v1/rules").await.unwrap();
        let rules: Value = serde_json::from_str(&rules).unwrap();
        let groups = rules["data"]["groups"].as_array().unwrap();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let mut firing = Vec::new();
        for rule in rules {
            assert_eq!(rule["health"], "ok", "{rule}");
            if rule["state"] == "firing" {
                firing.push(rule["name"].as_str().unwrap().to_owned());
            }
        }
        firing
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_real_prometheus_scrapes_it_and_answers_what_people_ask() {
    let cluster = cluster("prometheus").await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster.create(event_job("invoice", &json!({}))).await;
    let queue = Queue::new("prometheus").await;
    queue.send(20).await;
    cluster
        .create(scaled_job("orders", &queue.url, &json!({})))
        .await;
    let slipway = Slipway::run(&servers::kubeconfig(), &cluster.namespace, &[], &[]).await;
    let target = json!({"targets": [slipway.health()], "labels": {"namespace": "slipway"}});
    let prometheus = Prometheus::scraping(&json!({"static_configs": [target]})).await;
    let namespace = &cluster.namespace;
    // The first of a series is no increase; so there are Jobs until there is one.
    let asked = format!(
        "histogram_quantile(0.95, rate(job_duration_seconds_bucket{{namespace=\"{namespace}\"}}[1h]))"
    );
    let mut sent = 0;
    let found = await_until("a quantile", Duration::from_mins(2), async || {
        sent += 1;
        let event = renewed(&format!("e-{sent}"), "sub-1");
        deliver(&slipway, &cluster, "invoice", &event).await;
        cluster.finish_jobs().await;
        let found = prometheus.query(&asked).await;
        // The ScaledJob's Jobs end here too.
        let is_number = |series: &Value| {
            let value = series["value"][1].as_str().unwrap();
            let value: f64 = value.parse().unwrap();
            series["metric"]["kind"] == "EventJob" && value.is_finite()
        };
        found.into_iter().find(is_number)
    })
    .await;
    // The labels of the object, not of the target; those of the target where the program has none.
    assert_eq!(found["metric"]["namespace"], **namespace);
    assert_eq!(found["metric"]["name"], "invoice");
    let lease = prometheus.query("slipway_lease_held").await;
    assert_eq!(lease[0]["metric"]["namespace"], "slipway");

    for (title, query) in dashboard::queries() {
        let found = prometheus.query(&query).await;
        // Nothing of these is in this cluster: no certificate, no failure, no schedule, no KEDA, no other payload.
        let may_be_empty = [
            "First certificate ends in",
            "Sources that cannot be read",
            "Since the last success",
            "Refused and filtered events",
            "Calls of KEDA",
            "Jobs waiting for their turn",
        ];
        assert!(
            !found.is_empty() || may_be_empty.contains(&title.as_str()),
            "{title}: {query}"
        );
    }
    assert_eq!(prometheus.firing().await, Vec::<String>::new());
    drop(prometheus);
    cluster.remove().await;
}
