//! The examples of schedules: each is checked, and runs on this machine when it is triggered.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::SOON;
use super::asked::{self, verb};
use crate::support::await_until;
use crate::support::local::SlipwayLocal;
use crate::support::process::free_port;

fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/schedules");
    folder.join(name)
}

/// Runs a file here, triggers its schedule, and gives what the Job's main container wrote.
async fn triggered(name: &str, namespace: &str, files: &[PathBuf]) -> String {
    let local = SlipwayLocal::start(&format!("example-{name}"), files);
    let state = local.state().to_str().unwrap().to_owned();
    let job = asked::triggered(&state, namespace, name).await;
    let done = format!("{job}  ");
    await_until(
        &format!("{job} is complete: {}", local.output()),
        SOON,
        async || {
            let (_, text) = verb(&["jobs", "--state", &state]);
            let mut lines = text.lines();
            lines
                .any(|line| line.contains(&done) && line.contains("Complete"))
                .then_some(())
        },
    )
    .await;
    verb(&["logs", &job, "--state", &state, "-n", namespace]).1
}

#[tokio::test]
async fn every_example_is_without_a_fault_or_a_warning() {
    for file in fs::read_dir(example("")).unwrap().flatten() {
        let path = file.path();
        let (code, text) = verb(&["check", path.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("0 faults, 0 warnings"), "{text}");
    }
}

#[tokio::test]
async fn the_nightly_report_and_the_log_archiver_run_here() {
    let report = triggered(
        "nightly-report",
        "production",
        &[example("nightly-report.yaml")],
    )
    .await;
    assert!(report.starts_with("report of 20"), "{report}");
    let archive = triggered("log-archiver", "platform", &[example("log-archiver.yaml")]).await;
    assert!(
        archive.starts_with("wrote archive/20") && archive.contains("app.log"),
        "{archive}"
    );
}

/// A PostgreSQL server of the test's own, stopped and removed when dropped.
struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// It will not run as root: then it runs as the user that Debian makes for it.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                "postgres",
                "--regid",
                "postgres",
                "--clear-groups",
            ]);
            command.arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let output = command
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {words}", program.display());
    }

    fn start(password: &str) -> Self {
        let newest = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        let newest = newest.map(|version| version.path().join("bin")).max();
        let programs =
            newest.expect("Debian's package postgresql: tests/env/prerequisites installs it");
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("slipway-postgres-{port}"));
        fs::create_dir(&folder).unwrap();
        let server = Self {
            folder,
            programs,
            port,
        };
        // Without root it is the test's own already.
        let owned = Command::new("chown")
            .arg("postgres:postgres")
            .arg(&server.folder)
            .output();
        assert!(owned.is_ok());
        let secret = server.folder.join("password");
        fs::write(&secret, password).unwrap();
        let secret = format!("--pwfile={}", secret.display());
        server.run(
            "initdb",
            &[
                "-D",
                "data",
                "-U",
                "backup",
                &secret,
                "-A",
                "scram-sha-256",
                "--no-sync",
            ],
        );
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off",
            server.folder.display()
        );
        server.run(
            "pg_ctl",
            &["-D", "data", "-w", "-l", "log", "-o", &options, "start"],
        );
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn ask(&self, database: &str, password: &str, statement: &str) {
        let output = Command::new(self.programs.join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "backup",
                "-d",
                database,
            ])
            .args(["-c", statement])
            .env("PGPASSWORD", password)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.run("pg_ctl", &["-D", "data", "-m", "fast", "stop"]);
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test]
async fn the_backup_dumps_a_real_postgresql_once_it_is_there() {
    let password = "pg-canary-password";
    let server = Postgres::start(password);
    server.ask("postgres", password, "CREATE DATABASE orders");
    server.ask(
        "orders",
        password,
        "CREATE TABLE orders (id int); INSERT INTO orders VALUES (4711)",
    );
    let target = server.folder.join("backups");
    fs::create_dir(&target).unwrap();
    // What is of this machine: the port, and the folder.
    let text = fs::read_to_string(example("postgres-backup.yaml")).unwrap();
    let text = text
        .replace("\"5432\"", &format!("\"{}\"", server.port))
        .replace("value: /backup}", &format!("value: {}}}", target.display()));
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: backup-database, namespace: production}}\nstringData: {{password: {password}}}\n"
    );
    let file = server.folder.join("backup.yaml");
    fs::write(&file, text + &secret).unwrap();
    let log = triggered("postgres-backup", "production", &[file]).await;
    assert!(log.starts_with("wrote orders-20"), "{log}");
    let backup = fs::read_dir(&target)
        .unwrap()
        .flatten()
        .next()
        .expect("a backup");
    let dump = fs::read_to_string(backup.path()).unwrap();
    assert!(
        dump.contains("CREATE TABLE public.orders") && dump.contains("4711"),
        "{dump}"
    );
    assert!(!log.contains(password));
}
