//! The passes over the Jobs of an EventJob: whose turn it is, which keys are missing in the ledger, which Jobs may go.
//!
//! What to do is decided by pure functions (`launch::admission`, `launch::retention`);
//! here is when: soon after something changed, and all of it again now and then.
//! Each EventJob has its own passes, one after the other, so that a slow or broken one holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::pass::{Pass, PassEnd, PassNotes};
use super::lead::{self, Lead};
use super::requeue::{Requeue, spread};
use super::schedule_progress::ScheduleProgress;
use super::scheduling::{Edits, SchedulePorts, Scheduling};
use crate::catalog::{Catalog, Listing};
use crate::launch;
use crate::launch::Guard;
use crate::launch::ports::{DeliveredJobs, Gates, Remember, Reruns};
use crate::resource::ObjectId;
use crate::resource::event_job::Concurrency;

mod pass;
mod rerun;

/// Every EventJob is looked at again this often: keys come of age, and what a crash left out is nobody's change.
const RESYNC: Duration = Duration::from_secs(10);
/// Ledger and cleanup look at every Job: not at each change. Where nothing waits for a turn a pass does nothing else.
const TIDY: Duration = Duration::from_secs(2);
/// A pass is cut off after this; what it had under way is settled by versions and names.
const LONGEST: Duration = Duration::from_secs(30);
/// Pause after the first failure of an EventJob's pass; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What passes need.
pub struct Ports {
    /// Which Jobs there are.
    pub jobs: Arc<dyn DeliveredJobs>,
    /// Which of them may run.
    pub gates: Arc<dyn Gates>,
    /// What is known of them when they are gone.
    pub ledger: Arc<dyn Remember>,
    /// Which failed ones are to run again.
    pub reruns: Arc<dyn Reruns>,
    /// What tells this process's claims from another's.
    pub holder: String,
    /// What makes Jobs of due times.
    pub schedules: SchedulePorts,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// How long a key must have been in the ledger before its Job may go: `--ledger-grace`.
    pub grace: Duration,
}

/// The passes over one EventJob. Two processes that both believe to lead do no harm: versions and names see to that.
pub(super) struct Passes<'a> {
    pub(super) ports: &'a Ports,
    pub(super) catalog: &'a Catalog,
    pub(super) lead: &'a Arc<dyn Lead>,
    pub(super) event_job: &'a ObjectId,
    /// One of its Jobs changed.
    pub(super) jobs_changed: &'a Notify,
    /// Told after each pass.
    pub(super) news: &'a Notify,
    /// How many EventJobs there are.
    pub(super) objects: &'a AtomicUsize,
    /// How far its schedule has come, if it has one.
    pub(super) progress: &'a ScheduleProgress,
}

impl Passes<'_> {
    /// Looks after the Jobs whenever something is to be done and this process leads, for ever.
    pub(super) async fn run(self) {
        // Kept over a change of leader: what this process sent may still be applied.
        let mut notes = PassNotes::default();
        loop {
            match self.lead.term() {
                Some(term) => self.lead_passes(term, &mut notes).await,
                None => lead::changed(&**self.lead, None).await,
            }
        }
    }

    async fn lead_passes(&self, term: u64, notes: &mut PassNotes) {
        let mut requeue = Requeue::default();
        requeue.at(Instant::now() + self.first_pass());
        // A change makes the next pass come early; not after a failure.
        let mut is_early = true;
        loop {
            tokio::select! {
                () = requeue.wait() => {}
                () = self.jobs_changed.notified(), if is_early => {
                    // What came in between is one pass.
                    if !self.is_gated() {
                        let soon = Instant::now() + TIDY;
                        requeue.hasten(requeue.due().map_or(soon, |due| due.min(soon)));
                        is_early = false;
                        continue;
                    }
                }
                () = lead::changed(&**self.lead, Some(term)) => return,
            }
            let result = self.pass(notes).await;
            self.news.notify_one();
            is_early = result.is_ok();
            match result {
                Ok(PassEnd::Done) => requeue.after(RESYNC),
                Ok(PassEnd::Again) => requeue.at(Instant::now()),
                Err(error) => {
                    let id = self.event_job;
                    // One that the first retry mends, as a first list that is not complete yet, is no news.
                    if requeue.failures() == 1 {
                        warn!(
                            error = &error as &dyn std::error::Error,
                            reason = error.reason(),
                            "the Jobs of EventJob {id} cannot be looked after now; trying again"
                        );
                    } else {
                        debug!("the Jobs of EventJob {id} cannot be looked after: {error}");
                    }
                    requeue.back_off(FIRST_PAUSE, LONGEST_PAUSE);
                }
            }
        }
    }

    /// How long the first pass waits: Jobs that wait for their turn come first.
    fn first_pass(&self) -> Duration {
        let waiting = self.ports.jobs.waiting(self.event_job);
        if waiting.is_ok_and(|waiting| waiting > 0) {
            return Duration::ZERO;
        }
        let name = self.event_job.to_string();
        spread(&name, self.objects.load(Ordering::Relaxed), RESYNC)
    }

    /// Whether Jobs may wait for their turn.
    fn is_gated(&self) -> bool {
        matches!(
            self.catalog.get(self.event_job),
            Some(Listing::Valid(entry)) if entry.event_job.concurrency != Concurrency::Allow
        )
    }

    async fn pass(&self, notes: &mut PassNotes) -> Result<PassEnd, launch::Error> {
        // One that is not valid any more is left as it stands: nobody knows its limits.
        let Some(Listing::Valid(entry)) = self.catalog.get(self.event_job) else {
            return Ok(PassEnd::Done);
        };
        let lead = Arc::clone(self.lead);
        let pass = Pass {
            may: Guard::new(move || lead.is_held()),
            ports: self.ports,
            event_job: &entry.event_job,
            progress: self.progress,
            is_leader: &|| self.lead.is_held(),
        };
        let result = tokio::time::timeout(LONGEST, Box::pin(pass.run(notes))).await;
        result.unwrap_or_else(|_| {
            Err(launch::Error::Unknown {
                object: format!("EventJob {}", self.event_job),
                detail: format!("its Jobs were not looked after within {LONGEST:?}"),
            })
        })
    }
}

/// Looks after the Jobs of every EventJob of a catalog until `stop`: all that EventJobs need where statuses are not
/// written, and templates not proved, by tasks of their own.
pub async fn run(
    ports: Ports,
    catalog: Arc<Catalog>,
    lead: Arc<dyn Lead>,
    stop: CancellationToken,
) {
    let ports = Arc::new(ports);
    let jobs = Arc::clone(&ports.jobs);
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut known: HashMap<ObjectId, (Arc<Notify>, CancellationToken)> = HashMap::new();
    let mut ticks = tokio::time::interval(TIDY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jobs_changed: BoxFuture<'_, _> = jobs.changed();
    loop {
        let changed = tokio::select! {
            () = stop.cancelled() => return,
            ids = &mut jobs_changed => {
                jobs_changed = jobs.changed();
                ids
            }
            _ = ticks.tick() => catalog.all().into_iter().filter(|id| !known.contains_key(id)).collect(),
        };
        known.retain(|id, (_, removed)| {
            let is_there = catalog.get(id).is_some();
            if !is_there {
                removed.cancel();
            }
            is_there
        });
        for id in changed {
            if let Some((jobs_changed, _)) = known.get(&id) {
                jobs_changed.notify_one();
                continue;
            }
            let (jobs_changed, removed) = (Arc::new(Notify::new()), CancellationToken::new());
            known.insert(id.clone(), (Arc::clone(&jobs_changed), removed.clone()));
            let (ports, catalog, lead) = (ports.clone(), catalog.clone(), lead.clone());
            tasks.spawn(async move {
                let (news, progress, objects) = Default::default();
                let passes = Passes {
                    ports: &ports,
                    catalog: &catalog,
                    lead: &lead,
                    event_job: &id,
                    jobs_changed: &jobs_changed,
                    news: &news,
                    objects: &objects,
                    progress: &progress,
                };
                let scheduling = Scheduling::beside(&passes);
                tokio::select! {
                    () = removed.cancelled() => {}
                    () = passes.run() => {}
                    () = scheduling.run(Edits::Polled(TIDY)) => {}
                }
            });
        }
        while tasks.try_join_next().is_some() {}
    }
}

#[cfg(test)]
pub(super) mod tests;
