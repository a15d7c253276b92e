//! Which waiting Jobs may run now, and which never will. Pure: Jobs in, the next step out.
//!
//! Safe with any number of leaders at once. A leader first writes its name on every
//! waiting gate (which spoils what others have in hand), then lists consistently, and
//! releases only while that list shows every waiting Job of the EventJob as its own.
//! Of two leaders one counted later, and its list shows what the other released.

use crate::launch::event_launcher::DeliveredJob;
use crate::resource::event_job::Concurrency;

/// What a leader does next about the Jobs of one EventJob. Indexes are those of the list that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write our name on these gates, then look again: the count is void.
    Claim(Vec<usize>),
    /// List consistently, then look again: something could be done, and the count is void.
    Count,
    /// Do these, each based on the version in the list. Nothing when it is empty.
    Act(Vec<Act>),
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Let it run.
    Release(usize),
    /// It never will, or will no more: a waiting Job, or a released one that makes room.
    Discard(usize),
}

/// What is to be done about the Jobs of one EventJob.
///
/// `is_counted`: the list is, or follows (by our own writes and by what a watch told since), a
/// consistent list that was asked for after our last claim.
pub fn next(
    _holder: &str,
    _concurrency: &Concurrency,
    _jobs: &[DeliveredJob],
    _is_counted: bool,
) -> Step {
    Step::Act(Vec::new())
}
