//! Which Jobs there are: the watches that feed the cache, and the count.
//!
//! The first count of an object that had rounds before this process knew it is
//! held against a consistent list. Afterwards the watch may lag: every name of a
//! round counts until the watch shows it (`expectations`), and a Job that the
//! watch has shown counts until it shows its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::{Either, join_all, select};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use kube::runtime::watcher;
use tracing::warn;

use super::cache::{Cache, WatchedJob, state_of};
use super::follow::{self, Shown, Trouble};
use super::{Kubernetes, job_path, jobs_path, label_of, names, unavailable, unreadable};
use crate::cluster::{Budget, Call};
use crate::launch::round::{Expected, ListNeed, Listed, expects_names};
use crate::launch::{
    Error, JobState, KEDA_SCALED_JOB_LABEL, OCCURRENCE_ANNOTATION, ROUND_ANNOTATION,
    SCALED_JOB_LABEL,
};
use crate::resource::{Api, ObjectId, RoundRecord, ScaledJob};

/// A count waits this long for the first list: objects are often read before it is complete.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// Jobs read by name at once, for one object: few, because it happens only where somebody takes our labels off.
const READS_AT_ONCE: usize = 4;

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
        let scope = scope.as_deref();
        follow::jobs(&self.cluster, label, scope, |shown| match shown {
            Shown::Event(event) => self.take(label, scope, event),
            Shown::Trouble(trouble) => {
                let fails = trouble.is_some();
                self.known().cache_mut(label).set_trouble(scope, trouble);
                if fails {
                    self.listed.send_replace(());
                }
            }
        })
        .await;
    }

    fn take(&self, label: &'static str, scope: Option<&str>, event: watcher::Event<WatchedJob>) {
        let is_list = matches!(event, watcher::Event::InitDone);
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
        for (owner, name) in &seen.jobs {
            if let Some(expectations) = owner.as_ref().and_then(|uid| known.expected.known(uid)) {
                expectations.seen(name);
            }
        }
        drop(known);
        if is_list {
            self.listed.send_replace(());
        }
        self.tell(seen);
    }

    /// Every Job of the object, and every reserved name that may have one.
    pub(super) async fn count(&self, scaled_job: &ScaledJob) -> Result<Vec<JobState>, Error> {
        let object = format!("jobs of {}", scaled_job.id);
        if scaled_job.api == Api::Keda {
            self.in_place
                .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        }
        self.first_list(label_of(scaled_job.api), &scaled_job.id.namespace)
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
            let mut pods = self.pods(scaled_job, &object).await?;
            for job in &mut jobs {
                if job.outcome.is_none() {
                    job.pods = pods.remove(&job.name).unwrap_or_default();
                }
            }
        }
        Ok(jobs)
    }

    /// Waits until the Jobs of a namespace are known, or cannot be.
    async fn first_list(&self, label: &str, namespace: &str) {
        let mut listed = self.listed.subscribe();
        let known = listed.wait_for(|()| {
            let known = self.known();
            let cache = known.cache(label);
            cache.is_synced(namespace) || cache.trouble(namespace).is_some()
        });
        // Whether it is known now is looked at afterwards, either way.
        drop(tokio::time::timeout(FIRST_LIST, known).await);
    }

    /// Takes note of a round that others opened; tells whether a consistent list is called for.
    fn learn(&self, scaled_job: &ScaledJob, object: &str) -> Result<ListNeed, Error> {
        let label = label_of(scaled_job.api);
        let (id, uid) = (&scaled_job.id, &scaled_job.uid);
        {
            let known = self.known();
            let cache = known.cache(label);
            if !cache.is_synced(&id.namespace) {
                return Err(not_synced(object, cache.trouble(&id.namespace)));
            }
        }
        let is_news = |record: &&RoundRecord| self.known().expected.of(uid).is_news(record);
        if let Some(record) = scaled_job.round.as_ref().filter(is_news) {
            // Computed before the lock is taken.
            let mut names = if expects_names(record, &self.holder) {
                names::reserved_names(scaled_job, record.round)
            } else {
                Vec::new()
            };
            let mut known = self.known();
            let cache = known.cache(label);
            names.retain(|(name, _)| !cache.contains(&ObjectId::new(&id.namespace, name)));
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
        let jobs: Vec<WatchedJob> = self
            .list(&jobs_path(&id.namespace), scaled_job, object)
            .await?;
        let mut listed = Listed::default();
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
        let known = &mut *self.known();
        let grace = known.expected.grace;
        let cache = match scaled_job.api {
            Api::Slipway => &known.slipway,
            Api::Keda => &known.keda,
        };
        let is_seen = |name: &str| cache.contains(&ObjectId::new(&id.namespace, name));
        let expectations = known.expected.of(&scaled_job.uid);
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
                let job = answer.json::<WatchedJob>();
                job.map(|job| Some(state_of(job)))
                    .map_err(|error| unavailable(&object, &error))
            }
            _ => Err(unreadable(&object, &answer)),
        }
    }

    fn union(&self, scaled_job: &ScaledJob) -> Vec<JobState> {
        let label = label_of(scaled_job.api);
        let namespace = &scaled_job.id.namespace;
        let value = names::label_value(&scaled_job.id.name);
        let mut known = self.known();
        let mut jobs: Vec<JobState> = known.cache(label).of(namespace, &value).cloned().collect();
        let expected: Vec<JobState> = known
            .expected
            .of(&scaled_job.uid)
            .names()
            .map(|(name, expected)| unseen(scaled_job, name, expected))
            .collect();
        // One without its owner is seen, and expected still.
        let cache = known.cache(label);
        let is_unseen = |job: &JobState| !cache.contains(&ObjectId::new(namespace, &job.name));
        jobs.extend(expected.into_iter().filter(is_unseen));
        jobs
    }
}

/// Sorts a Job of a consistent list.
fn add(listed: &mut Listed, job: JobState) {
    if job.outcome.is_some() {
        listed.finished.insert(job.name);
    } else {
        let occurrence = job.annotations.get(OCCURRENCE_ANNOTATION);
        let occurrence = occurrence.cloned().unwrap_or_default();
        listed.unfinished.insert(job.name, occurrence);
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

/// Nothing can be counted before the first list is complete.
pub(super) fn not_synced(object: &str, trouble: Option<&Trouble>) -> Error {
    let object = object.to_owned();
    match trouble {
        Some((Some(401 | 403), detail)) => Error::Forbidden {
            object,
            detail: detail.clone(),
        },
        Some((_, detail)) => Error::Unavailable {
            object,
            detail: detail.clone(),
        },
        None => Error::Unavailable {
            object,
            detail: "the first list is not complete yet".to_owned(),
        },
    }
}

/// An expected name as the unfinished Job it may be.
fn unseen(scaled_job: &ScaledJob, name: &str, expected: &Expected) -> JobState {
    JobState {
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
