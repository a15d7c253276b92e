//! `slipway simulate`: what each strategy would make of a supposed backlog.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::SecretString;

use crate::cli::{InputFiles, OutputFormat, wrong_usage};
use crate::config;
use crate::lookup::{self, files::Files};
use crate::manifest::{self, Manifests};
use crate::resource::{self, Fault, Inputs, PodIdentity, ScaledJob, SourceSpec, TriggerEntry};
use crate::scaling::Strategy;
use crate::simulate::{Arrivals, SupposedWorld, Supposition};

use self::report::SimulatedTrigger;

mod report;

/// What a TriggerAuthentication says of who Slipway is to a source, where the source has to be told.
const CREDENTIALS: [&str; 6] = [
    "awsRegion",
    "username",
    "password",
    "oauthTokenEndpointUri",
    "realm",
    "kerberosConfig",
];

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # Ten messages a second for six hours; a Job works for two minutes
  slipway simulate orders.yaml --arrivals 10/s --for 6h --job-duration 2m
  # A backlog that somebody wrote down, as UNITS a line or TIME,UNITS, with a picture
  slipway simulate orders.yaml --backlog monday.csv --svg monday.svg

In --backlog each rise is work that arrives. A fall is work that was done then, by whatever ran then.";

/// Run a ScaledJob's four strategies over a supposed backlog, side by side
///
/// Decisions are made by the engine of `run`: the same input gives the same answer.
/// Each trigger is simulated by itself, the others of its object are empty. Exit code
/// 0: simulated; 1: a file is not valid; 2: wrong usage, or there is no ScaledJob.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_long_help = EXAMPLES, group = clap::ArgGroup::new("series").required(true))]
pub struct Args {
    /// What is read.
    #[command(flatten)]
    pub files: InputFiles,
    /// Units waiting as they were: a file with UNITS a line, one a poll, or TIME,UNITS
    #[arg(long, value_name = "SERIES", group = "series")]
    backlog: Option<PathBuf>,
    /// Units that arrive, evenly: 10/s, 600/m, 5/h
    #[arg(long, value_name = "RATE", group = "series", value_parser = rate)]
    arrivals: Option<f64>,
    /// How long the simulated time is [default: 6h, or what the series lasts]
    #[arg(long = "for", value_name = "DURATION", value_parser = config::duration)]
    length: Option<Duration>,
    /// How long a Job works on what it took
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = config::duration)]
    job_duration: Duration,
    /// From the creation of a Job until it takes work; it is pending until then
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = config::duration)]
    start_delay: Duration,
    /// Units that one Job takes at most [default: the trigger's target]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    units_per_job: Option<u32>,
    /// Whether the source counts work that a Job has taken and not finished [default: as the trigger's type does]
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    counts_taken: Option<bool>,
    /// Units per Job of a trigger that says them only when it is asked (external)
    #[arg(long, value_name = "UNITS", default_value_t = 1.0, value_parser = positive)]
    target: f64,
    /// Running Jobs that `custom` takes off, as a part of them; the object's own where its strategy is custom
    #[arg(long, value_name = "PART", default_value_t = 0.5, value_parser = positive)]
    custom_percentage: f64,
    /// Only the object of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write a picture of the first trigger to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How to print what came out
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    output: OutputFormat,
}

/// The simulated time where nobody says it.
const SIX_HOURS: f64 = 6.0 * 3600.0;
/// Polls of a simulated time at most: a year of one every half minute.
const MOST_POLLS: f64 = 1_100_000.0;

/// Simulates.
///
/// # Errors
///
/// A file cannot be read or written, or `out` takes no more.
pub async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let manifests = manifest::load(&args.files.all()).await;
    let mut faults: Vec<String> = manifests.faults.iter().map(ToString::to_string).collect();
    let series = match &args.backlog {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path);
            Some(text.with_context(|| format!("--backlog {}", path.display()))?)
        }
    };
    let mut simulated = Vec::new();
    let mut notes = Vec::new();
    for (index, scaled_job) in &manifests.scaled_jobs {
        if args
            .name
            .as_ref()
            .is_some_and(|name| **name != *scaled_job.id.name)
        {
            continue;
        }
        for entry in &*scaled_job.triggers {
            match args
                .supposed(&manifests, scaled_job, entry, series.as_deref(), &mut notes)
                .await
            {
                Ok((name, supposition, arrivals)) => {
                    let own = scaled_job.policy.strategy;
                    let strategies = args.strategies(own);
                    simulated.push(SimulatedTrigger::run(
                        scaled_job.id.clone(),
                        name,
                        own,
                        &supposition,
                        &strategies,
                        &arrivals,
                    ));
                }
                Err(why) => {
                    let field = format!("spec.triggers[{}]", entry.index);
                    let finding = manifests.entries[*index]
                        .finding(Fault::at(field, format!("is not simulated: {why}")));
                    faults.push(finding.to_string());
                }
            }
        }
    }
    if let (Some(path), Some(first)) = (&args.svg, simulated.first()) {
        std::fs::write(path, first.picture())
            .with_context(|| format!("--svg {}", path.display()))?;
    }
    match args.output {
        OutputFormat::Text => report::print_text(&simulated, &notes, &faults, out)?,
        OutputFormat::Json => report::print_json(&simulated, &notes, &faults, out)?,
    }
    Ok(if !faults.is_empty() {
        ExitCode::FAILURE
    } else if simulated.is_empty() {
        wrong_usage("the files hold no ScaledJob, or none of that --name")
    } else {
        ExitCode::SUCCESS
    })
}

impl Args {
    /// What is supposed of one trigger, or why it cannot be simulated.
    async fn supposed(
        &self,
        manifests: &Manifests,
        scaled_job: &ScaledJob,
        entry: &TriggerEntry,
        series: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<(String, Supposition, Arrivals), String> {
        let (inputs, note) = inputs(scaled_job, entry, &manifests.files).await?;
        notes.extend(
            note.map(|note| format!("ScaledJob {}, {}: {note}", scaled_job.id, entry.label())),
        );
        let trigger = resource::parse_trigger(entry, &inputs, &scaled_job.id)
            .map_err(|faults| Fault::list(&faults))?;
        let is_external = matches!(trigger.source, SourceSpec::External(_));
        let target = if is_external {
            self.target
        } else {
            trigger.target
        };
        let counts_taken = match &trigger.source {
            SourceSpec::Sqs(queue) => queue.in_flight,
            SourceSpec::Kafka(_) => true,
            SourceSpec::EventBridge(_) | SourceSpec::External(_) => false,
        };
        let polling_seconds = scaled_job.polling_interval.as_secs_f64();
        let given = self.length.map(|length| length.as_secs_f64());
        let (arrivals, seconds) = match (series, self.arrivals) {
            (Some(text), _) => {
                let arrivals = Arrivals::of_series(text, polling_seconds)
                    .map_err(|why| format!("--backlog: {why}"))?;
                let seconds = given.unwrap_or(arrivals.end());
                (arrivals, seconds)
            }
            (None, rate) => {
                let seconds = given.unwrap_or(SIX_HOURS);
                (Arrivals::steady(rate.unwrap_or_default(), seconds), seconds)
            }
        };
        if seconds / polling_seconds > MOST_POLLS {
            return Err(format!(
                "{seconds} s are more than {MOST_POLLS} polls of {polling_seconds} s: choose a shorter --for"
            ));
        }
        let name = if trigger.metric_name.is_empty() {
            entry.label()
        } else {
            trigger.metric_name.clone()
        };
        let supposition = Supposition {
            policy: scaled_job.policy.clone(),
            target,
            activation: if is_external { 0.0 } else { trigger.activation },
            polling_seconds,
            seconds,
            world: SupposedWorld {
                job_seconds: self.job_duration.as_secs_f64(),
                start_seconds: self.start_delay.as_secs_f64(),
                units_per_job: self.units_per_job.unwrap_or_else(|| whole(target)),
                counts_taken: self.counts_taken.unwrap_or(counts_taken),
            },
        };
        Ok((name, supposition, arrivals))
    }

    fn strategies(&self, own: Strategy) -> [Strategy; 4] {
        let custom = match own {
            Strategy::Custom { .. } => own,
            _ => Strategy::Custom {
                deduction: 0,
                running_percentage: self.custom_percentage,
            },
        };
        [
            Strategy::Default,
            custom,
            Strategy::Accurate,
            Strategy::Eager,
        ]
    }
}

/// What a trigger refers to. No source is read, so what says who Slipway is to it may be elsewhere: then a note says so,
/// and numbers are all that the trigger is read for.
async fn inputs(
    scaled_job: &ScaledJob,
    entry: &TriggerEntry,
    files: &Files,
) -> Result<(Inputs, Option<String>), String> {
    let error = match lookup::inputs(scaled_job, entry, files).await {
        Ok(inputs) => return Ok((inputs, None)),
        Err(error) => error,
    };
    let alone = TriggerEntry {
        authentication: None,
        ..entry.clone()
    };
    let inputs = match lookup::inputs(scaled_job, &alone, files).await {
        Ok(inputs) if entry.authentication.is_some() => inputs,
        _ => return Err(error.to_string()),
    };
    let tls = (!entry.metadata.contains_key("tls")).then_some(("tls", "enable"));
    let unknown = CREDENTIALS.map(|name| (name, "unknown"));
    let parameters = unknown.into_iter().chain(tls);
    let inputs = Inputs {
        auth_params: parameters
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
            .collect(),
        pod_identity: PodIdentity::Aws {
            role_arn: None,
            external_id: None,
        },
        ..inputs
    };
    let note = format!("{error}. It is not needed here: no source is read");
    Ok((inputs, Some(note)))
}

/// Units that a Job takes where only the target is known.
fn whole(target: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is at least 1"
    )]
    let units = target.ceil().max(1.0) as u32;
    units
}

/// `10/s`, `600/m`, `5/h`: a second.
fn rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is no rate: write 10/s, 600/m or 5/h");
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    if !number.is_finite() || !(0.0..=1e9).contains(&number) {
        return Err(format!("{text:?} is not between 0 and a billion"));
    }
    Ok(number / seconds)
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))?;
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(format!("{text:?} is negative, or has no size"))
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{text:?} is neither yes nor no")),
    }
}
