//! Failed Jobs that somebody asks to run again: the step of a pass that makes their next attempts.
//!
//! Which attempt it is stands on the failed Job before the next one is made, so whoever goes on after a crash makes the
//! same one, and two who ask at once get one Job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::pass::{Pass, PassEnd};
use crate::cycle::delivery::DeliveryOutcome;
use crate::launch::attempt::{self, FailedJob, MOST_ATTEMPTS, NextAttempt, RerunRequest};
use crate::launch::delivered::Delivery;
use crate::launch::ports::DeliveredJob;
use crate::launch::{self, Launched};

/// Attempts that one pass makes; the next one goes on. So many reruns do not hold up who waits for a turn.
const AT_ONCE: usize = 8;
/// One attempt is made, or is not, within this.
const LAUNCH: Duration = Duration::from_secs(10);

impl Pass<'_> {
    /// Makes the next attempts that are asked for.
    pub(super) async fn rerun(&self, jobs: &[Arc<DeliveredJob>]) -> Result<PassEnd, launch::Error> {
        let mut asked = jobs.iter().filter(|job| job.wants_rerun);
        for job in asked.by_ref().take(AT_ONCE) {
            if !(self.is_leader)() {
                return Ok(PassEnd::Done);
            }
            match self.rerun_one(job, jobs).await {
                // The watch will show why.
                Ok(()) | Err(launch::Error::Gone { .. } | launch::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(match asked.next() {
            Some(_) => PassEnd::Again,
            None => PassEnd::Done,
        })
    }

    async fn rerun_one(
        &self,
        job: &DeliveredJob,
        jobs: &[Arc<DeliveredJob>],
    ) -> Result<(), launch::Error> {
        let reruns = &self.ports.reruns;
        let failed = match reruns.read(job).await {
            Ok(failed) => failed,
            Err(launch::Error::Rejected { detail, .. }) => {
                let request = RerunRequest::new((self.ports.clock)());
                let answer = request.answered(false, detail, None);
                return reruns.write(job, &job.version, &answer).await.map(drop);
            }
            Err(error) => return Err(error),
        };
        let Some(mut request) = failed.request() else {
            return Ok(());
        };
        let mut version = failed.version.clone();
        let attempt = match request.attempt {
            Some(attempt) => attempt,
            None => match self.next_attempt(job, jobs, &failed, &request).await? {
                NextAttempt::Make(attempt) => {
                    request.attempt = Some(attempt);
                    version = reruns.write(job, &version, &request).await?;
                    attempt
                }
                NextAttempt::Runs { attempt, job: name } => {
                    let message = format!("attempt {attempt} was created before");
                    let answer = request.answered(true, message, Some(name));
                    return reruns.write(job, &version, &answer).await.map(drop);
                }
                NextAttempt::Never(why) => {
                    let answer = request.answered(false, why, None);
                    return reruns.write(job, &version, &answer).await.map(drop);
                }
            },
        };
        let answer = self.make_again(&failed, attempt, request).await?;
        reruns.write(job, &version, &answer).await?;
        debug!(
            "job {} was asked to run again: {}",
            job.id,
            answer.to_text()
        );
        Ok(())
    }

    /// One above the highest that is seen, or that the ledger remembers.
    async fn next_attempt(
        &self,
        job: &DeliveredJob,
        jobs: &[Arc<DeliveredJob>],
        failed: &FailedJob,
        request: &RerunRequest,
    ) -> Result<NextAttempt, launch::Error> {
        let NextAttempt::Make(first) = attempt::next(job, jobs) else {
            return Ok(attempt::next(job, jobs));
        };
        let deliveries = &self.ports.schedules.deliveries;
        for attempt in first..=MOST_ATTEMPTS {
            let delivery = Delivery::again(self.event_job, failed, attempt, request.asked);
            let delivery = match delivery {
                Ok(delivery) => delivery,
                Err(why) => return Ok(NextAttempt::Never(why)),
            };
            match deliveries.find(&delivery, Instant::now() + LAUNCH).await? {
                None => return Ok(NextAttempt::Make(attempt)),
                Some(Launched::Remembered) => {}
                // Made a moment ago.
                Some(_) => {
                    let job = delivery.launch.id.name.to_string();
                    return Ok(NextAttempt::Runs { attempt, job });
                }
            }
        }
        let why = format!("it has been tried {MOST_ATTEMPTS} times");
        Ok(NextAttempt::Never(why))
    }

    /// Makes an attempt whose number is written down. Returns the answer; an error when it may come to another one later.
    async fn make_again(
        &self,
        failed: &FailedJob,
        attempt: u32,
        request: RerunRequest,
    ) -> Result<RerunRequest, launch::Error> {
        let event_job = self.event_job;
        let delivery = Delivery::again(event_job, failed, attempt, request.asked);
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(why) => return Ok(request.answered(false, why, None)),
        };
        let deadline = Instant::now() + LAUNCH;
        let schedules = &self.ports.schedules;
        let deliveries = &schedules.deliveries;
        let made = deliveries
            .deliver_again(event_job, &delivery, deadline, self.may.clone())
            .await;
        schedules.record.told(&event_job.id, &made);
        match made {
            Ok(DeliveryOutcome::Job(job)) => {
                info!(
                    "job {} of EventJob {} is attempt {attempt}",
                    job.name, event_job.id
                );
                let became = match job.launched {
                    Launched::Created if job.is_gated => "was created, and waits for its turn",
                    Launched::Created => "was created",
                    Launched::AlreadyThere { .. } => "was created before",
                    Launched::Remembered => "was created before, and is gone",
                };
                let message = format!("attempt {attempt} {became}");
                Ok(request.answered(true, message, Some(job.name)))
            }
            Ok(DeliveryOutcome::Filtered { .. }) => Ok(request),
            Err(error) => {
                let why = error.lasting()?;
                Ok(request.answered(false, why, None))
            }
        }
    }
}

#[cfg(test)]
mod tests;
