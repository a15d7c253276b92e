//! What is counted about turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::cycle::{TurnOutcome, Verdict};
use crate::launch::JobState;
use crate::resource::{Api, ObjectId, ScaledJob};

/// Counters and gauges of the loop. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    turns: Family<ByOutcome, Counter>,
    turn_seconds: Histogram,
    late_seconds: Histogram,
    last_success: Gauge,
    launches: Launches,
    decisions: Family<ByOutcome, Counter>,
    jobs: JobSeries,
    panics: Panics,
    is_synced: Arc<AtomicBool>,
    started: Instant,
}

/// Counts tasks of objects that ended by a bug. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Panics(Counter);

impl Panics {
    /// Another one did.
    pub(super) fn count(&self) {
        self.0.inc();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

impl Metrics {
    /// Registers the loop's metrics.
    pub fn register(registry: &mut Registry) -> Self {
        // A turn is one call to a source, one count and some creates: 5 ms to 10 s.
        let turn_seconds = Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let late_seconds = Histogram::new([0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0]);
        let jobs = JobSeries::register(registry);
        let metrics = Self {
            turns: Family::default(),
            turn_seconds,
            late_seconds,
            last_success: Gauge::default(),
            launches: jobs.launches(),
            decisions: Family::default(),
            jobs,
            panics: Panics::default(),
            is_synced: Arc::default(),
            started: Instant::now(),
        };
        registry.register(
            "turns",
            "Looks at a ScaledJob: ok, failed, aborted",
            metrics.turns.clone(),
        );
        registry.register_with_unit(
            "turn",
            "How long turns take",
            Unit::Seconds,
            metrics.turn_seconds.clone(),
        );
        registry.register_with_unit(
            "turn_late",
            "How late turns of the timer began: the lag of the loop over ScaledJobs",
            Unit::Seconds,
            metrics.late_seconds.clone(),
        );
        registry.register_with_unit(
            "turn_last_success_uptime",
            "Uptime of the process when a turn last succeeded",
            Unit::Seconds,
            metrics.last_success.clone(),
        );
        registry.register(
            "decisions",
            "Decisions over ScaledJobs: launch, capped, idle",
            metrics.decisions.clone(),
        );
        registry.register(
            "controller_panics",
            "Tasks of objects that ended by a bug; the object says InternalError, and is tried again",
            metrics.panics.0.clone(),
        );
        metrics
    }

    /// Where tasks of objects that panic are counted.
    pub fn panics(&self) -> Panics {
        self.panics.clone()
    }

    /// Starts the clock of a turn; a turn that is dropped unfinished counts as aborted.
    pub(crate) fn turn(&self) -> TimedTurn {
        TimedTurn {
            metrics: self.clone(),
            started: Instant::now(),
            outcome: "aborted",
        }
    }

    /// A turn of the timer began, this late.
    pub(crate) fn late(&self, late: Duration) {
        self.late_seconds.observe(late.as_secs_f64());
    }

    /// Everything there was at the start has been read.
    pub(crate) fn synced(&self) {
        self.is_synced.store(true, Ordering::Release);
    }

    /// Whether everything there was at the start has been read.
    pub fn is_synced(&self) -> bool {
        self.is_synced.load(Ordering::Acquire)
    }

    /// Series of Jobs, for all kinds of objects.
    pub fn jobs(&self) -> JobSeries {
        self.jobs.clone()
    }

    /// Launches, of all kinds of objects.
    pub fn launches(&self) -> Launches {
        self.launches.clone()
    }

    /// Drops the series of an object that is gone, or rests.
    pub(crate) fn forget(&self, id: &ObjectId, api: Api) {
        let object = OfObject::scaled_job(id, api);
        self.jobs.forget(&object);
        self.launches.forget(&object);
    }

    fn record(&self, scaled_job: &ScaledJob, outcome: &TurnOutcome) {
        let object = OfObject::scaled_job(&scaled_job.id, scaled_job.api);
        if let Some(counts) = outcome.counts {
            self.jobs.running(&object, i64::from(counts.unfinished));
            if scaled_job.policy.strategy.counts_pending() {
                self.jobs.pending(&object, i64::from(counts.pending));
            }
        }
        if let Ok(jobs) = &outcome.jobs {
            self.jobs.ended(&object, jobs.iter().filter_map(ended));
        }
        if !outcome.triggers.is_empty() {
            let read = outcome.triggers.iter().map(|trigger| {
                let reading = trigger.result.as_ref().ok();
                let waiting = reading.map(|(reading, _)| reading.waiting());
                (trigger.metric_name.clone(), waiting)
            });
            self.jobs.triggers(&object, read.collect());
        }
        let created = u64::from(outcome.launched);
        self.launches.count(&object, "created", created);
        for error in &outcome.errors {
            self.launches.count(&object, error.reason(), 1);
        }
        if let Some(Verdict::Decided(decision)) = &outcome.verdict {
            self.jobs.active(&object, decision.active);
        }
        if let Some(verdict) = &outcome.verdict {
            let what = match (verdict.launch(), verdict.held_back()) {
                (_, 1..) => "capped",
                (1.., 0) => "launch",
                (0, 0) => "idle",
            };
            self.decisions
                .get_or_create(&ByOutcome { outcome: what })
                .inc();
        }
    }
}

fn ended(job: &JobState) -> Option<EndedJob<'_>> {
    Some(EndedJob {
        name: &job.name,
        outcome: job.outcome?,
        reason: job.end_reason,
        created_at: job.created_at,
        ended_at: job.finished_at,
    })
}

/// A turn being timed.
pub(crate) struct TimedTurn {
    metrics: Metrics,
    started: Instant,
    outcome: &'static str,
}

impl TimedTurn {
    /// Records what the turn came to.
    pub(crate) fn done(mut self, scaled_job: &ScaledJob, outcome: &TurnOutcome) {
        let failed = outcome.jobs.is_err()
            || !outcome.errors.is_empty()
            || outcome
                .triggers
                .iter()
                .any(|trigger| trigger.result.is_err());
        self.outcome = if failed { "failed" } else { "ok" };
        if !failed {
            let uptime =
                i64::try_from(self.metrics.started.elapsed().as_secs()).unwrap_or(i64::MAX);
            self.metrics.last_success.set(uptime);
        }
        self.metrics.record(scaled_job, outcome);
    }
}

impl Drop for TimedTurn {
    fn drop(&mut self) {
        self.metrics
            .turns
            .get_or_create(&ByOutcome {
                outcome: self.outcome,
            })
            .inc();
        self.metrics
            .turn_seconds
            .observe(self.started.elapsed().as_secs_f64());
    }
}

pub use self::jobs::JobSeries;
pub(in crate::controller) use self::jobs::{EndedJob, OfObject};
pub use self::launches::Launches;
pub(in crate::controller) use self::success::{SuccessTimes, interval_around};

mod jobs;
mod launches;
mod success;
mod table;
