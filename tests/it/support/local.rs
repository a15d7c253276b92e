//! `slipway local` as a process, on files of the examples or of a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::free_port;

/// `slipway local` with a door for events, in a folder of its own; killed and removed when dropped.
pub(crate) struct SlipwayLocal {
    child: Child,
    folder: PathBuf,
    http: String,
}

impl SlipwayLocal {
    /// Starts it on files; it is not there yet when this returns.
    pub(crate) fn start(name: &str, files: &[PathBuf]) -> Self {
        Self::start_with(name, files, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(name: &str, files: &[PathBuf], arguments: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("slipway-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let http = format!("127.0.0.1:{}", free_port());
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .arg("local")
            .args(files)
            .args(["--http", &http, "--state"])
            .arg(folder.join("state"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            folder,
            http,
        }
    }

    /// Where it takes events.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Where its status page is, once it has said so: host and port, and the token of writes if it has one.
    pub(crate) fn page(&self) -> Option<(String, String)> {
        let output = self.output();
        let (_, rest) = output.split_once("The status page is at http://")?;
        let (address, _) = rest.split_once('\n')?;
        let (host, token) = address.split_once('/')?;
        let token = token.strip_prefix("#token=").unwrap_or_default();
        Some((host.to_owned(), token.to_owned()))
    }

    /// Its state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The names of the Jobs of a namespace.
    pub(crate) fn jobs(&self, namespace: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("state").join(namespace));
        let entries = entries.into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// What the Pods of a Job have printed so far, one text a Pod.
    pub(crate) fn logs(&self, namespace: &str, job: &str) -> Vec<String> {
        let pods = self.folder.join("state").join(namespace).join(job);
        let mut logs = Vec::new();
        collect(&pods.join("pods"), &mut logs);
        logs
    }
}

/// The texts of the files named `log` or `*.log` below a folder.
fn collect(folder: &Path, logs: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, logs);
        } else if entry.file_name().to_string_lossy().ends_with("log") {
            logs.push(fs::read_to_string(path).unwrap_or_default());
        }
    }
}

impl Drop for SlipwayLocal {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            #[expect(
                clippy::print_stderr,
                reason = "a failing test shows what slipway said"
            )]
            {
                eprintln!("{log}");
            }
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}
