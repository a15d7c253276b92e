//! Events, end to end: the built binary before the real API server, posted to as
//! EventBridge, SNS and others post. What Jobs there are is looked at from outside.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::{Heard, post};
use crate::support::process::Slipway;
use crate::support::servers;

pub(crate) mod answers;
mod apart;
mod faults;
mod files;
mod load;
mod once;
mod policies;
mod refusals;
mod senders;

/// The key that every EventJob here wants.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The invoice generator of `docs/events.md`, with changes merged into its spec.
pub(crate) fn event_job(name: &str, changes: &Value) -> Value {
    let mut spec = json!({
        "source": {"webhook": {"auth": [{"apiKey": {"secretKeyRefs": [{"name": "hook", "key": "current"}]}}]}},
        "pattern": {"source": ["billing"], "detail-type": ["subscription.renewed"]},
        "bind": {"env": [
            {"name": "SUBSCRIPTION_ID", "path": "$.detail.subscriptionId"},
            {"name": "BILLING_PERIOD", "path": "$.detail.billingPeriod", "default": "current"},
        ]},
        "jobTemplate": {
            "metadata": {"generateName": format!("{name}-")},
            "spec": {
                "backoffLimit": 3,
                "activeDeadlineSeconds": 300,
                "ttlSecondsAfterFinished": 86_400,
                "template": {"spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "invoice-generator",
                    "containers": [{"name": "generator", "image": "example.com/invoice:1"}],
                }},
            },
        },
    });
    merge(&mut spec, changes);
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// An envelope as EventBridge sends it.
pub(crate) fn renewed(id: &str, subscription: &str) -> Value {
    json!({
        "version": "0",
        "id": id,
        "detail-type": "subscription.renewed",
        "source": "billing",
        "account": "012345678901",
        "time": "2026-11-28T10:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {"subscriptionId": subscription, "billingPeriod": "2026-11", "customer": "c-1"},
    })
}

/// A namespace with the Secret that lets senders in.
pub(crate) async fn cluster(name: &str) -> Cluster {
    let cluster = Cluster::new(name).await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster
}

pub(super) async fn slipway(cluster: &Cluster, arguments: &[&str]) -> Slipway {
    Slipway::run(&servers::kubeconfig(), &cluster.namespace, arguments, &[]).await
}

/// Posts an event with the right key.
pub(crate) async fn send(
    slipway: &Slipway,
    cluster: &Cluster,
    name: &str,
    event: &Value,
) -> Option<Heard> {
    send_to(slipway.http(), &cluster.namespace, name, event).await
}

pub(crate) async fn send_to(
    address: &str,
    namespace: &str,
    name: &str,
    event: &Value,
) -> Option<Heard> {
    let path = format!("/events/{namespace}/{name}");
    post(address, &path, &[("x-api-key", KEY)], &event.to_string()).await
}

/// Posts an event until it is answered 200.
pub(crate) async fn deliver(
    slipway: &Slipway,
    cluster: &Cluster,
    name: &str,
    event: &Value,
) -> Heard {
    await_until("the event is taken", Duration::from_secs(30), async || {
        let heard = send(slipway, cluster, name, event).await?;
        (heard.status == 200).then_some(heard)
    })
    .await
}

pub(crate) fn event_jobs(cluster: &Cluster) -> Api<DynamicObject> {
    let resource = kube::core::ApiResource {
        group: "slipway.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "slipway.dev/v1alpha1".to_owned(),
        kind: "EventJob".to_owned(),
        plural: "eventjobs".to_owned(),
    };
    Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource)
}

pub(crate) async fn patch(cluster: &Cluster, name: &str, change: Value) {
    event_jobs(cluster)
        .patch(name, &PatchParams::default(), &Patch::Merge(change))
        .await
        .unwrap();
}

/// Waits until the EventJob's status is as wanted; the status.
pub(crate) async fn await_status(
    cluster: &Cluster,
    name: &str,
    what: &str,
    is_wanted: impl Fn(&Value) -> bool,
) -> Value {
    await_until(what, Duration::from_secs(30), async || {
        let status = event_jobs(cluster).get(name).await.ok()?.data["status"].clone();
        is_wanted(&status).then_some(status)
    })
    .await
}

pub(crate) fn condition(status: &Value, kind: &str) -> (String, String) {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions
        .into_iter()
        .find(|condition| condition["type"] == kind);
    let found = found.unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

/// The value of a variable in a Job's first container.
pub(crate) fn variable(job: &Job, name: &str) -> Option<String> {
    let template = &job.spec.as_ref()?.template;
    let containers = &template.spec.as_ref()?.containers;
    let mut variables = containers.first()?.env.iter().flatten();
    variables
        .find(|variable| variable.name == name)?
        .value
        .clone()
}

#[tokio::test]
async fn an_event_becomes_one_job_with_its_values_however_often_it_comes() {
    let cluster = cluster("invoice").await;
    cluster
        .create(event_job("invoice-generator", &json!({})))
        .await;
    let slipway = slipway(&cluster, &[]).await;
    let event = renewed("e-1", "sub-42 $(HOME) $$ \"quoted\"\nline");
    let first = deliver(&slipway, &cluster, "invoice-generator", &event).await;
    assert_eq!(first.text("result"), "Created", "{first:?}");
    assert_eq!(first.text("eventId"), "e-1");
    let second = send(&slipway, &cluster, "invoice-generator", &event)
        .await
        .unwrap();
    assert_eq!(second.status, 200);
    assert_eq!(second.text("result"), "Duplicate");
    assert_eq!(second.text("jobName"), first.text("jobName"));
    assert!(second.head.starts_with("HTTP/1.1 200"), "{}", second.head);

    let jobs = cluster.jobs().await;
    assert_eq!(jobs.len(), 1);
    let job = &jobs[0];
    assert_eq!(job.metadata.name.as_deref(), Some(first.text("jobName")));
    assert_eq!(
        job.metadata.generate_name.as_deref(),
        Some("invoice-generator-")
    );
    // What Kubernetes makes of it is what the event said, byte for byte.
    let escaped = variable(job, "SUBSCRIPTION_ID").unwrap();
    let expanded = slipway::resource::expansion::expand(&escaped, |_| Some("stolen".to_owned()));
    assert_eq!(expanded, "sub-42 $(HOME) $$ \"quoted\"\nline");
    assert_eq!(variable(job, "BILLING_PERIOD").as_deref(), Some("2026-11"));
    assert_eq!(variable(job, "SLIPWAY_EVENT_ID").as_deref(), Some("e-1"));
    let spec = job.spec.as_ref().unwrap();
    assert_eq!(spec.backoff_limit, Some(3));
    assert_eq!(spec.active_deadline_seconds, Some(300));
    assert_eq!(spec.ttl_seconds_after_finished, Some(86_400));
    let pod = spec.template.spec.as_ref().unwrap();
    assert_eq!(
        pod.service_account_name.as_deref(),
        Some("invoice-generator")
    );

    let status = await_status(&cluster, "invoice-generator", "a status", |status| {
        status["lastJobName"].is_string()
    })
    .await;
    assert_eq!(status["lastJobName"], first.text("jobName"));
    assert_eq!(condition(&status, "Ready").0, "True");
    cluster.remove().await;
}

#[tokio::test]
async fn one_event_fans_out_into_an_indexed_job() {
    let cluster = cluster("fanout").await;
    let changes = json!({
        "bind": {"completions": {"path": "$.detail.chunks", "max": 100}, "parallelism": {"path": "$.detail.chunks", "max": 10}},
        "jobTemplate": {"spec": {"completionMode": "Indexed"}},
    });
    cluster.create(event_job("fan", &changes)).await;
    let slipway = slipway(&cluster, &[]).await;
    let mut event = renewed("e-1", "sub-1");
    event["detail"]["chunks"] = json!(7);
    deliver(&slipway, &cluster, "fan", &event).await;
    let jobs = cluster.jobs().await;
    let spec = jobs[0].spec.as_ref().unwrap();
    assert_eq!((spec.completions, spec.parallelism), (Some(7), Some(7)));
    event["id"] = json!("e-2");
    event["detail"]["chunks"] = json!(101);
    let refused = send(&slipway, &cluster, "fan", &event).await.unwrap();
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.text("message").contains("detail.chunks"),
        "{refused:?}"
    );
    event["id"] = json!("e-3");
    event["detail"]["chunks"] = json!(20);
    let refused = send(&slipway, &cluster, "fan", &event).await.unwrap();
    assert_eq!(
        refused.status, 400,
        "20 is above the most of parallelism: {refused:?}"
    );
    assert_eq!(cluster.jobs().await.len(), 1);
    cluster.remove().await;
}
