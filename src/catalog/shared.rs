//! The `shared` EventJobs of a namespace, made ready for the requests to its shared door.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{CatalogEntry, Listing};
use crate::pattern::{Matcher, Pattern};
use crate::resource::ObjectId;
use crate::resource::event_job::{Auth, EventJob};

/// The `shared` EventJobs of a namespace, compiled into one matcher.
#[derive(Debug)]
pub struct SharedEventJobs {
    /// Those with a pattern.
    pub matcher: Arc<Matcher<ObjectId>>,
    /// Those that take every event.
    pub every: Vec<ObjectId>,
    /// All of which a valid version is known.
    pub entries: BTreeMap<ObjectId, SharedEntry>,
    /// The ways to prove who sends, each once. [`SharedEntry::auth`] is an index into it.
    pub auths: Vec<Arc<EventJob>>,
    /// Invalid ones of which no valid version is known: any event may concern them.
    pub unknown: Vec<ObjectId>,
}

/// One `shared` EventJob.
#[derive(Debug, Clone)]
pub struct SharedEntry {
    /// The object; when it is invalid, its last valid version, as one that is not ready.
    pub entry: CatalogEntry,
    /// Whether the object is invalid now.
    pub is_invalid: bool,
    /// Who may send: an index into [`SharedEventJobs::auths`].
    pub auth: usize,
}

impl SharedEventJobs {
    /// The matcher of `before` is kept when the patterns are the same: proving an object changes none.
    pub(super) fn new(listed: Vec<(ObjectId, Listing)>, before: Option<&Self>) -> Self {
        let mut entries = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut auths = Vec::new();
        let mut known: HashMap<Vec<Auth>, usize> = HashMap::new();
        for (id, listed) in listed {
            let (entry, is_invalid) = match listed {
                Listing::Valid(entry) => (entry, false),
                Listing::Invalid {
                    last: Some(event_job),
                    ..
                } if event_job.webhook.shared => {
                    let not_ready = Some("it is not valid; its status says why".to_owned());
                    let entry = CatalogEntry {
                        event_job,
                        not_ready,
                    };
                    (entry, true)
                }
                Listing::Invalid { .. } | Listing::Deleting => {
                    unknown.push(id);
                    continue;
                }
            };
            let auth = entry.event_job.webhook.auth.clone();
            let auth = *known.entry(auth).or_insert_with(|| {
                auths.push(Arc::clone(&entry.event_job));
                auths.len() - 1
            });
            let shared = SharedEntry {
                entry,
                is_invalid,
                auth,
            };
            entries.insert(id, shared);
        }
        unknown.sort();
        let matcher = match before {
            Some(before) if same_patterns(&before.entries, &entries) => Arc::clone(&before.matcher),
            _ => {
                let pattern =
                    |(id, shared): (&ObjectId, &SharedEntry)| -> Option<(ObjectId, Pattern)> {
                        Some((id.clone(), shared.entry.event_job.pattern.clone()?))
                    };
                Arc::new(Matcher::new(entries.iter().filter_map(pattern)))
            }
        };
        let every = entries
            .iter()
            .filter(|(_, shared)| shared.entry.event_job.pattern.is_none());
        Self {
            matcher,
            every: every.map(|(id, _)| id.clone()).collect(),
            entries,
            auths,
            unknown,
        }
    }

    pub(super) fn unless_empty(self: Arc<Self>) -> Option<Arc<Self>> {
        (!self.entries.is_empty() || !self.unknown.is_empty()).then_some(self)
    }
}

fn same_patterns(
    left: &BTreeMap<ObjectId, SharedEntry>,
    right: &BTreeMap<ObjectId, SharedEntry>,
) -> bool {
    let patterns = |entries: &BTreeMap<ObjectId, SharedEntry>| -> Vec<Arc<EventJob>> {
        let matched = entries.values().map(|shared| &shared.entry.event_job);
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
