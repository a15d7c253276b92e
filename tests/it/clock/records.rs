//! Records of schedules that somebody else has written.

use super::*;

/// Writes over the status of an EventJob what nobody of Slipway would.
async fn overwrite(cluster: &Cluster, name: &str, status: Value) {
    let (parameters, patch) = (
        PatchParams::default(),
        Patch::Merge(json!({ "status": status })),
    );
    let event_jobs = event_jobs(cluster);
    let written = event_jobs.patch_status(name, &parameters, &patch).await;
    written.unwrap();
}

/// Waits until its condition Launching is False, for this reason.
async fn held_up(cluster: &Cluster, name: &str, why: &str) {
    await_until(&format!("{name} says {why:?}"), A_MINUTE, async || {
        let status = status(cluster, name).await;
        let launching = &status["conditions"][1];
        let says = launching["message"]
            .as_str()
            .is_some_and(|text| text.contains(why));
        (launching["status"] == "False" && says).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_or_be_true_stops_its_own_schedule_and_is_told() {
    let cluster = Cluster::new("records").await;
    let cron = json!({"schedule": "* * * * *"});
    for name in ["newer", "never", "ahead", "sound"] {
        cluster.create(scheduled(name, &cron, &json!({}))).await;
    }
    let slipway = slipway(&cluster, &[]).await;
    for name in ["newer", "never", "ahead", "sound"] {
        seen(&cluster, name).await;
    }
    let tomorrow = now() + hours(24);
    overwrite(&cluster, "newer", json!({"schedule": {"version": 2}})).await;
    let never = json!({"lastScheduleTime": "9999-12-31T23:59:59Z"});
    overwrite(&cluster, "never", never).await;
    let ahead = json!({"lastScheduleTime": format!("{tomorrow:.0}")});
    overwrite(&cluster, "ahead", ahead).await;

    // The leader has its own word until it writes: one more Job at most.
    held_up(&cluster, "newer", "not in form 1").await;
    held_up(
        &cluster,
        "never",
        "status.lastScheduleTime is no time that can be",
    )
    .await;
    held_up(&cluster, "ahead", "no due time is made before that").await;
    let of_broken = async || {
        let mut counts = by_due_time(&cluster.jobs().await);
        counts.retain(|(owner, _), _| owner != "sound");
        counts
    };
    let before = of_broken().await;
    let at_last = now() + SignedDuration::from_secs(61);
    await_until("the sound one goes on", 2 * A_MINUTE, async || {
        let last = status(&cluster, "sound").await["lastScheduleTime"].clone();
        let last: Option<Timestamp> = last.as_str().and_then(|text| text.parse().ok());
        (last > Some(at_last)).then_some(())
    })
    .await;
    assert_eq!(of_broken().await, before);

    // Who repairs it need not tell anybody.
    let version = json!({"schedule": {"version": 1}});
    overwrite(&cluster, "newer", version).await;
    overwrite(&cluster, "ahead", json!({"lastScheduleTime": null})).await;
    for name in ["newer", "ahead"] {
        await_until("it goes on", 2 * A_MINUTE, async || {
            let status = status(&cluster, name).await;
            (status["conditions"][1]["status"] == "True").then_some(())
        })
        .await;
    }
    drop(slipway);
    cluster.remove().await;
}
