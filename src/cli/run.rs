//! `slipway run`: in a cluster.

use std::process::ExitCode;

use crate::app::{self, WrongSettings};
use crate::cli::runtime;
use crate::config::Config;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # In a Pod, or with the kubeconfig's own namespace
  slipway run
  # Two namespaces of another cluster
  slipway run --kubeconfig ~/.kube/stage --namespaces orders,billing
  # Every namespace, with health and metrics on loopback only
  slipway run --all-namespaces --health 127.0.0.1:9090
  # Events on another port: POST http://HOST:8443/events/NAMESPACE/NAME
  slipway run --http :8443

Run as many replicas as you like: each takes events and answers KEDA; the one that holds the Lease
\"slipway\" launches for ScaledJobs, lets waiting Jobs start and tidies up.";

/// Arguments of `slipway run`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
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
    let config = args.config;
    config.check_ledger_grace().map_err(WrongSettings)?;
    config.admin_access.check_token().map_err(WrongSettings)?;
    runtime()?.block_on(app::run(config))?;
    Ok(ExitCode::SUCCESS)
}
