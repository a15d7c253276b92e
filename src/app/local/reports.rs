//! How each object stands, for those who show it and for `--until-idle`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::controller::event_jobs::status::EventJobStanding;
use crate::controller::status::{self, Observed, Report};
use crate::controller::{Identity, Reporter};
use crate::resource::{Api, Fault, KeptJson, ObjectId};

/// What became known about an object, and is not a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectNews {
    /// Its kind, in lower case: `scaledjob`, `eventjob` or `job`.
    pub kind: &'static str,
    /// Namespace and name.
    pub id: ObjectId,
    /// What keeps it from launching, or that nothing does any more.
    pub text: String,
}

/// News that a slow listener may be behind. There is one a change of an object's state.
const WAITING_NEWS: usize = 256;

/// What the latest report of each object came to.
pub struct Reports {
    latest: Mutex<HashMap<(ObjectId, Api), Summary>>,
    event_jobs: Mutex<BTreeMap<ObjectId, (String, EventJobStanding)>>,
    news: broadcast::Sender<ObjectNews>,
    stop: CancellationToken,
}

impl Reports {
    /// None yet. What stands when `stop` comes goes on standing.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            latest: Mutex::default(),
            event_jobs: Mutex::default(),
            news: broadcast::channel(WAITING_NEWS).0,
            stop,
        }
    }

    /// Every object as it stands, by namespace and name.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while the lock is held.
    pub fn all(&self) -> Vec<ObjectState> {
        let latest = self.latest.lock().expect("no panic while held");
        let standing = |((id, _), latest): (&(ObjectId, Api), &Summary)| ObjectState {
            id: id.clone(),
            backlog: latest.backlog,
            reason: latest.reason.clone(),
        };
        let mut all: Vec<_> = latest.iter().map(standing).collect();
        all.sort_by(|left, right| left.id.cmp(&right.id));
        all
    }

    /// Every EventJob, by namespace and name, and where it takes events, or why not.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while the lock is held.
    pub fn event_jobs(&self) -> Vec<(ObjectId, String)> {
        let event_jobs = self.event_jobs.lock().expect("no panic while held");
        let all = event_jobs.iter();
        all.map(|(id, (text, _))| (id.clone(), text.clone()))
            .collect()
    }

    /// Whether an EventJob takes events; `None` when nobody has looked yet.
    pub(super) fn standing(&self, id: &ObjectId) -> Option<EventJobStanding> {
        let event_jobs = self.event_jobs.lock().expect("no panic while held");
        event_jobs.get(id).map(|(_, standing)| standing.clone())
    }

    /// What a ScaledJob's status would be in a cluster; `None` before its first report.
    pub(super) fn status(&self, id: &ObjectId, api: Api) -> Option<Value> {
        let latest = self.latest.lock().expect("no panic while held");
        let latest = latest.get(&(id.clone(), api))?;
        Some(latest.status.value())
    }

    pub(super) fn set_event_job(&self, id: &ObjectId, text: String, standing: EventJobStanding) {
        let mut event_jobs = self.event_jobs.lock().expect("no panic while held");
        let before = event_jobs.insert(id.clone(), (text.clone(), standing));
        drop(event_jobs);
        if before.is_none_or(|(before, _)| before != text) {
            self.tell("eventjob", id, text);
        }
    }

    pub(super) fn drop_event_job(&self, id: &ObjectId) {
        let mut event_jobs = self.event_jobs.lock().expect("no panic while held");
        event_jobs.remove(id);
    }

    /// What there is to say about a request to an EventJob.
    pub(super) fn tell_of_event_job(&self, id: &ObjectId, text: String) {
        self.tell("eventjob", id, text);
    }

    /// What there is to say about a Job of the files.
    pub(super) fn tell_of_job(&self, id: &ObjectId, text: String) {
        self.tell("job", id, text);
    }

    fn tell(&self, kind: &'static str, id: &ObjectId, text: String) {
        let id = id.clone();
        // Nobody may be listening.
        drop(self.news.send(ObjectNews { kind, id, text }));
    }

    /// What becomes known from now on.
    pub fn news(&self) -> broadcast::Receiver<ObjectNews> {
        self.news.subscribe()
    }

    pub(super) fn drop_report(&self, id: &ObjectId, api: Api) {
        self.latest
            .lock()
            .expect("no panic while held")
            .remove(&(id.clone(), api));
    }

    /// Objects with a source that cannot be read before somebody does something about it.
    pub(super) fn stuck(&self) -> usize {
        let latest = self.latest.lock().expect("no panic while held");
        latest.values().filter(|latest| latest.is_stuck).count()
    }

    /// Whether an object's last turn found nothing to do, or nothing that it can do, and no Job unfinished.
    pub(super) fn is_idle(&self, id: &ObjectId, api: Api) -> bool {
        let latest = self.latest.lock().expect("no panic while held");
        let latest = latest.get(&(id.clone(), api));
        latest.is_some_and(|latest| latest.is_idle)
    }
}

/// What a report came to.
#[derive(Debug, Default)]
struct Summary {
    backlog: Option<f64>,
    /// The last decision's reason, or why there is none.
    reason: String,
    /// What keeps the object from launching; the faults of its text are told where it is read.
    trouble: Option<String>,
    /// Nothing to do, or nothing that can be done, and no Job unfinished.
    is_idle: bool,
    /// A source cannot be read before somebody does something about it.
    is_stuck: bool,
    /// What the status would be in a cluster.
    status: KeptJson,
}

impl Summary {
    /// `None` when the report says nothing new.
    fn of(report: &Report, before: Option<&Self>) -> Option<Self> {
        let outcome = match &report.observed {
            Observed::Paused => {
                return Some(Self {
                    reason: "paused".to_owned(),
                    trouble: Some("paused".to_owned()),
                    is_idle: true,
                    ..Self::default()
                });
            }
            Observed::Broken => {
                let text = "a bug ended the work on it".to_owned();
                return Some(Self {
                    reason: text.clone(),
                    trouble: Some(text),
                    ..Self::default()
                });
            }
            Observed::Invalid(faults) => {
                return Some(Self {
                    reason: Fault::list(faults),
                    is_idle: true,
                    ..Self::default()
                });
            }
            Observed::Turn(outcome) => outcome,
        };
        if let Some(error) = status::failure(outcome) {
            return Some(Self {
                reason: error.to_string(),
                trouble: Some(error.to_string()),
                ..Self::default()
            });
        }
        let failures = outcome.triggers.iter();
        let failures: Vec<_> = failures
            .filter_map(|trigger| trigger.result.as_ref().err())
            .collect();
        let texts = failures.iter().map(|failure| failure.message.clone());
        let errors = outcome.errors.iter().map(ToString::to_string);
        let texts: Vec<String> = texts.chain(errors).collect();
        let trouble = (!texts.is_empty()).then(|| texts.join("; "));
        let verdict = outcome.verdict.as_ref()?;
        let Some(decision) = status::decision(outcome) else {
            // No source was read: what was wrong with one still is.
            return (verdict.launch() > 0).then(|| Self {
                reason: verdict.reason().to_owned(),
                trouble: trouble.or_else(|| before?.trouble.clone()),
                ..Self::default()
            });
        };
        let mut permanent = failures.iter().map(|failure| is_permanent(failure.reason));
        let reason = failures.first().map(|failure| &failure.message);
        Some(Self {
            backlog: status::backlog(&outcome.triggers),
            reason: reason.unwrap_or(&decision.reason).clone(),
            trouble,
            is_stuck: permanent.clone().any(|permanent| permanent),
            is_idle: permanent.all(|permanent| permanent)
                && outcome.counts.is_some_and(|counts| counts.unfinished == 0)
                && (decision.launch, decision.held_back) == (0, 0),
            status: KeptJson::default(),
        })
    }
}

/// Whether trying again is of no use until somebody acts. Words of `source::Error` and `lookup::Error`.
fn is_permanent(reason: &str) -> bool {
    matches!(reason, "Forbidden" | "NotFound" | "Invalid" | "Missing")
}

/// How an object stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectState {
    /// Namespace and name.
    pub id: ObjectId,
    /// Units of work waiting; `None` when it is not known.
    pub backlog: Option<f64>,
    /// The last decision's reason, or why there is none.
    pub reason: String,
}

impl Reporter for Reports {
    fn report(&self, object: &Identity, report: Report) {
        let key = (object.id.clone(), object.api);
        let mut all = self.latest.lock().expect("no panic while held");
        let before = all.remove(&key);
        let status = before.as_ref().map(|before| before.status.value());
        let status = status::wanted(object.api, &status.unwrap_or_default(), &report);
        let Some(mut latest) = Summary::of(&report, before.as_ref()) else {
            all.extend(before.map(|before| (key, before)));
            return;
        };
        latest.status = status.into();
        let (now, before) = (latest.trouble.clone(), before.and_then(|it| it.trouble));
        all.insert(key, latest);
        drop(all);
        let text = match now {
            now if now == before => None,
            Some(now) => Some(now),
            None => Some("reads its sources again".to_owned()),
        };
        if let Some(text) = text {
            self.tell("scaledjob", &object.id, text);
        }
    }

    fn forget(&self, object: &Identity) {
        // At the end every object's task ends, and the object is not gone.
        if !self.stop.is_cancelled() {
            self.drop_report(&object.id, object.api);
        }
    }
}
