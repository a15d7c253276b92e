//! A Job's way: from the event or due time, or the decision, to its end, with the waits between named.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::page::html::Html;
use crate::page::object::moment;
use crate::page::overview::PageMemory;

/// Pods whose steps are shown: a Job may have thousands.
const MOST_PODS: usize = 5;
/// Texts of the API server are shown no longer.
const LETTERS: usize = 300;

/// Annotation of a Job that somebody removed, with when.
const REMOVED: &str = "slipway.dev/removed-at";
/// The step at which a Job has failed.
const JOB_FAILED: &str = "Job failed";

/// A Job and its Pods, as `batch/v1` and `v1` have them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobStory {
    /// The Job.
    pub job: Value,
    /// Its Pods.
    pub pods: Vec<Value>,
    /// Why the Pods are not known, if they are not.
    pub pods_unknown: Option<String>,
}

/// What a wait between two steps is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitKind {
    /// Slipway, or the API server.
    Slipway,
    /// A turn, by the object's policy or limit.
    Turn,
    /// A node, an image, a start.
    Start,
    /// The work itself.
    Work,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPathStep {
    /// When it happened; `None`: it has not yet.
    pub at: Option<Timestamp>,
    /// What happened.
    pub what: String,
    /// More words, of the API server or of a Pod.
    pub detail: String,
    /// What was waited for since the step before.
    pub wait: WaitKind,
    /// The same, in words.
    pub waited_for: &'static str,
    /// It is a failure.
    pub is_bad: bool,
}

impl JobPathStep {
    fn new(
        at: Option<Timestamp>,
        what: impl Into<String>,
        wait: WaitKind,
        waited_for: &'static str,
    ) -> Self {
        Self {
            at,
            what: what.into(),
            detail: String::new(),
            wait,
            waited_for,
            is_bad: false,
        }
    }

    fn saying(self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { detail, ..self }
    }

    fn failed(self) -> Self {
        Self {
            is_bad: true,
            ..self
        }
    }
}

/// The steps, in the order in which they happened; those to come are last.
pub fn steps(story: &JobStory) -> Vec<JobPathStep> {
    let job = &story.job;
    let (metadata, status) = (&job["metadata"], &job["status"]);
    let annotations = &metadata["annotations"];
    let mut steps = Vec::new();
    let due = annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"].as_str();
    let due = due.and_then(|due| Some((due.parse::<Timestamp>().ok()?, due)));
    let received = moment(&annotations["slipway.dev/received-at"]);
    if let Some((at, due)) = due {
        steps.push(JobPathStep::new(Some(at), "due", WaitKind::Slipway, "").saying(due));
    } else if received.is_some() {
        steps.push(JobPathStep::new(
            received,
            "event received",
            WaitKind::Slipway,
            "",
        ));
    }
    let created = moment(&metadata["creationTimestamp"]);
    let slipway = "Slipway: match, bind, create";
    steps.push(JobPathStep::new(
        created,
        "Job created",
        WaitKind::Slipway,
        slipway,
    ));
    steps.extend(turn(job));
    let mut pods: Vec<&Value> = story.pods.iter().collect();
    pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str());
    for pod in pods.iter().take(MOST_PODS) {
        pod::steps(pod, &mut steps);
    }
    end(status, &mut steps);
    if let Some(at) = moment(&annotations[REMOVED]) {
        steps.push(JobPathStep::new(
            Some(at),
            "removed by somebody",
            WaitKind::Work,
            "",
        ));
    }
    // What happened in one second stays as it was told; what is to come is last.
    steps.sort_by_key(|step| (step.at.is_none(), step.at.map(Timestamp::as_second)));
    steps
}

/// Its turn came, or is waited for.
fn turn(job: &Value) -> Option<JobPathStep> {
    let gate = job["metadata"]["annotations"]["slipway.dev/gate"].as_str();
    let waits = |what, waited_for| JobPathStep::new(None, what, WaitKind::Turn, waited_for);
    let started = moment(&job["status"]["startTime"]);
    let is_removed = job["metadata"]["annotations"][REMOVED].is_string();
    let has_ended = ended(&job["status"]).is_some();
    Some(match (gate, started) {
        (Some("dropped"), None) if has_ended => return None,
        (Some("dropped"), _) if !has_ended && is_removed => {
            waits("it will not run", "its turn").saying("somebody removed it")
        }
        (Some("dropped"), _) if !has_ended => {
            waits("it will not run", "its turn").saying("its EventJob's policy dropped it")
        }
        (Some("waiting" | "released"), Some(_)) => {
            let waited_for = "its turn, by its EventJob's policy";
            JobPathStep::new(started, "its turn came", WaitKind::Turn, waited_for)
        }
        (_, Some(_)) => JobPathStep::new(
            started,
            "Job started",
            WaitKind::Start,
            "the Job controller",
        ),
        (Some("waiting"), None) => {
            waits("its turn", "its turn").saying("its EventJob's policy says when")
        }
        (_, None) if job["spec"]["suspend"] == true => {
            waits("resumed", "whoever suspended it").saying("spec.suspend is true")
        }
        (_, None) => return None,
    })
}

fn end(status: &Value, steps: &mut Vec<JobPathStep>) {
    let Some(end) = ended(status) else {
        if steps.iter().all(|step| step.at.is_some()) {
            steps.push(JobPathStep::new(
                None,
                "Job ends",
                WaitKind::Work,
                "its Pods",
            ));
        }
        return;
    };
    let is_bad = end["type"] == "Failed";
    let text = |field: &str| end[field].as_str().unwrap_or_default();
    let at = moment(&status["completionTime"]).or_else(|| moment(&end["lastTransitionTime"]));
    let what = if is_bad { JOB_FAILED } else { "Job complete" };
    let step = JobPathStep::new(at, what, WaitKind::Work, "the Job controller");
    steps.push(if is_bad {
        let detail = format!("{} {}", text("reason"), text("message"));
        step.saying(detail.trim_end()).failed()
    } else {
        step.saying(text("reason"))
    });
}

/// The condition that says how a Job has ended; `None` while it has not.
fn ended(status: &Value) -> Option<&Value> {
    let mut conditions = status["conditions"].as_array()?.iter();
    conditions.find(|condition| {
        condition["status"] == "True"
            && (condition["type"] == "Complete" || condition["type"] == "Failed")
    })
}

/// How a Job that failed runs again: the command, and a form where writes are on. Jobs of ScaledJobs do not.
pub fn again(story: &JobStory, memory: &PageMemory, may_write: bool) -> Html {
    let metadata = &story.job["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let has_failed = steps(story).iter().any(|step| step.what == JOB_FAILED);
    let is_of_event = metadata["labels"]["slipway.dev/eventjob"].is_string();
    let mut html = Html::new();
    html.markup("<div id=\"again\">");
    // One that was removed runs no more.
    let is_going = metadata["annotations"]["slipway.dev/gate"] == "dropped";
    if has_failed && is_of_event && !is_going {
        let (namespace, name) = (text("namespace"), text("name"));
        html.markup("<p>Its next attempt: <code>slipway rerun ");
        html.text(name)
            .markup(" ")
            .text(&memory.place(namespace))
            .markup("</code></p>");
        if may_write {
            let action =
                json!({"action": "rerun", "kind": "Job", "namespace": namespace, "name": name});
            html.html(&action_form(&action, "Run it again"));
        }
    }
    html.markup("</div>");
    html
}

/// A form that asks for an action, with the token that it needs.
pub(super) fn action_form(action: &Value, words: &'static str) -> Html {
    let mut html = Html::new();
    html.markup("<form data-action=\"")
        .text(&action.to_string());
    html.markup("\"><label>Token <input type=\"password\" name=\"token\" autocomplete=\"off\"></label><button>");
    html.markup(words)
        .markup("</button><output role=\"status\"></output></form>");
    html
}

/// The steps as a list, with a bar of the waits above it.
pub fn html(story: &JobStory, now: Timestamp) -> Html {
    let steps = steps(story);
    let mut html = Html::new();
    html.markup(
        "<section id=\"way\" aria-labelledby=\"way-of-it\"><h2 id=\"way-of-it\">Its way</h2>",
    );
    html.html(&bars(&steps, now));
    html.markup("<ol class=\"steps\">");
    let mut before: Option<Timestamp> = None;
    for step in &steps {
        html.markup(match (step.at, step.is_bad) {
            (None, false) => "<li class=\"open\">",
            (_, true) => "<li class=\"failed\">",
            (Some(_), false) => "<li>",
        });
        let until = step.at.unwrap_or(now);
        if let (Some(before), false) = (before, step.waited_for.is_empty()) {
            html.markup("<div class=\"wait\">")
                .text(&span(before, until));
            html.markup(if step.at.is_some() {
                " for "
            } else {
                " so far, waiting for "
            });
            html.text(step.waited_for).markup("</div>");
        }
        html.markup("<strong>")
            .text(&step.what)
            .markup("</strong> ");
        match step.at {
            Some(at) => html.moment(at),
            None => html.markup("<span class=\"wait\">not yet</span>"),
        };
        if !step.detail.is_empty() {
            html.markup("<div>")
                .shortened(&step.detail, LETTERS)
                .markup("</div>");
        }
        html.markup("</li>");
        before = step.at.or(before);
    }
    html.markup("</ol>");
    if story.pods.len() > MOST_PODS {
        html.markup("<p>")
            .text(&format!(
                "The first {MOST_PODS} of {} Pods.",
                story.pods.len()
            ))
            .markup("</p>");
    }
    if let Some(why) = &story.pods_unknown {
        html.markup("<p>Its Pods are not known: ")
            .shortened(why, LETTERS)
            .markup("</p>");
    }
    html.markup("</section>");
    html
}

/// `1.5 s`, `3 min 20 s`: what people read, of a span.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let milliseconds = to
        .as_millisecond()
        .saturating_sub(from.as_millisecond())
        .max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0 if milliseconds == 0 => "less than 1 s".to_owned(),
        0 => format!("{milliseconds} ms"),
        1..60 if milliseconds % 1000 != 0 => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long each wait was, side by side.
fn bars(steps: &[JobPathStep], now: Timestamp) -> Html {
    let mut html = Html::new();
    let moments: Vec<(Timestamp, &JobPathStep)> = steps
        .iter()
        .map(|step| (step.at.unwrap_or(now), step))
        .collect();
    let (Some((first, _)), Some((last, _))) = (moments.first(), moments.last()) else {
        return html;
    };
    let length = |from: Timestamp, to: Timestamp| {
        let milliseconds = to.as_millisecond().saturating_sub(from.as_millisecond());
        f64::from(i32::try_from(milliseconds.max(0)).unwrap_or(i32::MAX))
    };
    let whole = length(*first, *last);
    if whole <= 0.0 {
        return html;
    }
    html.markup("<svg class=\"bars\" viewBox=\"0 0 600 20\" role=\"img\" aria-label=\"");
    html.text(&format!(
        "The whole way took {}; its waits stand below",
        span(*first, *last)
    ));
    html.markup("\">");
    for pair in moments.windows(2) {
        let [(from, _), (to, step)] = pair else {
            continue;
        };
        let width = length(*from, *to) / whole * 600.0;
        if width <= 0.0 {
            continue;
        }
        html.markup("<rect y=\"2\" height=\"16\" x=\"")
            .coordinate(length(*first, *from) / whole * 600.0);
        html.markup("\" width=\"")
            .coordinate(width.max(1.0))
            .markup("\" class=\"");
        html.markup(match step.wait {
            WaitKind::Turn => "w0",
            WaitKind::Start => "w1",
            WaitKind::Work => "w2",
            WaitKind::Slipway => "w3",
        });
        html.markup("\"><title>")
            .text(&format!("{}: {}", step.waited_for, span(*from, *to)));
        html.markup("</title></rect>");
    }
    html.markup("</svg>");
    html
}

mod pod;

#[cfg(test)]
mod tests;
