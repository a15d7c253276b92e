//! Launching for an object only as long as it is there, and ours to act on.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::controller::lead::Lead;
use crate::launch::{Error, Guard, JobState, Launch, Launched, Launcher};
use crate::resource::{ObjectId, Propagation, Round, ScaledJob};

/// The launcher, for as long as the object is wanted and this process leads in the term in which its turn began: one
/// that is removed in the middle of a turn launches no more, and neither does a process that was stopped for longer
/// than its Lease and wakes up. If it leads again by then, another may have launched since it counted.
pub(super) struct WhileWanted {
    launcher: Arc<dyn Launcher>,
    removed: CancellationToken,
    lead: Arc<dyn Lead>,
    /// The term of the lead in which the turn under way, or the last one, began.
    term: Option<u64>,
}

impl WhileWanted {
    pub(super) fn new(
        launcher: Arc<dyn Launcher>,
        removed: CancellationToken,
        lead: Arc<dyn Lead>,
    ) -> Self {
        Self {
            launcher,
            removed,
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
        !self.removed.is_cancelled()
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
        let (removed, lead, term) = (self.removed.clone(), Arc::clone(&self.lead), self.term);
        Guard::new(move || !removed.is_cancelled() && term.is_some() && lead.term() == term)
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

    fn open_round<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        round: Round,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.check(&scaled_job.id)?;
            self.launcher.open_round(scaled_job, round).await
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
