//! One kind of object in one namespace, or in all: what its events mean, and
//! whether it can be watched.

use std::collections::HashSet;
use std::time::Duration;

use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Status, TypeMeta};
use kube::runtime::watcher;
use tracing::{info, warn};

use super::troubles::WatchTroubles;
use crate::controller::Change;
use crate::resource::scaled_job::MANAGED_ANNOTATION;
use crate::resource::{Api, ObjectId};

/// Kubernetes' own kind, of which some are handed over.
pub(super) const CRON_JOB: &str = "CronJob";

/// Together, these annotations hand an object of KEDA's over to us.
const IN_PLACE: [&str; 2] = ["autoscaling.keda.sh/paused", "slipway.dev/managed"];

/// Where `kubectl apply` keeps the object as it was applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is watched.
pub(super) struct Feed {
    pub(super) api: Api,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    /// The namespace; `None` for all, and for cluster-scoped kinds.
    pub(super) scope: Option<String>,
    /// Namespaces that are watched, each with a feed of its own; 1 for all.
    pub(super) scopes: u32,
}

impl Feed {
    fn group(&self) -> &'static str {
        match self.api {
            Api::Slipway if self.kind == CRON_JOB => "batch",
            Api::Slipway => "slipway.dev",
            Api::Keda => "keda.sh",
        }
    }

    pub(super) fn resource(&self) -> ApiResource {
        let version = match self.kind {
            CRON_JOB => "v1",
            _ => "v1alpha1",
        };
        let kind = GroupVersionKind::gvk(self.group(), version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }

    pub(super) fn take(
        &self,
        event: watcher::Event<DynamicObject>,
        ours: &mut HashSet<ObjectId>,
        listed: &mut HashSet<ObjectId>,
        changes: &mut Vec<Change>,
    ) {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => {
                listed.insert(id_of(&object.metadata));
                self.applied(object, ours, changes);
            }
            watcher::Event::InitDone => {
                let gone = ours.extract_if(|id| !listed.contains(id));
                changes.extend(gone.map(|id| self.removed(id)));
                *listed = HashSet::new();
            }
            watcher::Event::Apply(object) => self.applied(object, ours, changes),
            watcher::Event::Delete(object) => {
                let id = id_of(&object.metadata);
                if ours.remove(&id) {
                    changes.push(self.removed(id));
                }
            }
        }
    }

    fn applied(
        &self,
        mut object: DynamicObject,
        ours: &mut HashSet<ObjectId>,
        changes: &mut Vec<Change>,
    ) {
        let id = id_of(&object.metadata);
        if object.metadata.deletion_timestamp.is_some() && self.is_ours(&object) {
            ours.insert(id.clone());
            changes.push(Change::Deleting { id, api: self.api });
        } else if self.is_ours(&object) {
            // What only kubectl reads, the whole object once more, is not kept.
            object.metadata.managed_fields = None;
            if let Some(annotations) = &mut object.metadata.annotations {
                annotations.remove(LAST_APPLIED);
            }
            // A list's items carry no type of their own.
            let resource = self.resource();
            object.types = Some(TypeMeta {
                api_version: resource.api_version,
                kind: resource.kind,
            });
            let value = serde_json::to_value(object).expect("what came as JSON goes as JSON");
            ours.insert(id);
            changes.push(Change::Applied(value));
        } else if ours.remove(&id) {
            changes.push(self.removed(id));
        }
    }

    fn is_ours(&self, object: &DynamicObject) -> bool {
        let says_true = |annotation: &str| {
            let annotations = object.metadata.annotations.as_ref();
            annotations
                .and_then(|map| map.get(annotation))
                .is_some_and(|value| value == "true")
        };
        match self.api {
            Api::Slipway if self.kind == CRON_JOB => {
                says_true(MANAGED_ANNOTATION) && object.data["spec"]["suspend"] == true
            }
            Api::Slipway => true,
            Api::Keda => IN_PLACE.into_iter().all(says_true),
        }
    }

    pub(super) fn removed(&self, id: ObjectId) -> Change {
        Change::Removed { id, api: self.api }
    }

    /// Whether the error means that there are no objects here for us: who wants nothing of KEDA's need not have
    /// its CRDs, nor grant anything on them.
    pub(super) fn has_none(&self, error: &watcher::Error) -> bool {
        self.api == Api::Keda && (is_not_found(error) || is_forbidden(error))
    }

    /// A CRD of ours is about to be applied. One of KEDA's may never be, and each namespace looks for itself.
    fn next_look(&self) -> Duration {
        match self.api {
            Api::Slipway => Duration::from_secs(15),
            Api::Keda => (Duration::from_secs(10) * self.scopes).min(Duration::from_mins(3)),
        }
    }

    fn place(&self) -> &str {
        self.scope.as_deref().unwrap_or("all namespaces")
    }
}

/// Whether a watch works: said once per change.
pub(super) struct FeedHealth<'a> {
    failing: bool,
    absent: bool,
    troubles: &'a WatchTroubles,
}

/// What to do after an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the watcher goes on by itself, with a back-off.
    GoOn,
    /// Begin anew after a while: the kind does not exist here.
    LookLater(Duration),
}

impl<'a> FeedHealth<'a> {
    /// One that has not been looked at.
    pub(super) fn new(troubles: &'a WatchTroubles) -> Self {
        Self {
            failing: false,
            absent: false,
            troubles,
        }
    }

    fn tell(&self, feed: &Feed, why: Option<&'static str>) {
        let resource = format!("{}.{}", feed.plural, feed.group());
        let namespace = feed.scope.as_deref().unwrap_or_default();
        self.troubles.set(&resource, namespace, why);
    }

    /// An event came. `Init` is none: it comes before the list that may fail.
    pub(super) fn works<K>(&mut self, feed: &Feed, event: &watcher::Event<K>) {
        if matches!(event, watcher::Event::Init) {
            return;
        }
        if self.absent || self.failing {
            self.tell(feed, None);
        }
        self.absent = false;
        if std::mem::take(&mut self.failing) {
            let (resource, group, place) = (feed.plural, feed.group(), feed.place());
            info!("{resource}.{group} in {place} can be watched again");
        }
    }

    pub(super) fn fails(&mut self, feed: &Feed, error: &watcher::Error) -> Next {
        let (resource, group, place) = (feed.plural, feed.group(), feed.place());
        if is_not_found(error) {
            let was_absent = std::mem::replace(&mut self.absent, true);
            // Without KEDA there are no objects of KEDA's: nothing to tell.
            if feed.api == Api::Slipway && !was_absent {
                self.tell(feed, Some("the CustomResourceDefinition is missing"));
                warn!("no {resource}.{group} in this cluster: apply the output of `slipway crd`");
            }
            return Next::LookLater(feed.next_look());
        }
        let was_failing = std::mem::replace(&mut self.failing, true);
        if feed.api == Api::Keda && is_forbidden(error) {
            if !was_failing {
                info!(
                    "no rights on {resource}.{group} in {place}: none of KEDA's are managed in place"
                );
            }
            return Next::GoOn;
        }
        if !was_failing {
            let why = if is_forbidden(error) {
                "no right to list and watch"
            } else {
                "cannot be listed or watched"
            };
            self.tell(feed, Some(why));
            if let Some(status) = refusal(error) {
                warn!(
                    "cannot list or watch {resource}.{group} in {place}; trying again: {}",
                    status.message
                );
            } else {
                warn!(
                    error = error as &dyn std::error::Error,
                    "cannot list or watch {resource}.{group} in {place}; trying again"
                );
            }
        }
        Next::GoOn
    }
}

fn is_not_found(error: &watcher::Error) -> bool {
    code(error) == Some(404)
}

fn is_forbidden(error: &watcher::Error) -> bool {
    code(error) == Some(403)
}

fn code(error: &watcher::Error) -> Option<u16> {
    refusal(error).map(|status| status.code)
}

/// What the API server said; its own words, without a Rust form of them.
fn refusal(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

pub(super) fn id_of(metadata: &ObjectMeta) -> ObjectId {
    ObjectId::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}
