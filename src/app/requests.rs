//! Asks whoever makes an object's Jobs for some, and waits for the answer: in a cluster, or on a state folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::change::change;
use crate::app::target::{Where, namespace_of, state_folder};
use crate::app::{clock, connect};
use crate::cluster::{Call, Cluster};
use crate::launch::kubernetes::event_job_path;
use crate::local::records;
use crate::local::requests::{self, AskedOf};
use crate::page::object::PageKind;
use crate::resource::requests::{
    DONE, JobRequest, MOST_REQUESTS, REQUESTS_ANNOTATION, RequestAnswer, Wish, answers_of, of,
    to_text,
};
use crate::resource::{ObjectId, cron_job, scaled_job};

/// How often an answer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Somebody else may write the object at the same time.
const TRIES: usize = 5;

/// A kind of object that may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedKind {
    /// An EventJob with a schedule.
    EventJob,
    /// A ScaledJob, of our own or managed in place.
    ScaledJob,
    /// A CronJob that is managed in place.
    CronJob,
}

impl AskedKind {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventJob => "EventJob",
            Self::ScaledJob => "ScaledJob",
            Self::CronJob => "CronJob",
        }
    }

    /// The kind that somebody means, in any case, by its name, its plural or its short name.
    pub fn named(word: &str) -> Option<Self> {
        match &*word.to_ascii_lowercase() {
            "eventjob" | "eventjobs" | "ej" => Some(Self::EventJob),
            "scaledjob" | "scaledjobs" | "ssj" | "sj" => Some(Self::ScaledJob),
            "cronjob" | "cronjobs" | "cj" => Some(Self::CronJob),
            _ => None,
        }
    }

    /// That of an object of the status page.
    pub(in crate::app) fn of(kind: PageKind) -> Self {
        match kind {
            PageKind::EventJob => Self::EventJob,
            PageKind::ScaledJob | PageKind::KedaScaledJob => Self::ScaledJob,
            PageKind::CronJob => Self::CronJob,
        }
    }

    /// Whether an object of the files, called this kind by the state folder, is of this kind. CronJobs run there as EventJobs.
    fn is_in_files(self, kind: &str) -> bool {
        match self {
            Self::EventJob | Self::CronJob => kind == "EventJob",
            Self::ScaledJob => kind.starts_with("ScaledJob"),
        }
    }

    /// Where objects of this kind may be, the first to be looked for first.
    fn paths(self, id: &ObjectId) -> Vec<String> {
        let ObjectId { namespace, name } = id;
        match self {
            Self::EventJob => vec![event_job_path(id)],
            Self::ScaledJob => ["slipway.dev", "keda.sh"]
                .map(|group| {
                    format!("/apis/{group}/v1alpha1/namespaces/{namespace}/scaledjobs/{name}")
                })
                .into(),
            Self::CronJob => vec![format!(
                "/apis/batch/v1/namespaces/{namespace}/cronjobs/{name}"
            )],
        }
    }

    /// Why this very object cannot be asked, if it cannot.
    fn refusal(self, object: &Value) -> Option<&'static str> {
        let is_keda = object["apiVersion"] == scaled_job::KEDA_API_VERSION;
        match self {
            Self::EventJob if object["spec"]["source"]["cron"].is_null() => {
                Some("has no schedule (source.cron): post it an event instead")
            }
            Self::CronJob if !cron_job::is_handed_over(object) => Some(
                "is not handed over to Slipway (suspend: true and slipway.dev/managed: \"true\"): use `kubectl create job --from=cronjob/NAME`",
            ),
            Self::ScaledJob if is_keda && !scaled_job::is_managed_in_place(object) => Some(
                "is KEDA's, and not handed over to Slipway (autoscaling.keda.sh/paused and slipway.dev/managed, both \"true\"): only then can Slipway make its Jobs",
            ),
            _ => None,
        }
    }
}

/// An object that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedObject {
    /// Its kind.
    pub kind: AskedKind,
    /// Its name.
    pub name: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOutcome {
    /// It was done.
    pub is_done: bool,
    /// In words.
    pub message: String,
    /// The one Job that was asked for.
    pub job: Option<String>,
}

/// Asks for it, and waits for the answer no longer than `patience`.
///
/// # Errors
///
/// There is no such object, it cannot be asked, or nobody answers.
pub async fn ask(
    place: &Where,
    namespace: Option<&str>,
    object: &AskedObject,
    wish: Wish,
    patience: Duration,
) -> anyhow::Result<RequestOutcome> {
    let place = Place::find(place, namespace, object).await?;
    place.request(wish, patience).await
}

/// The same, for an object of the cluster that this process works in.
///
/// # Errors
///
/// As of [`ask`].
pub(in crate::app) async fn ask_in_cluster(
    cluster: &Cluster,
    kind: AskedKind,
    id: &ObjectId,
    wish: Wish,
    patience: Duration,
) -> anyhow::Result<RequestOutcome> {
    let path = find_path(cluster, kind, id).await?;
    let place = Place {
        kind,
        id: id.clone(),
        at: At::Cluster(Box::new(cluster.clone()), path),
    };
    place.request(wish, patience).await
}

/// The same, for an object of the state folder that this process works on.
///
/// # Errors
///
/// As of [`ask`].
pub(in crate::app) async fn ask_in_folder(
    state: &Path,
    kind: AskedKind,
    id: &ObjectId,
    wish: Wish,
    patience: Duration,
) -> anyhow::Result<RequestOutcome> {
    let place = Place {
        kind,
        id: id.clone(),
        at: At::Local(state.to_owned()),
    };
    place.request(wish, patience).await
}

/// Tells this request from every other.
fn id(now: jiff::Timestamp, name: &str) -> String {
    let process = std::process::id();
    let hash = crate::launch::job::name::reserved("", &[name, &process.to_string()]).occurrence;
    format!("{}-{}", now.as_millisecond(), &hash[..8])
}

/// An object where its requests are written.
struct Place {
    kind: AskedKind,
    id: ObjectId,
    at: At,
}

enum At {
    /// At this path.
    Cluster(Box<Cluster>, String),
    Local(PathBuf),
}

impl Place {
    /// Asks for it, and waits for the answer.
    async fn request(&self, wish: Wish, patience: Duration) -> anyhow::Result<RequestOutcome> {
        let now = clock();
        let request = JobRequest {
            id: id(now, &self.id.name),
            time: jiff::Timestamp::from_second(now.as_second())?,
            wish: wish.clone(),
        };
        let id = request.id.clone();
        self.ask(request).await?;
        let deadline = Instant::now() + patience;
        loop {
            let answers = self.answers().await?;
            let answer = answers.into_iter().find(|answer| answer.id == id);
            if let Some(answer) = answer.filter(RequestAnswer::is_final) {
                return Ok(RequestOutcome {
                    is_done: answer.result == DONE,
                    message: answer.message,
                    job: answer.job,
                });
            }
            if Instant::now() >= deadline {
                let remains = self.give_up(&id, &wish)?;
                bail!(
                    "{self} did not answer within {} s, {remains}: {}",
                    patience.as_secs(),
                    self.waits_for(),
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn find(
        place: &Where,
        namespace: Option<&str>,
        object: &AskedObject,
    ) -> anyhow::Result<Self> {
        let AskedObject { kind, name } = object;
        match place {
            Where::Cluster(target) => {
                let (cluster, own) = connect(target).await?;
                let id = ObjectId::new(namespace.unwrap_or(&own), name);
                let path = find_path(&cluster, *kind, &id).await?;
                Ok(Self {
                    kind: *kind,
                    id,
                    at: At::Cluster(Box::new(cluster), path),
                })
            }
            Where::Local(state) => {
                let shown = state_folder(state)?.display();
                let folder = || format!("the state folder {shown}");
                if !requests::is_running(state).with_context(folder)? {
                    bail!(
                        "no `slipway local` runs on the state folder {shown}: start it, or name its folder with --state"
                    );
                }
                let objects = records::objects(state).with_context(folder)?;
                let namespaces = objects.iter().flat_map(|objects| objects.keys());
                let namespaces = namespaces
                    .filter(|(of, id)| kind.is_in_files(of) && *id.name == **name)
                    .map(|(_, id)| id.namespace.to_string())
                    .filter(|it| namespace.is_none_or(|namespace| it == namespace));
                let what = format!("{} {name}", kind.name());
                let Some(namespace) = namespace_of(&what, namespaces.collect())? else {
                    bail!("{what} is not in the files of the `slipway local` that runs on {shown}");
                };
                Ok(Self {
                    kind: *kind,
                    id: ObjectId::new(namespace, name),
                    at: At::Local(state.clone()),
                })
            }
        }
    }

    async fn ask(&self, request: JobRequest) -> anyhow::Result<()> {
        match &self.at {
            At::Cluster(cluster, path) => {
                for _ in 0..TRIES {
                    let object = self.read(cluster, path).await?;
                    if self.annotate(cluster, path, &object, &request).await? {
                        return Ok(());
                    }
                }
                bail!("{self} is changed by others all the time: try again")
            }
            At::Local(state) => requests::ask(state, self.of(), &self.id, request)
                .with_context(|| format!("the state folder {}", state.display())),
        }
    }

    /// What becomes of a request that was not answered in time. One Job that is asked for on this machine is not wanted later.
    fn give_up(&self, request: &str, wish: &Wish) -> anyhow::Result<&'static str> {
        match (&self.at, wish) {
            (At::Local(state), Wish::Trigger) => {
                requests::withdraw(state, self.of(), &self.id, request)?;
                Ok("and is not asked any more")
            }
            _ => Ok("and stays asked for"),
        }
    }

    async fn answers(&self) -> anyhow::Result<Vec<RequestAnswer>> {
        match &self.at {
            At::Cluster(cluster, path) => Ok(answers_of(&self.read(cluster, path).await?)),
            At::Local(state) => requests::answers(state, self.of(), &self.id)
                .with_context(|| format!("the state folder {}", state.display())),
        }
    }

    /// Whose folder it is, of a state folder. A CronJob runs there as an EventJob.
    fn of(&self) -> AskedOf {
        match self.kind {
            AskedKind::EventJob | AskedKind::CronJob => AskedOf::Schedule,
            AskedKind::ScaledJob => AskedOf::ScaledJob,
        }
    }

    fn waits_for(&self) -> &'static str {
        match (&self.at, self.kind) {
            (At::Cluster(..), AskedKind::ScaledJob) => {
                "only the leader of `slipway run` for its namespace does it, when maxReplicaCount has room for one more Job and the object is Ready"
            }
            (At::Cluster(..), _) => "only the leader of `slipway run` for its namespace does it",
            (At::Local(_), AskedKind::ScaledJob) => {
                "it is invalid, or maxReplicaCount has no room for one more Job"
            }
            (At::Local(_), _) => "it is invalid, or has no source.cron",
        }
    }

    async fn read(&self, cluster: &Cluster, path: &str) -> anyhow::Result<Value> {
        let answer = cluster.send(Call::get(path)).await?;
        if !answer.is_success() {
            bail!("{self}: {}", answer.words());
        }
        Ok(answer.json()?)
    }

    /// Adds a request to the annotation; false when somebody else wrote in between.
    async fn annotate(
        &self,
        cluster: &Cluster,
        path: &str,
        object: &Value,
        request: &JobRequest,
    ) -> anyhow::Result<bool> {
        if let Some(why) = self.kind.refusal(object) {
            bail!("{self} {why}");
        }
        // Whoever wrote something else there is told by the status.
        let mut requests = of(object).unwrap_or_default();
        let answers = answers_of(object);
        requests.retain(|request| !answers.iter().any(|answer| answer.id == request.id));
        if requests.len() >= MOST_REQUESTS {
            bail!("{self} has {MOST_REQUESTS} requests that nobody has answered yet");
        }
        requests.push(request.clone());
        let asked = json!({"metadata": {"annotations": {REQUESTS_ANNOTATION: to_text(&requests)}}});
        change(cluster, path.to_owned(), &self.to_string(), object, asked).await
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind.name(), self.id)
    }
}

/// Where the object is.
async fn find_path(cluster: &Cluster, kind: AskedKind, id: &ObjectId) -> anyhow::Result<String> {
    let mut paths = kind.paths(id);
    // Of one that is nowhere it is said where it should be.
    let own = paths.swap_remove(0);
    for path in paths {
        let is_own = cluster.send(Call::get(own.as_str())).await?.is_success();
        if !is_own && cluster.send(Call::get(path.as_str())).await?.is_success() {
            return Ok(path);
        }
    }
    Ok(own)
}
