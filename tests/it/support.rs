//! What the tests share: recorded answers, servers, and waiting without sleeping.

pub(crate) mod api_proxy;
pub(crate) mod balancer;
pub(crate) mod chance;
pub(crate) mod cluster;
pub(crate) mod dry_run;
pub(crate) mod fakes;
#[path = "../../src/launch/fixtures.rs"]
pub(crate) mod fixtures;
pub(crate) mod http;
pub(crate) mod keda;
pub(crate) mod local;
pub(crate) mod objects;
pub(crate) mod process;
pub(crate) mod queue;
pub(crate) mod scaler;
pub(crate) mod servers;
pub(crate) mod topic;
pub(crate) mod vectors;
pub(crate) mod world;

use std::time::{Duration, Instant};

/// Waits until `condition` gives something, looking every 20 ms; panics with `what` after `deadline`.
pub(crate) async fn await_until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            start.elapsed() < deadline,
            "{what}: not within {deadline:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
