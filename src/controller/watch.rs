//! The cluster's objects, as changes.
//!
//! One watch for each kind and namespace, each on its own: a namespace without
//! rights, or a CRD that is not there, disturbs no other. What a change means is
//! left to the loop. Secrets and ConfigMaps are not watched (their `list` is not
//! granted); `lookup` reads them again after a while.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{BoxFuture, Either, join_all, select};
use futures::{FutureExt, StreamExt};
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::mpsc;

use self::feed::{CRON_JOB, Feed, FeedHealth, Next};
use self::references::WatchedReferences;
use self::troubles::WatchTroubles;
use super::Change;
use crate::cluster::{Cluster, Scope};
use crate::resource::{Api, ObjectId};

/// Seconds after which the server ends a watch by itself; the client then knows that the connection lives.
const WATCH_SECONDS: u32 = 110;

/// Objects in a page of a list. As JSON values they take tens of kilobytes each, which is more than all that is kept of
/// them: a page of 500, client-go's, would be the most memory that a start with thousands takes.
const PAGE: u32 = 100;

mod feed;
mod references;
pub mod troubles;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// ScaledJobs of both APIs and what they refer to.
    ScaledJobs,
    /// EventJobs.
    EventJobs,
    /// CronJobs that are handed over.
    CronJobs,
}

/// Watches objects.
#[derive(Debug)]
pub struct Watch {
    kinds: Kinds,
    cluster: Cluster,
    scope: Scope,
    changes: mpsc::Sender<Change>,
    troubles: WatchTroubles,
    /// Watches of objects whose first list is not done.
    unlisted: AtomicUsize,
}

impl Watch {
    /// A watch that reports to `changes`, a channel of [`WAITING_CHANGES`](super::WAITING_CHANGES).
    pub fn new(
        kinds: Kinds,
        cluster: Cluster,
        scope: Scope,
        changes: mpsc::Sender<Change>,
        troubles: WatchTroubles,
    ) -> Self {
        let apis = match kinds {
            Kinds::ScaledJobs => 2,
            Kinds::EventJobs | Kinds::CronJobs => 1,
        };
        let unlisted = AtomicUsize::new(apis * scope.parts().len());
        Self {
            kinds,
            cluster,
            scope,
            changes,
            troubles,
            unlisted,
        }
    }

    /// Reports until told to stop, or until nobody listens.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let watches = match self.kinds {
            Kinds::ScaledJobs => {
                let mut watches = self.scaled_jobs();
                let named = self.scope.parts().into_iter().flatten();
                let look = |namespace| self.troubles.look_for(&self.cluster, namespace).boxed();
                watches.extend(named.map(look));
                watches
            }
            Kinds::EventJobs => self.event_jobs("EventJob", "eventjobs"),
            Kinds::CronJobs => self.event_jobs(CRON_JOB, "cronjobs"),
        };
        match select(join_all(watches), Box::pin(stop)).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }

    fn event_jobs(&self, kind: &'static str, plural: &'static str) -> Vec<BoxFuture<'_, ()>> {
        let feed = |scope| Feed {
            api: Api::Slipway,
            kind,
            plural,
            scope,
            scopes: self.scopes(),
        };
        let scopes = self.scope.parts().into_iter();
        scopes
            .map(|scope| self.objects(feed(scope)).boxed())
            .collect()
    }

    fn scaled_jobs(&self) -> Vec<BoxFuture<'_, ()>> {
        let mut watches = Vec::new();
        for api in [Api::Slipway, Api::Keda] {
            for scope in self.scope.parts() {
                let feed = |kind, plural, scope| Feed {
                    api,
                    kind,
                    plural,
                    scope,
                    scopes: self.scopes(),
                };
                let jobs = feed("ScaledJob", "scaledjobs", scope.clone());
                watches.push(self.objects(jobs).boxed());
                let references = feed("TriggerAuthentication", "triggerauthentications", scope);
                watches.push(self.references(references).boxed());
            }
            if self.scope == Scope::All {
                let kind = "ClusterTriggerAuthentication";
                let references = Feed {
                    api,
                    kind,
                    plural: "clustertriggerauthentications",
                    scope: None,
                    scopes: 1,
                };
                watches.push(self.references(references).boxed());
            }
        }
        watches
    }

    async fn objects(&self, feed: Feed) {
        let mut ours: HashSet<ObjectId> = HashSet::new();
        let mut listed_once = false;
        let mut health = FeedHealth::new(&self.troubles);
        loop {
            let objects: kube::Api<DynamicObject> = self.of(&feed);
            let mut events = watcher(objects, config()).default_backoff().boxed();
            let mut listed: HashSet<ObjectId> = HashSet::new();
            let mut next = Next::GoOn;
            while next == Next::GoOn
                && let Some(event) = events.next().await
            {
                let mut changes = Vec::new();
                // A list that failed is no list: what it would have shown is not known.
                let is_listed = match &event {
                    Ok(event) => matches!(event, watcher::Event::InitDone),
                    Err(error) => feed.has_none(error),
                };
                match event {
                    Ok(event) => {
                        health.works(&feed, &event);
                        feed.take(event, &mut ours, &mut listed, &mut changes);
                    }
                    Err(error) => next = health.fails(&feed, &error),
                }
                if next != Next::GoOn {
                    changes.extend(ours.drain().map(|id| feed.removed(id)));
                }
                if is_listed && !std::mem::replace(&mut listed_once, true) {
                    changes.push(Change::Listed(feed.scope.clone()));
                    if self.was_last() {
                        changes.push(Change::Synced);
                    }
                }
                for change in changes {
                    if self.changes.send(change).await.is_err() {
                        return;
                    }
                }
            }
            rest(next).await;
        }
    }

    async fn references(&self, feed: Feed) {
        let mut references = WatchedReferences::default();
        let mut health = FeedHealth::new(&self.troubles);
        loop {
            let objects: kube::Api<PartialObjectMeta<DynamicObject>> = self.of(&feed);
            let mut events = watcher(objects, config()).default_backoff().boxed();
            let mut next = Next::GoOn;
            while next == Next::GoOn
                && let Some(event) = events.next().await
            {
                match event {
                    Ok(event) => {
                        health.works(&feed, &event);
                        for namespace in references.take(event) {
                            let change = Change::ReferencesChanged(namespace);
                            if self.changes.send(change).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => next = health.fails(&feed, &error),
                }
            }
            rest(next).await;
        }
    }

    fn of<K>(&self, feed: &Feed) -> kube::Api<K>
    where
        K: kube::Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let client = self.cluster.client().clone();
        match &feed.scope {
            None => kube::Api::all_with(client, &feed.resource()),
            Some(namespace) => kube::Api::namespaced_with(client, namespace, &feed.resource()),
        }
    }

    fn scopes(&self) -> u32 {
        u32::try_from(self.scope.parts().len()).unwrap_or(u32::MAX)
    }

    fn was_last(&self) -> bool {
        self.unlisted.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

fn config() -> watcher::Config {
    watcher::Config::default()
        .timeout(WATCH_SECONDS)
        .page_size(PAGE)
}

async fn rest(next: Next) {
    if let Next::LookLater(pause) = next {
        tokio::time::sleep(pause).await;
    }
}
