//! Jobs that go: finished ones above the history limits, and those of earlier
//! generations when an immediate rollout is asked for.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use tracing::{info, warn};

use crate::cycle::TurnOutcome;
use crate::launch::{self, JobState, Launcher, history};
use crate::resource::{ObjectId, Propagation, Rollout, ScaledJob};

/// Deletes in flight at once.
const DELETES_IN_FLIGHT: usize = 8;
/// Deletes in one turn; the next turn goes on. A thousand finished Jobs take ten turns.
const DELETES_PER_TURN: usize = 100;

/// Deletes what has to go. A failure is logged, and tried again next turn. So is a finished Job that was made less
/// than `grace` before `now`.
pub(crate) async fn run(
    scaled_job: &ScaledJob,
    outcome: &TurnOutcome,
    (now, grace): (Timestamp, Duration),
    launcher: &dyn Launcher,
) {
    let Ok(jobs) = &outcome.jobs else { return };
    if let Rollout::Immediate(propagation) = scaled_job.rollout {
        delete(
            scaled_job,
            history::outdated(scaled_job, jobs),
            propagation,
            "of an earlier generation",
            launcher,
        )
        .await;
    }
    let mut surplus = history::surplus(scaled_job, jobs, now, grace);
    // The oldest first whatever their outcome: many of one never keep the other from its turn.
    surplus.sort_by_key(|job| job.finished_at.or(job.created_at));
    delete(
        scaled_job,
        surplus,
        Propagation::Background,
        "above the history limit",
        launcher,
    )
    .await;
}

async fn delete(
    scaled_job: &ScaledJob,
    jobs: Vec<&JobState>,
    propagation: Propagation,
    why: &str,
    launcher: &dyn Launcher,
) {
    let deletes: Vec<_> = jobs
        .into_iter()
        .take(DELETES_PER_TURN)
        .filter_map(|job| {
            Some((
                ObjectId::new(&scaled_job.id.namespace, &job.name),
                job.uid.clone()?,
            ))
        })
        .map(|(id, uid)| delete_one(id, uid, propagation, launcher))
        .collect();
    let results: Vec<_> = futures::stream::iter(deletes)
        .buffer_unordered(DELETES_IN_FLIGHT)
        .collect()
        .await;
    let gone = results.iter().filter(|(_, result)| result.is_ok()).count();
    if gone > 0 {
        info!(deleted = gone, "deleted {gone} Jobs {why}");
    }
    if let Some((id, Err(error))) = results.iter().find(|(_, result)| result.is_err()) {
        warn!(
            reason = error.reason(),
            "could not delete Job {id} {why}: {error}"
        );
    }
}

async fn delete_one(
    id: ObjectId,
    uid: String,
    propagation: Propagation,
    launcher: &dyn Launcher,
) -> (ObjectId, Result<(), launch::Error>) {
    let result = launcher.delete(&id, &uid, propagation).await;
    (id, result)
}
