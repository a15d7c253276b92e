//! Telemetry, arguments, one verb, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    slipway::cli::main(slipway::cli::Cli::parse())
}
