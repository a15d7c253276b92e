//! Which waiting Jobs may run now, and which never will. Pure: Jobs in, changes of their gates out.
//!
//! A Job is released in three steps. A leader writes its name on the waiting Job (a *claim*). Its watch shows it that
//! claim, and with it everything that happened before. It then releases the Job by the version that carries the claim,
//! if the watch has shown room for it and no other waiting Job of the key with another leader's claim.
//!
//! That is safe with any number of leaders at once; the Lease only spares them work. Take two releases of one key by
//! two leaders, each decided on what a watch had shown up to some moment. The leader with the later moment saw the
//! other's Job either released, and counted it, or still claimed by the other, and released nothing. A claim has one
//! effect: it changes the version, so releases that another leader decided earlier fail.
//!
//! Only Jobs that may run soon are claimed: as many as the limit. The others wait without a write or a read, however
//! many they are. Nothing is listed: the watch alone tells. So its order matters, and this process's own
//! changes are believed only when the watch shows them: see [`OwnChanges`]. `tests/it/protocol.rs` explores all of it.
//!
//! Earlier versions claim every waiting Job of a key and count by a consistent list. They may lead beside this one, before
//! and after an update or a rollback: each leaves a key alone while it sees the other's claim there.
//!
//! | policy | a key with room | a key without |
//! | --- | --- | --- |
//! | `Queue` | the first to come | they wait |
//! | `Forbid` | the first to come | all that wait are dropped |
//! | `Replace` | the last to come | older waiting Jobs are dropped, then older released ones |
//!
//! Without a policy there is no limit: what waits since there was one is released.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::launch::delivered::Gate;
use crate::launch::ports::DeliveredJob;
use crate::resource::event_job::{Concurrency, GatedPolicy};

/// Changes of gates that this process sent, and that its watch has not shown yet.
///
/// A change without an answer may still be made. Its Job counts as claimed by another until a new claim of it
/// is shown: that claim makes the change fail, or the watch shows that it was made.
///
/// A key with a change that was made and is not shown is left alone: what would be done to it is out of date, and
/// would conflict. Kubernetes' controllers call this expectations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnChanges(BTreeMap<String, OwnChange>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnChange {
    /// The Job's version that the change is based on.
    version: String,
    is_made: bool,
}

impl OwnChanges {
    /// Those of a task that begins, and is shown these Jobs first.
    ///
    /// What carries our name was claimed by an earlier task of this process, which may have sent a release that nobody
    /// knows of: such a claim is as good as another's.
    pub fn begin(holder: &str, jobs: &[Arc<DeliveredJob>]) -> Self {
        let mut own = Self::default();
        for job in jobs {
            if job.claimed_by.as_deref() == Some(holder) {
                own.sending(job);
            }
        }
        own
    }

    /// A change of this Job is about to be sent, based on its version.
    pub fn sending(&mut self, job: &DeliveredJob) {
        let change = OwnChange {
            version: job.version.clone(),
            is_made: false,
        };
        self.0.insert(job.uid.clone(), change);
    }

    /// The server has made the change.
    pub fn made(&mut self, job: &DeliveredJob) {
        if let Some(change) = self.0.get_mut(&job.uid) {
            change.is_made = true;
        }
    }

    /// The server has refused the change, or it was not sent: it will never be made.
    pub fn refused(&mut self, job: &DeliveredJob) {
        self.0.remove(&job.uid);
    }

    /// Forgets the changes of Jobs that the watch shows in another version, or not any more.
    pub fn settle(&mut self, jobs: &[Arc<DeliveredJob>]) {
        if self.0.is_empty() {
            return;
        }
        let versions: BTreeMap<&str, &str> = jobs
            .iter()
            .map(|job| (job.uid.as_str(), job.version.as_str()))
            .collect();
        self.0
            .retain(|uid, change| versions.get(uid.as_str()) == Some(&change.version.as_str()));
    }

    /// The change of a Job as the watch shows it.
    fn of(&self, job: &DeliveredJob) -> Option<&OwnChange> {
        let change = self.0.get(&job.uid)?;
        (change.version == job.version).then_some(change)
    }
}

/// What the gates of an EventJob's Jobs are to become: the index in `jobs`, and the gate. A Job that is to become
/// [`Gate::Waiting`] is to be claimed. Each change is based on the version shown; all may be made at once.
///
/// `jobs`: what a watch has shown of them up to one moment, in the order in which it happened.
pub fn next(
    holder: &str,
    concurrency: &Concurrency,
    jobs: &[Arc<DeliveredJob>],
    own: &OwnChanges,
) -> Vec<(usize, Gate)> {
    let (policy, limit) = match concurrency {
        Concurrency::Gated { policy, limit, .. } => {
            (*policy, usize::try_from(limit.get()).unwrap_or(usize::MAX))
        }
        Concurrency::Allow => (GatedPolicy::Queue, usize::MAX),
    };
    let mut changes = Vec::new();
    for key in keys(holder, jobs, own).values() {
        if !key.is_outdated {
            changes.extend(key.changes(policy, limit));
        }
    }
    changes
}

/// Who has claimed a waiting Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimant {
    Nobody,
    Us,
    /// Or a change of ours has no answer.
    Another,
}

/// The open Jobs of one key, each list with the first to come in front.
#[derive(Debug, Default)]
struct KeyJobs<'a> {
    jobs: &'a [Arc<DeliveredJob>],
    waiting: Vec<(usize, Claimant)>,
    /// They run, or may at any moment.
    released: Vec<usize>,
    /// They keep their room for a while, and will not run again.
    leaving: usize,
    /// A change of ours was made, and is not shown.
    is_outdated: bool,
}

impl KeyJobs<'_> {
    fn changes(&self, policy: GatedPolicy, limit: usize) -> Vec<(usize, Gate)> {
        let room = limit.saturating_sub(self.released.len() + self.leaving);
        let (mut changes, next, ahead) = match policy {
            GatedPolicy::Queue => (Vec::new(), self.waiting.clone(), limit),
            GatedPolicy::Forbid if room > 0 => (Vec::new(), self.waiting.clone(), room),
            GatedPolicy::Forbid => {
                let waiting = self.waiting.iter().map(|(index, _)| *index);
                (dropped(waiting), Vec::new(), 0)
            }
            GatedPolicy::Replace => {
                let (lost, won) = self.replace(limit);
                (dropped(lost), won, limit)
            }
        };
        let releases = &next[..room.min(next.len())];
        let ahead = &next[..ahead.min(next.len())];
        let mut claims: Vec<usize> = of(ahead, Claimant::Nobody).collect();
        // With nothing to release, what others have claimed is left to them.
        if !releases.is_empty() {
            if of(&self.waiting, Claimant::Another).next().is_none() {
                let ours = of(releases, Claimant::Us);
                changes.extend(ours.map(|index| (index, Gate::Released)));
            }
            // One that is dropped needs no claim.
            claims.extend(of(&next, Claimant::Another));
        }
        changes.extend(claims.into_iter().map(|index| (index, Gate::Waiting)));
        changes
    }

    /// The last `limit` to come may run; the others make room, if one of those waits for it. Those that make room, and those that wait and may run.
    fn replace(&self, limit: usize) -> (Vec<usize>, Vec<(usize, Claimant)>) {
        let waiting = self.waiting.iter().map(|(index, _)| *index);
        let mut ages: Vec<_> = waiting
            .chain(self.released.iter().copied())
            .map(|index| age(&self.jobs[index]))
            .collect();
        ages.sort_unstable_by_key(|age| Reverse(*age));
        let oldest_winner = ages.get(limit - 1).copied();
        let is_loser =
            |index: usize| oldest_winner.is_some_and(|oldest| age(&self.jobs[index]) < oldest);
        let (lost, won): (Vec<_>, Vec<_>) =
            self.waiting.iter().partition(|(index, _)| is_loser(*index));
        let mut lost: Vec<usize> = lost.into_iter().map(|(index, _)| index).collect();
        if !won.is_empty() {
            let makes_room = |index: &usize| is_loser(*index) && is_replaceable(&self.jobs[*index]);
            lost.extend(self.released.iter().copied().filter(makes_room));
        }
        (lost, won)
    }
}

/// Those of waiting Jobs that are claimed so.
fn of(waiting: &[(usize, Claimant)], claimant: Claimant) -> impl Iterator<Item = usize> {
    let claimed = waiting.iter().filter(move |(_, by)| *by == claimant);
    claimed.map(|(index, _)| *index)
}

fn dropped(indexes: impl IntoIterator<Item = usize>) -> Vec<(usize, Gate)> {
    let indexes = indexes.into_iter();
    indexes.map(|index| (index, Gate::Dropped)).collect()
}

/// Jobs that wait or take room, by key.
fn keys<'a>(
    holder: &str,
    jobs: &'a [Arc<DeliveredJob>],
    own: &OwnChanges,
) -> BTreeMap<&'a str, KeyJobs<'a>> {
    let mut keys: BTreeMap<&str, KeyJobs<'_>> = BTreeMap::new();
    let mut open: Vec<usize> = (0..jobs.len())
        .filter(|index| jobs[*index].is_open())
        .collect();
    open.sort_by_key(|index| age(&jobs[*index]));
    for index in open {
        let job = &jobs[index];
        let key = keys.entry(&job.key).or_default();
        key.jobs = jobs;
        let change = own.of(job);
        key.is_outdated |= change.is_some_and(|change| change.is_made);
        match job.gate {
            Some(Gate::Waiting) if job.is_suspended && job.is_going => {}
            Some(Gate::Waiting) if job.is_suspended => {
                let claimant = match job.claimed_by.as_deref() {
                    _ if change.is_some() => Claimant::Another,
                    None => Claimant::Nobody,
                    Some(name) if name == holder => Claimant::Us,
                    Some(_) => Claimant::Another,
                };
                key.waiting.push((index, claimant));
            }
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

#[cfg(test)]
mod tests;
