//! `--help` of every command, as people read it.

use std::process::Command;

#[test]
fn help_of_every_command_says_enough_to_get_going() {
    for verb in [
        "",
        "run",
        "local",
        "check",
        "test-event",
        "schedule",
        "convert",
        "trigger",
        "backfill",
        "jobs",
        "logs",
        "rerun",
        "rm",
        "explain",
        "replay",
        "simulate",
        "crd",
        "demo",
        "completion",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args((!verb.is_empty()).then_some(verb))
            .arg("--help")
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{verb}");
        let name = if verb.is_empty() { "slipway" } else { verb };
        insta::assert_snapshot!(name, String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn wrong_usage_is_two_and_a_failure_is_one() {
    let code = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        output.status.code()
    };
    for wrong in [
        &[][..],
        &["local"],
        &["check"],
        &["launch"],
        &["check", "-o", "yaml", "x"],
        &["local", "x.yaml", "--backoff-base", "soon"],
        &["check", "x.yaml", "--log", "slipway=loud"],
        &["run", "--ledger-grace", "119s"],
    ] {
        assert_eq!(code(wrong), Some(2), "{wrong:?}");
    }
    assert_eq!(code(&["check", "/nowhere/x.yaml"]), Some(1));
    assert_eq!(
        code(&["local", "x.yaml", "--state", "/proc/nowhere"]),
        Some(1)
    );
    assert_eq!(code(&["crd"]), Some(0));
}

#[test]
fn the_completion_of_each_shell_names_the_commands_and_bash_reads_it() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args(["completion", shell])
            .output()
            .unwrap();
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["test-event", "until-idle"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        if shell == "bash" {
            let read = Command::new("bash").args(["-n", "-c", &script]).status();
            assert!(read.unwrap().success());
        }
    }
}
