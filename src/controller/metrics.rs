//! What is counted about turns.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::cycle::Outcome;
use crate::resource::{ObjectId, ScaledJob};

/// Counters and gauges of the loop. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    turns: Family<ByOutcome, Counter>,
    turn_seconds: Histogram,
    last_success: Gauge,
    launches: Family<ByResult, Counter>,
    decisions: Family<ByOutcome, Counter>,
    backlog: Family<OfTrigger, Gauge<f64, AtomicU64>>,
    running: Family<OfObject, Gauge>,
    pending: Family<OfObject, Gauge>,
    series: Arc<Mutex<HashMap<ObjectId, Vec<OfTrigger>>>>,
    is_synced: Arc<AtomicBool>,
    started: Instant,
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
struct OfObject {
    namespace: String,
    scaled_job: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTrigger {
    namespace: String,
    scaled_job: String,
    trigger: String,
}

impl Metrics {
    /// Registers the loop's metrics.
    pub fn register(registry: &mut Registry) -> Self {
        // A turn is one call to a source, one count and some creates: 5 ms to 10 s.
        let turn_seconds = Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let metrics = Self {
            turns: Family::default(),
            turn_seconds,
            last_success: Gauge::default(),
            launches: Family::default(),
            decisions: Family::default(),
            backlog: Family::default(),
            running: Family::default(),
            pending: Family::default(),
            series: Arc::default(),
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
            "jobs_running",
            "Unfinished Jobs, as last counted",
            metrics.running.clone(),
        );
        registry.register(
            "jobs_pending",
            "Unfinished Jobs without a running Pod, counted by strategies that look at them",
            metrics.pending.clone(),
        );
        metrics
    }

    /// Starts the clock of a turn; a turn that is dropped unfinished counts as aborted.
    pub(crate) fn turn(&self) -> Turn {
        Turn {
            metrics: self.clone(),
            started: Instant::now(),
            outcome: "aborted",
        }
    }

    /// Everything there was at the start has been read.
    pub(crate) fn synced(&self) {
        self.is_synced.store(true, Ordering::Release);
    }

    /// Whether everything there was at the start has been read.
    pub fn is_synced(&self) -> bool {
        self.is_synced.load(Ordering::Acquire)
    }

    /// Drops the series of an object that is gone.
    pub(crate) fn forget(&self, id: &ObjectId) {
        let triggers = self
            .series
            .lock()
            .expect("no panic while held")
            .remove(id)
            .unwrap_or_default();
        for trigger in &triggers {
            self.backlog.remove(trigger);
        }
        let object = OfObject {
            namespace: id.namespace.clone(),
            scaled_job: id.name.clone(),
        };
        self.running.remove(&object);
        self.pending.remove(&object);
    }

    fn record(&self, scaled_job: &ScaledJob, outcome: &Outcome) {
        let id = &scaled_job.id;
        let object = OfObject {
            namespace: id.namespace.clone(),
            scaled_job: id.name.clone(),
        };
        if let Some(counts) = outcome.counts {
            self.running
                .get_or_create(&object)
                .set(i64::from(counts.unfinished));
            if scaled_job.policy.strategy.counts_pending() {
                self.pending
                    .get_or_create(&object)
                    .set(i64::from(counts.pending));
            }
        }
        self.record_backlogs(id, outcome);
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
    fn record_backlogs(&self, id: &ObjectId, outcome: &Outcome) {
        if outcome.triggers.is_empty() {
            return;
        }
        let mut series = self.series.lock().expect("no panic while held");
        let mut now = Vec::new();
        for trigger in &outcome.triggers {
            let Ok((reading, _)) = &trigger.result else {
                continue;
            };
            let labels = OfTrigger {
                namespace: id.namespace.clone(),
                scaled_job: id.name.clone(),
                trigger: trigger.metric_name.clone(),
            };
            self.backlog.get_or_create(&labels).set(reading.waiting());
            now.push(labels);
        }
        let before = series.insert(id.clone(), now.clone()).unwrap_or_default();
        for gone in before.iter().filter(|labels| !now.contains(labels)) {
            self.backlog.remove(gone);
        }
    }
}

/// A turn being timed.
pub(crate) struct Turn {
    metrics: Metrics,
    started: Instant,
    outcome: &'static str,
}

impl Turn {
    /// Records what the turn came to.
    pub(crate) fn done(mut self, scaled_job: &ScaledJob, outcome: &Outcome) {
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
