//! The status page and its API: what it says beside `local` and in a cluster, and to whom.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

mod browser;

use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::{Page, post, request};
use crate::support::local::SlipwayLocal;
use crate::support::process::Slipway;
use crate::support::servers;

const SOON: Duration = Duration::from_secs(30);

/// Three EventJobs: one that works, one whose Secret is missing, one by the clock.
pub(crate) const OBJECTS: &str = r#"
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: orders, namespace: shop}
spec:
  source: {webhook: {format: JSON, auth: [{none: {}}]}}
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {annotations: {slipway.dev/local-command: "true"}}
        spec: {restartPolicy: Never, containers: [{name: main, image: example.com/orders}]}
---
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: closed, namespace: shop}
spec:
  source: {webhook: {format: JSON, auth: [{apiKey: {header: x-api-key, secretKeyRefs: [{name: hook, key: key}]}}]}}
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: main, image: example.com/orders}]}
---
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: nightly, namespace: shop}
spec:
  source: {cron: {schedule: "0 3 * * *", timeZone: Europe/Berlin}}
  jobTemplate:
    spec:
      template:
        metadata: {annotations: {slipway.dev/local-command: "true"}}
        spec: {restartPolicy: Never, containers: [{name: main, image: example.com/report}]}
"#;

/// `slipway local` on some objects, and where its page is.
pub(crate) struct LocalPage {
    pub(crate) local: SlipwayLocal,
    pub(crate) address: String,
    pub(crate) token: String,
    _file: File,
}

/// A file that goes with the test.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

impl LocalPage {
    pub(crate) async fn start(name: &str, objects: &str, arguments: &[&str]) -> Self {
        let file = std::env::temp_dir().join(format!("slipway-{name}-{}.yaml", std::process::id()));
        std::fs::write(&file, objects).unwrap();
        let local = SlipwayLocal::start_with(name, std::slice::from_ref(&file), arguments);
        let (address, token) =
            await_until("it says where its page is", SOON, async || local.page()).await;
        Self {
            local,
            address,
            token,
            _file: File(file),
        }
    }

    async fn get(&self, path: &str) -> Page {
        get(&self.address, path).await
    }

    pub(crate) async fn order(&self, id: &str) -> String {
        await_until("the event has its Job", SOON, async || {
            let headers = [("webhook-id", id)];
            let heard = post(self.local.http(), "/events/shop/orders", &headers, "{}").await?;
            (heard.status == 200).then(|| heard.text("jobName").to_owned())
        })
        .await
    }
}

async fn get(address: &str, path: &str) -> Page {
    let page = request(address, &format!("GET {path}"), &[], "").await;
    page.unwrap_or_else(|| panic!("no answer to {path}"))
}

/// An object of `/api/v1/objects`, by its name, once it is as it should be.
pub(crate) async fn object(address: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    await_until(&format!("{name} is as it should be"), SOON, async || {
        let answer = request(address, "GET /api/v1/objects", &[], "")
            .await?
            .json();
        let objects = answer["objects"].as_array()?;
        let found = objects.iter().find(|object| object["name"] == name)?;
        is_so(found).then(|| found.clone())
    })
    .await
}

#[tokio::test]
async fn the_page_of_local_shows_what_is_wrong_what_is_due_and_what_became_of_an_event() {
    let page = LocalPage::start("page-shows", OBJECTS, &[]).await;
    let closed = object(&page.address, "closed", |closed| closed["state"] == "wrong").await;
    assert_eq!(closed["reason"], "SecretMissing");
    let nightly = object(&page.address, "nightly", |nightly| {
        nightly["next"] != json!([])
    })
    .await;
    assert_eq!(nightly["source"], "schedule 0 3 * * * Europe/Berlin");
    let overview = page.get("/").await;
    assert_eq!(overview.status, 200);
    let (trouble, table) = overview.body.split_once("id=\"rows\"").unwrap();
    assert!(
        trouble.contains("shop/</span>closed") && trouble.contains("SecretMissing"),
        "{trouble}"
    );
    assert!(
        table.contains("shop/</span>orders") && table.contains("id=\"due\""),
        "{table}"
    );

    let job = page.order("a-1").await;
    let shown = await_until("the Job is complete on the page", SOON, async || {
        let shown = page.get("/objects/EventJob/shop/orders").await.body;
        (shown.contains(&job) && shown.contains("badge complete")).then_some(shown)
    })
    .await;
    assert!(shown.contains("Events at /events/shop/orders."), "{shown}");
    let way = page.get(&format!("/jobs/shop/{job}")).await.body;
    for step in [
        "event received",
        "Job created",
        "runs",
        "succeeded",
        "Job complete",
    ] {
        assert!(way.contains(step), "{step}: {way}");
    }
    let found = page.get(&format!("/find?q={job}")).await;
    assert_eq!(
        (found.status, found.header("location")),
        (303, format!("/jobs/shop/{job}").as_str())
    );
    let api = page.get(&format!("/api/v1/jobs/shop/{job}")).await.json();
    assert_eq!(api["steps"][0]["step"], "event received");
    let one = page
        .get("/api/v1/objects/eventjob/shop/orders")
        .await
        .json();
    assert_eq!(
        (&one["jobs"][0]["name"], &one["jobs"][0]["state"]),
        (&json!(job), &json!("complete"))
    );
    assert_eq!(page.get("/objects/EventJob/shop/nothing").await.status, 404);
    assert_eq!(page.get("/jobs/shop/nothing").await.status, 404);
    assert_eq!(page.get("/nothing").await.status, 404);
}

#[tokio::test]
async fn a_stream_tells_what_changes_and_nothing_else() {
    let page = LocalPage::start("page-stream", OBJECTS, &[]).await;
    object(&page.address, "closed", |closed| closed["state"] == "wrong").await;
    object(&page.address, "orders", |orders| orders["state"] == "quiet").await;
    let mut stream = TcpStream::connect(&page.address).await.unwrap();
    let ask = format!(
        "GET /api/v1/stream HTTP/1.1\r\nHost: {}\r\n\r\n",
        page.address
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut heard = String::new();
    listen(&mut stream, &mut heard, "\"rows\":").await;
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    assert!(heard.contains("row/EventJob/shop/orders"), "{heard}");
    let mut heard = String::new();
    page.order("s-1").await;
    listen(&mut stream, &mut heard, "row/EventJob/shop/orders").await;
    assert!(
        !heard.contains("row/EventJob/shop/closed"),
        "it has not changed: {heard}"
    );
}

/// Reads on until a text came.
async fn listen(stream: &mut TcpStream, heard: &mut String, until: &str) {
    let read = async {
        let mut bytes = vec![0; 64 * 1024];
        while !heard.contains(until) {
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the stream ended: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    let in_time = tokio::time::timeout(SOON, read).await;
    assert!(in_time.is_ok(), "{until} did not come");
}

#[tokio::test]
async fn strangers_neither_read_nor_write() {
    let page = LocalPage::start("page-strangers", OBJECTS, &["--admin-host", "slipway.test"]).await;
    let send = async |line: &str, headers: &[(&str, &str)], body: &str| {
        request(&page.address, line, headers, body).await.unwrap()
    };
    for (host, status) in [
        ("attacker.example", 421),
        ("10.1.2.3", 421),
        ("localhost:1", 200),
        ("slipway.test", 200),
    ] {
        let answer = send("GET /", &[("host", host)], "").await;
        assert_eq!(answer.status, status, "{host}");
    }
    let answer = page.get("/").await;
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let origin = format!("http://{}", page.address);
    let action = r#"{"action":"trigger","kind":"EventJob","namespace":"shop","name":"nightly"}"#;
    let json = ("content-type", "application/json");
    let answer = send("POST /api/v1/actions", &[json, ("origin", &origin)], action).await;
    assert_eq!(
        (answer.status, answer.json()["reason"].as_str()),
        (403, Some("WritesOff"))
    );
    assert_eq!(send("POST /", &[], "x").await.status, 405);
    assert_eq!(send("DELETE /api/v1/objects", &[], "").await.status, 405);
    let long = format!("GET /{}", "x".repeat(20_000));
    assert_eq!(send(&long, &[], "").await.status, 431);
}

#[tokio::test]
async fn whoever_has_the_token_may_trigger_a_schedule() {
    let page = LocalPage::start("page-trigger", OBJECTS, &["--admin-write"]).await;
    assert_eq!(
        page.token.len(),
        32,
        "it is printed: {}",
        page.local.output()
    );
    object(&page.address, "nightly", |nightly| {
        nightly["next"] != json!([])
    })
    .await;
    let origin = format!("http://{}", page.address);
    let action = r#"{"action":"trigger","kind":"EventJob","namespace":"shop","name":"nightly"}"#;
    let send = async |origin: &str, kind: &str, token: &str| {
        let headers = [
            ("origin", origin),
            ("content-type", kind),
            ("x-slipway-token", token),
        ];
        let answer = request(&page.address, "POST /api/v1/actions", &headers, action)
            .await
            .unwrap();
        (answer.status, answer.json())
    };
    let json = "application/json";
    assert_eq!(
        send("http://attacker.example", json, &page.token).await.0,
        403
    );
    assert_eq!(send(&origin, "text/plain", &page.token).await.0, 415);
    assert_eq!(send(&origin, json, "wrong").await.0, 401);
    assert_eq!(page.local.jobs("shop").len(), 0);
    let (status, answer) = send(&origin, json, &page.token).await;
    assert_eq!(status, 200, "{answer}");
    await_until("the Job is there", SOON, async || {
        (page.local.jobs("shop").len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_has_the_token_may_run_a_failed_job_again() {
    let objects = OBJECTS.replace("\"true\"", "\"exit 3\"");
    let page = LocalPage::start("page-rerun", &objects, &["--admin-write"]).await;
    let job = page.order("r-1").await;
    await_until("it has failed", SOON, async || {
        let way = page.get(&format!("/jobs/shop/{job}")).await.body;
        (way.contains("exit code 3") && way.contains("Job failed")).then_some(())
    })
    .await;
    let origin = format!("http://{}", page.address);
    let headers = [
        ("origin", origin.as_str()),
        ("content-type", "application/json"),
        ("x-slipway-token", page.token.as_str()),
    ];
    let action = json!({"action": "rerun", "kind": "Job", "namespace": "shop", "name": job});
    let line = "POST /api/v1/actions";
    let answer = request(&page.address, line, &headers, &action.to_string()).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(page.local.jobs("shop").len(), 2, "its second attempt");
    let action = json!({"action": "rerun", "kind": "Job", "namespace": "shop", "name": "nothing"});
    let answer = request(&page.address, line, &headers, &action.to_string()).await;
    assert_eq!(answer.unwrap().status, 409);
}

fn event_job(name: &str, source: &Value) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
        "metadata": {"name": name},
        "spec": {
            "source": source,
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "example.com/x"}],
            }}}},
        },
    })
}

#[tokio::test]
async fn every_replica_shows_what_the_api_server_shows() {
    let cluster = Cluster::new("page").await;
    cluster
        .create(event_job(
            "orders",
            &json!({"webhook": {"format": "JSON", "auth": [{"none": {}}]}}),
        ))
        .await;
    cluster
        .create(event_job(
            "nightly",
            &json!({"cron": {"schedule": "0 3 * * *"}}),
        ))
        .await;
    let secret = json!({"apiKey": {"header": "x-api-key", "secretKeyRefs": [{"name": "hook", "key": "key"}]}});
    cluster
        .create(event_job(
            "closed",
            &json!({"webhook": {"format": "JSON", "auth": [secret]}}),
        ))
        .await;
    let kubeconfig = servers::kubeconfig();
    let token = std::env::temp_dir().join(format!("{}.token", cluster.namespace));
    std::fs::write(&token, "a-token-of-many-letters\n").unwrap();
    let file = token.to_str().unwrap();
    let admin = [
        "--admin",
        "127.0.0.1:0",
        "--admin-write",
        "--admin-token-file",
        file,
    ];
    let one = Slipway::run(&kubeconfig, &cluster.namespace, &admin, &[]).await;
    let other = Slipway::run(&kubeconfig, &cluster.namespace, &admin, &[]).await;
    let pages = [one.page().unwrap(), other.page().unwrap()];
    let posted = post(
        other.http(),
        &format!("/events/{}/orders", cluster.namespace),
        &[("webhook-id", "p-1")],
        "{}",
    )
    .await;
    let job = posted.unwrap().text("jobName").to_owned();
    let mut leads = Vec::new();
    for page in &pages {
        let closed = object(page, "closed", |closed| closed["state"] == "wrong").await;
        assert_eq!(closed["reason"], "SecretMissing");
        object(page, "orders", |orders| orders["running"] == 1).await;
        object(page, "nightly", |nightly| nightly["next"] != json!([])).await;
        let way = get(page, &format!("/jobs/{}/{job}", cluster.namespace))
            .await
            .body;
        assert!(
            way.contains("event received") && way.contains("Job created"),
            "{way}"
        );
        let all = get(page, "/api/v1/objects").await.json();
        leads.push(all["leads"] == true);
        let overview = get(page, "/").await.body;
        assert!(
            overview.contains("any replica shows the same"),
            "{overview}"
        );
    }
    leads.sort_unstable();
    assert_eq!(leads, [false, true], "one of them leads, and says so");

    let origin = format!("http://{}", pages[1]);
    let action = json!({"action": "trigger", "kind": "EventJob", "namespace": cluster.namespace, "name": "nightly"});
    let headers = [
        ("origin", origin.as_str()),
        ("content-type", "application/json"),
        ("x-slipway-token", "a-token-of-many-letters"),
    ];
    let answer = request(
        &pages[1],
        "POST /api/v1/actions",
        &headers,
        &action.to_string(),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    cluster.await_jobs(2).await;
    let events = cluster.events().await;
    assert!(
        events
            .iter()
            .any(|event| event.contains("trigger: a Job was asked for through the status page")),
        "{events:?}"
    );
    std::fs::remove_file(&token).unwrap();
    cluster.remove().await;
}
