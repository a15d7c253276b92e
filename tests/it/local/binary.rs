//! `slipway local` as people run it: the built binary, killed at any moment.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Bench, SOON, display, job};
use crate::support::await_until;

impl Bench {
    /// Writes documents into one file; JSON is YAML.
    fn file(&self, documents: &[Value]) -> String {
        let path = self.path("jobs.yaml");
        let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
        std::fs::write(&path, documents.join("\n---\n")).unwrap();
        display(&path)
    }

    fn command(&self, file: &str) -> Command {
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
struct Guard(Child);

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
