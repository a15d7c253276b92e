//! The same engine with no cluster: objects from files, Jobs as processes.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::app::{Signals, Tasks, clock, listen, run_turns, serve_health};
use crate::controller::metrics::Metrics;
use crate::controller::status::{self, Report, Turn};
use crate::controller::{Change, Identity, Reporter, Shared, WAITING_CHANGES};
use crate::launch::Outcome;
use crate::launch::local::{Fact, JobPhase, Local, Submitted};
use crate::lookup::files::Current;
use crate::manifest::{self, Finding};
use crate::resource::{Api, Fault, ObjectId};
use crate::source::pool::{self, Pool};
use crate::telemetry;

/// How often files are looked at for changes. A look is a `stat` a file.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often `--until-idle` asks whether anything is left to do.
const IDLE_EVERY: Duration = Duration::from_millis(100);

/// How long processes get to end when `slipway local` is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(40);

/// What `slipway local` is asked to do.
#[derive(Clone)]
pub struct Settings {
    /// Files and folders with the objects.
    pub files: Vec<PathBuf>,
    /// End when nothing is left to do.
    pub until_idle: bool,
    /// Address for /livez, /readyz and /metrics, if any.
    pub health: Option<SocketAddr>,
    /// Hosts that may be contacted although they are not AWS's own while our own AWS identity is used.
    pub allow_address: Vec<String>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub web_identity_token_file: Option<PathBuf>,
}

/// A `slipway local` under way, for those who show it.
#[derive(Clone)]
pub struct Engine {
    /// The Jobs.
    pub local: Local,
    /// What there is to say about each object now.
    pub reports: Arc<Reports>,
}

/// The latest report of each object.
#[derive(Default)]
pub struct Reports {
    latest: Mutex<HashMap<(ObjectId, Api), Report>>,
}

impl Reports {
    /// Every object as it stands, by namespace and name.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while the lock is held.
    pub fn all(&self) -> Vec<Standing> {
        let latest = self.latest.lock().expect("no panic while held");
        let mut all: Vec<_> = latest
            .iter()
            .map(|((id, _), report)| standing(id, report))
            .collect();
        all.sort_by(|left, right| left.id.cmp(&right.id));
        all
    }

    fn drop_report(&self, id: &ObjectId, api: Api) {
        self.latest
            .lock()
            .expect("no panic while held")
            .remove(&(id.clone(), api));
    }

    /// Whether an object's last turn found nothing to do and no Job unfinished.
    fn is_idle(&self, id: &ObjectId, api: Api) -> bool {
        let latest = self.latest.lock().expect("no panic while held");
        match latest.get(&(id.clone(), api)).map(|report| &report.turn) {
            Some(Turn::Polled(poll)) => {
                poll.counts.unfinished == 0
                    && poll.decision.launch == 0
                    && poll.decision.held_back == 0
                    && poll.triggers.iter().all(|trigger| trigger.result.is_ok())
            }
            Some(Turn::Paused | Turn::Invalid(_)) => true,
            _ => false,
        }
    }
}

/// How an object stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Namespace and name.
    pub id: ObjectId,
    /// Units of work waiting; `None` when it is not known.
    pub backlog: Option<f64>,
    /// The last decision's reason, or why there is none.
    pub reason: String,
}

fn standing(id: &ObjectId, report: &Report) -> Standing {
    let (backlog, reason) = match &report.turn {
        Turn::Polled(poll) => {
            let failure = poll
                .triggers
                .iter()
                .find_map(|trigger| trigger.result.as_ref().err());
            let reason = failure.map_or(&poll.decision.reason, |failure| &failure.text);
            (status::backlog(&poll.triggers), reason.clone())
        }
        Turn::ToppedUp(top_up) => (None, top_up.reason.clone()),
        Turn::Failed(failure) => (None, failure.text.clone()),
        Turn::Invalid(faults) => (
            None,
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        ),
        Turn::Paused => (None, "paused".to_owned()),
        Turn::Accepted => (None, "not read yet".to_owned()),
    };
    Standing {
        id: id.clone(),
        backlog,
        reason,
    }
}

impl Reporter for Reports {
    fn report<'a>(&'a self, object: &'a Identity, report: Report) -> BoxFuture<'a, ()> {
        let key = (object.id.clone(), object.api);
        self.latest
            .lock()
            .expect("no panic while held")
            .insert(key, report);
        Box::pin(std::future::ready(()))
    }

    fn forget(&self, object: &Identity) {
        self.drop_report(&object.id, object.api);
    }
}

/// Runs until a signal, or until nothing is left to do; meanwhile `show` runs, until its token is cancelled.
///
/// True when every Job succeeded and everything in the files was right.
///
/// # Errors
///
/// What kept it from starting, or the name of a task that ended before it was told to.
pub async fn run<Show>(
    settings: Settings,
    local: Local,
    show: impl FnOnce(Engine, CancellationToken) -> Show,
) -> anyhow::Result<bool>
where
    Show: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut signals = Signals::new()?;
    let mut registry = telemetry::registry();
    let pool = Pool::new(pool::Settings {
        allow_address: settings.allow_address,
        allow_loopback: true,
        web_identity_token_file: settings.web_identity_token_file,
        sts_endpoint: None,
    });
    pool.register(registry.sub_registry_with_prefix("source"));
    let reports = Arc::new(Reports::default());
    let (changes, received) = mpsc::channel(WAITING_CHANGES);
    let failures = Arc::new(AtomicUsize::new(0));
    let mut files = Files {
        local: local.clone(),
        lookup: Arc::new(Current::default()),
        reports: reports.clone(),
        changes: changes.clone(),
        applied: HashMap::new(),
        failures: failures.clone(),
    };
    let metrics = Metrics::register(&mut registry);
    let shared = Shared {
        launcher: Arc::new(local.clone()),
        sources: Arc::new(pool),
        lookup: files.lookup.clone(),
        reporter: reports.clone(),
        metrics: metrics.clone(),
        clock,
    };
    let listener = match settings.health {
        Some(address) => Some(listen("--health", address).await?),
        None => None,
    };

    let stop = CancellationToken::new();
    let mut tasks = Tasks::new(stop.clone());
    if let Some(listener) = listener {
        tasks.spawn(
            "health",
            serve_health(listener, registry, metrics, stop.clone()),
        );
    }
    let facts = local.facts();
    tasks.spawn(
        "show",
        show(
            Engine {
                local: local.clone(),
                reports,
            },
            stop.clone(),
        ),
    );
    tasks.spawn("jobs", {
        let (local, stop) = (local.clone(), stop.clone());
        async move {
            local.run(stop).await;
            Ok(())
        }
    });
    tasks.spawn(
        "finished jobs",
        forward_finished(facts, changes, failures.clone(), stop.clone()),
    );
    tasks.spawn("turns", run_turns(shared, received, stop.clone()));
    tasks.spawn("files", async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = files.follow(&settings.files, settings.until_idle) => stop.cancel(),
        }
        Ok(())
    });
    let finished = tasks.finish(&mut signals, DRAIN_TIMEOUT).await;
    local.terminate().await;
    finished?;
    let failed_before = local
        .views()
        .iter()
        .any(|job| job.phase == JobPhase::Failed);
    Ok(failures.load(Ordering::Relaxed) == 0 && !failed_before)
}

/// Tells the loop about Jobs that finished, and counts those that failed.
async fn forward_finished(
    mut facts: broadcast::Receiver<Fact>,
    changes: mpsc::Sender<Change>,
    failures: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let fact = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            fact = facts.recv() => fact,
        };
        let (scaled_job, outcome) = match fact {
            Ok(Fact::Finished {
                scaled_job,
                outcome,
                ..
            }) => (scaled_job, outcome),
            // Missed facts cost a turn: the next timer looks at the world again.
            Ok(_) | Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        };
        if outcome == Outcome::Failed {
            failures.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(id) = scaled_job
            && changes.send(Change::JobFinished(id)).await.is_err()
        {
            return Ok(());
        }
    }
}

/// The files, and what has been made of them.
struct Files {
    local: Local,
    lookup: Arc<Current>,
    reports: Arc<Reports>,
    changes: mpsc::Sender<Change>,
    /// ScaledJobs that the loop knows, as they are written.
    applied: HashMap<(ObjectId, Api), Value>,
    /// Things that were wrong, in the files or with Jobs.
    failures: Arc<AtomicUsize>,
}

impl Files {
    /// Reads the files now and whenever they change. Ends when nothing is left to do, if that is asked for.
    async fn follow(&mut self, paths: &[PathBuf], until_idle: bool) {
        let once = paths.iter().any(|path| path.as_os_str() == "-");
        let mut seen = None;
        loop {
            let now = stamps(paths);
            if seen.is_none() || (!once && seen.as_ref() != Some(&now)) {
                seen = Some(now);
                self.reload(paths).await;
            }
            if until_idle && self.is_idle() {
                return;
            }
            tokio::time::sleep(if until_idle { IDLE_EVERY } else { LOOK_EVERY }).await;
        }
    }

    /// An object that became wrong, or whose file cannot be read now, goes on as it last was right.
    async fn reload(&mut self, paths: &[PathBuf]) {
        let manifests = manifest::load(paths).await;
        for finding in &manifests.faults {
            self.failures.fetch_add(1, Ordering::Relaxed);
            warn!("{finding}");
        }
        let unreadable = manifests
            .faults
            .iter()
            .any(|finding| finding.object.is_none());
        let written: HashSet<ObjectId> = manifests
            .entries
            .iter()
            .map(|entry| entry.document.id.clone())
            .collect();
        let mut objects = Vec::new();
        for (index, scaled_job) in &manifests.scaled_jobs {
            objects.push((
                (scaled_job.id.clone(), scaled_job.api),
                manifests.entries[*index].document.value.clone(),
            ));
        }
        let jobs: Vec<(Finding, Value)> = manifests
            .jobs
            .iter()
            .map(|index| &manifests.entries[*index])
            .map(|entry| {
                (
                    entry.finding(Fault::at("", "")),
                    entry.document.value.clone(),
                )
            })
            .collect();
        let is_first = self.applied.is_empty();
        self.lookup.set(manifests.files);
        self.local.set_lookup(self.lookup.clone());
        for (place, job) in jobs {
            self.submit(place, job).await;
        }
        let gone: Vec<_> = self
            .applied
            .keys()
            .filter(|(id, _)| !unreadable && !written.contains(id))
            .cloned()
            .collect();
        for (id, api) in gone {
            self.applied.remove(&(id.clone(), api));
            self.reports.drop_report(&id, api);
            self.tell(Change::Removed { id, api }).await;
        }
        for (key, value) in objects {
            self.apply(key, value, is_first).await;
        }
        self.tell(Change::Synced).await;
    }

    async fn apply(&mut self, key: (ObjectId, Api), value: Value, is_first: bool) {
        if self.applied.get(&key) == Some(&value) {
            if !is_first {
                self.tell(Change::ReferencesChanged(Some(key.0.namespace)))
                    .await;
            }
            return;
        }
        let mut applied = value.clone();
        match self.local.round(&key.0) {
            Ok(Some(round)) => {
                applied["status"] = json!({"round": {"number": round.number, "jobs": round.jobs}});
            }
            Ok(None) => {}
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                warn!("{error}; nothing is launched for {}", key.0);
                return;
            }
        }
        self.applied.insert(key, value);
        self.tell(Change::Applied(applied)).await;
    }

    async fn submit(&self, mut place: Finding, job: Value) {
        match self.local.submit(job).await {
            Ok(Submitted::Created | Submitted::AlreadyThere | Submitted::Updated) => {}
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                place.fault.message = error.to_string();
                warn!("{place}");
            }
        }
    }

    async fn tell(&self, change: Change) {
        // The loop ends only when everything does.
        drop(self.changes.send(change).await);
    }

    fn is_idle(&self) -> bool {
        self.local.is_idle()
            && self
                .applied
                .keys()
                .all(|(id, api)| self.reports.is_idle(id, *api))
    }
}

/// What tells that a file changed: when it was written, and its length.
fn stamps(paths: &[PathBuf]) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let mut files = Vec::new();
    for path in paths {
        match std::fs::read_dir(path) {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => files.push(path.clone()),
        }
    }
    files.sort();
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files
        .into_iter()
        .map(|path| (path.clone(), stamp(&path)))
        .collect()
}
