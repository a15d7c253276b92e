//! Launching for an object only as long as it is there, and ours to act on.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::controller::Desired;
use crate::controller::lead::Lead;
use crate::controller::workers::Inbox;
use crate::launch::{Error, Guard, JobState, Launch, Launched, Launcher};
use crate::resource::requests::RequestAnswer;
use crate::resource::{ObjectId, Propagation, Round, ScaledJob};

/// The launcher, for as long as the object is wanted and this process leads in the term in which its turn began: one
/// that is removed in the middle of a turn launches no more, and neither does a process that was stopped for longer
/// than its Lease and wakes up. If it leads again by then, another may have launched since it counted.
pub(super) struct WhileWanted {
    launcher: Arc<dyn Launcher>,
    inbox: Arc<Inbox<Desired>>,
    lead: Arc<dyn Lead>,
    /// The term of the lead in which the turn under way, or the last one, began.
    term: Option<u64>,
}

impl WhileWanted {
    pub(super) fn new(
        launcher: Arc<dyn Launcher>,
        inbox: Arc<Inbox<Desired>>,
        lead: Arc<dyn Lead>,
    ) -> Self {
        Self {
            launcher,
            inbox,
            lead,
            term: None,
        }
    }

    /// A turn begins, in this term. To be told before anything is counted. True when an earlier turn was of another term.
    pub(super) fn begin(&mut self, term: u64) -> bool {
        let before = self.term.replace(term);
        before.is_some_and(|before| before != term)
    }

    /// Whether this process has led ever since the turn began.
    pub(super) fn is_leading(&self) -> bool {
        self.term.is_some() && self.lead.term() == self.term
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.inbox.is_removed()
    }

    fn check_lead(&self, object: &ObjectId) -> Result<(), Error> {
        if !self.is_leading() {
            return Err(Error::Conflict {
                object: format!("the lead over {object}"),
            });
        }
        Ok(())
    }

    fn check(&self, object: &ObjectId) -> Result<(), Error> {
        if !self.is_wanted() {
            return Err(Error::Gone {
                object: format!("the scaledjob behind {object}"),
            });
        }
        self.check_lead(object)
    }

    /// The same, for who asks right before bytes go out.
    fn guard(&self) -> Guard {
        let (inbox, lead, term) = (Arc::clone(&self.inbox), Arc::clone(&self.lead), self.term);
        Guard::new(move || !inbox.is_removed() && term.is_some() && lead.term() == term)
    }
}

impl Launcher for WhileWanted {
    fn prove<'a>(&'a self, scaled_job: &'a ScaledJob) -> BoxFuture<'a, Result<(), Error>> {
        self.launcher.prove(scaled_job)
    }

    fn jobs<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
    ) -> BoxFuture<'a, Result<Vec<JobState>, Error>> {
        self.launcher.jobs(scaled_job)
    }

    fn open_round_for<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        round: Round,
        answer: Option<&'a RequestAnswer>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.check(&scaled_job.id)?;
            self.launcher
                .open_round_for(scaled_job, round, answer)
                .await
        })
    }

    fn answer<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        answer: &'a RequestAnswer,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.check(&scaled_job.id)?;
            self.launcher.answer(scaled_job, answer).await
        })
    }

    fn close_round<'a>(&'a self, scaled_job: &'a ScaledJob) -> BoxFuture<'a, ()> {
        // True whoever leads: it fails where another round is written down.
        self.launcher.close_round(scaled_job)
    }

    fn launch_while<'a>(
        &'a self,
        launch: &'a Launch,
        may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        Box::pin(async move {
            self.check(&launch.id)?;
            let turns = self.guard();
            let may = may.and(move || turns.may_send());
            self.launcher.launch_while(launch, may).await
        })
    }

    fn delete<'a>(
        &'a self,
        job: &'a ObjectId,
        uid: &'a str,
        propagation: Propagation,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.check_lead(job)?;
            self.launcher.delete(job, uid, propagation).await
        })
    }

    fn forget(&self, uid: &str) {
        self.launcher.forget(uid);
    }
}
