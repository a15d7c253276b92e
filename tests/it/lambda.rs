//! The Lambda function of the examples, run as Lambda runs it, before the built binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::support::await_until;
use crate::support::local::SlipwayLocal;

/// The key of `examples/events/local/hook.yaml`.
const KEY: &str = "for-this-machine-only";
/// What Lambda does with a handler: calls it with the event, and takes what it returns or raises.
const RUNTIME: &str =
    "import json, sys, handler; print(json.dumps(handler.handler(json.load(sys.stdin), None)))";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Calls the handler with the event of the invoice example.
fn call(url: &str, key: &str) -> Output {
    let event = std::fs::File::open(examples().join("events/sent/subscription-renewed.json"));
    Command::new("python3")
        .args(["-B", "-c", RUNTIME])
        .env("PYTHONPATH", examples().join("lambda"))
        .env("SLIPWAY_URL", url)
        .env("SLIPWAY_API_KEY", key)
        // A proxy of this machine is not the function's.
        .env("no_proxy", "*")
        .stdin(event.unwrap())
        .output()
        .unwrap()
}

/// What it returned; `None` when it raised.
fn returned(output: &Output) -> Option<Value> {
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[track_caller]
fn raises(output: &Output, code: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(said.contains(&format!("HTTP Error {code}: ")), "{said}");
    assert!(!said.contains(KEY), "{said}");
}

#[tokio::test]
async fn the_function_returns_our_answer_on_2xx_and_raises_otherwise() {
    let invoice = examples().join("events/invoice-generator.yaml");
    let files = [invoice.clone(), examples().join("events/local")];
    let slipway = SlipwayLocal::start("lambda", &files);
    let url = format!(
        "http://{}/events/production/invoice-generator",
        slipway.http()
    );
    let first = await_until("an answer", Duration::from_secs(20), async || {
        returned(&call(&url, KEY))
    })
    .await;
    assert_eq!(first["statusCode"], 200);
    assert_eq!(first["result"], "Created");
    assert_eq!(
        slipway.jobs("production"),
        [first["jobName"].as_str().unwrap()]
    );

    // As after a time-out of Lambda's own.
    let again = returned(&call(&url, KEY)).unwrap();
    assert_eq!(again["result"], "Duplicate");
    assert_eq!(again["jobName"], first["jobName"]);

    raises(&call(&url, "wrong"), "401");
    raises(&call(&format!("{url}-else"), KEY), "404");
    assert_eq!(slipway.jobs("production").len(), 1);
}

#[tokio::test]
async fn the_function_raises_while_the_event_job_is_suspended_and_when_nobody_is_there() {
    let text = std::fs::read_to_string(examples().join("events/invoice-generator.yaml")).unwrap();
    let suspended = text.replace("\nspec:\n", "\nspec:\n  suspend: true\n");
    assert_ne!(suspended, text);
    let file = std::env::temp_dir().join(format!("slipway-lambda-{}.yaml", std::process::id()));
    std::fs::write(&file, suspended).unwrap();
    let files = [file.clone(), examples().join("events/local")];
    let slipway = SlipwayLocal::start("lambda-suspended", &files);
    let url = format!(
        "http://{}/events/production/invoice-generator",
        slipway.http()
    );
    let refused = await_until("the door is open", Duration::from_secs(20), async || {
        let output = call(&url, KEY);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.contains("HTTP Error").then_some(output)
    })
    .await;
    raises(&refused, "503");
    assert!(slipway.jobs("production").is_empty());
    drop(slipway);
    let alone = call(&url, KEY);
    assert!(!alone.status.success() && alone.stdout.is_empty());
    std::fs::remove_file(file).unwrap();
}
