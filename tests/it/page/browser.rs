//! The page in a real Chromium: what it shows, that it follows, what it asks for, and who can use it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::{LocalPage, OBJECTS, SOON, event_job, object};
use crate::support::await_until;
use crate::support::browser::Browser;
use crate::support::chance::Chance;
use crate::support::cluster::Cluster;
use crate::support::http::post;
use crate::support::process::Slipway;
use crate::support::servers;

const CHECKS: &str = include_str!("checks.js");
/// A phone, a tablet, a desk.
const SIZES: [(u32, u32); 3] = [(390, 844), (820, 1180), (1280, 900)];
/// What the connection says once the page follows.
const LIVE: &str = "return document.getElementById('connection').className === 'live'";

/// Where pictures are put: `SLIPWAY_PAGE_PICTURES`, or the tests' own folder.
fn pictures() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let folder = std::env::var("SLIPWAY_PAGE_PICTURES")
        .ok()
        .filter(|folder| !folder.is_empty());
    let folder = folder.map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("page"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What is wrong with the page that is open, at every size, light and dark; a picture of each.
async fn look_everywhere(browser: &Browser, name: &str) {
    let mut wrong = Vec::new();
    for (width, height) in SIZES {
        for scheme in ["light", "dark"] {
            browser.looks(width, height, scheme).await;
            let found = browser.run(CHECKS).await;
            let found = found
                .as_array()
                .unwrap()
                .iter()
                .map(|text| format!("{width} {scheme}: {text}"));
            wrong.extend(found);
            let picture = browser.picture().await;
            std::fs::write(
                pictures().join(format!("{name}-{width}-{scheme}.png")),
                picture,
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

/// Everything came from the page's own origin, and nothing in it was refused.
async fn asked_nobody_else(browser: &Browser, address: &str) {
    let asked = browser.asked_for().await;
    let own = format!("http://{address}/");
    // A new window shows a page of the browser's own at first.
    let is_other = |url: &&String| {
        !url.starts_with(&own) && !url.starts_with("chrome:") && !url.starts_with("data:")
    };
    let others: Vec<_> = asked.iter().filter(is_other).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(
        asked.iter().any(|url| url.contains("/api/v1/stream")),
        "{asked:?}"
    );
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[tokio::test]
async fn it_shows_what_happens_while_it_happens() {
    let page = LocalPage::start("browser-live", OBJECTS, &[]).await;
    object(&page.address, "closed", |closed| closed["state"] == "wrong").await;
    let browser = Browser::start().await;
    browser.open(&format!("http://{}/", page.address)).await;
    browser.await_true("it is live", LIVE).await;
    let heading = browser
        .run("return document.querySelector('h1').textContent")
        .await;
    assert_eq!(heading, "What Slipway does");
    let trouble = browser
        .run("return document.getElementById('trouble').textContent")
        .await;
    assert!(
        trouble.as_str().unwrap().contains("SecretMissing"),
        "{trouble}"
    );
    look_everywhere(&browser, "overview").await;

    // The same document, all the time.
    browser
        .run("window.mark = 'kept'; document.querySelector('#rows a').focus()")
        .await;
    page.order("b-1").await;
    let row = "document.getElementById('row/EventJob/shop/orders')";
    browser
        .await_true("the event is in its row", &format!("return {row}.textContent.includes('its Job') || !{row}.textContent.includes('never')"))
        .await;
    assert_eq!(browser.run("return window.mark").await, "kept");
    let focused = browser.run("return document.activeElement.tagName").await;
    assert_eq!(focused, "A", "what has the focus keeps it");
    asked_nobody_else(&browser, &page.address).await;

    // The object, and the event's way.
    browser
        .run(&format!("{row}.querySelector('a').click()"))
        .await;
    browser
        .await_true(
            "its page",
            "return location.pathname === '/objects/EventJob/shop/orders'",
        )
        .await;
    browser.await_true("it is live", LIVE).await;
    browser
        .await_true(
            "its Job is complete",
            "return document.querySelector('#jobs .complete') !== null",
        )
        .await;
    look_everywhere(&browser, "object").await;
    browser
        .run("document.querySelector('#jobs a').click()")
        .await;
    browser
        .await_true("the way", "return (document.getElementById('way') || {textContent: ''}).textContent.includes('Job complete')")
        .await;
    look_everywhere(&browser, "way").await;
    asked_nobody_else(&browser, &page.address).await;
}

#[tokio::test]
async fn it_says_when_the_connection_is_lost_and_goes_on_when_it_is_back() {
    let page = LocalPage::start("browser-lost", OBJECTS, &[]).await;
    let address = page.address.clone();
    let browser = Browser::start().await;
    browser.open(&format!("http://{address}/")).await;
    browser.await_true("it is live", LIVE).await;
    drop(page);
    browser
        .await_true("it says so", "return document.getElementById('connection').textContent.startsWith('Connection lost at')")
        .await;
    let again = LocalPage::start("browser-back", OBJECTS, &["--admin", &address]).await;
    assert_eq!(again.address, address);
    browser.await_true("it is live again", LIVE).await;
}

#[tokio::test]
async fn a_thousand_objects_do_not_make_it_stutter() {
    let mut objects = OBJECTS.to_owned();
    for index in 0..1_000 {
        let manifest = event_job(
            &format!("many-{index:04}"),
            &json!({"webhook": {"format": "JSON", "auth": [{"none": {}}]}}),
        );
        let mut manifest = manifest;
        manifest["metadata"]["namespace"] = "many".into();
        manifest["spec"]["jobTemplate"]["spec"]["template"]["metadata"] =
            json!({"annotations": {"slipway.dev/local-command": "true"}});
        write!(objects, "---\n{manifest}\n").unwrap();
    }
    let page = LocalPage::start("browser-many", &objects, &[]).await;
    object(&page.address, "many-0999", |many| many["state"] == "quiet").await;
    let browser = Browser::start().await;
    browser.looks(1280, 900, "light").await;
    browser.open(&format!("http://{}/", page.address)).await;
    browser.await_true("it is live", LIVE).await;
    let rows = browser
        .run("return document.getElementById('rows').children.length")
        .await;
    assert_eq!(rows, 100, "a page of the table");
    assert_eq!(
        browser
            .run("return document.querySelector('#pages p').textContent")
            .await,
        "1 to 100 of 1003"
    );
    // How long the browser was busy without a pause, from here on.
    let watch = "window.longest = 0; window.changes = 0;
        new PerformanceObserver((list) => { for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration); })
            .observe({entryTypes: ['longtask']});
        new MutationObserver((changes) => { window.changes += changes.length; })
            .observe(document.getElementById('rows'), {childList: true});";
    browser.run(watch).await;
    for index in 0..40 {
        let path = format!("/events/many/many-{index:04}");
        let heard = post(page.local.http(), &path, &[("webhook-id", "x")], "{}")
            .await
            .unwrap();
        assert_eq!(heard.status, 200, "{heard:?}");
    }
    browser
        .await_true("forty rows changed", "return window.changes >= 40")
        .await;
    let longest = browser.run("return window.longest").await;
    // Alone on the machine it is some frames; beside other work, which is counted with it, this must not fail.
    assert!(
        longest.as_f64().unwrap() < 600.0,
        "the browser was busy for {longest} ms without a pause"
    );
    let next =
        "[...document.querySelectorAll('#pages a')].find((link) => link.textContent === 'Next')";
    browser.run(&format!("{next}.click()")).await;
    let second = "return document.querySelector('#pages p').textContent === '101 to 200 of 1003'";
    browser.await_true("the second page", second).await;
    browser
        .open(&format!("http://{}/?page=11", page.address))
        .await;
    browser
        .await_true(
            "the last page",
            "return document.querySelectorAll('#rows tr').length === 3",
        )
        .await;
    browser
        .run("const form = document.querySelector('main form'); form.elements.q.value = 'many-0500'; form.requestSubmit()")
        .await;
    browser
        .await_true(
            "the one that was sought",
            "return document.querySelectorAll('#rows tr').length === 1",
        )
        .await;
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let page = LocalPage::start("browser-keys", OBJECTS, &[]).await;
    object(&page.address, "closed", |closed| closed["state"] == "wrong").await;
    let browser = Browser::start().await;
    browser.looks(1280, 900, "light").await;
    browser.open(&format!("http://{}/", page.address)).await;
    browser.await_true("it is live", LIVE).await;
    browser.press("Tab").await;
    let first = browser
        .run("return document.activeElement.textContent")
        .await;
    assert_eq!(first, "Skip to the content");
    browser.press("Enter").await;
    browser
        .await_true(
            "the content has the focus",
            "return document.activeElement.id === 'main'",
        )
        .await;
    let mut reached = Vec::new();
    for _ in 0..30 {
        browser.press("Tab").await;
        let shown = "const it = document.activeElement; const style = getComputedStyle(it);
            return [it.textContent || it.name, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]";
        let at = browser.run(shown).await;
        assert_eq!(at[1], true, "the focus is seen: {at}");
        reached.push(at[0].as_str().unwrap_or_default().to_owned());
        if reached.last().is_some_and(|text| text == "shop/orders") {
            break;
        }
    }
    assert_eq!(
        reached.last().map(String::as_str),
        Some("shop/orders"),
        "{reached:?}"
    );
    browser.press("Enter").await;
    browser
        .await_true(
            "its page",
            "return location.pathname === '/objects/EventJob/shop/orders'",
        )
        .await;
}

#[tokio::test]
async fn nothing_that_a_stranger_writes_runs() {
    let hostile = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>";
    let objects = format!(
        "{OBJECTS}---\n{}\n",
        json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
            "metadata": {"name": "hostile", "namespace": "shop"},
            "spec": {
                "source": {"webhook": {"format": hostile}},
                "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}}},
            },
        })
    );
    let page = LocalPage::start("browser-hostile", &objects, &[]).await;
    let shown = object(&page.address, "hostile", |hostile| {
        hostile["state"] == "wrong"
    })
    .await;
    assert!(
        shown["message"].as_str().unwrap().contains("<img"),
        "its words are shown: {shown}"
    );
    let browser = Browser::start().await;
    for path in [
        "/",
        "/objects/EventJob/shop/hostile",
        "/find?q=%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E",
    ] {
        browser
            .open(&format!("http://{}{path}", page.address))
            .await;
        let text = browser.run("return document.body.textContent").await;
        assert!(
            text.as_str().unwrap().contains("window.hacked=1"),
            "{path}: {text}"
        );
        assert_eq!(
            browser.run("return window.hacked === undefined").await,
            true,
            "{path}"
        );
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "{path}: {complaints:?}");
    }
}

#[tokio::test]
async fn it_follows_a_cluster_on_a_replica_that_does_not_lead() {
    let cluster = Cluster::new("browser").await;
    let open = json!({"webhook": {"format": "JSON", "auth": [{"none": {}}]}});
    cluster.create(event_job("orders", &open)).await;
    let kubeconfig = servers::kubeconfig();
    let admin = ["--admin", "127.0.0.1:0"];
    let leader = Slipway::run(&kubeconfig, &cluster.namespace, &[], &[]).await;
    await_until("it leads", SOON, async || {
        leader
            .get("/metrics")
            .await?
            .contains("slipway_lease_held 1")
            .then_some(())
    })
    .await;
    let other = Slipway::run(&kubeconfig, &cluster.namespace, &admin, &[]).await;
    let address = other.page().unwrap();
    object(&address, "orders", |orders| orders["state"] == "quiet").await;
    let browser = Browser::start().await;
    browser.open(&format!("http://{address}/")).await;
    browser.await_true("it is live", LIVE).await;
    let memory = browser
        .run("return document.getElementById('memory').textContent")
        .await;
    assert!(
        memory.as_str().unwrap().contains("Another replica leads"),
        "{memory}"
    );
    // Through the other replica, so that this one knows of it by the API server alone.
    let path = format!("/events/{}/orders", cluster.namespace);
    let heard = post(leader.http(), &path, &[("webhook-id", "c-1")], "{}")
        .await
        .unwrap();
    let job = heard.text("jobName").to_owned();
    let row = format!(
        "document.getElementById('row/EventJob/{}/orders')",
        cluster.namespace
    );
    browser
        .await_true(
            "it runs",
            &format!("return {row}.querySelector('.busy') !== null"),
        )
        .await;
    browser
        .open(&format!(
            "http://{address}/jobs/{}/{job}",
            cluster.namespace
        ))
        .await;
    browser.await_true("it is live", LIVE).await;
    cluster.finish_jobs().await;
    browser
        .await_true(
            "its end",
            "return document.getElementById('way').textContent.includes('Job complete')",
        )
        .await;
    look_everywhere(&browser, "cluster-way").await;
    asked_nobody_else(&browser, &address).await;
    cluster.remove().await;
}

/// A shop with work, with a queue, with failures and with something wrong.
const SHOP: &str = r#"
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: invoices, namespace: shop}
spec:
  source: {webhook: {format: JSON, auth: [{none: {}}]}}
  concurrencyPolicy: Queue
  concurrency: {limit: 3}
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {annotations: {slipway.dev/local-command: "sleep 9"}}
        spec: {restartPolicy: Never, containers: [{name: main, image: example.com/invoices}]}
---
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: thumbnails, namespace: shop}
spec:
  source: {webhook: {format: JSON, auth: [{none: {}}]}}
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {annotations: {slipway.dev/local-command: "sleep 4; test $(($$ % 5)) -ne 0"}}
        spec: {restartPolicy: Never, containers: [{name: main, image: example.com/thumbnails}]}
---
apiVersion: slipway.dev/v1alpha1
kind: ScaledJob
metadata: {name: mailers, namespace: shop}
spec:
  pollingInterval: 2
  maxReplicaCount: 4
  triggers:
  - type: eventbridge
    metadata: {eventJob: invoices, targetValue: "3"}
  jobTargetRef:
    backoffLimit: 0
    template:
      metadata: {annotations: {slipway.dev/local-command: "sleep 6"}}
      spec: {restartPolicy: Never, containers: [{name: main, image: example.com/mailers}]}
---
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: nightly-report, namespace: shop}
spec:
  source: {cron: {schedule: "0 3 * * *", timeZone: Europe/Berlin}}
  jobTemplate:
    spec:
      template:
        metadata: {annotations: {slipway.dev/local-command: "true"}}
        spec: {restartPolicy: Never, containers: [{name: main, image: example.com/report}]}
---
apiVersion: slipway.dev/v1alpha1
kind: EventJob
metadata: {name: refunds, namespace: shop}
spec:
  source: {webhook: {format: JSON, auth: [{apiKey: {header: x-api-key, secretKeyRefs: [{name: refunds-hook, key: key}]}}]}}
  jobTemplate:
    spec:
      template:
        metadata: {annotations: {slipway.dev/local-command: "true"}}
        spec: {restartPolicy: Never, containers: [{name: main, image: example.com/refunds}]}
"#;

/// `make pictures`: four minutes of a busy shop, and what the page then looks like, at every size.
#[tokio::test]
#[ignore = "it makes the pictures of the README; see the Makefile"]
async fn pictures_of_a_busy_shop() {
    let page = LocalPage::start("browser-shop", SHOP, &[]).await;
    let browser = Browser::start().await;
    let mut chance = Chance::new(7);
    for second in 0..240_u64 {
        // More at some times than at others, as in a shop.
        let rush = if second / 40 % 2 == 0 { 3 } else { 9 };
        for name in ["invoices", "thumbnails"] {
            if chance.below(rush) == 0 {
                let path = format!("/events/shop/{name}");
                let id = format!("{name}-{second}");
                post(page.local.http(), &path, &[("webhook-id", &id)], "{}").await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for (name, path) in [
        ("page", "/"),
        ("page-object", "/objects/EventJob/shop/invoices"),
    ] {
        browser
            .open(&format!("http://{}{path}", page.address))
            .await;
        browser.await_true("it is live", LIVE).await;
        look_everywhere(&browser, name).await;
    }
    browser.open(&format!("http://{}/", page.address)).await;
    browser.await_true("it is live", LIVE).await;
    for scheme in ["light", "dark"] {
        browser.looks(1180, 1000, scheme).await;
        let picture = browser.picture().await;
        std::fs::write(pictures().join(format!("page-{scheme}.png")), picture).unwrap();
    }
}

#[test]
fn the_pictures_of_the_readme_are_of_this_page() {
    let readme = include_str!("../../../README.md");
    for name in ["docs/page-light.png", "docs/page-dark.png"] {
        assert!(readme.contains(name), "the README shows {name}");
        let picture = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name} is a PNG");
        assert!(
            picture.len() < 150_000,
            "{name} has {} bytes",
            picture.len()
        );
    }
}
