//! `slipway local` as a tool to try with: run, see it fail, edit, run again.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::binary::{Guard, outcome};
use super::{Bench, SOON, display, job};
use crate::support::await_until;

/// With the annotation for the first container; the rest is another's.
fn with_command(name: &str, line: &str) -> Value {
    let mut job = job(name, "", &json!({"backoffLimit": 0}));
    job["metadata"]["annotations"] = json!({"slipway.dev/local-command": line});
    job
}

#[tokio::test]
async fn an_edited_job_that_ran_is_told_and_fresh_begins_anew() {
    let bench = Bench::new("edited");
    let file = bench.file(&[with_command("fr", "exit 3")]);
    assert_eq!(outcome(&mut bench.command(&file)).1, Some(1));

    // As it was: it is said that it ran, and how.
    let (text, code) = outcome(&mut bench.command(&file));
    assert_eq!(code, Some(1));
    assert!(text.contains("job default/fr: failed "), "{text}");
    assert!(
        text.contains(" is not run again; --fresh begins anew"),
        "{text}"
    );

    // Only the annotation differs: another program, all the same.
    let file = bench.file(&[with_command("fr", "exit 0")]);
    let output = bench
        .command(&file)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("it failed ") && told.contains("this file differs"),
        "{told}"
    );
    let (_, log) = told.split_once("(log ").unwrap();
    assert!(
        std::path::Path::new(log.split_once(')').unwrap().0).is_file(),
        "{told}"
    );

    let (text, code) = outcome(bench.command(&file).arg("--fresh"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 Job succeeded, 0 failed"), "{text}");
    let ignored = std::fs::read_to_string(bench.state().join(".gitignore")).unwrap();
    assert_eq!(ignored, "*\n");
}

#[tokio::test]
async fn what_is_left_is_no_success_and_a_signal_is_told_as_a_shell_tells_it() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let bench = Bench::new(&format!("signal-{code}"));
        let file = bench.file(&[job("long", "sleep 60", &json!({}))]);
        let mut guard = Guard(bench.command(&file).spawn().unwrap());
        await_until("it runs", SOON, async || {
            (bench.status("long")["active"] == 1).then_some(())
        })
        .await;
        kill_process(Pid::from_child(&guard.0), signal).unwrap();
        let status = await_until("the end", SOON, async || guard.0.try_wait().unwrap()).await;
        assert_eq!(status.code(), Some(code));
    }
    let bench = Bench::new("suspended");
    let file = bench.file(&[job("team", "true", &json!({"suspend": true}))]);
    let (text, code) = outcome(&mut bench.command(&file));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.ends_with("; 1 Job is suspended\n"), "{text}");
}

#[tokio::test]
async fn what_a_job_wrote_is_shown_and_programs_get_objects() {
    let bench = Bench::new("logs");
    let file = bench.file(&[job("talks", "echo one; echo two >&2", &json!({}))]);
    let (text, code) = outcome(bench.command(&file).arg("--logs"));
    assert_eq!(code, Some(0), "{text}");
    for line in ["default/talks | one\n", "default/talks | two\n"] {
        assert!(text.contains(line), "{text}");
    }
    let (text, _) = outcome(bench.command(&file).args(["--fresh", "-o", "json"]));
    let facts: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = facts
        .iter()
        .filter_map(|fact| fact["fact"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "page",
            "accepted",
            "podStarted",
            "podEnded",
            "finished",
            "ended"
        ]
    );
    assert_eq!(facts[5]["succeeded"], 1);
}

#[tokio::test]
async fn init_containers_are_left_out_or_have_a_line_of_their_own() {
    let bench = Bench::new("init");
    let out = display(&bench.path("out"));
    let mut job = job("indexed", &format!("echo main >>{out}"), &json!({}));
    job["spec"]["template"]["spec"]["initContainers"] = json!([
        {"name": "clone", "image": "example/git", "command": ["false"]},
        {"name": "input", "image": "example/input"},
    ]);
    job["metadata"]["annotations"] = json!({
        "local-command.slipway.dev/clone": "",
        "local-command.slipway.dev/input": format!("echo input >>{out}"),
    });
    let file = bench.file(&[job]);
    let (text, code) = outcome(&mut bench.command(&file));
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(bench.lines("out"), ["input", "main"]);
}
