//! Telemetry, arguments, one verb, exit code.

use std::process::ExitCode;

use clap::Parser as _;

/// Thousands of small objects are made and dropped by several threads at once.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    slipway::cli::main(slipway::cli::Cli::parse())
}
