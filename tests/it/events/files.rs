//! `bind.file`: the event as a Secret, which is there before its Job and never without an owner.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};

use super::answers::use_up_quota;
use super::{cluster, deliver, event_job, event_jobs, renewed, send, send_to, slipway, variable};
use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;

const WAIT: Duration = Duration::from_secs(30);

fn with_file(name: &str) -> Value {
    let file = json!({"bind": {"file": {"path": "/var/run/slipway/event.json"}}});
    event_job(name, &file)
}

fn secrets(cluster: &Cluster) -> Api<Secret> {
    Api::namespaced(cluster.client.clone(), &cluster.namespace)
}

/// Names of the Secrets with events.
async fn files(cluster: &Cluster) -> Vec<String> {
    let ours = ListParams::default().labels("slipway.dev/eventjob");
    let listed = secrets(cluster).list(&ours).await.unwrap();
    let names = listed.into_iter().map(|secret| secret.metadata.name);
    names.map(Option::unwrap_or_default).collect()
}

/// Kinds of a Secret's owners; `None` when there is no such Secret.
async fn owners(cluster: &Cluster, name: &str) -> Option<Vec<String>> {
    let secret = secrets(cluster).get_opt(name).await.unwrap()?;
    let owners = secret.metadata.owner_references.unwrap_or_default();
    Some(owners.into_iter().map(|owner| owner.kind).collect())
}

async fn behind(proxy: &ApiProxy, cluster: &Cluster) -> Slipway {
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    Slipway::run(kubeconfig.to_str().unwrap(), &cluster.namespace, &[], &[]).await
}

async fn key_is_written(cluster: &Cluster, keys: usize) {
    await_until("the keys are in the ledger", WAIT, async || {
        (super::faults::keys(cluster).await.len() == keys).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_event_itself_comes_as_a_file_before_its_job_and_goes_with_it() {
    let cluster = cluster("file").await;
    cluster.create(with_file("filed")).await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-1");
    let heard = deliver(&slipway, &cluster, "filed", &event).await;
    let name = heard.text("jobName").to_owned();
    let secret = secrets(&cluster).get(&name).await.unwrap();
    assert_eq!(secret.immutable, Some(true));
    let data = secret.data.unwrap();
    let written: Value = serde_json::from_slice(&data["event.json"].0).unwrap();
    assert_eq!(written, event);
    assert_eq!(owners(&cluster, &name).await.unwrap(), ["Job"]);
    let background = DeleteParams::background();
    cluster.job_api().delete(&name, &background).await.unwrap();
    await_until("the Secret goes with its Job", WAIT, async || {
        files(&cluster).await.is_empty().then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_repeat_gives_the_file_to_its_job_also_when_the_ledger_remembers() {
    let cluster = cluster("repair").await;
    cluster.create(with_file("repaired")).await;
    let proxy = ApiProxy::start().await;
    let slipway = behind(&proxy, &cluster).await;
    deliver(&slipway, &cluster, "repaired", &renewed("warm", "sub-0")).await;
    proxy.fault(Rule::on("PATCH", "/secrets/", Fault::Refuse(500)).times(1));
    let event = renewed("e-1", "sub-1");
    let first = send(&slipway, &cluster, "repaired", &event).await.unwrap();
    assert_eq!(first.status, 503, "{first:?}");
    key_is_written(&cluster, 2).await;
    let job = cluster.jobs().await.into_iter();
    let job = job
        .filter(|job| variable(job, "SUBSCRIPTION_ID").as_deref() == Some("sub-1"))
        .find_map(|job| job.metadata.name)
        .unwrap();
    assert_eq!(owners(&cluster, &job).await.unwrap(), ["EventJob"]);
    let again = send(&slipway, &cluster, "repaired", &event).await.unwrap();
    assert_eq!((again.status, again.text("jobName")), (200, job.as_str()));
    assert_eq!(owners(&cluster, &job).await.unwrap(), ["Job"]);

    // A file that is missing is made again.
    secrets(&cluster)
        .delete(&job, &DeleteParams::default())
        .await
        .unwrap();
    let again = send(&slipway, &cluster, "repaired", &event).await.unwrap();
    assert_eq!((again.status, again.text("jobName")), (200, job.as_str()));
    assert_eq!(owners(&cluster, &job).await.unwrap(), ["Job"]);
    cluster.remove().await;
}

#[tokio::test]
async fn a_file_costs_two_writes() {
    const EVENTS: usize = 20;
    let cluster = cluster("writes").await;
    cluster.create(with_file("writes")).await;
    let proxy = ApiProxy::start().await;
    let slipway = behind(&proxy, &cluster).await;
    deliver(&slipway, &cluster, "writes", &renewed("warm", "sub-0")).await;
    let mark = proxy.mark();
    for number in 0..EVENTS {
        let event = renewed(&format!("e-{number}"), "sub-1");
        deliver(&slipway, &cluster, "writes", &event).await;
    }
    let traffic = proxy.traffic_since(mark);
    assert_eq!(traffic.writes("/secrets"), 2 * EVENTS);
    assert_eq!(traffic.writes("/jobs"), EVENTS);
    cluster.remove().await;
}

#[tokio::test]
async fn what_no_repeat_comes_for_is_repaired_behind() {
    let cluster = cluster("behind").await;
    cluster.create(with_file("behind")).await;
    let proxy = ApiProxy::start().await;
    let slipway = behind(&proxy, &cluster).await;
    deliver(&slipway, &cluster, "behind", &renewed("warm", "sub-0")).await;
    proxy.fault(Rule::on("PATCH", "/secrets/", Fault::Refuse(500)).times(1));
    let event = renewed("e-1", "sub-1");
    let heard = send(&slipway, &cluster, "behind", &event).await.unwrap();
    assert_eq!(heard.status, 503, "{heard:?}");
    await_until("both files are their Jobs'", 2 * WAIT, async || {
        let names = files(&cluster).await;
        for name in &names {
            if owners(&cluster, name).await? != ["Job"] {
                return None;
            }
        }
        (names.len() == 2).then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_leaves_no_files() {
    let cluster = cluster("quotafile").await;
    cluster.create(with_file("limited")).await;
    let slipway = slipway(&cluster, &[]).await;
    deliver(&slipway, &cluster, "limited", &renewed("e-0", "sub-0")).await;
    use_up_quota(&cluster).await;
    for number in 1..=30 {
        let event = renewed(&format!("e-{number}"), "sub-1");
        // Until the server knows of its quota, Jobs are made.
        let heard = send(&slipway, &cluster, "limited", &event).await.unwrap();
        assert!(matches!(heard.status, 200 | 429), "{heard:?}");
    }
    let jobs = cluster.jobs().await.len();
    assert!(jobs < 20, "the quota was never used up");
    await_until("no file is without its Job", WAIT, async || {
        (files(&cluster).await.len() == jobs).then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_file_whose_job_was_refused_or_never_came_goes() {
    let cluster = cluster("refusedfile").await;
    cluster.create(with_file("refused")).await;
    let proxy = ApiProxy::start().await;
    let slipway = behind(&proxy, &cluster).await;
    deliver(&slipway, &cluster, "refused", &renewed("e-0", "sub-0")).await;
    for status in [422, 403, 400] {
        proxy.fault(Rule::on("POST", "/jobs?", Fault::Refuse(status)).times(1));
        let event = renewed(&format!("e-{status}"), "sub-1");
        let heard = send(&slipway, &cluster, "refused", &event).await.unwrap();
        assert_ne!(heard.status, 200, "{heard:?}");
    }
    await_until("one file is left", WAIT, async || {
        (files(&cluster).await.len() == 1).then_some(())
    })
    .await;
    // Nobody knows whether this one's Job comes: it goes with the EventJob at the latest.
    proxy.fault(Rule::on("POST", "/jobs?", Fault::Refuse(504)));
    let event = renewed("e-504", "sub-1");
    let heard = send(&slipway, &cluster, "refused", &event).await.unwrap();
    assert_eq!(heard.status, 503, "{heard:?}");
    assert_eq!(files(&cluster).await.len(), 2);
    let background = DeleteParams::background();
    let deleted = event_jobs(&cluster).delete("refused", &background).await;
    deleted.unwrap();
    await_until("every file goes with the EventJob", WAIT, async || {
        files(&cluster).await.is_empty().then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_secret_that_is_refused_is_no_fault_of_the_event() {
    let cluster = cluster("nosecrets").await;
    cluster.create(with_file("nosecrets")).await;
    let proxy = ApiProxy::start().await;
    let slipway = behind(&proxy, &cluster).await;
    deliver(&slipway, &cluster, "nosecrets", &renewed("e-0", "sub-0")).await;
    for method in ["POST", "PATCH"] {
        proxy.fault(Rule::on(method, "/secrets", Fault::Refuse(422)).times(1));
        let event = renewed(&format!("e-{method}"), "sub-1");
        let heard = send(&slipway, &cluster, "nosecrets", &event).await.unwrap();
        assert_eq!(heard.status, 503, "{method}: {heard:?}");
        deliver(&slipway, &cluster, "nosecrets", &event).await;
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone() {
    let cluster = cluster("foreign").await;
    cluster.create(with_file("foreign")).await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-1");
    let heard = deliver(&slipway, &cluster, "foreign", &event).await;
    let name = heard.text("jobName").to_owned();
    key_is_written(&cluster, 1).await;
    cluster
        .job_api()
        .delete(&name, &DeleteParams::background())
        .await
        .unwrap();
    await_until("the Secret goes with its Job", WAIT, async || {
        files(&cluster).await.is_empty().then_some(())
    })
    .await;
    cluster.secret(&name, &[("theirs", "yes")]).await;
    for id in ["e-1", "e-2"] {
        deliver(&slipway, &cluster, "foreign", &renewed(id, "sub-1")).await;
    }
    assert_eq!(owners(&cluster, &name).await.unwrap(), [""; 0]);
    cluster.remove().await;
}

#[tokio::test]
async fn of_two_payloads_at_once_the_file_and_the_job_have_the_same() {
    const ROUNDS: usize = 15;
    let cluster = cluster("payloads").await;
    cluster.create(with_file("payloads")).await;
    let replicas = [slipway(&cluster, &[]).await, slipway(&cluster, &[]).await];
    for replica in &replicas {
        deliver(replica, &cluster, "payloads", &renewed("warm", "sub-0")).await;
    }
    for round in 0..ROUNDS {
        let id = format!("e-{round}");
        let sent = (0..4).map(|sender| {
            let event = renewed(&id, &format!("sub-{}", sender % 2));
            let address = replicas[sender % 2].http();
            let namespace = &cluster.namespace;
            async move { send_to(address, namespace, "payloads", &event).await }
        });
        for heard in futures::future::join_all(sent).await {
            let heard = heard.expect("an answer");
            assert!(matches!(heard.status, 200 | 503), "{heard:?}");
        }
        deliver(&replicas[0], &cluster, "payloads", &renewed(&id, "sub-0")).await;
    }
    let jobs = cluster.jobs().await;
    assert_eq!(jobs.len(), ROUNDS + 1);
    for job in jobs {
        let name = job.metadata.name.as_deref().unwrap();
        let secret = secrets(&cluster).get(name).await.unwrap();
        let event: Value = serde_json::from_slice(&secret.data.unwrap()["event.json"].0).unwrap();
        let bound = variable(&job, "SUBSCRIPTION_ID").unwrap();
        assert_eq!(event["detail"]["subscriptionId"], bound, "{name}");
        let payload = |annotations: Option<std::collections::BTreeMap<String, String>>| {
            annotations.unwrap()["slipway.dev/payload"].clone()
        };
        assert_eq!(
            payload(job.metadata.annotations),
            payload(secret.metadata.annotations)
        );
    }
    cluster.remove().await;
}
