//! `slipway replay`: recorded decisions, decided again with this program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::app::history::files::{ReadCounts, read_any};
use crate::cli::{OutputFormat, counted, wrong_usage};
use crate::history::replay::{ReplayEngine, Replayed};
use crate::history::{AnswerOrigin, HistoryFact, HistoryRecord};
use crate::scaling::DecisionResult;

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # Try an upgrade on yesterday: the folder of --history of the program that runs now
  slipway replay /var/lib/slipway/history
  # What a `slipway local` decided
  slipway replay .slipway/.history
  # What one object's records say
  slipway explain scaledjob/orders --admin http://127.0.0.1:9091 -o json | slipway replay -";

/// Decides recorded decisions again with this program, and lists what differs
///
/// A record holds what was read, counted and written, so it can be decided without a
/// source and without a cluster. Exit code 0: every decision would be the same; 1: one
/// would differ, or a file cannot be read; 2: wrong usage, or there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Folders of --history, files in them, JSON with records, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print what differs
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    output: OutputFormat,
}

/// What came of all records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayTally {
    /// Decisions that would be the same.
    pub same: u64,
    /// Decisions that would differ.
    pub differing: u64,
    /// Decisions whose inputs were too many to be kept.
    pub without_inputs: u64,
    /// Due times that were decided: a record has what came of them, and not the schedule.
    pub due_times: u64,
    /// Records of anything else.
    pub others: u64,
}

/// Decides again.
///
/// # Errors
///
/// A file cannot be read, or `out` takes no more.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    run_with(args, ReplayEngine::default(), out)
}

/// The same with another engine, to be compared with.
///
/// # Errors
///
/// A file cannot be read, or `out` takes no more.
pub fn run_with(
    args: &Args,
    engine: ReplayEngine,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(out);
    let (mut tally, mut damaged) = (ReplayTally::default(), 0);
    let mut differing = Vec::new();
    let mut said = Ok(());
    for path in &args.files {
        let mut each = |record: HistoryRecord| match engine.replay(&record) {
            Replayed::Same => tally.same += 1,
            Replayed::NoInputs => tally.without_inputs += 1,
            Replayed::NoDecision if is_due_time(&record) => tally.due_times += 1,
            Replayed::NoDecision => tally.others += 1,
            Replayed::Differs { then, now } => {
                tally.differing += 1;
                match args.output {
                    OutputFormat::Json => differing.push(to_json(&record, then, now)),
                    OutputFormat::Text if said.is_ok() => {
                        said = writeln!(out, "{}", in_words(&record, then, now));
                    }
                    OutputFormat::Text => {}
                }
            }
        };
        let ReadCounts { damaged: more, .. } =
            read_any(path, &mut each).with_context(|| path.display().to_string())?;
        damaged += more;
    }
    said?;
    let decided = tally.same + tally.differing;
    match args.output {
        OutputFormat::Text => writeln!(out, "{}", summary(tally, damaged))?,
        OutputFormat::Json => {
            let all = json!({
                "version": env!("CARGO_PKG_VERSION"),
                "same": tally.same,
                "withoutInputs": tally.without_inputs,
                "dueTimes": tally.due_times,
                "otherRecords": tally.others,
                "damaged": damaged,
                "differing": differing,
            });
            serde_json::to_writer_pretty(&mut out, &all)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(if tally.differing > 0 {
        ExitCode::FAILURE
    } else if decided + tally.without_inputs == 0 {
        wrong_usage("there is no decision of a ScaledJob in these files")
    } else {
        ExitCode::SUCCESS
    })
}

/// Whether it says what was decided about due times.
fn is_due_time(record: &HistoryRecord) -> bool {
    match &record.fact {
        HistoryFact::Answer(answer) => matches!(answer.origin, AnswerOrigin::Due(_)),
        HistoryFact::Missed(_) => true,
        _ => false,
    }
}

fn summary(tally: ReplayTally, damaged: u64) -> String {
    let decided = tally.same + tally.differing;
    let mut parts = vec![format!(
        "{} of {} would differ with slipway {}",
        tally.differing,
        counted(usize::try_from(decided).unwrap_or(usize::MAX), "decision"),
        env!("CARGO_PKG_VERSION")
    )];
    if tally.without_inputs > 0 {
        parts.push(format!(
            "{} cannot be decided again, because they had more triggers than a record has room for",
            tally.without_inputs
        ));
    }
    if tally.due_times > 0 {
        parts.push(format!(
            "{} of due times cannot be decided again, because a record does not have the schedule",
            counted(
                usize::try_from(tally.due_times).unwrap_or(usize::MAX),
                "decision"
            )
        ));
    }
    if tally.others > 0 {
        parts.push(format!("{} records are of events and states", tally.others));
    }
    if damaged > 0 {
        parts.push(format!("{damaged} could not be read"));
    }
    parts.join("; ")
}

fn in_words(record: &HistoryRecord, then: DecisionResult, now: DecisionResult) -> String {
    let mut changes = Vec::new();
    for (word, then, now) in [
        ("launch", then.launch, now.launch),
        ("KEDA's number", then.keda, now.keda),
        ("held back", then.held_back, now.held_back),
        ("active", then.active.into(), now.active.into()),
    ] {
        if then != now {
            changes.push(format!("{word} was {then} and would be {now}"));
        }
    }
    let times = match record.times {
        1 => String::new(),
        times => format!(" ({times} times)"),
    };
    let reason = match &record.fact {
        HistoryFact::Turn(turn) => turn.step.again().map(|(_, reason)| reason),
        _ => None,
    };
    format!(
        "{:.3} {}{times}: {}; now: {}",
        record.at,
        record.subject,
        changes.join(", "),
        reason.unwrap_or_default()
    )
}

fn to_json(record: &HistoryRecord, then: DecisionResult, now: DecisionResult) -> Value {
    let result = |result: DecisionResult| {
        json!({
            "active": result.active,
            "keda": result.keda,
            "launch": result.launch,
            "heldBack": result.held_back,
        })
    };
    json!({
        "record": crate::history::json::to_json(record),
        "then": result(then),
        "now": result(now),
    })
}
