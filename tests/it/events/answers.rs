//! Every row of the answer table, as a sender hears it.

use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};

use super::KEY;
use super::{await_status, cluster, condition, deliver, event_job, patch, renewed, send, slipway};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::post;

/// What it is, path, headers, body, status, and what the message names.
type Row<'a> = (
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    &'a str,
    u16,
    &'a str,
);

#[tokio::test]
async fn every_wrong_event_is_told_what_is_wrong_and_makes_no_job() {
    let cluster = cluster("answers").await;
    cluster.create(event_job("answers", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    deliver(&slipway, &cluster, "answers", &renewed("e-0", "sub-0")).await;
    let path = format!("/events/{}/answers", cluster.namespace);
    let no_id = {
        let mut event = renewed("x", "sub-1");
        event.as_object_mut().unwrap().remove("id");
        event.to_string()
    };
    let unbound = {
        let mut event = renewed("e-2", "sub-1");
        event["detail"]
            .as_object_mut()
            .unwrap()
            .remove("subscriptionId");
        event.to_string()
    };
    let other = {
        let mut event = renewed("e-3", "sub-1");
        event["source"] = json!("shipping");
        event.to_string()
    };
    let key = ("x-api-key", KEY);
    let nul = renewed("e-4", "a\u{0}b").to_string();
    let huge = renewed("e-5", &"x".repeat(3 << 20)).to_string();
    let rows: [Row<'_>; 10] = [
        ("no JSON", &path, &[key], "{", 400, "body"),
        ("no id", &path, &[key], &no_id, 400, "id"),
        (
            "a value that is not there",
            &path,
            &[key],
            &unbound,
            400,
            "subscriptionId",
        ),
        ("NUL", &path, &[key], &nul, 400, "subscriptionId"),
        ("too large", &path, &[key], &huge, 413, ""),
        ("no key", &path, &[], "{}", 401, ""),
        (
            "a wrong key",
            &path,
            &[("x-api-key", "wrong")],
            "{}",
            401,
            "",
        ),
        (
            "no such EventJob",
            "/events/nowhere/nothing",
            &[key],
            "{}",
            404,
            "",
        ),
        ("no such path", "/else", &[key], "{}", 404, ""),
        (
            "compressed",
            &path,
            &[key, ("content-encoding", "gzip")],
            "{}",
            400,
            "content-encoding",
        ),
    ];
    for (what, path, headers, body, status, names) in rows {
        let heard = post(slipway.http(), path, headers, body).await;
        let heard = heard.unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(heard.status, status, "{what}: {heard:?}");
        assert_eq!(heard.body["statusCode"], status, "{what}: {heard:?}");
        assert!(heard.text("message").contains(names), "{what}: {heard:?}");
        assert!(!heard.text("reason").is_empty(), "{what}: {heard:?}");
    }
    let filtered = post(slipway.http(), &path, &[key], &other).await.unwrap();
    assert_eq!(
        (filtered.status, filtered.text("result")),
        (200, "Filtered")
    );
    assert_eq!(filtered.body["jobName"], Value::Null);
    assert!(filtered.text("field").contains("source"), "{filtered:?}");
    assert_eq!(cluster.jobs().await.len(), 1);
    // The owner hears why, and the sender's values stand nowhere.
    let told = await_until("the owner is told", Duration::from_secs(30), async || {
        let events = cluster.events().await;
        let is_told = |reason: &str| events.iter().any(|event| event.starts_with(reason));
        let both = is_told("EventRefused: Unauthorized") && is_told("EventRefused: BadRequest");
        both.then(|| events.concat())
    })
    .await;
    assert!(told.contains("x-api-key: "), "{told}");
    assert!(!told.contains("wrong"), "{told}");
    cluster.remove().await;
}

#[tokio::test]
async fn a_passing_trouble_never_looks_like_a_wrong_request() {
    let cluster = cluster("passing").await;
    cluster
        .create(event_job("suspended", &json!({"suspend": true})))
        .await;
    let unproved =
        json!({"jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Always"}}}}});
    cluster.create(event_job("refused", &unproved)).await;
    let no_secret = json!({"source": {"webhook": {"auth": [{"apiKey": {"secretKeyRefs": [{"name": "nothing", "key": "x"}]}}]}}});
    cluster.create(event_job("keyless", &no_secret)).await;
    let slipway = slipway(&cluster, &[]).await;
    for (name, reason) in [
        ("suspended", "Suspended"),
        ("refused", "NotReady"),
        ("keyless", "Unavailable"),
    ] {
        await_until(name, Duration::from_secs(20), async || {
            let heard = send(&slipway, &cluster, name, &renewed("e-1", "sub-1")).await?;
            assert_eq!(heard.status, 503, "{name}: {heard:?}");
            assert!(heard.body["retryAfterSeconds"].is_u64(), "{heard:?}");
            (heard.text("reason") == reason).then_some(())
        })
        .await;
    }
    // Before that it says that the template is being proved.
    await_status(&cluster, "refused", "a status that says so", |status| {
        condition(status, "Ready").0 == "False" && status.to_string().contains("restartPolicy")
    })
    .await;
    // Resumed, it takes what it had refused.
    patch(&cluster, "suspended", json!({"spec": {"suspend": false}})).await;
    let taken = deliver(&slipway, &cluster, "suspended", &renewed("e-1", "sub-1")).await;
    assert_eq!(taken.text("result"), "Created");
    assert_eq!(cluster.jobs().await.len(), 1);
    cluster.remove().await;
}

fn quotas(cluster: &Cluster) -> kube::Api<ResourceQuota> {
    kube::Api::namespaced(cluster.client.clone(), &cluster.namespace)
}

/// The namespace takes no more Jobs.
pub(crate) async fn use_up_quota(cluster: &Cluster) {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "jobs"},
        "spec": {"hard": {"count/jobs.batch": "1"}},
    });
    cluster.create_core("resourcequotas", quota).await;
    // The hand that counts what is used: the quota's controller does not run here.
    let counted =
        json!({"status": {"hard": {"count/jobs.batch": "1"}, "used": {"count/jobs.batch": "1"}}});
    let patch = kube::api::Patch::Merge(counted);
    quotas(cluster)
        .patch_status("jobs", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_quota_that_is_used_up_says_429_and_its_end_lets_the_event_in() {
    let cluster = cluster("quota").await;
    cluster.create(event_job("quota", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    deliver(&slipway, &cluster, "quota", &renewed("e-0", "sub-0")).await;
    use_up_quota(&cluster).await;
    let probes = std::cell::Cell::new(0);
    let event = await_until(
        "the quota is known to be used up",
        Duration::from_secs(20),
        async || {
            probes.set(probes.get() + 1);
            let event = renewed(&format!("probe-{}", probes.get()), "sub-1");
            let heard = send(&slipway, &cluster, "quota", &event).await?;
            let is_over = (heard.status, heard.text("reason")) == (429, "QuotaExceeded");
            is_over.then_some(event)
        },
    )
    .await;
    let before = cluster.jobs().await.len();
    quotas(&cluster)
        .delete("jobs", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let taken = deliver(&slipway, &cluster, "quota", &event).await;
    assert_eq!(taken.text("result"), "Created", "{taken:?}");
    assert_eq!(cluster.jobs().await.len(), before + 1);
    cluster.remove().await;
}

#[tokio::test]
async fn one_post_reaches_every_shared_event_job_that_matches() {
    let cluster = cluster("shared").await;
    let shared = json!({"source": {"webhook": {"shared": true}}});
    for name in ["one", "two"] {
        cluster.create(event_job(name, &shared)).await;
    }
    let mut other = event_job("other", &shared);
    other["spec"]["pattern"] = json!({"source": ["shipping"]});
    cluster.create(other).await;
    let slipway = slipway(&cluster, &[]).await;
    for name in ["one", "two"] {
        await_until(name, Duration::from_secs(20), async || {
            let heard = send(&slipway, &cluster, name, &renewed("warm", "sub-0")).await?;
            (heard.status == 200).then_some(())
        })
        .await;
    }
    let path = format!("/events/{}", cluster.namespace);
    let event = renewed("e-1", "sub-1").to_string();
    let heard = post(slipway.http(), &path, &[("x-api-key", KEY)], &event)
        .await
        .unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
    let results = heard.body["results"].as_array().unwrap();
    let mut jobs: Vec<&str> = results
        .iter()
        .filter_map(|result| result["eventJob"].as_str())
        .collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ["one", "two"], "{heard:?}");
    let refused = post(slipway.http(), &path, &[], &event).await.unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(cluster.jobs().await.len(), 4);
    cluster.remove().await;
}

#[tokio::test]
async fn no_secret_and_no_payload_is_in_anything_that_people_read() {
    let cluster = cluster("canary").await;
    let canary = "canary-payload-93d1";
    cluster.create(event_job("canary", &json!({"bind": {"labels": [{"name": "customer", "path": "$.detail.customer", "default": "none"}]}}))).await;
    let slipway = slipway(&cluster, &[]).await;
    let mut good = renewed("e-1", canary);
    deliver(&slipway, &cluster, "canary", &good).await;
    good["detail"]["more"] = json!(canary);
    deliver(&slipway, &cluster, "canary", &good).await;
    let mut bad = renewed("e-2", canary);
    bad["detail"]["customer"] = json!(format!("{canary} is no label!"));
    let refused = send(&slipway, &cluster, "canary", &bad).await.unwrap();
    assert_eq!(refused.status, 400);
    let mut other = renewed("e-3", canary);
    other["source"] = json!(canary);
    let filtered = send(&slipway, &cluster, "canary", &other).await.unwrap();
    let path = format!("/events/{}/canary", cluster.namespace);
    let forged = post(
        slipway.http(),
        &path,
        &[("x-api-key", "canary-key-77")],
        "{}",
    )
    .await
    .unwrap();
    let status = await_status(&cluster, "canary", "a status", |status| {
        status["lastJobName"].is_string()
    })
    .await;
    let metrics = slipway.get("/metrics").await.unwrap();
    let events = cluster.events().await.join("\n");
    let shown = [
        slipway.log(),
        refused.body.to_string(),
        filtered.body.to_string(),
        forged.body.to_string(),
        status.to_string(),
        metrics,
        events,
    ];
    for (index, text) in shown.iter().enumerate() {
        for secret in [canary, KEY, "canary-key-77"] {
            assert!(!text.contains(secret), "{index}: {text}");
        }
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_rotated_key_is_taken_at_once_and_the_old_one_no_more() {
    let cluster = cluster("rotate").await;
    cluster.create(event_job("rotated", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    deliver(&slipway, &cluster, "rotated", &renewed("e-1", "sub-1")).await;
    let new = "fedcba9876543210fedcba9876543210";
    cluster.rotate("hook", &[("current", new)]).await;
    let path = format!("/events/{}/rotated", cluster.namespace);
    let body = renewed("e-2", "sub-1").to_string();
    let heard = post(slipway.http(), &path, &[("x-api-key", new)], &body)
        .await
        .unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
    let old = post(slipway.http(), &path, &[("x-api-key", KEY)], &body)
        .await
        .unwrap();
    assert_eq!(old.status, 401, "{old:?}");
    cluster.remove().await;
}
