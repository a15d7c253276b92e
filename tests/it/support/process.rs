//! The built binary as a process.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::await_until;
pub(crate) use super::basic::{free_port, get};

/// A variable with the limit of file descriptors of the process.
const DESCRIPTORS: &str = "TEST_DESCRIPTORS";

/// Runs a verb with nothing from the environment and `input` on standard input: its exit code, and what it wrote to
/// standard output.
pub(crate) fn answer(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Wrong usage ends before it is read.
    drop(process.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = process.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

/// `slipway run` as a process; killed when dropped.
pub(crate) struct Slipway {
    child: Child,
    health: String,
    http: String,
    grpc: String,
    log: std::path::PathBuf,
}

impl Slipway {
    /// Starts `slipway run` on a kubeconfig and a namespace, and waits until it is ready.
    pub(crate) async fn run(
        kubeconfig: &str,
        namespace: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let slipway = Self::start(kubeconfig, namespace, arguments, environment);
        await_until("slipway is ready", Duration::from_secs(30), async || {
            (slipway.get("/readyz").await?.starts_with("ok")).then_some(())
        })
        .await;
        slipway
    }

    /// Starts `slipway run` without waiting.
    pub(crate) fn start(
        kubeconfig: &str,
        namespace: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let health = format!("127.0.0.1:{}", free_port());
        let http = format!("127.0.0.1:{}", free_port());
        let grpc = format!("127.0.0.1:{}", free_port());
        let mut all = vec!["run", "--kubeconfig", kubeconfig, "--namespaces", namespace];
        all.extend(["--health", &health, "--http", &http, "--grpc", &grpc]);
        all.extend(["--allow-address", "127.0.0.1,localhost"]);
        all.extend(["--allow-identity", "127.0.0.1,localhost"]);
        all.extend(["--log-format", "text"]);
        all.extend(arguments);
        // Nobody sends to a replica that goes, but in the tests that say so.
        let mut settings = vec![
            ("SLIPWAY_LOG", "info,slipway=debug"),
            ("SLIPWAY_SHUTDOWN_DELAY", "0s"),
        ];
        settings.extend(environment);
        let mut slipway = Self::exactly(&all, health.clone(), http.clone(), &settings);
        slipway.grpc = grpc;
        slipway
    }

    /// Starts `slipway run` with no more than so many file descriptors, and waits until it is ready.
    pub(crate) async fn with_descriptors(most: u32, kubeconfig: &str, namespace: &str) -> Self {
        let limit = most.to_string();
        let slipway = Self::start(kubeconfig, namespace, &[], &[(DESCRIPTORS, &limit)]);
        await_until("slipway is ready", Duration::from_secs(30), async || {
            (slipway.get("/readyz").await?.starts_with("ok")).then_some(())
        })
        .await;
        slipway
    }

    /// Starts `slipway` with these arguments and no other. `health` and `http` are addresses that they name.
    pub(crate) fn exactly(
        arguments: &[&str],
        health: String,
        http: String,
        environment: &[(&str, &str)],
    ) -> Self {
        let log = std::env::temp_dir().join(format!("slipway-{}.log", super::cluster::unique()));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = Command::new("sh");
        // A limit that is not set stays as it is.
        let limited =
            format!("[ -z \"${DESCRIPTORS}\" ] || ulimit -n \"${DESCRIPTORS}\"; exec \"$@\"");
        command
            .args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_slipway")])
            .args(arguments)
            .env_remove("KUBECONFIG")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        Self {
            child: command.spawn().unwrap(),
            health,
            http,
            grpc: String::new(),
            log,
        }
    }

    /// `kill -9`, and the end of it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal, such as `-TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM, and its exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        let child = &mut self.child;
        let ended = await_until("slipway stops", Duration::from_secs(30), async || {
            child.try_wait().unwrap()
        })
        .await;
        ended.code()
    }

    /// The body behind a path of `--health`, if it answers.
    pub(crate) async fn get(&self, path: &str) -> Option<String> {
        get(&self.health, path).await
    }

    /// Where it answers probes.
    pub(crate) fn health(&self) -> &str {
        &self.health
    }

    /// Where it takes events.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Where it answers KEDA.
    pub(crate) fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Stops the process where it is (SIGSTOP), or lets it go on (SIGCONT).
    pub(crate) fn freeze(&self, frozen: bool) {
        self.signal(if frozen { "-STOP" } else { "-CONT" });
    }

    /// How many threads and open descriptors it has.
    pub(crate) fn held(&self) -> (usize, usize) {
        let count = |what: &str| {
            let path = format!("/proc/{}/{what}", self.child.id());
            std::fs::read_dir(path).unwrap().count()
        };
        (count("task"), count("fd"))
    }

    /// The memory that it holds, and the most that it ever held. Unit: MiB.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            let kibibytes = line.split_whitespace().nth(1).unwrap();
            kibibytes.parse::<usize>().unwrap() / 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Where its status page is, once it has said so: host and port.
    pub(crate) fn page(&self) -> Option<String> {
        let log = self.log();
        let (_, rest) = log.split_once("the status page is at http://")?;
        let (address, _) = rest.split_once('/')?;
        Some(address.to_owned())
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Slipway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            #[expect(
                clippy::print_stderr,
                reason = "a failing test shows what slipway said"
            )]
            {
                for line in tail.iter().rev() {
                    eprintln!("slipway: {line}");
                }
                eprintln!("slipway: all of it is in {}", self.log.display());
            }
        } else {
            drop(std::fs::remove_file(&self.log));
        }
    }
}
