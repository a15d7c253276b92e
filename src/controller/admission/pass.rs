//! One pass over the Jobs of one EventJob: turns, then keys, then what may go.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::launch::admission::{self, Act, Step};
use crate::launch::event_launcher::{DeliveredJob, EventLauncher};
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

/// Jobs without a key in the ledger, by name, since when they are known to have none.
pub(super) type Late = BTreeMap<String, Instant>;

/// What is needed for one.
pub(super) struct Pass<'a> {
    pub(super) launcher: &'a dyn EventLauncher,
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
    /// Does what can be done now. `late` goes from each pass to the next.
    ///
    /// # Errors
    ///
    /// The first that kept something from being done; what could be done was done.
    pub(super) async fn run(&self, late: &mut Late) -> Result<Ended, launch::Error> {
        let mut jobs = self.launcher.seen(&self.event_job.id)?;
        let admitted = self.admit(&mut jobs).await;
        let remembered = self.remember(&jobs, late).await;
        let cleared = self.clear(&jobs).await;
        remembered?;
        Ok(admitted?.or(cleared?))
    }

    /// Lets Jobs run, and drops those that never will. `jobs` stands as it was seen last.
    async fn admit(&self, jobs: &mut Vec<DeliveredJob>) -> Result<Ended, launch::Error> {
        let id = &self.event_job.id;
        let mut is_counted = false;
        for _ in 0..LOOKS {
            let concurrency = &self.event_job.concurrency;
            match admission::next(self.launcher.holder(), concurrency, jobs, is_counted) {
                Step::Act(acts) => return self.act(&acts, jobs).await,
                Step::Claim(indexes) => {
                    let claims = indexes.iter().filter_map(|index| jobs.get(*index));
                    let claims = all(claims.map(|job| self.claim(job))).await;
                    claims.into_iter().collect::<Result<Vec<()>, _>>()?;
                }
                Step::Count => {}
            }
            // Asked for after the last claim, so it counts.
            *jobs = self.launcher.list(id).await?;
            is_counted = true;
        }
        debug!("the Jobs of EventJob {id} change faster than they are counted");
        Ok(Ended::Again)
    }

    /// Does what was decided, each by the version that it was decided on.
    async fn act(&self, acts: &[Act], jobs: &mut [DeliveredJob]) -> Result<Ended, launch::Error> {
        let seen: &[DeliveredJob] = jobs;
        let done = acts.iter().filter_map(|act| {
            let (Act::Release(index) | Act::Discard(index)) = *act;
            let job = seen.get(index)?;
            Some(async move { (index, self.act_on(*act, job).await) })
        });
        let mut ended = Ended::Done;
        let mut failed = Ok(());
        for (index, result) in all(done).await {
            match result {
                Ok(Some(changed)) => jobs[index] = changed,
                Ok(None) => ended = Ended::Again,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| ended)
    }

    /// The Job as it is now; `None` when it was not as it had been seen.
    async fn act_on(
        &self,
        act: Act,
        job: &DeliveredJob,
    ) -> Result<Option<DeliveredJob>, launch::Error> {
        if !(self.is_leader)() {
            return Ok(None);
        }
        let changed = unless_it_moved(match act {
            Act::Release(_) => self.launcher.release(job).await,
            Act::Discard(_) => self.launcher.discard(job).await,
        })?;
        if changed.is_some() {
            let event_job = &self.event_job.id;
            match act {
                Act::Release(_) => info!("job {} of EventJob {event_job} may run", job.id),
                Act::Discard(_) => info!("job {} of EventJob {event_job} was dropped", job.id),
            }
        }
        Ok(changed)
    }

    async fn claim(&self, job: &DeliveredJob) -> Result<(), launch::Error> {
        if (self.is_leader)() {
            unless_it_moved(self.launcher.claim(job).await)?;
        }
        Ok(())
    }

    /// Puts into the ledger what whoever launched it has had the time to, and did not.
    async fn remember(&self, jobs: &[DeliveredJob], late: &mut Late) -> Result<(), launch::Error> {
        let now = Instant::now();
        let mut still_late = Late::new();
        let mut left_out = Vec::new();
        for job in jobs {
            if self.launcher.remembered_for(job).is_some() {
                continue;
            }
            let since = late.get(&job.id.name).copied().unwrap_or(now);
            if now.duration_since(since) >= LEFT_OUT_AFTER {
                left_out.push(job.clone());
            }
            still_late.insert(job.id.name.clone(), since);
        }
        *late = still_late;
        if left_out.is_empty() || !(self.is_leader)() {
            return Ok(());
        }
        self.launcher.remember(&left_out).await
    }

    /// Removes what nobody needs any more.
    async fn clear(&self, jobs: &[DeliveredJob]) -> Result<Ended, launch::Error> {
        let removable = retention::removable(
            self.event_job.history,
            jobs,
            |job| self.launcher.remembered_for(job),
            self.launcher.grace(),
        );
        let now = removable.iter().take(REMOVED_AT_ONCE);
        let removals = now.map(|job| async move {
            if (self.is_leader)() {
                self.launcher.remove(job).await?;
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

/// `None` when the Job has changed or went meanwhile, or may have: then it is looked at again.
fn unless_it_moved<T>(result: Result<T, launch::Error>) -> Result<Option<T>, launch::Error> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(
            launch::Error::Conflict { .. }
            | launch::Error::Gone { .. }
            | launch::Error::Unknown { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}
