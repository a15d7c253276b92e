//! One occurrence, one Job: when its Job is gone, on another replica, after a restart, after an edit.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{cluster, deliver, event_job, patch, renewed, send, send_to, slipway};
use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::process::Slipway;

const WAIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_job_that_is_gone_is_remembered_by_every_replica_and_after_a_restart() {
    let cluster = cluster("ledger").await;
    let changes = json!({"jobTemplate": {"spec": {"ttlSecondsAfterFinished": 0}}});
    cluster.create(event_job("short", &changes)).await;
    let mut first = slipway(&cluster, &["--ledger-grace", "12s", "--unseen-grace", "0s"]).await;
    let second = slipway(&cluster, &["--ledger-grace", "12s", "--unseen-grace", "0s"]).await;
    let event = renewed("e-1", "sub-1");
    deliver(&first, &cluster, "short", &event).await;
    let job = cluster.jobs().await.remove(0);
    let ttl = job.spec.unwrap().ttl_seconds_after_finished;
    assert_eq!(ttl, Some(12), "raised to the grace");
    await_until(
        "the Job ends and is removed",
        Duration::from_mins(1),
        async || {
            cluster.pods_become("Succeeded", usize::MAX).await;
            cluster.jobs().await.is_empty().then_some(())
        },
    )
    .await;
    for replica in [&first, &second] {
        // What a replica has seen may be behind the list a moment; what it remembers may not.
        await_until("it names no Job", Duration::from_mins(1), async || {
            let again = deliver(replica, &cluster, "short", &event).await;
            assert_eq!(again.text("result"), "Duplicate", "{again:?}");
            again.body["jobName"].is_null().then_some(())
        })
        .await;
    }
    first.kill();
    let third = slipway(&cluster, &["--ledger-grace", "12s", "--unseen-grace", "0s"]).await;
    let again = deliver(&third, &cluster, "short", &event).await;
    assert_eq!(again.text("result"), "Duplicate", "{again:?}");
    assert!(cluster.jobs().await.is_empty());

    // A replay is another occurrence, on purpose.
    let mut replay = event.clone();
    replay["replay-name"] = json!("replay-of-tuesday");
    let replayed = deliver(&third, &cluster, "short", &replay).await;
    assert_eq!(replayed.text("result"), "Created", "{replayed:?}");
    assert_eq!(cluster.jobs().await.len(), 1);
    cluster.remove().await;
}

#[tokio::test]
async fn a_job_is_remembered_for_as_long_as_was_promised_and_not_for_ever() {
    let cluster = cluster("hours").await;
    cluster.create(event_job("hours", &json!({}))).await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    let run =
        async || Slipway::run(kubeconfig.to_str().unwrap(), &cluster.namespace, &[], &[]).await;
    let mut slipway = run().await;
    let event = renewed("e-1", "sub-1");
    let first = deliver(&slipway, &cluster, "hours", &event).await;
    await_until(
        "the key is in the ledger",
        Duration::from_secs(20),
        async || (super::faults::keys(&cluster).await.len() == 1).then_some(()),
    )
    .await;
    let jobs = cluster.job_api();
    let now = kube::api::DeleteParams::background();
    jobs.delete(first.text("jobName"), &now).await.unwrap();
    await_until("the Job is gone", Duration::from_secs(20), async || {
        cluster.jobs().await.is_empty().then_some(())
    })
    .await;
    // `deduplicateFor` is 25 h, and forgetting is an hour late.
    for (hours, result) in [(23, "Duplicate"), (25, "Duplicate"), (27, "Created")] {
        proxy.set_clock_ahead(hours);
        slipway.kill();
        slipway = run().await;
        let again = deliver(&slipway, &cluster, "hours", &event).await;
        assert_eq!(
            again.text("result"),
            result,
            "{hours} hours later: {again:?}"
        );
        assert_eq!(cluster.jobs().await.is_empty(), result == "Duplicate");
    }
    std::fs::remove_file(&kubeconfig).unwrap();
    cluster.remove().await;
}

#[tokio::test]
async fn an_answer_never_names_a_job_that_never_was() {
    let cluster = cluster("renamed").await;
    let named = |prefix: &str| {
        let metadata = json!({"metadata": {"generateName": prefix}});
        event_job("renamed", &json!({"jobTemplate": metadata}))
    };
    cluster.create(named("first-")).await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-1");
    let first = deliver(&slipway, &cluster, "renamed", &event).await;
    assert!(first.text("jobName").starts_with("first-"), "{first:?}");
    await_until("the key is in the ledger", WAIT, async || {
        (super::faults::keys(&cluster).await.len() == 1).then_some(())
    })
    .await;
    // While its Job is there, a repeat names it.
    let again = deliver(&slipway, &cluster, "renamed", &event).await;
    assert_eq!(again.text("jobName"), first.text("jobName"));
    let event_jobs = super::event_jobs(&cluster);
    let now = kube::api::DeleteParams::background();
    event_jobs.delete("renamed", &now).await.unwrap();
    await_until("it is gone", WAIT, async || {
        let heard = send(&slipway, &cluster, "renamed", &event).await?;
        (heard.status == 404).then_some(())
    })
    .await;
    cluster.create(named("second-")).await;
    let again = deliver(&slipway, &cluster, "renamed", &event).await;
    assert_eq!(again.text("result"), "Duplicate", "{again:?}");
    assert_eq!(again.body["jobName"], Value::Null, "{again:?}");
    // Another event gets its name from the new prefix.
    let other = deliver(&slipway, &cluster, "renamed", &renewed("e-2", "sub-1")).await;
    assert!(other.text("jobName").starts_with("second-"), "{other:?}");
    cluster.remove().await;
}

#[tokio::test]
async fn an_edit_between_two_deliveries_makes_no_second_job() {
    let cluster = cluster("edit").await;
    cluster.create(event_job("edited", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-1");
    let first = deliver(&slipway, &cluster, "edited", &event).await;
    let containers = json!([{"name": "generator", "image": "example.com/invoice:2"}]);
    let change = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}}});
    patch(&cluster, "edited", change).await;
    // The edit has arrived when another event gets the new image.
    await_until("the edit is proved", Duration::from_secs(20), async || {
        let probe = renewed(&format!("probe-{:?}", Instant::now()), "sub-2");
        deliver(&slipway, &cluster, "edited", &probe).await;
        let image = |job: &k8s_openapi::api::batch::v1::Job| {
            let pod = job.spec.as_ref()?.template.spec.as_ref()?;
            pod.containers.first()?.image.clone()
        };
        let jobs = cluster.jobs().await;
        jobs.iter()
            .any(|job| image(job).as_deref() == Some("example.com/invoice:2"))
            .then_some(())
    })
    .await;
    let count = cluster.jobs().await.len();
    let again = deliver(&slipway, &cluster, "edited", &event).await;
    assert_eq!(again.text("result"), "Duplicate");
    assert_eq!(again.text("jobName"), first.text("jobName"));
    let mut other = event.clone();
    other["detail"]["subscriptionId"] = json!("sub-other");
    let differs = deliver(&slipway, &cluster, "edited", &other).await;
    assert_eq!(differs.text("result"), "Duplicate");
    assert_eq!(differs.body["payloadDiffers"], true, "{differs:?}");
    assert_eq!(cluster.jobs().await.len(), count);
    cluster.remove().await;
}

#[tokio::test]
async fn a_silent_api_server_means_503_in_time_and_one_job_once_it_speaks_again() {
    let cluster = cluster("silent").await;
    cluster.create(event_job("silent", &json!({}))).await;
    let proxy = ApiProxy::start().await;
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    let slipway = Slipway::run(kubeconfig.to_str().unwrap(), &cluster.namespace, &[], &[]).await;
    deliver(&slipway, &cluster, "silent", &renewed("warm", "sub-0")).await;
    for method in ["POST", "GET"] {
        proxy.fault(Rule::on(method, "/jobs", Fault::Hang));
    }
    let events: Vec<_> = (0..10)
        .map(|n| renewed(&format!("e-{n}"), "sub-1"))
        .collect();
    let sent = events.iter().map(|event| async {
        let started = Instant::now();
        let heard = send_to(slipway.http(), &cluster.namespace, "silent", event).await;
        (
            heard.expect("an answer within a sender's patience"),
            started.elapsed(),
        )
    });
    for (heard, took) in futures::future::join_all(sent).await {
        assert_eq!(heard.status, 503, "{heard:?}");
        assert!(
            heard.head.to_lowercase().contains("retry-after"),
            "{}",
            heard.head
        );
        assert!(took < Duration::from_millis(4_500), "{took:?}");
    }
    proxy.heal();
    for event in &events {
        deliver(&slipway, &cluster, "silent", event).await;
    }
    assert_eq!(cluster.jobs().await.len(), events.len() + 1);
    std::fs::remove_file(kubeconfig).unwrap();
    cluster.remove().await;
}

#[tokio::test]
async fn a_name_that_somebody_else_took_is_never_given_to_an_event() {
    let cluster = cluster("taken").await;
    cluster.create(event_job("taken", &json!({}))).await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-1");
    let heard = deliver(&slipway, &cluster, "taken", &event).await;
    let name = heard.text("jobName").to_owned();
    let change = kube::api::Patch::Merge(
        json!({"metadata": {"annotations": {"slipway.dev/occurrence": "another"}}}),
    );
    let jobs = cluster.job_api();
    jobs.patch(&name, &kube::api::PatchParams::default(), &change)
        .await
        .unwrap();
    // Before its key is in the ledger the Job itself is asked.
    let again = send(&slipway, &cluster, "taken", &event).await.unwrap();
    let is_honest = again.status == 503 || again.text("result") == "Duplicate";
    assert!(is_honest, "{again:?}");
    assert_eq!(cluster.jobs().await.len(), 1);
    cluster.remove().await;
}
