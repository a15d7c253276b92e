//! How late the process comes to what it has set itself: the lag of its loop.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often it is measured.
const BEAT: Duration = Duration::from_millis(500);

/// What is measured.
pub(super) struct LoopLag(Histogram);

impl LoopLag {
    /// Registers it; nothing is measured yet.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let lag = Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0]);
        registry.register_with_unit(
            "loop_lag",
            "How late a timer of the process goes off, twice a second: more than some milliseconds says that it has too little CPU",
            Unit::Seconds,
            lag.clone(),
        );
        Self(lag)
    }

    /// Measures until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let due = Instant::now() + BEAT;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep_until(due) => {}
            }
            self.0.observe(due.elapsed().as_secs_f64());
        }
    }
}
