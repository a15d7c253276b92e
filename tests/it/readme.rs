//! What the README shows is what the program takes.

use slipway::manifest::Manifests;

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
        assert!(!manifests.scaled_jobs.is_empty(), "{block}");
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
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_slipway"))
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
