//! Jobs that somebody asked for: `slipway trigger`, `slipway backfill`, and what `slipway jobs` says of them.

use std::process::Command;

use serde_json::{Value, json};

use super::{SOON, by_due_time, hourly, hours, now, scheduled, seen, status};
use crate::events::{patch, slipway, variable};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::local::SlipwayLocal;
use crate::support::servers;

/// Runs a verb; its exit code and what it wrote.
pub(super) fn verb(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Triggers a schedule of a state folder as soon as it is there; the Job's name.
pub(super) async fn triggered(state: &str, namespace: &str, name: &str) -> String {
    let place = ["--state", state, "-n", namespace, "--timeout", "20s"];
    let arguments = [&["trigger", name], &place[..]].concat();
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let text = await_until(&format!("{name} is triggered"), SOON, async || {
        let arguments = arguments.clone();
        let run = move || verb(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let (code, text) = tokio::task::spawn_blocking(run).await.unwrap();
        (code == Some(0)).then_some(text)
    })
    .await;
    let named = text.strip_prefix("job/").unwrap();
    named.split(':').next().unwrap().to_owned()
}

/// One that talks to the cluster of the tests.
pub(crate) async fn in_cluster(cluster: &Cluster, arguments: &[&str]) -> (Option<i32>, String) {
    let kubeconfig = servers::kubeconfig();
    let place = ["--kubeconfig", &kubeconfig, "-n", &cluster.namespace].map(str::to_owned);
    let all: Vec<String> = arguments
        .iter()
        .map(ToString::to_string)
        .chain(place)
        .collect();
    let run = move || verb(&all.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_trigger_makes_one_job_now_and_a_backfill_those_of_a_range() {
    let cluster = Cluster::new("clock-asked").await;
    let (cron, last) = hourly();
    cluster.create(scheduled("report", &cron, &json!({}))).await;
    let first = slipway(&cluster, &[]).await;
    let second = slipway(&cluster, &[]).await;
    seen(&cluster, "report").await;

    let (code, text) = in_cluster(&cluster, &["trigger", "eventjob/report"]).await;
    assert_eq!(code, Some(0), "{text}");
    let job = cluster.jobs().await.remove(0);
    let name = job.metadata.name.clone().unwrap();
    assert_eq!(text, format!("job/{name}: it was created\n"));
    let annotations = job.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["cronjob.kubernetes.io/instantiate"], "manual");
    assert!(variable(&job, "SLIPWAY_SCHEDULED_TIME").is_some());
    let (code, _) = in_cluster(&cluster, &["trigger", "report"]).await;
    assert_eq!(
        (code, cluster.jobs().await.len()),
        (Some(0), 2),
        "each is another"
    );

    // A suspended schedule can be triggered, as a CronJob's can.
    patch(&cluster, "report", json!({"spec": {"suspend": true}})).await;
    let (from, to) = ((last - hours(23)).to_string(), last.to_string());
    let backfill = [
        "backfill",
        "report",
        "--from",
        &from,
        "--to",
        &to,
        "--timeout",
        "2m",
    ];
    let (code, text) = in_cluster(&cluster, &backfill).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("24 Jobs were created; 0 due times had theirs before"),
        "{text}"
    );
    let (code, text) = in_cluster(&cluster, &backfill).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("0 Jobs were created; 24 due times had theirs before"),
        "{text}"
    );
    let mut jobs = cluster.jobs().await;
    jobs.retain(|job| {
        job.metadata
            .annotations
            .as_ref()
            .is_some_and(|all| all.contains_key(super::SCHEDULED))
    });
    let counts = by_due_time(&jobs);
    assert_eq!(counts.len(), 24);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let answers = status(&cluster, "report").await["requests"].clone();
    assert_eq!(answers.as_array().unwrap().len(), 4, "{answers}");

    let (code, text) = in_cluster(&cluster, &["jobs", "-o", "json"]).await;
    assert_eq!(code, Some(0), "{text}");
    let listed: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(listed.len(), 26);
    assert!(
        listed.iter().all(|job| job["of"] == "EventJob/report"),
        "{text}"
    );
    drop((first, second));
    cluster.remove().await;
}

#[tokio::test]
async fn what_cannot_be_asked_says_why() {
    let cluster = Cluster::new("clock-refused").await;
    let (cron, _) = hourly();
    cluster.create(scheduled("report", &cron, &json!({}))).await;
    cluster
        .create(crate::events::event_job("invoice", &json!({})))
        .await;
    for (arguments, words) in [
        (vec!["trigger", "nothing"], "not found"),
        (vec!["trigger", "invoice"], "post it an event instead"),
        (vec!["trigger", "cronjob/report"], "CronJob"),
        (
            vec![
                "backfill",
                "scaledjob/orders",
                "--from",
                "2026-01-01",
                "--to",
                "2026-01-02",
            ],
            "has no due times",
        ),
        (
            vec!["trigger", "report", "--timeout", "1s"],
            "only the leader of `slipway run`",
        ),
        (
            vec![
                "backfill",
                "report",
                "--from",
                "2026-02-01T00:00:00Z",
                "--to",
                "2026-01-01T00:00:00Z",
            ],
            "is after",
        ),
    ] {
        let (code, text) = in_cluster(&cluster, &arguments).await;
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
    // What was asked while nobody led is done by whoever leads first, and what nobody understands is told.
    let slipway = slipway(&cluster, &[]).await;
    cluster.await_jobs(1).await;
    patch(
        &cluster,
        "report",
        json!({"metadata": {"annotations": {"slipway.dev/requests": "now!"}}}),
    )
    .await;
    await_until("it is told", SOON, async || {
        let status = status(&cluster, "report").await;
        let told = status["requests"].as_array()?.last()?["message"].as_str()?;
        told.contains("is no list of requests").then_some(())
    })
    .await;
    let year = now() - hours(24 * 60);
    let (from, to) = (year.to_string(), now().to_string());
    let many = ["backfill", "report", "--from", &from, "--to", &to];
    patch(
        &cluster,
        "report",
        json!({"metadata": {"annotations": {"slipway.dev/requests": null}}}),
    )
    .await;
    let (code, text) = in_cluster(&cluster, &many).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("more than 1000 due times"), "{text}");

    // Under Forbid it would be dropped at once.
    let alone = scheduled("alone", &cron, &json!({"concurrencyPolicy": "Forbid"}));
    cluster.create(alone).await;
    seen(&cluster, "alone").await;
    let (code, text) = in_cluster(&cluster, &["trigger", "alone"]).await;
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = in_cluster(&cluster, &["trigger", "alone"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("has not ended, and concurrencyPolicy is Forbid"),
        "{text}"
    );
    drop(slipway);
    cluster.remove().await;
}

#[tokio::test]
async fn a_schedule_runs_on_this_machine_and_is_triggered_there() {
    let folder = std::env::temp_dir().join(format!("slipway-clock-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("report.yaml");
    let (cron, _) = hourly();
    let mut object = scheduled("report", &cron, &json!({}));
    let container = &mut object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    container["command"] = json!(["sh", "-c", "echo due at $SLIPWAY_SCHEDULED_TIME"]);
    let mut often = object.clone();
    often["metadata"]["name"] = json!("often");
    often["spec"]["source"]["cron"] = json!({"schedule": "* * * * *"});
    // A CronJob runs here as the EventJob that it becomes.
    let mut cron_job =
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "old"}});
    cron_job["spec"] =
        json!({"schedule": "* * * * *", "jobTemplate": often["spec"]["jobTemplate"]});
    let mut refused = cron_job.clone();
    refused["metadata"]["name"] = json!("refused");
    // An EventJob takes no template that somebody else resumes, beside a policy of its own.
    refused["spec"]["concurrencyPolicy"] = json!("Forbid");
    refused["spec"]["jobTemplate"]["spec"]["suspend"] = json!(true);
    let all = format!("{object}\n---\n{often}\n---\n{cron_job}\n---\n{refused}\n");
    std::fs::write(&file, all).unwrap();
    let local = SlipwayLocal::start("clock", &[file]);
    let state = local.state();
    let state = state.to_str().unwrap();
    let job = triggered(state, "default", "report").await;
    let told = local.output();
    let told = told
        .lines()
        .find(|line| line.contains("CronJob default/refused: "));
    assert!(
        told.is_some_and(|line| line.contains("spec.jobTemplate.spec.suspend")),
        "{}",
        local.output()
    );
    let log = await_until("it has run", SOON, async || {
        let (code, text) = verb(&["logs", "-f", &job, "--state", state]);
        (code == Some(0) && text.contains("due at ")).then_some(text)
    })
    .await;
    assert!(log.starts_with("due at 20"), "{log}");
    await_until(
        "the other one's minute has come",
        super::A_MINUTE,
        async || {
            let (_, text) = verb(&["jobs", "--state", state]);
            let is_complete = |of: &str| {
                let mut lines = text.lines();
                lines.any(|line| line.contains(of) && line.contains("Complete"))
            };
            (is_complete("EventJob/often") && is_complete("EventJob/old")).then_some(())
        },
    )
    .await;
    drop(local);
    std::fs::remove_dir_all(&folder).unwrap();
}
