//! What came of an event, printed: for people as lines and YAML, for programs as JSON.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::resource::ObjectId;

/// What one EventJob, or a pattern alone, says about one event.
pub(super) struct TestReport {
    /// `None` for a pattern alone.
    pub(super) event_job: Option<ObjectId>,
    /// Which event of a list.
    pub(super) index: Option<usize>,
    pub(super) verdict: TestVerdict,
}

/// What is said.
pub(super) enum TestVerdict {
    /// It matches; for an EventJob with the Job that comes out.
    Match(Option<RenderedJob>),
    /// The pattern refuses it.
    NoMatch {
        /// Of the pattern.
        field: String,
        message: String,
    },
    /// There is no event in the body.
    NoEvent(String),
    /// The object, the pattern or the event is wrong.
    Invalid { field: String, message: String },
}

/// What an event becomes.
pub(super) struct RenderedJob {
    pub(super) event_id: String,
    pub(super) job: Value,
    /// With the event, for `bind.file`.
    pub(super) secret: Option<Value>,
}

/// 2 when something is not valid, else 0 when something matches, else 1.
pub(super) fn exit_code(reports: &[TestReport]) -> ExitCode {
    let any = |is: fn(&TestVerdict) -> bool| reports.iter().any(|report| is(&report.verdict));
    if any(|verdict| matches!(verdict, TestVerdict::Invalid { .. })) {
        ExitCode::from(2)
    } else if any(|verdict| matches!(verdict, TestVerdict::Match(_))) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One comment a report, and the objects as YAML documents: the whole is YAML, and can be applied.
pub(super) fn print_text(reports: &[TestReport], out: &mut dyn Write) -> anyhow::Result<()> {
    for report in reports {
        let mut who = String::new();
        if let Some(id) = &report.event_job {
            who = format!("EventJob {id}: ");
        }
        if let Some(index) = report.index {
            who = format!("{who}event {index}: ");
        }
        match &report.verdict {
            TestVerdict::Match(None) => writeln!(out, "# {who}match")?,
            TestVerdict::NoMatch { field, message } => {
                writeln!(out, "# {who}no match: {field}: {message}")?;
            }
            TestVerdict::NoEvent(message) => writeln!(out, "# {who}no event: {message}")?,
            TestVerdict::Invalid { field, message } => {
                writeln!(out, "# {who}not valid: {field}: {message}")?;
            }
            TestVerdict::Match(Some(made)) => {
                // Quoted: an id may have line breaks, and this is a comment.
                writeln!(out, "# {who}match, event id {:?}", made.event_id)?;
                for object in made.secret.iter().chain([&made.job]) {
                    writeln!(out, "---\n{}", serde_saphyr::to_string(object)?.trim_end())?;
                }
            }
        }
    }
    Ok(())
}

/// One object with a list of what was said.
pub(super) fn print_json(reports: &[TestReport], out: &mut dyn Write) -> anyhow::Result<()> {
    let results: Vec<Value> = reports.iter().map(TestReport::to_json).collect();
    serde_json::to_writer_pretty(&mut *out, &json!({ "results": results }))?;
    writeln!(out)?;
    Ok(())
}

impl TestReport {
    fn to_json(&self) -> Value {
        let (result, field, message) = match &self.verdict {
            TestVerdict::Match(_) => ("Match", None, None),
            TestVerdict::NoMatch { field, message } => ("NoMatch", Some(field), Some(message)),
            TestVerdict::NoEvent(message) => ("NoEvent", None, Some(message)),
            TestVerdict::Invalid { field, message } => ("Invalid", Some(field), Some(message)),
        };
        let made = match &self.verdict {
            TestVerdict::Match(made) => made.as_ref(),
            _ => None,
        };
        let id = self.event_job.as_ref();
        json!({
            "namespace": id.map(|id| &*id.namespace),
            "name": id.map(|id| &*id.name),
            "event": self.index,
            "result": result,
            "field": field,
            "message": message,
            "eventId": made.map(|made| &made.event_id),
            "job": made.map(|made| &made.job),
            "secret": made.and_then(|made| made.secret.as_ref()),
        })
    }
}
