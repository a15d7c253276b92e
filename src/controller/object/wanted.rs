//! Launching for an object only as long as it is there, and ours to act on.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::controller::lead::Lead;
use crate::launch::{Error, JobState, Launch, Launched, Launcher};
use crate::resource::{ObjectId, Propagation, Round, ScaledJob};

/// The launcher, for as long as the object is wanted and this process leads: one that is removed in the middle of a
/// turn launches no more, and neither does a process that was stopped for longer than its Lease and wakes up.
pub(super) struct WhileWanted {
    launcher: Arc<dyn Launcher>,
    removed: CancellationToken,
    lead: Arc<dyn Lead>,
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
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.removed.is_cancelled()
    }

    fn check_lead(&self, object: &ObjectId) -> Result<(), Error> {
        if !self.lead.is_held() {
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
}

impl Launcher for WhileWanted {
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

    fn launch<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<Launched, Error>> {
        Box::pin(async move {
            self.check(&launch.id)?;
            self.launcher.launch(launch).await
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
