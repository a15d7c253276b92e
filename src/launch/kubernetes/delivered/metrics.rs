//! What is shown of the ledgers.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Delivered;
use crate::launch::ledger::MOST_KEYS;

/// The ledgers that this process has a copy of.
#[derive(Debug)]
pub struct Metrics(Arc<Delivered>);

/// What is known of the ledger of one namespace.
pub(super) struct LedgerSize {
    pub(super) namespace: String,
    /// Keys in it.
    pub(super) keys: usize,
    /// Keys that are still to be written.
    pub(super) waiting: usize,
}

/// A gauge of ledgers: its name, what it means, where it is.
type LedgerGauge = (&'static str, &'static str, fn(&LedgerSize) -> usize);

const GAUGES: [LedgerGauge; 3] = [
    (
        "ledger_keys",
        "Events that the ledger of a namespace remembers, as this replica last read it; of namespaces with events lately.",
        |size| size.keys,
    ),
    (
        "ledger_keys_limit",
        "Events that the ledger of a namespace may remember: from there on events are answered 503.",
        |_| MOST_KEYS,
    ),
    (
        "ledger_keys_waiting",
        "Events whose key is not written yet.",
        |size| size.waiting,
    ),
];

impl Metrics {
    /// Of what this launcher remembers.
    pub fn new(delivered: &Arc<Delivered>) -> Self {
        Self(Arc::clone(delivered))
    }

    /// Registers them.
    pub fn register(self, registry: &mut Registry) {
        registry.register_collector(Box::new(self));
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sizes = self.0.ledgers.sizes();
        if sizes.is_empty() {
            return Ok(());
        }
        for (name, help, of) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for size in &sizes {
                let labels = [("namespace", size.namespace.as_str())];
                let value = i64::try_from(of(size)).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
