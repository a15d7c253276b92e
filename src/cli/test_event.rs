//! `slipway test-event`: would this event become a Job, which one, and if not, who says no.
//!
//! Nothing is connected to, and nothing is made.

mod report;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::app;
use crate::cli::{OutputFormat, wrong_usage};
use crate::event::{self, Attributes, Event, Opened, Refusal};
use crate::launch::delivered::Delivery;
use crate::manifest::{self, Manifests};
use crate::pattern::{Mismatch, Pattern};
use crate::resource::event_job::{self, EventJob, Format};
use crate::resource::scaled_job::SLIPWAY_API_VERSION;

use report::{TestReport, TestVerdict};

/// Standard input.
const STANDARD_INPUT: &str = "-";
/// The largest event that is read. Unit: bytes. As large as the door takes.
const LARGEST_EVENT: u64 = 2 * 1024 * 1024;
/// What an unwritten `--ledger-grace` of `slipway run` is: shorter TTLs are raised to it.
const LEAST_TTL: Duration = Duration::from_mins(10);
/// A CloudEvent in a file has no headers; it is one whole object.
const STRUCTURED: &str = "application/cloudevents+json";

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # Does the event match, and what Job would it become?
  slipway test-event eventjob.yaml event.json
  # One of several EventJobs, with the header that its sender adds
  slipway test-event deploy/ event.json --name invoice-generator --header 'webhook-id: 1'
  # A pattern alone
  slipway test-event --pattern '{\"source\": [\"billing\"]}' event.json
  # An event from somewhere else, an answer for a program
  aws s3 cp s3://samples/event.json - | slipway test-event eventjob.yaml - --output json";

/// Tells whether an event matches, and which Job it would become
///
/// With FILE, each EventJob in it is asked: its pattern, its id, its bindings. The
/// Job comes out as YAML. With --pattern, only the pattern is. Exit code 0: it
/// matches; 1: it does not, and the field that refused is printed; 2: the EventJob,
/// the pattern or the event is not valid, and what is wrong is printed.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_long_help = EXAMPLES,
    override_usage = "slipway test-event [OPTIONS] <FILE> <EVENT>\n       slipway test-event [OPTIONS] --pattern <PATTERN> <EVENT>"
)]
pub struct Args {
    /// A file or folder with EventJobs (not with --pattern), and a file with the event's body; - for standard input
    #[arg(required = true, num_args = 1..=2, value_names = ["FILE", "EVENT"])]
    pub paths: Vec<PathBuf>,
    /// An event pattern, in place of a FILE
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["name", "headers"])]
    pub pattern: Option<String>,
    /// Ask only the EventJob of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A header that comes with the event; may be given again
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// How to print what came out
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Tests the event and prints what would come of it.
///
/// # Errors
///
/// When `out` takes no more.
pub async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (file, event) = match (args.paths.as_slice(), &args.pattern) {
        ([event], Some(_)) => (None, event),
        ([file, event], None) => (Some(file), event),
        ([_], None) => {
            return Ok(wrong_usage(
                "FILE and EVENT are needed, or --pattern and EVENT",
            ));
        }
        _ => return Ok(wrong_usage("--pattern stands in place of FILE")),
    };
    if file.is_some_and(|file| is_standard_input(file)) && is_standard_input(event) {
        return Ok(wrong_usage("only one of FILE and EVENT can be -"));
    }
    let attributes = match attributes(&args.headers) {
        Ok(attributes) => attributes,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let reports = match (read(event), &args.pattern, file) {
        (Err(message), ..) => vec![TestReport {
            event_job: None,
            index: None,
            verdict: TestVerdict::Invalid {
                field: event.display().to_string(),
                message,
            },
        }],
        (Ok(body), Some(pattern), _) => vec![test_pattern(pattern, &body)],
        (Ok(body), None, Some(file)) => {
            let manifests = manifest::load(std::slice::from_ref(file)).await;
            test_event_jobs(&manifests, args.name.as_deref(), &attributes, &body)
        }
        (Ok(_), None, None) => Vec::new(),
    };
    match args.output {
        OutputFormat::Text => report::print_text(&reports, out)?,
        OutputFormat::Json => report::print_json(&reports, out)?,
    }
    Ok(report::exit_code(&reports))
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

fn attributes(headers: &[String]) -> Result<Attributes, String> {
    let mut attributes = Attributes::default();
    for header in headers {
        let Some((name, value)) = header.split_once(':') else {
            return Err("--header must be a name, a colon and a value".to_owned());
        };
        let name = name.trim().to_ascii_lowercase();
        // As at the door: of two nobody can say which is meant.
        if attributes.contains_key(&name) {
            return Err(format!("--header {name} is given twice"));
        }
        attributes.insert(name, value.trim().to_owned());
    }
    Ok(attributes)
}

/// The body; or why there is none, without its name.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let source: Box<dyn Read> = if is_standard_input(path) {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(unreadable)?)
    };
    let mut body = Vec::new();
    source
        .take(LARGEST_EVENT + 1)
        .read_to_end(&mut body)
        .map_err(unreadable)?;
    if u64::try_from(body.len()).is_ok_and(|length| length <= LARGEST_EVENT) {
        Ok(body)
    } else {
        Err(format!("has more than {LARGEST_EVENT} bytes"))
    }
}

fn test_pattern(pattern: &str, body: &[u8]) -> TestReport {
    let verdict = match Pattern::parse(pattern) {
        Err(error) => TestVerdict::Invalid {
            field: "pattern".to_owned(),
            message: error.to_string(),
        },
        Ok(pattern) => match event::open(Format::Json, &Attributes::default(), body) {
            Ok(Opened::One(event)) => match pattern.repeated(&event.text) {
                Some(path) => invalid(Refusal::repeated(format!("$.{path}"))),
                None => pattern
                    .refusal(&event.text)
                    .map_or(TestVerdict::Match(None), no_match),
            },
            Ok(_) => TestVerdict::NoEvent("it is no event".to_owned()),
            Err(refusal) => invalid(refusal),
        },
    };
    TestReport {
        event_job: None,
        index: None,
        verdict,
    }
}

fn no_match(mismatch: Mismatch) -> TestVerdict {
    TestVerdict::NoMatch {
        field: mismatch.field,
        message: mismatch.reason,
    }
}

fn invalid(refusal: Refusal) -> TestVerdict {
    TestVerdict::Invalid {
        field: refusal.field,
        message: refusal.message,
    }
}

/// Asks every EventJob that is meant.
fn test_event_jobs(
    manifests: &Manifests,
    name: Option<&str>,
    attributes: &Attributes,
    body: &[u8],
) -> Vec<TestReport> {
    let mut reports = Vec::new();
    let meant = manifests.entries.iter().filter(|entry| {
        let document = &entry.document;
        document.kind == "EventJob"
            && document.api_version == SLIPWAY_API_VERSION
            && name.is_none_or(|name| *document.id.name == *name)
    });
    for entry in meant {
        let id = &entry.document.id;
        match event_job::parse(&entry.document.value) {
            Ok(event_job) => reports.extend(test_event_job(&event_job, attributes, body)),
            Err(faults) => reports.extend(faults.into_iter().map(|fault| {
                let finding = entry.finding(fault);
                TestReport {
                    event_job: Some(id.clone()),
                    index: None,
                    verdict: TestVerdict::Invalid {
                        field: format!(
                            "{}:{}: {}",
                            finding.file, finding.position, finding.fault.field
                        ),
                        message: finding.fault.message,
                    },
                }
            })),
        }
    }
    if reports.is_empty() {
        reports.push(TestReport {
            event_job: None,
            index: None,
            verdict: nothing_found(manifests, name),
        });
    }
    reports
}

/// Why no EventJob was asked.
fn nothing_found(manifests: &Manifests, name: Option<&str>) -> TestVerdict {
    if let Some(fault) = manifests.faults.iter().find(|fault| fault.object.is_none()) {
        return TestVerdict::Invalid {
            field: format!("{}:{}", fault.file, fault.position),
            message: fault.fault.message.clone(),
        };
    }
    let message = match name {
        Some(name) => format!("holds no EventJob of the name {name}"),
        None => format!("holds no EventJob of {SLIPWAY_API_VERSION}"),
    };
    TestVerdict::Invalid {
        field: "FILE".to_owned(),
        message,
    }
}

/// Asks one EventJob about every event of the body.
fn test_event_job(event_job: &EventJob, attributes: &Attributes, body: &[u8]) -> Vec<TestReport> {
    let report = |index: Option<usize>, verdict| TestReport {
        event_job: Some(event_job.id.clone()),
        index,
        verdict,
    };
    let Some(webhook) = event_job.webhook() else {
        let message = "it takes none: its source is the clock".to_owned();
        return vec![report(None, TestVerdict::NoEvent(message))];
    };
    let format = webhook.format;
    let mut attributes = attributes.clone();
    if format == Format::CloudEvents && !attributes.contains_key("ce-specversion") {
        attributes.insert_if_absent("content-type".to_owned(), STRUCTURED);
    }
    match event::open_for(webhook, &attributes, body) {
        Err(refusal) => vec![report(None, invalid(refusal))],
        Ok(Opened::One(event)) => vec![report(None, verdict(event_job, &event))],
        Ok(Opened::Many(events)) => events
            .into_iter()
            .enumerate()
            .map(|(index, event)| {
                let verdict = event.map_or_else(invalid, |event| verdict(event_job, &event));
                report(Some(index), verdict)
            })
            .collect(),
        Ok(Opened::Confirmation { topic_arn, .. }) => {
            let message = format!("it asks to confirm a subscription to {topic_arn}");
            vec![report(None, TestVerdict::NoEvent(message))]
        }
        Ok(Opened::Handshake { answer, .. }) => {
            let message = format!("it asks for a handshake: the answer has {answer}");
            vec![report(None, TestVerdict::NoEvent(message))]
        }
        Ok(Opened::Unsubscribed) => {
            let message = "it tells that a subscription ended".to_owned();
            vec![report(None, TestVerdict::NoEvent(message))]
        }
    }
}

/// What the door would do with one event, in its order.
fn verdict(event_job: &EventJob, event: &Event) -> TestVerdict {
    if let Err(refusal) = event.check_names(event_job) {
        return invalid(refusal);
    }
    let pattern = event_job.pattern.as_ref();
    let no = pattern.and_then(|pattern| pattern.refusal(&event.text));
    if let Some(no) = no.or_else(|| event.header_mismatch(event_job)) {
        return no_match(no);
    }
    let delivery = event.identity(&event_job.id_from).and_then(|identity| {
        let delivery = Delivery::new(event_job, event, &identity, app::clock(), LEAST_TTL)?;
        Ok((identity.id, delivery))
    });
    match delivery {
        Ok((event_id, delivery)) => TestVerdict::Match(Some(report::RenderedJob {
            event_id,
            job: delivery.launch.manifest,
            secret: delivery.file,
        })),
        Err(refusal) => invalid(refusal),
    }
}
