//! Names that were reserved, and whose Jobs nobody has seen yet.
//!
//! A Job of an opened round counts as unfinished until it is seen, or known not
//! to come: the server refused it, or a consistent list does not hold it long
//! enough after the round's last create was sent. This file is that bookkeeping;
//! it is handed the clock and the lists.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::resource::ObjectId;

/// Time between two consistent lists for one object: a name that stays open is not asked about each turn.
const BETWEEN_LISTS: Duration = Duration::from_secs(10);

/// Reserved names of all objects, by the UID of their ScaledJob.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// A create that was sent this long ago is applied, or never will be.
    grace: Duration,
    objects: HashMap<String, Object>,
    /// Which object reserved a name.
    owners: HashMap<ObjectId, String>,
}

#[derive(Debug, Default)]
struct Object {
    /// The newest round that this process knows of.
    round: u64,
    names: BTreeMap<String, Reserved>,
    /// When the latest create of each round was sent; when the round became known, before that.
    sent_at: BTreeMap<u64, Instant>,
    listed_at: Option<Instant>,
    /// Rounds were found that others opened, and no consistent list was had since.
    unsettled: bool,
    /// Nobody asks for the object any more. It may come back under its UID (a definition that was away for a
    /// moment, an annotation taken off and put on again), so open names stay until no create can be under way.
    gone_at: Option<Instant>,
}

/// One reserved name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reserved {
    /// The hash behind the name.
    pub(super) occurrence: String,
    /// The round it belongs to.
    pub(super) round: u64,
    /// Launches of this name that began.
    begun: u32,
    standing: Standing,
}

/// What is known of the Job of a reserved name, before the watch shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// This process reserved it, and has sent no create yet.
    Unsent,
    /// A create was sent, by whomever, and its outcome is not known.
    Unclear,
    /// The server has said that it is there.
    Made,
}

/// Whether a consistent list of an object's Jobs is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// The watch and the open names are enough.
    Needless,
    /// It could settle old names; without it they go on counting.
    Useful,
    /// Somebody else opened rounds: without it Jobs could be missing from the count.
    Needed,
}

impl Outstanding {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            objects: HashMap::new(),
            owners: HashMap::new(),
        }
    }

    /// Takes note of the round in an object's status; tells whether it is one that this process neither opened nor knew.
    pub(super) fn is_news(&mut self, uid: &str, round: u64) -> bool {
        let object = self.objects.entry(uid.to_owned()).or_default();
        object.gone_at = None;
        let news = round > object.round;
        // Rounds before this one may have gone by unseen, too.
        object.unsettled |= news;
        news
    }

    /// Names of a round that may have Jobs from now on, all of one standing.
    pub(super) fn reserve(
        &mut self,
        uid: &str,
        namespace: &str,
        round: u64,
        names: impl IntoIterator<Item = (String, String)>,
        standing: Standing,
        now: Instant,
    ) {
        let object = self.objects.entry(uid.to_owned()).or_default();
        object.gone_at = None;
        object.round = object.round.max(round);
        object.forget_settled_rounds();
        object.sent_at.entry(round).or_insert(now);
        for (name, occurrence) in names {
            self.owners
                .insert(ObjectId::new(namespace, name.clone()), uid.to_owned());
            object.names.entry(name).or_insert(Reserved {
                occurrence,
                round,
                begun: 0,
                standing,
            });
        }
    }

    /// A launch of this name begins; it may send more than one create.
    pub(super) fn begun(&mut self, job: &ObjectId) {
        if let Some(reserved) = self
            .owner(job)
            .and_then(|object| object.names.get_mut(&job.name))
        {
            reserved.begun += 1;
            if reserved.standing == Standing::Unsent {
                reserved.standing = Standing::Unclear;
            }
        }
    }

    /// A create of this name is about to be sent.
    pub(super) fn sent(&mut self, job: &ObjectId, now: Instant) {
        let Some(object) = self.owner(job) else {
            return;
        };
        if let Some(reserved) = object.names.get(&job.name) {
            object.sent_at.insert(reserved.round, now);
        }
    }

    /// The server has said that the name's Job is there.
    pub(super) fn made(&mut self, job: &ObjectId) {
        if let Some(reserved) = self
            .owner(job)
            .and_then(|object| object.names.get_mut(&job.name))
        {
            reserved.standing = Standing::Made;
        }
    }

    /// The newest round of an object that this process has counted with; 0 before the first.
    pub(super) fn round(&self, uid: &str) -> u64 {
        self.objects.get(uid).map_or(0, |object| object.round)
    }

    /// Names of an object of which nobody can say whether their Jobs are there, or will be.
    pub(super) fn unclear(&self, uid: &str) -> usize {
        self.of(uid)
            .filter(|(_, reserved)| reserved.standing == Standing::Unclear)
            .count()
    }

    /// The server refused the name's create for good. An earlier launch of the
    /// same name may still have one under way, so only the first one's refusal counts.
    pub(super) fn refused(&mut self, job: &ObjectId) {
        let only_one = self
            .owner(job)
            .and_then(|object| object.names.get(&job.name))
            .is_some_and(|reserved| reserved.begun <= 1);
        if only_one {
            self.seen(job);
        }
    }

    /// The Job was seen, living or going.
    pub(super) fn seen(&mut self, job: &ObjectId) {
        if let Some(object) = self.owner(job) {
            object.names.remove(&job.name);
            self.owners.remove(job);
        }
    }

    /// Whether to ask for a consistent list of the object's Jobs now.
    pub(super) fn list(&self, uid: &str, now: Instant) -> List {
        let Some(object) = self.objects.get(uid) else {
            return List::Needless;
        };
        if object.unsettled {
            return List::Needed;
        }
        let rested = object
            .listed_at
            .is_none_or(|at| now.duration_since(at) >= BETWEEN_LISTS);
        let is_old = |round| now.saturating_duration_since(object.sent_at[round]) >= self.grace;
        if rested && object.names.values().any(|name| is_old(&name.round)) {
            List::Useful
        } else {
            List::Needless
        }
    }

    /// Takes in a consistent list that was asked for at `asked_at`: a name that
    /// is old enough by then and is not unfinished in the list will not become so.
    pub(super) fn settle(
        &mut self,
        uid: &str,
        namespace: &str,
        unfinished: &BTreeSet<String>,
        asked_at: Instant,
    ) {
        let grace = self.grace;
        let Some(object) = self.objects.get_mut(uid) else {
            return;
        };
        object.listed_at = Some(asked_at);
        object.unsettled = false;
        let owners = &mut self.owners;
        let sent_at = &object.sent_at;
        object.names.retain(|name, reserved| {
            let old = asked_at.saturating_duration_since(sent_at[&reserved.round]) >= grace;
            let keep = !old || unfinished.contains(name);
            if !keep {
                owners.remove(&ObjectId::new(namespace, name.clone()));
            }
            keep
        });
    }

    /// The names still open for an object.
    pub(super) fn of(&self, uid: &str) -> impl Iterator<Item = (&String, &Reserved)> {
        self.objects
            .get(uid)
            .into_iter()
            .flat_map(|object| &object.names)
    }

    /// Drops an object that is gone, now or once its open names are old.
    pub(super) fn forget(&mut self, uid: &str, now: Instant) {
        if let Some(object) = self.objects.get_mut(uid) {
            object.gone_at = Some(now);
        }
        let grace = self.grace;
        self.objects.retain(|_, object| {
            let is_young = |at| now.saturating_duration_since(at) < grace;
            !object.names.is_empty() && object.gone_at.is_some_and(is_young)
                || object.gone_at.is_none()
        });
        let objects = &self.objects;
        self.owners.retain(|_, owner| objects.contains_key(owner));
    }

    fn owner(&mut self, job: &ObjectId) -> Option<&mut Object> {
        let uid = self.owners.get(job)?;
        self.objects.get_mut(uid)
    }
}

impl Object {
    fn forget_settled_rounds(&mut self) {
        let open: BTreeSet<u64> = self.names.values().map(|name| name.round).collect();
        self.sent_at.retain(|round, _| open.contains(round));
    }
}

#[cfg(test)]
mod tests;
