//! Which EventJobs there are, for those who take events: by name, and by what they match.
//!
//! Whoever reads objects puts them in; whoever answers requests looks them up. The
//! lock is held for a look or for a copy of pointers, and never while patterns are
//! compiled: that holds up requests to the shared door of one namespace only.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

pub use self::shared::{MOST_BODY_KEYS, SharedEntry, SharedEventJobs};

mod shared;

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
    namespaces: HashMap<Arc<str>, Namespace>,
    /// Namespaces of which every object has been read.
    complete: HashSet<String>,
    is_complete: bool,
}

#[derive(Debug, Default)]
struct Namespace {
    listed: HashMap<Arc<str>, Listing>,
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
    /// An object that is not valid: nothing is launched for it, and it lets nobody in.
    Invalid {
        /// Its last valid version, which an edit replaced. It only tells whether an event concerns the object.
        last: Option<Arc<EventJob>>,
        /// Whether the object says `shared: true` as it is written now.
        says_shared: bool,
    },
    /// An object that is being deleted: nothing is launched for it, and its shared door leaves it out.
    Deleting,
}

impl Listing {
    fn is_shared(&self) -> bool {
        match self {
            Self::Valid(entry) => entry.event_job.is_shared(),
            Self::Invalid { last, says_shared } => {
                *says_shared || last.as_ref().is_some_and(|last| last.is_shared())
            }
            Self::Deleting => false,
        }
    }
}

/// Whether an EventJob says that it is `shared`, whatever else is wrong with it.
pub fn says_shared(object: &Value) -> bool {
    let shared = &object["spec"]["source"]["webhook"]["shared"];
    *shared == true || *shared == "true"
}

impl Catalog {
    /// Puts an object in, in place of what its name stood for.
    pub fn set(&self, id: ObjectId, listed: Listing) {
        let mut state = self.lock();
        let namespace = state.namespaces.entry(id.namespace).or_default();
        let is_shared = listed.is_shared();
        let before = namespace.listed.insert(id.name, listed);
        if is_shared || before.is_some_and(|before| before.is_shared()) {
            namespace.version += 1;
        }
    }

    /// Puts in an object that is not valid. The valid version of the same object (`uid`) that was there is kept, to tell
    /// whether an event concerns it.
    pub fn set_invalid(&self, id: ObjectId, uid: &str, says_shared: bool) {
        let last = match self.get(&id) {
            Some(Listing::Valid(entry)) => Some(entry.event_job),
            Some(Listing::Invalid { last, .. }) => last,
            Some(Listing::Deleting) | None => None,
        };
        let last = last.filter(|last| last.uid == uid);
        self.set(id, Listing::Invalid { last, says_shared });
    }

    /// Takes an object out.
    pub fn remove(&self, id: &ObjectId) {
        let mut state = self.lock();
        let Some(namespace) = state.namespaces.get_mut(&id.namespace) else {
            return;
        };
        if let Some(before) = namespace.listed.remove(&id.name)
            && before.is_shared()
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
            Listing::Invalid { .. } | Listing::Deleting => None,
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
        let (version, before, listed) = {
            let state = self.lock();
            let of = state.namespaces.get(namespace)?;
            let shared = of.listed.iter().filter(|(_, listed)| listed.is_shared());
            let shared =
                shared.map(|(name, listed)| (ObjectId::new(namespace, name), listed.clone()));
            let listed: Vec<_> = shared.collect();
            (of.version, of.shared.clone(), listed)
        };
        let before = before.map(|(_, shared)| shared);
        let shared = Arc::new(SharedEventJobs::new(listed, before.as_deref()));
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

#[cfg(test)]
mod tests;
