//! One pass over the Jobs of one EventJob: turns, then keys, then what may go.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::Instant;
use tracing::{debug, info};

use super::Ports;
use crate::launch::admission::{self, Act, InDoubt, Step};
use crate::launch::delivered::Gate;
use crate::launch::event_launcher::DeliveredJob;
use crate::launch::{self, retention};
use crate::resource::event_job::EventJob;

/// Calls about one EventJob that are under way at once.
const CALLS_AT_ONCE: usize = 8;
/// Looks in one pass: a claim and a count each void what was seen before, and so does a Job that came meanwhile.
const LOOKS: usize = 6;
/// Jobs that one pass removes; the next one goes on.
const REMOVED_AT_ONCE: usize = 100;
/// Whoever launches a Job writes its key within a second or so; after this it will not any more.
const LEFT_OUT_AFTER: Duration = Duration::from_secs(5);

/// What one pass leaves for the next one of its EventJob.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Notes {
    /// Jobs without a key in the ledger, by name, since when they are known to have none.
    late: BTreeMap<String, Instant>,
    /// Changes that nobody has answered.
    in_doubt: InDoubt,
}

/// What is needed for one.
pub(super) struct Pass<'a> {
    pub(super) ports: &'a Ports,
    pub(super) event_job: &'a EventJob,
    pub(super) is_leader: &'a (dyn Fn() -> bool + Send + Sync),
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
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
    pub(super) async fn run(&self, notes: &mut Notes) -> Result<Ended, launch::Error> {
        let mut jobs = self.ports.jobs.seen(&self.event_job.id)?;
        let admitted = self.admit(&mut jobs, &mut notes.in_doubt).await;
        let remembered = self.remember(&jobs, notes).await;
        let cleared = self.clear(&jobs).await;
        remembered?;
        Ok(admitted?.or(cleared?))
    }

    /// Lets Jobs run, and drops those that never will. `jobs` stands as it was seen last.
    async fn admit(
        &self,
        jobs: &mut Vec<DeliveredJob>,
        in_doubt: &mut InDoubt,
    ) -> Result<Ended, launch::Error> {
        let id = &self.event_job.id;
        let mut is_counted = false;
        // What was only seen may lag: a Job that is not in it is not gone, and stays in doubt.
        in_doubt.clone().unclaim(jobs);
        for _ in 0..LOOKS {
            let concurrency = &self.event_job.concurrency;
            match admission::next(&self.ports.holder, concurrency, jobs, is_counted) {
                Step::Act(acts) => {
                    let acts = acts.into_iter().map(|act| match act {
                        Act::Release(index) => (index, Gate::Released),
                        Act::Discard(index) => (index, Gate::Dropped),
                    });
                    return self.change(acts, jobs, in_doubt).await;
                }
                Step::Claim(indexes) => {
                    let claims = indexes.into_iter().map(|index| (index, Gate::Waiting));
                    self.change(claims, jobs, in_doubt).await?;
                }
                Step::Count => {}
            }
            // Asked for after the last claim, so it counts.
            *jobs = self.ports.gates.list(id).await?;
            in_doubt.unclaim(jobs);
            is_counted = true;
        }
        debug!("the Jobs of EventJob {id} change faster than they are counted");
        Ok(Ended::Again)
    }

    /// Makes these changes, each by the version that it was decided on. To be looked at again when one was not made.
    async fn change(
        &self,
        changes: impl IntoIterator<Item = (usize, Gate)>,
        jobs: &mut [DeliveredJob],
        in_doubt: &mut InDoubt,
    ) -> Result<Ended, launch::Error> {
        let seen: &[DeliveredJob] = jobs;
        let mut calls = Vec::new();
        for (index, gate) in changes {
            if let Some(job) = seen.get(index) {
                calls.push(async move { (index, self.send(gate, job).await) });
                in_doubt.sending(job);
            }
        }
        let mut ended = Ended::Done;
        let mut failed = Ok(());
        for (index, result) in all(calls).await {
            if !matches!(result, Err(launch::Error::Unknown { .. })) {
                in_doubt.answered(&jobs[index]);
            }
            match result {
                Ok(job) => jobs[index] = job,
                Err(
                    launch::Error::Conflict { .. }
                    | launch::Error::Gone { .. }
                    | launch::Error::Unknown { .. },
                ) => ended = Ended::Again,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| ended)
    }

    /// The Job as it is after the change.
    async fn send(&self, gate: Gate, job: &DeliveredJob) -> Result<DeliveredJob, launch::Error> {
        if !(self.is_leader)() {
            return Err(launch::Error::Conflict {
                object: format!("the lead over Job {}", job.id),
            });
        }
        let changed = self.ports.gates.change(job, gate).await?;
        let event_job = &self.event_job.id;
        match gate {
            Gate::Waiting => {}
            Gate::Released => info!("job {} of EventJob {event_job} may run", job.id),
            Gate::Dropped => info!("job {} of EventJob {event_job} was dropped", job.id),
        }
        Ok(changed)
    }

    /// Puts into the ledger what whoever launched it has had the time to, and did not.
    async fn remember(
        &self,
        jobs: &[DeliveredJob],
        notes: &mut Notes,
    ) -> Result<(), launch::Error> {
        let now = Instant::now();
        let mut still_late = BTreeMap::new();
        let mut left_out = Vec::new();
        for job in jobs {
            if self.ports.ledger.remembered_for(job).is_some() {
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

    /// Removes what nobody needs any more.
    async fn clear(&self, jobs: &[DeliveredJob]) -> Result<Ended, launch::Error> {
        let removable = retention::removable(
            self.event_job.history,
            jobs,
            |job| self.ports.ledger.remembered_for(job),
            self.ports.grace,
        );
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
            Ended::Again
        } else {
            Ended::Done
        })
    }
}

impl Ended {
    fn or(self, other: Self) -> Self {
        if self == Self::Again { self } else { other }
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
