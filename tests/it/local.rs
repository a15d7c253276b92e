//! Local Jobs, with real processes: what the Job controller promises, looked at from outside.
#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot do, fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Value, json};
use slipway::launch::{Error, JobOutcome, Launch, Launched, Launcher};
use slipway::local::{Fact, JobPhase, JobView, Local, LocalSettings, OpenError, Submitted};
use slipway::lookup::{self, Authentication, Lookup};
use slipway::resource::{Api, ObjectId, Propagation, Round, ScaledJob};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::await_until;

const SOON: Duration = Duration::from_secs(20);

/// One Secret and one ConfigMap.
struct Files;

impl Lookup for Files {
    fn forget(&self, _namespace: Option<&str>) {}

    fn secret<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<lookup::SecretData>, lookup::Error>> {
        let data = BTreeMap::from([("password".to_owned(), SecretString::from("s3cret"))]);
        Box::pin(std::future::ready(Ok(
            (&*id.name == "database").then(|| Arc::new(data))
        )))
    }

    fn config_map<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, lookup::Error>> {
        let data = BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]);
        Box::pin(std::future::ready(Ok(
            (&*id.name == "settings").then_some(data)
        )))
    }

    fn service_account_annotations<'a>(
        &'a self,
        _id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, lookup::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn authentication<'a>(
        &'a self,
        _id: &'a ObjectId,
        _cluster: bool,
        _api: Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, lookup::Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A state folder and a folder for what Jobs leave behind.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("slipway-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn open(&self) -> Local {
        Local::open(&self.state(), settings()).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.path(name))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// A controller that runs this Job, once the Job has written so many lines to `out`.
    async fn wrote(&self, job: Value, lines: usize) -> Running {
        let running = Running::start(self.open());
        running.local.submit(job).await.unwrap();
        await_until(&format!("{lines} lines are written"), SOON, async || {
            (self.lines("out").len() == lines).then_some(())
        })
        .await;
        running
    }

    fn status(&self, job: &str) -> Value {
        let path = self.state().join("default").join(job).join("status.json");
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".to_owned());
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that fails leaves its folder for looking at.
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock and path")]
fn settings() -> LocalSettings {
    LocalSettings {
        backoff_base: Duration::from_millis(20),
        max_processes: NonZeroU32::new(64).unwrap(),
        clock: jiff::Timestamp::now,
        environment: BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap().into())]),
        lookup: Arc::new(Files),
        ledger_grace: Duration::ZERO,
        fresh: false,
    }
}

/// A controller that runs until it is dropped, as `kill -9` would end it: no word to its processes.
struct Running {
    local: Local,
    tasks: JoinSet<()>,
}

impl Running {
    fn start(local: Local) -> Self {
        let mut tasks = JoinSet::new();
        let running = local.clone();
        tasks.spawn(async move { running.run(CancellationToken::new()).await });
        Self { local, tasks }
    }

    async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    fn view(&self, job: &str) -> Option<JobView> {
        let jobs = self.local.views();
        jobs.into_iter().find(|view| *view.id.name == *job)
    }

    async fn until(&self, job: &str, phase: JobPhase) -> JobView {
        await_until(&format!("{job} is {phase:?}"), SOON, async || {
            self.view(job).filter(|view| view.phase == phase)
        })
        .await
    }
}

fn job(name: &str, script: &str, spec: &Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "example/image", "command": ["sh", "-c", script]}],
        }}},
    });
    for (key, value) in spec.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

fn main_container(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]["containers"][0]
}

/// Process groups with this text in a command line, as `/proc` shows them: one for each container.
fn groups(marker: &str) -> BTreeSet<String> {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy() != own)
        .filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let group = stat.rsplit_once(')')?.1.split_whitespace().nth(2)?;
            String::from_utf8_lossy(&line)
                .contains(marker)
                .then(|| group.to_owned())
        })
        .collect()
}

/// Ends a process group as the system would that has no memory left.
fn kill_group(group: &str) {
    let killed = std::process::Command::new("kill")
        .args(["-9", "--", &format!("-{group}")])
        .status()
        .unwrap();
    assert!(killed.success());
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

mod binary;
mod containers;
mod events;
mod policies;
mod port;
mod restart;
mod rules;
mod text;
mod trying;
