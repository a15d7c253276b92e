//! `slipway run`: in a cluster.

use std::process::ExitCode;

use crate::app;
use crate::cli::runtime;
use crate::config::Config;

/// Arguments of `slipway run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: Config,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// What kept the program from starting, or the task that ended before it was told to.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(app::run(args.config))?;
    Ok(ExitCode::SUCCESS)
}
