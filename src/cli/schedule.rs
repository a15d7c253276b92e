//! `slipway schedule`: when the schedules of files are due, where the clock jumps, and what surprises.
//!
//! Nothing is connected to, and nothing is made.

mod report;

use std::io::Write;
use std::process::ExitCode;

use crate::app;
use crate::cli::{InputFiles, OutputFormat, wrong_usage};
use crate::manifest;
use crate::schedule::DayOrInstant;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # The next five due times
  slipway schedule eventjob.yaml
  # All due times of a range, and the jumps of the clock that they fall into
  slipway schedule cronjob.yaml --from 2026-03-28T00:00:00Z --to 2026-03-31T00:00:00Z
  # All of these days of each schedule's own clock
  slipway schedule cronjob.yaml --from 2026-03-28 --to 2026-03-30
  # For a program
  slipway schedule deploy/ --name nightly-report --output json";

/// Lists when the schedules in files are due
///
/// Every EventJob with `source.cron` and every batch/v1 CronJob is shown: its next
/// five due times, what surprises in it, and with --to all due times of a range, the
/// jumps of the clock that they fall into, and what `exclude` leaves out. Exit code
/// 0: there are schedules; 1: something is not valid; 2: wrong usage, or none is there.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What is read.
    #[command(flatten)]
    pub files: InputFiles,
    /// From this instant on, or from the begin of this day in the schedule's time zone; now by default
    #[arg(long, value_name = "TIME")]
    pub from: Option<DayOrInstant>,
    /// List all due times up to this instant, or to the end of this day
    #[arg(long, value_name = "TIME")]
    pub to: Option<DayOrInstant>,
    /// Show only the object of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How to print what came out
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Lists due times.
///
/// # Errors
///
/// When `out` takes no more.
pub async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let now = DayOrInstant::Instant(app::clock());
    let from = args.from.unwrap_or(now);
    if args.to.is_some_and(|to| from.is_after(to)) {
        return Ok(wrong_usage(
            "--to must not be before --from, which is now if it is not given",
        ));
    }
    let manifests = manifest::load(&args.files.all()).await;
    let reports = report::of_files(&manifests, args.name.as_deref(), from, args.to);
    let faults: Vec<_> = manifests.faults.iter().map(ToString::to_string).collect();
    match args.output {
        OutputFormat::Text => report::print_text(&reports, &faults, out)?,
        OutputFormat::Json => report::print_json(&reports, &faults, out)?,
    }
    Ok(if !faults.is_empty() {
        ExitCode::FAILURE
    } else if reports.is_empty() {
        wrong_usage("the files hold no EventJob with source.cron and no CronJob")
    } else {
        ExitCode::SUCCESS
    })
}
