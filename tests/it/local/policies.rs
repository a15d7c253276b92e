//! What a Job says about failures and successes, with real processes. The rules themselves are held
//! against the real Job controller in `job_rules`.

use super::*;

fn conditions(status: &Value) -> Vec<String> {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let told = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!("{}={} {}", text("type"), text("status"), text("reason"))
    };
    conditions.iter().map(told).collect()
}

fn failure_rule(action: &str, values: &[i32]) -> Value {
    json!({"rules": [{"action": action, "onExitCodes": {"operator": "In", "values": values}}]})
}

#[tokio::test]
async fn an_exit_code_that_no_retry_can_help_fails_the_job_at_once() {
    let bench = Bench::new("fail-job");
    let out = display(&bench.path("out"));
    let script = format!("echo try >>{out}; exit 42");
    let etl = job(
        "etl",
        &script,
        &json!({"podFailurePolicy": failure_rule("FailJob", &[42])}),
    );
    let running = Running::start(bench.open());
    running.local.submit(etl).await.unwrap();
    let view = running.until("etl", JobPhase::Failed).await;
    assert_eq!(view.reason, Some("PodFailurePolicy"));
    assert_eq!(bench.lines("out").len(), 1);
    let status = bench.status("etl");
    assert_eq!(
        conditions(&status),
        [
            "FailureTarget=True PodFailurePolicy",
            "Failed=True PodFailurePolicy"
        ]
    );
    let message = status["conditions"][1]["message"].as_str().unwrap();
    let expected = "failed with exit code 42 matching FailJob rule at index 0";
    assert!(message.starts_with("Container main for pod default/etl-"));
    assert!(message.ends_with(expected), "{message}");
    // Told after a restart too, from the files.
    running.kill().await;
    let again = Running::start(bench.open());
    let view = again.view("etl").unwrap();
    assert_eq!((view.phase, view.failed), (JobPhase::Failed, 1));
}

#[tokio::test]
async fn an_ignored_failure_is_tried_again_and_counts_for_nothing_after_a_restart_too() {
    let bench = Bench::new("ignore");
    let out = display(&bench.path("out"));
    let script = format!(
        "echo try >>{out}; test $(wc -l <{out}) -gt 2 || exit 9; test -e {out}.go || sleep 60"
    );
    let spec = json!({"backoffLimit": 0, "podFailurePolicy": failure_rule("Ignore", &[9])});
    let running = bench.wrote(job("flaky", &script, &spec), 3).await;
    running.kill().await;
    let again = Running::start(bench.open());
    let view = again.until("flaky", JobPhase::Running).await;
    assert_eq!(view.failed, 0);
    let pods = std::fs::read_dir(bench.state().join("default/flaky/pods")).unwrap();
    assert_eq!(pods.count(), 3);
    // The third Pod's sleep is ended as a disruption would: nobody sees its exit code.
    again.kill().await;
    let marker = bench.path("out.go");
    let group = groups(&display(&marker)).into_iter().next().unwrap();
    kill_group(&group);
    let last = Running::start(bench.open());
    let view = last.until("flaky", JobPhase::Failed).await;
    assert_eq!(view.reason, Some("BackoffLimitExceeded"));
}

#[tokio::test]
async fn a_pod_that_was_lost_with_its_machine_has_the_condition_of_a_disruption() {
    let bench = Bench::new("disrupted");
    let out = display(&bench.path("out"));
    let script = format!("echo try >>{out}; test $(wc -l <{out}) -gt 1 || sleep 60");
    let policy =
        json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]});
    let spec = json!({"backoffLimit": 0, "podFailurePolicy": policy});
    let running = bench.wrote(job("batch", &script, &spec), 1).await;
    running.kill().await;
    let group = groups(&out).into_iter().next().unwrap();
    kill_group(&group);
    let again = Running::start(bench.open());
    again.until("batch", JobPhase::Complete).await;
    assert_eq!(bench.status("batch")["failed"], 0);
}

#[tokio::test]
async fn each_index_has_its_own_limit_and_knows_how_often_it_failed() {
    let bench = Bench::new("per-index");
    let out = display(&bench.path("out"));
    let script =
        format!("echo $JOB_COMPLETION_INDEX-$FAILURES >>{out}; test $JOB_COMPLETION_INDEX != 1");
    let mut chunks = job(
        "chunks",
        &script,
        &json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1}),
    );
    let field = "metadata.annotations['batch.kubernetes.io/job-index-failure-count']";
    main_container(&mut chunks)["env"] =
        json!([{"name": "FAILURES", "valueFrom": {"fieldRef": {"fieldPath": field}}}]);
    let running = Running::start(bench.open());
    running.local.submit(chunks).await.unwrap();
    let view = running.until("chunks", JobPhase::Failed).await;
    assert_eq!(view.reason, Some("FailedIndexes"));
    let mut lines = bench.lines("out");
    lines.sort();
    assert_eq!(lines, ["0-0", "1-0", "1-1", "2-0"]);
    let status = bench.status("chunks");
    assert_eq!(
        (&status["completedIndexes"], &status["failedIndexes"]),
        (&json!("0,2"), &json!("1"))
    );
    assert_eq!(status["failed"], 2);
}

#[tokio::test]
async fn a_met_success_policy_stops_what_still_runs() {
    let bench = Bench::new("success-policy");
    let marker = format!("63.{}", std::process::id());
    let script = format!("test $JOB_COMPLETION_INDEX = 0 || sleep {marker}");
    let leader = job(
        "leader",
        &script,
        &json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed",
            "successPolicy": {"rules": [{"succeededIndexes": "0"}]}}),
    );
    let running = Running::start(bench.open());
    running.local.submit(leader).await.unwrap();
    let view = running.until("leader", JobPhase::Complete).await;
    assert_eq!(view.reason, Some("SuccessPolicy"));
    assert!(groups(&marker).is_empty());
    let status = bench.status("leader");
    assert_eq!(
        (&status["failed"], &status["succeeded"]),
        (&json!(0), &json!(1))
    );
    assert!(status["completionTime"].is_string());
}

#[tokio::test]
async fn pods_that_end_with_their_failed_job_count_as_failed_whoever_sees_them_end() {
    let bench = Bench::new("counted");
    let out = display(&bench.path("out"));
    // The other one takes its time, and ends well.
    let script = format!(
        "if test $JOB_COMPLETION_INDEX = 0; then until test -s {out}; do sleep 0.02; done; exit 1; fi; \
         trap 'echo told >>{out}; sleep 1; exit 0' TERM; echo up >>{out}; while :; do sleep 0.02; done"
    );
    let spec =
        json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 0});
    let running = Running::start(bench.open());
    running
        .local
        .submit(job("pair", &script, &spec))
        .await
        .unwrap();
    await_until("the other one is told to end", SOON, async || {
        (bench.lines("out") == ["up", "told"]).then_some(())
    })
    .await;
    let status = bench.status("pair");
    let counters = ["active", "terminating", "failed", "succeeded"].map(|key| status[key].clone());
    assert_eq!(counters, [json!(0), json!(1), json!(2), json!(0)]);
    running.kill().await;
    let again = Running::start(bench.open());
    let view = again.until("pair", JobPhase::Failed).await;
    assert_eq!((view.failed, view.succeeded), (2, 0));
    assert_eq!(bench.status("pair")["failed"], 2);
}

#[tokio::test]
async fn pods_that_never_started_fail_with_their_job_and_stay_counted() {
    let bench = Bench::new("never-started");
    let mut settings = settings();
    settings.max_processes = NonZeroU32::new(1).unwrap();
    let spec = json!({"completions": 3, "parallelism": 3, "backoffLimit": 0});
    let running = Running::start(Local::open(&bench.state(), settings).unwrap());
    running
        .local
        .submit(job("wide", "exit 1", &spec))
        .await
        .unwrap();
    running.until("wide", JobPhase::Failed).await;
    assert_eq!(bench.status("wide")["failed"], 3);
    running.kill().await;
    let again = Running::start(bench.open());
    assert_eq!(again.view("wide").unwrap().failed, 3);
}

#[tokio::test]
async fn a_resumed_job_waits_for_pods_that_are_still_ending_if_it_says_so() {
    let expected = [
        ("Failed", ["start", "end", "start"]),
        ("TerminatingOrFailed", ["start", "start", "end"]),
    ];
    for (policy, lines) in expected {
        let bench = Bench::new(&format!("replaced-{}", policy.to_lowercase()));
        let out = display(&bench.path("out"));
        let script = format!(
            "trap 'sleep 1; echo end >>{out}; exit 0' TERM; echo start >>{out}; while :; do sleep 0.02; done"
        );
        let mut gated = job("gated", &script, &json!({"podReplacementPolicy": policy}));
        let running = Running::start(bench.open());
        running.local.submit(gated.clone()).await.unwrap();
        await_until("it runs", SOON, async || {
            (bench.lines("out").len() == 1).then_some(())
        })
        .await;
        gated["spec"]["suspend"] = json!(true);
        running.local.submit(gated.clone()).await.unwrap();
        await_until("it is suspended", SOON, async || {
            let status = bench.status("gated");
            (conditions(&status) == ["Suspended=True JobSuspended"] && status["terminating"] == 1)
                .then_some(())
        })
        .await;
        assert!(bench.status("gated")["startTime"].is_null());
        gated["spec"]["suspend"] = json!(false);
        running.local.submit(gated.clone()).await.unwrap();
        await_until("the next one runs", SOON, async || {
            (bench.lines("out").len() == 3).then_some(())
        })
        .await;
        assert_eq!(bench.lines("out"), lines, "{policy}");
        let status = bench.status("gated");
        assert_eq!(conditions(&status), ["Suspended=False JobResumed"]);
        assert!(status["startTime"].is_string());
        running.kill().await;
        // Nothing is left behind by this test.
        Local::open(&bench.state(), settings())
            .unwrap()
            .terminate()
            .await;
    }
}
