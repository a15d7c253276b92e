//! Which finished or outdated Jobs go. Deleting them is the caller's business.
//!
//! KEDA deletes whatever carries its label; here a Job must also belong to the
//! object, so that a Job of somebody else with a copied label is left alone.

use std::time::Duration;

use jiff::Timestamp;

use super::{GENERATION_ANNOTATION, JobOutcome, JobState, KEDA_GENERATION_ANNOTATION};
use crate::resource::{Api, ScaledJob};

/// Finished Jobs beyond the history limits, of either outcome, the oldest first.
///
/// Age is when a Job finished. KEDA has no such time for failed Jobs and leaves
/// them in the order of the list; here they have theirs. A Job that does not
/// tell when it finished counts by when it was made.
///
/// One that was made less than `grace` ago stays for now. A create of its name that had no answer may still be applied,
/// and would make it again. `grace`: [`LATEST_CREATE`](super::round::LATEST_CREATE), where creates can be in doubt.
/// The server says when a Job was made, so a clock that is ahead of its own takes as much from the minute.
pub fn surplus<'a>(
    scaled_job: &ScaledJob,
    jobs: &'a [JobState],
    now: Timestamp,
    grace: Duration,
) -> Vec<&'a JobState> {
    let limits = scaled_job.history;
    let mut surplus = Vec::new();
    for (outcome, limit) in [
        (JobOutcome::Complete, limits.successful),
        (JobOutcome::Failed, limits.failed),
    ] {
        let mut finished: Vec<&JobState> = jobs
            .iter()
            .filter(|job| job.outcome == Some(outcome) && belongs_to(job, scaled_job))
            .collect();
        finished.sort_by_key(|job| (job.finished_at.or(job.created_at), &job.name));
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        finished.truncate(finished.len().saturating_sub(kept));
        surplus.append(&mut finished);
    }
    surplus.retain(|job| !is_young(job, now, grace));
    surplus
}

fn is_young(job: &JobState, now: Timestamp, grace: Duration) -> bool {
    job.created_at.is_some_and(|at| {
        let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        age < grace
    })
}

/// Jobs of another generation than the object's, finished or not: what an immediate rollout deletes.
///
/// A Job without a generation is of another one. Source: KEDA, `deletePreviousVersionScaleJobs`.
pub fn outdated<'a>(scaled_job: &ScaledJob, jobs: &'a [JobState]) -> Vec<&'a JobState> {
    let current = scaled_job.generation.to_string();
    jobs.iter()
        .filter(|job| belongs_to(job, scaled_job) && generation_of(job) != Some(&current))
        .collect()
}

/// Our annotation, else KEDA's.
fn generation_of(job: &JobState) -> Option<&str> {
    [GENERATION_ANNOTATION, KEDA_GENERATION_ANNOTATION]
        .iter()
        .find_map(|annotation| job.annotations.get(*annotation))
        .map(String::as_str)
}

/// Whether a Job is the object's to delete: it was seen, and the object owns it.
/// On an object managed in place KEDA's Jobs are the object's too; those that KEDA could not
/// give an owner are known by its annotation, which it writes on every Job with its label.
fn belongs_to(job: &JobState, scaled_job: &ScaledJob) -> bool {
    if job.uid.is_none() {
        return false;
    }
    match &job.owner_uid {
        Some(owner) => *owner == scaled_job.uid,
        None => {
            scaled_job.api == Api::Keda && job.annotations.contains_key(KEDA_GENERATION_ANNOTATION)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::fixtures::{job, scaled_job};
    use crate::launch::round::LATEST_CREATE;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_job_of_another_owner_is_never_deleted() {
        let mut stranger = job("stranger");
        stranger.outcome = Some(JobOutcome::Complete);
        stranger.owner_uid = Some("another".to_owned());
        let mut orphan = stranger.clone();
        orphan.owner_uid = None;
        let mut object = scaled_job("orders");
        object.history.successful = 0;
        for api in [Api::Slipway, Api::Keda] {
            object.api = api;
            let jobs = [stranger.clone(), orphan.clone()];
            assert!(surplus(&object, &jobs, NOW, LATEST_CREATE).is_empty());
            assert!(outdated(&object, &jobs).is_empty());
        }
    }

    #[test]
    fn a_job_is_kept_until_no_create_of_its_name_can_be_under_way() {
        let mut object = scaled_job("orders");
        object.history.successful = 1;
        let made = |name, seconds| {
            let mut made = job(name);
            made.outcome = Some(JobOutcome::Complete);
            made.created_at = Some(NOW + Duration::from_secs(seconds));
            made
        };
        let jobs = [made("a", 1), made("b", 2), made("c", 90)];
        let gone = |after| -> Vec<&str> {
            let now = NOW + Duration::from_secs(after);
            let surplus = surplus(&object, &jobs, now, LATEST_CREATE);
            surplus.into_iter().map(|job| job.name.as_str()).collect()
        };
        assert_eq!(gone(60), Vec::<&str>::new());
        assert_eq!(gone(61), ["a"]);
        // The third is young, and one of those that are kept all the same.
        assert_eq!(gone(62), ["a", "b"]);
        assert_eq!(gone(1_000), ["a", "b"]);
    }

    #[test]
    fn an_ownerless_job_of_keda_goes_only_with_an_object_managed_in_place() {
        let mut made_by_keda = job("orders-x");
        made_by_keda.outcome = Some(JobOutcome::Failed);
        made_by_keda.owner_uid = None;
        made_by_keda
            .annotations
            .insert(KEDA_GENERATION_ANNOTATION.to_owned(), "1".to_owned());
        let jobs = [made_by_keda];
        let mut object = scaled_job("orders");
        object.history.failed = 0;
        assert!(surplus(&object, &jobs, NOW, LATEST_CREATE).is_empty());
        object.api = Api::Keda;
        assert_eq!(surplus(&object, &jobs, NOW, LATEST_CREATE).len(), 1);
    }

    #[test]
    fn a_reserved_name_that_was_not_seen_cannot_be_deleted() {
        let mut reserved = job("orders-x");
        reserved.uid = None;
        assert!(outdated(&scaled_job("orders"), &[reserved]).is_empty());
    }

    #[test]
    fn our_generation_annotation_wins_over_keda_s() {
        let mut ours = job("orders-x");
        let mut object = scaled_job("orders");
        object.generation = 3;
        ours.annotations
            .insert(KEDA_GENERATION_ANNOTATION.to_owned(), "2".to_owned());
        assert_eq!(outdated(&object, std::slice::from_ref(&ours)).len(), 1);
        ours.annotations
            .insert(GENERATION_ANNOTATION.to_owned(), "3".to_owned());
        assert!(outdated(&object, &[ours]).is_empty());
    }
}
