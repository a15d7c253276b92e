//! The Jobs of EventJobs, counted for sources by those who see them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::launch::occurrences;
use crate::launch::ports::DeliveredJobs;
use crate::resource::ObjectId;
use crate::resource::eventbridge::EventJobMeasure;
use crate::source::eventbridge::{Occurrences, Unknown};

/// Counts what was seen of the EventJobs of a catalog.
pub(super) struct SeenOccurrences {
    pub(super) jobs: Arc<dyn DeliveredJobs>,
    /// Jobs may be removed this long after they were made.
    pub(super) grace: Duration,
    pub(super) catalog: Arc<Catalog>,
    pub(super) clock: fn() -> Timestamp,
}

impl Occurrences for SeenOccurrences {
    fn count(&self, event_job: &ObjectId, value: EventJobMeasure) -> Result<f64, Unknown> {
        if self.catalog.get(event_job).is_none() {
            return Err(if self.catalog.is_complete(&event_job.namespace) {
                Unknown::NoEventJob
            } else {
                Unknown::NotSeen("the EventJobs have not been read yet".to_owned())
            });
        }
        let seen = || {
            let seen = self.jobs.seen(event_job);
            seen.map_err(|error| Unknown::NotSeen(error.to_string()))
        };
        match value {
            EventJobMeasure::Pending => Ok(occurrences::pending(seen()?).into()),
            EventJobMeasure::Rate { window } => {
                let grace = self.grace;
                if window > grace {
                    return Err(Unknown::Unusable(format!(
                        "Jobs may be removed {} s after they were made (--ledger-grace): window must not be longer",
                        grace.as_secs_f64()
                    )));
                }
                let since = (self.clock)().checked_sub(window).unwrap_or(Timestamp::MIN);
                let launched = occurrences::launched_since(seen()?, since);
                Ok(f64::from(launched) / window.as_secs_f64())
            }
        }
    }

    fn appeared(&self, event_job: &ObjectId) -> BoxFuture<'static, ()> {
        self.jobs.appeared(event_job)
    }
}
