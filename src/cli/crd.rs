//! `slipway crd`: the CustomResourceDefinitions, for `kubectl apply --filename -`.

use std::io::Write;
use std::process::ExitCode;

use crate::resource::definitions;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  slipway crd | kubectl apply --filename -";

/// Prints the CustomResourceDefinitions as YAML
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

/// Prints the definitions.
///
/// # Errors
///
/// When `out` takes no more.
pub fn run(_args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    out.write_all(definitions::stream().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
