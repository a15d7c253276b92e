//! The clock as a source, end to end: due times become Jobs, once each, whatever happens to those who make them.
//!
//! No test waits for an hour: how far a schedule has come stands in its status, so a test writes there that it is a day
//! behind.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::events::{event_jobs, patch, slipway, variable};
use crate::support::api_proxy::{ApiProxy, CREATES, Fault, Rule};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;

pub(crate) mod asked;
mod beside;
mod examples;
mod in_place;
mod kills;
mod others;
mod records;
mod reruns;

/// For what should come within seconds.
const SOON: Duration = Duration::from_secs(30);
/// Until the next minute, on a busy machine.
const A_MINUTE: Duration = Duration::from_secs(100);
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// An EventJob with this `source.cron` and changes of its spec.
pub(crate) fn scheduled(name: &str, cron: &Value, changes: &Value) -> Value {
    let mut spec = json!({
        "source": {"cron": cron},
        "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "report", "image": "example.com/report:1"}],
        }}}},
    });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// Hourly, at a minute that is not near.
pub(crate) fn hourly() -> (Value, Timestamp) {
    let now = now();
    let minute = (now.as_second() / 60 + 30) % 60;
    let hour = now.as_second().div_euclid(3_600) * 3_600;
    let mut last = hour + minute * 60;
    if last > now.as_second() {
        last -= 3_600;
    }
    let schedule = json!({"schedule": format!("{minute} * * * *")});
    (schedule, Timestamp::from_second(last).unwrap())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program's own clock is the real one"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

async fn status(cluster: &Cluster, name: &str) -> Value {
    let object = event_jobs(cluster).get(name).await.unwrap();
    object.data.get("status").cloned().unwrap_or_default()
}

/// Waits until a leader has seen the schedule.
async fn seen(cluster: &Cluster, name: &str) -> Value {
    await_until("the schedule is seen", SOON, async || {
        let status = status(cluster, name).await;
        status["schedule"]["hash"].is_string().then_some(status)
    })
    .await
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Has the status say that the schedule came no further than to this time, as after an outage.
async fn set_back(cluster: &Cluster, name: &str, last: Timestamp) {
    let since = last - hours(1);
    let status = json!({"status": {
        "lastScheduleTime": last.to_string(), "schedule": {"since": since.to_string()},
    }});
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(status));
    let event_jobs = event_jobs(cluster);
    event_jobs
        .patch_status(name, &parameters, &patch)
        .await
        .unwrap();
}

fn due(job: &Job) -> Timestamp {
    let annotations = job.metadata.annotations.as_ref().unwrap();
    annotations[SCHEDULED].parse().unwrap()
}

/// How many Jobs each EventJob has for each due time.
fn by_due_time(jobs: &[Job]) -> BTreeMap<(String, Timestamp), usize> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        let owner = job.metadata.owner_references.as_ref().unwrap()[0]
            .name
            .clone();
        *counts.entry((owner, due(job))).or_default() += 1;
    }
    counts
}

async fn decided(cluster: &Cluster, name: &str, last: Timestamp) {
    let text = format!("{last:.0}");
    await_until(&format!("{name} has come to {text}"), SOON, async || {
        (status(cluster, name).await["lastScheduleTime"] == text.as_str()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_due_time_becomes_one_job_that_knows_it() {
    let cluster = Cluster::new("clock").await;
    let cron = json!({"schedule": "* * * * *", "timeZone": "Asia/Kolkata"});
    let bind = json!({"bind": {"env": [{"name": "DUE", "path": "$.scheduledTime"}]}});
    let begun = now();
    cluster.create(scheduled("report", &cron, &bind)).await;
    let first = slipway(&cluster, &[]).await;
    let second = slipway(&cluster, &[]).await;
    let job = await_until("a Job", A_MINUTE, async || cluster.jobs().await.pop()).await;
    let at = due(&job);
    assert!(at > begun && at.as_second() % 60 == 0, "{at}");
    let written = &job.metadata.annotations.as_ref().unwrap()[SCHEDULED];
    assert!(written.ends_with("+05:30"), "{written}");
    assert_eq!(
        variable(&job, "SLIPWAY_SCHEDULED_TIME").as_ref(),
        Some(written)
    );
    assert_eq!(variable(&job, "DUE").as_ref(), Some(written));
    let created = job.metadata.creation_timestamp.as_ref().unwrap().0;
    assert!(created >= at, "not before it is due");

    decided(&cluster, "report", at).await;
    let status = status(&cluster, "report").await;
    let next = at + SignedDuration::from_mins(1);
    assert_eq!(status["nextScheduleTime"], format!("{next:.0}"));
    assert_eq!(status["schedule"]["next"].as_array().unwrap().len(), 5);
    assert_eq!(status["url"], Value::Null, "{status}");
    assert_eq!(
        status["conditions"][0]["message"],
        "its schedule is looked after"
    );
    await_until("it is told", SOON, async || {
        let events = cluster.events().await;
        events
            .iter()
            .any(|event| event.contains("SuccessfulCreate"))
            .then_some(())
    })
    .await;
    assert!(
        by_due_time(&cluster.jobs().await)
            .values()
            .all(|count| *count == 1)
    );
    drop((first, second));
    cluster.remove().await;
}

#[tokio::test]
async fn an_outage_of_any_length_loses_no_run_and_says_which_were_not_made() {
    let cluster = Cluster::new("outage").await;
    let (cron, last) = hourly();
    // The kind that kube-controller-manager gives up on: several due times a day, close together.
    let gathered = json!({"schedules": ["0 9-17 * * *", "*/5 3 * * *"]});
    let with = |catch_up: &str| {
        let mut cron = cron.clone();
        cron["catchUp"] = json!(catch_up);
        cron
    };
    cluster.create(scheduled("last", &cron, &json!({}))).await;
    cluster
        .create(scheduled("none", &with("None"), &json!({})))
        .await;
    cluster
        .create(scheduled("all", &with("All"), &json!({})))
        .await;
    cluster
        .create(scheduled("gathered", &gathered, &json!({})))
        .await;
    let mut deadline = cron.clone();
    deadline["startingDeadlineSeconds"] = json!(1);
    cluster
        .create(scheduled("deadline", &deadline, &json!({})))
        .await;
    let mut first = slipway(&cluster, &[]).await;
    for name in ["last", "none", "all", "gathered", "deadline"] {
        seen(&cluster, name).await;
    }
    first.kill();
    for name in ["last", "none", "all", "gathered", "deadline"] {
        set_back(&cluster, name, last - hours(36)).await;
    }
    let _second = slipway(&cluster, &[]).await;
    for name in ["last", "none", "all", "deadline"] {
        decided(&cluster, name, last).await;
    }
    let gathered_last = await_until("the latest of several is made", SOON, async || {
        let last = status(&cluster, "gathered").await["lastScheduleTime"].clone();
        let last: Timestamp = last.as_str()?.parse().ok()?;
        (last > now() - hours(24)).then_some(last)
    })
    .await;
    let made = |jobs: &[Job], name: &str| -> Vec<Timestamp> {
        let counts = by_due_time(jobs);
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        let of = counts.into_keys().filter(|(owner, _)| owner == name);
        of.map(|(_, due)| due).collect()
    };
    let jobs = cluster.jobs().await;
    assert_eq!(made(&jobs, "last"), [last]);
    assert_eq!(made(&jobs, "none"), []);
    assert_eq!(made(&jobs, "deadline"), []);
    assert_eq!(made(&jobs, "gathered"), [gathered_last]);
    let all: Vec<_> = (0..36).rev().map(|back| last - hours(back)).collect();
    assert_eq!(made(&jobs, "all"), all);
    for (name, count, reason) in [
        ("last", 35, "CatchUpLast"),
        ("none", 36, "CatchUpNone"),
        ("deadline", 36, "StartingDeadline"),
    ] {
        let missed = status(&cluster, name).await["schedule"]["missed"][0].clone();
        assert_eq!(missed["count"], count, "{name}: {missed}");
        assert_eq!(missed["reason"], reason, "{name}: {missed}");
    }
    assert!(
        status(&cluster, "all").await["schedule"]["missed"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
    let told = await_until("what was missed is told", SOON, async || {
        let events = cluster.events().await;
        let told: Vec<_> = events
            .into_iter()
            .filter(|event| event.contains("MissSchedule"))
            .collect();
        (told.len() >= 3).then_some(told)
    })
    .await;
    assert!(
        told.iter().any(|event| event.contains("36 missed")),
        "{told:?}"
    );
    cluster.remove().await;
}

#[tokio::test]
async fn a_job_whose_answer_was_lost_and_a_record_that_was_not_written_make_no_second_job() {
    let cluster = Cluster::new("clock-lost").await;
    let (cron, last) = hourly();
    let names: Vec<String> = (0..6).map(|number| format!("report-{number}")).collect();
    for name in &names {
        cluster.create(scheduled(name, &cron, &json!({}))).await;
    }
    let mut first = slipway(&cluster, &[]).await;
    for name in &names {
        seen(&cluster, name).await;
    }
    first.kill();
    for name in &names {
        set_back(&cluster, name, last - hours(5)).await;
    }
    let proxy = ApiProxy::start().await;
    let kubeconfig = std::env::temp_dir().join(format!("{}.kubeconfig", cluster.namespace));
    std::fs::write(&kubeconfig, proxy.kubeconfig()).unwrap();
    // Each first create is done and has no answer; no record is written before the process dies.
    proxy.fault(Rule::on("POST", CREATES, Fault::Cut).times(names.len()));
    let records = Rule::on("PATCH", "/eventjobs/", Fault::Refuse(503));
    proxy.fault(records);
    let mut second = Slipway::start(kubeconfig.to_str().unwrap(), &cluster.namespace, &[], &[]);
    cluster.await_jobs(names.len()).await;
    second.kill();
    proxy.heal();
    let _third = slipway(&cluster, &[]).await;
    for name in &names {
        decided(&cluster, name, last).await;
    }
    let counts = by_due_time(&cluster.jobs().await);
    assert_eq!(counts.len(), names.len(), "{counts:?}");
    assert!(
        counts
            .iter()
            .all(|((_, due), count)| *count == 1 && *due == last),
        "{counts:?}"
    );
    std::fs::remove_file(&kubeconfig).unwrap();
    cluster.remove().await;
}

#[tokio::test]
async fn an_edit_counts_from_the_edit_and_a_resumed_schedule_catches_up() {
    let cluster = Cluster::new("clock-edit").await;
    let (cron, last) = hourly();
    cluster.create(scheduled("edited", &cron, &json!({}))).await;
    cluster
        .create(scheduled("resumed", &cron, &json!({"suspend": true})))
        .await;
    let mut slipway = slipway(&cluster, &[]).await;
    let before = seen(&cluster, "edited").await;
    seen(&cluster, "resumed").await;
    // To a minute that was due half an hour ago or more.
    let passed = Timestamp::from_second(last.as_second() - 120).unwrap();
    let minute = passed.as_second() / 60 % 60;
    let schedule = json!({"schedule": format!("{minute} * * * *")});
    patch(
        &cluster,
        "edited",
        json!({"spec": {"source": {"cron": schedule}}}),
    )
    .await;
    let after = await_until("the edit is seen", SOON, async || {
        let status = status(&cluster, "edited").await;
        (status["schedule"]["hash"] != before["schedule"]["hash"]).then_some(status)
    })
    .await;
    let next: Timestamp = after["nextScheduleTime"].as_str().unwrap().parse().unwrap();
    assert!(next > now(), "{after}");
    assert_eq!(next.as_second() / 60 % 60, minute);

    let resumed = status(&cluster, "resumed").await;
    assert_eq!(resumed["nextScheduleTime"], Value::Null, "{resumed}");
    slipway.kill();
    set_back(&cluster, "resumed", last - hours(3)).await;
    patch(&cluster, "resumed", json!({"spec": {"suspend": false}})).await;
    let _again = crate::events::slipway(&cluster, &[]).await;
    decided(&cluster, "resumed", last).await;
    let counts = by_due_time(&cluster.jobs().await);
    let made: Vec<_> = counts.into_iter().collect();
    assert_eq!(made, [(("resumed".to_owned(), last), 1)]);
    cluster.remove().await;
}

#[tokio::test]
async fn under_forbid_a_due_time_that_finds_a_job_running_is_told_and_never_made_late() {
    let cluster = Cluster::new("clock-forbid").await;
    let (cron, last) = hourly();
    let forbid = json!({"concurrencyPolicy": "Forbid"});
    cluster.create(scheduled("backup", &cron, &forbid)).await;
    let mut first = slipway(&cluster, &[]).await;
    seen(&cluster, "backup").await;
    first.kill();
    set_back(&cluster, "backup", last - hours(1)).await;
    let mut second = slipway(&cluster, &[]).await;
    decided(&cluster, "backup", last).await;
    let job = await_until("it runs", SOON, async || {
        let job = cluster.jobs().await.pop()?;
        (job.spec.as_ref()?.suspend == Some(false)).then_some(job)
    })
    .await;
    second.kill();
    // As if its time came again while the Job runs.
    set_back(&cluster, "backup", last - hours(1)).await;
    let due_before = due(&job);
    let jobs = cluster.job_api();
    let other = json!({"metadata": {"annotations": {SCHEDULED: (last - hours(1)).to_string()}}});
    let parameters = PatchParams::default();
    let name = job.metadata.name.as_deref().unwrap();
    jobs.patch(name, &parameters, &Patch::Merge(other))
        .await
        .unwrap();
    let third = slipway(&cluster, &[]).await;
    decided(&cluster, "backup", last).await;
    let missed = status(&cluster, "backup").await["schedule"]["missed"][0].clone();
    assert_eq!(missed["reason"], "JobAlreadyActive", "{missed}");
    assert_eq!(missed["time"], format!("{due_before:.0}"));
    cluster.finish_jobs().await;
    jobs.delete(name, &DeleteParams::background())
        .await
        .unwrap();
    await_until("nothing is made late", SOON, async || {
        third.log().contains("JobAlreadyActive").then_some(())
    })
    .await;
    assert!(cluster.unfinished().await == 0);
    cluster.remove().await;
}
