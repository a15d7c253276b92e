//! The commands: arguments in, exit code out. One file a verb.

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::error;

use crate::app::WrongSettings;
use crate::config::{LogFormat, Speech};
use crate::shown::with_causes;
use crate::telemetry;

pub mod check;
pub mod completion;
pub mod convert;
pub mod crd;
pub mod demo;
pub mod explain;
pub mod jobs;
pub mod local;
pub mod place;
pub mod replay;
pub mod rerun;
pub mod rm;
pub mod run;
pub mod schedule;
pub mod simulate;
pub mod test_event;
pub mod trigger;

/// Turns waiting work into Kubernetes Jobs, once each.
///
/// A backlog in SQS or Kafka becomes the right number of Jobs, and an event that is
/// posted becomes one Job, however often it comes: in a cluster (`run`), or as
/// processes on this machine (`local`). `demo` shows both in a minute, with nothing
/// but this program.
#[derive(Debug, Parser)]
#[command(name = "slipway", version = concat!(env!("CARGO_PKG_VERSION"), env!("SLIPWAY_BUILD")), max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    speech: Speech,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a cluster's ScaledJobs and EventJobs, read their sources, take their events, launch their Jobs
    Run(Box<run::Args>),
    /// Run the same engine with no cluster: resources from files, Jobs as processes on this machine
    Local(local::Args),
    /// Tell everything that can be known wrong about files before they are deployed
    Check(check::Args),
    /// Tell whether an event matches, and which Job it would become
    TestEvent(test_event::Args),
    /// List when the schedules in files are due, and the jumps of the clock that they fall into
    Schedule(schedule::Args),
    /// Turn CronJobs into EventJobs, and name each difference
    Convert(convert::Args),
    /// Make a Job of a schedule now, as `kubectl create job --from=cronjob/NAME` does
    Trigger(trigger::Args),
    /// Make the Jobs of a schedule's past due times, each once
    Backfill(trigger::BackfillArgs),
    /// List the Jobs that Slipway made, the newest last
    Jobs(jobs::Args),
    /// Print what the newest Pod of a Job wrote
    Logs(jobs::LogsArgs),
    /// Run Jobs that failed once more
    Rerun(rerun::Args),
    /// Stop and remove Jobs that Slipway made
    Rm(rm::Args),
    /// Tell why an object launched or did not, and the way of an event to its Job
    Explain(explain::Args),
    /// Decide recorded decisions again with this program, and list what differs
    Replay(replay::Args),
    /// Run a ScaledJob's four strategies over a supposed backlog, side by side
    Simulate(simulate::Args),
    /// Print the CustomResourceDefinitions
    Crd(crd::Args),
    /// Print the completion of a shell
    Completion(completion::Args),
    /// See a Kafka backlog and events over HTTP become Jobs, on this machine, with nothing else installed
    Demo(demo::Args),
    /// The demo's worker: takes messages and commits them
    #[command(hide = true)]
    DemoWorker(demo::worker::Args),
}

/// The files that a command reads.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct InputFiles {
    /// Files, folders (their *.yaml, *.yml and *.json, those of folders in them too), or - for standard input
    #[arg(required_unless_present = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The same, as kubectl has it
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<PathBuf>,
}

impl InputFiles {
    /// All of them, in the order given.
    pub fn all(&self) -> Vec<PathBuf> {
        let all = self.files.iter().chain(&self.filename);
        all.cloned().collect()
    }
}

impl From<Vec<PathBuf>> for InputFiles {
    fn from(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            filename: Vec::new(),
        }
    }
}

/// How a command prints what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// Lines for people
    Text,
    /// One object, for programs
    Json,
}

/// Runs one command: 0 for success, 1 for a failure, 2 for wrong usage or settings.
pub fn main(cli: Cli) -> ExitCode {
    // Programs read the log of a Pod, people that of their terminal.
    let (format, filter) = match cli.command {
        Command::Run(_) if std::io::stderr().is_terminal() => (LogFormat::Text, "info"),
        Command::Run(_) => (LogFormat::Json, "info"),
        _ => (LogFormat::Text, "warn"),
    };
    if let Err(message) = telemetry::start(&cli.speech, format, filter) {
        return wrong_usage(&message);
    }
    // One TLS provider for the whole program; rustls panics at first use when it has to choose.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return wrong_usage("a TLS provider was installed twice");
    }
    let result = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Local(args) => local::run(&args),
        Command::Check(args) => print(|out| runtime()?.block_on(check::run(&args, out))),
        Command::TestEvent(args) => print(|out| runtime()?.block_on(test_event::run(&args, out))),
        Command::Schedule(args) => print(|out| runtime()?.block_on(schedule::run(&args, out))),
        Command::Convert(args) => print(|out| runtime()?.block_on(convert::run(&args, out))),
        Command::Trigger(args) => print(|out| trigger::run(&args, out)),
        Command::Backfill(args) => print(|out| trigger::backfill(&args, out)),
        Command::Jobs(args) => print(|out| jobs::run(&args, out)),
        Command::Logs(args) => print(|out| jobs::print_logs(&args, out)),
        Command::Rerun(args) => print(|out| rerun::run(&args, out)),
        Command::Rm(args) => print(|out| rm::run(&args, out)),
        Command::Explain(args) => print(|out| explain::run(&args, out)),
        Command::Replay(args) => print(|out| replay::run(&args, out)),
        Command::Simulate(args) => print(|out| runtime()?.block_on(simulate::run(&args, out))),
        Command::Crd(args) => print(|out| crd::run(&args, out)),
        Command::Completion(args) => print(|out| completion::run(&args, out)),
        Command::Demo(args) => print(|out| demo::run(&args, out)),
        Command::DemoWorker(args) => demo::work(&args),
    };
    result.unwrap_or_else(|failure| {
        // `slipway crd | head` is no failure.
        if is_closed_pipe(&failure) {
            return ExitCode::SUCCESS;
        }
        if let Some(wrong) = failure.downcast_ref::<WrongSettings>() {
            return wrong_usage(&wrong.to_string());
        }
        error!("{}", with_causes(failure.as_ref()));
        ExitCode::FAILURE
    })
}

/// Says what is wrong with the settings, where clap says it, and gives clap's exit code.
pub(crate) fn wrong_usage(message: &str) -> ExitCode {
    #[expect(
        clippy::print_stderr,
        reason = "usage errors go where clap's go, logs or not"
    )]
    {
        eprintln!("error: {message}\n\nFor more information, try '--help'.");
    }
    ExitCode::from(2)
}

/// Runs what prints its answer to standard output.
fn print(run: impl FnOnce(&mut dyn Write) -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    // Not locked: `demo` has a task that writes too.
    let mut out = std::io::stdout();
    run(&mut out)
}

/// Whether nobody reads standard output any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// `1 Job`, `2 Jobs`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The runtime of the commands that wait for the outside world.
///
/// # Errors
///
/// The operating system's, when it gives no threads.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
