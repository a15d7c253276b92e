//! One pass over the Jobs of one EventJob: turns, then keys, then what may go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::Instant;
use tracing::{debug, info};

use super::{Ports, TIDY};
use crate::controller::schedule_progress::ScheduleProgress;
use crate::launch::admission::{self, OwnChanges};
use crate::launch::delivered::Gate;
use crate::launch::ports::DeliveredJob;
use crate::launch::retention::Keep;
use crate::launch::{self, Guard, retention};
use crate::resource::event_job::EventJob;

/// Calls about one EventJob that are under way at once.
const CALLS_AT_ONCE: usize = 8;
/// Jobs that one pass removes; the next one goes on.
const REMOVED_AT_ONCE: usize = 100;
/// Whoever launches a Job writes its key within a second or so; after this it will not any more.
const LEFT_OUT_AFTER: Duration = Duration::from_secs(5);

/// What one pass leaves for the next one of its EventJob.
#[derive(Debug, Default)]
pub(super) struct PassNotes {
    /// Jobs without a key in the ledger, by name, since when they are known to have none.
    late: BTreeMap<Arc<str>, Instant>,
    /// When ledger and cleanup were looked after last.
    tidied: Option<Instant>,
    /// Changes of gates that the watch has not shown; `None` before the first pass.
    own_changes: Option<OwnChanges>,
}

/// What is needed for one.
pub(super) struct Pass<'a> {
    pub(super) ports: &'a Ports,
    pub(super) event_job: &'a EventJob,
    /// How far its schedule has come.
    pub(super) progress: &'a ScheduleProgress,
    pub(super) is_leader: &'a (dyn Fn() -> bool + Send + Sync),
    /// The same, asked right before a create goes out.
    pub(super) may: Guard,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassEnd {
    /// There is nothing more to do before something changes.
    Done,
    /// There is, or may be.
    Again,
}

impl Pass<'_> {
    /// Does what can be done now.
    ///
    /// # Errors
    ///
    /// The first that kept something from being done; what could be done was done.
    pub(super) async fn run(&self, notes: &mut PassNotes) -> Result<PassEnd, launch::Error> {
        let admitted = self.admit(&mut notes.own_changes).await;
        let now = Instant::now();
        if notes
            .tidied
            .is_some_and(|last| now.duration_since(last) < TIDY)
        {
            return admitted.map(|()| PassEnd::Done);
        }
        notes.tidied = Some(now);
        let jobs = self.ports.jobs.seen(&self.event_job.id)?;
        let remembered = self.remember(&jobs, notes).await;
        let rerun = self.rerun(&jobs).await;
        let cleared = self.clear(&jobs).await;
        if [&rerun, &cleared]
            .into_iter()
            .any(|end| matches!(end, Ok(PassEnd::Again)))
        {
            notes.tidied = None;
        }
        let end = admitted.and(remembered).and(rerun)?;
        Ok(match cleared? {
            PassEnd::Done => end,
            PassEnd::Again => PassEnd::Again,
        })
    }

    /// Claims Jobs, lets them run, and drops those that never will: what can be done now. The watch tells when there is more.
    async fn admit(&self, own: &mut Option<OwnChanges>) -> Result<(), launch::Error> {
        let holder = &self.ports.holder;
        let jobs = &self.ports.gates.open(&self.event_job.id)?;
        let own = own.get_or_insert_with(|| OwnChanges::begin(holder, jobs));
        own.settle(jobs);
        let changes = admission::next(holder, &self.event_job.concurrency, jobs, own);
        let mut calls = Vec::new();
        for (index, gate) in changes {
            let job = &jobs[index];
            own.sending(job);
            calls.push(async move { (job, self.change(job, gate).await) });
        }
        let mut failed = Ok(());
        for (job, result) in all(calls).await {
            match result {
                Ok(()) => own.made(job),
                // The watch will show why.
                Err(launch::Error::Conflict { .. } | launch::Error::Gone { .. }) => {
                    own.refused(job);
                }
                Err(error) => {
                    if !matches!(error, launch::Error::Unknown { .. }) {
                        own.refused(job);
                    }
                    failed = failed.and(Err(error));
                }
            }
        }
        failed
    }

    /// One change of a gate, based on the version shown.
    async fn change(&self, job: &DeliveredJob, gate: Gate) -> Result<(), launch::Error> {
        if !(self.is_leader)() {
            return Err(launch::Error::Conflict {
                object: format!("the lead over Job {}", job.id),
            });
        }
        self.ports.gates.change(job, gate).await?;
        let event_job = &self.event_job.id;
        match gate {
            Gate::Waiting => debug!("job {} of EventJob {event_job} is claimed", job.id),
            Gate::Released => info!("job {} of EventJob {event_job} may run", job.id),
            Gate::Dropped => info!("job {} of EventJob {event_job} was dropped", job.id),
        }
        Ok(())
    }

    /// Puts into the ledger what whoever launched it has had the time to, and did not.
    async fn remember(
        &self,
        jobs: &[Arc<DeliveredJob>],
        notes: &mut PassNotes,
    ) -> Result<(), launch::Error> {
        let now = Instant::now();
        let mut still_late = BTreeMap::new();
        let mut left_out = Vec::new();
        for job in jobs {
            if !job.needs_key() || self.ports.ledger.remembered_for(job).is_some() {
                continue;
            }
            let since = notes.late.get(&job.id.name).copied().unwrap_or(now);
            if now.duration_since(since) >= LEFT_OUT_AFTER {
                left_out.push(job.clone());
            }
            still_late.insert(job.id.name.clone(), since);
        }
        notes.late = still_late;
        if left_out.is_empty() || !(self.is_leader)() {
            return Ok(());
        }
        self.ports.ledger.remember(&left_out).await
    }

    /// How long it has been known that nobody makes this Job again.
    fn remembered_for(&self, job: &DeliveredJob) -> Option<Duration> {
        let by_schedule = job
            .made_by_schedule_at()
            .map(|due| self.progress.known_for(due, Instant::now()));
        let by_ledger = job
            .needs_key()
            .then(|| self.ports.ledger.remembered_for(job));
        // Each that could make it again has to know it.
        let known = [by_schedule, by_ledger].into_iter().flatten();
        known.min().flatten()
    }

    /// Removes what nobody needs any more.
    async fn clear(&self, jobs: &[Arc<DeliveredJob>]) -> Result<PassEnd, launch::Error> {
        let keep = Keep {
            history: self.event_job.history,
            // It stands in the template's text, which is read for Jobs of a schedule only.
            ttl: if jobs.iter().any(|job| job.due.is_some()) {
                self.event_job.job_ttl()
            } else {
                None
            },
        };
        let now = (self.ports.clock)();
        let remembered_for = |job: &DeliveredJob| self.remembered_for(job);
        let removable = retention::removable(keep, jobs, remembered_for, self.ports.grace, now);
        let now = removable.iter().take(REMOVED_AT_ONCE);
        let removals = now.map(|job| async move {
            if (self.is_leader)() {
                self.ports.ledger.remove(job).await?;
                debug!("removed job {} of EventJob {}", job.id, job.event_job);
            }
            Ok(())
        });
        let removals = all(removals).await;
        removals.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(if removable.len() > REMOVED_AT_ONCE {
            PassEnd::Again
        } else {
            PassEnd::Done
        })
    }
}

/// Makes all calls, some at once, in this order: one that fails keeps no other from being made.
async fn all<Call: Future>(calls: impl IntoIterator<Item = Call>) -> Vec<Call::Output> {
    let calls: Vec<Call> = calls.into_iter().collect();
    futures::stream::iter(calls)
        .buffered(CALLS_AT_ONCE)
        .collect()
        .await
}
