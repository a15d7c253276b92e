//! `slipway local`: the same engine with no cluster, Jobs as processes.

use std::io::{IsTerminal as _, Write};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app;
use crate::app::local::{Engine, LocalAdmin, RunSummary};
use crate::cli::local::show::Screen;
use crate::cli::local::table::Snapshot;
use crate::cli::{InputFiles, OutputFormat, counted, is_closed_pipe, runtime};
use crate::config::{self, AdminAccess};
use crate::local::{self, Local};
use crate::lookup::files::Files;

/// With EventJobs and `--until-idle`: long enough for whoever starts this program and then sends.
const QUIET: Duration = Duration::from_secs(5);

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # A Job, to its end; exit code 0 if it succeeded
  slipway local job.yaml --until-idle
  # A ScaledJob with its TriggerAuthentication and Secret, until Ctrl-C; edits take effect at once
  slipway local orders.yaml secrets.yaml
  # An EventJob: POST events to http://127.0.0.1:8080/events/NAMESPACE/NAME; each becomes one Job, however often it comes
  slipway local renewals.yaml
  # From standard input, and failed Pods are tried again after 1 s
  helm template ./chart | slipway local - --backoff-base 1s --until-idle

Ctrl-C or SIGTERM: processes get SIGTERM, their Jobs go on at the next start. Twice: ends at once.
Logs: DIR/NAMESPACE/JOB/pods/POD/. Exit code 0: every Job succeeded; 1: not so, or one is left;
2: wrong usage; 130 or 143: interrupted or terminated.";

/// Run Jobs, ScaledJobs and EventJobs from files, as processes on this machine
///
/// The engine is the one of `run`. A container runs its `command` and `args`, or
/// the shell line in the annotation slipway.dev/local-command. What was accepted is
/// remembered in --state: after a kill, the next start goes on where this one was.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What is read.
    #[command(flatten)]
    pub files: InputFiles,
    /// Folder that remembers Jobs between runs
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".slipway",
        env = "SLIPWAY_STATE"
    )]
    pub state: PathBuf,
    /// End when nothing is left to do (with EventJobs, and no request has come for 5 s); exit 0 only if every Job succeeded
    #[arg(long, env = "SLIPWAY_UNTIL_IDLE")]
    pub until_idle: bool,
    /// Pause after the first failed Pod; doubles up to 10m
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = config::duration,
        env = "SLIPWAY_BACKOFF_BASE"
    )]
    pub backoff_base: Duration,
    /// Containers that run at once [default: 4 for each core]
    #[arg(long, value_name = "N", env = "SLIPWAY_MAX_PROCESSES")]
    pub max_processes: Option<NonZeroU32>,
    /// Address for events [default: 127.0.0.1:8080, open once the files hold an EventJob]
    #[arg(long, value_name = "ADDRESS", value_parser = config::address, env = "SLIPWAY_HTTP")]
    pub http: Option<SocketAddr>,
    /// How long an event has been in the ledger before its Job may be removed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        value_parser = config::duration,
        env = "SLIPWAY_LEDGER_GRACE"
    )]
    pub ledger_grace: Duration,
    /// Address for /livez, /readyz and /metrics [default: none]
    #[arg(long, value_name = "ADDRESS", value_parser = config::address, env = "SLIPWAY_HEALTH")]
    pub health: Option<SocketAddr>,
    /// Address of the status page, or `none` [default: 127.0.0.1:9091, or another port where that is taken]
    #[arg(long, value_name = "ADDRESS", value_parser = page_address, env = "SLIPWAY_ADMIN")]
    pub admin: Option<PageAddress>,
    /// Who may ask it for what.
    #[command(flatten)]
    pub admin_access: AdminAccess,
    /// Host pattern (`*.internal`, `169.254.1.1`) that may be called although it is link-local or a metadata service;
    /// may be given several times
    #[arg(
        long,
        value_name = "PATTERN",
        value_delimiter = ',',
        env = "SLIPWAY_ALLOW_ADDRESS"
    )]
    pub allow_address: Vec<String>,
    /// Host pattern that may see our own AWS identity although it is not AWS's, over TLS or on loopback; may be given several times
    #[arg(
        long,
        value_name = "PATTERN",
        value_delimiter = ',',
        env = "SLIPWAY_ALLOW_IDENTITY"
    )]
    pub allow_identity: Vec<String>,
    /// Begin anew: forget the Jobs and events that the folder of --state remembers
    #[arg(long, env = "SLIPWAY_FRESH")]
    pub fresh: bool,
    /// Show what each Pod wrote when it ends
    #[arg(long, env = "SLIPWAY_LOGS")]
    pub logs: bool,
    /// How to show what happens: a table on a terminal and lines elsewhere, or one JSON object for each fact
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: OutputFormat,
}

/// Where the status page is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageAddress {
    /// Nowhere.
    None,
    /// There.
    At(SocketAddr),
}

fn page_address(text: &str) -> Result<PageAddress, String> {
    match text {
        "none" => Ok(PageAddress::None),
        text => config::address(text).map(PageAddress::At),
    }
}

/// Runs until a signal, or until nothing is left to do. Exit code 0: every Job succeeded and everything in the files was
/// right. After a signal it is the shell's, 128 and the signal's number; SIGPIPE's when nobody reads the output any more.
///
/// # Errors
///
/// The state folder cannot be used, or a part of the engine ended early.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let started = Instant::now();
        let alongside = |_| std::future::ready(Ok(()));
        let ran = engine(args, args.screen(), QUIET, alongside, |_| ()).await;
        let said = ran.and_then(|(ended, ())| {
            let took = started.elapsed();
            let summary = match args.output {
                OutputFormat::Text => summary(&ended, took),
                OutputFormat::Json => facts::summary(&ended, took).to_string(),
            };
            writeln!(std::io::stdout(), "{summary}")?;
            Ok(ended)
        });
        match said {
            Ok(ended) => Ok(exit_code(&ended)),
            Err(error) if is_closed_pipe(&error) => Ok(ExitCode::from(SIGNALLED + SIGPIPE)),
            Err(error) => Err(error),
        }
    })
}

/// What a shell adds to a signal's number.
const SIGNALLED: u8 = 128;
/// Its number, on every system.
const SIGPIPE: u8 = 13;

fn exit_code(ended: &RunSummary) -> ExitCode {
    let signal = ended.signal.map(|kind| kind.as_raw_value());
    match signal.and_then(|number| u8::try_from(number).ok()) {
        Some(number) => ExitCode::from(SIGNALLED.saturating_add(number)),
        None if ended.is_success() => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

/// `12 Jobs succeeded, 0 failed in 7.1 s`, and what else there is to know.
fn summary(ended: &RunSummary, elapsed: Duration) -> String {
    let RunSummary {
        succeeded,
        failed,
        unfinished,
        suspended,
        faults,
        signal: _,
    } = *ended;
    let mut parts = vec![format!(
        "{} succeeded, {failed} failed in {:.1} s",
        counted(succeeded, "Job"),
        elapsed.as_secs_f64()
    )];
    if unfinished > 0 {
        let jobs = counted(unfinished, "Job");
        let they = if unfinished == 1 {
            "it goes"
        } else {
            "they go"
        };
        parts.push(format!("{jobs} not finished: {they} on at the next start"));
    }
    if suspended > 0 {
        let are = if suspended == 1 { "is" } else { "are" };
        parts.push(format!("{} {are} suspended", counted(suspended, "Job")));
    }
    if faults > 0 {
        parts.push(format!("{} above", counted(faults, "fault")));
    }
    parts.join("; ")
}

/// The engine on some files, shown on standard output, with something `alongside`; `seen` sees its Jobs at the end.
/// With `--until-idle` and EventJobs it ends once no request has come for as long as `quiet`.
pub(crate) async fn engine<Seen, Alongside>(
    args: &Args,
    screen: Screen,
    quiet: Duration,
    alongside: impl FnOnce(Engine) -> Alongside,
    seen: impl FnOnce(&Local) -> Seen,
) -> anyhow::Result<(RunSummary, Seen)>
where
    Alongside: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let lookup = Arc::new(Files::default());
    let local = Local::open(
        &args.state,
        local::LocalSettings {
            backoff_base: args.backoff_base,
            max_processes: args.max_processes(),
            clock: app::clock,
            environment: config::values(&local::INHERITED),
            lookup: lookup.clone(),
            ledger_grace: args.ledger_grace,
            fresh: args.fresh,
        },
    )?;
    let history = args.state.join(app::history::LOCAL_FOLDER);
    if args.fresh && history.exists() {
        std::fs::remove_dir_all(&history)?;
    }
    let settings = app::local::RunSettings {
        files: args.files.all(),
        lookup,
        history: Some(history),
        until_idle: args.until_idle,
        health: args.health,
        admin: args.page(),
        http: args.http,
        quiet,
        allow_address: args.allow_address.clone(),
        allow_identity: args.allow_identity.clone(),
        web_identity_token_file: config::web_identity_token_file(),
    };
    let ended = app::local::run(settings, local.clone(), |engine, stop| {
        let alongside = alongside(engine.clone());
        let facts = engine.local.facts();
        let news = engine.reports.news();
        async move {
            let mut out = std::io::stdout();
            say_where(&engine, screen, &mut out)?;
            let alongside = async {
                tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    ended = alongside => ended,
                }
            };
            let snapshot = || snapshot(&engine);
            let show = show::show(facts, news, snapshot, screen, &mut out, stop.clone());
            let show = async { Ok(show.await?) };
            tokio::try_join!(show, alongside)?;
            Ok(())
        }
    })
    .await?;
    Ok((ended, seen(&local)))
}

impl Args {
    /// The status page, if there is to be one.
    fn page(&self) -> Option<LocalAdmin> {
        let address = match self.admin {
            Some(PageAddress::None) => return None,
            Some(PageAddress::At(address)) => Some(address),
            None => None,
        };
        Some(LocalAdmin {
            address,
            access: self.admin_access.clone(),
        })
    }

    fn screen(&self) -> Screen {
        let is_terminal = std::io::stdout().is_terminal() && !config::is_plain_terminal();
        match (self.output, self.logs) {
            (OutputFormat::Json, _) => Screen::Json,
            (OutputFormat::Text, true) => Screen::LinesAndLogs,
            (OutputFormat::Text, false) if is_terminal => Screen::Table,
            (OutputFormat::Text, false) => Screen::Lines,
        }
    }

    /// `--max-processes`, or four for each core: Jobs wait more than they compute.
    pub fn max_processes(&self) -> NonZeroU32 {
        self.max_processes.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism()
                .ok()
                .and_then(|cores| NonZeroU32::try_from(cores).ok())
                .unwrap_or(NonZeroU32::MIN);
            cores.saturating_mul(NonZeroU32::MIN.saturating_add(3))
        })
    }
}

/// Where the status page is. Programs that read lines find it in the first one.
fn say_where(engine: &Engine, screen: Screen, out: &mut impl Write) -> std::io::Result<()> {
    let Some(page) = &engine.page else {
        return Ok(());
    };
    match screen {
        Screen::Json => writeln!(out, "{}", facts::page(page))?,
        Screen::Table | Screen::Lines | Screen::LinesAndLogs => {
            writeln!(out, "The status page is at {page}")?;
        }
    }
    out.flush()
}

/// Everything the table shows now.
fn snapshot(engine: &Engine) -> Snapshot {
    Snapshot {
        now: app::clock(),
        scaled_jobs: engine.reports.all(),
        event_jobs: engine.reports.event_jobs(),
        jobs: engine.local.views(),
    }
}

pub mod facts;
pub mod show;
pub mod table;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn durations_are_written_as_in_go_and_are_not_negative() {
        let parsed = |text: &str| {
            let words = ["local", "a.yaml", "--backoff-base", text];
            Command::try_parse_from(words).map(|command| command.args.backoff_base)
        };
        assert_eq!(parsed("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parsed("50ms").unwrap(), Duration::from_millis(50));
        for wrong in ["-1s", "5", "soon", ""] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_are_needed_and_the_rest_has_defaults() {
        assert!(Command::try_parse_from(["local"]).is_err());
        let args = Command::try_parse_from(["local", "a.yaml"]).unwrap().args;
        assert_eq!(args.state, PathBuf::from(".slipway"));
        assert!(!args.until_idle);
        assert_eq!(args.backoff_base, Duration::from_secs(10));
        assert!(args.max_processes().get() >= 4);
    }
}
