//! `slipway trigger` and `slipway backfill`: Jobs of an object, now.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;

use crate::app::requests::{AskedKind, AskedObject, ask};
use crate::cli::place::PlaceOptions;
use crate::cli::runtime;
use crate::config;
use crate::resource::requests::Wish;
use crate::schedule::DayOrInstant;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  slipway trigger eventjob/nightly-report
  slipway trigger nightly-report -n reports --context stage
  # One Job of a ScaledJob, whatever its backlog; a CronJob that Slipway manages in place
  slipway trigger scaledjob/orders
  slipway trigger cronjob/cleanup
  # That of a `slipway local` which runs in this folder
  slipway trigger nightly-report --state .slipway

Only the leader creates Jobs, so this waits until it has. The Job of a schedule runs beside it, under its concurrencyPolicy.
That of a ScaledJob counts towards maxReplicaCount, and waits until there is room.";

/// Shown below the options.
const BACKFILL_EXAMPLES: &str = "\
EXAMPLES:
  # All of these two days of the schedule's own clock
  slipway backfill nightly-report --from 2026-11-01 --to 2026-11-02
  slipway backfill nightly-report --from 2026-11-01T00:00:00+05:30 --to 2026-11-02T00:00:00+05:30 --timeout 10m

A due time that has its Job, or whose Job was made by a backfill in the last 25 h, is left out. One whose Job the history
limits have removed runs again.";

/// Who is asked, and where.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
struct Target {
    /// eventjob/NAME (with source.cron), scaledjob/NAME or cronjob/NAME (managed in place); NAME is an EventJob's
    #[arg(value_name = "KIND/NAME", value_parser = asked_object)]
    object: AskedObject,
    #[command(flatten)]
    place: PlaceOptions,
    /// How long to wait for it
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,
}

/// Make a Job of a schedule or of a ScaledJob now, as `kubectl create job --from=cronjob/NAME` does
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

/// Make the Jobs of a schedule's past due times, each once
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = BACKFILL_EXAMPLES)]
pub struct BackfillArgs {
    #[command(flatten)]
    target: Target,
    /// The first due time: an instant, or a day in the schedule's time zone
    #[arg(long, value_name = "TIME")]
    from: DayOrInstant,
    /// The last due time: an instant, or all of a day; up to now
    #[arg(long, value_name = "TIME")]
    to: DayOrInstant,
}

/// Asks for one Job, and says which it is.
///
/// # Errors
///
/// Nobody could be asked, or nobody has answered.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    asked(&args.target, Wish::Trigger, out)
}

/// Asks for the Jobs of a range, and says how many were made.
///
/// # Errors
///
/// Nobody could be asked, or nobody has answered.
pub fn backfill(args: &BackfillArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let BackfillArgs { target, from, to } = args;
    if from.is_after(*to) {
        bail!("--from {from} is after --to {to}");
    }
    if target.object.kind == AskedKind::ScaledJob {
        bail!("a ScaledJob has no due times: ask for one Job with `slipway trigger`");
    }
    let wish = Wish::Backfill {
        from: *from,
        to: *to,
    };
    asked(target, wish, out)
}

fn asked(target: &Target, wish: Wish, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (place, namespace) = (target.place.place(), target.place.namespace.as_deref());
    let asked = ask(&place, namespace, &target.object, wish, target.timeout);
    let answered = runtime()?.block_on(asked)?;
    if let Some(job) = &answered.job {
        writeln!(out, "job/{job}: {}", answered.message)?;
    } else {
        let AskedObject { kind, name } = &target.object;
        let kind = kind.name().to_ascii_lowercase();
        writeln!(out, "{kind}/{name}: {}", answered.message)?;
    }
    Ok(if answered.is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `KIND/NAME`, or the name of an EventJob.
fn asked_object(text: &str) -> Result<AskedObject, String> {
    let (kind, name) = text.split_once('/').unwrap_or(("eventjob", text));
    let kind = AskedKind::named(kind).ok_or_else(|| {
        format!(
            "{kind:?} has no Jobs to ask for: write eventjob/NAME, scaledjob/NAME or cronjob/NAME"
        )
    })?;
    if name.is_empty() {
        return Err(format!("{text:?} has no name"));
    }
    Ok(AskedObject {
        kind,
        name: name.to_owned(),
    })
}
