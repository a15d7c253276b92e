//! The loop over the Jobs of EventJobs: whose turn it is, which keys are missing in the ledger, which Jobs may go.
//!
//! What to do is decided by pure functions (`launch::admission`, `launch::retention`);
//! here is when: soon after something changed, and all of it again now and then.
//! Each EventJob has its own pass, so that a slow or broken one holds up no other,
//! and never two at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::catalog::{Catalog, Listed};
use crate::launch;
use crate::launch::event_launcher::{DeliveredJobs, Gates, Remember};
use crate::resource::ObjectId;
use crate::resource::event_job::Concurrency;

use self::pass::{Ended, Notes, Pass};

mod pass;

/// EventJobs that are looked after at once. Each has a handful of calls under way at most.
const AT_ONCE: usize = 16;
/// How soon a change of leader, and the end of a pause, is noticed.
const BEAT: Duration = Duration::from_secs(1);
/// Every EventJob is looked at again this often: keys come of age, and what a crash left out is nobody's change.
const ROUND: Duration = Duration::from_secs(10);
/// Where nothing waits for a turn a pass only tidies up, and looks at every Job for it: that is not done for each event.
const TIDY: Duration = Duration::from_secs(2);
/// A pass is cut off after this; what it had under way is settled by versions and names.
const LONGEST: Duration = Duration::from_secs(30);
/// Pause after the first failure of an EventJob's pass; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The ports of the loop.
pub struct Ports {
    /// Which Jobs there are.
    pub jobs: Arc<dyn DeliveredJobs>,
    /// Which of them may run.
    pub gates: Arc<dyn Gates>,
    /// What is known of them when they are gone.
    pub ledger: Arc<dyn Remember>,
    /// What tells this process's claims from another's.
    pub holder: String,
    /// How long a key must have been in the ledger before its Job may go: `--ledger-grace`.
    pub grace: Duration,
}

/// Looks after the Jobs of every EventJob of the catalog while `is_leader` says so, until `stop`.
/// `looked_after` hears of each that was.
///
/// Two that both believe to lead do no harm: the launcher's versions and names see to that.
pub async fn run(
    ports: Ports,
    catalog: Arc<Catalog>,
    is_leader: impl Fn() -> bool + Send + Sync,
    looked_after: impl Fn(&ObjectId),
    stop: CancellationToken,
) {
    let mut desk = Desk::default();
    let mut passes = FuturesUnordered::new();
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_round: Option<Instant> = None;
    let mut last_tidied = Instant::now();
    // Kept over the turns of this loop: nothing that it heard is lost with it.
    let mut changed = ports.jobs.changed();
    loop {
        if is_leader() {
            while passes.len() < AT_ONCE
                && let Some(id) = desk.take(Instant::now())
            {
                passes.push(look_after(&ports, &catalog, &is_leader, &mut desk, id));
            }
        } else {
            // Whoever leads next, we too, begins with all of them.
            desk.wait_for_office();
            last_round = None;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            ids = &mut changed => {
                let (gated, free): (Vec<_>, Vec<_>) =
                    ids.into_iter().partition(|id| is_gated(&catalog, id));
                desk.add(gated);
                desk.untidy.extend(free);
                changed = ports.jobs.changed();
            }
            Some((id, notes, result)) = passes.next() => {
                looked_after(&id);
                desk.settle(id, notes, result);
            }
            _ = beats.tick() => {
                if last_tidied.elapsed() >= TIDY {
                    last_tidied = Instant::now();
                    let untidy = std::mem::take(&mut desk.untidy);
                    desk.add(untidy);
                }
                if last_round.is_none_or(|last| last.elapsed() >= ROUND) {
                    last_round = Some(Instant::now());
                    let all = catalog.all();
                    desk.keep_only(&all);
                    desk.add(all);
                }
            }
        }
    }
}

/// Whether Jobs of the EventJob may wait for their turn.
fn is_gated(catalog: &Catalog, id: &ObjectId) -> bool {
    matches!(
        catalog.get(id),
        Some(Listed::Valid(entry)) if entry.event_job.concurrency != Concurrency::Allow
    )
}

type Looked = (ObjectId, Notes, Result<Ended, launch::Error>);

/// One pass, with what its EventJob's last one left for it.
fn look_after<'a>(
    ports: &'a Ports,
    catalog: &'a Catalog,
    is_leader: &'a (dyn Fn() -> bool + Send + Sync),
    desk: &mut Desk,
    id: ObjectId,
) -> impl Future<Output = Looked> + use<'a> {
    let mut notes = desk.notes.remove(&id).unwrap_or_default();
    async move {
        // One that is not valid any more is left as it stands: nobody knows its limits.
        let Some(Listed::Valid(entry)) = catalog.get(&id) else {
            return (id, notes, Ok(Ended::Done));
        };
        let pass = Pass {
            ports,
            event_job: &entry.event_job,
            is_leader,
        };
        let result = tokio::time::timeout(LONGEST, pass.run(&mut notes))
            .await
            .unwrap_or_else(|_| {
                Err(launch::Error::Unknown {
                    object: format!("EventJob {id}"),
                    detail: format!("its Jobs were not looked after within {LONGEST:?}"),
                })
            });
        (id, notes, result)
    }
}

/// Who is to be looked after, in the order in which it was asked for.
#[derive(Default)]
struct Desk {
    queue: VecDeque<ObjectId>,
    queued: BTreeSet<ObjectId>,
    /// Under way.
    busy: BTreeSet<ObjectId>,
    pauses: BTreeMap<ObjectId, Pause>,
    /// Changed, with nobody waiting for a turn.
    untidy: BTreeSet<ObjectId>,
    /// What passes leave for the next one.
    notes: BTreeMap<ObjectId, Notes>,
}

/// After a failure.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    failures: u32,
}

impl Desk {
    fn add(&mut self, ids: impl IntoIterator<Item = ObjectId>) {
        for id in ids {
            if self.queued.insert(id.clone()) {
                self.queue.push_back(id);
            }
        }
    }

    /// The next that is neither under way nor paused.
    fn take(&mut self, now: Instant) -> Option<ObjectId> {
        let waits = |id: &ObjectId| {
            self.busy.contains(id) || self.pauses.get(id).is_some_and(|pause| pause.until > now)
        };
        let position = self.queue.iter().position(|id| !waits(id))?;
        let id = self.queue.remove(position)?;
        self.queued.remove(&id);
        self.busy.insert(id.clone());
        Some(id)
    }

    fn settle(&mut self, id: ObjectId, notes: Notes, result: Result<Ended, launch::Error>) {
        self.busy.remove(&id);
        if notes != Notes::default() {
            self.notes.insert(id.clone(), notes);
        }
        match result {
            Ok(ended) => {
                self.pauses.remove(&id);
                if ended == Ended::Again {
                    self.add([id]);
                }
            }
            Err(error) => {
                let failures = self.pauses.get(&id).map_or(0, |pause| pause.failures);
                if failures == 0 {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        reason = error.reason(),
                        "the Jobs of EventJob {id} cannot be looked after now; trying again"
                    );
                } else {
                    debug!("the Jobs of EventJob {id} still cannot be looked after: {error}");
                }
                let pause = FIRST_PAUSE
                    .saturating_mul(2_u32.saturating_pow(failures))
                    .min(LONGEST_PAUSE);
                let pause = Pause {
                    until: Instant::now() + pause,
                    failures: failures.saturating_add(1),
                };
                self.pauses.insert(id.clone(), pause);
                self.add([id]);
            }
        }
    }

    /// Forgets what was asked for. What is under way stays, and so do notes: what we sent when we led may still be applied.
    fn wait_for_office(&mut self) {
        self.queue.clear();
        self.queued.clear();
        self.untidy.clear();
        self.pauses.clear();
    }

    /// Forgets those that are gone.
    fn keep_only(&mut self, all: &[ObjectId]) {
        let all: BTreeSet<&ObjectId> = all.iter().collect();
        self.pauses.retain(|id, _| all.contains(id));
        self.notes.retain(|id, _| all.contains(id));
    }
}

#[cfg(test)]
mod tests;
