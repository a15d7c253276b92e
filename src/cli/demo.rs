//! `slipway demo`: the main job in a minute, with nothing but the binary. A Kafka
//! cluster in this process holds a backlog; a ScaledJob makes Jobs for it; the
//! Jobs are processes that work it off. Meanwhile events come over HTTP, some of
//! them twice; an EventJob makes one Job for each.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cli::local::show::Screen;
use crate::cli::{OutputFormat, local, runtime};
use crate::config::AdminAccess;
use crate::local::{JobPhase, JobView, Local};

use self::cluster::DemoKafka;
use self::renewals::{EVENTS, RenewalKey, Renewals, TWICE};

/// Orders waiting when the demo begins.
const MESSAGES: u32 = 60;
/// Partitions they are spread over; no more workers than that can share them.
const PARTITIONS: i32 = 6;
/// Orders one Job takes.
const PER_JOB: u32 = 5;
/// Jobs at most.
const MAX_JOBS: u32 = 6;
/// How long an order takes, in milliseconds.
const WORK_MILLISECONDS: u64 = 150;
/// Between the last event and the end: longer than between two events.
const QUIET: Duration = Duration::from_secs(1);
/// What to do after it.
const NEXT: &str = "\
Next, with files of your own:
  slipway check FILE                what is wrong with a ScaledJob or an EventJob before it is deployed
  slipway local FILE --until-idle   its Jobs as processes on this machine
  slipway run                       in a cluster, after `slipway crd | kubectl apply -f -`
The repository's examples/ has files to begin with.";
const TOPIC: &str = "orders";
const GROUP: &str = "order-workers";

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  slipway demo

It listens on loopback, writes to a folder of its own under TMPDIR, and removes it at the end.";

/// Watch a backlog and events become Jobs: an embedded Kafka, a ScaledJob, an EventJob, and real processes.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

/// Runs the demo and prints its summary. Exit code 0: every order was done, and every Job succeeded.
///
/// # Errors
///
/// The stage cannot be set up, or a part of the engine ended early.
pub fn run(_args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let program = std::env::current_exe().context("this program's own path is not known")?;
        let folder = std::env::temp_dir().join(format!("slipway-demo-{}", std::process::id()));
        writeln!(out, "An embedded Kafka gets {MESSAGES} orders; one Job takes {PER_JOB}, {MAX_JOBS} Jobs at most run at once.")?;
        writeln!(out, "Meanwhile {EVENTS} events come over HTTP, {TWICE} of them twice; each is worth one Job.")?;
        let stage = Stage::set_up(&folder, &program).await?;
        let args = local::Args {
            files: vec![stage.manifest(), stage.event_manifest()].into(),
            state: stage.state(),
            until_idle: true,
            backoff_base: Duration::from_secs(1),
            max_processes: None,
            http: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ledger_grace: Duration::ZERO,
            health: None,
            admin: None,
            admin_access: AdminAccess::default(),
            allow_address: Vec::new(),
            fresh: false,
            logs: false,
            output: OutputFormat::Text,
            allow_identity: Vec::new(),
        };
        let started = Instant::now();
        let key = RenewalKey::new();
        let manifest = renewals::manifest(&key, &stage.renewed());
        std::fs::write(stage.event_manifest(), manifest).context("the manifest cannot be written")?;
        let deliver = |engine| renewals::deliver(engine, key);
        let engine = local::engine(&args, Screen::Lines, QUIET, deliver, Local::views);
        let (_, jobs) = engine.await?;
        let summary = stage.summary(&jobs, started.elapsed())?;
        writeln!(out, "\n{summary}\n\n{NEXT}")?;
        Ok(if summary.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Runs the worker of one Job.
///
/// # Errors
///
/// No connection, no commit, or no file to write to.
pub fn work(args: &worker::Args) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(worker::run(args))?;
    Ok(ExitCode::SUCCESS)
}

/// Everything the demo needs before the engine runs. It is cleared away when dropped.
#[derive(Debug)]
pub struct Stage {
    cluster: DemoKafka,
    folder: PathBuf,
}

impl Stage {
    /// Starts the cluster, fills the topic, and writes the manifest into `folder`, which is made
    /// and removed again at the end. `program` is this binary: the Jobs run it as `demo-worker`.
    ///
    /// # Errors
    ///
    /// The cluster does not start, or the folder cannot be made.
    pub async fn set_up(folder: &Path, program: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let stage = Self {
            cluster: DemoKafka::start(TOPIC, PARTITIONS)?,
            folder: folder.to_owned(),
        };
        stage.cluster.fill(TOPIC, PARTITIONS, MESSAGES).await?;
        let manifest = manifest(stage.cluster.brokers(), program, &stage.done());
        std::fs::write(stage.manifest(), manifest).context("the manifest cannot be written")?;
        Ok(stage)
    }

    /// The file for `slipway local`.
    pub fn manifest(&self) -> PathBuf {
        self.folder.join("orders.yaml")
    }

    /// The other one.
    pub fn event_manifest(&self) -> PathBuf {
        self.folder.join("renewals.yaml")
    }

    /// The state folder for it.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// What came of it.
    ///
    /// # Errors
    ///
    /// The workers' file cannot be read.
    pub fn summary(&self, jobs: &[JobView], elapsed: Duration) -> anyhow::Result<Summary> {
        let done = read(&self.done())?;
        let renewals = Renewals::new(&read(&self.renewed())?, jobs);
        let orders: BTreeSet<&str> = done.lines().collect();
        let ours: Vec<_> = jobs.iter().filter(|job| job.scaled_job.is_some()).collect();
        let in_phase = |phase| ours.iter().filter(|job| job.phase == phase).count();
        Ok(Summary {
            messages: MESSAGES,
            done: orders.len(),
            duplicates: done.lines().count() - orders.len(),
            launched: ours.len(),
            succeeded: in_phase(JobPhase::Complete),
            failed: in_phase(JobPhase::Failed),
            renewals,
            elapsed,
        })
    }

    /// Where workers write down what they have done.
    fn done(&self) -> PathBuf {
        self.folder.join("done")
    }

    /// And what the Jobs of events do.
    fn renewed(&self) -> PathBuf {
        self.folder.join("renewed")
    }
}

/// A file that may not be there yet.
fn read(path: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        text => text.context("the workers' file cannot be read"),
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "{} is left behind",
                self.folder.display()
            );
        }
    }
}

/// What a demo came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Orders that waited.
    pub messages: u32,
    /// Orders done, each counted once.
    pub done: usize,
    /// Orders done again.
    pub duplicates: usize,
    /// Jobs made.
    pub launched: usize,
    /// Jobs that succeeded.
    pub succeeded: usize,
    /// Jobs that failed.
    pub failed: usize,
    /// What became of the events.
    pub renewals: Renewals,
    /// From the first look at the topic to the end.
    pub elapsed: Duration,
}

impl Summary {
    /// Was every order done, every event worth one Job, and every Job a success?
    pub fn is_success(&self) -> bool {
        let orders_are_done = usize::try_from(self.messages) == Ok(self.done) && self.failed == 0;
        orders_are_done && self.renewals.is_success()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} of {} orders done, {} of them twice, by {} Jobs ({} succeeded, {} failed)\n{}\nin {:.1} s",
            self.done,
            self.messages,
            self.duplicates,
            self.launched,
            self.succeeded,
            self.failed,
            self.renewals,
            self.elapsed.as_secs_f64()
        )
    }
}

/// The ScaledJob, as a user would write it.
fn manifest(brokers: &str, program: &Path, done: &Path) -> String {
    let program = quoted(&program.display().to_string());
    let done = quoted(&done.display().to_string());
    let command = format!(
        "exec {program} demo-worker --brokers {brokers} --topic {TOPIC} --partitions {PARTITIONS} --group {GROUP} --messages {PER_JOB} --work-milliseconds {WORK_MILLISECONDS} --done {done}"
    );
    // A JSON string is a YAML string.
    let command = serde_json::Value::from(command);
    format!(
        r#"apiVersion: slipway.dev/v1alpha1
kind: ScaledJob
metadata:
  name: orders
  namespace: demo
spec:
  pollingInterval: 1
  maxReplicaCount: {MAX_JOBS}
  triggers:
  - type: kafka
    metadata:
      bootstrapServers: {brokers}
      topic: {TOPIC}
      consumerGroup: {GROUP}
      lagThreshold: "{PER_JOB}"
      offsetResetPolicy: earliest
      allowIdleConsumers: "true"
  jobTargetRef:
    backoffLimit: 3
    template:
      metadata:
        annotations:
          slipway.dev/local-command: {command}
      spec:
        restartPolicy: Never
        containers:
        - name: worker
          image: example.com/order-worker
"#
    )
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub mod cluster;
pub mod renewals;
pub mod worker;

#[cfg(test)]
mod tests;
