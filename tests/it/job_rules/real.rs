//! The real side: what the API server shows of Jobs and Pods, and a hand that plays the kubelet.

use futures::{StreamExt as _, future};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::cluster::Cluster;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub(super) struct Real {
    namespace: String,
    jobs: Api<Job>,
    pods: Api<Pod>,
    shown_jobs: Store<Job>,
    shown_pods: Store<Pod>,
    _watches: JoinSet<()>,
}

/// What the API server shows of one Job.
pub(super) struct Shown {
    job: Option<Value>,
    pods: Vec<Value>,
}

impl Real {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let jobs: Api<Job> = cluster.job_api();
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let mut watches = JoinSet::new();
        let (shown_jobs, writer) = reflector::store();
        let stream = watcher(jobs.clone(), watcher::Config::default())
            .default_backoff()
            .reflect(writer);
        watches.spawn(stream.for_each(|_| future::ready(())));
        let (shown_pods, writer) = reflector::store();
        let stream = watcher(pods.clone(), watcher::Config::default())
            .default_backoff()
            .reflect(writer);
        watches.spawn(stream.for_each(|_| future::ready(())));
        Self {
            namespace: cluster.namespace.clone(),
            jobs,
            pods,
            shown_jobs,
            shown_pods,
            _watches: watches,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) async fn create(&self, job: &Value) {
        let object: Job = serde_json::from_value(job.clone()).unwrap();
        let created = self.jobs.create(&PostParams::default(), &object).await;
        created.unwrap_or_else(|error| panic!("{job:#}: {error}"));
    }

    pub(super) async fn change(&self, job: &str, patch: &Value) {
        let patch = Patch::Merge(json!({"spec": patch}));
        let changed = self.jobs.patch(job, &PatchParams::default(), &patch).await;
        changed.unwrap_or_else(|error| panic!("{job}: {patch:?}: {error}"));
    }

    /// Plays the kubelet. An error if the Pod is not there: then somebody has deleted another one than we would.
    pub(super) async fn tell(&self, pod: &str, status: &Value) -> Result<(), String> {
        let patch = Patch::Merge(json!({"status": status}));
        let told = self
            .pods
            .patch_status(pod, &PatchParams::default(), &patch)
            .await;
        told.map(drop)
            .map_err(|error| format!("{pod}: {status}: {error}"))
    }

    /// The kubelet has ended a deleted Pod.
    pub(super) async fn end(&self, pod: &str) {
        let now = DeleteParams::default().grace_period(0);
        self.pods.delete(pod, &now).await.unwrap();
    }

    pub(super) fn look(&self, name: &str) -> Shown {
        let id = reflector::ObjectRef::new(name).within(&self.namespace);
        let job = self.shown_jobs.get(&id);
        let is_of = |pod: &Pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.is_some_and(|labels| labels.get("job-name").map(String::as_str) == Some(name))
        };
        let pods = self.shown_pods.state();
        Shown {
            job: job.map(|job| serde_json::to_value(&*job).unwrap()),
            pods: pods
                .iter()
                .filter(|pod| is_of(pod))
                .map(|pod| serde_json::to_value(&**pod).unwrap())
                .collect(),
        }
    }
}

impl Shown {
    /// Name and index of each Pod that has not ended and was not told to.
    pub(super) fn active(&self) -> Vec<(String, Option<u32>)> {
        let active = self.pods.iter().filter(|pod| is_live(pod, false));
        active
            .map(|pod| {
                let name = pod["metadata"]["name"].as_str().unwrap();
                (name.to_owned(), index(pod))
            })
            .collect()
    }

    /// When a Pod was made, and when its last container ended; by the servers' clock, in whole seconds.
    pub(super) fn times(&self, name: &str) -> (Timestamp, Option<Timestamp>) {
        let is_it = |pod: &&Value| pod["metadata"]["name"] == name;
        let pod = self.pods.iter().find(is_it).unwrap();
        let time = |value: &Value| value.as_str().map(|text| text.parse().unwrap());
        let state = &pod["status"]["containerStatuses"][0]["state"];
        let made = time(&pod["metadata"]["creationTimestamp"]).unwrap();
        (made, time(&state["terminated"]["finishedAt"]))
    }

    pub(super) fn told(&self) -> Value {
        let status = self.job.as_ref().map(|job| job["status"].clone());
        let indexes = |is_deleted| {
            let pods = self.pods.iter().filter(|pod| is_live(pod, is_deleted));
            let mut indexes: Vec<_> = pods.map(index).collect();
            indexes.sort_unstable();
            indexes
        };
        comparable(&status.unwrap_or_default(), &indexes(false), &indexes(true))
    }
}

fn is_live(pod: &Value, is_deleted: bool) -> bool {
    let has_ended = matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    !has_ended && pod["metadata"]["deletionTimestamp"].is_string() == is_deleted
}

fn index(pod: &Value) -> Option<u32> {
    let index = pod["metadata"]["annotations"][INDEX].as_str();
    index.map(|index| index.parse().unwrap())
}

/// A status without its times, with the indexes of active and terminating Pods.
pub(super) fn comparable(
    status: &Value,
    active: &[Option<u32>],
    terminating: &[Option<u32>],
) -> Value {
    let number = |key: &str| status[key].as_u64().unwrap_or(0);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let conditions: Vec<Value> = conditions
        .map(|one| json!([one["type"], one["status"], one["reason"], one["message"]]))
        .collect();
    json!({
        "active": number("active"),
        "ready": number("ready"),
        "terminating": number("terminating"),
        "succeeded": number("succeeded"),
        "failed": number("failed"),
        "completedIndexes": status["completedIndexes"].as_str().unwrap_or(""),
        "failedIndexes": status["failedIndexes"],
        "started": status["startTime"].is_string(),
        "completed": status["completionTime"].is_string(),
        "conditions": conditions,
        "activePods": active,
        "terminatingPods": terminating,
    })
}
