//! `slipway jobs` and `slipway logs`: which Jobs there are, and what they wrote.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use crate::app::clock;
use crate::app::jobs::{JobRow, WantedLog, jobs, logs};
use crate::cli::place::PlaceOptions;
use crate::cli::{OutputFormat, runtime};

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  slipway jobs
  slipway jobs -n reports --failed
  # Those of a `slipway local`
  slipway jobs --state .slipway -o json";

/// Shown below the options.
const LOGS_EXAMPLES: &str = "\
EXAMPLES:
  slipway logs nightly-report-bcdfghjklm
  slipway logs -f nightly-report-bcdfghjklm --state .slipway";

/// List the Jobs that Slipway made, the newest last
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: PlaceOptions,
    /// Of every namespace
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "state"])]
    all_namespaces: bool,
    /// Only those that failed
    #[arg(long)]
    failed: bool,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    output: OutputFormat,
}

/// Print what the newest Pod of a Job wrote
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = LOGS_EXAMPLES)]
pub struct LogsArgs {
    /// The Job
    #[arg(value_name = "JOB")]
    job: String,
    /// Go on until it ends
    #[arg(short, long)]
    follow: bool,
    /// One container of several [default: the first]
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    #[command(flatten)]
    target: PlaceOptions,
}

/// Lists Jobs.
///
/// # Errors
///
/// They cannot be read.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let Args { target, failed, .. } = args;
    let (place, namespace) = (target.place(), target.namespace.as_deref());
    let mut rows = runtime()?.block_on(jobs(&place, namespace, args.all_namespaces))?;
    rows.retain(|row| !failed || row.status == "Failed");
    match args.output {
        OutputFormat::Text => print_table(&rows, out)?,
        OutputFormat::Json => {
            let rows: Vec<_> = rows.iter().map(to_json).collect();
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a log.
///
/// # Errors
///
/// It cannot be read.
pub fn print_logs(args: &LogsArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (place, namespace) = (args.target.place(), args.target.namespace.as_deref());
    let wanted = WantedLog {
        job: &args.job,
        container: args.container.as_deref(),
        follow: args.follow,
    };
    runtime()?.block_on(logs(&place, namespace, wanted, out))?;
    Ok(ExitCode::SUCCESS)
}

fn print_table(rows: &[JobRow], out: &mut dyn Write) -> std::io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "no Jobs");
    }
    let heads = ["NAMESPACE", "NAME", "OF", "STATUS", "DUE", "AGE"].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(heads)
        .chain(rows.iter().map(|row| {
            let status = match row.reason.as_str() {
                "" | "CompletionsReached" => row.status.to_owned(),
                reason => format!("{} ({reason})", row.status),
            };
            let age = row.created_at.map_or_else(String::new, |at| {
                let seconds = clock().duration_since(at).as_secs().max(0);
                format!("{:#}", jiff::SignedDuration::from_secs(seconds))
            });
            [
                row.namespace.clone(),
                row.name.clone(),
                row.owner.clone(),
                status,
                row.due.clone().unwrap_or_default(),
                age,
            ]
        }))
        .collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: [usize; 6] = std::array::from_fn(|column| width(column).unwrap_or_default());
    for line in &lines {
        let cells = line.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("   ").trim_end())?;
    }
    Ok(())
}

fn to_json(row: &JobRow) -> serde_json::Value {
    let time = |time: Option<jiff::Timestamp>| time.map(|time| format!("{time:.0}"));
    json!({
        "namespace": row.namespace,
        "name": row.name,
        "of": row.owner,
        "status": row.status,
        "reason": row.reason,
        "attempt": row.attempt,
        "due": row.due,
        "createdAt": time(row.created_at),
        "endedAt": time(row.ended_at),
    })
}
