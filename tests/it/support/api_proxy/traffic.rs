//! What passed through the proxy: calls by method and path, and the bytes of their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;

/// One call that came, whatever became of it.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    at: Instant,
    method: Method,
    path: String,
    answer_bytes: Arc<AtomicU64>,
}

impl Passed {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            at: Instant::now(),
            method,
            path,
            answer_bytes: Arc::default(),
        }
    }

    /// Grows with the bodies of answers that are passed on.
    pub(super) fn answer_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.answer_bytes)
    }

    fn is(&self, method: &str, path: &str) -> bool {
        self.method.as_str() == method && self.path.contains(path)
    }
}

/// The calls of some time, in the order in which they came. Answers that are still being passed on go on counting.
#[derive(Debug, Clone)]
pub(crate) struct Traffic(pub(super) Vec<Passed>);

impl Traffic {
    /// How many calls with this method came whose path (with its query) contains `path`.
    pub(crate) fn calls(&self, method: &str, path: &str) -> usize {
        self.0.iter().filter(|call| call.is(method, path)).count()
    }

    /// The longest time between two such calls that follow each other; zero of fewer than two.
    pub(crate) fn longest_pause(&self, method: &str, path: &str) -> Duration {
        let meant = self.0.iter().filter(|call| call.is(method, path));
        let at: Vec<Instant> = meant.map(|call| call.at).collect();
        let pauses = at.windows(2).map(|pair| pair[1] - pair[0]);
        pauses.max().unwrap_or_default()
    }

    /// How many POSTs, PUTs, PATCHes and DELETEs came whose path contains `path`; `""` is all.
    pub(crate) fn writes(&self, path: &str) -> usize {
        ["POST", "PUT", "PATCH", "DELETE"]
            .iter()
            .map(|method| self.calls(method, path))
            .sum()
    }

    /// Bytes of the bodies, uncompressed, that such calls were answered with. A watch counts what it has passed on so far.
    pub(crate) fn answer_bytes(&self, method: &str, path: &str) -> u64 {
        let meant = self.0.iter().filter(|call| call.is(method, path));
        meant
            .map(|call| call.answer_bytes.load(Ordering::Relaxed))
            .sum()
    }

    /// Method and path, without its query, of each call: what a failing assertion shows.
    pub(crate) fn lines(&self) -> Vec<String> {
        let path = |call: &Passed| call.path.split('?').next().unwrap_or_default().to_owned();
        let line = |call: &Passed| format!("{} {}", call.method, path(call));
        self.0.iter().map(line).collect()
    }
}
