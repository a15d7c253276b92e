//! The Jobs of the managed namespaces, as the watch last showed them.
//!
//! A Job is kept as the small [`JobState`] it becomes, never whole. The cache
//! knows nothing of the network: `jobs` feeds it.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use kube::core::ObjectMeta;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ended::{Condition, ended};
use super::watched::Watched;
use crate::launch::{
    GENERATION_ANNOTATION, JobState, KEDA_GENERATION_ANNOTATION, OCCURRENCE_ANNOTATION,
    ROUND_ANNOTATION,
};
use crate::resource::ObjectId;

/// A Job without its spec.
pub(super) type WatchedJob = Watched<IgnoredAny, JobStatus>;

/// What is kept of `status`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
    completion_time: Option<Timestamp>,
}

/// Jobs with one kind of label, by its value.
#[derive(Debug)]
pub(super) struct Cache {
    /// The label with the ScaledJob's name.
    pub(super) label: &'static str,
    /// Jobs by namespace and label value, then by name.
    jobs: HashMap<(String, String), HashMap<String, JobState>>,
    /// The label value that a Job is filed under.
    filed: HashMap<ObjectId, String>,
    /// Lists under way, by scope: what they have shown so far.
    listing: HashMap<Option<String>, Vec<WatchedJob>>,
    /// Scopes whose first list is complete.
    synced: HashSet<Option<String>>,
    /// Why scopes cannot be watched at the moment: the server's code, if there was one, and words.
    troubles: HashMap<Option<String>, (Option<u16>, String)>,
}

/// What an event of the watch means to others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Jobs that were seen, living or going: the UID of the controlling owner, and the name.
    pub(super) jobs: Vec<(Option<String>, String)>,
    /// ScaledJobs of which a Job finished or went.
    pub(super) ended: Vec<ObjectId>,
}

impl Cache {
    pub(super) fn new(label: &'static str) -> Self {
        Self {
            label,
            jobs: HashMap::new(),
            filed: HashMap::new(),
            listing: HashMap::new(),
            synced: HashSet::new(),
            troubles: HashMap::new(),
        }
    }

    /// The watch of a scope failed, or works again.
    pub(super) fn set_trouble(
        &mut self,
        scope: Option<&str>,
        trouble: Option<(Option<u16>, String)>,
    ) {
        let scope = scope.map(str::to_owned);
        match trouble {
            Some(trouble) => self.troubles.insert(scope, trouble),
            None => self.troubles.remove(&scope),
        };
    }

    /// Why the Jobs of a namespace are not known yet.
    pub(super) fn trouble(&self, namespace: &str) -> Option<&(Option<u16>, String)> {
        self.troubles
            .get(&Some(namespace.to_owned()))
            .or_else(|| self.troubles.get(&None))
    }

    /// Whether the Jobs of a namespace are known, all of them.
    pub(super) fn is_synced(&self, namespace: &str) -> bool {
        self.synced.contains(&None) || self.synced.contains(&Some(namespace.to_owned()))
    }

    /// The Jobs filed under a label value.
    pub(super) fn of(&self, namespace: &str, value: &str) -> impl Iterator<Item = &JobState> {
        self.jobs
            .get(&(namespace.to_owned(), value.to_owned()))
            .into_iter()
            .flat_map(HashMap::values)
    }

    /// Whether a Job of this name is known.
    pub(super) fn contains(&self, job: &ObjectId) -> bool {
        self.filed.contains_key(job)
    }

    /// A new list begins; what is known stays until it is complete.
    pub(super) fn list_began(&mut self, scope: Option<&str>) {
        self.listing.insert(scope.map(str::to_owned), Vec::new());
    }

    /// One Job of the list.
    pub(super) fn listed(&mut self, scope: Option<&str>, job: WatchedJob) {
        let scope = scope.map(str::to_owned);
        self.listing.entry(scope).or_default().push(job);
    }

    /// The list is complete: whatever it does not hold is gone.
    pub(super) fn list_ended(&mut self, scope: Option<&str>) -> Seen {
        let place = scope.map(str::to_owned);
        let listed = self.listing.remove(&place).unwrap_or_default();
        let mut seen = Seen::default();
        let mut gone: HashSet<ObjectId> = self
            .filed
            .keys()
            .filter(|id| scope.is_none_or(|namespace| namespace == id.namespace))
            .cloned()
            .collect();
        for job in listed {
            gone.remove(&id_of(&job.metadata));
            seen.extend(self.applied(job));
        }
        for id in gone {
            seen.extend(self.unfile(&id, None));
        }
        self.synced.insert(place);
        seen
    }

    /// A Job as it is now.
    pub(super) fn applied(&mut self, job: WatchedJob) -> Seen {
        let id = id_of(&job.metadata);
        let owner = owner_of(&job.metadata);
        let value = label_of(&job.metadata, self.label);
        if self.filed.get(&id).is_some_and(|filed| *filed != value) {
            self.unfile(&id, None);
        }
        let state = state_of(job);
        let finished = state.outcome.is_some();
        let seen = (state.owner_uid.clone(), state.name.clone());
        self.filed.insert(id.clone(), value.clone());
        let before = self
            .jobs
            .entry((id.namespace.clone(), value))
            .or_default()
            .insert(id.name.clone(), state);
        let was_finished = before.is_some_and(|before| before.outcome.is_some());
        let ended = finished && !was_finished;
        Seen {
            jobs: vec![seen],
            ended: if ended {
                owner.into_iter().collect()
            } else {
                Vec::new()
            },
        }
    }

    /// A Job that is gone.
    pub(super) fn deleted(&mut self, job: &WatchedJob) -> Seen {
        self.unfile(&id_of(&job.metadata), owner_of(&job.metadata))
    }

    fn unfile(&mut self, id: &ObjectId, owner: Option<ObjectId>) -> Seen {
        let mut seen = Seen::default();
        let Some(value) = self.filed.remove(id) else {
            return seen;
        };
        // Without the object at hand, the label is the best name of its owner.
        let owner = owner.unwrap_or_else(|| ObjectId::new(&id.namespace, &value));
        let key = (id.namespace.clone(), value);
        if let Some(jobs) = self.jobs.get_mut(&key) {
            if let Some(removed) = jobs.remove(&id.name) {
                seen.jobs.push((removed.owner_uid, removed.name));
                if removed.outcome.is_none() {
                    seen.ended.push(owner);
                }
            }
            if jobs.is_empty() {
                self.jobs.remove(&key);
            }
        }
        seen
    }
}

impl Seen {
    fn extend(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.ended.extend(other.ended);
    }
}

/// What counting needs of a Job.
pub(super) fn state_of(job: WatchedJob) -> JobState {
    const KEPT: [&str; 4] = [
        OCCURRENCE_ANNOTATION,
        ROUND_ANNOTATION,
        GENERATION_ANNOTATION,
        KEDA_GENERATION_ANNOTATION,
    ];
    let status = job.status.unwrap_or_default();
    let ended = ended(&status.conditions);
    let annotations: BTreeMap<String, String> = job
        .metadata
        .annotations
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| KEPT.contains(&key.as_str()))
        .collect();
    JobState {
        name: job.metadata.name.unwrap_or_default(),
        uid: job.metadata.uid,
        owner_uid: job
            .metadata
            .owner_references
            .unwrap_or_default()
            .into_iter()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| owner.uid),
        annotations,
        outcome: ended.map(|(outcome, _)| outcome),
        created_at: job.metadata.creation_timestamp.map(|time| time.0),
        finished_at: status.completion_time.or(ended.and_then(|(_, at)| at)),
        pods: Vec::new(),
    }
}

fn id_of(metadata: &ObjectMeta) -> ObjectId {
    ObjectId::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

fn label_of(metadata: &ObjectMeta, label: &str) -> String {
    let labels = metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(label).cloned())
        .unwrap_or_default()
}

fn owner_of(metadata: &ObjectMeta) -> Option<ObjectId> {
    let owners = metadata.owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(ObjectId::new(
        metadata.namespace.clone()?,
        owner.name.clone(),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::launch::{Outcome, SCALED_JOB_LABEL};

    fn job(name: &str, condition: Option<&str>) -> WatchedJob {
        let conditions: Vec<_> = condition
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}))
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {}},
            "metadata": {
                "name": name, "namespace": "production", "uid": format!("uid of {name}"),
                "labels": {SCALED_JOB_LABEL: "resize"},
                "annotations": {OCCURRENCE_ANNOTATION: "hash", "other": "dropped"},
                "ownerReferences": [{"apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
                    "name": "resize", "uid": "owner", "controller": true}],
            },
            "status": {"conditions": conditions},
        }))
        .expect("a Job")
    }

    fn names(cache: &Cache) -> Vec<&str> {
        let mut names: Vec<&str> = cache
            .of("production", "resize")
            .map(|job| job.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    fn resize() -> ObjectId {
        ObjectId::new("production", "resize")
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_complete() {
        let mut cache = Cache::new(SCALED_JOB_LABEL);
        let scope = Some("production");
        cache.list_began(scope);
        cache.listed(scope, job("a", None));
        assert!(!cache.is_synced("production"));
        cache.list_ended(scope);
        assert!(cache.is_synced("production") && !cache.is_synced("staging"));
        assert_eq!(names(&cache), ["a"]);
    }

    #[test]
    fn a_new_list_replaces_what_was_known_only_when_it_is_complete() {
        let mut cache = Cache::new(SCALED_JOB_LABEL);
        cache.applied(job("a", None));
        cache.applied(job("b", Some("Complete")));
        cache.list_began(None);
        cache.listed(None, job("c", None));
        assert_eq!(names(&cache), ["a", "b"]);
        let seen = cache.list_ended(None);
        assert_eq!(names(&cache), ["c"]);
        assert_eq!(
            seen.ended,
            [resize()],
            "a went unfinished; b had finished before"
        );
        assert_eq!(seen.jobs.len(), 3);
    }

    #[test]
    fn an_end_is_told_once() {
        let mut cache = Cache::new(SCALED_JOB_LABEL);
        assert!(cache.applied(job("a", None)).ended.is_empty());
        assert_eq!(cache.applied(job("a", Some("Failed"))).ended, [resize()]);
        assert!(cache.applied(job("a", Some("Failed"))).ended.is_empty());
        assert!(cache.deleted(&job("a", Some("Failed"))).ended.is_empty());
    }

    #[test]
    fn only_a_true_complete_or_failed_ends_a_job() {
        for (kind, outcome) in [
            ("Complete", Some(Outcome::Complete)),
            ("Failed", Some(Outcome::Failed)),
            ("Suspended", None),
            ("FailureTarget", None),
            ("SuccessCriteriaMet", None),
        ] {
            assert_eq!(state_of(job("a", Some(kind))).outcome, outcome, "{kind}");
        }
    }

    #[test]
    fn a_state_keeps_our_annotations_and_the_controlling_owner() {
        let state = state_of(job("a", Some("Failed")));
        assert_eq!(state.annotations.len(), 1);
        assert_eq!(state.owner_uid.as_deref(), Some("owner"));
        assert!(state.finished_at.is_some(), "the Failed condition's time");
    }
}
