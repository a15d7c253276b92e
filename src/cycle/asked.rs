//! Jobs of a ScaledJob that somebody asked for: `slipway trigger`.
//!
//! Each is a round of its own, with one Job. The write that opens the round says which Job answers the request, so that a
//! request has one round, whoever leads and however often it is looked at. The cap counts these Jobs as it counts all.
//!
//! | step | why a crash after it does no harm |
//! | --- | --- |
//! | there is room under the cap | nothing was done; without room the request waits |
//! | the round is opened, and the request answered `Creating` | the Job's name is counted until it is seen |
//! | the Job is made | it is found by its name, in the count of whoever looks next |
//! | the request is answered `Done` | |

use jiff::Timestamp;

use super::{Carried, last_round};
use crate::launch::{self, JobState, Launch, Launcher};
use crate::resource::requests::{
    CREATING, DONE, FAILED, JobRequest, RequestAnswer, Wish, add_answer,
};
use crate::resource::{Round, ScaledJob};
use crate::scaling;

/// What is remembered of requests from one look to the next.
#[derive(Debug, Default)]
pub(super) struct AskedMemory {
    /// What this process answered; the object may not show it yet.
    answers: Vec<RequestAnswer>,
    /// Those that could not be written down, by their ids.
    unwritten: Vec<String>,
    /// The cap keeps a request back.
    pub(super) waits_for_room: bool,
}

/// What came of a look at requests.
#[derive(Debug, Default)]
pub struct AskedOutcome {
    /// What was answered for good.
    pub answered: Vec<RequestAnswer>,
    /// Jobs that were made.
    pub launched: u32,
    /// Why something is left that is to be looked at again soon.
    pub left: Option<launch::Error>,
}

/// Answers what is asked for of an object, as far as it can be answered now.
pub async fn answer(
    scaled_job: &ScaledJob,
    now: Timestamp,
    carried: &mut Carried,
    launcher: &dyn Launcher,
) -> AskedOutcome {
    carried.asked.waits_for_room = false;
    let is_idle = scaled_job.requests.as_ref().is_ok_and(Vec::is_empty)
        && scaled_job.answers.iter().all(RequestAnswer::is_final)
        && carried.asked.unwritten.is_empty();
    let mut outcome = AskedOutcome::default();
    if is_idle {
        return outcome;
    }
    let mut look = Look {
        scaled_job,
        now,
        carried,
        launcher,
        outcome: &mut outcome,
    };
    if let Err(error) = Box::pin(look.all()).await {
        outcome.left = Some(error);
    }
    outcome
}

struct Look<'a> {
    scaled_job: &'a ScaledJob,
    now: Timestamp,
    carried: &'a mut Carried,
    launcher: &'a dyn Launcher,
    outcome: &'a mut AskedOutcome,
}

impl Look<'_> {
    async fn all(&mut self) -> Result<(), launch::Error> {
        let unwritten = std::mem::take(&mut self.carried.asked.unwritten);
        let mut known = self.known();
        known.retain(|answer| unwritten.contains(&answer.id));
        let mut written = Ok(());
        for answer in known {
            written = written.and(self.write(answer).await);
        }
        written?;
        self.find_created().await?;
        let requests = match &self.scaled_job.requests {
            Ok(requests) => requests,
            Err(why) => {
                // There is no id to answer to, so it is told where ids would be.
                if !self.known().iter().any(|answer| answer.message == *why) {
                    self.settle(String::new(), FAILED, why.clone(), None)
                        .await?;
                }
                return Ok(());
            }
        };
        for request in requests {
            if self.known().iter().any(|answer| answer.id == request.id) {
                continue;
            }
            match self.refusal(request) {
                Some(why) => {
                    let id = request.id.clone();
                    self.settle(id, FAILED, why.to_owned(), None).await?;
                }
                None if self.make(request).await? => {}
                // Those that were asked for later wait behind it.
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn refusal(&self, request: &JobRequest) -> Option<&'static str> {
        match request.wish {
            Wish::Backfill { .. } => Some(
                "a ScaledJob has no due times that were missed: ask for one Job with `slipway trigger`",
            ),
            Wish::Trigger if self.scaled_job.paused => Some(
                "it is paused, and launches nothing: remove the annotation that pauses it, and ask again",
            ),
            Wish::Trigger => None,
        }
    }

    /// Every answer that is known, the newest last.
    fn known(&self) -> Vec<RequestAnswer> {
        let mut known = self.scaled_job.answers.clone();
        for answer in &self.carried.asked.answers {
            add_answer(&mut known, answer.clone());
        }
        known
    }

    /// Jobs of rounds that were opened before: what became of them is in the count.
    async fn find_created(&mut self) -> Result<(), launch::Error> {
        let mut creating = self.known();
        creating.retain(|answer| !answer.is_final());
        if creating.is_empty() {
            return Ok(());
        }
        let jobs = self.launcher.jobs(self.scaled_job).await?;
        for answer in creating {
            let is_its = |job: &&JobState| Some(&job.name) == answer.job.as_ref();
            match jobs.iter().find(is_its) {
                Some(job) if job.uid.is_some() => self.created(answer.id, answer.job).await?,
                Some(_) => self.outcome.left = Some(in_doubt(&answer)),
                None => {
                    let why = "nobody knows whether it was created, and no Job of this name is there now: it may have ended and been removed";
                    self.settle(answer.id, FAILED, why.to_owned(), answer.job)
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn created(&mut self, id: String, job: Option<String>) -> Result<(), launch::Error> {
        self.settle(id, DONE, "it was created".to_owned(), job)
            .await
    }

    /// Makes the Job of a request. False while the cap has no room.
    async fn make(&mut self, request: &JobRequest) -> Result<bool, launch::Error> {
        let scaled_job = self.scaled_job;
        let counted = super::count(scaled_job, self.launcher).await;
        let Some(counts) = counted.counts else {
            counted.jobs?;
            return Ok(false);
        };
        if scaling::top_up(scaled_job.policy.bounds, 1, counts).launch == 0 {
            self.carried.asked.waits_for_room = true;
            return Ok(false);
        }
        let last = self.carried.round.max(last_round(scaled_job, &counted));
        let round = Round {
            number: last.saturating_add(1),
            jobs: 1,
        };
        let launch = Launch::asked(scaled_job, round.number);
        let answer = RequestAnswer {
            id: request.id.clone(),
            time: self.now,
            result: CREATING.to_owned(),
            message: "it is being created".to_owned(),
            job: Some(launch.id.name.to_string()),
        };
        self.launcher
            .open_round_for(scaled_job, round, Some(&answer))
            .await?;
        self.carried.round = round.number;
        add_answer(&mut self.carried.asked.answers, answer.clone());
        self.launcher
            .announce(scaled_job, "somebody asked for a Job (slipway trigger)");
        let made = self.launcher.launch(&launch).await;
        self.launcher.close_round(scaled_job).await;
        match made {
            Ok(_) => {
                self.outcome.launched += 1;
                self.created(answer.id, answer.job).await?;
            }
            // It is looked for at the next look.
            Err(error @ launch::Error::Unknown { .. }) => return Err(error),
            Err(error) => {
                let message = format!("it was not created: {error}; ask again when that is mended");
                self.settle(answer.id, FAILED, message, None).await?;
            }
        }
        Ok(true)
    }

    async fn settle(
        &mut self,
        id: String,
        result: &str,
        message: String,
        job: Option<String>,
    ) -> Result<(), launch::Error> {
        let answer = RequestAnswer {
            id,
            time: self.now,
            result: result.to_owned(),
            message,
            job,
        };
        add_answer(&mut self.carried.asked.answers, answer.clone());
        self.outcome.answered.push(answer.clone());
        self.write(answer).await
    }

    async fn write(&mut self, answer: RequestAnswer) -> Result<(), launch::Error> {
        let written = self.launcher.answer(self.scaled_job, &answer).await;
        if written.is_err() {
            self.carried.asked.unwritten.push(answer.id);
        }
        written
    }
}

fn in_doubt(answer: &RequestAnswer) -> launch::Error {
    launch::Error::Unknown {
        object: format!("job {}", answer.job.as_deref().unwrap_or_default()),
        detail: "it was asked for, and nobody has seen it yet".to_owned(),
    }
}
