//! `slipway convert`: CronJobs as EventJobs, each difference named.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::{InputFiles, OutputFormat, wrong_usage};
use crate::manifest;
use crate::resource::{cron_job, event_job};

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # The EventJob, with what differs in comments above it
  slipway convert cronjob.yaml
  # What a cluster has
  kubectl get cronjob nightly-report -o yaml | slipway convert - > eventjob.yaml";

/// Turns CronJobs into EventJobs, and names each difference
///
/// The result is YAML that can be applied; above each object a comment for each
/// thing that is not as it was. Exit code 0: all are turned; 1: one is not valid, or
/// would make no valid EventJob; 2: wrong usage, or there is no CronJob.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What is read.
    #[command(flatten)]
    pub files: InputFiles,
    /// How to print what came out
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Turns the CronJobs of the files.
///
/// # Errors
///
/// When `out` takes no more.
pub async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let manifests = manifest::load(&args.files.all()).await;
    let mut faults: Vec<String> = manifests.faults.iter().map(ToString::to_string).collect();
    let mut results: Vec<Value> = Vec::new();
    for (index, cron_job) in &manifests.cron_jobs {
        let entry = &manifests.entries[*index];
        let converted = cron_job::convert(cron_job, &entry.document.value);
        // What the EventJob would be refused for, such as a template with a name that is bound.
        if let Err(wrong) = event_job::parse(&converted.event_job) {
            let id = &cron_job.id;
            faults.extend(wrong.iter().map(|fault| {
                format!(
                    "{}: the EventJob of CronJob {id} would not be valid: {fault}",
                    entry.file
                )
            }));
            continue;
        }
        results.push(json!({
            "namespace": *cron_job.id.namespace,
            "name": *cron_job.id.name,
            "eventJob": converted.event_job,
            "differences": converted.differences,
        }));
    }
    match args.output {
        OutputFormat::Text => print_text(&results, &faults, out)?,
        OutputFormat::Json => {
            let all = json!({ "results": results, "faults": faults });
            serde_json::to_writer_pretty(&mut *out, &all)?;
            writeln!(out)?;
        }
    }
    Ok(if !faults.is_empty() {
        ExitCode::FAILURE
    } else if results.is_empty() {
        wrong_usage("the files hold no CronJob of batch/v1")
    } else {
        ExitCode::SUCCESS
    })
}

/// YAML documents, each with its differences above it.
fn print_text(results: &[Value], faults: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    for fault in faults {
        writeln!(out, "# error: {fault}")?;
    }
    for result in results {
        writeln!(out, "---")?;
        let differences = result["differences"].as_array().into_iter().flatten();
        for difference in differences.filter_map(Value::as_str) {
            writeln!(out, "# {difference}")?;
        }
        writeln!(
            out,
            "{}",
            serde_saphyr::to_string(&result["eventJob"])?.trim_end()
        )?;
    }
    Ok(())
}
