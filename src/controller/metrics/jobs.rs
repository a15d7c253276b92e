//! Series of the Jobs of an object, of whichever kind: how many there are, how many ended, how long they took.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::launch::{END_REASONS, JobOutcome, end_reason};
use crate::resource::{Api, ObjectId};

/// The labels of an object's series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::controller) struct OfObject {
    pub(super) namespace: String,
    pub(super) kind: &'static str,
    pub(super) name: String,
}

impl OfObject {
    /// Of a ScaledJob, ours or KEDA's.
    pub(in crate::controller) fn scaled_job(id: &ObjectId, api: Api) -> Self {
        let kind = match api {
            Api::Slipway => "ScaledJob",
            Api::Keda => "ScaledJob.keda.sh",
        };
        Self::of(id, kind)
    }

    /// Of an EventJob.
    pub(in crate::controller) fn event_job(id: &ObjectId) -> Self {
        Self::of(id, "EventJob")
    }

    fn of(id: &ObjectId, kind: &'static str) -> Self {
        Self {
            namespace: id.namespace.clone(),
            kind,
            name: id.name.clone(),
        }
    }

    fn ended(&self, outcome: JobOutcome) -> OfEnded {
        OfEnded {
            object: self.clone(),
            outcome: match outcome {
                JobOutcome::Complete => "complete",
                JobOutcome::Failed => "failed",
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnded {
    #[prometheus(flatten)]
    object: OfObject,
    outcome: &'static str,
}

/// The same, with why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFinished {
    #[prometheus(flatten)]
    ended: OfEnded,
    reason: &'static str,
}

/// A Job that has ended.
pub(in crate::controller) struct EndedJob<'a> {
    pub(in crate::controller) name: &'a str,
    pub(in crate::controller) outcome: JobOutcome,
    /// From [`END_REASONS`].
    pub(in crate::controller) reason: &'static str,
    pub(in crate::controller) created_at: Option<Timestamp>,
    pub(in crate::controller) ended_at: Option<Timestamp>,
}

/// The series. Clones share them.
#[derive(Clone)]
pub struct JobSeries {
    running: Family<OfObject, Gauge>,
    pending: Family<OfObject, Gauge>,
    waiting: Family<OfObject, Gauge>,
    ended: Family<OfFinished, Counter>,
    seconds: Family<OfEnded, Histogram>,
    /// Of each object the names of ended Jobs that are still there, each counted once.
    known: Arc<Mutex<HashMap<OfObject, HashSet<String>>>>,
}

impl JobSeries {
    /// Registers them.
    pub(super) fn register(registry: &mut Registry) -> Self {
        // From a script to a day's work.
        let seconds =
            || Histogram::new([1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0]);
        let series = Self {
            running: Family::default(),
            pending: Family::default(),
            waiting: Family::default(),
            ended: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            known: Arc::default(),
        };
        registry.register(
            "jobs_running",
            "Unfinished Jobs that may run, as last counted",
            series.running.clone(),
        );
        registry.register(
            "jobs_pending",
            "Those of them without a running Pod, counted by strategies that look at them",
            series.pending.clone(),
        );
        registry.register(
            "jobs_waiting",
            "Jobs of events that wait for their turn",
            series.waiting.clone(),
        );
        registry.register(
            "jobs_finished",
            "Jobs that finished, by outcome (complete, failed) and the reason of its condition",
            series.ended.clone(),
        );
        registry.register_with_unit(
            "job_duration",
            "From a Job's creation to its end",
            Unit::Seconds,
            series.seconds.clone(),
        );
        series
    }

    /// How many run, or are about to.
    pub(in crate::controller) fn running(&self, object: &OfObject, count: i64) {
        self.running.get_or_create(object).set(count);
    }

    /// How many of them have no running Pod.
    pub(in crate::controller) fn pending(&self, object: &OfObject, count: i64) {
        self.pending.get_or_create(object).set(count);
    }

    /// How many wait for their turn.
    pub(in crate::controller) fn waiting(&self, object: &OfObject, count: i64) {
        self.waiting.get_or_create(object).set(count);
    }

    /// All Jobs of an object that have ended and are there. Those of the first look are not counted: another process has
    /// counted them.
    pub(in crate::controller) fn ended<'a>(
        &self,
        object: &OfObject,
        jobs: impl Iterator<Item = EndedJob<'a>>,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.remove(object);
        let mut now = HashSet::new();
        for job in jobs {
            let is_new = |before: &HashSet<String>| !before.contains(job.name);
            if before.as_ref().is_some_and(is_new) {
                let labels = object.ended(job.outcome);
                let finished = OfFinished {
                    ended: labels.clone(),
                    reason: end_reason(job.reason),
                };
                self.ended.get_or_create(&finished).inc();
                if let (Some(from), Some(to)) = (job.created_at, job.ended_at) {
                    let seconds = to.duration_since(from).as_secs_f64().max(0.0);
                    self.seconds.get_or_create(&labels).observe(seconds);
                }
            }
            now.insert(job.name.to_owned());
        }
        known.insert(object.clone(), now);
    }

    /// Drops the series of an object that is gone, rests, or is another process's now.
    pub(in crate::controller) fn forget(&self, object: &OfObject) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(object);
        for family in [&self.running, &self.pending, &self.waiting] {
            family.remove(object);
        }
        for outcome in [JobOutcome::Complete, JobOutcome::Failed] {
            let ended = object.ended(outcome);
            for reason in END_REASONS {
                let ended = ended.clone();
                self.ended.remove(&OfFinished { ended, reason });
            }
            self.seconds.remove(&ended);
        }
    }
}
