//! The Jobs of EventJobs as they were last seen: by a watch, a list, or the answer to a change.

use std::collections::{HashMap, HashSet};

use futures::FutureExt as _;
use futures::future::{Either, join_all, select};
use kube::runtime::watcher;

use super::super::follow::{self, Shown, Trouble};
use super::super::jobs::not_synced;
use super::Delivered;
use super::wire::{Kept, WatchedJob, delivered};
use crate::launch::Error;
use crate::launch::delivered::EVENT_JOB_LABEL;
use crate::launch::event_launcher::DeliveredJob;
use crate::launch::news::News;
use crate::resource::ObjectId;

/// Jobs by EventJob, then by name.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_event_job: HashMap<ObjectId, HashMap<String, Kept>>,
    /// Who is told of new ones.
    pub(super) news: News,
    /// Lists under way, by scope. What they hold is shown when they are complete, all at once: a Job never shows
    /// what happened to it before an older change of another does. `launch::admission` relies on it.
    listing: HashMap<Option<String>, Vec<Kept>>,
    /// Scopes whose first list is complete.
    synced: HashSet<Option<String>>,
    /// Why scopes cannot be watched at the moment.
    troubles: HashMap<Option<String>, Trouble>,
}

impl Jobs {
    /// Whether all Jobs of an EventJob's namespace have been seen.
    pub(super) fn check_synced(&self, event_job: &ObjectId) -> Result<(), Error> {
        let scopes = [None, Some(event_job.namespace.clone())];
        if scopes.iter().any(|scope| self.synced.contains(scope)) {
            return Ok(());
        }
        let trouble = scopes.iter().find_map(|scope| self.troubles.get(scope));
        Err(not_synced(
            &format!("jobs of EventJob {event_job}"),
            trouble,
        ))
    }

    /// The Jobs of an EventJob.
    pub(super) fn of(&self, event_job: &ObjectId) -> impl Iterator<Item = &DeliveredJob> {
        let jobs = self.by_event_job.get(event_job).into_iter();
        jobs.flat_map(HashMap::values).map(|kept| &kept.job)
    }

    /// The hash of the event that a Job was made for.
    pub(super) fn payload(&self, event_job: &ObjectId, name: &str) -> Option<&str> {
        let kept = self.by_event_job.get(event_job)?.get(name)?;
        Some(kept.payload.as_str())
    }

    /// Keeps a Job, unless a newer version of it is kept. Tells whether anything changed.
    fn newer(&mut self, kept: Kept) -> bool {
        let event_job = kept.job.event_job.clone();
        let jobs = self.by_event_job.entry(event_job.clone()).or_default();
        let name = kept.job.id.name.clone();
        let is_old = jobs.get(&name).is_some_and(|known| {
            known.job.uid == kept.job.uid && version(&known.job) >= version(&kept.job)
        });
        if is_old {
            return false;
        }
        if jobs.insert(name, kept).is_none() {
            self.news.tell(&event_job);
        }
        true
    }

    fn remove(&mut self, event_job: &ObjectId, name: &str) -> bool {
        let Some(jobs) = self.by_event_job.get_mut(event_job) else {
            return false;
        };
        let was_there = jobs.remove(name).is_some();
        if jobs.is_empty() {
            self.by_event_job.remove(event_job);
        }
        was_there
    }

    /// Takes what a watch shows; the EventJobs of which something changed.
    fn take(&mut self, scope: Option<&str>, event: watcher::Event<WatchedJob>) -> Vec<ObjectId> {
        let place = scope.map(str::to_owned);
        match event {
            watcher::Event::Init => {
                self.listing.insert(place, Vec::new());
                Vec::new()
            }
            watcher::Event::InitApply(job) => {
                let listed = self.listing.entry(place).or_default();
                listed.extend(delivered(&job));
                Vec::new()
            }
            watcher::Event::InitDone => {
                let listed = self.listing.remove(&place).unwrap_or_default();
                self.synced.insert(place);
                let ids = listed.iter().map(|kept| kept.job.id.clone()).collect();
                let mut changed = self.keep_only(scope, &ids);
                changed.extend(listed.into_iter().flat_map(|kept| self.apply(kept)));
                changed
            }
            watcher::Event::Apply(job) => {
                delivered(&job).map_or_else(Vec::new, |kept| self.apply(kept))
            }
            watcher::Event::Delete(job) => {
                let Some(kept) = delivered(&job) else {
                    return Vec::new();
                };
                let job = kept.job;
                let was_there = self.remove(&job.event_job, &job.id.name);
                was_there.then_some(job.event_job).into_iter().collect()
            }
        }
    }

    fn apply(&mut self, kept: Kept) -> Vec<ObjectId> {
        let event_job = kept.job.event_job.clone();
        self.newer(kept).then_some(event_job).into_iter().collect()
    }

    /// A new list is complete: whatever it does not hold is gone.
    fn keep_only(&mut self, scope: Option<&str>, listed: &HashSet<ObjectId>) -> Vec<ObjectId> {
        let mut changed = Vec::new();
        for (event_job, jobs) in &mut self.by_event_job {
            if scope.is_some_and(|namespace| namespace != event_job.namespace) {
                continue;
            }
            let before = jobs.len();
            jobs.retain(|_, kept| listed.contains(&kept.job.id));
            if jobs.len() != before {
                changed.push(event_job.clone());
            }
        }
        self.by_event_job.retain(|_, jobs| !jobs.is_empty());
        changed
    }
}

/// Versions count up. Source: Kubernetes API conventions, resource versions are comparable since 1.35, and were numbers before.
fn version(job: &DeliveredJob) -> u64 {
    job.version.parse().unwrap_or(0)
}

impl Delivered {
    pub(super) async fn watch(&self, stop: impl Future<Output = ()> + Unpin) {
        let watches = self.scope.parts().into_iter().map(|scope| {
            async move {
                let scope = scope.as_deref();
                follow::jobs(&self.cluster, EVENT_JOB_LABEL, scope, |shown| match shown {
                    Shown::Event(event) => {
                        let changed = self.jobs().take(scope, event);
                        if !changed.is_empty() {
                            self.tell(changed);
                        }
                    }
                    Shown::Trouble(trouble) => self.set_trouble(scope, trouble),
                })
                .await;
            }
            .boxed()
        });
        match select(join_all(watches), stop).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }

    fn set_trouble(&self, scope: Option<&str>, trouble: Option<Trouble>) {
        let scope = scope.map(str::to_owned);
        let mut jobs = self.jobs();
        match trouble {
            Some(trouble) => jobs.troubles.insert(scope, trouble),
            None => jobs.troubles.remove(&scope),
        };
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;

    fn job(name: &str, version: u64) -> WatchedJob {
        let job = json!({
            "metadata": {
                "name": name, "namespace": "n", "uid": name, "resourceVersion": version.to_string(),
                "creationTimestamp": "2026-11-28T10:00:00Z",
                "labels": {"slipway.dev/eventjob": "invoices"},
                "annotations": {"slipway.dev/occurrence": "0"},
            },
            "spec": {},
        });
        serde_json::from_value(job).unwrap()
    }

    fn shown(jobs: &Jobs) -> Vec<String> {
        let event_job = ObjectId::new("n", "invoices");
        let mut shown: Vec<String> = jobs
            .of(&event_job)
            .map(|job| format!("{} {}", job.id.name, job.version))
            .collect();
        shown.sort_unstable();
        shown
    }

    /// Or a leader would see its claim of one Job, and not that another leader released a second one before.
    #[test]
    fn of_a_list_that_is_half_read_nothing_is_shown() {
        let mut jobs = Jobs::default();
        jobs.take(None, Event::Init);
        jobs.take(None, Event::InitApply(job("a", 1)));
        assert_eq!(shown(&jobs), Vec::<String>::new());
        assert_eq!(jobs.take(None, Event::InitDone).len(), 1);
        jobs.take(None, Event::Apply(job("b", 2)));
        assert_eq!(shown(&jobs), ["a 1", "b 2"]);

        jobs.take(None, Event::Init);
        jobs.take(None, Event::InitApply(job("a", 3)));
        assert_eq!(shown(&jobs), ["a 1", "b 2"]);
        jobs.take(None, Event::InitDone);
        assert_eq!(shown(&jobs), ["a 3"]);
    }
}
