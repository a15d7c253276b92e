//! The same schedules beside the real CronJob controller, through an outage.

use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{SOON, by_due_time, decided, hourly, hours, now, scheduled, seen, set_back};
use crate::events::slipway;
use crate::support::await_until;
use crate::support::cluster::Cluster;

/// A CronJob that has been suspended since its last run, at `last`.
async fn cron_job(cluster: &Cluster, name: &str, schedule: &Value, last: &str) -> Api<CronJob> {
    let cron_jobs: Api<CronJob> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": schedule, "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "example.com/a:1"}],
        }}}}},
    });
    let manifest = serde_json::from_value(manifest).unwrap();
    cron_jobs
        .create(&PostParams::default(), &manifest)
        .await
        .unwrap();
    let parameters = PatchParams::default();
    let status = json!({"status": {"lastScheduleTime": last}});
    cron_jobs
        .patch_status(name, &parameters, &Patch::Merge(status))
        .await
        .unwrap();
    let resumed = json!({"spec": {"suspend": false}});
    cron_jobs
        .patch(name, &parameters, &Patch::Merge(resumed))
        .await
        .unwrap();
    cron_jobs
}

#[tokio::test]
async fn what_the_real_controller_gives_up_on_is_made_here() {
    let cluster = Cluster::new("clock-beside").await;
    let (even, last) = hourly();
    // Two due times a day, five minutes apart, three hours ago: its jump from gap to gap ends past them.
    let hour = (now().as_second() / 3_600 + 21) % 24;
    let uneven = json!({"schedule": format!("0,5 {hour} * * *")});
    for (name, cron) in [("even", &even), ("uneven", &uneven)] {
        cluster.create(scheduled(name, cron, &json!({}))).await;
    }
    let mut first = slipway(&cluster, &[]).await;
    for name in ["even", "uneven"] {
        seen(&cluster, name).await;
    }
    first.kill();
    let before = now() - hours(26);
    for name in ["even", "uneven"] {
        set_back(&cluster, name, before).await;
    }
    let text = format!("{before:.0}");
    let cron_jobs = cron_job(&cluster, "k-uneven", &uneven["schedule"], &text).await;
    cron_job(&cluster, "k-even", &even["schedule"], &text).await;
    let _second = slipway(&cluster, &[]).await;
    decided(&cluster, "even", last).await;
    // Its controller works: it has made the run of the even one.
    await_until("the real controller catches up", SOON, async || {
        let made = cron_jobs
            .get("k-even")
            .await
            .unwrap()
            .status?
            .last_schedule_time?;
        (made.0 > before).then_some(())
    })
    .await;
    let ours = await_until("ours has made the uneven one", SOON, async || {
        let counts = by_due_time(&cluster.jobs().await);
        let of = |name: &str| {
            let mut of = counts.iter().filter(|((owner, _), _)| owner == name);
            of.next().map(|((_, due), count)| (*due, *count))
        };
        Some((of("uneven")?, of("k-uneven")))
    })
    .await;
    let ((due, count), theirs) = ours;
    assert_eq!(
        (due.as_second() / 60 % 60, count),
        (5, 1),
        "the newest of the two"
    );
    assert_eq!(
        theirs, None,
        "kube-controller-manager makes it now: this test has nothing to say any more"
    );
    cluster.remove().await;
}
