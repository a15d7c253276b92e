//! Which Jobs of events may be removed. Pure: Jobs in, those that go out.

use std::time::Duration;

use crate::launch::event_launcher::DeliveredJob;
use crate::resource::HistoryLimits;

/// Jobs of one EventJob that nobody needs any more: finished ones beyond the history limits,
/// the oldest first, and dropped ones. Only those whose key has been in the ledger for `grace`.
pub fn removable<'a>(
    _history: Option<HistoryLimits>,
    _jobs: &'a [DeliveredJob],
    _remembered_for: impl Fn(&DeliveredJob) -> Option<Duration>,
    _grace: Duration,
) -> Vec<&'a DeliveredJob> {
    Vec::new()
}
