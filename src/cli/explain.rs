//! `slipway explain`: why an object launched or did not, and the way of an event to its Job.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use crate::app;
use crate::app::explain::{AskedAbout, Sources, gather};
use crate::cli::place::PlaceOptions;
use crate::cli::{OutputFormat, runtime};
use crate::config;
use crate::explain;
use crate::history::SubjectKind;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # Why it launched, or did not; a kubeconfig is enough
  slipway explain scaledjob/orders -n production
  # With each replica's records: how it was ten minutes ago
  slipway explain scaledjob/orders -n production --admin http://127.0.0.1:9091 --at 10m
  # An event's way from its request to its Job and its Pod, with the waits named
  slipway explain event/evt-4711 -n production
  slipway explain job/invoice-generator-bcdfghjklm -n production
  # Of a `slipway local`
  slipway explain eventjob/invoice-generator --state .slipway

Reach a replica's --admin with `kubectl port-forward`. Each remembers its own decisions: name all of them.";

/// Tell why an object launched or did not, and the way of an event to its Job
///
/// What was read, counted, wanted, capped, launched and refused, when it looks next,
/// and what is in the way, with a command for each. It reads the status, Kubernetes
/// Events and Jobs, and more from each --admin. Exit code 0: something is known of it;
/// 1: nothing is, or nobody could be asked; 2: wrong usage.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// scaledjob/NAME, eventjob/NAME, cronjob/NAME, event/ID or job/NAME
    #[arg(value_name = "KIND/NAME", value_parser = asked)]
    what: AskedAbout,
    /// How it was then: an instant such as 2026-11-30T09:00:00Z, or how long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Instant>,
    /// Ask this replica too; may be given several times
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = admin_url)]
    admin: Vec<String>,
    /// Read the records of this folder of `run --history` too; may be given several times
    #[arg(long, value_name = "DIR")]
    history: Vec<PathBuf>,
    #[command(flatten)]
    target: PlaceOptions,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    output: OutputFormat,
}

/// A time that somebody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instant {
    At(Timestamp),
    Ago(std::time::Duration),
}

/// Explains.
///
/// # Errors
///
/// Nobody could be asked, or `out` takes no more.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let at = args.at.map(|at| match at {
        Instant::At(at) => at,
        Instant::Ago(ago) => app::clock().checked_sub(ago).unwrap_or(Timestamp::MIN),
    });
    let sources = Sources {
        place: args.target.place(),
        namespace: args.target.namespace.clone(),
        admin: args.admin.clone(),
        folders: args.history.clone(),
        at,
    };
    let evidence = runtime()?.block_on(gather(&args.what, &sources))?;
    let explanation = match &args.what {
        AskedAbout::Object(..) => explain::object(&evidence),
        AskedAbout::Event(id) => explain::event(id, &evidence),
        AskedAbout::Job(name) => explain::job(name, &evidence),
    };
    match args.output {
        OutputFormat::Text => write!(out, "{}", explanation.to_text())?,
        OutputFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &explanation.to_json(&evidence.records))?;
            writeln!(out)?;
        }
    }
    let unknown = ["NotFound", "UnknownEvent", "UnknownJob"];
    let is_unknown = explanation
        .causes
        .iter()
        .any(|cause| unknown.contains(&cause.word));
    Ok(ExitCode::from(u8::from(is_unknown)))
}

/// `http://HOST:PORT`, or `HOST:PORT` alone.
fn admin_url(text: &str) -> Result<String, String> {
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let is_right = url.parse::<http::Uri>().is_ok_and(|uri| {
        let is_http = uri.scheme_str().is_some_and(|scheme| scheme == "http");
        is_http && uri.port_u16().is_some()
    });
    if is_right {
        Ok(url)
    } else {
        Err("write http://HOST:PORT, as in http://127.0.0.1:9091".to_owned())
    }
}

/// `KIND/NAME`; an event's id may have slashes of its own.
fn asked(text: &str) -> Result<AskedAbout, String> {
    let right = "write scaledjob/NAME, eventjob/NAME, cronjob/NAME, event/ID or job/NAME";
    let Some((kind, name)) = text.split_once('/') else {
        return Err(format!("{text:?} has no slash: {right}"));
    };
    if name.is_empty() {
        return Err(format!("{text:?} has no name: {right}"));
    }
    match kind.to_ascii_lowercase().as_str() {
        "event" | "events" => Ok(AskedAbout::Event(name.to_owned())),
        "job" | "jobs" => Ok(AskedAbout::Job(name.to_owned())),
        _ => match SubjectKind::named(kind) {
            Some(kind) => Ok(AskedAbout::Object(kind, name.to_owned())),
            None => Err(format!("{kind:?} is no kind that is explained: {right}")),
        },
    }
}

fn instant(text: &str) -> Result<Instant, String> {
    if let Ok(at) = text.parse() {
        return Ok(Instant::At(at));
    }
    config::duration(text).map(Instant::Ago).map_err(|_| {
        format!("{text:?} is no time: write 2026-11-30T09:00:00Z, or 10m for ten minutes ago")
    })
}
