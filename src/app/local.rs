//! The same engine with no cluster: objects from files, Jobs as processes, events over HTTP.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::signal::unix::SignalKind;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::address::{HttpsProxy, Rules};
use crate::app::history::{KeptHistory, MOST_LOCAL};
use crate::app::occurrences::SeenOccurrences;
use crate::app::{
    Signals, Tasks, clock, is_synced, listen, run_turns, serve_health, until_the_end,
};
use crate::catalog::Catalog;
use crate::controller::lead::Always;
use crate::controller::metrics::Metrics;
use crate::controller::recording::Recorded;
use crate::controller::scheduling::SchedulePorts;
use crate::controller::watch::troubles::WatchTroubles;
use crate::controller::{Change, TurnPorts, WAITING_CHANGES, admission};
use crate::history::memory::DEFAULT_MEMORY;
use crate::history::{SharedHistory, SubjectKind};
use crate::intake::auth::Authenticator;
use crate::intake::fetch::https::Https;
use crate::intake::fetch::trust::Trust;
use crate::intake::webhook::{self, Deliveries, Webhook};
use crate::launch::JobOutcome;
use crate::launch::delivered::Gate;
use crate::local::{Fact, JobPhase, JobView, Local};
use crate::lookup::files::Files;
use crate::serve::Stops;
use crate::serve::health::Readiness;
use crate::source::pool::{self, Pool};
use crate::telemetry;

pub use self::admin::{ADMIN, LocalAdmin};
use self::admin::{OpenAdmin, ShownFiles};
use self::door::Knocked;
use self::event_jobs::{AppliedEventJobs, OnlyFiles, Opening};
use self::files::WatchedFiles;

use self::refusals::ToldRefusals;
pub use self::reports::{ObjectNews, ObjectState, Reports};

mod admin;
mod door;
mod event_jobs;
mod files;
mod refusals;
mod reports;

/// How long processes get to end when `slipway local` is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(40);

/// Where the door for events is when nobody says where. Loopback: who can reach it can start processes here.
pub const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// What `slipway local` is asked to do.
#[derive(Clone)]
pub struct RunSettings {
    /// Files and folders with the objects.
    pub files: Vec<PathBuf>,
    /// What they hold that triggers and containers refer to: filled here, and looked into by the Jobs too.
    pub lookup: Arc<Files>,
    /// The folder of records of decisions and answers, if they are to outlive the process.
    pub history: Option<PathBuf>,
    /// End when nothing is left to do.
    pub until_idle: bool,
    /// Address for /livez, /readyz and /metrics, if any.
    pub health: Option<SocketAddr>,
    /// The status page, if there is to be one.
    pub admin: Option<LocalAdmin>,
    /// Address of the door for events; without one it is [`HTTP`], and opened when the files have an EventJob.
    pub http: Option<SocketAddr>,
    /// With EventJobs, nothing is left to do once nobody has been at the door for so long.
    pub quiet: Duration,
    /// Hosts that may be called although they are link-local or metadata services.
    pub allow_address: Vec<String>,
    /// Hosts that may see our own AWS identity although they are not AWS's.
    pub allow_identity: Vec<String>,
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
    /// What was decided and answered of late.
    pub history: Arc<SharedHistory>,
    /// Where events are taken, once the door is open.
    pub door: watch::Receiver<Option<SocketAddr>>,
    /// Where the status page is, if there is one; with the token of writes, if they are on.
    pub page: Option<String>,
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunSummary {
    /// Jobs that succeeded, those of earlier runs that are remembered included.
    pub succeeded: usize,
    /// Jobs that failed, likewise.
    pub failed: usize,
    /// Jobs that are not finished, and may run.
    pub unfinished: usize,
    /// Jobs that are not finished, and that `suspend` keeps from running.
    pub suspended: usize,
    /// Things that were wrong in the files at the end, and ScaledJobs whose sources cannot be read.
    pub faults: usize,
    /// The signal that ended it, if one did.
    pub signal: Option<SignalKind>,
}

impl RunSummary {
    /// Was everything right, and did every Job succeed?
    pub fn is_success(&self) -> bool {
        (self.failed, self.faults, self.unfinished, self.suspended) == (0, 0, 0, 0)
    }
}

/// Runs until a signal, or until nothing is left to do; meanwhile `show` runs, until its token is cancelled.
///
/// # Errors
///
/// What kept it from starting, or the name of a task that ended before it was told to.
pub async fn run<Show>(
    settings: RunSettings,
    local: Local,
    show: impl FnOnce(Engine, CancellationToken) -> Show,
) -> anyhow::Result<RunSummary>
where
    Show: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut signals = Signals::new()?;
    let mut registry = telemetry::registry();
    let proxy = super::https_proxy()?;
    let rules = Rules::new(settings.allow_address.iter().cloned(), true).through(proxy.clone());
    let catalog = Arc::new(Catalog::default());
    let pool = sources(&settings, proxy, &mut registry).counting(seen(&local, &catalog));
    let stops = Stops::default();
    let stop = stops.closing.clone();
    let reports = Arc::new(Reports::new(stop.clone()));
    let (changes, received) = mpsc::channel(WAITING_CHANGES);
    let tally = Arc::new(Tally::of(&local));
    let kept = KeptHistory::of(settings.history.as_deref(), DEFAULT_MEMORY, MOST_LOCAL)?;
    let history = kept.shared.clone();
    let schedules = makers(&local, &reports, &history);
    let webhook = webhook(&settings, &catalog, schedules.clone(), rules, &mut registry);
    let door = Arc::new(Knocked::new(webhook));
    let (opening, to_be_served, door_address) = Opening::new(settings.http).await?;
    let shown = Arc::new(ShownFiles::default());
    let wanted = settings.admin.as_ref();
    let admin = OpenAdmin::open(wanted, &local, &reports, &history, &shown).await?;
    let files = WatchedFiles {
        local: local.clone(),
        shown,
        event_jobs: AppliedEventJobs {
            local: local.clone(),
            catalog: catalog.clone(),
            reports: reports.clone(),
            lookup: settings.lookup.clone(),
            door: opening,
            applied: HashMap::new(),
            invalid: HashSet::new(),
        },
        door: door.clone(),
        quiet: settings.quiet,
        lookup: settings.lookup.clone(),
        reports: reports.clone(),
        changes: changes.clone(),
        applied: HashMap::new(),
        faults: HashSet::new(),
        ignored: HashSet::new(),
        is_read: false,
        tally: tally.clone(),
    };
    let metrics = Metrics::register(&mut registry);
    let shared = TurnPorts {
        lead: Arc::new(Always),
        launcher: Arc::new(local.clone()),
        sources: Arc::new(pool),
        lookup: files.lookup.clone(),
        reporter: reports.clone(),
        metrics: metrics.clone(),
        history: history.clone(),
        clock,
        // A Job is made, or is not: no create is ever in doubt.
        latest_create: Duration::ZERO,
    };

    let mut tasks = Tasks::new(stops.clone());
    let ready = until_the_end(move || is_synced(&metrics), &stops);
    spawn_health(&mut tasks, settings.health, registry, ready.clone()).await?;
    tasks.spawn_beside("history", KeptHistory::write(kept.writer()));
    let facts = local.facts();
    tasks.spawn(
        "show",
        show(
            Engine {
                local: local.clone(),
                reports: reports.clone(),
                history,
                door: door_address,
                page: admin.as_ref().map(OpenAdmin::address).transpose()?,
            },
            stop.clone(),
        ),
    );
    if let Some(admin) = admin {
        admin.spawn(&mut tasks);
    }
    spawn_jobs(&mut tasks, &local, catalog, schedules, &stop);
    tasks.spawn(
        "finished jobs",
        forward_finished(facts, changes, tally.clone(), stop.clone()),
    );
    tasks.spawn("turns", run_turns(shared, received, stop.clone()));
    tasks.spawn("events", door::serve(to_be_served, door, ready, stops));
    tasks.spawn(
        "files",
        files.run(settings.files, settings.until_idle, stop),
    );
    let finished = tasks
        .finish(&mut signals, Duration::ZERO, DRAIN_TIMEOUT)
        .await;
    local.terminate().await;
    kept.close();
    finished?;
    Ok(RunSummary {
        signal: signals.first(),
        ..tally.ended(&local, &reports)
    })
}

/// Opens the health port, if there is to be one.
async fn spawn_health(
    tasks: &mut Tasks,
    address: Option<SocketAddr>,
    registry: Registry,
    ready: Readiness,
) -> anyhow::Result<()> {
    if let Some(address) = address {
        let listener = listen("--health", address).await?;
        tasks.spawn_beside(
            "health",
            serve_health(listener, registry, ready, WatchTroubles::default()),
        );
    }
    Ok(())
}

/// Runs Jobs, and looks after those of events.
fn spawn_jobs(
    tasks: &mut Tasks,
    local: &Local,
    catalog: Arc<Catalog>,
    schedules: SchedulePorts,
    stop: &CancellationToken,
) {
    tasks.spawn("jobs", {
        let (local, stop) = (local.clone(), stop.clone());
        async move {
            local.run(stop).await;
            Ok(())
        }
    });
    let (local, stop) = (Arc::new(local.clone()), stop.clone());
    tasks.spawn("admission", async move {
        let ports = admission::Ports {
            holder: local.holder().to_owned(),
            grace: local.grace(),
            jobs: local.clone(),
            gates: local.clone(),
            reruns: local.clone(),
            ledger: local,
            schedules,
            clock,
        };
        // The state folder is ours alone.
        admission::run(ports, catalog, Arc::new(Always), stop).await;
        Ok(())
    });
}

fn seen(local: &Local, catalog: &Arc<Catalog>) -> Arc<SeenOccurrences> {
    Arc::new(SeenOccurrences {
        jobs: Arc::new(local.clone()),
        grace: local.grace(),
        catalog: catalog.clone(),
        clock,
    })
}

fn sources(settings: &RunSettings, proxy: Option<HttpsProxy>, registry: &mut Registry) -> Pool {
    let pool = Pool::new(pool::Settings {
        allow_address: settings.allow_address.clone(),
        allow_identity: settings.allow_identity.clone(),
        proxy,
        allow_loopback: true,
        web_identity_token_file: settings.web_identity_token_file.clone(),
        sts_endpoint: None,
    });
    pool.register(registry.sub_registry_with_prefix("source"));
    pool
}

/// What makes Jobs of events and of due times, and tells of them.
fn makers(local: &Local, reports: &Arc<Reports>, history: &Arc<SharedHistory>) -> SchedulePorts {
    let launcher = Arc::new(local.clone());
    let told = Arc::new(ToldRefusals::new(reports.clone()));
    let deliveries = Deliveries::new(launcher.clone(), launcher.clone(), local.grace(), clock);
    SchedulePorts {
        deliveries: Arc::new(deliveries),
        schedules: launcher,
        record: Arc::new(Recorded::new(
            SubjectKind::EventJob,
            told,
            history.clone(),
            clock,
        )),
        rush: Arc::default(),
    }
}

fn webhook(
    settings: &RunSettings,
    catalog: &Arc<Catalog>,
    events: SchedulePorts,
    rules: Rules,
    registry: &mut Registry,
) -> Webhook {
    let metrics = webhook::metrics::Metrics::default();
    metrics.register(registry.sub_registry_with_prefix("webhook"));
    let trust = Trust::native();
    let fetch = Arc::new(Https::new(rules, trust.clone()));
    Webhook::new(
        catalog.clone(),
        Authenticator::trusting(settings.lookup.clone(), fetch, clock, trust),
        events.deliveries,
        Arc::new(OnlyFiles(catalog.clone())),
        metrics,
        events.record,
    )
}

/// What is counted on the way.
struct Tally {
    succeeded: AtomicUsize,
    failed: AtomicUsize,
    /// Of the last look at the files.
    faults: AtomicUsize,
}

impl Tally {
    /// What there was before.
    fn of(local: &Local) -> Self {
        let before = local.views();
        let ended = |phase| before.iter().filter(|job| job.phase == phase).count();
        Self {
            succeeded: AtomicUsize::new(ended(JobPhase::Complete)),
            failed: AtomicUsize::new(ended(JobPhase::Failed)),
            faults: AtomicUsize::new(0),
        }
    }

    fn ended(&self, local: &Local, reports: &Reports) -> RunSummary {
        let views = local.views();
        let is_unfinished =
            |job: &&JobView| job.finished_at.is_none() && job.gate != Some(Gate::Dropped);
        let is_suspended = |job: &&JobView| job.phase == JobPhase::Suspended && job.gate.is_none();
        let unfinished = views.iter().filter(is_unfinished).count();
        let suspended = views.iter().filter(is_suspended).count();
        RunSummary {
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            unfinished: unfinished - suspended,
            suspended,
            signal: None,
            faults: self.faults.load(Ordering::Relaxed) + reports.stuck(),
        }
    }
}

/// Tells the loop about Jobs that finished, and counts them.
async fn forward_finished(
    mut facts: broadcast::Receiver<Fact>,
    changes: mpsc::Sender<Change>,
    tally: Arc<Tally>,
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
        match outcome {
            JobOutcome::Complete => &tally.succeeded,
            JobOutcome::Failed => &tally.failed,
        }
        .fetch_add(1, Ordering::Relaxed);
        if let Some(id) = scaled_job
            && changes.send(Change::JobFinished(id)).await.is_err()
        {
            return Ok(());
        }
    }
}
