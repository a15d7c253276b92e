//! The status page of `slipway local`: the files and the state folder, as a cluster's API server would show them.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use super::reports::Reports;
use crate::app::admin::{ended, serve, told};
use crate::app::requests::{AskedKind, ask_in_folder};
use crate::app::reruns::rerun_in;
use crate::app::target::OpenPlace;
use crate::app::{Tasks, clock, listen};
use crate::board::{Board, JobsAtHand};
use crate::config::AdminAccess;
use crate::controller::event_jobs::status::{self, EventJobStanding, Facts};
use crate::history::SharedHistory;
use crate::launch::JobOutcome;
use crate::launch::delivered::Gate;
use crate::launch::ports::{DeliveredJobs as _, Schedules as _};
use crate::local::{JobPhase, JobView, Local};
use crate::manifest::Manifests;
use crate::page::job::{JobLine, PageJob, PageJobState};
use crate::page::object::{PageKey, PageKind};
use crate::page::overview::PageMemory;
use crate::page::timeline::JobStory;
use crate::resource::cron_job::convert;
use crate::resource::event_job;
use crate::resource::requests::Wish;
use crate::resource::{Api, Fault, ObjectId};
use crate::serve::admin::{Admin, AdminAction, AdminSettings};

/// Where the page is when nobody says where.
pub const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9091);
/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Jobs are listed anew no more often.
const LIST_EVERY: Duration = Duration::from_millis(500);
/// How long somebody waits for what becomes of an action.
const PATIENCE: Duration = Duration::from_secs(8);

/// Where the page is to be, and who may do what there.
#[derive(Debug, Clone)]
pub struct LocalAdmin {
    /// Its address; `None` for [`ADMIN`], or another port where that is taken.
    pub address: Option<SocketAddr>,
    /// Who may ask it for what. Without a file the token of writes is made here, and told in the address.
    pub access: AdminAccess,
}

/// What the files say, for those who show it.
#[derive(Debug, Default)]
pub(super) struct ShownFiles {
    objects: Mutex<HashMap<PageKey, ShownDocument>>,
}

#[derive(Debug, Clone)]
struct ShownDocument {
    value: Value,
    /// What is wrong with it.
    faults: Vec<Fault>,
}

impl ShownFiles {
    /// Takes in what was read.
    pub(super) fn set(&self, manifests: &Manifests) {
        let mut objects = HashMap::new();
        let mut add = |value: &Value| {
            if let Some(key) = PageKey::of(value) {
                let value = value.clone();
                let faults = Vec::new();
                objects.insert(key, ShownDocument { value, faults });
            }
        };
        for entry in &manifests.entries {
            let document = &entry.document;
            if matches!(document.kind.as_str(), "ScaledJob" | "EventJob") && !document.is_deleted()
            {
                add(&document.value);
            }
        }
        for (index, cron_job) in &manifests.cron_jobs {
            let document = &manifests.entries[*index].document;
            if !document.is_deleted() {
                add(&convert(cron_job, &document.value).event_job);
            }
        }
        for finding in &manifests.faults {
            let Some((kind, id)) = &finding.object else {
                continue;
            };
            for (key, object) in &mut objects {
                let is_it = key.id == *id && object.value["kind"] == kind.as_str();
                if is_it {
                    object.faults.push(finding.fault.clone());
                }
            }
        }
        *self.lock() = objects;
    }

    /// What the conditions of an EventJob would say in a cluster; `null` while nobody has looked.
    pub(super) fn conditions(&self, id: &ObjectId, reports: &Reports) -> Value {
        let key = PageKey {
            id: id.clone(),
            kind: PageKind::EventJob,
        };
        let document = self.lock().get(&key).cloned();
        let facts = document.and_then(|document| document.facts(id, reports));
        facts.map_or(Value::Null, |facts| {
            status::wanted(id, &Value::Null, &facts)["conditions"].take()
        })
    }

    fn all(&self) -> HashMap<PageKey, ShownDocument> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PageKey, ShownDocument>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShownDocument {
    /// What is known of an EventJob but for its Jobs; `None` while nobody has looked.
    fn facts(&self, id: &ObjectId, reports: &Reports) -> Option<Facts> {
        let standing = match reports.standing(id) {
            _ if !self.faults.is_empty() => EventJobStanding::Invalid(self.faults.clone()),
            standing => standing?,
        };
        Some(Facts {
            generation: 0,
            standing,
            proof: None,
            has_schedule: Some(self.value["spec"]["source"]["cron"].is_object()),
            suspended: self.value["spec"]["suspend"] == true,
            jobs: None,
            latest: None,
            schedule: None,
            now: clock(),
        })
    }
}

/// The page, and where it listens.
pub(super) struct OpenAdmin {
    listener: TcpListener,
    page: Arc<LocalPage>,
    files: Arc<ShownFiles>,
    reports: Arc<Reports>,
    settings: AdminSettings,
}

/// What the page knows.
struct LocalPage {
    board: Arc<Board>,
    local: Local,
    access: AdminAccess,
    /// The token of writes, when it was made here.
    token: Option<SecretString>,
    history: Arc<SharedHistory>,
    since: Timestamp,
}

impl OpenAdmin {
    /// Binds the port, if there is to be one; nothing is spawned.
    ///
    /// # Errors
    ///
    /// The address is taken, or not ours.
    pub(super) async fn open(
        wanted: Option<&LocalAdmin>,
        local: &Local,
        reports: &Arc<Reports>,
        history: &Arc<SharedHistory>,
        files: &Arc<ShownFiles>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        let listener = match wanted.address {
            Some(address) => listen("--admin", address).await?,
            None => match listen("--admin", ADMIN).await {
                Ok(listener) => listener,
                // Another one has it.
                Err(_) => listen("--admin", SocketAddr::new(ADMIN.ip(), 0)).await?,
            },
        };
        let jobs = SeenHere {
            local: local.clone(),
            listed: Mutex::default(),
        };
        let is_made = wanted.access.admin_write && wanted.access.admin_token_file.is_none();
        let token = if is_made { Some(new_token()?) } else { None };
        Ok(Some(Self {
            listener,
            page: Arc::new(LocalPage {
                board: Arc::new(Board::new(Box::new(jobs))),
                local: local.clone(),
                access: wanted.access.clone(),
                token,
                history: Arc::clone(history),
                since: clock(),
            }),
            files: Arc::clone(files),
            reports: Arc::clone(reports),
            settings: AdminSettings {
                hosts: wanted.access.admin_host.clone(),
                clock,
            },
        }))
    }

    /// Where it is, with the token of writes after a #: a browser keeps that to itself.
    ///
    /// # Errors
    ///
    /// The system does not say where.
    pub(super) fn address(&self) -> std::io::Result<String> {
        let address = self.listener.local_addr()?;
        let token = self.page.token.as_ref();
        let token = token.map(|token| format!("#token={}", token.expose_secret()));
        Ok(format!("http://{address}/{}", token.unwrap_or_default()))
    }

    /// Serves it until the process is gone: nobody waits for its end.
    pub(super) fn spawn(self, tasks: &mut Tasks) {
        let Self {
            listener,
            page,
            files,
            reports,
            settings,
        } = self;
        tasks.spawn_beside(
            "looks of the status page",
            look(Arc::clone(&page), files, reports),
        );
        tasks.spawn_beside("status page", serve(listener, page, settings));
    }
}

/// 128 bits that nobody guesses.
fn new_token() -> anyhow::Result<SecretString> {
    let mut bytes = [0; 16];
    let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    random.context("this machine gives no random numbers")?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)).into())
}

/// Brings the board up to what files, reports and Jobs say, again and again.
async fn look(
    page: Arc<LocalPage>,
    files: Arc<ShownFiles>,
    reports: Arc<Reports>,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut statuses: HashMap<PageKey, Value> = HashMap::new();
    loop {
        ticks.tick().await;
        let objects = files.all();
        let gone: Vec<PageKey> = statuses
            .extract_if(|key, _| !objects.contains_key(key))
            .map(|(key, _)| key)
            .collect();
        for key in gone {
            page.board.remove(&key);
        }
        for (key, document) in objects {
            let before = statuses.remove(&key).unwrap_or_default();
            let status = page.status(&key, &document, before, &reports).await;
            let mut object = document.value;
            object["status"] = status.clone();
            page.board.apply(&object);
            statuses.insert(key, status);
        }
        page.board.look(clock());
    }
}

impl LocalPage {
    /// What the object's status would be in a cluster.
    async fn status(
        &self,
        key: &PageKey,
        document: &ShownDocument,
        before: Value,
        reports: &Reports,
    ) -> Value {
        let api = match key.kind {
            PageKind::ScaledJob => Some(Api::Slipway),
            PageKind::KedaScaledJob => Some(Api::Keda),
            PageKind::EventJob | PageKind::CronJob => None,
        };
        if let Some(api) = api {
            if document.faults.is_empty() {
                return reports.status(&key.id, api).unwrap_or_default();
            }
            return json!({"conditions": [
                {"type": "Ready", "status": "False", "reason": "ScaledJobCheckFailed", "message": Fault::list(&document.faults)},
            ]});
        }
        let Some(facts) = document.facts(&key.id, reports) else {
            return before;
        };
        let facts = Facts {
            jobs: self.local.seen(&key.id).ok(),
            ..facts
        };
        let mut status = status::wanted(&key.id, &before, &facts);
        if document.value["spec"]["source"]["cron"].is_object()
            && let Ok(event_job) = event_job::parse(&document.value)
            && let Ok(record) = self.local.read(&event_job).await
            && let Some(status) = status.as_object_mut()
        {
            status.extend(record.to_status());
        }
        status
    }

    async fn read(&self, id: &ObjectId) -> Result<Option<JobStory>, String> {
        let story = self.local.story(id).await;
        let story = story.map_err(|error| error.to_string())?;
        Ok(story.map(|(job, pods)| JobStory {
            job,
            pods,
            pods_unknown: None,
        }))
    }

    async fn trigger(&self, key: &PageKey) -> Result<String, String> {
        let row = self.board.row(key);
        if !row.is_some_and(|row| row.object.source.starts_with("schedule")) {
            return Err(format!(
                "there is no {} {} with a schedule",
                key.kind.word(),
                key.id
            ));
        }
        tracing::info!(object = %key.id, "trigger: a Job of {} was asked for through the status page", key.id);
        let (state, kind) = (self.local.state(), AskedKind::of(key.kind));
        told(ask_in_folder(state, kind, &key.id, Wish::Trigger, PATIENCE).await)
    }

    async fn rerun(&self, job: &ObjectId) -> Result<String, String> {
        tracing::info!(%job, "rerun: the next attempt of {job} was asked for through the status page");
        let state = self.local.state().to_owned();
        let place = OpenPlace::Local(state, job.namespace.to_string());
        told(rerun_in(&place, &job.name, PATIENCE).await)
    }
}

impl Admin for LocalPage {
    fn board(&self) -> &Board {
        &self.board
    }

    fn memory(&self) -> PageMemory {
        PageMemory {
            instance: "this process".to_owned(),
            since: self.since,
            state_folder: Some(self.local.state().display().to_string()),
            leads: true,
            left_out: self.board.left_out(),
            troubles: Vec::new(),
        }
    }

    fn history(&self) -> &SharedHistory {
        &self.history
    }

    fn story<'a>(&'a self, job: &'a ObjectId) -> BoxFuture<'a, Result<Option<JobStory>, String>> {
        self.read(job).boxed()
    }

    fn token(&self) -> Result<Option<SecretString>, String> {
        match &self.token {
            Some(token) => Ok(Some(token.clone())),
            None => self.access.token(),
        }
    }

    fn act<'a>(&'a self, action: &'a AdminAction) -> BoxFuture<'a, Result<String, String>> {
        match action {
            AdminAction::Trigger(key) => self.trigger(key).boxed(),
            AdminAction::Rerun(job) => self.rerun(job).boxed(),
        }
    }
}

/// The Jobs of the state folder, listed once for all objects.
struct SeenHere {
    local: Local,
    listed: Mutex<Option<ListedHere>>,
}

struct ListedHere {
    at: Instant,
    /// By the object that each was made for, and whether that is a ScaledJob.
    jobs: HashMap<(ObjectId, bool), Vec<JobLine>>,
}

impl JobsAtHand for SeenHere {
    fn each(&self, object: &PageKey, see: &mut dyn FnMut(&PageJob<'_>)) -> bool {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = match listed.take() {
            Some(fresh) if fresh.at.elapsed() < LIST_EVERY => listed.insert(fresh),
            _ => listed.insert(ListedHere {
                at: Instant::now(),
                jobs: by_object(self.local.views()),
            }),
        };
        let is_scaled = matches!(object.kind, PageKind::ScaledJob | PageKind::KedaScaledJob);
        let jobs = listed.jobs.get(&(object.id.clone(), is_scaled));
        for job in jobs.into_iter().flatten() {
            see(&PageJob {
                name: &job.name,
                state: job.state,
                reason: &job.reason,
                created_at: job.created_at,
                ended_at: job.ended_at,
            });
        }
        true
    }
}

fn by_object(views: Vec<JobView>) -> HashMap<(ObjectId, bool), Vec<JobLine>> {
    let mut jobs: HashMap<_, Vec<JobLine>> = HashMap::new();
    for view in views {
        let owner = match (&view.scaled_job, &view.event_job) {
            (Some(scaled_job), _) => (scaled_job.clone(), true),
            (None, Some(event_job)) => (event_job.clone(), false),
            (None, None) => continue,
        };
        jobs.entry(owner).or_default().push(line(&view));
    }
    jobs
}

fn line(view: &JobView) -> JobLine {
    let state = match (view.phase, view.gate) {
        (JobPhase::Complete, _) => ended(JobOutcome::Complete),
        (JobPhase::Failed, _) => ended(JobOutcome::Failed),
        (JobPhase::Suspended, Some(Gate::Waiting)) => PageJobState::Waiting,
        (JobPhase::Suspended, _) => PageJobState::Stopped,
        (JobPhase::Waiting | JobPhase::Running, _) => PageJobState::Running,
    };
    JobLine {
        name: view.id.name.to_string(),
        state,
        reason: view.reason.unwrap_or_default().to_owned(),
        created_at: Some(view.created_at),
        ended_at: view.finished_at,
    }
}
