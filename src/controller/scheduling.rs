//! The clock as a source: on the leader, each schedule's due times become Jobs, once each.
//!
//! | step | why a crash after it does no harm |
//! | --- | --- |
//! | the record is read, consistently, once a term | nothing was done |
//! | due times after the record are decided (`schedule`, pure) | they are decided again |
//! | their Jobs are made, while this process leads | a Job's name is made of its due time |
//! | the record moves past them | nothing at or before it is made again |
//!
//! A Job stays until its schedule has been past it for the grace: whoever was frozen before it looked at the lead finds the
//! name taken, and a record that went no further finds its Jobs. So schedules need no keys in the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, warn};

use self::led::LedSchedule;
use self::requests::BackfillProgress;
use super::admission::{Passes, Ports};
use super::event_jobs::DesiredEventJob;
use super::event_jobs::outcomes::Trouble;
use super::lead::{self, Lead};
use super::requeue::{Requeue, spread};
use super::schedule_progress::ScheduleProgress;
use super::workers::{Inbox, ObjectTask};
use crate::catalog::{Catalog, CatalogEntry, Listing};
use crate::cycle::delivery::{Deliveries, Error, Moment};
use crate::intake::webhook::Record;
use crate::launch::ports::{DeliveredJob, Schedules};
use crate::launch::schedule_record::{ALREADY_ACTIVE, MissedTime};
use crate::launch::{self, Guard};
use crate::resource::ObjectId;
use crate::resource::event_job::cron::Cron;
use crate::resource::event_job::{Concurrency, EventJob, GatedPolicy};

mod led;
mod requests;
mod rush;

pub use self::rush::Rush;

/// Jobs of one schedule that are made at once.
const LAUNCHES_AT_ONCE: usize = 8;
/// One Job of a due time is made, or is not, within this.
const LAUNCH: Duration = Duration::from_secs(30);
/// Due times that a status names beforehand.
const NEXT: usize = 5;
/// The wall clock may be set: it is looked at no later than this, however far away the next due time is.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// A template that is not proved yet is looked at again after this.
const UNPROVED: Duration = Duration::from_secs(2);
/// First looks after a start or a change of leader are spread over at most this.
const FIRST_LOOKS: Duration = Duration::from_secs(30);
/// Pause after the first failure; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Clocks of leaders may differ by this: a record that is further ahead of the clock is a trouble of its object.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What makes the Jobs of schedules.
#[derive(Clone)]
pub struct SchedulePorts {
    /// Makes them.
    pub deliveries: Arc<Deliveries>,
    /// Keeps how far each schedule has come.
    pub schedules: Arc<dyn Schedules>,
    /// Where it is told what became of due times.
    pub record: Arc<dyn Record>,
    /// Who creates at this moment: what can wait waits for them.
    pub rush: Arc<Rush>,
}

/// The schedule of one EventJob, if it has one.
pub(super) struct Scheduling<'a> {
    ports: &'a Ports,
    catalog: &'a Catalog,
    lead: &'a Arc<dyn Lead>,
    event_job: &'a ObjectId,
    /// Told when something may be worth telling.
    news: &'a Notify,
    /// How many EventJobs there are.
    objects: &'a AtomicUsize,
    /// How far the schedule is known to have come.
    progress: &'a ScheduleProgress,
}

/// How it is noticed that an EventJob was edited.
pub(super) enum Edits {
    /// It is told of edits after this version.
    Watched(Arc<Inbox<DesiredEventJob>>, u64),
    /// It is looked at again after this.
    Polled(Duration),
}

/// When to look at a schedule again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// At this time on the wall.
    At(Timestamp),
    /// After this.
    After(Duration),
    /// When it was edited.
    WhenEdited,
}

/// What a look is at.
#[derive(Clone, Copy)]
struct Looked<'a> {
    event_job: &'a EventJob,
    /// Its schedule.
    cron: &'a Cron,
    /// Whether this process still leads.
    may: &'a Guard,
    /// When this is.
    now: Timestamp,
}

impl Edits {
    /// Those of a task's object, from now on.
    pub(super) fn watching(task: &ObjectTask<DesiredEventJob>) -> Self {
        Self::Watched(Arc::clone(&task.inbox), task.inbox.object().1)
    }

    /// The valid object as it was last read, which may not be served yet.
    fn wanted(&self, served: Option<&Arc<EventJob>>) -> Option<Arc<EventJob>> {
        match self {
            Self::Watched(inbox, _) => inbox.with(|read| read.event_job.as_ref().ok().cloned()),
            Self::Polled(_) => served.cloned(),
        }
    }

    async fn next(&mut self) {
        match self {
            Self::Watched(inbox, version) => {
                inbox.changed(*version).await;
                *version = inbox.object().1;
            }
            Self::Polled(pause) => tokio::time::sleep(*pause).await,
        }
    }
}

impl<'a> Scheduling<'a> {
    /// That of the EventJob whose Jobs are passed over.
    pub(super) fn beside(passes: &Passes<'a>) -> Self {
        Self {
            ports: passes.ports,
            catalog: passes.catalog,
            lead: passes.lead,
            event_job: passes.event_job,
            news: passes.news,
            objects: passes.objects,
            progress: passes.progress,
        }
    }
}

impl Scheduling<'_> {
    /// Makes the Jobs of its due times while this process leads, for ever.
    pub(super) async fn run(self, mut edits: Edits) {
        loop {
            // Most EventJobs have no schedule: they keep nothing for one.
            if self.has_schedule(&edits) {
                Box::pin(self.follow(&mut edits)).await;
            } else {
                edits.next().await;
            }
        }
    }

    fn served(&self) -> Option<CatalogEntry> {
        match self.catalog.get(self.event_job) {
            Some(Listing::Valid(entry)) => Some(entry),
            _ => None,
        }
    }

    fn has_schedule(&self, edits: &Edits) -> bool {
        let served = self.served().map(|entry| entry.event_job);
        let wanted = edits.wanted(served.as_ref());
        wanted.is_some_and(|event_job| event_job.cron().is_some())
    }

    /// Until it is edited and has a schedule no more.
    async fn follow(&self, edits: &mut Edits) {
        let mut kept = None;
        let mut requeue = Requeue::default();
        let mut led = None;
        while self.has_schedule(edits) {
            let term = self.lead.term();
            if term != led {
                led = term;
                kept = None;
                self.progress.held_up(None);
                requeue.forget();
                if term.is_some() {
                    let objects = self.objects.load(Ordering::Relaxed);
                    let pause = spread(&self.event_job.to_string(), objects, FIRST_LOOKS);
                    requeue.at(Instant::now() + pause);
                }
            }
            tokio::select! {
                () = requeue.wait() => {}
                () = edits.next() => {}
                () = lead::changed(&**self.lead, term) => continue,
            }
            let Some(term) = term else { continue };
            let looked = self.look(term, edits, &mut kept).await;
            if looked.is_ok() {
                self.progress.held_up(None);
            }
            match looked {
                Ok(Look::At(time)) => requeue.at(Instant::now() + self.until(time)),
                Ok(Look::After(pause)) => requeue.at(Instant::now() + pause),
                Ok(Look::WhenEdited) => requeue.forget(),
                Err(error) => {
                    // One that the first retry mends is no news.
                    if requeue.failures() > 0 {
                        self.progress.held_up(Some(Trouble {
                            reason: error.reason(),
                            text: error.to_string(),
                        }));
                    }
                    if requeue.failures() == 1 {
                        let id = self.event_job;
                        warn!(
                            "the schedule of EventJob {id} cannot be looked after now: {error}; trying again"
                        );
                    }
                    requeue.back_off(FIRST_PAUSE, LONGEST_PAUSE);
                }
            }
            self.news.notify_one();
        }
        self.progress.held_up(None);
    }

    fn until(&self, time: Timestamp) -> Duration {
        let pause = time.duration_since((self.ports.clock)());
        // A moment later, so that the clock is past it when the timer fires.
        let pause = Duration::try_from(pause).unwrap_or_default() + Duration::from_millis(1);
        pause.min(LONGEST_SLEEP)
    }

    /// Decides what is due now, makes its Jobs, and writes down how far the schedule has come.
    async fn look(
        &self,
        term: u64,
        edits: &Edits,
        kept: &mut Option<LedSchedule>,
    ) -> Result<Look, launch::Error> {
        let Some(entry) = self.served() else {
            return Ok(Look::After(UNPROVED));
        };
        let event_job = &entry.event_job;
        // What was edited is proved first.
        if edits.wanted(Some(event_job)).as_ref() != Some(event_job) {
            return Ok(Look::After(UNPROVED));
        }
        let Some(cron) = event_job.cron() else {
            return Ok(Look::WhenEdited);
        };
        let state = match kept {
            Some(state) => state,
            None => kept.insert(self.read(event_job).await?),
        };
        let now = (self.ports.clock)();
        let ahead = state.record.last;
        if let Some(last) = ahead.filter(|last| last.duration_since(now) > AHEAD) {
            // Read again each time: somebody may repair it.
            *kept = None;
            return Err(launch::Error::Unavailable {
                object: format!("the schedule in the status of EventJob {}", event_job.id),
                detail: format!(
                    "status.lastScheduleTime is {last:.0}, and now it is {now:.0}: no due time is made before that; \
                     remove the field if it is wrong"
                ),
            });
        }
        state.see(event_job, cron, now);
        if entry.not_ready.is_some() {
            self.write(event_job, kept).await?;
            return Ok(Look::After(UNPROVED));
        }
        let lead = Arc::clone(self.lead);
        let looked = Looked {
            event_job,
            cron,
            may: &Guard::new(move || lead.term() == Some(term)),
            now,
        };
        let mut next = Look::WhenEdited;
        let mut made = Ok(());
        if event_job.suspend {
            state.expect(Vec::new());
        } else {
            made = self.make_due(looked, state).await;
            let decided = state.record.decided().unwrap_or(now);
            let due = cron.schedule.due_between(decided, Timestamp::MAX);
            let due: Vec<_> = due.take(NEXT).collect();
            if let Some(first) = due.first() {
                next = Look::At(cron.schedule.start_of(*first));
            }
            state.expect(due);
        }
        let asked = self.answer(looked, state).await;
        self.write(event_job, kept).await?;
        made?;
        Ok(match asked? {
            // What is due is looked at before the next step.
            Some(pause) => Look::After(pause),
            None => next,
        })
    }

    async fn read(&self, event_job: &EventJob) -> Result<LedSchedule, launch::Error> {
        let record = self.ports.schedules.schedules.read(event_job).await?;
        if let Some(last) = record.last {
            self.progress.passed(last, self.ports.grace, Instant::now());
        }
        Ok(LedSchedule {
            record,
            is_dirty: false,
            progress: BackfillProgress::default(),
        })
    }

    /// Brings what is written up to the record.
    async fn write(
        &self,
        event_job: &EventJob,
        kept: &mut Option<LedSchedule>,
    ) -> Result<(), launch::Error> {
        let Some(state) = kept else { return Ok(()) };
        if !state.is_dirty {
            return Ok(());
        }
        let rush = &self.ports.schedules.rush;
        rush.over(&event_job.id.namespace).await;
        let schedules = &self.ports.schedules.schedules;
        let mut written = schedules.write(event_job, &state.record).await;
        if matches!(written, Err(launch::Error::Conflict { .. })) {
            // Somebody wrote another part of the object, or another leader was here: then its record is the true one.
            let found = match self.read(event_job).await {
                Ok(found) => found,
                Err(error) => {
                    // What is written is the truth: nothing is made until it can be read.
                    *kept = None;
                    return Err(error);
                }
            };
            if found.record.last > state.record.last {
                *kept = Some(found);
                return Err(launch::Error::Conflict {
                    object: format!("the schedule of EventJob {}", event_job.id),
                });
            }
            state.record.version = found.record.version;
            written = schedules.write(event_job, &state.record).await;
        }
        state.record.version = written?;
        state.is_dirty = false;
        if let Some(last) = state.record.last {
            self.progress.passed(last, self.ports.grace, Instant::now());
        }
        Ok(())
    }

    /// Makes the Jobs that are due, and has the record say what was decided.
    async fn make_due(
        &self,
        looked: Looked<'_>,
        state: &mut LedSchedule,
    ) -> Result<(), launch::Error> {
        let Looked {
            event_job,
            cron,
            now,
            ..
        } = looked;
        let decided = state.record.decided().unwrap_or(now);
        let (catch_up, deadline) = (cron.catch_up, cron.starting_deadline);
        let due = cron.schedule.due_times(decided, now, catch_up, deadline);
        let Some(through) = due.through else {
            return Ok(());
        };
        for missed in &due.missed {
            let (reason, is_exact) = (missed.reason, missed.is_exact);
            let newest = missed.newest.first().copied();
            let more = if is_exact { "" } else { "more than " };
            let missed = MissedTime {
                time: newest.unwrap_or(through),
                count: missed.count,
                reason: reason.word().to_owned(),
                message: format!("{more}{} missed: {}", missed.count, reason.text()),
            };
            self.tell_missed(event_job, state, missed);
            // They are older than what is to be made, and are told once, whatever becomes of that.
            if let Some(newest) = newest {
                state.decide(newest);
            }
        }
        if let Some(newest) = due.make.last()
            && let Some(busy) = self.is_busy(event_job, &due.make).await?
        {
            let missed = MissedTime {
                time: *newest,
                count: due.make.len() as u64,
                reason: ALREADY_ACTIVE.to_owned(),
                message: format!("job {busy} had not ended, and concurrencyPolicy is Forbid"),
            };
            self.tell_missed(event_job, state, missed);
            state.decide(through);
            return Ok(());
        }
        let rush = &self.ports.schedules.rush;
        let creating = rush.begin(&event_job.id.namespace);
        let launches = due
            .make
            .iter()
            .map(|due| async { (*due, self.launch(looked, Moment::Due(*due)).await) });
        let launches: Vec<_> = launches.collect();
        let mut launches = futures::stream::iter(launches).buffered(LAUNCHES_AT_ONCE);
        let mut failed = None;
        while let Some((due, made)) = launches.next().await {
            self.ports.schedules.record.told(&event_job.id, &made);
            match made {
                Ok(_) if failed.is_none() => state.decide(due),
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        drop(creating);
        match failed {
            None => {
                state.decide(through);
                Ok(())
            }
            Some(Error::Launch(error)) => Err(error),
            Some(error) => Err(launch::Error::Unavailable {
                object: format!("room for a Job of EventJob {}", event_job.id),
                detail: error.to_string(),
            }),
        }
    }

    /// A Job that keeps those of `due` from starting, if the policy is Forbid and there is no room.
    async fn is_busy(
        &self,
        event_job: &EventJob,
        due: &[Timestamp],
    ) -> Result<Option<String>, launch::Error> {
        let limit = match &event_job.concurrency {
            Concurrency::Gated {
                policy: GatedPolicy::Forbid,
                limit,
                ..
            } => limit.get(),
            _ if event_job.cron_job.is_some_and(|cron_job| cron_job.forbids) => 1,
            _ => return Ok(None),
        };
        let mut open = self.ports.gates.open(&event_job.id)?;
        // Whoever led before may have made those of these due times, and not written it down.
        let is_of_these = |job: &Arc<DeliveredJob>| {
            let made_at = job.made_by_schedule_at();
            made_at.is_some_and(|at| due.contains(&at))
        };
        if open.iter().any(is_of_these) {
            return Ok(None);
        }
        open.retain(|job| !job.is_going);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match open.first() {
            Some(first) if open.len() >= limit => Ok(Some(first.id.name.to_string())),
            _ => self.ports.schedules.schedules.busy(event_job).await,
        }
    }

    fn tell_missed(&self, event_job: &EventJob, state: &mut LedSchedule, missed: MissedTime) {
        debug!(
            "EventJob {}: {}: {}",
            event_job.id, missed.reason, missed.message
        );
        self.ports.schedules.record.missed(&event_job.id, &missed);
        state.record.miss(missed);
        state.is_dirty = true;
    }
}

#[cfg(test)]
pub(super) mod tests;
