//! An object as the API server shows it: what its status says, in the page's words.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::page::html::encoded;
use crate::resource::cron_job::in_place;
use crate::resource::event_job::EventJob;
use crate::resource::{Fault, KeptJson, ObjectId};

/// Texts of a status are shown no longer. The API server keeps longer ones.
const LONGEST_TEXT: usize = 2_000;
/// Next due times that are shown of one object.
const NEXT: usize = 5;
/// An object's own text is kept no longer, its Job template left out. Unit: bytes.
const LONGEST_OBJECT: usize = 8 * 1024;

/// Which kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PageKind {
    /// A CronJob that Slipway manages in place.
    CronJob,
    /// An EventJob.
    EventJob,
    /// A ScaledJob of our own.
    ScaledJob,
    /// A ScaledJob of KEDA's, managed in place.
    KedaScaledJob,
}

impl PageKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::CronJob,
        Self::EventJob,
        Self::ScaledJob,
        Self::KedaScaledJob,
    ];

    /// As metrics and addresses have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob",
            Self::EventJob => "EventJob",
            Self::ScaledJob => "ScaledJob",
            Self::KedaScaledJob => "ScaledJob.keda.sh",
        }
    }

    /// What a word means, in whatever case.
    pub fn parse(word: &str) -> Option<Self> {
        let all = Self::ALL.into_iter();
        all.into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(word))
    }

    /// What `kubectl` calls it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::CronJob => "cronjob",
            Self::EventJob => "eventjob.slipway.dev",
            Self::ScaledJob => "scaledjob.slipway.dev",
            Self::KedaScaledJob => "scaledjob.keda.sh",
        }
    }
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey {
    /// Namespace and name.
    pub id: ObjectId,
    /// Its kind.
    pub kind: PageKind,
}

impl PageKey {
    /// Of an object with `apiVersion`, `kind` and `metadata`; `None` for a kind that is not ours.
    pub fn of(object: &Value) -> Option<Self> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let kind = match (object["kind"].as_str()?, api_version.split('/').next()?) {
            ("EventJob", _) => PageKind::EventJob,
            ("CronJob", _) => PageKind::CronJob,
            ("ScaledJob", "keda.sh") => PageKind::KedaScaledJob,
            ("ScaledJob", _) => PageKind::ScaledJob,
            _ => return None,
        };
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str();
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        Some(Self {
            id: ObjectId::new(namespace.unwrap_or("default"), metadata["name"].as_str()?),
            kind,
        })
    }

    /// The address of its page.
    pub fn path(&self) -> String {
        let Self { id, kind } = self;
        let [namespace, name] = [encoded(&id.namespace), encoded(&id.name)];
        format!("/objects/{}/{namespace}/{name}", kind.word())
    }
}

/// How an object stands, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PageState {
    /// It does not work until somebody acts.
    Wrong,
    /// It is not known how it stands, or a part of it does not work.
    Unclear,
    /// It has work.
    Busy,
    /// It has none.
    Quiet,
    /// Somebody paused it.
    Paused,
}

impl PageState {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Unclear => "unclear",
            Self::Busy => "busy",
            Self::Quiet => "quiet",
            Self::Paused => "paused",
        }
    }

    /// Whether somebody should look.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Wrong | Self::Unclear)
    }
}

/// One object, as its spec and status say.
#[derive(Debug, Clone, PartialEq)]
pub struct PageObject {
    /// Which.
    pub key: PageKey,
    /// How it stands.
    pub state: PageState,
    /// One word: a reason of its conditions, or empty.
    pub reason: String,
    /// Why it stands so, in words.
    pub words: String,
    /// Units of work waiting; `None` when it is not known, or counts none.
    pub backlog: Option<f64>,
    /// Unfinished Jobs, as the status has them.
    pub running: Option<u64>,
    /// Jobs that wait for their turn, as the status has them.
    pub waiting: Option<u64>,
    /// Unfinished Jobs at most; `None` where nothing limits them.
    pub cap: Option<u64>,
    /// What brings work: types of triggers, the webhook, a queue, a schedule.
    pub source: String,
    /// When a Job was last made for it.
    pub last_launch: Option<Timestamp>,
    /// When the last decision was made.
    pub decided_at: Option<Timestamp>,
    /// The next due times, the nearest first.
    pub next: Vec<Timestamp>,
    /// The object, its Job template left out.
    pub written: KeptJson,
}

impl PageObject {
    /// What an object says. `None` when it is of no kind of ours.
    pub fn of(object: &Value) -> Option<Self> {
        let key = PageKey::of(object)?;
        let (spec, status) = (&object["spec"], &object["status"]);
        let standing = match key.kind {
            PageKind::ScaledJob | PageKind::KedaScaledJob => scaled_job(spec, status, object),
            PageKind::EventJob => event_job(spec, status),
            PageKind::CronJob => cron_job(object),
        };
        let number = |value: &Value| value.as_u64();
        let last_launch = match key.kind {
            PageKind::EventJob | PageKind::CronJob => &status["lastEventTime"],
            _ => &status["lastLaunchTime"],
        };
        let schedule = status["schedule"]["next"].as_array();
        let first = moment(&status["nextScheduleTime"]);
        let next: Vec<_> = schedule.into_iter().flatten().filter_map(moment).collect();
        Some(Self {
            state: standing.state,
            reason: standing.reason,
            words: cut(&standing.words),
            backlog: status["backlog"].as_f64(),
            running: number(&status["runningJobs"]).or_else(|| match &status["active"] {
                Value::Array(active) => u64::try_from(active.len()).ok(),
                active => number(active),
            }),
            waiting: number(&status["waiting"]),
            cap: cap(key.kind, spec),
            source: source(spec),
            last_launch: moment(last_launch).or_else(|| moment(&status["lastScheduleTime"])),
            decided_at: moment(&status["lastDecision"]["time"]),
            next: if next.is_empty() {
                first.into_iter().collect()
            } else {
                next
            },
            written: written(object),
            key,
        })
    }

    /// As it stands with so many Jobs that run. Of a CronJob in place its status does not say that.
    #[must_use]
    pub fn counting(mut self, running: u64) -> Self {
        let is_calm = matches!(self.state, PageState::Quiet | PageState::Busy);
        if self.key.kind == PageKind::CronJob && is_calm {
            (self.state, self.words) = match running {
                0 => (PageState::Quiet, WAITS_FOR_DUE_TIME.to_owned()),
                1 => (PageState::Busy, "1 of its Jobs runs".to_owned()),
                _ => (PageState::Busy, format!("{running} of its Jobs run")),
            };
        }
        self
    }

    /// Whether it lists next due times.
    pub fn is_scheduled(&self) -> bool {
        !self.next.is_empty()
    }
}

/// How an object stands, and why.
struct Found {
    state: PageState,
    reason: String,
    words: String,
}

fn standing(state: PageState, reason: impl Into<String>, words: impl Into<String>) -> Found {
    let (reason, words) = (reason.into(), words.into());
    Found {
        state,
        reason,
        words,
    }
}

/// A condition's status, reason and message; empty where there is none.
fn condition<'a>(status: &'a Value, kind: &str) -> (&'a str, &'a str, &'a str) {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let condition = conditions.find(|condition| condition["type"] == kind);
    let text = |field: &str| {
        let value = condition.and_then(|condition| condition[field].as_str());
        value.unwrap_or_default()
    };
    (text("status"), text("reason"), text("message"))
}

/// What a schedule without work says.
const WAITS_FOR_DUE_TIME: &str = "it waits for its next due time";
/// What an object without a status says.
const NOBODY_LOOKED: &str = "nobody has looked at it yet: its status is empty";

fn scaled_job(spec: &Value, status: &Value, object: &Value) -> Found {
    let (ready, reason, message) = condition(status, "Ready");
    let annotations = &object["metadata"]["annotations"];
    let is_paused = condition(status, "Paused").0 == "True"
        || (object["apiVersion"]
            .as_str()
            .unwrap_or_default()
            .starts_with("slipway.dev")
            && annotations["autoscaling.keda.sh/paused"] == "true");
    let decision = &status["lastDecision"];
    let decided = decision["reason"].as_str().unwrap_or_default();
    let errors = || {
        let triggers = decision["triggers"].as_array().into_iter().flatten();
        let texts = triggers.filter_map(|trigger| {
            let name = trigger["name"].as_str().unwrap_or_default();
            Some(format!("{name}: {}", trigger["error"].as_str()?))
        });
        texts.collect::<Vec<_>>().join("; ")
    };
    match ready {
        "False" | "Unknown" => {
            let state = match ready {
                "False" => PageState::Wrong,
                _ => PageState::Unclear,
            };
            // Which trigger, and why, stands in the decision.
            let words =
                Some(errors()).filter(|errors| reason.contains("Trigger") && !errors.is_empty());
            standing(state, reason, words.unwrap_or_else(|| message.to_owned()))
        }
        _ if is_paused => standing(
            PageState::Paused,
            "Paused",
            "it is paused: nothing is read or launched",
        ),
        "" => standing(PageState::Unclear, "NoStatus", NOBODY_LOOKED),
        _ => {
            let is_active = condition(status, "Active").0 == "True";
            let runs = status["runningJobs"].as_u64().unwrap_or_default() > 0;
            let state = if is_active || runs {
                PageState::Busy
            } else {
                PageState::Quiet
            };
            let words = match decided {
                "" if spec["triggers"].is_null() => message,
                "" => "it was read, and nothing is decided yet",
                decided => decided,
            };
            standing(state, "", words)
        }
    }
}

fn event_job(spec: &Value, status: &Value) -> Found {
    let (ready, reason, message) = condition(status, "Ready");
    let (launching, why, trouble) = condition(status, "Launching");
    let is_suspended = condition(status, "Suspended").0 == "True" || spec["suspend"] == true;
    let busy = |field: &str| match &status[field] {
        Value::Array(list) => !list.is_empty(),
        number => number.as_u64().unwrap_or_default() > 0,
    };
    match ready {
        "False" => standing(PageState::Wrong, reason, message),
        "Unknown" => standing(PageState::Unclear, reason, message),
        _ if is_suspended => standing(
            PageState::Paused,
            "Suspended",
            "it is suspended: events are answered 503 and come again, due times are not made",
        ),
        "" => standing(PageState::Unclear, "NoStatus", NOBODY_LOOKED),
        _ if launching == "False" => standing(PageState::Unclear, why, trouble),
        _ => {
            let is_busy = busy("active") || busy("waiting");
            let state = if is_busy {
                PageState::Busy
            } else {
                PageState::Quiet
            };
            let decision = &status["lastDecision"];
            let decided = decision["reason"].as_str();
            let words = match (decision["result"].as_str(), decided) {
                (Some(result), Some(decided)) => format!("last event: {result}: {decided}"),
                _ if is_busy => {
                    let count = |field: &str| status[field].as_u64().unwrap_or_default();
                    let (active, waiting) = (count("active"), count("waiting"));
                    format!("{active} of its Jobs run, {waiting} wait for their turn")
                }
                _ if !status["nextScheduleTime"].is_null() => WAITS_FOR_DUE_TIME.to_owned(),
                _ => "it waits for events".to_owned(),
            };
            standing(state, "", words)
        }
    }
}

/// A CronJob in place. Nobody writes into its status how it stands, so that is found out as whoever runs it does.
fn cron_job(object: &Value) -> Found {
    match in_place(object) {
        Err(faults) => standing(PageState::Wrong, "Invalid", Fault::list(&faults)),
        Ok(event_job) if event_job.suspend => standing(
            PageState::Paused,
            "Paused",
            "it is paused: due times are not made",
        ),
        Ok(_) => standing(PageState::Quiet, "", WAITS_FOR_DUE_TIME),
    }
}

/// The next due times of a CronJob in place, the nearest first: its status has no place for them.
pub fn next_times(cron_job: &Value, now: Timestamp) -> Vec<Timestamp> {
    let event_job = in_place(cron_job).ok();
    let event_job = event_job.filter(|event_job| !event_job.suspend);
    let cron = event_job.as_ref().and_then(EventJob::cron);
    let due = cron.map(|cron| cron.schedule.due_between(now, Timestamp::MAX).take(NEXT));
    due.into_iter().flatten().collect()
}

fn cap(kind: PageKind, spec: &Value) -> Option<u64> {
    match kind {
        // KEDA's default.
        PageKind::ScaledJob | PageKind::KedaScaledJob => {
            Some(spec["maxReplicaCount"].as_u64().unwrap_or(100))
        }
        PageKind::EventJob => match spec["concurrencyPolicy"].as_str() {
            None | Some("Allow") => None,
            Some(_) => Some(spec["concurrency"]["limit"].as_u64().unwrap_or(1)),
        },
        PageKind::CronJob => None,
    }
}

/// What brings work, in a few words.
fn source(spec: &Value) -> String {
    if let Some(triggers) = spec["triggers"].as_array() {
        let types = triggers
            .iter()
            .filter_map(|trigger| trigger["type"].as_str());
        return types.collect::<Vec<_>>().join(", ");
    }
    let source = &spec["source"];
    if let Some(schedule) = spec["schedule"].as_str() {
        let zone = spec["timeZone"].as_str().unwrap_or("UTC");
        return format!("schedule {schedule} {zone}");
    }
    let Some((name, settings)) = source.as_object().and_then(|source| source.iter().next()) else {
        return String::new();
    };
    match name.as_str() {
        "cron" => {
            let one = settings["schedule"].as_str().map(str::to_owned);
            let many = settings["schedules"].as_array().into_iter().flatten();
            let many: Vec<_> = many.filter_map(Value::as_str).collect();
            let zone = settings["timeZone"].as_str().unwrap_or("UTC");
            format!(
                "schedule {} {zone}",
                one.unwrap_or_else(|| many.join(" and "))
            )
        }
        "webhook" => format!(
            "webhook {}",
            settings["format"].as_str().unwrap_or("EventBridge")
        ),
        name => name.to_owned(),
    }
}

pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn cut(text: &str) -> String {
    let end = text.char_indices().nth(LONGEST_TEXT);
    text[..end.map_or(text.len(), |(end, _)| end)].to_owned()
}

/// The object without its Job template and without what only `kubectl` reads. Of one that is still too long, the status.
fn written(object: &Value) -> KeptJson {
    let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
    spec.retain(|field, _| field != "jobTemplate" && field != "jobTargetRef");
    let metadata = object["metadata"].as_object().cloned().unwrap_or_default();
    let kept = [
        "name",
        "namespace",
        "uid",
        "generation",
        "creationTimestamp",
    ];
    let metadata: Map<_, _> = metadata
        .into_iter()
        .filter(|(field, _)| kept.contains(&field.as_str()))
        .collect();
    let whole = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": metadata, "spec": spec, "status": object["status"],
    });
    if whole.to_string().len() <= LONGEST_OBJECT {
        return whole.into();
    }
    let mut status = object["status"].as_object().cloned().unwrap_or_default();
    status.retain(|_, value| value.to_string().len() <= LONGEST_TEXT);
    let metadata = &whole["metadata"];
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata, "status": status}).into()
}

#[cfg(test)]
mod tests;
