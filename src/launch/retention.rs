//! Which Jobs of events may be removed. Pure: Jobs in, those that go out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::launch::JobOutcome;
use crate::launch::delivered::Gate;
use crate::launch::ports::DeliveredJob;
use crate::resource::HistoryLimits;

/// What of an EventJob says which of its Jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// How many finished Jobs of each outcome; `None` for all.
    pub history: Option<HistoryLimits>,
    /// For how long a finished Job of a schedule: those of events have a TTL of their own.
    pub ttl: Option<Duration>,
}

/// Jobs of one EventJob that nobody needs any more: finished ones beyond the history limits,
/// the oldest first, finished ones of a schedule whose time is over, and dropped ones. Only those that have been
/// remembered for `grace`: by a key in the ledger, or by their schedule.
///
/// Age is when a Job ended. A dropped Job goes once it has no Pods: while it is there, whoever counts sees that
/// they are. One that somebody resumed by hand stays until it has ended. It stays for the grace as others do: a repeat
/// of its event that looks into an older copy of the ledger has to find it. Meanwhile it costs no call.
pub fn removable(
    keep: Keep,
    jobs: &[Arc<DeliveredJob>],
    remembered_for: impl Fn(&DeliveredJob) -> Option<Duration>,
    grace: Duration,
    now: Timestamp,
) -> Vec<&DeliveredJob> {
    let (dropped, others): (Vec<&DeliveredJob>, Vec<&DeliveredJob>) = jobs
        .iter()
        .map(Arc::as_ref)
        .partition(|job| job.gate == Some(Gate::Dropped));
    let mut removable: Vec<&DeliveredJob> =
        dropped.into_iter().filter(|job| is_over(job)).collect();
    if let Some(limits) = keep.history {
        removable.extend(surplus(&others, JobOutcome::Complete, limits.successful));
        removable.extend(surplus(&others, JobOutcome::Failed, limits.failed));
    }
    if let Some(ttl) = keep.ttl {
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        let is_old = |job: &&DeliveredJob| {
            let ended = job.due.and(job.ended);
            ended.is_some_and(|(_, at)| now.duration_since(at) >= ttl)
        };
        let listed: BTreeSet<&str> = removable.iter().map(|job| job.uid.as_str()).collect();
        let old = others.into_iter().filter(is_old);
        let old: Vec<_> = old
            .filter(|job| !listed.contains(job.uid.as_str()))
            .collect();
        removable.extend(old);
    }
    removable.retain(|job| {
        // What is not remembered yet goes later: nothing newer goes in its place.
        !job.is_going && remembered_for(job).is_some_and(|remembered| remembered >= grace)
    });
    removable
}

/// Whether a dropped Job has come to its end.
fn is_over(job: &DeliveredJob) -> bool {
    job.ended.is_some() || (job.is_suspended && job.active_pods == 0)
}

/// Jobs with this outcome beyond the `limit` that ended last. Those that are going already count among them.
fn surplus<'a>(
    jobs: &[&'a DeliveredJob],
    outcome: JobOutcome,
    limit: u32,
) -> Vec<&'a DeliveredJob> {
    let mut finished: Vec<_> = jobs
        .iter()
        .filter_map(|job| match job.ended {
            Some((ended, at)) if ended == outcome => Some((at, &job.id.name, *job)),
            _ => None,
        })
        .collect();
    finished.sort_by_key(|(at, name, _)| (*at, *name));
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    finished.truncate(finished.len().saturating_sub(kept));
    finished.into_iter().map(|(_, _, job)| job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::fixtures::{as_seen, delivered};

    const GRACE: Duration = Duration::from_mins(10);

    /// A Job that ended so, at such a second.
    fn ended(name: &str, outcome: JobOutcome, at: i64) -> DeliveredJob {
        let mut job = delivered(name, 0);
        job.ended = Some((outcome, delivered("", at).created_at));
        job
    }

    fn dropped(name: &str) -> DeliveredJob {
        let mut job = delivered(name, 0);
        (job.gate, job.is_suspended, job.active_pods) = (Some(Gate::Dropped), true, 0);
        job
    }

    /// Which go when one of each outcome is kept and every key but that of `young` and `unknown` is old enough.
    fn check(history: Option<HistoryLimits>, jobs: &[DeliveredJob], expected: &[&str]) {
        check_with(Keep { history, ttl: None }, jobs, expected);
    }

    fn check_with(keep: Keep, jobs: &[DeliveredJob], expected: &[&str]) {
        let remembered_for = |job: &DeliveredJob| match &*job.id.name {
            "unknown" => None,
            "young" => Some(GRACE.saturating_sub(Duration::from_nanos(1))),
            _ => Some(GRACE),
        };
        let now = Timestamp::from_second(100).unwrap();
        let jobs = as_seen(jobs.to_vec());
        let gone = removable(keep, &jobs, remembered_for, GRACE, now);
        let names: Vec<&str> = gone.iter().map(|job| &*job.id.name).collect();
        assert_eq!(names, expected);
    }

    const ONE: Option<HistoryLimits> = Some(HistoryLimits {
        successful: 1,
        failed: 1,
    });
    use JobOutcome::{Complete, Failed};

    #[test]
    fn the_oldest_of_each_outcome_go() {
        let jobs = [
            ended("c", Complete, 30),
            ended("a", Complete, 10),
            ended("b", Complete, 20),
            ended("x", Failed, 5),
            delivered("running", 1),
        ];
        check(ONE, &jobs, &["a", "b"]);
        check(None, &jobs, &[]);
        let none = HistoryLimits {
            successful: 0,
            failed: 0,
        };
        check(Some(none), &jobs, &["a", "b", "c", "x"]);
    }

    #[test]
    fn of_two_that_ended_at_once_the_name_decides() {
        let jobs = [ended("b", Failed, 1), ended("a", Failed, 1)];
        check(ONE, &jobs, &["a"]);
    }

    #[test]
    fn nothing_goes_before_its_key_is_old_enough_and_nothing_newer_in_its_place() {
        let jobs = [
            ended("young", Complete, 1),
            ended("unknown", Complete, 2),
            ended("old", Complete, 3),
            ended("new", Complete, 4),
        ];
        check(ONE, &jobs, &["old"]);
    }

    #[test]
    fn one_that_is_going_is_not_removed_again_and_keeps_no_other() {
        let mut going = ended("going", Complete, 1);
        going.is_going = true;
        let jobs = [going, ended("b", Complete, 2), ended("c", Complete, 3)];
        check(ONE, &jobs, &["b"]);
    }

    #[test]
    fn a_dropped_job_goes_whatever_the_limits_once_it_has_no_pods() {
        let mut stopping = dropped("stopping");
        stopping.active_pods = 1;
        let mut resumed = dropped("resumed");
        resumed.is_suspended = false;
        let mut over = resumed.clone();
        over.id.name = "over".into();
        over.ended = Some((Complete, over.created_at));
        let mut young = dropped("young");
        young.id.name = "young".into();
        let jobs = [
            stopping,
            resumed,
            over,
            young,
            dropped("d"),
            ended("kept", Complete, 9),
        ];
        check(None, &jobs, &["over", "d"]);
        check(ONE, &jobs, &["over", "d"]);
    }

    #[test]
    fn a_job_of_a_schedule_goes_by_its_ttl_and_one_of_an_event_by_its_own() {
        let due = |name: &str, at: i64| DeliveredJob {
            due: Some(Timestamp::from_second(at).unwrap()),
            ..ended(name, Complete, at)
        };
        let jobs = [
            due("old", 69),
            due("at", 70),
            due("new", 71),
            ended("event", Complete, 1),
        ];
        let keep = |history| Keep {
            history,
            ttl: Some(Duration::from_secs(30)),
        };
        check_with(keep(None), &jobs, &["old", "at"]);
        // What goes for both reasons goes once.
        check_with(keep(ONE), &jobs, &["event", "old", "at"]);
        let running = [DeliveredJob {
            due: Some(Timestamp::UNIX_EPOCH),
            ..delivered("running", 1)
        }];
        check_with(keep(None), &running, &[]);
    }
}
