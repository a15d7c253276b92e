//! When the answer to one request must be there.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use crate::intake::auth::SenderVerdict;

/// All that is done for one request, but for waiting for its body: EventBridge hangs up after 5 s, body and network included.
const BUDGET: Duration = Duration::from_millis(3_600);
/// What a body leaves at least, however long it took.
const LEAST: Duration = Duration::from_millis(1_500);
/// The time that is left for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    deadline: Instant,
}

impl Clock {
    /// A request's head has come.
    pub(super) fn start() -> Self {
        let started = Instant::now();
        Self {
            started,
            deadline: started + BUDGET,
        }
    }

    /// Waiting for a body is the sender's time.
    pub(super) fn body_came(&mut self, waited: Duration) {
        let latest = Instant::now() + BUDGET;
        let least = Instant::now() + LEAST;
        self.deadline = (self.deadline + waited).clamp(least, latest);
    }

    /// How long ago the head came.
    pub(super) fn taken(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the answer must be there.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long until then.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The verdict, if it comes in time.
    pub(super) async fn verdict(&self, verdict: BoxFuture<'_, SenderVerdict>) -> SenderVerdict {
        let verdict = tokio::time::timeout(self.left(), verdict).await;
        verdict.unwrap_or_else(|_| late())
    }

    /// So many verdicts, if they come in time.
    pub(super) async fn verdicts(
        &self,
        verdicts: impl Future<Output = Vec<SenderVerdict>>,
        count: usize,
    ) -> Vec<SenderVerdict> {
        let verdicts = tokio::time::timeout(self.left(), verdicts).await;
        verdicts.unwrap_or_else(|_| vec![late(); count])
    }
}

fn late() -> SenderVerdict {
    SenderVerdict::Unavailable("the credentials' Secrets or keys did not come in time".to_owned())
}
