//! `slipway local` as people run it: the built binary, killed at any moment.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Bench, SOON, display, job, main_container};
use crate::support::await_until;

impl Bench {
    /// Writes documents into one file; JSON is YAML.
    pub(super) fn file(&self, documents: &[Value]) -> String {
        let path = self.path("jobs.yaml");
        let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
        std::fs::write(&path, documents.join("\n---\n")).unwrap();
        display(&path)
    }

    pub(super) fn command(&self, file: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
        command
            .args(["local", file, "--until-idle", "--backoff-base", "20ms"])
            .args(["--state", &display(&self.state())])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// A process that does not outlive its test.
pub(super) struct Guard(pub(super) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_binary_that_is_killed_in_the_middle_runs_each_job_once() {
    let bench = Bench::new("binary");
    let out = display(&bench.path("out"));
    let jobs: Vec<Value> = (0..20)
        .map(|number| {
            let script = format!("sleep 0.{}; echo job-{number} >>{out}", number % 5);
            job(&format!("job-{number}"), &script, &json!({}))
        })
        .collect();
    let file = bench.file(&jobs);
    for milestone in [0, 1, 4, 9, 15] {
        let guard = Guard(bench.command(&file).spawn().unwrap());
        await_until("the next milestone", SOON, async || {
            (bench.lines("out").len() >= milestone && bench.state().exists()).then_some(())
        })
        .await;
        // SIGKILL.
        drop(guard);
    }
    let status = bench.command(&file).status().unwrap();
    assert!(status.success(), "{status}");
    let mut lines = bench.lines("out");
    lines.sort();
    let mut expected: Vec<String> = (0..20).map(|number| format!("job-{number}")).collect();
    expected.sort();
    assert_eq!(lines, expected);
    // Nothing is left to do, and nothing is done.
    assert!(bench.command(&file).status().unwrap().success());
    assert_eq!(bench.lines("out").len(), 20);
}

#[tokio::test]
async fn a_job_that_failed_makes_the_exit_code_one() {
    let bench = Bench::new("exit");
    let file = bench.file(&[
        job("good", "true", &json!({})),
        job("bad", "exit 3", &json!({"backoffLimit": 1})),
    ]);
    let status = bench.command(&file).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

/// What a command printed, and how it ended.
pub(super) fn outcome(command: &mut Command) -> (String, Option<i32>) {
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text, output.status.code())
}

#[tokio::test]
async fn the_example_jobs_succeed_on_this_machine() {
    for (name, pods) in [
        ("migration", 1),
        ("image-resize", 20),
        ("s3-chunks", 10),
        ("etl", 1),
    ] {
        let bench = Bench::new(&format!("example-{name}"));
        let file = format!("{}/examples/jobs/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let (text, code) = outcome(&mut bench.command(&file));
        assert_eq!(code, Some(0), "{text}");
        let succeeded = text
            .lines()
            .filter(|line| line.contains(" pod ") && line.contains(" succeeded; log "));
        assert_eq!(succeeded.count(), pods, "{text}");
        let summary = text.lines().last().unwrap();
        assert!(
            summary.starts_with("1 Job succeeded, 0 failed in "),
            "{summary}"
        );
    }
}

#[tokio::test]
async fn the_example_of_an_etl_job_fails_at_once_where_no_retry_can_help() {
    let bench = Bench::new("etl-wrong");
    let example = format!("{}/examples/jobs/etl.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(example).unwrap();
    let wrong = text.replace("value: \"0\"", "value: \"3\"");
    assert_ne!(wrong, text);
    let file = bench.path("etl.yaml");
    std::fs::write(&file, wrong).unwrap();
    let (text, code) = outcome(&mut bench.command(&display(&file)));
    assert_eq!(code, Some(1));
    assert!(text.contains("PodFailurePolicy"), "{text}");
    let failed = text
        .lines()
        .filter(|line| line.contains(" failed: exit code 42"));
    assert_eq!(failed.count(), 1, "{text}");
}

#[tokio::test]
async fn a_job_is_told_as_launched_before_its_pods_and_a_failure_with_its_log() {
    let bench = Bench::new("told");
    let file = bench.file(&[job("bad", "exit 3", &json!({"backoffLimit": 0}))]);
    let (text, code) = outcome(&mut bench.command(&file));
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("The status page is at "))
        .collect();
    assert_eq!(lines[0], "job default/bad launched");
    assert!(lines[1].ends_with(" started"), "{text}");
    assert!(lines[2].contains(" failed: exit code 3, Error: "), "{text}");
    let (_, log) = lines[2].rsplit_once("; log ").unwrap();
    assert!(Path::new(log).is_file(), "{log}");
    assert!(
        lines[4].starts_with("0 Jobs succeeded, 1 failed in "),
        "{text}"
    );
}

#[tokio::test]
async fn a_source_that_somebody_has_to_repair_ends_until_idle_with_one_and_is_told_once() {
    let bench = Bench::new("stuck");
    let scaled_job = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
        "metadata": {"name": "orders", "namespace": "demo"},
        "spec": {
            "pollingInterval": 1,
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "main", "image": "x", "command": ["true"]}]}}},
            "triggers": [{
                "type": "kafka",
                "metadata": {"bootstrapServers": "127.0.0.1:1", "topic": "t", "consumerGroup": "g"},
                "authenticationRef": {"name": "absent"},
            }],
        },
    });
    let file = bench.file(&[scaled_job]);
    let (text, code) = outcome(&mut bench.command(&file));
    assert_eq!(code, Some(1), "{text}");
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("scaledjob demo/orders: "))
        .collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains("absent"), "{text}");
    assert!(text.ends_with("; 1 fault above\n"), "{text}");
}

#[tokio::test]
async fn a_scaled_job_that_leaves_the_file_is_gone_though_another_object_has_its_name() {
    let mut scaled_job = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
        "metadata": {"name": "orders"},
        "spec": {
            "pollingInterval": 1,
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "main", "image": "x", "command": ["true"]}]}}},
            // Nobody is there now, and may be at any time: it is never idle.
            "triggers": [{
                "type": "kafka",
                "metadata": {"bootstrapServers": "127.0.0.1:1", "topic": "t", "consumerGroup": "g"},
            }],
        },
    });
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders"}});
    for deleted in [false, true] {
        let bench = Bench::new(if deleted {
            "object-deleted"
        } else {
            "object-left"
        });
        let file = bench.file(&[secret.clone(), scaled_job.clone()]);
        let out = std::fs::File::create(bench.path("said")).unwrap();
        let mut guard = Guard(bench.command(&file).stdout(out).spawn().unwrap());
        await_until("its source cannot be read", SOON, async || {
            let said = bench.lines("said");
            said.iter()
                .any(|line| line.starts_with("scaledjob default/orders: "))
                .then_some(())
        })
        .await;
        if deleted {
            scaled_job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            bench.file(&[secret.clone(), scaled_job.clone()]);
        } else {
            bench.file(std::slice::from_ref(&secret));
        }
        let status = await_until("the end", SOON, async || guard.0.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn a_file_that_breaks_in_the_middle_of_an_edit_keeps_its_secrets_until_it_is_whole() {
    let bench = Bench::new("broken");
    let out = display(&bench.path("out"));
    let mut needy = job(
        "needy",
        &format!("echo \"$PASSWORD\" >>{out}; test -e {out}.go"),
        &json!({"backoffLimit": 100}),
    );
    main_container(&mut needy)["env"] = json!([
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
    ]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "word"},
    });
    let file = bench.file(&[needy.clone(), secret]);
    let mut guard = Guard(bench.command(&file).spawn().unwrap());
    await_until("the first try", SOON, async || {
        (!bench.lines("out").is_empty()).then_some(())
    })
    .await;
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{needy}\n---\nkind: [\n")).unwrap();
    // Each try takes a pause twice as long as the one before it: these come after the edit.
    let seen = bench.lines("out").len();
    await_until("five more tries", SOON, async || {
        (bench.lines("out").len() >= seen + 5).then_some(())
    })
    .await;
    std::fs::write(&file, whole).unwrap();
    std::fs::write(format!("{out}.go"), "").unwrap();
    let status = await_until("the end", SOON, async || guard.0.try_wait().unwrap()).await;
    // What was wrong and is right again is no failure.
    assert!(status.success(), "{status}");
    assert!(bench.lines("out").iter().all(|line| line == "word"));
}
