//! What KEDA asks and what it costs: the room's metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::externalscaler;

/// Counters of the room.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    calls: Family<RpcLabels, Counter>,
    streams: Gauge,
    triggers: Gauge,
    connections: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabels {
    method: &'static str,
    code: &'static str,
}

impl Metrics {
    /// Registers everything; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "calls",
            "KEDA's calls, by gRPC code; a stream is counted when it opens",
            self.calls.clone(),
        );
        registry.register(
            "open_streams",
            "Streams that KEDA holds open",
            self.streams.clone(),
        );
        registry.register(
            "triggers",
            "Triggers that somebody asked for lately",
            self.triggers.clone(),
        );
        registry.register(
            "connections",
            "Connections to --grpc",
            self.connections.clone(),
        );
    }

    pub(super) fn called(&self, method: &'static str, code: Code) {
        let code = externalscaler::code(code);
        self.calls.get_or_create(&RpcLabels { method, code }).inc();
    }

    pub(super) fn set_triggers(&self, count: usize) {
        self.triggers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// One more stream, until the guard is dropped.
    pub(super) fn stream(&self) -> Held {
        Held::new(self.streams.clone())
    }

    /// One more connection, until the guard is dropped.
    pub(super) fn connection(&self) -> Held {
        Held::new(self.connections.clone())
    }
}

/// Counts in a gauge while it lives.
pub(super) struct Held(Gauge);

impl Held {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
