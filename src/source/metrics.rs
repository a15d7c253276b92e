//! What reading sources costs: the room's metrics.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::source::Error;

/// Counters of the room, shared by every source. `source` is the kind, from a closed list.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<SourceLabel, Histogram>,
    reads: Family<SourceLabel, Counter>,
    read_errors: Family<FailureLabels, Counter>,
    reading_age_seconds: Family<SourceLabel, Histogram>,
    live: Family<SourceLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    source: &'static str,
    reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        // From a round trip next door to the deadline of a call.
        let seconds = || Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        // From new to the oldest that anybody is served.
        let age = || Histogram::new([0.1, 1.0, 5.0, 15.0, 30.0, 60.0]);
        Self {
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            reads: Family::default(),
            read_errors: Family::default(),
            reading_age_seconds: Family::new_with_constructor(age as fn() -> Histogram),
            live: Family::default(),
        }
    }
}

impl Metrics {
    /// Registers everything; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "calls",
            "Polls sent to sources, by outcome: ok, an error's reason, or aborted",
            self.calls.clone(),
        );
        registry.register_with_unit(
            "call",
            "How long polls took",
            Unit::Seconds,
            self.call_seconds.clone(),
        );
        registry.register(
            "reads",
            "Readings asked for, from a poll of their own or a shared one",
            self.reads.clone(),
        );
        registry.register(
            "read_errors",
            "Readings that failed, by reason",
            self.read_errors.clone(),
        );
        registry.register_with_unit(
            "reading_age",
            "How old readings were when they were handed out",
            Unit::Seconds,
            self.reading_age_seconds.clone(),
        );
        registry.register("live", "Polls that some trigger uses", self.live.clone());
    }

    /// Polls sent to sources of this kind so far, whatever came of them.
    pub fn calls(&self, source: &'static str) -> u64 {
        let outcomes = Error::REASONS.into_iter().chain(["ok", "aborted"]);
        outcomes
            .filter_map(|outcome| Some(self.calls.get(&CallLabels { source, outcome })?.get()))
            .sum()
    }

    /// Polls of this kind that some trigger uses now.
    pub fn live(&self, source: &'static str) -> i64 {
        self.live.get_or_create(&SourceLabel { source }).get()
    }

    /// The meter of one poll, alive as long as the poll is.
    pub(super) fn meter(&self, source: &'static str) -> Meter {
        self.live.get_or_create(&SourceLabel { source }).inc();
        Meter {
            metrics: self.clone(),
            source,
        }
    }
}

/// One poll's view of the metrics.
#[derive(Debug)]
pub(super) struct Meter {
    metrics: Metrics,
    source: &'static str,
}

impl Meter {
    /// A call begins; the guard records how it ended.
    pub(super) fn call(&self) -> CallTimer {
        CallTimer {
            metrics: self.metrics.clone(),
            source: self.source,
            start: Instant::now(),
            outcome: "aborted",
        }
    }

    /// Somebody was answered.
    pub(super) fn read(&self, age: Result<Duration, &Error>) {
        let source = self.source;
        let labels = SourceLabel { source };
        self.metrics.reads.get_or_create(&labels).inc();
        match age {
            Ok(age) => self
                .metrics
                .reading_age_seconds
                .get_or_create(&labels)
                .observe(age.as_secs_f64()),
            Err(error) => {
                let reason = error.reason();
                let labels = FailureLabels { source, reason };
                self.metrics.read_errors.get_or_create(&labels).inc();
            }
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let source = self.source;
        self.metrics
            .live
            .get_or_create(&SourceLabel { source })
            .dec();
    }
}

/// Records a call when it is dropped: as aborted, until told otherwise.
pub(super) struct CallTimer {
    metrics: Metrics,
    source: &'static str,
    start: Instant,
    outcome: &'static str,
}

impl CallTimer {
    /// The call ended, so.
    pub(super) fn ended<T>(mut self, result: &Result<T, Error>) {
        self.outcome = result.as_ref().map_or_else(Error::reason, |_| "ok");
    }
}

impl Drop for CallTimer {
    fn drop(&mut self) {
        let (source, outcome) = (self.source, self.outcome);
        self.metrics
            .calls
            .get_or_create(&CallLabels { source, outcome })
            .inc();
        self.metrics
            .call_seconds
            .get_or_create(&SourceLabel { source })
            .observe(self.start.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_nobody_waited_for_are_counted_as_aborted() {
        let metrics = Metrics::default();
        let meter = metrics.meter("kafka");
        meter.call().ended(&Ok::<(), Error>(()));
        drop(meter.call());
        meter.read(Ok(Duration::from_secs(2)));
        let busy = Error::Throttled {
            source_name: "orders".to_owned(),
            detail: "slow down".to_owned(),
        };
        meter.read(Err(&busy));
        assert_eq!(metrics.calls("kafka"), 2);
        let mut registry = Registry::with_prefix("slipway_source");
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"slipway_source_calls_total{source="kafka",outcome="ok"} 1"#,
            r#"slipway_source_calls_total{source="kafka",outcome="aborted"} 1"#,
            r#"slipway_source_call_seconds_count{source="kafka"} 2"#,
            r#"slipway_source_reads_total{source="kafka"} 2"#,
            r#"slipway_source_read_errors_total{source="kafka",reason="Throttled"} 1"#,
            r#"slipway_source_reading_age_seconds_sum{source="kafka"} 2.0"#,
            r#"slipway_source_live{source="kafka"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        drop(meter);
        assert_eq!(metrics.live("kafka"), 0);
    }
}
