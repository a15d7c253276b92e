//! What the README shows is what the program takes, and what it answers.

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

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    let mut found = Vec::new();
    let mut rest = README;
    while let Some(start) = rest.find(&opening) {
        let block = &rest[start + opening.len()..];
        let end = block.find("```").expect("a fence that closes");
        found.push(&block[..end]);
        rest = &block[end + 3..];
    }
    assert!(!found.is_empty(), "README.md has no block of {language}");
    found
}

#[test]
fn every_yaml_block_is_a_valid_set_of_files() {
    for block in blocks("yaml") {
        let manifests = Manifests::from_texts([("README.md", block)]);
        assert_eq!(manifests.faults, [], "{block}");
        let kinds = manifests.entries.iter().map(|entry| &entry.document.kind);
        let launching = kinds.filter(|kind| ["ScaledJob", "EventJob"].contains(&kind.as_str()));
        assert_eq!(launching.count(), 1, "{block}");
    }
}

#[test]
fn the_commands_that_it_promises_are_targets_of_the_makefile() {
    let makefile = include_str!("../../Makefile");
    let commands = blocks("sh").join("\n");
    for target in ["demo", "test"] {
        assert!(
            commands
                .lines()
                .any(|line| line == format!("make {target}"))
        );
        assert!(
            makefile
                .lines()
                .any(|line| line.starts_with(&format!("{target}:")))
        );
    }
}

#[test]
fn every_flag_of_run_is_in_the_table_or_named_as_optional() {
    let help = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"));
    for flag in flags.map(|line| line.split([' ', ',']).next().unwrap()) {
        // `--cluster-namespace` has a default that fits everybody; `--help` explains it.
        if flag != "cluster-namespace" {
            assert!(
                README.contains(&format!("`--{flag}")),
                "--{flag} is not in the README"
            );
        }
    }
}

/// The README's EventJob in a folder of this test's own, under the name that the README has for it.
fn invoice_generator(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("slipway-readme-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut blocks = blocks("yaml").into_iter();
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
        let is_shown = README.lines().any(|shown| shown == line);
        assert!(is_shown, "the README does not have the line\n{line}");
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
    let shown: Value = serde_json::from_str(blocks("json")[0]).unwrap();
    assert_eq!(heard.body, shown);
    fs::remove_dir_all(folder).unwrap();
}
