//! One EventJob, or one namespace, is slow for itself only; and whoever goes, goes.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{
    await_status, cluster, condition, deliver, event_job, event_jobs, patch, renewed, send,
};
use crate::controller::faults::File;
use crate::support::api_proxy::{ApiProxy, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::post;
use crate::support::process::Slipway;
use crate::support::servers;

/// What takes a few calls of an API server that answers.
const SOON: Duration = Duration::from_secs(20);

/// Anyone may send, and nothing runs.
fn open(name: &str, changes: &Value) -> Value {
    let mut object = event_job(name, changes);
    object["spec"]["source"]["webhook"]["auth"] = json!([{"none": {}}]);
    object["spec"]["jobTemplate"]["spec"]["suspend"] = json!(true);
    object
}

/// Slipway behind a proxy, for some namespaces.
fn behind(proxy: &ApiProxy, namespaces: &[&Cluster]) -> (Slipway, File) {
    let names: Vec<&str> = namespaces.iter().map(|of| of.namespace.as_str()).collect();
    let file = File::new(namespaces[0], &proxy.kubeconfig());
    let slipway = Slipway::start(file.path(), &names.join(","), &[], &[]);
    (slipway, file)
}

async fn is_ready(slipway: &Slipway) -> Option<()> {
    slipway
        .get("/readyz")
        .await?
        .starts_with("ok")
        .then_some(())
}

/// Makes an EventJob, which takes an event before long.
async fn a_new_one_takes_events(slipway: &Slipway, cluster: &Cluster, name: &str) {
    cluster.create(open(name, &json!({}))).await;
    await_until("a new EventJob takes events", SOON, async || {
        let heard = send(slipway, cluster, name, &renewed("e-1", "sub-1")).await?;
        (heard.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_is_named_and_the_others_go_on() {
    let good = cluster("there").await;
    let missing = format!("{}-nowhere", good.namespace);
    let namespaces = format!("{},{missing}", good.namespace);
    let slipway = Slipway::start(&servers::kubeconfig(), &namespaces, &[], &[]);
    let told = format!("namespaces in {missing}: the namespace does not exist");
    await_until("it is ready, and says so", SOON, async || {
        let answer = slipway.get("/readyz").await?;
        (answer.starts_with("ok\n") && answer.contains(&told)).then_some(())
    })
    .await;
    let metrics = slipway.get("/metrics").await.unwrap();
    let series =
        format!("slipway_watch_failing{{resource=\"namespaces\",namespace=\"{missing}\"}} 1");
    assert!(metrics.contains(&series), "{metrics}");
    let line = format!("namespace {missing} does not exist");
    assert_eq!(slipway.log().matches(&line).count(), 1);
    a_new_one_takes_events(&slipway, &good, "one").await;
    good.remove().await;
}

#[tokio::test]
async fn statuses_that_hang_in_one_namespace_keep_no_event_job_of_another_from_becoming_ready() {
    let (slow, good) = (cluster("slow").await, cluster("good").await);
    let proxy = ApiProxy::start().await;
    for number in 0..6 {
        slow.create(open(&format!("slow-{number}"), &json!({})))
            .await;
    }
    let (slipway, _file) = behind(&proxy, &[&slow, &good]);
    await_until("it is ready", SOON, async || is_ready(&slipway).await).await;
    let statuses = format!("/namespaces/{}/eventjobs/", slow.namespace);
    proxy.fault(Rule::on("PATCH", statuses, Fault::Hang));
    for number in 0..6 {
        let name = format!("slow-{number}");
        deliver(&slipway, &slow, &name, &renewed("e-1", "sub-1")).await;
    }
    for number in 0..3 {
        let name = format!("good-{number}");
        a_new_one_takes_events(&slipway, &good, &name).await;
        let what = "it says so, while the other namespace hangs";
        await_status(&good, &name, what, |status| {
            condition(status, "Ready").0 == "True"
        })
        .await;
    }
    slow.remove().await;
    good.remove().await;
}

#[tokio::test]
async fn dry_runs_that_hang_in_one_namespace_keep_no_event_job_of_another_from_becoming_ready() {
    let (slow, good) = (cluster("hung").await, cluster("well").await);
    let proxy = ApiProxy::start().await;
    let dry_runs = format!("/namespaces/{}/jobs\\?.*dryRun=All", slow.namespace);
    proxy.fault(Rule::matching("POST", &dry_runs, Fault::Hang));
    for number in 0..100 {
        slow.create(open(&format!("slow-{number}"), &json!({})))
            .await;
    }
    let (slipway, _file) = behind(&proxy, &[&slow, &good]);
    // They are known not to be served then, or it was waited for long enough.
    await_until("it is ready", Duration::from_mins(1), async || {
        is_ready(&slipway).await
    })
    .await;
    for number in 0..3 {
        let name = format!("good-{number}");
        a_new_one_takes_events(&slipway, &good, &name).await;
    }
    slow.remove().await;
    good.remove().await;
}

#[tokio::test]
async fn a_new_event_job_has_its_status_when_its_template_is_proved_and_by_one_write() {
    let cluster = cluster("written-once").await;
    let proxy = ApiProxy::start().await;
    let longer_than_a_status_waits = Duration::from_secs(3);
    let dry_runs = Rule::matching(
        "POST",
        "/jobs\\?.*dryRun=All",
        Fault::Delay(longer_than_a_status_waits),
    );
    proxy.fault(dry_runs);
    cluster.create(open("new", &json!({}))).await;
    let (_slipway, _file) = behind(&proxy, &[&cluster]);
    await_status(&cluster, "new", "it is Ready", |status| {
        condition(status, "Ready").0 == "True"
    })
    .await;
    assert_eq!(proxy.calls("PATCH", "/eventjobs/new/status"), 1);
    cluster.remove().await;
}

#[tokio::test]
async fn it_is_ready_when_the_lists_are_done_and_the_shared_door_says_no_sooner_that_it_has_all() {
    let cluster = cluster("partly").await;
    let proxy = ApiProxy::start().await;
    let shared = json!({"source": {"webhook": {"shared": true}}});
    cluster.create(open("a", &shared)).await;
    let lists = format!("/namespaces/{}/eventjobs?", cluster.namespace);
    proxy.fault(Rule::on("GET", lists, Fault::Refuse(500)));
    let (slipway, _file) = behind(&proxy, &[&cluster]);
    let path = format!("/events/{}", cluster.namespace);
    let event = renewed("e-1", "sub-1").to_string();
    let heard = await_until("the door answers", SOON, async || {
        post(slipway.http(), &path, &[], &event).await
    })
    .await;
    await_until("a list has failed", SOON, async || {
        slipway
            .log()
            .contains("cannot list or watch eventjobs")
            .then_some(())
    })
    .await;
    assert_eq!(
        (heard.status, heard.text("reason")),
        (503, "NotSynced"),
        "{heard:?}"
    );
    assert_eq!(is_ready(&slipway).await, None);
    proxy.heal();
    await_until("it is ready", Duration::from_mins(1), async || {
        is_ready(&slipway).await
    })
    .await;
    let heard = post(slipway.http(), &path, &[], &event).await.unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
    cluster.remove().await;
}

#[tokio::test]
async fn a_restart_serves_at_once_what_its_status_says_was_proved() {
    const EVENT_JOBS: usize = 100;
    const EVENTS: usize = 500;
    let cluster = cluster("again").await;
    for number in 0..EVENT_JOBS {
        cluster
            .create(open(&format!("job-{number}"), &json!({})))
            .await;
    }
    let proxy = ApiProxy::start().await;
    let (first, _file) = behind(&proxy, &[&cluster]);
    let what = "every proof stands in its status";
    await_until(what, Duration::from_mins(2), async || {
        let all = event_jobs(&cluster)
            .list(&ListParams::default())
            .await
            .ok()?;
        let version = env!("CARGO_PKG_VERSION");
        let is_proved =
            |status: &Value| status["proof"] == json!({"generation": 1, "version": version});
        let proved = all.iter().filter(|one| is_proved(&one.data["status"]));
        (proved.count() == EVENT_JOBS).then_some(())
    })
    .await;
    drop(first);
    // No dry run is answered: what is served is served by the proof that stands.
    proxy.fault(Rule::on("POST", "dryRun=All", Fault::Hang));
    // But not for one that was edited meanwhile.
    patch(
        &cluster,
        "job-0",
        json!({"spec": {"deduplicateFor": "26h"}}),
    )
    .await;
    let (slipway, _file) = behind(&proxy, &[&cluster]);
    await_until("it is ready", Duration::from_mins(1), async || {
        is_ready(&slipway).await
    })
    .await;
    let posts = (0..EVENTS).map(|number| {
        let (slipway, cluster) = (&slipway, &cluster);
        async move {
            let (event_job, id) = (number % EVENT_JOBS, format!("e-{number}"));
            let name = format!("job-{event_job}");
            let heard = send(slipway, cluster, &name, &renewed(&id, "sub-1")).await;
            (event_job, heard.map(|heard| heard.status))
        }
    });
    // As many at once as a busy API server answers within a sender's patience.
    let statuses: Vec<(usize, Option<u16>)> = stream::iter(posts).buffered(8).collect().await;
    for (number, status) in statuses {
        let expected = if number == 0 { 503 } else { 200 };
        assert_eq!(status, Some(expected), "job-{number}");
    }
    cluster.remove().await;
}

#[tokio::test]
async fn an_event_job_that_is_being_deleted_launches_nothing_and_its_shared_door_leaves_it_out() {
    let cluster = cluster("going").await;
    let shared = json!({"source": {"webhook": {"shared": true}}});
    cluster.create(open("going", &shared)).await;
    cluster.create(open("staying", &shared)).await;
    let queue = json!({"concurrencyPolicy": "Queue"});
    let mut queued = event_job("queued", &queue);
    queued["spec"]["source"]["webhook"]["auth"] = json!([{"none": {}}]);
    cluster.create(queued).await;
    let slipway = super::slipway(&cluster, &[]).await;
    for name in ["going", "staying"] {
        deliver(&slipway, &cluster, name, &renewed("e-1", "sub-1")).await;
    }
    for event in ["q-1", "q-2"] {
        deliver(&slipway, &cluster, "queued", &renewed(event, "sub-1")).await;
    }
    await_status(&cluster, "queued", "one runs, one waits", |status| {
        status["active"] == 1 && status["waiting"] == 1
    })
    .await;
    for name in ["going", "queued"] {
        let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
        patch(&cluster, name, held).await;
        event_jobs(&cluster)
            .delete(name, &DeleteParams::background())
            .await
            .unwrap();
    }
    for name in ["going", "queued"] {
        await_until("its own door is shut", SOON, async || {
            let heard = send(&slipway, &cluster, name, &renewed("e-2", "sub-1")).await?;
            (heard.status == 503).then_some(())
        })
        .await;
    }
    let jobs = cluster.jobs().await.len();
    let path = format!("/events/{}", cluster.namespace);
    let event = renewed("e-3", "sub-1").to_string();
    let heard = post(slipway.http(), &path, &[], &event).await.unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
    assert_eq!(
        cluster.jobs().await.len(),
        jobs + 1,
        "that of the one that stays"
    );
    // A place is free, and nobody takes it any more.
    let waiting = async || {
        let jobs = cluster.jobs().await;
        let is_queued = |job: &&k8s_openapi::api::batch::v1::Job| {
            job.metadata
                .name
                .as_ref()
                .is_some_and(|name| name.starts_with("queued-"))
        };
        let suspended = jobs.iter().filter(is_queued).filter(|job| {
            job.spec
                .as_ref()
                .is_some_and(|spec| spec.suspend == Some(true))
        });
        suspended.count()
    };
    // An event that came before the watch told of the deletion has its Job.
    let waited = waiting().await;
    assert!(waited >= 1);
    let running = cluster.jobs().await.into_iter().filter(|job| {
        job.spec
            .as_ref()
            .is_some_and(|spec| spec.suspend != Some(true))
    });
    for job in running {
        let name = job.metadata.name.unwrap();
        let delete = DeleteParams::background();
        cluster.job_api().delete(&name, &delete).await.unwrap();
    }
    // Another EventJob's Jobs are looked after meanwhile: a pass over the one that goes would have come.
    deliver(&slipway, &cluster, "staying", &renewed("e-4", "sub-1")).await;
    await_status(&cluster, "staying", "the leader is at work", |status| {
        status["lastEventTime"].is_string()
    })
    .await;
    assert_eq!(waiting().await, waited);
    for name in ["going", "queued"] {
        patch(&cluster, name, json!({"metadata": {"finalizers": null}})).await;
    }
    await_until("the name is nowhere", SOON, async || {
        let heard = send(&slipway, &cluster, "going", &renewed("e-5", "sub-1")).await?;
        (heard.status == 404).then_some(())
    })
    .await;
    cluster.remove().await;
}
