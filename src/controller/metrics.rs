//! What is counted about turns.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::cycle::TurnOutcome;
use crate::launch::JobState;
use crate::resource::{Api, ObjectId, ScaledJob};

/// Counters and gauges of the loop. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    turns: Family<ByOutcome, Counter>,
    turn_seconds: Histogram,
    late_seconds: Histogram,
    last_success: Gauge,
    launches: Family<ByResult, Counter>,
    decisions: Family<ByOutcome, Counter>,
    backlog: Family<OfTrigger, Gauge<f64, AtomicU64>>,
    jobs: JobSeries,
    panics: Panics,
    /// The triggers of each object, so that their series go when it goes.
    triggers: Arc<Mutex<HashMap<OfObject, Vec<OfTrigger>>>>,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTrigger {
    namespace: String,
    kind: &'static str,
    name: String,
    trigger: String,
}

impl Metrics {
    /// Registers the loop's metrics.
    pub fn register(registry: &mut Registry) -> Self {
        // A turn is one call to a source, one count and some creates: 5 ms to 10 s.
        let turn_seconds = Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let late_seconds = Histogram::new([0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0]);
        let metrics = Self {
            turns: Family::default(),
            turn_seconds,
            late_seconds,
            last_success: Gauge::default(),
            launches: Family::default(),
            decisions: Family::default(),
            backlog: Family::default(),
            jobs: JobSeries::register(registry),
            panics: Panics::default(),
            triggers: Arc::default(),
            is_synced: Arc::default(),
            started: Instant::now(),
        };
        registry.register(
            "turns",
            "Turns by outcome: ok, failed, aborted",
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
            "How late turns of the timer began",
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
            "launches",
            "Jobs launched, by result: created, or why not",
            metrics.launches.clone(),
        );
        registry.register(
            "decisions",
            "Decisions, by outcome: launch, capped, idle",
            metrics.decisions.clone(),
        );
        registry.register(
            "backlog",
            "Units of work waiting, as last read",
            metrics.backlog.clone(),
        );
        registry.register(
            "controller_panics",
            "Tasks of objects that ended by a bug, and are tried again",
            metrics.panics.0.clone(),
        );
        metrics
    }

    /// Where tasks of objects that panic are counted.
    pub fn panics(&self) -> Panics {
        self.panics.clone()
    }

    /// Starts the clock of a turn; a turn that is dropped unfinished counts as aborted.
    pub(crate) fn turn(&self) -> Turn {
        Turn {
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

    /// Drops the series of an object that is gone, or rests.
    pub(crate) fn forget(&self, id: &ObjectId, api: Api) {
        let object = OfObject::scaled_job(id, api);
        for trigger in self.triggers().remove(&object).unwrap_or_default() {
            self.backlog.remove(&trigger);
        }
        self.jobs.forget(&object);
    }

    fn triggers(&self) -> MutexGuard<'_, HashMap<OfObject, Vec<OfTrigger>>> {
        self.triggers.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.record_backlogs(&object, outcome);
        self.launches
            .get_or_create(&ByResult { result: "created" })
            .inc_by(u64::from(outcome.launched));
        for error in &outcome.errors {
            self.launches
                .get_or_create(&ByResult {
                    result: error.reason(),
                })
                .inc();
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

    /// A trigger that cannot be read has no backlog series: an old number would look like a new one.
    fn record_backlogs(&self, object: &OfObject, outcome: &TurnOutcome) {
        if outcome.triggers.is_empty() {
            return;
        }
        let mut now = Vec::new();
        for trigger in &outcome.triggers {
            let Ok((reading, _)) = &trigger.result else {
                continue;
            };
            let labels = OfTrigger {
                namespace: object.namespace.clone(),
                kind: object.kind,
                name: object.name.clone(),
                trigger: trigger.metric_name.clone(),
            };
            self.backlog.get_or_create(&labels).set(reading.waiting());
            now.push(labels);
        }
        let mut all = self.triggers();
        let triggers = all.entry(object.clone()).or_default();
        for gone in triggers.iter().filter(|labels| !now.contains(labels)) {
            self.backlog.remove(gone);
        }
        *triggers = now;
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
pub(crate) struct Turn {
    metrics: Metrics,
    started: Instant,
    outcome: &'static str,
}

impl Turn {
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

impl Drop for Turn {
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

mod jobs;
