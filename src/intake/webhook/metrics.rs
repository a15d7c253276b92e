//! What the door for events counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::cycle::delivery::JobOfEvent;
use crate::launch::Launched;

/// The counters of the door; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    answers: Family<Code, Counter>,
    open_requests: Gauge,
    event_to_job: Histogram,
    events: Family<Result, Counter>,
    payload_differs: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        // From a create on a quiet server to the sender's patience.
        let seconds = [
            0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
        ];
        Self {
            answers: Family::default(),
            open_requests: Gauge::default(),
            event_to_job: Histogram::new(seconds),
            events: Family::default(),
            payload_differs: Counter::default(),
        }
    }
}

impl Metrics {
    /// Registers everything; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "answers",
            "Requests with events, by the status they were answered with",
            self.answers.clone(),
        );
        registry.register(
            "open_requests",
            "Requests that have not been answered yet",
            self.open_requests.clone(),
        );
        registry.register_with_unit(
            "event_to_job",
            "From the moment an event could be read until its new Job was known to exist",
            Unit::Seconds,
            self.event_to_job.clone(),
        );
        registry.register(
            "events",
            "Events that have a Job: created, waiting, duplicate",
            self.events.clone(),
        );
        registry.register(
            "payload_differs",
            "Events that came again with another payload; the first one counts",
            self.payload_differs.clone(),
        );
    }

    /// A request under way.
    pub(super) fn request(&self) -> OpenRequest<'_> {
        self.open_requests.inc();
        OpenRequest(self)
    }

    /// A delivery under way.
    pub(super) fn delivery(&self) -> DeliveryTimer<'_> {
        DeliveryTimer {
            metrics: self,
            started: Instant::now(),
        }
    }

    pub(super) fn payload_differs(&self) {
        self.payload_differs.inc();
    }

    /// An answer that was given before the request came this far: no such path, no room.
    pub fn answered(&self, code: u16) {
        self.answers.get_or_create(&Code { code }).inc();
    }
}

/// Counts as open until it is dropped.
pub(super) struct OpenRequest<'a>(&'a Metrics);

impl OpenRequest<'_> {
    pub(super) fn answered(self, code: u16) {
        self.0.answered(code);
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.0.open_requests.dec();
    }
}

/// How long an event's Job took.
pub(super) struct DeliveryTimer<'a> {
    metrics: &'a Metrics,
    started: Instant,
}

impl DeliveryTimer<'_> {
    pub(super) fn has_job(self, job: &JobOfEvent) {
        let result = job.label();
        self.metrics.events.get_or_create(&Result { result }).inc();
        if job.launched == Launched::Created {
            let seconds = self.started.elapsed().as_secs_f64();
            self.metrics.event_to_job.observe(seconds);
        }
    }
}
