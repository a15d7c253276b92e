//! Series of the Jobs of an object, of whichever kind: how many there are, how many ended, how long they took.

use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::launches::Launches;
use super::success::SuccessTimes;
use super::table::{SeriesOfObject, SeriesTable};
use crate::launch::{END_REASONS, JobOutcome, end_reason};
use crate::resource::{Api, ObjectId};

/// The labels of an object's series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::controller) struct OfObject {
    pub(super) namespace: Arc<str>,
    pub(super) kind: &'static str,
    pub(super) name: Arc<str>,
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

    /// Of one of this kind.
    pub(in crate::controller) fn of(id: &ObjectId, kind: &'static str) -> Self {
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
    table: SeriesTable,
    ended: Family<OfFinished, Counter>,
    seconds: Family<OfEnded, Histogram>,
}

impl JobSeries {
    /// Registers them.
    pub(super) fn register(registry: &mut Registry) -> Self {
        // From a script to a day's work.
        let seconds =
            || Histogram::new([1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0]);
        let series = Self {
            table: SeriesTable::default(),
            ended: Family::default(),
            seconds: Family::new_with_constructor(seconds),
        };
        registry.register_collector(Box::new(series.table.clone()));
        registry.register(
            "jobs_finished",
            "Jobs that finished: complete or failed, and why: the condition's reason, such as BackoffLimitExceeded, or Other",
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

    /// What came of the launches of the same objects.
    pub(super) fn launches(&self) -> Launches {
        Launches::of(&self.table)
    }

    /// How many run, or are about to.
    pub(in crate::controller) fn running(&self, object: &OfObject, count: i64) {
        self.table.change(object, |of| of.running = Some(count));
    }

    /// How many of them have no running Pod.
    pub(in crate::controller) fn pending(&self, object: &OfObject, count: i64) {
        self.table.change(object, |of| of.pending = Some(count));
    }

    /// How many wait for their turn.
    pub(in crate::controller) fn waiting(&self, object: &OfObject, count: i64) {
        self.table.change(object, |of| of.waiting = Some(count));
    }

    /// All Jobs of an object that have ended and are there. Those of the first look are not counted: another process has
    /// counted them.
    pub(in crate::controller) fn ended<'a>(
        &self,
        object: &OfObject,
        jobs: impl Iterator<Item = EndedJob<'a>>,
    ) {
        let jobs: Vec<_> = jobs.collect();
        let now = jobs.iter().map(|job| job.name.to_owned()).collect();
        let mut before = None;
        self.table
            .change(object, |of| before = of.ended.replace(now));
        let Some(before) = before else { return };
        for job in jobs {
            if !before.contains(job.name) {
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
        }
    }

    /// Units of work that wait, of each trigger; `None` for one that cannot be read.
    pub(super) fn triggers(&self, object: &OfObject, triggers: Box<[(String, Option<f64>)]>) {
        self.table.change(object, |of| of.triggers = triggers);
    }

    /// Whether the last decision saw work.
    pub(super) fn active(&self, object: &OfObject, is_active: bool) {
        let active = Some(is_active.into());
        self.table.change(object, |of| of.active = active);
    }

    /// When its Jobs succeed.
    pub(in crate::controller) fn success(&self, object: &OfObject, times: SuccessTimes) {
        self.table.change(object, |of| of.success = times);
    }

    /// Drops the series of an object that is gone, rests, or is another process's now.
    pub(in crate::controller) fn forget(&self, object: &OfObject) {
        self.table.forget(object, |of| {
            let launches = std::mem::take(&mut of.launches);
            *of = SeriesOfObject {
                launches,
                ..SeriesOfObject::default()
            };
        });
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
