//! What there is to know of certificates beside their use.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// When certificates end. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    ends: Family<PortLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabel {
    port: &'static str,
}

impl Metrics {
    /// Registers it; the caller chooses the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "tls_certificate_end_timestamp",
            "When the first certificate of a port's chain ends",
            Unit::Seconds,
            self.ends.clone(),
        );
    }

    /// A port has this certificate now. `ends_at`: seconds since 1970.
    pub fn in_force(&self, port: &'static str, ends_at: Option<u64>) {
        let label = PortLabel { port };
        match ends_at.and_then(|seconds| i64::try_from(seconds).ok()) {
            Some(seconds) => {
                self.ends.get_or_create(&label).set(seconds);
            }
            None => {
                self.ends.remove(&label);
            }
        }
    }
}
