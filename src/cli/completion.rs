//! `slipway completion`: what a shell completes after `slipway`.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  source <(slipway completion bash)
  slipway completion zsh > \"${fpath[1]}/_slipway\"
  slipway completion fish > ~/.config/fish/completions/slipway.fish";

/// Prints the completion of a shell
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL")]
    shell: Supported,
}

/// The shells that are completed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Supported {
    Bash,
    Zsh,
    Fish,
}

/// Prints it.
///
/// # Errors
///
/// When `out` takes no more.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let shell = match args.shell {
        Supported::Bash => Shell::Bash,
        Supported::Zsh => Shell::Zsh,
        Supported::Fish => Shell::Fish,
    };
    // The generator panics when its output is closed, so it gets one that is not.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "slipway", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
