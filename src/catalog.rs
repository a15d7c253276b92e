//! Which EventJobs there are, for those who take events: by name, and by what they match.
//!
//! Whoever reads objects puts them in; whoever answers requests looks them up. A
//! look costs no lock for longer than a clone of an `Arc`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::pattern::{Matcher, Pattern};
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// One EventJob as it stands.
#[derive(Debug, Clone)]
pub struct Entry {
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
    entries: HashMap<ObjectId, Listed>,
    shared: HashMap<String, Arc<Shared>>,
    is_complete: bool,
}

/// What is known of one name.
#[derive(Debug, Clone)]
pub enum Listed {
    /// A valid object.
    Valid(Entry),
    /// An object that is not valid: nothing is launched for it.
    Invalid,
}

/// The `shared` EventJobs of a namespace, compiled into one matcher.
#[derive(Debug)]
pub struct Shared {
    /// Those with a pattern.
    pub matcher: Matcher<ObjectId>,
    /// Those that take every event.
    pub every: Vec<ObjectId>,
    /// All of them.
    pub entries: HashMap<ObjectId, Entry>,
}

impl Catalog {
    /// Puts an object in, in place of what its name stood for.
    pub fn set(&self, id: ObjectId, listed: Listed) {
        let mut state = self.lock();
        state.shared.remove(&id.namespace);
        state.entries.insert(id, listed);
    }

    /// Takes an object out.
    pub fn remove(&self, id: &ObjectId) {
        let mut state = self.lock();
        state.shared.remove(&id.namespace);
        state.entries.remove(id);
    }

    /// Every object there was at the start has been put in.
    pub fn complete(&self) {
        self.lock().is_complete = true;
    }

    /// Whether a name that is not here is nowhere.
    pub fn is_complete(&self) -> bool {
        self.lock().is_complete
    }

    /// What a name stands for.
    pub fn get(&self, id: &ObjectId) -> Option<Listed> {
        self.lock().entries.get(id).cloned()
    }

    /// The names of all valid objects.
    pub fn all(&self) -> Vec<ObjectId> {
        let state = self.lock();
        let valid = state
            .entries
            .iter()
            .filter(|(_, listed)| matches!(listed, Listed::Valid(_)));
        valid.map(|(id, _)| id.clone()).collect()
    }

    /// The `shared` EventJobs of a namespace; `None` when there are none.
    pub fn shared(&self, namespace: &str) -> Option<Arc<Shared>> {
        let mut state = self.lock();
        if let Some(shared) = state.shared.get(namespace) {
            return Some(Arc::clone(shared));
        }
        let entries: HashMap<ObjectId, Entry> = state
            .entries
            .iter()
            .filter(|(id, _)| id.namespace == namespace)
            .filter_map(|(id, listed)| match listed {
                Listed::Valid(entry) if entry.event_job.webhook.shared => {
                    Some((id.clone(), entry.clone()))
                }
                _ => None,
            })
            .collect();
        if entries.is_empty() {
            return None;
        }
        let pattern = |(id, entry): (&ObjectId, &Entry)| -> Option<(ObjectId, Pattern)> {
            Some((id.clone(), entry.event_job.pattern.clone()?))
        };
        let every = entries
            .iter()
            .filter(|(_, entry)| entry.event_job.pattern.is_none());
        let mut every: Vec<ObjectId> = every.map(|(id, _)| id.clone()).collect();
        every.sort();
        let shared = Arc::new(Shared {
            matcher: Matcher::new(entries.iter().filter_map(pattern)),
            every,
            entries,
        });
        let namespace = namespace.to_owned();
        state.shared.insert(namespace, Arc::clone(&shared));
        Some(shared)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
