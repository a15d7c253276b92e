//! Launching for an object only as long as it is there.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::launch::{Error, JobState, Launch, Launched, Launcher};
use crate::resource::{ObjectId, Propagation, Round, ScaledJob};

/// The launcher, for as long as the object is wanted: one that is removed in the middle of a turn launches no more.
pub(super) struct WhileWanted {
    launcher: Arc<dyn Launcher>,
    removed: CancellationToken,
}

impl WhileWanted {
    pub(super) fn new(launcher: Arc<dyn Launcher>, removed: CancellationToken) -> Self {
        Self { launcher, removed }
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.removed.is_cancelled()
    }

    fn check(&self, object: &ObjectId) -> Result<(), Error> {
        if !self.is_wanted() {
            return Err(Error::Gone {
                object: format!("the scaledjob behind {object}"),
            });
        }
        Ok(())
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
        self.launcher.delete(job, uid, propagation)
    }

    fn forget(&self, uid: &str) {
        self.launcher.forget(uid);
    }
}
