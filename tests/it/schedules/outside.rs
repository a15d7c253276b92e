//! Every Job of a namespace that there ever was, as a watch of our own shows every change, without a proxy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::api::Api;
use kube::runtime::watcher;

use super::QUEUED;
use crate::support::cluster::is_finished;

/// What the watch has shown so far.
#[derive(Clone, Default)]
pub(super) struct Outside(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// By UID.
    jobs: BTreeMap<String, SeenJob>,
    most: usize,
}

/// A Job as it was shown last.
#[derive(Clone)]
pub(super) struct SeenJob {
    pub(super) job: Job,
    pub(super) is_there: bool,
    pub(super) first_seen: Instant,
}

impl SeenJob {
    pub(super) fn name(&self) -> &str {
        self.job.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.job.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The hash of what it was made for.
    pub(super) fn occurrence(&self) -> &str {
        let annotations = self.job.metadata.annotations.as_ref();
        annotations.map_or("", |annotations| {
            annotations["slipway.dev/occurrence"].as_str()
        })
    }

    pub(super) fn is_of(&self, label: &str, object: &str) -> bool {
        let labels = self.job.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(label).map(String::as_str)) == Some(object)
    }

    pub(super) fn is_unfinished(&self) -> bool {
        self.is_there && !is_finished(&self.job)
    }

    fn is_counted(&self) -> bool {
        self.is_unfinished() && self.is_of("slipway.dev/scaledjob", QUEUED)
    }
}

impl Outside {
    /// Watches until it is dropped. Each change is looked at, in the server's order.
    pub(super) async fn watch(self, jobs: Api<Job>) {
        let mut shown = watcher(jobs, watcher::Config::default()).boxed();
        while let Some(event) = shown.next().await {
            match event {
                Ok(watcher::Event::Apply(job) | watcher::Event::InitApply(job)) => {
                    self.see(job, true);
                }
                Ok(watcher::Event::Delete(job)) => self.see(job, false),
                Ok(watcher::Event::Init) => self.begin_again(),
                // It tries again by itself.
                Ok(watcher::Event::InitDone) | Err(_) => {}
            }
        }
    }

    /// Every Job that is there is about to be shown.
    fn begin_again(&self) {
        let mut seen = self.0.lock().unwrap();
        seen.jobs.values_mut().for_each(|job| job.is_there = false);
    }

    fn see(&self, job: Job, is_there: bool) {
        let mut seen = self.0.lock().unwrap();
        let uid = job.metadata.uid.clone().unwrap();
        let known = seen.jobs.entry(uid).or_insert_with(|| SeenJob {
            job: job.clone(),
            is_there,
            first_seen: Instant::now(),
        });
        (known.job, known.is_there) = (job, is_there);
        let now = seen.jobs.values().filter(|job| job.is_counted()).count();
        seen.most = seen.most.max(now);
    }

    /// Every Job there ever was.
    pub(super) fn jobs(&self) -> Vec<SeenJob> {
        self.0.lock().unwrap().jobs.values().cloned().collect()
    }

    /// The most unfinished Jobs of the ScaledJob at any one time.
    pub(super) fn most(&self) -> usize {
        self.0.lock().unwrap().most
    }
}
