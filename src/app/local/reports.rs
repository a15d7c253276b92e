//! How each object stands, for those who show it and for `--until-idle`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use futures::future::BoxFuture;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::controller::status::{self, Failure, Report, Turn};
use crate::controller::{Identity, Reporter};
use crate::resource::{Api, ObjectId};

/// What became known about an object, and is not a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Its kind, in lower case: `scaledjob` or `eventjob`.
    pub kind: &'static str,
    /// Namespace and name.
    pub id: ObjectId,
    /// What keeps it from launching, or that nothing does any more.
    pub text: String,
}

/// News that a slow listener may be behind. There is one a change of an object's state.
const WAITING_NEWS: usize = 256;

/// The latest report of each object.
pub struct Reports {
    latest: Mutex<HashMap<(ObjectId, Api), Report>>,
    event_jobs: Mutex<BTreeMap<ObjectId, String>>,
    news: broadcast::Sender<News>,
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
    pub fn all(&self) -> Vec<Standing> {
        let latest = self.latest.lock().expect("no panic while held");
        let mut all: Vec<_> = latest
            .iter()
            .map(|((id, _), report)| standing(id, report))
            .collect();
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
        all.map(|(id, text)| (id.clone(), text.clone())).collect()
    }

    pub(super) fn set_event_job(&self, id: &ObjectId, text: String) {
        let mut event_jobs = self.event_jobs.lock().expect("no panic while held");
        let before = event_jobs.insert(id.clone(), text.clone());
        drop(event_jobs);
        if before.as_ref() != Some(&text) {
            let (kind, id) = ("eventjob", id.clone());
            // Nobody may be listening.
            drop(self.news.send(News { kind, id, text }));
        }
    }

    pub(super) fn drop_event_job(&self, id: &ObjectId) {
        let mut event_jobs = self.event_jobs.lock().expect("no panic while held");
        event_jobs.remove(id);
    }

    /// What becomes known from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
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
        latest.values().filter(|report| is_stuck(report)).count()
    }

    /// Whether an object's last turn found nothing to do, or nothing that it can do, and no Job unfinished.
    pub(super) fn is_idle(&self, id: &ObjectId, api: Api) -> bool {
        let latest = self.latest.lock().expect("no panic while held");
        match latest.get(&(id.clone(), api)).map(|report| &report.turn) {
            Some(Turn::Polled(poll)) => {
                poll.counts.unfinished == 0
                    && poll.decision.launch == 0
                    && poll.decision.held_back == 0
                    && poll.triggers.iter().all(|trigger| match &trigger.result {
                        Ok(_) => true,
                        Err(failure) => is_permanent(failure),
                    })
            }
            Some(Turn::Paused | Turn::Invalid(_)) => true,
            _ => false,
        }
    }
}

/// Whether trying again is of no use until somebody acts. Words of `source::Error` and `lookup::Error`.
fn is_permanent(failure: &Failure) -> bool {
    matches!(
        failure.reason,
        "Forbidden" | "NotFound" | "Invalid" | "Missing"
    )
}

fn is_stuck(report: &Report) -> bool {
    let Turn::Polled(poll) = &report.turn else {
        return false;
    };
    let failures = poll.triggers.iter().map(|trigger| trigger.result.as_ref());
    failures.filter_map(Result::err).any(is_permanent)
}

/// What keeps an object from launching, in words; the faults of its text are told where it is read.
fn trouble(report: &Report) -> Option<String> {
    let texts: Vec<&str> = match &report.turn {
        Turn::Paused => return Some("paused".to_owned()),
        Turn::Broken => return Some("a bug ended the work on it".to_owned()),
        Turn::Failed(failure) => vec![&failure.text],
        Turn::Polled(poll) => poll
            .triggers
            .iter()
            .filter_map(|trigger| trigger.result.as_ref().err())
            .chain(&poll.launch_errors)
            .map(|failure| failure.text.as_str())
            .collect(),
        Turn::ToppedUp(top_up) => {
            let failures = top_up.launch_errors.iter();
            failures.map(|failure| failure.text.as_str()).collect()
        }
        Turn::Accepted | Turn::Invalid(_) => Vec::new(),
    };
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// How an object stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Namespace and name.
    pub id: ObjectId,
    /// Units of work waiting; `None` when it is not known.
    pub backlog: Option<f64>,
    /// The last decision's reason, or why there is none.
    pub reason: String,
}

fn standing(id: &ObjectId, report: &Report) -> Standing {
    let (backlog, reason) = match &report.turn {
        Turn::Polled(poll) => {
            let failure = poll
                .triggers
                .iter()
                .find_map(|trigger| trigger.result.as_ref().err());
            let reason = failure.map_or(&poll.decision.reason, |failure| &failure.text);
            (status::backlog(&poll.triggers), reason.clone())
        }
        Turn::ToppedUp(top_up) => (None, top_up.reason.clone()),
        Turn::Failed(failure) => (None, failure.text.clone()),
        Turn::Invalid(faults) => (
            None,
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        ),
        Turn::Paused => (None, "paused".to_owned()),
        Turn::Broken => (None, "a bug ended the work on it".to_owned()),
        Turn::Accepted => (None, "not read yet".to_owned()),
    };
    Standing {
        id: id.clone(),
        backlog,
        reason,
    }
}

impl Reporter for Reports {
    fn report<'a>(&'a self, object: &'a Identity, report: Report) -> BoxFuture<'a, ()> {
        let key = (object.id.clone(), object.api);
        let now = trouble(&report);
        let known = !matches!(report.turn, Turn::Accepted | Turn::ToppedUp(_));
        let mut latest = self.latest.lock().expect("no panic while held");
        let before = latest.insert(key, report);
        drop(latest);
        let before = before.as_ref().and_then(trouble);
        let text = match (before, now) {
            (before, Some(now)) => (before.as_ref() != Some(&now)).then_some(now),
            (Some(_), None) if known => Some("reads its sources again".to_owned()),
            (_, None) => None,
        };
        if let Some(text) = text {
            let id = object.id.clone();
            // Nobody may be listening.
            let kind = "scaledjob";
            drop(self.news.send(News { kind, id, text }));
        }
        Box::pin(std::future::ready(()))
    }

    fn forget(&self, object: &Identity) {
        // At the end every object's task ends, and the object is not gone.
        if !self.stop.is_cancelled() {
            self.drop_report(&object.id, object.api);
        }
    }
}
