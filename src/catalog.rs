//! Which EventJobs there are, for those who take events: by name, and by what they match.
//!
//! Whoever reads objects puts them in; whoever answers requests looks them up. The
//! lock is held for a look or for a copy of pointers, and never while patterns are
//! compiled: that holds up requests to the shared door of one namespace only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::pattern::{Matcher, Pattern};
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// One EventJob as it stands.
#[derive(Debug, Clone)]
pub struct CatalogEntry {
    /// The object.
    pub event_job: Arc<EventJob>,
    /// Why it takes no events now, in words for the sender; `None` when it does.
    pub not_ready: Option<String>,
}

/// Every EventJob that has been read.
#[derive(Debug, Default)]
pub struct Catalog {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    namespaces: HashMap<String, Namespace>,
    /// Namespaces of which every object has been read.
    complete: HashSet<String>,
    is_complete: bool,
}

#[derive(Debug, Default)]
struct Namespace {
    listed: HashMap<String, Listing>,
    /// Counts changes of the shared door.
    version: u64,
    /// The shared door, and the version it was made from.
    shared: Option<(u64, Arc<SharedEventJobs>)>,
    /// Held by the one request that makes the shared door.
    making: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of one name.
#[derive(Debug, Clone)]
pub enum Listing {
    /// A valid object.
    Valid(CatalogEntry),
    /// An object that is not valid: nothing is launched for it.
    Invalid,
    /// An object that is being deleted: nothing is launched for it, and its shared door leaves it out.
    Deleting,
}

impl Listing {
    fn shared(&self) -> Option<&CatalogEntry> {
        match self {
            Self::Valid(entry) if entry.event_job.webhook.shared => Some(entry),
            Self::Valid(_) | Self::Invalid | Self::Deleting => None,
        }
    }
}

/// The `shared` EventJobs of a namespace, compiled into one matcher.
#[derive(Debug)]
pub struct SharedEventJobs {
    /// Those with a pattern.
    pub matcher: Arc<Matcher<ObjectId>>,
    /// Those that take every event.
    pub every: Vec<ObjectId>,
    /// All of them.
    pub entries: BTreeMap<ObjectId, CatalogEntry>,
}

impl Catalog {
    /// Puts an object in, in place of what its name stood for.
    pub fn set(&self, id: ObjectId, listed: Listing) {
        let mut state = self.lock();
        let namespace = state.namespaces.entry(id.namespace).or_default();
        let is_shared = listed.shared().is_some();
        let before = namespace.listed.insert(id.name, listed);
        if is_shared || before.is_some_and(|before| before.shared().is_some()) {
            namespace.version += 1;
        }
    }

    /// Takes an object out.
    pub fn remove(&self, id: &ObjectId) {
        let mut state = self.lock();
        let Some(namespace) = state.namespaces.get_mut(&id.namespace) else {
            return;
        };
        if let Some(before) = namespace.listed.remove(&id.name)
            && before.shared().is_some()
        {
            namespace.version += 1;
        }
        if namespace.listed.is_empty() {
            state.namespaces.remove(&id.namespace);
        }
    }

    /// Every object that a namespace had at the start has been put in; `None`: that all namespaces had.
    pub fn complete(&self, namespace: Option<&str>) {
        let mut state = self.lock();
        match namespace {
            Some(namespace) => {
                state.complete.insert(namespace.to_owned());
            }
            None => state.is_complete = true,
        }
    }

    /// Whether a name of this namespace that is not here is nowhere.
    pub fn is_complete(&self, namespace: &str) -> bool {
        let state = self.lock();
        state.is_complete || state.complete.contains(namespace)
    }

    /// What a name stands for.
    pub fn get(&self, id: &ObjectId) -> Option<Listing> {
        let state = self.lock();
        let namespace = state.namespaces.get(&id.namespace)?;
        namespace.listed.get(&id.name).cloned()
    }

    /// The names of all valid objects.
    pub fn all(&self) -> Vec<ObjectId> {
        let state = self.lock();
        let listed = state.namespaces.values().flat_map(|of| of.listed.values());
        let valid = listed.filter_map(|listed| match listed {
            Listing::Valid(entry) => Some(entry.event_job.id.clone()),
            Listing::Invalid | Listing::Deleting => None,
        });
        valid.collect()
    }

    /// The `shared` EventJobs of a namespace as they are now; `None` when there are none.
    pub async fn shared(&self, namespace: &str) -> Option<Arc<SharedEventJobs>> {
        let making = match self.shared_at_hand(namespace) {
            Ok(shared) => return shared,
            Err(making) => making,
        };
        let _made_once = making.lock().await;
        if let Ok(shared) = self.shared_at_hand(namespace) {
            return shared;
        }
        let (version, before, entries) = {
            let state = self.lock();
            let of = state.namespaces.get(namespace)?;
            let shared = of.listed.values().filter_map(Listing::shared);
            let entries = shared.map(|entry| (entry.event_job.id.clone(), entry.clone()));
            let entries: BTreeMap<_, _> = entries.collect();
            (of.version, of.shared.clone(), entries)
        };
        let before = before.map(|(_, shared)| shared);
        let shared = Arc::new(SharedEventJobs::new(entries, before.as_deref()));
        if let Some(of) = self.lock().namespaces.get_mut(namespace) {
            of.shared = Some((version, Arc::clone(&shared)));
        }
        shared.unless_empty()
    }

    /// The shared door of a namespace if it is up to date, else the lock of those who make it.
    fn shared_at_hand(
        &self,
        namespace: &str,
    ) -> Result<Option<Arc<SharedEventJobs>>, Arc<tokio::sync::Mutex<()>>> {
        let state = self.lock();
        let Some(of) = state.namespaces.get(namespace) else {
            return Ok(None);
        };
        match &of.shared {
            Some((version, shared)) if *version == of.version => {
                Ok(Arc::clone(shared).unless_empty())
            }
            _ => Err(Arc::clone(&of.making)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedEventJobs {
    /// The matcher of `before` is kept when the patterns are the same: proving an object changes none.
    fn new(entries: BTreeMap<ObjectId, CatalogEntry>, before: Option<&Self>) -> Self {
        let matcher = match before {
            Some(before) if same_patterns(&before.entries, &entries) => Arc::clone(&before.matcher),
            _ => {
                let pattern =
                    |(id, entry): (&ObjectId, &CatalogEntry)| -> Option<(ObjectId, Pattern)> {
                        Some((id.clone(), entry.event_job.pattern.clone()?))
                    };
                Arc::new(Matcher::new(entries.iter().filter_map(pattern)))
            }
        };
        let every = entries
            .iter()
            .filter(|(_, entry)| entry.event_job.pattern.is_none());
        Self {
            matcher,
            every: every.map(|(id, _)| id.clone()).collect(),
            entries,
        }
    }

    fn unless_empty(self: Arc<Self>) -> Option<Arc<Self>> {
        (!self.entries.is_empty()).then_some(self)
    }
}

fn same_patterns(
    left: &BTreeMap<ObjectId, CatalogEntry>,
    right: &BTreeMap<ObjectId, CatalogEntry>,
) -> bool {
    let patterns = |entries: &BTreeMap<ObjectId, CatalogEntry>| -> Vec<Arc<EventJob>> {
        let matched = entries.values().map(|entry| &entry.event_job);
        let matched = matched.filter(|event_job| event_job.pattern.is_some());
        matched.cloned().collect()
    };
    let (left, right) = (patterns(left), patterns(right));
    left.len() == right.len()
        && left
            .iter()
            .zip(&right)
            .all(|(left, right)| Arc::ptr_eq(left, right))
}

#[cfg(test)]
mod tests;
