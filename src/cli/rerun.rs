//! `slipway rerun`: another attempt of Jobs that failed.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};

use crate::app::clock;
use crate::app::requests::RequestOutcome;
use crate::app::reruns::{WantedReruns, rerun, rerun_failed};
use crate::cli::place::PlaceOptions;
use crate::cli::{counted, runtime};
use crate::config;
use crate::shown::with_causes;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  slipway rerun nightly-report-bcdfghjklm -n reports
  # All that failed in the last two hours, four at a time
  slipway rerun --failed --since 2h --at-once 4 -n reports
  # That of a `slipway local` which runs in this folder
  slipway rerun nightly-report-bcdfghjklm --state .slipway

The Job runs once more as it was made: with its template and its values, not those of today. Only the leader creates it,
so this waits until it has. Two who ask at once get one Job.";

/// Run Jobs that failed once more
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// A Job of an EventJob that failed
    #[arg(
        value_name = "JOB",
        required_unless_present = "failed",
        conflicts_with = "failed"
    )]
    job: Option<String>,
    /// All Jobs of EventJobs that failed, but those with a later attempt
    #[arg(long, requires = "since")]
    failed: bool,
    /// How long ago at most they failed
    #[arg(long, value_name = "DURATION", requires = "failed", value_parser = config::duration)]
    since: Option<Duration>,
    /// How many are asked for at once: the next when one is made
    #[arg(long, value_name = "N", default_value_t = 8, requires = "failed")]
    at_once: usize,
    #[command(flatten)]
    place: PlaceOptions,
    /// How long to wait for each
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,
}

/// Asks for the next attempts, and says which they are.
///
/// # Errors
///
/// Nobody could be asked, or nobody has answered.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (place, namespace) = (args.place.place(), args.place.namespace.as_deref());
    if let Some(job) = &args.job {
        let asked = rerun(&place, namespace, job, args.timeout);
        let outcome = runtime()?.block_on(asked)?;
        tell(out, job, &outcome)?;
        return Ok(if outcome.is_done {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let Some(since) = args.since else {
        bail!("--failed needs --since");
    };
    let ago = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
    let wanted = WantedReruns {
        since: clock().checked_sub(ago).unwrap_or(Timestamp::MIN),
        at_once: args.at_once,
        patience: args.timeout,
    };
    let told = |job: &str, answered: &anyhow::Result<RequestOutcome>| match answered {
        Ok(outcome) => tell(out, job, outcome),
        Err(error) => writeln!(out, "job/{job}: {}", with_causes(error.as_ref())),
    };
    let reruns = rerun_failed(&place, namespace, wanted, told);
    let summary = runtime()?.block_on(reruns)?;
    if summary.counted > 0 {
        writeln!(
            out,
            "left out {} of ScaledJobs: send their messages again",
            counted(summary.counted, "Job")
        )?;
    }
    let (done, failed) = (summary.done, summary.failed);
    writeln!(
        out,
        "{} again, {failed} not",
        match done {
            1 => "1 Job runs".to_owned(),
            _ => format!("{done} Jobs run"),
        }
    )?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(out: &mut dyn Write, asked: &str, outcome: &RequestOutcome) -> std::io::Result<()> {
    let RequestOutcome { message, job, .. } = outcome;
    match job {
        Some(job) => writeln!(out, "job/{job}: {message}, of job/{asked}"),
        None => writeln!(out, "job/{asked}: {message}"),
    }
}
