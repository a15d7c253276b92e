//! The informer cache: objects as a watch last showed them, by owner.
//!
//! What is kept of an object is a small projection of it, never the whole. The
//! cache knows nothing of the network: `follow` feeds it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::runtime::watcher;

use super::follow::{Shown, WatchTrouble};
use super::watched::Watched;
use crate::launch::Error;
use crate::resource::ObjectId;

/// What is kept of an object.
pub(super) trait Kept {
    /// Namespace and name.
    fn id(&self) -> &ObjectId;
    /// Whose it is: objects are asked for by this.
    fn owner(&self) -> &ObjectId;
    /// `metadata.uid`.
    fn uid(&self) -> &str;
    /// `metadata.resourceVersion`, as [`version_number`] reads it.
    fn version(&self) -> u64;
}

/// A resource version as a number: they count up. 0 when it is none.
///
/// Source: Kubernetes API conventions; resource versions are comparable since 1.35, and were numbers before.
pub(super) fn version_number(version: Option<&str>) -> u64 {
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Objects of one kind and label.
#[derive(Debug)]
pub(super) struct Informer<T> {
    /// By owner, then by name.
    objects: HashMap<ObjectId, HashMap<Arc<str>, T>>,
    /// The owner under which an object is kept.
    owners: HashMap<ObjectId, ObjectId>,
    /// Lists under way, by scope: what they have shown so far.
    listing: HashMap<Option<String>, Vec<T>>,
    /// Scopes whose first list is complete.
    synced: HashSet<Option<String>>,
    /// Scopes that cannot be listed or watched at the moment.
    troubles: HashMap<Option<String>, WatchTrouble>,
}

impl<T> Default for Informer<T> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            owners: HashMap::new(),
            listing: HashMap::new(),
            synced: HashSet::new(),
            troubles: HashMap::new(),
        }
    }
}

/// One object's change: as it was known before, and as it is now. One of them is there.
pub(super) type BeforeAndNow<'a, T> = (Option<&'a T>, Option<&'a T>);

impl<T: Kept> Informer<T> {
    /// Whether everything of a namespace has been seen.
    pub(super) fn is_synced(&self, namespace: &str) -> bool {
        self.synced.contains(&None) || self.synced.contains(&Some(namespace.to_owned()))
    }

    /// Why a namespace cannot be listed or watched at the moment.
    pub(super) fn trouble(&self, namespace: &str) -> Option<&WatchTrouble> {
        let own = self.troubles.get(&Some(namespace.to_owned()));
        own.or_else(|| self.troubles.get(&None))
    }

    /// Whether it is known how a namespace is: everything has been seen, or cannot be.
    pub(super) fn is_settled(&self, namespace: &str) -> bool {
        self.is_synced(namespace) || self.trouble(namespace).is_some()
    }

    /// Nothing can be told of a namespace before its first list is complete. `what`: what it is told about.
    pub(super) fn check_synced(&self, namespace: &str, what: &str) -> Result<(), Error> {
        if self.is_synced(namespace) {
            return Ok(());
        }
        Err(untold(what, self.trouble(namespace)))
    }

    /// As [`Self::check_synced`], and the watch works: for what must not be told from an old state.
    pub(super) fn check_fresh(&self, namespace: &str, what: &str) -> Result<(), Error> {
        match self.trouble(namespace) {
            None => self.check_synced(namespace, what),
            trouble => Err(untold(what, trouble)),
        }
    }

    /// The objects of an owner.
    pub(super) fn of(&self, owner: &ObjectId) -> impl Iterator<Item = &T> {
        self.objects
            .get(owner)
            .into_iter()
            .flat_map(HashMap::values)
    }

    /// One object of an owner.
    pub(super) fn get(&self, owner: &ObjectId, name: &str) -> Option<&T> {
        self.objects.get(owner)?.get(name)
    }

    /// Whether an object of this name is known.
    pub(super) fn contains(&self, id: &ObjectId) -> bool {
        self.owners.contains_key(id)
    }

    /// Takes what a watch shows. `keep`: what is kept of an object; none when it is not one of ours, whatever its label
    /// says. `tell` hears of each object that is new, changed or gone. Tells whether whoever waits for a list should look again.
    pub(super) fn take<Spec, Status>(
        &mut self,
        scope: Option<&str>,
        shown: Shown<Watched<Spec, Status>>,
        keep: impl Fn(Watched<Spec, Status>) -> Option<T>,
        mut tell: impl FnMut(BeforeAndNow<'_, T>),
    ) -> bool {
        let place = scope.map(str::to_owned);
        match shown {
            Shown::Trouble(Some(trouble)) => {
                self.troubles.insert(place, trouble);
                return true;
            }
            Shown::Trouble(None) => {
                self.troubles.remove(&place);
            }
            Shown::Event(watcher::Event::Init) => {
                self.listing.insert(place, Vec::new());
            }
            Shown::Event(watcher::Event::InitApply(object)) => {
                self.listing.entry(place).or_default().extend(keep(object));
            }
            Shown::Event(watcher::Event::InitDone) => {
                let listed = self.listing.remove(&place).unwrap_or_default();
                self.replace(scope, listed, tell);
                self.synced.insert(place);
                return true;
            }
            Shown::Event(watcher::Event::Apply(object)) => {
                let id = object.id();
                match keep(object) {
                    Some(kept) => {
                        self.apply(kept, tell);
                    }
                    None => self.remove(&id, tell),
                }
            }
            Shown::Event(watcher::Event::Delete(object)) => {
                let id = object.id();
                // It went without having been seen.
                match keep(object) {
                    Some(kept) if !self.contains(&id) => tell((Some(&kept), None)),
                    _ => self.remove(&id, tell),
                }
            }
        }
        false
    }

    /// Keeps an object, unless a newer version of it is kept. Tells whether anything changed.
    pub(super) fn apply(&mut self, kept: T, tell: impl FnMut(BeforeAndNow<'_, T>)) -> bool {
        let known = self.owners.get(kept.id());
        let known = known.and_then(|owner| self.get(owner, &kept.id().name));
        let is_old = known
            .is_some_and(|known| known.uid() == kept.uid() && known.version() >= kept.version());
        if !is_old {
            self.put(kept, tell);
        }
        !is_old
    }

    /// A list is complete: whatever it does not hold is gone. It counts whatever its versions:
    /// they are lower than before when the server's store was restored from a backup.
    fn replace(
        &mut self,
        scope: Option<&str>,
        listed: Vec<T>,
        mut tell: impl FnMut(BeforeAndNow<'_, T>),
    ) {
        let in_scope = |id: &&ObjectId| scope.is_none_or(|namespace| *namespace == *id.namespace);
        let mut gone: HashSet<ObjectId> = self.owners.keys().filter(in_scope).cloned().collect();
        for kept in listed {
            gone.remove(kept.id());
            self.put(kept, &mut tell);
        }
        for id in gone {
            self.remove(&id, &mut tell);
        }
    }

    fn put(&mut self, kept: T, mut tell: impl FnMut(BeforeAndNow<'_, T>)) {
        let (id, owner) = (kept.id().clone(), kept.owner().clone());
        let before_owner = self.owners.insert(id.clone(), owner.clone());
        let before = before_owner.and_then(|owner| self.take_out(&owner, &id.name));
        let is_same = |before: &T| before.uid() == kept.uid() && before.version() == kept.version();
        if !before.as_ref().is_some_and(is_same) {
            tell((before.as_ref(), Some(&kept)));
        }
        self.objects.entry(owner).or_default().insert(id.name, kept);
    }

    fn remove(&mut self, id: &ObjectId, mut tell: impl FnMut(BeforeAndNow<'_, T>)) {
        let Some(owner) = self.owners.remove(id) else {
            return;
        };
        if let Some(before) = self.take_out(&owner, &id.name) {
            tell((Some(&before), None));
        }
    }

    fn take_out(&mut self, owner: &ObjectId, name: &str) -> Option<T> {
        let objects = self.objects.get_mut(owner)?;
        let taken = objects.remove(name);
        if objects.is_empty() {
            self.objects.remove(owner);
        }
        taken
    }
}

/// Why nothing can be told.
fn untold(what: &str, trouble: Option<&WatchTrouble>) -> Error {
    let object = what.to_owned();
    match trouble {
        Some((Some(401 | 403), detail)) => Error::Forbidden {
            object,
            detail: detail.clone(),
        },
        Some((_, detail)) => Error::Unavailable {
            object,
            detail: detail.clone(),
        },
        None => Error::Unavailable {
            object,
            detail: "the first list is not complete yet".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
