//! The status page of `slipway run`: what the watches show, onto a board; a Job's way, from the API server.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::events::Events;
use crate::app::requests::{AskedKind, RequestOutcome, ask_in_cluster};
use crate::app::reruns::rerun_in;
use crate::app::target::OpenPlace;
use crate::app::{Tasks, clock, listen};
use crate::board::{Board, JobsAtHand};
use crate::cluster::{Budget, Call, Cluster};
use crate::config::{self, AdminAccess, Config};
use crate::controller::announce::{Note, Regarding, announce};
use crate::controller::lead::Lead;
use crate::controller::watch::Kinds;
use crate::controller::watch::troubles::WatchTroubles;
use crate::controller::{Change, TurnPorts};
use crate::history::SharedHistory;
use crate::launch::delivered::{EVENT_JOB_LABEL, Gate};
use crate::launch::kubernetes::Kubernetes;
use crate::launch::kubernetes::delivered::Delivered;
use crate::launch::ports::DeliveredJob;
use crate::launch::{JobOutcome, JobState};
use crate::page::job::{PageJob, PageJobState};
use crate::page::object::{PageKey, PageKind, PageObject, next_times};
use crate::page::overview::PageMemory;
use crate::page::timeline::JobStory;
use crate::resource::requests::Wish;
use crate::resource::{Api, ObjectId};
use crate::serve::admin::{self, Admin, AdminAction, AdminSettings};
use crate::shown::with_causes;

/// How often the Jobs of all objects are counted.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pods of a Job that are read.
const MOST_PODS: &str = "50";
/// How long somebody waits for what the leader makes of an action.
const PATIENCE: Duration = Duration::from_secs(8);

/// The page, and where it listens.
pub(super) struct ClusterAdmin {
    listener: TcpListener,
    page: Arc<ClusterPage>,
    settings: AdminSettings,
}

/// What the page knows.
struct ClusterPage {
    board: Arc<Board>,
    cluster: Cluster,
    lead: Arc<dyn Lead>,
    access: AdminAccess,
    troubles: WatchTroubles,
    history: Arc<SharedHistory>,
    since: Timestamp,
}

impl ClusterAdmin {
    /// Binds the port, if there is to be one; nothing is spawned.
    ///
    /// # Errors
    ///
    /// The address is taken, or not ours.
    pub(super) async fn open(
        config: &Config,
        cluster: &Cluster,
        ports: &TurnPorts,
        events: &Events,
        counted: &Arc<Kubernetes>,
        troubles: &WatchTroubles,
    ) -> anyhow::Result<Option<Self>> {
        let Some(address) = config.admin else {
            return Ok(None);
        };
        let listener = listen("--admin", address).await?;
        let address = listener.local_addr()?;
        info!(admin = %address, "the status page is at http://{address}/");
        if !address.ip().is_loopback() {
            warn!(
                "--admin {address} listens beyond loopback: whoever reaches it can read the page, and needs no password"
            );
        }
        let jobs = SeenInCluster {
            counted: Arc::clone(counted),
            delivered: events.launcher(),
            of_cron_jobs: events.launcher_of_cron_jobs(),
        };
        let page = ClusterPage {
            board: Arc::new(Board::new(Box::new(jobs))),
            cluster: cluster.clone().with(Budget::Reads),
            lead: Arc::clone(&ports.lead),
            access: config.admin_access.clone(),
            troubles: troubles.clone(),
            history: Arc::clone(&ports.history),
            since: clock(),
        };
        Ok(Some(Self {
            listener,
            page: Arc::new(page),
            settings: AdminSettings {
                hosts: config.admin_access.admin_host.clone(),
                clock,
            },
        }))
    }

    /// Serves the page until the process is gone: nobody waits for its end. Shows the EventJobs, and the ScaledJobs of
    /// `changes` on their way.
    pub(super) fn spawn(
        self,
        tasks: &mut Tasks,
        events: &mut Events,
        changes: mpsc::Receiver<Change>,
    ) -> mpsc::Receiver<Change> {
        let board = Arc::clone(&self.page.board);
        events.shown_on(Arc::clone(&board));
        tasks.spawn_beside("looks of the status page", look(Arc::clone(&board)));
        tasks.spawn_beside(
            "status page",
            serve(self.listener, self.page, self.settings),
        );
        tapped(tasks, Kinds::ScaledJobs, board, changes)
    }
}

/// Counts the Jobs of all objects, again and again.
pub(super) async fn look(board: Arc<Board>) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        board.look(clock());
    }
}

/// The page, as a task.
pub(super) fn serve<A: Admin>(
    listener: TcpListener,
    page: Arc<A>,
    settings: AdminSettings,
) -> impl Future<Output = anyhow::Result<()>> {
    admin::serve(listener, page, settings, CancellationToken::new()).map(Ok)
}

/// Changes of objects, shown on a board on their way.
pub(super) fn tapped(
    tasks: &mut Tasks,
    kinds: Kinds,
    board: Arc<Board>,
    mut changes: mpsc::Receiver<Change>,
) -> mpsc::Receiver<Change> {
    // Those that wait, wait before this one.
    let (onward, tapped) = mpsc::channel(1);
    let name = match kinds {
        Kinds::ScaledJobs => "scaled jobs of the status page",
        Kinds::EventJobs => "event jobs of the status page",
        Kinds::CronJobs => "cron jobs of the status page",
    };
    tasks.spawn(name, async move {
        while let Some(change) = changes.recv().await {
            note(&board, kinds, &change);
            if onward.send(change).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    tapped
}

fn note(board: &Board, kinds: Kinds, change: &Change) {
    match change {
        Change::Applied(object) if matches!(kinds, Kinds::CronJobs) => {
            if let Some(shown) = PageObject::of(object) {
                // It is written, and so read anew, after each due time.
                let next = next_times(object, clock());
                board.show(PageObject { next, ..shown });
            }
        }
        Change::Applied(object) => board.apply(object),
        Change::Removed { id, api } => board.remove(&PageKey {
            id: id.clone(),
            kind: match (kinds, api) {
                (Kinds::EventJobs, _) => PageKind::EventJob,
                (Kinds::CronJobs, _) => PageKind::CronJob,
                (Kinds::ScaledJobs, Api::Slipway) => PageKind::ScaledJob,
                (Kinds::ScaledJobs, Api::Keda) => PageKind::KedaScaledJob,
            },
        }),
        _ => {}
    }
}

/// Jobs as the watches show them.
struct SeenInCluster {
    counted: Arc<Kubernetes>,
    delivered: Arc<Delivered>,
    /// Where CronJobs are run in place.
    of_cron_jobs: Option<Arc<Delivered>>,
}

impl JobsAtHand for SeenInCluster {
    fn each(&self, object: &PageKey, see: &mut dyn FnMut(&PageJob<'_>)) -> bool {
        let mut of_scaled_job = |api| {
            let see = &mut *see;
            self.counted
                .each_seen(api, &object.id, &mut |job| see(&counted(job)))
        };
        match object.kind {
            PageKind::ScaledJob => of_scaled_job(Api::Slipway),
            PageKind::KedaScaledJob => of_scaled_job(Api::Keda),
            PageKind::EventJob => self
                .delivered
                .each_seen(&object.id, &mut |job| see(&delivered(job))),
            PageKind::CronJob => self.of_cron_jobs.as_ref().is_some_and(|launcher| {
                launcher.each_seen(&object.id, &mut |job| see(&delivered(job)))
            }),
        }
    }
}

fn counted(job: &JobState) -> PageJob<'_> {
    PageJob {
        name: &job.name,
        state: job.outcome.map_or(PageJobState::Running, ended),
        reason: job.end_reason,
        created_at: job.created_at,
        ended_at: job.finished_at,
    }
}

/// A Job of an event, for people.
fn delivered(job: &DeliveredJob) -> PageJob<'_> {
    let state = match (job.ended, job.gate) {
        (Some((outcome, _)), _) => ended(outcome),
        (None, Some(Gate::Waiting)) if job.is_suspended => PageJobState::Waiting,
        (None, Some(Gate::Dropped)) => PageJobState::Stopped,
        (None, _) if job.is_suspended => PageJobState::Stopped,
        (None, _) => PageJobState::Running,
    };
    PageJob {
        name: &job.id.name,
        state,
        reason: job.end_reason,
        created_at: Some(job.created_at),
        ended_at: job.ended.map(|(_, at)| at),
    }
}

pub(super) fn ended(outcome: JobOutcome) -> PageJobState {
    match outcome {
        JobOutcome::Complete => PageJobState::Complete,
        JobOutcome::Failed => PageJobState::Failed,
    }
}

impl ClusterPage {
    async fn read(&self, id: &ObjectId) -> Result<Option<JobStory>, String> {
        let ObjectId { namespace, name } = id;
        let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
        let answer = self.cluster.send(Call::get(path)).await;
        let answer = answer.map_err(|error| error.detail)?;
        if answer.status == 404 {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(answer.words());
        }
        let job: Value = answer.json().map_err(|error| error.detail)?;
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let pods = Call::get(path)
            .query(
                "labelSelector",
                format!("batch.kubernetes.io/job-name={name}"),
            )
            .query("limit", MOST_PODS);
        let pods = match self.cluster.send(pods).await {
            Ok(answer) if answer.is_success() => {
                answer.json::<Value>().map_err(|error| error.detail)
            }
            Ok(answer) => Err(answer.words()),
            Err(error) => Err(error.detail),
        };
        Ok(Some(match pods {
            Ok(mut pods) => JobStory {
                job,
                pods: pods["items"]
                    .as_array_mut()
                    .map(std::mem::take)
                    .unwrap_or_default(),
                pods_unknown: None,
            },
            Err(why) => JobStory {
                job,
                pods: Vec::new(),
                pods_unknown: Some(why),
            },
        }))
    }

    /// Tells of an action on the object it is about.
    async fn announce(&self, key: &PageKey, text: String) {
        let written = self.board.row(key).map(|row| row.object.written.value());
        let written = written.unwrap_or_default();
        let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text_of(&written["apiVersion"]), text_of(&written["kind"]));
        let regarding = Regarding {
            api_version: &api_version,
            kind: &kind,
            id: &key.id,
            uid: &text_of(&written["metadata"]["uid"]),
        };
        let note = Note {
            kind: "Normal",
            reason: "AdminAction",
            text,
        };
        let cluster = self.cluster.clone().with(Budget::Statuses);
        announce(&cluster, &config::instance(), &regarding, &note, clock()).await;
    }

    async fn trigger(&self, key: &PageKey) -> Result<String, String> {
        if self.board.row(key).is_none() {
            return Err(format!("there is no {} {}", key.kind.word(), key.id));
        }
        let words = "trigger: a Job was asked for through the status page";
        self.announce(key, words.to_owned()).await;
        let kind = AskedKind::of(key.kind);
        told(ask_in_cluster(&self.cluster, kind, &key.id, Wish::Trigger, PATIENCE).await)
    }

    async fn rerun(&self, job: &ObjectId) -> Result<String, String> {
        let story = self.read(job).await?.unwrap_or_default();
        let event_job = story.job["metadata"]["labels"][EVENT_JOB_LABEL].as_str();
        let key = PageKey {
            id: ObjectId::new(&job.namespace, event_job.unwrap_or_default()),
            kind: PageKind::EventJob,
        };
        if self.board.row(&key).is_none() {
            return Err(format!("there is no Job {job} of an EventJob here"));
        }
        let words = format!(
            "rerun: the next attempt of job {} was asked for through the status page",
            job.name
        );
        self.announce(&key, words).await;
        let place = OpenPlace::Cluster(self.cluster.clone(), job.namespace.to_string());
        told(rerun_in(&place, &job.name, PATIENCE).await)
    }
}

/// What came of an action, in words.
pub(super) fn told(asked: anyhow::Result<RequestOutcome>) -> Result<String, String> {
    let outcome = asked.map_err(|error| with_causes(error.as_ref()))?;
    if outcome.is_done {
        Ok(outcome.message)
    } else {
        Err(outcome.message)
    }
}

impl Admin for ClusterPage {
    fn board(&self) -> &Board {
        &self.board
    }

    fn memory(&self) -> PageMemory {
        PageMemory {
            instance: config::instance(),
            since: self.since,
            state_folder: None,
            leads: self.lead.is_held(),
            left_out: self.board.left_out(),
            troubles: self.troubles.lines(),
        }
    }

    fn history(&self) -> &SharedHistory {
        &self.history
    }

    fn story<'a>(&'a self, job: &'a ObjectId) -> BoxFuture<'a, Result<Option<JobStory>, String>> {
        self.read(job).boxed()
    }

    fn token(&self) -> Result<Option<SecretString>, String> {
        self.access.token()
    }

    fn act<'a>(&'a self, action: &'a AdminAction) -> BoxFuture<'a, Result<String, String>> {
        match action {
            AdminAction::Trigger(key) => self.trigger(key).boxed(),
            AdminAction::Rerun(job) => self.rerun(job).boxed(),
        }
    }
}
