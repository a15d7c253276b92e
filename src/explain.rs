//! Why an object launched or did not, in words: from what is known of it to what its owner reads.
//!
//! What is known (`ObjectEvidence`) comes from others: the object with its status, Kubernetes Events, Jobs and Pods, the Lease,
//! records of replicas. Some of it may be missing. What comes out ([`Explanation`]) has the last turn in numbers, what is
//! in the way, each with a cause, a number, what to do next and a command, and an event's way to its Pod. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::history::{self, HistoryRecord, Subject};
use crate::resource::cron_job::is_handed_over;
use crate::resource::scaled_job::is_managed_in_place;
use crate::shown::on_one_line;

pub use self::tools::Tools;

mod causes;
mod event_job;
mod scaled_job;
mod seen;
mod times;
mod tools;
mod way;

/// What is known of an object.
#[derive(Debug, Clone)]
pub struct ObjectEvidence {
    /// Which object.
    pub subject: Subject,
    /// When this is.
    pub now: Timestamp,
    /// What is asked about: how it was then.
    pub at: Option<Timestamp>,
    /// How people look further where it lives.
    pub tools: Tools,
    /// The object as the API server has it; `None` where there is none, or it was not asked.
    pub object: Option<Value>,
    /// It was asked for, and is not there.
    pub is_missing: bool,
    /// Whoever was asked knows nothing of it, and nobody could be asked who knows which objects there are.
    pub is_unheard_of: bool,
    /// Kubernetes Events about it.
    pub events: Vec<Value>,
    /// Its Jobs.
    pub jobs: Vec<Value>,
    /// Pods of the one Job that is asked about.
    pub pods: Vec<Value>,
    /// Whoever knows all Jobs was asked for them.
    pub are_jobs_known: bool,
    /// The way of the one Job that is asked about, as a status page shows it; empty where the Job itself is known.
    pub page_steps: Vec<PageStep>,
    /// Its status as a page or a state folder has it, where the object is not known; null where none has.
    pub shown_status: Value,
    /// Who leads, as far as it could be found out.
    pub lease: LeaseEvidence,
    /// What replicas and folders wrote down about it, in any order.
    pub records: Vec<HistoryRecord>,
    /// What was asked, and what it gave: shown below.
    pub asked: Vec<String>,
}

/// A step of a Job's way on a status page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageStep {
    /// When; `None`: it is to come.
    pub at: Option<Timestamp>,
    /// What happened.
    pub what: String,
    /// More words; may be empty.
    pub detail: String,
    /// What was waited for since the step before; may be empty.
    pub waited_for: String,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LeaseEvidence {
    /// Nobody could find out, or there is nobody who could not.
    #[default]
    Unknown,
    /// There is no Lease in the namespaces that were looked at.
    Absent,
    /// There is one.
    Found {
        /// Its namespace.
        namespace: String,
        /// Who holds it; empty when nobody does.
        holder: String,
        /// When it was renewed last.
        renewed_at: Option<Timestamp>,
        /// For how long it holds. Unit: seconds.
        duration_seconds: i64,
    },
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// What it is about.
    pub about: String,
    /// The answer in one sentence.
    pub summary: String,
    /// What was read, counted, wanted and done: a word and a text for each.
    pub facts: Vec<(String, String)>,
    /// What is in the way, the worst first.
    pub causes: Vec<Cause>,
    /// The way of one event or Job.
    pub way: Vec<WayStep>,
    /// What came before, the newest first: a time and a sentence for each.
    pub earlier: Vec<(Timestamp, String)>,
    /// Where this is from.
    pub asked: Vec<String>,
}

/// Something that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// One word from a closed list.
    pub word: &'static str,
    /// What it is, with its number.
    pub cause: String,
    /// What to do about it, or when it ends.
    pub next: String,
    /// What to type.
    pub command: String,
}

/// One step of a way.
#[derive(Debug, Clone, PartialEq)]
pub struct WayStep {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: String,
    /// How long the step before had lasted, and what was waited for.
    pub waited: Option<(jiff::SignedDuration, String)>,
}

impl ObjectEvidence {
    /// Its status; null where it is not known.
    fn status(&self) -> &Value {
        self.object
            .as_ref()
            .map_or(&self.shown_status, |object| &object["status"])
    }
}

/// Why an object launched, or did not.
pub fn object(evidence: &ObjectEvidence) -> Explanation {
    let mut explanation = match evidence.subject.kind {
        _ if evidence.is_missing && evidence.records.is_empty() => Explanation {
            summary: String::from("it is not there"),
            causes: vec![causes::missing(evidence)],
            ..Explanation::default()
        },
        _ if evidence.is_unheard_of => Explanation {
            summary: String::from("nothing is known of it"),
            causes: vec![causes::unheard_of(evidence)],
            ..Explanation::default()
        },
        _ if evidence.at.is_none() && is_not_handed_over(evidence) => Explanation {
            summary: String::from("Slipway does not run it; in the way: NotManaged"),
            causes: vec![causes::not_handed_over(evidence)],
            earlier: scaled_job::earlier(evidence),
            ..Explanation::default()
        },
        history::SubjectKind::EventJob | history::SubjectKind::CronJob => {
            event_job::explain(evidence)
        }
        history::SubjectKind::ScaledJob | history::SubjectKind::KedaScaledJob => {
            scaled_job::explain(evidence)
        }
    };
    explanation.about = evidence.subject.to_string();
    explanation.asked.clone_from(&evidence.asked);
    explanation
}

/// Whether it is another program's object, of which Slipway was not told to run it.
fn is_not_handed_over(evidence: &ObjectEvidence) -> bool {
    let object = evidence.object.as_ref();
    object.is_some_and(|object| match evidence.subject.kind {
        history::SubjectKind::ScaledJob | history::SubjectKind::EventJob => false,
        history::SubjectKind::KedaScaledJob => !is_managed_in_place(object),
        history::SubjectKind::CronJob => !is_handed_over(object),
    })
}

/// What became of one event: `id` as its sender wrote it.
pub fn event(id: &str, evidence: &ObjectEvidence) -> Explanation {
    let mut explanation = way::of_event(id, evidence);
    explanation.about = format!("event {id}");
    explanation.asked.clone_from(&evidence.asked);
    explanation
}

/// Where one Job comes from, and what became of it.
pub fn job(name: &str, evidence: &ObjectEvidence) -> Explanation {
    let mut explanation = way::of_job(name, evidence);
    explanation.about = format!("job {name}");
    explanation.asked.clone_from(&evidence.asked);
    explanation
}

/// A record in a sentence: for a list of the last ones.
pub fn sentence(record: &HistoryRecord) -> String {
    seen::sentence(record)
}

/// The id of the event that a Job was made for: what its containers are told.
pub fn event_of(job: &Value) -> Option<&str> {
    way::event_of(job)
}

impl Explanation {
    /// For people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.about, self.summary)];
        if !self.facts.is_empty() {
            lines.push(String::new());
        }
        let width = self.facts.iter().map(|(word, _)| word.len()).max();
        let width = width.unwrap_or_default();
        for (word, text) in &self.facts {
            lines.push(format!("  {word:<width$}  {text}"));
        }
        if !self.way.is_empty() {
            lines.push(String::new());
            for step in &self.way {
                if let Some((waited, name)) = &step.waited {
                    lines.push(format!("    waited {} {name}", times::length(*waited)));
                }
                lines.push(format!("  {:.3}  {}", step.at, step.what));
            }
        }
        for Cause {
            cause,
            next,
            command,
            ..
        } in &self.causes
        {
            lines.push(String::new());
            lines.push(format!("  {cause}"));
            lines.push(format!("    next: {next}"));
            lines.push(format!("    try:  {command}"));
        }
        if !self.earlier.is_empty() {
            lines.push(String::new());
            lines.push("  before".to_owned());
            for (at, text) in &self.earlier {
                lines.push(format!("    {at:.0}  {text}"));
            }
        }
        if !self.asked.is_empty() {
            lines.push(String::new());
            lines.push(format!("  from: {}", self.asked.join("; ")));
        }
        lines.push(String::new());
        // Ids and messages are others' words.
        let lines: Vec<String> = lines.iter().map(|line| on_one_line(line)).collect();
        lines.join("\n")
    }

    /// For programs.
    pub fn to_json(&self, records: &[HistoryRecord]) -> Value {
        let facts = self.facts.iter();
        let facts: Vec<Value> = facts
            .map(|(name, text)| json!({"name": name, "text": text}))
            .collect();
        let causes = self.causes.iter().map(|cause| {
            json!({
                "reason": cause.word,
                "cause": cause.cause,
                "next": cause.next,
                "command": cause.command,
            })
        });
        let way = self.way.iter().map(|step| {
            let waited = step.waited.as_ref();
            json!({
                "time": step.at.to_string(),
                "step": step.what,
                "waitedSeconds": waited.map(|(waited, _)| waited.as_secs_f64()),
                "waitedFor": waited.map(|(_, name)| name),
            })
        });
        json!({
            "about": self.about,
            "summary": self.summary,
            "facts": facts,
            "causes": causes.collect::<Vec<_>>(),
            "way": way.collect::<Vec<_>>(),
            "asked": self.asked,
            "records": records.iter().map(history::json::to_json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
