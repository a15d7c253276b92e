//! Which Jobs there are: the watches that feed the cache, and the count.
//!
//! The first count of an object that had rounds before this process knew it is
//! held against a consistent list. Afterwards the watch may lag: every name of a
//! round counts until the watch shows it (`expectations`), and a Job that the
//! watch has shown counts until it shows its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::{Either, join_all, select};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::ApiResource;
use tracing::warn;

use super::counted::{self, CountedJob, JobShape, counted, state_of};
use super::expectations::AllExpectations;
use super::follow::{self, Shown};
use super::{
    Informers, Known, Kubernetes, WatchedKind, job_path, jobs_path, label_of, names, unavailable,
    unreadable,
};
use crate::cluster::{Budget, Call};
use crate::launch::round::{ExpectedJob, ListNeed, ListedJobs, expects_names};
use crate::launch::{Error, JobState, OCCURRENCE_ANNOTATION, ROUND_ANNOTATION};
use crate::resource::{Api, ObjectId, RoundRecord, ScaledJob};

/// A count waits this long for the first list: objects are often read before it is complete.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// Jobs read by name at once, for one object: few, because it happens only where somebody takes our labels off.
const READS_AT_ONCE: usize = 4;

impl Kubernetes {
    /// Keeps the caches up to date until told to stop. Nothing is counted before it runs.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let watches = self.scope.parts().into_iter().flat_map(|scope| {
            [Api::Slipway, Api::Keda].into_iter().flat_map(move |api| {
                [
                    self.watch_jobs(api, scope.clone()).boxed(),
                    self.watch_pods(api, scope.clone()).boxed(),
                ]
            })
        });
        let watches = join_all(watches);
        match select(Box::pin(watches), Box::pin(stop)).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }

    async fn watch_jobs(&self, api: Api, scope: Option<String>) {
        self.until_wanted(api, WatchedKind::Jobs).await;
        let (label, scope) = (label_of(api), scope.as_deref());
        let jobs = ApiResource::erase::<Job>(&());
        follow::objects(&self.cluster, &jobs, label, scope, |shown| {
            self.take_jobs(api, scope, shown);
        })
        .await;
    }

    async fn watch_pods(&self, api: Api, scope: Option<String>) {
        self.until_wanted(api, WatchedKind::Pods).await;
        let (label, scope) = (label_of(api), scope.as_deref());
        let pods = ApiResource::erase::<Pod>(&());
        follow::objects(&self.cluster, &pods, label, scope, |shown| {
            let mut known = self.known();
            let informer = &mut informers(&mut known, api).0.pods;
            if informer.take(scope, shown, counted::pod, |_| {}) {
                drop(known);
                self.listed.send_replace(());
            }
        })
        .await;
    }

    async fn until_wanted(&self, api: Api, kind: WatchedKind) {
        let mut wanted = self.wanted.subscribe();
        // The sender lives as long as this future.
        drop(
            wanted
                .wait_for(|wanted| wanted.contains(&(api, kind)))
                .await,
        );
    }

    fn want(&self, api: Api, kind: WatchedKind) {
        self.wanted
            .send_if_modified(|wanted| wanted.insert((api, kind)));
    }

    fn take_jobs(&self, api: Api, scope: Option<&str>, shown: Shown<JobShape>) {
        let label = label_of(api);
        let mut ended = BTreeSet::new();
        let mut known = self.known();
        let (informers, expected) = informers(&mut known, api);
        let keep = |job| Some(counted(job, label));
        let is_list = informers.jobs.take(scope, shown, keep, |(before, now)| {
            let Some(job) = now.or(before) else {
                return;
            };
            let owner = job.state.owner_uid.as_ref();
            if let Some(expectations) = owner.and_then(|uid| expected.known(uid)) {
                expectations.seen(&job.state.name);
            }
            let is_unfinished = |job: &CountedJob| job.state.outcome.is_none();
            if before.is_none_or(is_unfinished) && !now.is_some_and(is_unfinished) {
                ended.insert(job.scaled_job.clone());
            }
        });
        drop(known);
        if is_list {
            self.listed.send_replace(());
        }
        self.tell(ended);
    }

    /// Shows each Job of a ScaledJob as the watch has it. False before the watch has shown any. For people: who counts
    /// Jobs asks [`Launcher::jobs`](crate::launch::Launcher::jobs).
    pub fn each_seen(
        &self,
        api: Api,
        scaled_job: &ObjectId,
        see: &mut dyn FnMut(&JobState),
    ) -> bool {
        let known = self.known();
        let jobs = &known.of(api).jobs;
        let is_seen = jobs.is_synced(&scaled_job.namespace);
        if is_seen {
            jobs.of(scaled_job).for_each(|job| see(&job.state));
        }
        is_seen
    }

    /// Every Job of the object, and every reserved name that may have one.
    pub(super) async fn count(&self, scaled_job: &ScaledJob) -> Result<Vec<JobState>, Error> {
        let object = format!("jobs of {}", scaled_job.id);
        let (api, namespace) = (scaled_job.api, &scaled_job.id.namespace);
        self.want(api, WatchedKind::Jobs);
        self.first_list(|known| known.of(api).jobs.is_settled(namespace))
            .await;
        match self.learn(scaled_job, &object)? {
            ListNeed::None => {}
            ListNeed::Needed => self.settle(scaled_job, &object).await?,
            ListNeed::Useful => {
                if let Err(error) = self.settle(scaled_job, &object).await {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot tell yet which jobs of the last rounds exist; they go on counting"
                    );
                }
            }
        }
        self.close_if_answered(scaled_job).await;
        let mut jobs = self.union(scaled_job);
        let pods_matter = scaled_job.policy.strategy.counts_pending()
            && jobs.iter().any(|job| job.outcome.is_none());
        if pods_matter {
            self.add_pods(scaled_job, &mut jobs).await?;
        }
        Ok(jobs)
    }

    /// Adds the Pods of unfinished Jobs, as the watch shows them. It may show a Pod late, and its Job then counts as
    /// pending for longer: that launches less. One that fails tells nothing.
    async fn add_pods(&self, scaled_job: &ScaledJob, jobs: &mut [JobState]) -> Result<(), Error> {
        let (api, namespace) = (scaled_job.api, &scaled_job.id.namespace);
        self.want(api, WatchedKind::Pods);
        self.first_list(|known| known.of(api).pods.is_settled(namespace))
            .await;
        let known = self.known();
        let pods = &known.of(api).pods;
        pods.check_fresh(namespace, &format!("pods of {}", scaled_job.id))?;
        for job in jobs.iter_mut().filter(|job| job.outcome.is_none()) {
            let id = ObjectId::new(namespace, &job.name);
            job.pods = pods.of(&id).map(|pod| pod.state.clone()).collect();
        }
        Ok(())
    }

    /// Waits until it is known how a namespace is.
    async fn first_list(&self, is_settled: impl Fn(&Known) -> bool) {
        let mut listed = self.listed.subscribe();
        let settled = listed.wait_for(|()| is_settled(&self.known()));
        // How it is is looked at afterwards, either way.
        drop(tokio::time::timeout(FIRST_LIST, settled).await);
    }

    /// Takes note of a round that others opened; tells whether a consistent list is called for.
    fn learn(&self, scaled_job: &ScaledJob, object: &str) -> Result<ListNeed, Error> {
        let (api, id, uid) = (scaled_job.api, &scaled_job.id, &scaled_job.uid);
        self.known()
            .of(api)
            .jobs
            .check_synced(&id.namespace, object)?;
        let is_news = |record: &&RoundRecord| self.known().expected.of(uid).is_news(record);
        if let Some(record) = scaled_job.round.as_ref().filter(is_news) {
            // Computed before the lock is taken.
            let mut names = if expects_names(record, &self.holder) {
                names::reserved_names(scaled_job, record.round)
            } else {
                Vec::new()
            };
            let mut known = self.known();
            let seen = &known.of(api).jobs;
            names.retain(|(name, _)| !seen.contains(&ObjectId::new(&id.namespace, name)));
            let expectations = known.expected.of(uid);
            expectations.learnt(record.clone(), names, Instant::now());
        }
        let mut known = self.known();
        let grace = known.expected.grace;
        Ok(known.expected.of(uid).list(Instant::now(), grace))
    }

    /// One consistent list of the object's Jobs, held against the expected names.
    pub(super) async fn settle(&self, scaled_job: &ScaledJob, object: &str) -> Result<(), Error> {
        let id = &scaled_job.id;
        let asked_at = Instant::now();
        let jobs: Vec<JobShape> = self
            .list(&jobs_path(&id.namespace), scaled_job, object)
            .await?;
        let mut listed = ListedJobs::default();
        for job in jobs {
            add(&mut listed, state_of(job));
        }
        let missing = {
            let mut known = self.known();
            let grace = known.expected.grace;
            let expectations = known.expected.of(&scaled_job.uid);
            expectations.missing(&listed, asked_at, grace)
        };
        let reads = missing.into_iter().map(|name| self.by_name(id, name));
        let reads = futures::stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        let found: Vec<Option<JobState>> = reads.try_collect().await?;
        for job in found.into_iter().flatten() {
            add(&mut listed, job);
        }
        let mut known = self.known();
        let (informers, expected) = informers(&mut known, scaled_job.api);
        let (seen, grace) = (&informers.jobs, expected.grace);
        let is_seen = |name: &str| seen.contains(&ObjectId::new(&id.namespace, name));
        let expectations = expected.of(&scaled_job.uid);
        expectations.settle(&listed, is_seen, asked_at, grace);
        Ok(())
    }

    /// A consistent read of one Job, whatever its labels say.
    async fn by_name(
        &self,
        scaled_job: &ObjectId,
        name: String,
    ) -> Result<Option<JobState>, Error> {
        let id = ObjectId::new(&scaled_job.namespace, name);
        let object = format!("job {id}");
        let cluster = self.cluster.clone().with(Budget::Reads);
        let answer = cluster.send(Call::get(job_path(&id))).await;
        let answer = answer.map_err(|error| unavailable(&object, &error))?;
        match answer.status {
            404 => Ok(None),
            200..300 => {
                let job = answer.json::<JobShape>();
                job.map(|job| Some(state_of(job)))
                    .map_err(|error| unavailable(&object, &error))
            }
            _ => Err(unreadable(&object, &answer)),
        }
    }

    fn union(&self, scaled_job: &ScaledJob) -> Vec<JobState> {
        let namespace = &scaled_job.id.namespace;
        let label = ObjectId::new(namespace, names::label_value(&scaled_job.id.name));
        let mut known = self.known();
        let (informers, expected) = informers(&mut known, scaled_job.api);
        let seen = &informers.jobs;
        let mut jobs: Vec<JobState> = seen.of(&label).map(|job| job.state.clone()).collect();
        let names = expected.of(&scaled_job.uid).names();
        // One without its owner is seen, and expected still.
        let unseen_names =
            names.filter(|(name, _)| !seen.contains(&ObjectId::new(namespace, name.as_str())));
        jobs.extend(unseen_names.map(|(name, expected)| unseen(scaled_job, name, expected)));
        jobs
    }
}

/// The caches of one API, and beside them what is expected.
fn informers(known: &mut Known, api: Api) -> (&mut Informers, &mut AllExpectations) {
    let informers = match api {
        Api::Slipway => &mut known.slipway,
        Api::Keda => &mut known.keda,
    };
    (informers, &mut known.expected)
}

/// Sorts a Job of a consistent list.
fn add(listed: &mut ListedJobs, job: JobState) {
    if job.outcome.is_some() {
        listed.finished.insert(job.name);
    } else {
        let occurrence = job.annotations.get(OCCURRENCE_ANNOTATION);
        let occurrence = occurrence.cloned().unwrap_or_default();
        listed.unfinished.insert(job.name, occurrence);
    }
}

/// An expected name as the unfinished Job it may be.
fn unseen(scaled_job: &ScaledJob, name: &str, expected: &ExpectedJob) -> JobState {
    JobState {
        end_reason: "",
        name: name.to_owned(),
        uid: None,
        owner_uid: Some(scaled_job.uid.clone()),
        annotations: BTreeMap::from([
            (
                OCCURRENCE_ANNOTATION.to_owned(),
                expected.occurrence.clone(),
            ),
            (ROUND_ANNOTATION.to_owned(), expected.round.to_string()),
        ]),
        outcome: None,
        created_at: None,
        finished_at: None,
        pods: Vec::new(),
    }
}
