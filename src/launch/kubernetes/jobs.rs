//! Which Jobs there are: the watches that feed the cache, and the count.
//!
//! The first list of a watch is a consistent read that began after this process
//! did, so the first count is one too. Afterwards the watch may lag, or be
//! replaced by a list that lags behind our own creates: every name we reserved
//! counts until the watch shows it (`outstanding`). A lag can only make the count
//! too high, never too low.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use futures::future::{Either, join_all, select};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt, watcher};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::cache::{Cache, WatchedJob, state_of};
use super::outstanding::{Noticed, Reserved};
use super::{Kubernetes, jobs_path, label_of, names, unavailable, unreadable};
use crate::cluster::Call;
use crate::launch::{
    Error, JobState, KEDA_SCALED_JOB_LABEL, OCCURRENCE_ANNOTATION, PodState, ROUND_ANNOTATION,
    SCALED_JOB_LABEL,
};
use crate::resource::{Api, ObjectId, ScaledJob};

/// Seconds after which the server ends a watch by itself; the client then knows that the connection lives.
const WATCH_SECONDS: u32 = 110;
/// Objects in one page of a list.
const PAGE: &str = "500";

impl Kubernetes {
    /// Keeps the cache up to date until told to stop. Nothing is counted before it runs.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let watches = self.scope.parts().into_iter().flat_map(|scope| {
            [
                self.watch(SCALED_JOB_LABEL, scope.clone()).boxed(),
                self.watch_in_place(scope).boxed(),
            ]
        });
        let watches = join_all(watches);
        match select(Box::pin(watches), Box::pin(stop)).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }

    async fn watch_in_place(&self, scope: Option<String>) {
        let mut wanted = self.in_place.subscribe();
        if wanted.wait_for(|wanted| *wanted).await.is_ok() {
            self.watch(KEDA_SCALED_JOB_LABEL, scope).await;
        }
    }

    async fn watch(&self, label: &'static str, scope: Option<String>) {
        let resource = ApiResource::erase::<Job>(&());
        let client = self.cluster.client().clone();
        let jobs: kube::Api<WatchedJob> = match &scope {
            None => kube::Api::all_with(client, &resource),
            Some(namespace) => kube::Api::namespaced_with(client, namespace, &resource),
        };
        let config = watcher::Config::default()
            .labels(label)
            .timeout(WATCH_SECONDS);
        let mut events = watcher(jobs, config).default_backoff().boxed();
        let place = scope.as_deref().unwrap_or("all namespaces");
        let mut failing = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // `Init` comes before the list that may fail.
                    let works = !matches!(event, watcher::Event::Init);
                    if works && std::mem::take(&mut failing) {
                        info!(label, "jobs in {place} can be watched again");
                    }
                    self.take(label, scope.as_deref(), event);
                }
                Err(error) => {
                    // Once per change of state; the watcher goes on, with a back-off.
                    if !std::mem::replace(&mut failing, true) {
                        warn!(
                            label,
                            error = &error as &dyn std::error::Error,
                            "cannot list or watch jobs (batch) in {place}; trying again"
                        );
                    }
                }
            }
        }
    }

    fn take(&self, label: &'static str, scope: Option<&str>, event: watcher::Event<WatchedJob>) {
        let mut known = self.known();
        let cache = known.cache_mut(label);
        let seen = match event {
            watcher::Event::Init => {
                cache.list_began(scope);
                return;
            }
            watcher::Event::InitApply(job) => {
                cache.listed(scope, job);
                return;
            }
            watcher::Event::InitDone => cache.list_ended(scope),
            watcher::Event::Apply(job) => cache.applied(job),
            watcher::Event::Delete(job) => cache.deleted(&job),
        };
        for job in &seen.jobs {
            known.outstanding.seen(job);
        }
        drop(known);
        self.tell(seen);
    }

    /// Every Job of the object, and every reserved name that may have one.
    pub(super) async fn count(&self, scaled_job: &ScaledJob) -> Result<Vec<JobState>, Error> {
        let object = format!("jobs of {}", scaled_job.id);
        if scaled_job.api == Api::Keda {
            self.in_place
                .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        }
        if self.is_list_due(scaled_job, &object)? {
            // Names stay counted when the list fails: that is no reason to stop.
            if let Err(error) = self.settle(scaled_job, &object).await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot tell yet which jobs of the last rounds exist"
                );
            }
        }
        let mut jobs = self.union(scaled_job);
        let pods_matter = scaled_job.policy.strategy.counts_pending()
            && jobs.iter().any(|job| job.outcome.is_none());
        if pods_matter {
            let mut pods = self.pods(scaled_job, &object).await?;
            for job in &mut jobs {
                if job.outcome.is_none() {
                    job.pods = pods.remove(&job.name).unwrap_or_default();
                }
            }
        }
        Ok(jobs)
    }

    /// Takes note of rounds that others opened; tells whether a consistent list is needed now.
    fn is_list_due(&self, scaled_job: &ScaledJob, object: &str) -> Result<bool, Error> {
        let label = label_of(scaled_job.api);
        let id = &scaled_job.id;
        let mut known = self.known();
        if !known.cache(label).is_synced(&id.namespace) {
            return Err(Error::Unavailable {
                object: object.to_owned(),
                detail: "the first list is not complete yet".to_owned(),
            });
        }
        let number = scaled_job.round.map_or(0, |round| round.number);
        let noticed = known.outstanding.notice(&scaled_job.uid, number);
        let now = Instant::now();
        if let (Noticed::First | Noticed::Foreign, Some(round)) = (noticed, scaled_job.round) {
            let names: Vec<_> = names::reserved_names(scaled_job, round)
                .into_iter()
                .filter(|(name, _)| {
                    let job = ObjectId::new(&id.namespace, name);
                    !known.cache(label).contains(&job)
                })
                .collect();
            known
                .outstanding
                .reserve(&scaled_job.uid, &id.namespace, number, names, now);
        }
        let due = known.outstanding.is_list_due(&scaled_job.uid, now);
        Ok(noticed == Noticed::Foreign || due)
    }

    /// One consistent list of the object's Jobs, held against the open names.
    async fn settle(&self, scaled_job: &ScaledJob, object: &str) -> Result<(), Error> {
        let namespace = &scaled_job.id.namespace;
        let asked_at = Instant::now();
        let jobs: Vec<WatchedJob> = self.list(&jobs_path(namespace), scaled_job, object).await?;
        let unfinished: Vec<JobState> = jobs
            .into_iter()
            .map(state_of)
            .filter(|job| job.outcome.is_none())
            .collect();
        let names: BTreeSet<String> = unfinished.iter().map(|job| job.name.clone()).collect();
        let mut known = self.known();
        known
            .outstanding
            .settle(&scaled_job.uid, namespace, &names, asked_at);
        // Jobs of rounds before a foreign one, which the watch does not show yet.
        let label = label_of(scaled_job.api);
        let unseen: Vec<_> = unfinished
            .into_iter()
            .filter(|job| {
                !known
                    .cache(label)
                    .contains(&ObjectId::new(namespace, &job.name))
            })
            .map(|job| {
                let occurrence = job.annotations.get(OCCURRENCE_ANNOTATION);
                (job.name, occurrence.cloned().unwrap_or_default())
            })
            .collect();
        let round = scaled_job.round.map_or(0, |round| round.number);
        known
            .outstanding
            .reserve(&scaled_job.uid, namespace, round, unseen, asked_at);
        Ok(())
    }

    fn union(&self, scaled_job: &ScaledJob) -> Vec<JobState> {
        let label = label_of(scaled_job.api);
        let value = names::label_value(&scaled_job.id.name);
        let known = self.known();
        let mut jobs: Vec<JobState> = known
            .cache(label)
            .of(&scaled_job.id.namespace, &value)
            .cloned()
            .collect();
        let open = known.outstanding.of(&scaled_job.uid);
        jobs.extend(open.map(|(name, reserved)| unseen(scaled_job, name, reserved)));
        jobs
    }

    /// Pods of the object by the name of their Job.
    async fn pods(
        &self,
        scaled_job: &ScaledJob,
        object: &str,
    ) -> Result<HashMap<String, Vec<PodState>>, Error> {
        let path = format!("/api/v1/namespaces/{}/pods", scaled_job.id.namespace);
        let pods: Vec<Pod> = self.list(&path, scaled_job, object).await?;
        let mut by_job: HashMap<String, Vec<PodState>> = HashMap::new();
        for pod in pods {
            let labels = &pod.metadata.labels;
            let job = labels
                .get("batch.kubernetes.io/job-name")
                .or_else(|| labels.get("job-name"));
            if let Some(job) = job {
                by_job
                    .entry(job.clone())
                    .or_default()
                    .push(pod.status.into());
            }
        }
        Ok(by_job)
    }

    /// A consistent list of everything with the object's label, page by page.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        scaled_job: &ScaledJob,
        object: &str,
    ) -> Result<Vec<T>, Error> {
        let value = names::label_value(&scaled_job.id.name);
        let selector = format!("{}={value}", label_of(scaled_job.api));
        let mut items = Vec::new();
        let mut next = None;
        loop {
            let mut call = Call::get(path)
                .query("labelSelector", selector.clone())
                .query("limit", PAGE);
            if let Some(token) = next {
                call = call.query("continue", token);
            }
            let answer = self
                .cluster
                .send(call)
                .await
                .map_err(|error| unavailable(object, &error))?;
            if !answer.is_success() {
                return Err(unreadable(object, &answer));
            }
            let page: Page<T> = answer.json().map_err(|error| unavailable(object, &error))?;
            items.extend(page.items);
            next = page.metadata.next.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(items);
            }
        }
    }
}

impl super::Known {
    fn cache(&self, label: &str) -> &Cache {
        if label == self.keda.label {
            return &self.keda;
        }
        &self.slipway
    }

    fn cache_mut(&mut self, label: &str) -> &mut Cache {
        if label == self.keda.label {
            return &mut self.keda;
        }
        &mut self.slipway
    }
}

/// A reserved name as the unfinished Job it may be.
fn unseen(scaled_job: &ScaledJob, name: &str, reserved: &Reserved) -> JobState {
    JobState {
        name: name.to_owned(),
        uid: None,
        owner_uid: Some(scaled_job.uid.clone()),
        annotations: BTreeMap::from([
            (
                OCCURRENCE_ANNOTATION.to_owned(),
                reserved.occurrence.clone(),
            ),
            (ROUND_ANNOTATION.to_owned(), reserved.round.to_string()),
        ]),
        outcome: None,
        created_at: None,
        finished_at: None,
        pods: Vec::new(),
    }
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: PodMetadata,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
struct PodMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    conditions: Vec<PodCondition>,
}

#[derive(Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl From<PodStatus> for PodState {
    fn from(status: PodStatus) -> Self {
        let holds = |condition: &PodCondition| condition.status == "True";
        Self {
            phase: status.phase,
            true_conditions: status
                .conditions
                .into_iter()
                .filter(holds)
                .map(|condition| condition.kind)
                .collect(),
        }
    }
}
