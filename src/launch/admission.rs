//! Which waiting Jobs may run now, and which never will. Pure: Jobs in, the next step out.
//!
//! Safe with any number of leaders at once. A leader first writes its name on the
//! waiting gates (which spoils what others have in hand), then lists consistently, and
//! releases only while that list shows every waiting Job of the key as its own.
//! Of two leaders one counted later, and its list shows what the other released.
//! A key in which nothing can be done is left alone: a claim makes nothing true, it only
//! spoils, and whoever acts later claims first. `tests/it/protocol.rs` explores all of it.
//!
//! What a leader has sent itself and has no answer to is spoilt in the same way: see [`InDoubt`].
//!
//! | policy | a key with room | a key without |
//! | --- | --- | --- |
//! | `Queue` | the first to come | they wait |
//! | `Forbid` | the first to come | the rest is dropped |
//! | `Replace` | the last to come | older waiting Jobs are dropped, then older released ones |

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::launch::delivered::Gate;
use crate::launch::event_launcher::DeliveredJob;
use crate::resource::event_job::{Concurrency, GatedPolicy};

/// What a leader does next about the Jobs of one EventJob. Indexes are those of the list that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write our name on these gates, then look again: the count is void.
    Claim(Vec<usize>),
    /// List consistently, then look again: something could be done, and the count is void.
    Count,
    /// Do these, each based on the version in the list, in any order. Nothing when it is empty.
    Act(Vec<Act>),
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Let it run.
    Release(usize),
    /// It never will, or will no more: a waiting Job, or a released one that makes room.
    Discard(usize),
}

/// Changes that were sent and have no answer yet: they may still be applied.
///
/// A Job in doubt is as good as not claimed: claiming it anew spoils the change, or finds it done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct InDoubt(BTreeMap<String, String>);

impl InDoubt {
    /// A change of this Job is about to be sent, based on its version.
    pub fn sending(&mut self, job: &DeliveredJob) {
        self.0.insert(job.uid.clone(), job.version.clone());
    }

    /// The server answered clearly, whatever it said: done, conflict, or gone.
    pub fn answered(&mut self, job: &DeliveredJob) {
        self.0.remove(&job.uid);
    }

    /// Takes our claim off Jobs that are in doubt, and forgets those that are not there any more. To be done to every list before [`next`].
    pub fn unclaim(&mut self, jobs: &mut [DeliveredJob]) {
        if self.0.is_empty() {
            return;
        }
        self.0
            .retain(|uid, _| jobs.iter().any(|job| job.uid == *uid));
        for job in jobs {
            if self.0.get(&job.uid) == Some(&job.version) {
                job.claimed_by = None;
            }
        }
    }
}

/// What is to be done about the Jobs of one EventJob.
///
/// `is_counted`: the list is, or follows (by our own writes and by what a watch told since), a
/// consistent list that was asked for after our last claim. A conflict voids it too.
pub fn next(
    holder: &str,
    concurrency: &Concurrency,
    jobs: &[DeliveredJob],
    is_counted: bool,
) -> Step {
    let Concurrency::Gated { policy, limit, .. } = concurrency else {
        return Step::Act(everything(jobs));
    };
    let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
    let (mut acts, mut unclaimed) = (Vec::new(), Vec::new());
    for key in keys(jobs).values() {
        let to_do = key.acts(*policy, limit);
        if to_do.is_empty() {
            continue;
        }
        acts.extend(to_do);
        let of_others = |index: &&usize| jobs[**index].claimed_by.as_deref() != Some(holder);
        unclaimed.extend(key.waiting.iter().filter(of_others));
    }
    if !unclaimed.is_empty() {
        return Step::Claim(unclaimed);
    }
    if !acts.is_empty() && !is_counted {
        return Step::Count;
    }
    Step::Act(acts)
}

/// Where there is no limit there is nothing to count: all that waits since there was one.
fn everything(jobs: &[DeliveredJob]) -> Vec<Act> {
    let mut waiting: Vec<usize> = keys(jobs)
        .into_values()
        .flat_map(|key| key.waiting)
        .collect();
    waiting.sort_by_key(|index| age(&jobs[*index]));
    waiting.into_iter().map(Act::Release).collect()
}

/// The unfinished Jobs of one key, each list with the first to come in front.
#[derive(Debug, Default)]
struct Key<'a> {
    jobs: &'a [DeliveredJob],
    waiting: Vec<usize>,
    /// They run, or may at any moment.
    released: Vec<usize>,
    /// They keep their room for a while, and will not run again.
    leaving: usize,
}

impl Key<'_> {
    fn acts(&self, policy: GatedPolicy, limit: usize) -> Vec<Act> {
        let taken = self.released.len() + self.leaving;
        let room = limit.saturating_sub(taken).min(self.waiting.len());
        match policy {
            GatedPolicy::Queue => releases(&self.waiting[..room]),
            GatedPolicy::Forbid => {
                let (first, rest) = self.waiting.split_at(room);
                [releases(first), discards(rest)].concat()
            }
            GatedPolicy::Replace => self.replace(limit, room),
        }
    }

    /// The last `limit` to come may run; the others make room, if one of those waits for it.
    fn replace(&self, limit: usize, room: usize) -> Vec<Act> {
        let mut ages: Vec<_> = [&self.waiting[..], &self.released[..]]
            .concat()
            .into_iter()
            .map(|index| age(&self.jobs[index]))
            .collect();
        ages.sort_unstable_by_key(|age| Reverse(*age));
        let oldest_winner = ages.get(limit - 1).copied();
        let is_loser =
            |index: &usize| oldest_winner.is_some_and(|oldest| age(&self.jobs[*index]) < oldest);
        let (lost, won): (Vec<usize>, Vec<usize>) =
            self.waiting.iter().partition(|index| is_loser(index));
        let mut acts = discards(&lost);
        if !won.is_empty() {
            let makes_room = |index: &usize| is_loser(index) && is_replaceable(&self.jobs[*index]);
            let replaced: Vec<usize> = self.released.iter().copied().filter(makes_room).collect();
            acts.extend(discards(&replaced));
        }
        acts.extend(releases(&won[..room.min(won.len())]));
        acts
    }
}

/// Jobs that wait or take room, by key. Finished ones do neither.
fn keys(jobs: &[DeliveredJob]) -> BTreeMap<&str, Key<'_>> {
    let mut keys: BTreeMap<&str, Key<'_>> = BTreeMap::new();
    let mut unfinished: Vec<usize> = (0..jobs.len())
        .filter(|index| jobs[*index].ended.is_none())
        .collect();
    unfinished.sort_by_key(|index| age(&jobs[*index]));
    for index in unfinished {
        let job = &jobs[index];
        let key = keys.entry(&job.key).or_default();
        key.jobs = jobs;
        match job.gate {
            Some(Gate::Waiting) if job.is_suspended && job.is_going => {}
            Some(Gate::Waiting) if job.is_suspended => key.waiting.push(index),
            // Suspended for good, and its Pods are gone.
            Some(Gate::Dropped) if job.is_suspended && job.active_pods == 0 => {}
            Some(Gate::Dropped) => key.leaving += 1,
            _ if job.is_going => key.leaving += 1,
            // Released, or resumed by hand, or made when nothing was gated.
            Some(Gate::Waiting | Gate::Released) | None => key.released.push(index),
        }
    }
    keys
}

/// A Job that was made without a gate is not ours to stop.
fn is_replaceable(job: &DeliveredJob) -> bool {
    job.gate.is_some()
}

/// Who comes first: replicas' clocks may differ, so the name decides between two at one moment.
fn age(job: &DeliveredJob) -> (jiff::Timestamp, &str) {
    (job.received_at, &job.id.name)
}

fn releases(indexes: &[usize]) -> Vec<Act> {
    indexes.iter().copied().map(Act::Release).collect()
}

fn discards(indexes: &[usize]) -> Vec<Act> {
    indexes.iter().copied().map(Act::Discard).collect()
}

#[cfg(test)]
mod tests;
