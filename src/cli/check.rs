//! `slipway check`: everything that can be known wrong before deploying.
//!
//! Nothing is connected to: what the files say is all that is looked at.

mod event_jobs;

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::{InputFiles, OutputFormat, counted};
use crate::launch::job::name;
use crate::lookup::{self, Lookup as _};
use crate::manifest::{self, FileDocument, Finding, Manifests};
use crate::resource::{self, template, traps};
use crate::resource::{Fault, ObjectId, ScaledJob, SourceSpec, TriggerEntry};
use crate::source;
use crate::source::pool::{Pool, Settings};

/// Shown below the options.
const EXAMPLES: &str = "\
EXAMPLES:
  # Everything that is wrong, and what surprises people
  slipway check scaledjob.yaml
  # In CI: warnings count too
  slipway check --strict deploy/
  # What a chart renders, for a program
  helm template ./chart | slipway check - --output json";

/// Finds what is wrong in files before they are deployed
///
/// Every fault is printed with its file, line and column. Exit code 0: nothing
/// wrong; 1: a fault (or, with --strict, a warning); 2: wrong usage.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What is read.
    #[command(flatten)]
    pub files: InputFiles,
    /// Fail on warnings too
    #[arg(long, env = "SLIPWAY_STRICT")]
    pub strict: bool,
    /// How to print what was found
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: OutputFormat,
}

/// Checks the files and prints what was found.
///
/// # Errors
///
/// When `out` takes no more.
pub async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let findings = check(&manifest::load(&args.files.all()).await).await;
    match args.output {
        OutputFormat::Text => findings.print_text(out)?,
        OutputFormat::Json => findings.print_json(out)?,
    }
    let failed = !findings.faults.is_empty() || (args.strict && !findings.warnings.is_empty());
    Ok(ExitCode::from(u8::from(failed)))
}

/// What was found, in the order of the files.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong.
    pub faults: Vec<Finding>,
    /// What is valid and yet surprises.
    pub warnings: Vec<Finding>,
    /// What could not be looked at.
    pub notes: Vec<Finding>,
    /// Objects in the files.
    pub objects: usize,
    /// Those, and texts that are no objects, that were not read.
    pub unread: usize,
}

/// Everything that can be said about a set of files.
pub async fn check(manifests: &Manifests) -> Findings {
    let mut findings = Findings {
        faults: manifests.faults.clone(),
        warnings: manifests.warnings.clone(),
        notes: manifests.notes.clone(),
        objects: manifests.entries.len(),
        unread: manifests.unread,
    };
    for entry in &manifests.entries {
        if entry.document.kind.ends_with("TriggerAuthentication") {
            let warnings = traps::of_authentication(&entry.document.value);
            findings.warnings.extend(at(entry, warnings));
        }
    }
    for entry in &manifests.entries {
        check_template(entry, &mut findings);
    }
    let pools = CheckPools {
        strictest: Pool::new(Settings::default()),
        most_generous: Pool::most_generous(),
    };
    for (index, scaled_job) in &manifests.scaled_jobs {
        let entry = &manifests.entries[*index];
        let warnings = traps::warnings(scaled_job, &entry.document.value);
        findings.warnings.extend(at(entry, warnings));
        for trigger in &*scaled_job.triggers {
            check_trigger(manifests, entry, scaled_job, trigger, &pools, &mut findings).await;
        }
    }
    for (index, event_job) in &manifests.event_jobs {
        let entry = &manifests.entries[*index];
        event_jobs::check(manifests, entry, event_job, &mut findings).await;
    }
    for (index, cron_job) in &manifests.cron_jobs {
        let entry = &manifests.entries[*index];
        findings
            .warnings
            .extend(at(entry, traps::of_cron_job(cron_job)));
        let notes = traps::notes_of_cron_job(cron_job);
        findings.notes.extend(at(entry, notes));
    }
    manifests.sort(&mut findings.faults);
    manifests.sort(&mut findings.warnings);
    manifests.sort(&mut findings.notes);
    findings
}

/// The Job's spec in a document, beside what reading the document has said already.
fn check_template(entry: &FileDocument, findings: &mut Findings) {
    let value = &entry.document.value;
    let object_name = &*entry.document.id.name;
    let opinion = match entry.document.kind.as_str() {
        "ScaledJob" => {
            let Some(spec) = value.pointer("/spec/jobTargetRef") else {
                return;
            };
            let name = reserved(object_name);
            template::check_named(
                spec,
                "spec.jobTargetRef",
                template::Of::ScaledJob,
                Some(&name),
            )
        }
        "EventJob" => event_jobs::template(entry),
        "CronJob" if entry.document.api_version == "batch/v1" => {
            let template = &value["spec"]["jobTemplate"];
            if !template["spec"].is_object() {
                return;
            }
            // The longest of its Jobs' names.
            let name = format!("{object_name}-29999999");
            let field = "spec.jobTemplate.spec";
            let mut opinion =
                template::check_named(&template["spec"], field, template::Of::Job, Some(&name));
            let said = template::check_metadata(&template["metadata"], "spec.jobTemplate.metadata");
            opinion.faults.extend(said);
            opinion
        }
        "Job" if entry.document.api_version == "batch/v1" => {
            let mut opinion = template::check_named(
                &value["spec"],
                "spec",
                template::Of::Job,
                // What is generated is not known.
                value.pointer("/metadata/name").and_then(Value::as_str),
            );
            let said = template::check_metadata(&value["metadata"], "metadata");
            opinion.faults.extend(said);
            opinion
        }
        _ => return,
    };
    for fault in opinion.faults {
        let finding = entry.finding(fault);
        let said = |earlier: &Finding| {
            earlier.object == finding.object && earlier.fault.field == finding.fault.field
        };
        if !findings.faults.iter().any(said) {
            findings.faults.push(finding);
        }
    }
    findings.warnings.extend(at(entry, opinion.warnings));
}

/// A name as long as those that Jobs of such an object get.
fn reserved(object_name: &str) -> String {
    format!("{}bcdfghjklm", name::prefix(object_name))
}

/// One trigger, with what it refers to if that is in the files.
async fn check_trigger(
    manifests: &Manifests,
    entry: &FileDocument,
    scaled_job: &ScaledJob,
    trigger: &TriggerEntry,
    pools: &CheckPools,
    findings: &mut Findings,
) {
    if let Some(reference) = &trigger.authentication {
        let id = ObjectId::new(&scaled_job.id.namespace, &reference.name);
        let found = manifests
            .files
            .authentication(&id, reference.cluster, scaled_job.api)
            .await;
        let Ok(Some(authentication)) = found else {
            let fault = Fault::at(
                format!("spec.triggers[{}].authenticationRef", trigger.index),
                format!(
                    "{} is not in these files: this trigger is checked without it",
                    reference.name
                ),
            );
            findings.notes.push(entry.finding(fault));
            return;
        };
        if reference.cluster {
            let fault = Fault::at(
                format!("spec.triggers[{}].authenticationRef.kind", trigger.index),
                "is ClusterTriggerAuthentication: its Secrets are read in Slipway's own namespace, not in this one, and only with --all-namespaces or --cluster-namespace",
            );
            findings.warnings.push(entry.finding(fault));
        }
        let warnings = traps::of_pair(trigger, &authentication.spec);
        findings.warnings.extend(at(entry, warnings));
    }
    let field = format!("spec.triggers[{}]", trigger.index);
    match lookup::inputs(scaled_job, trigger, &manifests.files).await {
        Ok(inputs) => match resource::parse_trigger(trigger, &inputs, &scaled_job.id) {
            Ok(parsed) => {
                findings.warnings.extend(at(entry, parsed.warnings));
                check_address(entry, trigger, &parsed.source, pools, findings);
            }
            Err(faults) => findings.faults.extend(at(entry, faults)),
        },
        // What is there and lacks something is wrong wherever the rest is.
        Err(lookup::Error::Missing { object, detail }) if manifests.holds(&object) => {
            let fault = Fault::at(field, format!("{object} {detail}"));
            findings.faults.push(entry.finding(fault));
        }
        // Secrets seldom stand beside what uses them: that one is missing here says nothing.
        Err(error @ lookup::Error::Missing { .. }) => {
            let message = format!("this trigger is not checked: in these files {error}");
            findings
                .notes
                .push(entry.finding(Fault::at(field, message)));
        }
        // The object that is wrong has said so in its own place.
        Err(lookup::Error::Invalid { object, .. }) if manifests.is_faulty(&object) => {}
        Err(error) => {
            let fault = Fault::at(field, error.to_string());
            findings.faults.push(entry.finding(fault));
        }
    }
}

/// Where sources would be read from, with no flag and with every flag: nobody knows here with which ones the program will run.
struct CheckPools {
    strictest: Pool,
    most_generous: Pool,
}

/// What connecting refuses before anything is sent: addresses, regions, what this build cannot do.
///
/// A refusal that a flag can lift is a warning.
fn check_address(
    entry: &FileDocument,
    trigger: &TriggerEntry,
    source: &SourceSpec,
    pools: &CheckPools,
    findings: &mut Findings,
) {
    // The Jobs of an EventJob are counted where they are, at no address.
    if matches!(source, SourceSpec::EventBridge(_)) {
        return;
    }
    let Err(source::Error::Invalid { detail, .. }) = pools.strictest.connect(source) else {
        return;
    };
    let mut field = format!("spec.triggers[{}].metadata", trigger.index);
    let named = detail.split([' ', ':']).next().unwrap_or_default();
    if trigger.metadata.contains_key(named) {
        field = format!("{field}.{named}");
    }
    let finding = entry.finding(Fault::at(field, &detail));
    match pools.most_generous.connect(source) {
        Ok(_) => findings.warnings.push(finding),
        Err(_) => findings.faults.push(finding),
    }
}

fn at(entry: &FileDocument, faults: Vec<Fault>) -> impl Iterator<Item = Finding> {
    faults.into_iter().map(|fault| entry.finding(fault))
}

impl Findings {
    fn print_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for fault in &self.faults {
            writeln!(out, "{fault}")?;
        }
        for (word, findings) in [("warning", &self.warnings), ("note", &self.notes)] {
            for finding in findings {
                let place = format!("{}:{}", finding.file, finding.position);
                writeln!(out, "{place}: {word}: {}", finding.text())?;
            }
        }
        let unread = match self.unread {
            0 => String::new(),
            unread => format!("; {unread} not read"),
        };
        writeln!(
            out,
            "{}: {}, {}{unread}",
            counted(self.objects, "object"),
            counted(self.faults.len(), "fault"),
            counted(self.warnings.len(), "warning"),
        )
    }

    fn print_json(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let list = |findings: &[Finding]| -> Vec<_> {
            findings
                .iter()
                .map(|finding| {
                    let object = finding.object.as_ref();
                    json!({
                        "file": finding.file,
                        "line": finding.position.line,
                        "column": finding.position.column,
                        "kind": object.map(|(kind, _)| kind),
                        "namespace": object.map(|(_, id)| &*id.namespace),
                        "name": object.map(|(_, id)| &*id.name),
                        "field": finding.fault.field,
                        "message": finding.fault.message,
                    })
                })
                .collect()
        };
        let answer = json!({
            "objects": self.objects,
            "unread": self.unread,
            "faults": list(&self.faults),
            "warnings": list(&self.warnings),
            "notes": list(&self.notes),
        });
        serde_json::to_writer_pretty(&mut *out, &answer)?;
        writeln!(out)?;
        Ok(())
    }
}
