//! `slipway rm`: Jobs that Slipway made go.

use std::io::Write;
use std::process::ExitCode;

use crate::app::removal::remove;
use crate::cli::place::PlaceOptions;
use crate::cli::runtime;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  slipway rm nightly-report-bcdfghjklm -n reports
  slipway rm nightly-report-bcdfghjklm --state .slipway

A Job of an EventJob is stopped at once. It stays, suspended, until its event or its schedule would not make it again
(--ledger-grace of `slipway run`, 10 minutes by default). One of a ScaledJob is deleted, once it is a minute old.";

/// Stop and remove Jobs that Slipway made
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The Jobs
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
    #[command(flatten)]
    place: PlaceOptions,
}

/// Removes them, and says what becomes of each.
///
/// # Errors
///
/// The first that cannot be removed; those before it are.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (place, namespace) = (args.place.place(), args.place.namespace.as_deref());
    let runtime = runtime()?;
    for job in &args.jobs {
        let done = runtime.block_on(remove(&place, namespace, job))?;
        writeln!(out, "job/{job}: {done}")?;
    }
    Ok(ExitCode::SUCCESS)
}
