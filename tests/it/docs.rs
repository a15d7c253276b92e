//! The pages of `docs/` lead somewhere, and `docs/reference.md` has what the program has.

use std::path::{Path, PathBuf};
use std::process::Command;

use regex_lite::Regex;
use serde_json::Value;
use slipway::resource::{definitions, document};

const REFERENCE: &str = include_str!("../../docs/reference.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    // The rest are pictures.
    pages.extend(docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    pages
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let link = Regex::new(r"\]\(([^)#]+)[^)]*\)").unwrap();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        let targets = link.captures_iter(&text).map(|found| found[1].to_owned());
        for target in targets.filter(|target| !target.contains("://")) {
            assert!(
                folder.join(&target).exists(),
                "{}: {target}",
                page.display()
            );
        }
    }
}

#[test]
fn every_flag_of_run_is_in_the_reference() {
    let help = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flag = Regex::new(r"^ +(?:-\w, )?--([a-z-]+)").unwrap();
    let flags = help.lines().filter_map(|line| flag.captures(line));
    let flags: Vec<String> = flags.map(|found| found[1].to_owned()).collect();
    assert!(flags.len() > 20, "{flags:?}");
    for flag in flags.into_iter().filter(|flag| flag != "help") {
        assert!(
            REFERENCE.contains(&format!("`--{flag}")),
            "--{flag} is not in the reference"
        );
    }
}

#[test]
fn every_status_field_is_in_the_reference() {
    let (documents, _) = document::read(&definitions::stream());
    for kind in ["ScaledJob", "EventJob"] {
        let definition = documents
            .iter()
            .find(|document| document.value["spec"]["names"]["kind"] == kind)
            .unwrap();
        let schema = &definition.value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let fields = schema["properties"]["status"]["properties"]
            .as_object()
            .unwrap();
        let (_, section) = REFERENCE
            .split_once(&format!(
                "## Status of a{} {kind}\n",
                if kind == "EventJob" { "n" } else { "" }
            ))
            .unwrap();
        let section = section.split("\n## ").next().unwrap();
        for (field, schema) in fields {
            assert!(
                section.contains(&format!("| `{field}` |")),
                "{kind}: {field}"
            );
            for inner in schema["properties"]
                .as_object()
                .into_iter()
                .flat_map(serde_json::Map::keys)
            {
                assert!(
                    section.contains(&format!("`{inner}`")),
                    "{kind}: {field}.{inner}"
                );
            }
        }
        assert!(matches!(schema["type"], Value::String(_)));
    }
}

#[test]
fn every_reason_of_an_error_is_in_the_reference() {
    let reason = Regex::new(r#"Self::\w+(?: \{ \.\. \})? => "([A-Z]\w+)","#).unwrap();
    for file in ["src/launch.rs", "src/source.rs", "src/lookup.rs"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let reasons: Vec<String> = reason
            .captures_iter(&text)
            .map(|found| found[1].to_owned())
            .collect();
        assert!(reasons.len() >= 4, "{file}: {reasons:?}");
        for reason in reasons {
            assert!(
                REFERENCE.contains(&format!("`{reason}`")),
                "{file}: {reason}"
            );
        }
    }
}
