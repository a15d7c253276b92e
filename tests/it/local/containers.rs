//! Containers that are restarted in their Pod, and those that stay beside the others.

use super::*;

fn on_failure(name: &str, script: &str, spec: &Value) -> Value {
    let mut job = job(name, script, spec);
    job["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    job
}

fn pods(bench: &Bench, job: &str) -> Vec<PathBuf> {
    let pods = bench.state().join("default").join(job).join("pods");
    let entries = std::fs::read_dir(pods).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_container_that_fails_is_restarted_in_its_pod_until_it_succeeds() {
    let bench = Bench::new("on-failure");
    let out = display(&bench.path("out"));
    let script = format!("echo try | tee -a {out}; test $(wc -l <{out}) -gt 2");
    let local = bench.open();
    let mut facts = local.facts();
    let running = Running::start(local);
    running
        .local
        .submit(on_failure("stubborn", &script, &json!({})))
        .await
        .unwrap();
    let view = running.until("stubborn", JobPhase::Complete).await;
    assert_eq!((view.succeeded, view.failed), (1, 0));
    let pods = pods(&bench, "stubborn");
    assert_eq!(pods.len(), 1);
    let log = std::fs::read_to_string(pods[0].join("log")).unwrap();
    assert_eq!(log, "try\ntry\ntry\n");
    let mut told = Vec::new();
    while let Ok(fact) = facts.try_recv() {
        if let Fact::ContainerRestarts {
            restarts,
            exit_code,
            ..
        } = fact
        {
            told.push((restarts, exit_code));
        }
    }
    assert_eq!(told, [(1, Some(1)), (2, Some(1))]);
}

#[tokio::test]
async fn restarts_end_the_job_at_its_limit_whoever_counted_them() {
    let bench = Bench::new("restarts");
    let out = display(&bench.path("out"));
    let script = format!("echo try >>{out}; test $(wc -l <{out}) != 2 || sleep 60; exit 1");
    let spec = json!({"backoffLimit": 2});
    let running = bench.wrote(on_failure("hopeless", &script, &spec), 2).await;
    running.kill().await;
    // It goes on when its sleep is over.
    let again = Running::start(bench.open());
    again.until("hopeless", JobPhase::Running).await;
    let sleeper = groups("sleep 60");
    assert!(!sleeper.is_empty());
    let pod = pods(&bench, "hopeless").remove(0);
    let record = std::fs::read_to_string(pod.join("main.1.process")).unwrap();
    let group = record.split_whitespace().next().unwrap();
    kill_group(group);
    let view = again.until("hopeless", JobPhase::Failed).await;
    assert_eq!(view.reason, Some("BackoffLimitExceeded"));
    assert_eq!(bench.status("hopeless")["failed"], 1);
    assert!(bench.lines("out").len() <= 3);
}

#[tokio::test]
async fn a_sidecar_runs_beside_the_others_and_ends_after_them() {
    let bench = Bench::new("sidecar");
    let out = display(&bench.path("out"));
    // The sidecar ends once by itself, and is there again when the container needs it.
    let sidecar = format!(
        "trap 'echo sidecar ended >>{out}; exit 0' TERM; echo sidecar >>{out}; test $(grep -c sidecar {out}) -gt 1 || exit 0; touch {out}.up; while :; do sleep 0.02; done"
    );
    let mut backup = job(
        "backup",
        &format!(
            "echo main >>{out}; until test -e {out}.up; do sleep 0.02; done; echo main ended >>{out}"
        ),
        &json!({}),
    );
    backup["spec"]["template"]["spec"]["initContainers"] = json!([
        {"name": "check", "command": ["sh", "-c", format!("echo check >>{out}")]},
        {"name": "proxy", "command": ["sh", "-c", sidecar], "restartPolicy": "Always"},
        {"name": "load", "command": ["sh", "-c", format!("until test -e {out}.up; do sleep 0.02; done; echo load >>{out}")]},
    ]);
    let running = Running::start(bench.open());
    running.local.submit(backup).await.unwrap();
    running.until("backup", JobPhase::Complete).await;
    assert_eq!(
        bench.lines("out"),
        [
            "check",
            "sidecar",
            "sidecar",
            "load",
            "main",
            "main ended",
            "sidecar ended"
        ]
    );
    assert_eq!(bench.status("backup")["succeeded"], 1);
}

#[tokio::test]
async fn a_failed_init_container_fails_the_pod_and_takes_its_sidecars_along() {
    let bench = Bench::new("init-fails");
    let marker = format!("64.{}", std::process::id());
    let mut broken = job("broken", "true", &json!({"backoffLimit": 0}));
    broken["spec"]["template"]["spec"]["initContainers"] = json!([
        {"name": "proxy", "command": ["sleep", marker], "restartPolicy": "Always"},
        {"name": "check", "command": ["sh", "-c", "exit 3"]},
    ]);
    broken["spec"]["podFailurePolicy"] = json!({"rules": [{"action": "FailJob",
        "onExitCodes": {"containerName": "check", "operator": "In", "values": [3]}}]});
    let running = Running::start(bench.open());
    running.local.submit(broken).await.unwrap();
    let view = running.until("broken", JobPhase::Failed).await;
    assert_eq!(view.reason, Some("PodFailurePolicy"));
    assert!(groups(&marker).is_empty());
}

#[tokio::test]
async fn a_pod_fails_when_all_its_containers_have_ended() {
    let bench = Bench::new("two-containers");
    let out = display(&bench.path("out"));
    let mut pair = job("pair", "exit 5", &json!({"backoffLimit": 0}));
    let pod = &mut pair["spec"]["template"]["spec"];
    let other = format!("sleep 0.3; echo other >>{out}");
    pod["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "other", "command": ["sh", "-c", other]}));
    let running = Running::start(bench.open());
    running.local.submit(pair).await.unwrap();
    running.until("pair", JobPhase::Failed).await;
    assert_eq!(bench.lines("out"), ["other"]);
}
