//! Which Jobs there are: the watches that feed the cache, and the count.
//!
//! The first count of an object that had rounds before this process knew it is
//! held against a consistent list. Afterwards the watch may lag: every name of a
//! round counts until the watch shows it (`outstanding`), and a Job that the
//! watch has shown counts until it shows its end. A lag can only make the count
//! too high, never too low.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{Either, join_all, select};
use kube::runtime::watcher;
use tracing::warn;

use super::cache::{Cache, WatchedJob, state_of};
use super::follow::{self, Shown, Trouble};
use super::outstanding::{List, Reserved, Standing};
use super::{Kubernetes, jobs_path, label_of, names};
use crate::launch::{
    Error, JobState, KEDA_SCALED_JOB_LABEL, OCCURRENCE_ANNOTATION, ROUND_ANNOTATION,
    SCALED_JOB_LABEL,
};
use crate::resource::{Api, ObjectId, ScaledJob};

/// A count waits this long for the first list: objects are often read before it is complete.
const FIRST_LIST: Duration = Duration::from_secs(10);

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
        for job in &seen.jobs {
            known.outstanding.seen(job);
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
        match self.look(scaled_job, &object)? {
            List::Needless => {}
            List::Needed => self.settle(scaled_job, &object).await?,
            List::Useful => {
                if let Err(error) = self.settle(scaled_job, &object).await {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot tell yet which jobs of the last rounds exist; they go on counting"
                    );
                }
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
    fn look(&self, scaled_job: &ScaledJob, object: &str) -> Result<List, Error> {
        let label = label_of(scaled_job.api);
        let id = &scaled_job.id;
        let mut known = self.known();
        if !known.cache(label).is_synced(&id.namespace) {
            return Err(not_synced(
                object,
                known.cache(label).trouble(&id.namespace),
            ));
        }
        let now = Instant::now();
        if let Some(round) = scaled_job.round
            && known.outstanding.is_news(&scaled_job.uid, round.number)
        {
            let mut names = names::reserved_names(scaled_job, round);
            names.retain(|(name, _)| {
                let job = ObjectId::new(&id.namespace, name);
                !known.cache(label).contains(&job)
            });
            known.outstanding.reserve(
                &scaled_job.uid,
                &id.namespace,
                round.number,
                names,
                Standing::Unclear,
                now,
            );
        }
        Ok(known.outstanding.list(&scaled_job.uid, now))
    }

    /// One consistent list of the object's Jobs, held against the open names.
    pub(super) async fn settle(&self, scaled_job: &ScaledJob, object: &str) -> Result<(), Error> {
        let namespace = &scaled_job.id.namespace;
        let asked_at = Instant::now();
        let jobs: Vec<WatchedJob> = self.list(&jobs_path(namespace), scaled_job, object).await?;
        let jobs: Vec<JobState> = jobs.into_iter().map(state_of).collect();
        let names = |jobs: &[JobState]| -> BTreeSet<String> {
            jobs.iter().map(|job| job.name.clone()).collect()
        };
        let listed = names(&jobs);
        let unfinished: Vec<JobState> = jobs
            .into_iter()
            .filter(|job| job.outcome.is_none())
            .collect();
        let mut known = self.known();
        known
            .outstanding
            .settle(&scaled_job.uid, namespace, &names(&unfinished), asked_at);
        // Jobs of the rounds before somebody else's, which the watch does not show yet.
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
        known.outstanding.reserve(
            &scaled_job.uid,
            namespace,
            round,
            unseen,
            Standing::Made,
            asked_at,
        );
        for name in listed {
            known.outstanding.made(&ObjectId::new(namespace, name));
        }
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
