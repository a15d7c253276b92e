//! The rights that `docs/operating.md` lists are enough, and a missing one is named.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::faults::ready_message;
use super::{cluster, scaled_job};
use crate::events::{KEY, await_status, deliver, event_job, event_jobs, renewed, send_to};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::post;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

/// For what takes several looks at a busy server.
const SOON: Duration = Duration::from_mins(1);

/// Group, resource, verbs: the list of `docs/operating.md`. The chart is held against it too.
pub(crate) const RIGHTS: [(&str, &str, &str); 12] = [
    ("batch", "jobs", "get list watch create patch delete"),
    ("", "pods", "list watch"),
    ("", "secrets", "get create patch delete"),
    ("", "configmaps", "get list create update delete"),
    ("coordination.k8s.io", "leases", "get create update"),
    ("", "serviceaccounts", "get"),
    ("slipway.dev", "scaledjobs", "get list watch"),
    ("slipway.dev", "triggerauthentications", "get list watch"),
    ("slipway.dev", "scaledjobs/status", "patch"),
    ("slipway.dev", "eventjobs", "get list watch"),
    ("slipway.dev", "eventjobs/status", "patch"),
    ("events.k8s.io", "events", "create"),
];

/// What it says of objects that KEDA's own API has, and that are managed in place.
pub(crate) const KEDA_RIGHTS: [(&str, &str, &str); 3] = [
    ("keda.sh", "scaledjobs", "get list watch patch"),
    ("keda.sh", "scaledjobs/status", "patch"),
    ("keda.sh", "triggerauthentications", "get list watch"),
];

/// What it says of CronJobs that are handed over.
pub(crate) const CRON_JOB_RIGHTS: [(&str, &str, &str); 2] = [
    ("batch", "cronjobs", "get list watch"),
    ("batch", "cronjobs/status", "patch"),
];

/// Grants all of a list to the user without rights.
pub(crate) async fn grant_rights<'a>(
    cluster: &Cluster,
    rights: impl IntoIterator<Item = &'a (&'a str, &'a str, &'a str)>,
) {
    let granted = rights.into_iter().map(|(group, resource, verbs)| {
        let verbs: Vec<&str> = verbs.split(' ').collect();
        json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
    });
    grant_rules(cluster, granted.collect()).await;
}

/// Grants the list, less one right, to the user without rights.
async fn grant(cluster: &Cluster, without: Option<(&str, &str)>) {
    let granted: Vec<Value> = RIGHTS
        .iter()
        .map(|(group, resource, verbs)| {
            let verbs: Vec<&str> = verbs
                .split(' ')
                .filter(|verb| without != Some((*verb, *resource)))
                .collect();
            json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        })
        .filter(|rule| rule["verbs"] != json!([]))
        .collect();
    grant_rules(cluster, granted).await;
}

async fn grant_rules(cluster: &Cluster, granted: Vec<Value>) {
    let role: Role =
        serde_json::from_value(json!({"metadata": {"name": "slipway"}, "rules": granted})).unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "slipway"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "slipway"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "slipway-limited"}],
    }))
    .unwrap();
    let params = PostParams::default();
    let (client, namespace) = (&cluster.client, &cluster.namespace);
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    roles.create(&params, &role).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    bindings.create(&params, &binding).await.unwrap();
}

/// Finished Jobs are removed at once, so that the right to is used at once.
const TIDYING: [&str; 2] = ["--unseen-grace", "0s"];

async fn slipway(cluster: &Cluster) -> Slipway {
    let kubeconfig = servers::named("KUBECONFIG_LIMITED");
    Slipway::run(&kubeconfig, &cluster.namespace, &TIDYING, &[]).await
}

/// `accurate` reads Pods, and a history limit deletes: every right is used.
pub(crate) fn demanding() -> Value {
    json!({"spec": {"scalingStrategy": {"strategy": "accurate"}, "successfulJobsHistoryLimit": 0}})
}

#[tokio::test]
async fn the_rights_of_the_documentation_are_enough() {
    let operating = include_str!("../../../docs/operating.md");
    let (_, list) = operating.split_once("Rights it needs").unwrap();
    for (_, resource, _) in RIGHTS {
        assert!(list.contains(&format!("`{resource}`")), "{resource}");
    }
    let cluster = cluster("rights").await;
    grant(&cluster, None).await;
    let queue = Queue::new("rights").await;
    queue.send(30).await;
    cluster
        .create(scaled_job("orders", &queue.url, &demanding()))
        .await;
    let slipway = slipway(&cluster).await;
    cluster.await_jobs(3).await;
    queue.take(30).await;
    cluster.finish_jobs().await;
    cluster.await_jobs(0).await;
    await_until("Ready", Duration::from_secs(20), async || {
        (cluster.condition("orders", "Ready").await.0 == "True").then_some(())
    })
    .await;
    let events = cluster.events().await;
    assert!(
        events
            .iter()
            .any(|event| event.starts_with("KEDAJobsCreated")),
        "{events:?}"
    );
    let log = slipway.log();
    assert!(!log.contains("WARN"), "{log}");
    cluster.remove().await;
}

/// A file, a queue, a limit: every right that EventJobs need is used, but for the removal of ledgers that have expired and of
/// Secrets that another payload left behind.
pub(crate) fn demanding_events() -> Value {
    json!({
        "bind": {"file": {"path": "/var/run/slipway/event.json"}},
        "concurrencyPolicy": "Queue",
        "concurrency": {"limit": 1},
        "successfulJobsHistoryLimit": 0,
        "failedJobsHistoryLimit": 0,
    })
}

#[tokio::test]
async fn the_rights_of_the_documentation_are_enough_for_events() {
    let cluster = cluster("event-rights").await;
    grant(&cluster, None).await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster
        .create(event_job("invoice", &demanding_events()))
        .await;
    let kubeconfig = servers::named("KUBECONFIG_LIMITED");
    let arguments = ["--ledger-grace", "0s", "--unseen-grace", "0s"];
    let slipway = Slipway::run(&kubeconfig, &cluster.namespace, &arguments, &[]).await;
    for id in ["e-1", "e-2"] {
        let heard = deliver(&slipway, &cluster, "invoice", &renewed(id, "sub-1")).await;
        assert_eq!(heard.text("result"), "Waiting", "{heard:?}");
    }
    // Who asks for what is not there has it looked for.
    for path in ["/nobody", ""] {
        let path = format!("/events/{}{path}", cluster.namespace);
        let heard = post(slipway.http(), &path, &[("x-api-key", KEY)], "{}").await;
        assert_eq!(heard.unwrap().status, 404, "{path}");
    }
    await_until("both had their turn and are gone", SOON, async || {
        cluster.pods_become("Succeeded", 1).await;
        cluster.jobs().await.is_empty().then_some(())
    })
    .await;
    await_status(&cluster, "invoice", "a status", |status| {
        status["lastJobName"].is_string() && status["waiting"] == 0
    })
    .await;
    let log = slipway.log();
    assert!(!log.contains("WARN"), "{log}");
    cluster.remove().await;
}

/// Takes one right away, and waits until the log, the status or an answer has the server's words.
async fn check_event(verb: &str, resource: &str) {
    let cluster = cluster("event-right").await;
    grant(&cluster, Some((verb, resource))).await;
    cluster.secret("hook", &[("current", KEY)]).await;
    cluster
        .create(event_job("invoice", &demanding_events()))
        .await;
    let kubeconfig = servers::named("KUBECONFIG_LIMITED");
    let arguments = ["--ledger-grace", "0s", "--unseen-grace", "0s"];
    let slipway = Slipway::start(&kubeconfig, &cluster.namespace, &arguments, &[]);
    let words = format!("cannot {verb} resource \"{resource}\"");
    let mut taken = 0;
    await_until(&format!("{words} is said"), SOON, async || {
        if slipway.log().contains(&words) {
            return Some(());
        }
        // A few events, one after the other, and one for an EventJob that is not there.
        let event = renewed(&format!("e-{}", taken.min(3)), "sub-1");
        for name in ["invoice", "nobody"] {
            let heard = send_to(slipway.http(), &cluster.namespace, name, &event).await;
            taken += u32::from(heard.is_some_and(|heard| heard.status == 200));
        }
        cluster.pods_become("Succeeded", 1).await;
        let object = event_jobs(&cluster).get("invoice").await.ok()?;
        // A quotation within JSON.
        let status = object.data.to_string().replace("\\\"", "\"");
        status.contains(&words).then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_right_for_events_that_is_missing_is_named_with_verb_and_resource() {
    let rows = [
        ("get", "jobs"),
        ("list", "jobs"),
        ("watch", "jobs"),
        ("create", "jobs"),
        ("patch", "jobs"),
        ("get", "secrets"),
        ("create", "secrets"),
        ("list", "configmaps"),
        ("create", "configmaps"),
        ("get", "leases"),
        ("create", "leases"),
        ("update", "leases"),
        ("get", "eventjobs"),
        ("list", "eventjobs"),
        ("watch", "eventjobs"),
        ("patch", "eventjobs/status"),
    ];
    // More at once would keep the API server, which all tests share, busy.
    stream::iter(rows)
        .for_each_concurrent(3, |(verb, resource)| check_event(verb, resource))
        .await;
}

/// Where the server's words about a missing right are found.
#[derive(Clone, Copy)]
enum Where {
    Ready,
    Trigger,
    Event,
    Log,
}

async fn check(verb: &str, resource: &str, place: Where) {
    let cluster = cluster("right").await;
    grant(&cluster, Some((verb, resource))).await;
    let queue = Queue::new("right").await;
    queue.send(30).await;
    cluster
        .create(scaled_job("orders", &queue.url, &demanding()))
        .await;
    let kubeconfig = servers::named("KUBECONFIG_LIMITED");
    let slipway = Slipway::start(&kubeconfig, &cluster.namespace, &TIDYING, &[]);
    let words = format!("cannot {verb} resource \"{resource}\"");
    let what = format!("{words} is said");
    await_until(&what, Duration::from_mins(2), async || {
        cluster.pods_become("Succeeded", 1).await;
        let said = match place {
            Where::Ready => ready_message(&cluster, "orders").await,
            Where::Trigger => cluster.trigger_errors("orders").await,
            Where::Event => cluster.events().await.join("\n"),
            Where::Log => slipway.log(),
        };
        said.contains(&words).then_some(())
    })
    .await;
    if (verb, resource) == ("list", "scaledjobs") {
        let ready = slipway.get("/readyz").await.unwrap();
        assert!(
            ready.starts_with("not ready"),
            "what cannot be listed is not known: {ready}"
        );
    }
    cluster.remove().await;
}

#[tokio::test]
async fn a_missing_right_is_named_with_verb_and_resource() {
    let rows = [
        ("create", "jobs", Where::Event),
        ("list", "jobs", Where::Ready),
        ("delete", "jobs", Where::Log),
        ("list", "pods", Where::Ready),
        ("watch", "pods", Where::Ready),
        ("get", "secrets", Where::Trigger),
        ("get", "triggerauthentications", Where::Trigger),
        ("list", "scaledjobs", Where::Log),
        ("patch", "scaledjobs/status", Where::Log),
        ("create", "events", Where::Log),
    ];
    join_all(rows.map(|(verb, resource, place)| check(verb, resource, place))).await;
}
