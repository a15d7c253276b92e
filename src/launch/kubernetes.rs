//! Jobs in a cluster.
//!
//! Each promise of the port has its file: `create` makes a name once whatever
//! the network does, `jobs` tells which Jobs there are (`informer`: as the watch
//! shows them; `expectations`: names of a round that nobody has seen yet), `round`
//! writes rounds down. [`Kubernetes::run`] drives the watches; whoever owns the
//! tasks spawns it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tracing::debug;

use self::counted::{CountedJob, CountedPod};
use self::create::CreateBackoff;
use self::expectations::AllExpectations;
use self::informer::Informer;
use crate::cluster::{Answer, Budget, Call, Cluster, Guard, NoAnswer, Scope};
use crate::launch::round::{Answered, Expectations};
use crate::launch::{
    Error, JobState, KEDA_SCALED_JOB_LABEL, Launch, Launched, Launcher, SCALED_JOB_LABEL,
};
use crate::resource::requests::RequestAnswer;
use crate::resource::{Api, ObjectId, Propagation, Round, RoundRecord, ScaledJob};

mod counted;
mod create;
pub mod delivered;
mod ended;
mod expectations;
mod follow;
mod informer;
mod jobs;
pub mod list;
mod names;
mod round;
mod watched;

pub use crate::launch::round::LATEST_CREATE;
pub use round::new_holder;

/// A Job of a round: the next turn takes over after it.
const ROUND_DEADLINE: Duration = Duration::from_secs(30);

/// Makes and counts Jobs through the API server.
#[derive(Debug)]
pub struct Kubernetes {
    cluster: Cluster,
    scope: Scope,
    /// Tells this process's rounds from another's that carry the same number.
    holder: String,
    backoff: CreateBackoff,
    known: Mutex<Known>,
    /// What is watched: each from the first time that an object needs it.
    wanted: watch::Sender<BTreeSet<(Api, WatchedKind)>>,
    /// Told when a list is complete, or failed.
    listed: watch::Sender<()>,
    ended: Mutex<BTreeSet<ObjectId>>,
    ended_more: Notify,
}

/// What this process knows of Jobs. One lock, so that a name is always in one of the two.
#[derive(Debug)]
struct Known {
    /// As the watches show them, of objects of our own.
    slipway: Informers,
    /// The same, of objects managed in place.
    keda: Informers,
    expected: AllExpectations,
}

/// Jobs with the label of one API, and their Pods.
#[derive(Debug, Default)]
struct Informers {
    jobs: Informer<CountedJob>,
    pods: Informer<CountedPod>,
}

/// What can be watched of one API's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WatchedKind {
    Jobs,
    /// Only strategies that count pending Jobs need them.
    Pods,
}

impl Known {
    fn of(&self, api: Api) -> &Informers {
        match api {
            Api::Slipway => &self.slipway,
            Api::Keda => &self.keda,
        }
    }
}

impl Kubernetes {
    /// A launcher for some namespaces.
    ///
    /// `grace` is how long a create may be under way: [`LATEST_CREATE`], except in tests.
    pub fn new(cluster: Cluster, scope: Scope, grace: Duration) -> Self {
        Self {
            cluster: cluster.with(Budget::Launches),
            scope,
            holder: round::new_holder(),
            backoff: CreateBackoff::default(),
            known: Mutex::new(Known {
                slipway: Informers::default(),
                keda: Informers::default(),
                expected: AllExpectations::new(grace),
            }),
            wanted: watch::Sender::new(BTreeSet::from([(Api::Slipway, WatchedKind::Jobs)])),
            listed: watch::Sender::new(()),
            ended: Mutex::new(BTreeSet::new()),
            ended_more: Notify::new(),
        }
    }

    /// ScaledJobs of which a Job finished or went since the last call; waits until there is one.
    ///
    /// For one listener. Holds at most one entry for each object, however many Jobs end.
    pub async fn ended(&self) -> BTreeSet<ObjectId> {
        loop {
            let more = self.ended_more.notified();
            let ended = self.take_ended();
            if !ended.is_empty() {
                return ended;
            }
            more.await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic under the lock")
    }

    fn take_ended(&self) -> BTreeSet<ObjectId> {
        std::mem::take(&mut *self.ended.lock().expect("no panic under the lock"))
    }

    fn tell(&self, just_ended: BTreeSet<ObjectId>) {
        if just_ended.is_empty() {
            return;
        }
        let mut ended = self.ended.lock().expect("no panic under the lock");
        ended.extend(just_ended);
        drop(ended);
        self.ended_more.notify_one();
    }

    async fn launch_once(&self, launch: &Launch, may: Guard) -> Result<Launched, Error> {
        let name = &launch.id.name;
        let expect = |tell: &dyn Fn(&mut Expectations)| {
            let mut known = self.known();
            let owner = launch.owner_uid();
            if let Some(expectations) = owner.and_then(|uid| known.expected.known(uid)) {
                tell(expectations);
            }
        };
        expect(&|expectations| expectations.launching(name));
        let sending = || expect(&|expectations| expectations.sending(name, Instant::now()));
        let result = create::create(
            &self.cluster,
            &self.backoff,
            launch,
            ROUND_DEADLINE,
            None,
            &may,
            sending,
        )
        .await;
        let answered = match &result {
            Ok(_) => Answered::Exists,
            Err(Error::Unknown { .. }) => Answered::Unclear,
            Err(_) => Answered::Refused,
        };
        expect(&|expectations| expectations.answered(name, answered));
        result
    }

    /// No round is opened while one before it has a create in doubt: a record names one round only.
    async fn account_for_earlier_rounds(&self, scaled_job: &ScaledJob) -> Result<(), Error> {
        let in_doubt = || self.known().expected.of(&scaled_job.uid).in_doubt();
        if in_doubt() == 0 {
            return Ok(());
        }
        let object = format!("jobs of {}", scaled_job.id);
        self.settle(scaled_job, &object).await?;
        match in_doubt() {
            0 => Ok(()),
            left => Err(Error::Unavailable {
                object,
                detail: format!(
                    "nobody knows yet whether {left} of an earlier round exist; \
                     nothing is launched until they are seen, or cannot come any more"
                ),
            }),
        }
    }

    async fn open_once(
        &self,
        scaled_job: &ScaledJob,
        round: Round,
        answer: Option<&RequestAnswer>,
    ) -> Result<(), Error> {
        self.account_for_earlier_rounds(scaled_job).await?;
        // The rounds that the count behind this one knew: those of this process, and what the object told.
        let told = scaled_job
            .round
            .as_ref()
            .map_or(0, |record| record.round.number);
        let counted = self
            .known()
            .expected
            .of(&scaled_job.uid)
            .counted()
            .max(told);
        let record = RoundRecord::open(round, &self.holder);
        round::open(&self.cluster, scaled_job, counted, &record, answer).await?;
        // Computed before the lock is taken.
        let names = names::reserved_names(scaled_job, round);
        let mut known = self.known();
        let expectations = known.expected.of(&scaled_job.uid);
        expectations.opened(record, names, Instant::now());
        Ok(())
    }

    /// Says the last round closed, if every create of it was answered: whoever comes after us then waits for none of its names.
    ///
    /// This is a small patch of its own and not a part of the status write that follows: it must fail when another leader has
    /// written a round since, and the status must not. A round that stays open costs the next process a minute, so no error of it matters.
    async fn close_if_answered(&self, scaled_job: &ScaledJob) {
        let record = self
            .known()
            .expected
            .of(&scaled_job.uid)
            .to_close()
            .cloned();
        let Some(record) = record else {
            return;
        };
        match round::close(&self.cluster, scaled_job, &record).await {
            Ok(()) => self.known().expected.of(&scaled_job.uid).closed(),
            Err(error) => debug!("round {} stays open: {error}", record.round.number),
        }
    }
}

/// Deletes a Job, if it is still the one with that UID. A Job that is gone is a success.
async fn delete(
    cluster: &Cluster,
    job: &ObjectId,
    uid: &str,
    propagation: Propagation,
) -> Result<(), Error> {
    let policy = match propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
    };
    let options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": uid},
        "propagationPolicy": policy,
    });
    let object = format!("job {job}");
    let answer = cluster
        .send(Call::delete(job_path(job), options))
        .await
        .map_err(|error| unknown(&object, &error))?;
    match answer.status {
        // 409: another Job has the name now, so the one that was meant is gone.
        200..300 | 404 | 409 => Ok(()),
        _ => Err(refusal(&object, &answer)),
    }
}

/// Sends a change that is based on the version that was read. Returns the new one.
async fn new_version(cluster: &Cluster, object: &str, call: Call) -> Result<String, Error> {
    let answer = cluster.send(call).await;
    let answer = answer.map_err(|error| unknown(object, &error))?;
    if !answer.is_success() {
        return Err(refusal(object, &answer));
    }
    let value: Value = answer.json().map_err(|error| unknown(object, &error))?;
    let version = value["metadata"]["resourceVersion"].as_str();
    Ok(version.unwrap_or_default().to_owned())
}

/// A server-side dry run of a Job for this object. `validation`: what becomes of fields that the server does not know.
async fn prove(
    cluster: &Cluster,
    id: &ObjectId,
    job: impl FnOnce() -> Value,
    validation: &'static str,
) -> Result<(), Error> {
    let object = format!("the Job template of {id}");
    let path = jobs_path(&id.namespace);
    let cluster = cluster.clone().with(Budget::DryRuns);
    // Thousands may be due at once.
    let turn = cluster.turn(&Method::POST, &path).await;
    let sent = async {
        let call = Call::post(path, job())
            .query("dryRun", "All")
            .query("fieldValidation", validation);
        turn.send(call).await
    };
    let answer = Box::pin(sent).await;
    let answer = answer.map_err(|error| unavailable(&object, &error))?;
    match answer.status {
        // 409: the template is not what is wrong.
        200..300 | 409 => Ok(()),
        _ => match refusal(&object, &answer) {
            Error::Quota { .. } => Ok(()),
            Error::Unknown { object, detail } => Err(Error::Unavailable { object, detail }),
            error => Err(error),
        },
    }
}

impl Launcher for Kubernetes {
    fn prove<'a>(&'a self, scaled_job: &'a ScaledJob) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            // No round has this number.
            let sample = Round { number: 0, jobs: 1 };
            let sample = || {
                let mut jobs = Launch::counted(scaled_job, sample);
                jobs.next().map_or(Value::Null, |launch| launch.manifest)
            };
            // Unknown fields are dropped at a launch too.
            prove(&self.cluster, &scaled_job.id, sample, "Ignore").await
        }
        .boxed()
    }

    fn jobs<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
    ) -> BoxFuture<'a, Result<Vec<JobState>, Error>> {
        self.count(scaled_job).boxed()
    }

    fn open_round_for<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        round: Round,
        answer: Option<&'a RequestAnswer>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.open_once(scaled_job, round, answer).boxed()
    }

    fn answer<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        answer: &'a RequestAnswer,
    ) -> BoxFuture<'a, Result<(), Error>> {
        round::answer(&self.cluster, scaled_job, answer).boxed()
    }

    fn close_round<'a>(&'a self, scaled_job: &'a ScaledJob) -> BoxFuture<'a, ()> {
        self.close_if_answered(scaled_job).boxed()
    }

    fn launch_while<'a>(
        &'a self,
        launch: &'a Launch,
        may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>> {
        self.launch_once(launch, may).boxed()
    }

    fn delete<'a>(
        &'a self,
        job: &'a ObjectId,
        uid: &'a str,
        propagation: Propagation,
    ) -> BoxFuture<'a, Result<(), Error>> {
        delete(&self.cluster, job, uid, propagation).boxed()
    }

    fn forget(&self, uid: &str) {
        self.known().expected.forget(uid, Instant::now());
    }
}

/// Where the EventJobs of a namespace are.
pub fn event_jobs_path(namespace: &str) -> String {
    format!("/apis/slipway.dev/v1alpha1/namespaces/{namespace}/eventjobs")
}

/// Where an EventJob is.
pub fn event_job_path(event_job: &ObjectId) -> String {
    format!(
        "{}/{}",
        event_jobs_path(&event_job.namespace),
        event_job.name
    )
}

fn jobs_path(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/jobs")
}

fn job_path(job: &ObjectId) -> String {
    format!("{}/{}", jobs_path(&job.namespace), job.name)
}

/// The label with a ScaledJob's name on its Jobs.
fn label_of(api: Api) -> &'static str {
    match api {
        Api::Slipway => SCALED_JOB_LABEL,
        Api::Keda => KEDA_SCALED_JOB_LABEL,
    }
}

fn unknown(object: &str, error: &NoAnswer) -> Error {
    Error::Unknown {
        object: object.to_owned(),
        detail: error.detail.clone(),
    }
}

fn unavailable(object: &str, error: &NoAnswer) -> Error {
    Error::Unavailable {
        object: object.to_owned(),
        detail: error.detail.clone(),
    }
}

/// What a clear "no" means. 5xx are no clear answer: for reads they are [`Error::Unavailable`], for writes [`Error::Unknown`].
fn refusal(object: &str, answer: &Answer) -> Error {
    let (object, detail) = (object.to_owned(), answer.words());
    match answer.status {
        // A namespace that is going answers 403 to creates; for the caller it is gone.
        403 if detail.contains("is being terminated") => Error::Gone { object },
        403 if detail.contains("exceeded quota") => Error::Quota { object, detail },
        401 | 403 => Error::Forbidden { object, detail },
        404 | 410 => Error::Gone { object },
        409 => Error::Conflict { object },
        429 => Error::Throttled { object, detail },
        400 | 413 | 422 => Error::Rejected { object, detail },
        // Of whoever stands between us and the server, perhaps: it says nothing about what was sent.
        402..500 => Error::Unavailable { object, detail },
        _ => Error::Unknown { object, detail },
    }
}

/// As [`refusal`], for a call that only reads: no Job is refused by it.
fn unreadable(object: &str, answer: &Answer) -> Error {
    match refusal(object, answer) {
        Error::Unknown { object, detail } | Error::Rejected { object, detail } => {
            Error::Unavailable { object, detail }
        }
        error => error,
    }
}
