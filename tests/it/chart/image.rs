//! The Dockerfile, as far as it can be judged without a container engine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{only, render};
use serde_json::json;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The instructions, each with its continuations on one line, in stages that begin with `FROM`.
fn stages() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stages: Vec<Vec<String>> = Vec::new();
    for line in joined.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("FROM ") {
            stages.push(Vec::new());
        }
        stages.last_mut().unwrap().push(line.to_owned());
    }
    stages
}

/// What an instruction of that kind says, for each of them.
fn said<'a>(stage: &'a [String], instruction: &str) -> Vec<&'a str> {
    let rest = |line: &'a String| line.strip_prefix(instruction)?.strip_prefix(' ');
    stage.iter().filter_map(rest).collect()
}

/// The packages that a stage installs.
fn packages(stage: &[String]) -> BTreeSet<&str> {
    let run = said(stage, "RUN")[0];
    let (_, list) = run.split_once("--no-install-recommends ").unwrap();
    list.split("&&")
        .next()
        .unwrap()
        .split_whitespace()
        .collect()
}

/// What the build stage copies out of this folder.
fn copied(stage: &[String]) -> BTreeSet<&str> {
    let copies = said(stage, "COPY").into_iter();
    copies
        .filter(|copy| !copy.starts_with("--from"))
        .flat_map(|copy| {
            let words: Vec<&str> = copy.split_whitespace().collect();
            words[..words.len() - 1].to_vec()
        })
        .collect()
}

#[test]
fn what_is_copied_is_there_and_is_let_through_and_is_all_that_cargo_asks_for() {
    let stages = stages();
    let copied = copied(&stages[0]);
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let lines: Vec<&str> = ignore
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let (first, rest) = lines.split_first().unwrap();
    assert_eq!(*first, "*");
    let through: BTreeSet<&str> = rest
        .iter()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    assert_eq!(through, copied);

    let folder = std::env::temp_dir().join(format!("slipway-image-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for path in copied {
        let status = Command::new("cp")
            .arg("-r")
            .args([root().join(path), folder.join(path)])
            .status();
        assert!(status.unwrap().success(), "{path}");
    }
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--locked",
            "--format-version",
            "1",
        ])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{metadata:?}");
    // Files that the sources take in lie among them.
    let mut files = Vec::new();
    walk(&folder.join("src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for included in ["include_str!(\"", "include_bytes!(\""] {
            for (at, _) in text.match_indices(included) {
                let path = text[at + included.len()..].split('"').next().unwrap();
                let path = file.parent().unwrap().join(path);
                assert!(path.exists(), "{}: {}", file.display(), path.display());
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn it_is_built_with_what_a_person_builds_with() {
    let stages = stages();
    assert_eq!(stages.len(), 2);
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let (_, version) = toolchain.split_once("channel = \"").unwrap();
    let version = version.split('"').next().unwrap();
    assert_eq!(
        stages[0][0],
        format!("FROM rust:{version}-slim-bookworm AS build")
    );

    // The list of `tests/env/prerequisites`, for a demo: a package follows each command, or the one that is looked for by name.
    let script = fs::read_to_string(root().join("tests/env/prerequisites")).unwrap();
    let (_, list) = script.split_once("look() {").unwrap();
    let (list, _) = list.split_once("== demo ]] && return").unwrap();
    let package = |line: &'_ str| {
        let line = line.trim();
        let named = line
            .strip_prefix("command_of ")
            .and_then(|words| words.split(' ').nth(1));
        let missing = line
            .split_once("missing+=(")
            .map(|(_, name)| name.trim_end_matches(')'));
        named.or(missing).map(str::to_owned)
    };
    let wanted: BTreeSet<String> = list.lines().filter_map(package).collect();
    let installed = packages(&stages[0]).into_iter().map(str::to_owned);
    assert_eq!(installed.collect::<BTreeSet<_>>(), wanted);
    let build = said(&stages[0], "RUN")[1];
    assert!(
        build.contains("cargo build --locked --release --bin slipway"),
        "{build}"
    );
}

#[test]
fn it_runs_as_nobody_with_no_more_than_the_binary_needs() {
    let stages = stages();
    let last = &stages[1];
    assert_eq!(last[0], "FROM debian:12-slim");
    let objects = render(&json!({}));
    let pod = &only(&objects, "Deployment", "slipway")["spec"]["template"]["spec"];
    let security = &pod["securityContext"];
    let user = format!("{}:{}", security["runAsUser"], security["runAsGroup"]);
    assert_eq!(said(last, "USER"), [user.as_str()]);
    assert_ne!(security["runAsUser"], 0);
    assert_eq!(
        said(last, "COPY"),
        ["--from=build /usr/local/bin/slipway /usr/local/bin/slipway"]
    );
    assert_eq!(said(last, "ENTRYPOINT"), ["[\"/usr/local/bin/slipway\"]"]);
    for port in pod["containers"][0]["ports"].as_array().unwrap() {
        let port = port["containerPort"].to_string();
        let exposed = said(last, "EXPOSE")[0];
        assert!(exposed.split(' ').any(|exposed| exposed == port), "{port}");
    }

    // Of what the binary loads, OpenSSL is the only thing that the base has not.
    assert_eq!(
        packages(last),
        BTreeSet::from(["ca-certificates", "libssl3"])
    );
    let loaded = Command::new("ldd")
        .arg(env!("CARGO_BIN_EXE_slipway"))
        .output();
    let loaded = String::from_utf8(loaded.unwrap().stdout).unwrap();
    let base = [
        "libc",
        "libm",
        "libgcc_s",
        "linux-vdso",
        "ld-linux-x86-64",
        "ld-linux-aarch64",
    ];
    for line in loaded.lines() {
        let file = line.split_whitespace().next().unwrap();
        let name = file.rsplit('/').next().unwrap();
        let is_known = |known: &&str| name.split(".so").next() == Some(known);
        let is_openssl = ["libssl.so.3", "libcrypto.so.3"].contains(&name);
        assert!(is_openssl || base.iter().any(is_known), "{line}");
    }
}
