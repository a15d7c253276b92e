//! The Jobs of an EventJob as numbers: how many wait, how many were launched. Pure.
//!
//! Only what Jobs themselves say counts, so that every replica comes to the same.

use std::borrow::Borrow;

use jiff::Timestamp;

use crate::launch::delivered::Gate;
use crate::launch::ports::DeliveredJob;

/// Jobs that wait for their turn, or have no running Pod. One that is dropped, or being deleted, waits for nothing.
pub fn pending<Job: Borrow<DeliveredJob>>(jobs: impl IntoIterator<Item = Job>) -> u32 {
    counted(jobs, |job| {
        let may_run = job.ended.is_none() && !job.is_going && job.gate != Some(Gate::Dropped);
        let waits = job.gate == Some(Gate::Waiting) && job.is_suspended;
        may_run && (waits || job.ready_pods == 0)
    })
}

/// Jobs created after a moment. One that was dropped instead of run is no launch.
pub fn launched_since<Job: Borrow<DeliveredJob>>(
    jobs: impl IntoIterator<Item = Job>,
    since: Timestamp,
) -> u32 {
    counted(jobs, |job| {
        job.created_at > since && job.gate != Some(Gate::Dropped)
    })
}

fn counted<Job: Borrow<DeliveredJob>>(
    jobs: impl IntoIterator<Item = Job>,
    counts: impl Fn(&DeliveredJob) -> bool,
) -> u32 {
    let counted = jobs.into_iter().filter(|job| counts(job.borrow())).count();
    u32::try_from(counted).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::JobOutcome;
    use crate::launch::fixtures::delivered;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(change: impl FnOnce(&mut DeliveredJob)) -> DeliveredJob {
        let mut job = DeliveredJob {
            active_pods: 0,
            ready_pods: 0,
            ..delivered("invoices-bcdfghjklm", 100)
        };
        change(&mut job);
        job
    }

    #[test]
    fn pending_is_what_waits_or_has_no_running_pod() {
        for (waits, job) in [
            (true, job(|_| {})),
            (true, job(|job| job.active_pods = 1)),
            (false, job(|job| job.ready_pods = 1)),
            (
                true,
                job(|job| {
                    job.gate = Some(Gate::Waiting);
                    job.is_suspended = true;
                    // Of a moment before it was suspended again.
                    job.ready_pods = 1;
                }),
            ),
            (true, job(|job| job.gate = Some(Gate::Released))),
            (false, job(|job| job.gate = Some(Gate::Dropped))),
            (false, job(|job| job.is_going = true)),
            (
                false,
                job(|job| job.ended = Some((JobOutcome::Failed, at(101)))),
            ),
        ] {
            assert_eq!(pending([&job]), u32::from(waits), "{job:?}");
        }
    }

    #[test]
    fn launches_are_counted_by_their_creation_whatever_became_of_them() {
        let jobs = [
            job(|job| job.created_at = at(39)),
            job(|job| job.created_at = at(40)),
            job(|job| job.created_at = at(41)),
            job(|job| {
                job.created_at = at(99);
                job.ended = Some((JobOutcome::Complete, at(100)));
                job.is_going = true;
            }),
            job(|job| job.gate = Some(Gate::Dropped)),
            job(|job| job.gate = Some(Gate::Waiting)),
        ];
        assert_eq!(launched_since(&jobs, at(40)), 3);
        assert_eq!(launched_since(&jobs, at(100)), 0);
    }
}
