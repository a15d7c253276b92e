//! The Jobs of EventJobs as they were last seen: by a watch, a list, or the answer to a change.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{Either, join_all, select};
use k8s_openapi::api::batch::v1::Job;
use kube::core::ApiResource;

use super::super::follow::{self, Shown};
use super::super::informer::Informer;
use super::Delivered;
use super::wire::{KeptJob, WatchedJob, kept};
use crate::launch::Error;
use crate::launch::delivered::Owners;
use crate::launch::news::News;
use crate::launch::ports::DeliveredJob;
use crate::resource::ObjectId;

/// Jobs by EventJob.
#[derive(Debug, Default)]
pub(super) struct JobsOfEvents {
    owners: Owners,
    informer: Informer<KeptJob>,
    /// Who is told of new ones.
    pub(super) news: News,
}

impl JobsOfEvents {
    /// None yet.
    pub(super) fn new(owners: Owners) -> Self {
        Self {
            owners,
            ..Self::default()
        }
    }

    /// Whether all Jobs of an EventJob's namespace have been seen.
    pub(super) fn check_synced(&self, event_job: &ObjectId) -> Result<(), Error> {
        let what = format!("jobs of EventJob {event_job}");
        self.informer.check_synced(&event_job.namespace, &what)
    }

    /// Whether it is known how a part of the scope is: all of its Jobs have been seen, or cannot be.
    fn is_settled(&self, part: Option<&str>) -> bool {
        self.informer.is_settled(part.unwrap_or_default())
    }

    /// The Jobs of an EventJob.
    pub(super) fn of(&self, event_job: &ObjectId) -> impl Iterator<Item = &Arc<DeliveredJob>> {
        self.informer.of(event_job).map(|kept| &kept.job)
    }

    /// The hash of the event that a Job was made for.
    pub(super) fn payload(&self, event_job: &ObjectId, name: &str) -> Option<&str> {
        let kept = self.informer.get(event_job, name)?;
        Some(kept.payload.as_str())
    }

    /// Takes what a watch shows; the EventJobs of which something changed. What a list holds is shown when it is complete, all
    /// at once: a Job never shows what happened to it before an older change of another does. `launch::admission` relies on it.
    fn take(&mut self, scope: Option<&str>, shown: Shown<WatchedJob>) -> Vec<ObjectId> {
        let Self {
            informer,
            news,
            owners,
        } = self;
        let owners = *owners;
        let mut changed = Vec::new();
        informer.take(
            scope,
            shown,
            |job| kept(&job, owners),
            |(before, now)| {
                if let (None, Some(now)) = (before, now) {
                    news.tell(&now.job.event_job);
                }
                changed.extend(now.or(before).map(|kept| kept.job.event_job.clone()));
            },
        );
        changed
    }
}

impl Delivered {
    /// Whether the Jobs that there were at the start have been seen, but for those that cannot be.
    pub fn is_settled(&self) -> bool {
        let jobs = self.jobs();
        let parts = self.scope.parts();
        parts.iter().all(|part| jobs.is_settled(part.as_deref()))
    }

    pub(super) async fn watch(&self, stop: impl Future<Output = ()> + Unpin) {
        let watches = self.scope.parts().into_iter().map(|scope| {
            async move {
                let scope = scope.as_deref();
                let jobs = ApiResource::erase::<Job>(&());
                follow::objects(&self.cluster, &jobs, self.owners.label(), scope, |shown| {
                    let changed = self.jobs().take(scope, shown);
                    if !changed.is_empty() {
                        self.tell(changed);
                    }
                })
                .await;
            }
            .boxed()
        });
        match select(join_all(watches), stop).await {
            Either::Left(_) | Either::Right(_) => {}
        }
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

    fn take(jobs: &mut JobsOfEvents, event: Event<WatchedJob>) -> usize {
        jobs.take(None, Shown::Event(event)).len()
    }

    fn shown(jobs: &JobsOfEvents) -> Vec<String> {
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
        let mut jobs = JobsOfEvents::default();
        take(&mut jobs, Event::Init);
        take(&mut jobs, Event::InitApply(job("a", 1)));
        assert_eq!(shown(&jobs), Vec::<String>::new());
        assert_eq!(take(&mut jobs, Event::InitDone), 1);
        take(&mut jobs, Event::Apply(job("b", 2)));
        assert_eq!(shown(&jobs), ["a 1", "b 2"]);

        take(&mut jobs, Event::Init);
        take(&mut jobs, Event::InitApply(job("a", 3)));
        assert_eq!(shown(&jobs), ["a 1", "b 2"]);
        take(&mut jobs, Event::InitDone);
        assert_eq!(shown(&jobs), ["a 3"]);
    }
}
