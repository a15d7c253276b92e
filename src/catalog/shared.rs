//! The `shared` EventJobs of a namespace, made ready for the requests to its shared door.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::{CatalogEntry, Listing};
use crate::pattern::{Matcher, Pattern};
use crate::resource::ObjectId;
use crate::resource::event_job::signature::HmacScheme;
use crate::resource::event_job::{Auth, EventJob, SecretKey};

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
    /// Those that came when others had [`MOST_BODY_KEYS`] already: they are taken as invalid here.
    pub crowded: BTreeSet<ObjectId>,
}

/// Keys for bodies that are tried at one shared door, SNS's lists of topics included: each is tried on each body, before
/// anybody knows who sends.
pub const MOST_BODY_KEYS: usize = 32;

/// One `shared` EventJob.
#[derive(Debug, Clone)]
pub struct SharedEntry {
    /// The object; when it is invalid, its last valid version, as one that is not ready.
    pub entry: CatalogEntry,
    /// Whether the object is invalid now, or crowded out.
    pub is_invalid: bool,
    /// Who may send: an index into [`SharedEventJobs::auths`]. `None` for one that is crowded out: its keys are not tried.
    pub auth: Option<usize>,
}

/// What is tried on a body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum BodyKey {
    Hmac(HmacScheme, SecretKey),
    Sns(Vec<String>),
}

fn body_keys(event_job: &EventJob) -> HashSet<BodyKey> {
    let mut found = HashSet::new();
    for auth in event_job.auth() {
        match auth {
            Auth::Hmac { scheme, keys } => {
                found.extend(
                    keys.iter()
                        .map(|key| BodyKey::Hmac(scheme.clone(), key.clone())),
                );
            }
            Auth::Sns { topic_arns } => {
                found.insert(BodyKey::Sns(topic_arns.clone()));
            }
            Auth::None | Auth::ApiKey { .. } | Auth::Basic { .. } | Auth::Jwt { .. } => {}
        }
    }
    found
}

/// The newest ones, whose keys are too many.
fn crowded(entries: &BTreeMap<ObjectId, SharedEntry>) -> BTreeSet<ObjectId> {
    let mut oldest_first: Vec<&EventJob> =
        entries.values().map(|of| &*of.entry.event_job).collect();
    oldest_first.sort_by_key(|event_job| (&event_job.created, &event_job.id));
    let mut tried = HashSet::new();
    let mut crowded = BTreeSet::new();
    for event_job in oldest_first {
        let all: HashSet<_> = tried.union(&body_keys(event_job)).cloned().collect();
        if all.len() > MOST_BODY_KEYS {
            crowded.insert(event_job.id.clone());
        } else {
            tried = all;
        }
    }
    crowded
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
                } if event_job.is_shared() => {
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
            let shared = SharedEntry {
                entry,
                is_invalid,
                auth: None,
            };
            entries.insert(id, shared);
        }
        let crowded = crowded(&entries);
        for (id, shared) in &mut entries {
            let event_job = &shared.entry.event_job;
            if crowded.contains(id) {
                shared.entry.not_ready = Some("the shared door has too many keys".to_owned());
                shared.is_invalid = true;
                continue;
            }
            let auth = event_job.auth().to_vec();
            shared.auth = Some(*known.entry(auth).or_insert_with(|| {
                auths.push(Arc::clone(event_job));
                auths.len() - 1
            }));
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
            crowded,
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
