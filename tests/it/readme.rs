//! What the README and `docs/events.md` show is what the program takes, and what it answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use slipway::manifest::Manifests;

use crate::support::await_until;
use crate::support::http::post;
use crate::support::local::SlipwayLocal;

const README: &str = include_str!("../../README.md");
const EVENTS: &str = include_str!("../../docs/events.md");

/// The fenced blocks of a language.
fn blocks(text: &'static str, language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&opening) {
        let block = &rest[start + opening.len()..];
        let end = block.find("```").expect("a fence that closes");
        found.push(&block[..end]);
        rest = &block[end + 3..];
    }
    assert!(!found.is_empty(), "there is no block of {language}");
    found
}

#[test]
fn every_manifest_that_is_shown_is_valid() {
    let shown = blocks(README, "yaml")
        .into_iter()
        .chain(blocks(EVENTS, "yaml"));
    let mut launching = 0;
    for block in shown.filter(|block| block.contains("kind:")) {
        let manifests = Manifests::from_texts([("README.md", block)]);
        assert_eq!(manifests.faults, [], "{block}");
        launching += manifests.scaled_jobs.len() + manifests.event_jobs.len();
    }
    assert_eq!(launching, 3);
}

#[test]
fn it_is_short() {
    assert!(README.lines().count() <= 150, "{}", README.lines().count());
}

#[test]
fn the_commands_that_it_promises_are_targets_of_the_makefile() {
    let makefile = include_str!("../../Makefile");
    let commands = blocks(README, "sh").join("\n");
    for target in ["demo", "test"] {
        assert!(
            commands
                .lines()
                .any(|line| line.split('#').next().unwrap().trim() == format!("make {target}"))
        );
        assert!(
            makefile
                .lines()
                .any(|line| line.starts_with(&format!("{target}:")))
        );
    }
}

/// The invoice generator of `docs/events.md` in a folder of this test's own.
fn invoice_generator(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("slipway-readme-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut blocks = blocks(EVENTS, "yaml").into_iter();
    let manifest = blocks.find(|block| block.contains("kind: EventJob"));
    fs::write(folder.join("invoice-generator.yaml"), manifest.unwrap()).unwrap();
    folder
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/events")
}

/// The first line that a command prints, run in a folder.
fn first_line(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn what_check_and_test_event_say_of_its_event_job_is_what_they_say() {
    let folder = invoice_generator("said");
    let sent = fs::read_to_string(events().join("sent/subscription-renewed.json")).unwrap();
    fs::write(folder.join("renewed.json"), &sent).unwrap();
    let ended = sent.replace("subscription.renewed", "subscription.ended");
    fs::write(folder.join("ended.json"), ended).unwrap();
    let manifest = "invoice-generator.yaml";
    let mut lines = vec![
        first_line(&folder, &["test-event", manifest, "renewed.json"]),
        first_line(&folder, &["test-event", manifest, "ended.json"]),
    ];
    let right = fs::read_to_string(folder.join(manifest)).unwrap();
    let wrong = right.replace("detail-type:", "detailType:");
    fs::write(folder.join(manifest), wrong).unwrap();
    lines.push(first_line(&folder, &["check", manifest]));
    for (line, word) in lines.iter().zip([": match", ": no match", "warning"]) {
        assert!(line.contains(word), "{line}");
        let is_shown = EVENTS.lines().any(|shown| shown == line);
        assert!(is_shown, "docs/events.md does not have the line\n{line}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_answer_to_its_event_is_the_one_it_shows() {
    let folder = invoice_generator("answer");
    // It has an image only: with no cluster something has to run in its place.
    let path = folder.join("invoice-generator.yaml");
    let manifest = fs::read_to_string(&path).unwrap();
    let runnable = manifest.replace(
        "{name: generator,",
        "{name: generator, command: [\"true\"],",
    );
    assert_ne!(runnable, manifest);
    fs::write(&path, runnable).unwrap();
    let files = [path, events().join("local")];
    let slipway = SlipwayLocal::start("readme", &files);
    let event = fs::read_to_string(events().join("sent/subscription-renewed.json")).unwrap();
    let heard = await_until("an answer", Duration::from_secs(30), async || {
        let path = "/events/production/invoice-generator";
        let key = [("x-api-key", "for-this-machine-only")];
        let heard = post(slipway.http(), path, &key, &event).await?;
        (heard.status == 200).then_some(heard)
    })
    .await;
    let shown: Value = serde_json::from_str(blocks(EVENTS, "json")[0]).unwrap();
    assert_eq!(heard.body, shown);
    fs::remove_dir_all(folder).unwrap();
}

/// `hello.yaml`, with the commands and the answers that the README has for it.
#[tokio::test]
async fn the_first_job_is_as_it_is_told() {
    let folder = std::env::temp_dir().join(format!("slipway-hello-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("hello.yaml");
    fs::write(&file, blocks(README, "yaml")[0]).unwrap();
    let slipway = SlipwayLocal::start("hello-run", std::slice::from_ref(&file));
    let body = "{\"order\":\"A-17\"}";
    // As curl sends it with `-d`.
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let mut results = Vec::new();
    for _ in 0..2 {
        let heard = await_until("an answer", Duration::from_secs(30), async || {
            let heard = post(slipway.http(), "/events/demo/hello", &headers, body).await?;
            (heard.status == 200).then_some(heard)
        })
        .await;
        results.push(heard.text("result").to_owned());
        let name = format!("\"jobName\":\"{}\"", heard.text("jobName"));
        assert!(README.contains(&name), "{name}");
    }
    assert_eq!(results, ["Created", "Duplicate"]);
    for result in results {
        assert!(README.contains(&format!("\"result\":\"{result}\"")));
    }
    await_until("its log", Duration::from_secs(30), async || {
        let log = slipway.logs("demo", slipway.jobs("demo").first()?).concat();
        (log == "invoice for order A-17\n").then_some(())
    })
    .await;
    assert!(README.contains("`invoice for order A-17`"));
    fs::remove_dir_all(folder).unwrap();
}
