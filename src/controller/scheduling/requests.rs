//! What somebody asked for: a Job now, or those of due times that are past.
//!
//! Only the leader does it, and an id is done once: what became of it stands in `status.requests`. A Job that was made
//! before a crash has its name, and its key is in the ledger, so that the next leader makes none twice.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use tracing::info;

use super::led::LedSchedule;
use super::{LAUNCH, LAUNCHES_AT_ONCE, Looked, Scheduling};
use crate::cycle::delivery::{DeliveryOutcome, Error, Moment};
use crate::intake::webhook::{AnswerOutcome, AnsweredEvent};
use crate::launch::delivered::Delivery;
use crate::launch::{self, Launched};
use crate::resource::requests::{DONE, FAILED, JobRequest, Wish};

/// Due times that one request may name: a year of daily ones, twice.
const MOST_DUE_TIMES: usize = 1_000;
/// Due times of a range that are made before the schedule itself is looked at again.
const STEP: usize = 16;

/// How far a range has come.
#[derive(Debug, Default)]
pub(super) struct BackfillProgress {
    /// Whose.
    id: String,
    /// The last due time that has its Job.
    through: Option<Timestamp>,
    made: usize,
    found: usize,
}

impl Scheduling<'_> {
    /// Does a part of what is asked for. Returns when to go on; `None` when all is answered.
    pub(super) async fn answer(
        &self,
        looked: Looked<'_>,
        state: &mut LedSchedule,
    ) -> Result<Option<Duration>, launch::Error> {
        let requests = match self.ports.schedules.schedules.requests(looked.event_job) {
            Ok(requests) => requests,
            Err(why) => {
                // There is no id to answer to, so it is told where ids would be.
                let id = String::new();
                if !state
                    .record
                    .answers
                    .iter()
                    .any(|answer| answer.message == why)
                {
                    state.settle(id, looked.now, FAILED, why, None);
                }
                return Ok(None);
            }
        };
        let open = |request: &&JobRequest| !state.record.is_answered(&request.id);
        let Some(request) = requests.iter().find(open) else {
            return Ok(None);
        };
        match request.wish {
            Wish::Trigger => self.trigger(looked, request, state).await?,
            Wish::Backfill { from, to } => {
                let zone = &looked.cron.schedule.time_zone;
                let (from, to) = (from.begin(zone), to.end(zone));
                let again = self.backfill(looked, request, (from, to), state).await?;
                if again.is_some() {
                    return Ok(again);
                }
            }
        }
        Ok(Some(Duration::ZERO))
    }

    async fn trigger(
        &self,
        looked: Looked<'_>,
        request: &JobRequest,
        state: &mut LedSchedule,
    ) -> Result<(), launch::Error> {
        let (event_job, now) = (&looked.event_job.id, looked.now);
        let moment = Moment::Trigger {
            id: &request.id,
            at: request.time,
        };
        if let Some(busy) = self.forbidding(looked, moment).await? {
            let message = format!(
                "job {busy} has not ended, and concurrencyPolicy is Forbid: ask again when it has"
            );
            state.settle(request.id.clone(), now, FAILED, message, None);
            return Ok(());
        }
        let made = self.launch(looked, moment).await;
        self.ports.schedules.record.told(event_job, &made);
        match made {
            Ok(DeliveryOutcome::Job(job)) => {
                info!("job {} of EventJob {event_job} was asked for", job.name);
                let message = match job.launched {
                    Launched::Created if job.is_gated => "it was created, and waits for its turn",
                    Launched::Created => "it was created",
                    Launched::AlreadyThere { .. } => "it was created before",
                    Launched::Remembered => "it was created before, and is gone",
                };
                let name = Some(job.name);
                state.settle(request.id.clone(), now, DONE, message.to_owned(), name);
            }
            Ok(DeliveryOutcome::Filtered { .. }) => {}
            Err(error) => match error.lasting() {
                Ok(message) => state.settle(request.id.clone(), now, FAILED, message, None),
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }

    /// A Job that leaves no room for one more, under Forbid: an EventJob's would be dropped at once, a CronJob's would run beside it.
    async fn forbidding(
        &self,
        looked: Looked<'_>,
        moment: Moment<'_>,
    ) -> Result<Option<String>, launch::Error> {
        let Looked {
            event_job, cron, ..
        } = looked;
        let Some(busy) = self.is_busy(event_job, &[]).await? else {
            return Ok(None);
        };
        // Whoever led before may have made it, and not written it down; it may have ended since.
        let own = Delivery::of_moment(event_job, cron, moment, self.ports.grace);
        let made = match own {
            Ok(own) => {
                let deliveries = &self.ports.schedules.deliveries;
                deliveries.find(&own, Instant::now() + LAUNCH).await?
            }
            Err(_) => None,
        };
        Ok(made.is_none().then_some(busy))
    }

    /// The next step of a range. Returns when to take the one after; `None` when it is answered.
    async fn backfill(
        &self,
        looked: Looked<'_>,
        request: &JobRequest,
        (from, to): (Timestamp, Timestamp),
        state: &mut LedSchedule,
    ) -> Result<Option<Duration>, launch::Error> {
        let (schedule, now) = (&looked.cron.schedule, looked.now);
        let before_first = from.saturating_sub(Duration::from_nanos(1));
        let begin = before_first.unwrap_or(Timestamp::MIN);
        if state.progress.id != request.id {
            state.progress = BackfillProgress {
                id: request.id.clone(),
                ..BackfillProgress::default()
            };
            let all = schedule.due_between(begin, to.min(now));
            if all.take(MOST_DUE_TIMES + 1).count() > MOST_DUE_TIMES {
                let message = format!(
                    "there are more than {MOST_DUE_TIMES} due times in this range: ask for a part of it"
                );
                state.settle(request.id.clone(), now, FAILED, message, None);
                return Ok(None);
            }
        }
        let begin = state.progress.through.unwrap_or(begin);
        let due: Vec<_> = schedule
            .due_between(begin, to.min(now))
            .take(STEP)
            .collect();
        let launches = due
            .iter()
            .map(|due| async move { (*due, self.launch(looked, Moment::Backfill(*due)).await) });
        let mut launches =
            futures::stream::iter(launches.collect::<Vec<_>>()).buffered(LAUNCHES_AT_ONCE);
        while let Some((due, made)) = launches.next().await {
            match made {
                Ok(DeliveryOutcome::Job(job)) if job.launched == Launched::Created => {
                    state.progress.made += 1;
                }
                Ok(_) => state.progress.found += 1,
                Err(Error::RateLimited { retry_after }) => return Ok(Some(retry_after)),
                Err(error) => match error.lasting() {
                    Ok(message) => {
                        let message = format!("the Job of {due:.0}: {message}");
                        state.settle(request.id.clone(), now, FAILED, message, None);
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                },
            }
            state.progress.through = Some(due);
        }
        if due.len() == STEP {
            return Ok(Some(Duration::ZERO));
        }
        let BackfillProgress { made, found, .. } = state.progress;
        let message = format!("{made} Jobs were created; {found} due times had theirs before");
        state.settle(request.id.clone(), now, DONE, message, None);
        Ok(None)
    }

    pub(super) async fn launch(
        &self,
        looked: Looked<'_>,
        moment: Moment<'_>,
    ) -> Result<DeliveryOutcome, Error> {
        let Looked {
            event_job,
            cron,
            may,
            ..
        } = looked;
        let started = Instant::now();
        let ports = &self.ports.schedules;
        let made = ports
            .deliveries
            .deliver_moment(event_job, cron, moment, started + LAUNCH, may.clone())
            .await;
        let answered = AnsweredEvent {
            event_id: Some(&moment.id()),
            moment: Some(moment),
            took: started.elapsed(),
            status: 0,
            outcome: AnswerOutcome::Delivered(&made),
        };
        ports.record.answered(&event_job.id, &answered);
        made
    }
}
