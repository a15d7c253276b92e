//! The examples of events: every file is read, matched, and run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use slipway::manifest;
use slipway::resource::event_job;

use crate::support::await_until;
use crate::support::http::post;
use crate::support::local::SlipwayLocal;

/// The key of `examples/events/local/hook.yaml`.
const KEY: &str = "for-this-machine-only";
/// For what starts on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Manifest, what is sent to it, the headers that come with it, and what the Job is made of the event.
const ROWS: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "invoice-generator.yaml",
        "subscription-renewed.json",
        &[],
        &["SUBSCRIPTION_ID=sub-42", "BILLING_PERIOD=2026-11"],
    ),
    (
        "fan-out.yaml",
        "report-requested.json",
        &[],
        &["completions=12", "parallelism=4"],
    ),
    (
        "queue.yaml",
        "import-uploaded.json",
        &[],
        &["OBJECT_KEY=c-7/2026-11-28.csv", "suspend=true"],
    ),
    (
        "github.yaml",
        "github-push.json",
        &[
            "X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "X-GitHub-Event: push",
        ],
        &[
            "REPOSITORY=example/shop",
            "COMMIT=7e1f5d2c0a6b4a3e8f7d9c1b2a3948576f0e1d2c",
        ],
    ),
    (
        "slack.yaml",
        "slack-command.txt",
        &["Content-Type: application/x-www-form-urlencoded"],
        &["MONTH=2026-11"],
    ),
    (
        "stripe.yaml",
        "stripe-invoice-paid.json",
        &[],
        &["TARGET=receipts/cus_example/in_1Qexample.pdf"],
    ),
    (
        "sns.yaml",
        "sns-notification.json",
        &[],
        &["ORDER=o-1001", "CHANNEL=shop"],
    ),
];

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/events")
}

fn slipway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

/// The names of the files of a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.path().is_file());
    files
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_example_of_an_event_job_has_an_event_and_matches_it() {
    let expected = ROWS.iter().map(|row| row.0.to_owned());
    let script = "invoice-generator.curl.sh".to_owned();
    assert_eq!(
        names(&events()),
        expected.chain([script]).collect::<BTreeSet<_>>()
    );
    let sent: BTreeSet<String> = ROWS.iter().map(|row| row.1.to_owned()).collect();
    assert_eq!(names(&events().join("sent")), sent);
    for (file, event, headers, parts) in ROWS {
        let (file, event) = (events().join(file), events().join("sent").join(event));
        let mut arguments = vec![
            "test-event",
            file.to_str().unwrap(),
            event.to_str().unwrap(),
            "-o",
            "json",
        ];
        for header in *headers {
            arguments.extend(["--header", header]);
        }
        let output = slipway(&arguments);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{answer}");
        let job = &answer["results"][0]["job"];
        for part in *parts {
            let (name, value) = part.split_once('=').unwrap();
            assert_eq!(said(job, name), value, "{part}: {job}");
        }
    }
}

/// A field of a Job's `spec`, or a variable of its container.
fn said(job: &Value, name: &str) -> String {
    let spec = &job["spec"];
    if let Some(value) = spec.get(name) {
        return value.to_string();
    }
    let env = spec["template"]["spec"]["containers"][0]["env"].as_array();
    let mut env = env.into_iter().flatten();
    let variable = env.find(|variable| variable["name"] == name);
    let value = variable.and_then(|variable| variable["value"].as_str());
    value.unwrap_or_default().to_owned()
}

#[test]
fn examples_of_events_have_neither_fault_nor_warning() {
    let check = |files: &[PathBuf]| {
        let mut arguments = vec!["check", "--strict"];
        arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
        let output = slipway(&arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        text
    };
    // In `local` a Secret for this machine, in `sent` events, which are no objects.
    let text = check(&[events()]);
    assert!(
        text.ends_with("8 objects: 0 faults, 0 warnings; 6 not read\n"),
        "{text}"
    );
    // Secrets do not stand beside what uses them; where one does, there is nothing left to say.
    let files = [
        "invoice-generator.yaml",
        "fan-out.yaml",
        "queue.yaml",
        "local",
    ];
    let text = check(&files.map(|file| events().join(file)));
    assert_eq!(text, "4 objects: 0 faults, 0 warnings\n");
}

#[tokio::test]
async fn examples_of_events_say_what_runs_in_place_of_their_image() {
    let manifests = manifest::load(&[events()]).await;
    assert_eq!(manifests.faults, []);
    assert_eq!(manifests.event_jobs.len(), ROWS.len());
    for (index, _) in &manifests.event_jobs {
        let entry = &manifests.entries[*index];
        let value = &entry.document.value;
        event_job::parse(value).unwrap();
        let annotations = &value["spec"]["jobTemplate"]["metadata"]["annotations"];
        let command = annotations["slipway.dev/local-command"].as_str().unwrap();
        let status = Command::new("sh").args(["-n", "-c", command]).status();
        assert!(status.unwrap().success(), "{}: {command}", entry.file);
    }
}

/// What the script of the invoice example prints, once it is answered with this result.
async fn curl(slipway: &SlipwayLocal, result: &str) -> Value {
    let url = format!(
        "http://{}/events/production/invoice-generator",
        slipway.http()
    );
    await_until(result, SOON, async || {
        let output = Command::new("sh")
            .arg(events().join("invoice-generator.curl.sh"))
            .env("SLIPWAY_URL", &url)
            .env_remove("SLIPWAY_API_KEY")
            .env("no_proxy", "*")
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        (answer["result"] == result).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn the_invoice_and_the_fan_out_run_as_they_are() {
    let files = ["invoice-generator.yaml", "fan-out.yaml", "local"].map(|file| events().join(file));
    let slipway = SlipwayLocal::start("examples", &files);
    let first = curl(&slipway, "Created").await;
    let job = first["jobName"].as_str().unwrap();
    assert!(job.starts_with("invoice-generator-"), "{job}");
    assert_eq!(curl(&slipway, "Duplicate").await["jobName"], job);
    await_until("the invoice is written", SOON, async || {
        let logs = slipway.logs("production", job).concat();
        logs.contains("invoice for sub-42, 2026-11, event 6f7a3c1e-")
            .then_some(())
    })
    .await;

    let event = fs::read_to_string(events().join("sent/report-requested.json")).unwrap();
    let path = "/events/production/report";
    let heard = post(slipway.http(), path, &[("x-api-key", KEY)], &event).await;
    let heard = heard.unwrap();
    assert_eq!(heard.text("result"), "Created", "{heard:?}");
    let size = event.len();
    await_until("every chunk is done", SOON, async || {
        let logs = slipway.logs("production", heard.text("jobName")).concat();
        let is_done = |chunk: &u32| logs.contains(&format!("chunk {chunk} of {size} bytes"));
        (0..12).all(|chunk| is_done(&chunk)).then_some(())
    })
    .await;
}

/// Who tries a sender out sees what is wrong with it, and the sender does not.
#[tokio::test]
async fn local_says_why_it_refuses_a_sender() {
    let folder = std::env::temp_dir().join(format!("slipway-refused-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let secret = folder.join("stripe-secret.yaml");
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: stripe, namespace: production}\nstringData: {signing: k}\n";
    fs::write(&secret, text).unwrap();
    let slipway = SlipwayLocal::start("refused", &[events().join("stripe.yaml"), secret]);
    let path = "/events/production/receipt";
    for (signature, words) in [
        (None, "stripe-signature: is missing"),
        (Some("v1=00"), "stripe-signature: has not the form"),
        (Some("t=1,v1=00"), "s behind our clock"),
    ] {
        let headers: Vec<_> = signature
            .iter()
            .map(|text| ("stripe-signature", *text))
            .collect();
        let heard = await_until("an answer", Duration::from_secs(30), async || {
            let heard = post(slipway.http(), path, &headers, "{}").await?;
            // Until the files are read.
            (heard.status != 503).then_some(heard)
        })
        .await;
        assert_eq!(heard.status, 401, "{heard:?}");
        await_until(words, Duration::from_secs(30), async || {
            slipway.output().contains(words).then_some(())
        })
        .await;
    }
    fs::remove_dir_all(folder).unwrap();
}
