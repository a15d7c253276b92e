//! The only place that chooses adapters, spawns tasks and stops them.
//!
//! Build (may fail, nothing is spawned yet), bind every socket, then spawn. Every
//! task belongs to one `Tasks`; one that ends before it is told to ends the
//! process with its name. The first SIGTERM asks for a clean stop, the second ends
//! at once.
//!
//! A clean stop has two steps. First it is announced: the process is not ready, leads no more, and serves as before, so
//! that those who send find another replica. After `--shutdown-delay` its ports close, and what is under way ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::history::{KeptHistory, MOST_ON_DISK};
use crate::address::HttpsProxy;
use crate::cluster::{self, Cluster, Scope};
use crate::config::{self, ClusterTarget, Config};
use crate::controller::event_jobs::LONGEST_START;
use crate::controller::metrics::Metrics;
use crate::controller::status_writer::StatusWriter;
use crate::controller::watch::troubles::WatchTroubles;
use crate::controller::watch::{Kinds, Watch};
use crate::controller::{self, Change, TurnPorts, WAITING_CHANGES};
use crate::launch::kubernetes::Kubernetes;
use crate::lookup::kubernetes::KubernetesLookup;
use crate::serve::health::{self, Health, Readiness};
use crate::serve::{Stops, raise_descriptor_limit};
use crate::source::pool::{self, Pool};
use crate::telemetry;

mod admin;
mod certificates;
mod change;
mod cron_jobs;
mod events;
pub mod explain;
pub mod history;
pub mod jobs;
mod keda;
mod lag;
mod lead;
pub mod local;
mod occurrences;
pub mod removal;
pub mod requests;
pub mod reruns;
pub mod target;

/// Settings that cannot work: the exit code is that of wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongSettings(pub(crate) String);

/// Runs in a cluster until SIGTERM or SIGINT.
///
/// # Errors
///
/// What kept it from starting, or the name of a task that ended before it was told to.
pub async fn run(config: Config) -> anyhow::Result<()> {
    // First of all: a SIGTERM in the first second is a clean stop too.
    let mut signals = Signals::new()?;
    raise_descriptor_limit();
    let (cluster, own_namespace) = connect(&config.cluster).await?;
    let scope = scope(&config, &own_namespace);
    let mut registry = telemetry::registry();
    let metrics = Metrics::register(&mut registry);
    let troubles = WatchTroubles::default();
    troubles.register(&mut registry);
    let lag = lag::LoopLag::register(&mut registry);
    let lookup = Arc::new(lookup(&cluster, &config, &scope, &own_namespace));
    let candidate = lead::Candidate::new(&cluster, &scope, &own_namespace, &config, &mut registry);
    let launcher = Kubernetes::new(cluster.clone(), scope.clone(), config.unseen_grace);
    let launcher = Arc::new(launcher);
    let folder = config.history.as_deref();
    let kept = KeptHistory::of(folder, config.history_memory, MOST_ON_DISK)?;
    let beside = events::BesideEvents {
        lead: candidate.lead(),
        history: kept.shared.clone(),
        lookup: lookup.clone(),
    };
    let mut events =
        events::Events::new(&cluster, &scope, beside, &config, &metrics, &mut registry)?;
    let pool = Arc::new(sources(&config, &mut registry)?.counting(events.occurrences()));
    let certificates = certificates::PortCertificates::read(&config, &mut registry)?;
    let keda = keda::KedaServer::new(
        &config,
        &scope,
        &own_namespace,
        pool.clone(),
        lookup.clone(),
        certificates.grpc.clone(),
        &mut registry,
    )?;
    let reporter = StatusWriter::scaled_jobs(cluster.clone(), config::instance());
    let shared = TurnPorts {
        lead: candidate.lead(),
        launcher: launcher.clone(),
        sources: pool,
        lookup,
        reporter: Arc::new(reporter),
        metrics: metrics.clone(),
        history: kept.shared.clone(),
        clock,
        latest_create: config.unseen_grace,
    };
    let admin =
        admin::ClusterAdmin::open(&config, &cluster, &shared, &events, &launcher, &troubles)
            .await?;
    let listener = listen("--health", config.health).await?;
    let door = listen("--http", config.http).await?;
    let port = listen("--grpc", config.grpc).await?;
    info!(namespaces = %scope, health = %listener.local_addr()?, http = %door.local_addr()?, grpc = %port.local_addr()?, "slipway {} starts", env!("CARGO_PKG_VERSION"));

    let stops = Stops::default();
    let (leaving, stop) = (stops.announced.clone(), stops.closing.clone());
    let mut tasks = Tasks::new(stops.clone());
    let (sender, mut changes) = mpsc::channel(WAITING_CHANGES);
    if let Some(admin) = admin {
        changes = admin.spawn(&mut tasks, &mut events, changes);
    }
    let ready = readiness(&metrics, &events, &stops);
    tasks.spawn_beside(
        "health",
        serve_health(listener, registry, ready.clone(), troubles.clone()),
    );
    tasks.spawn_beside("history", KeptHistory::write(kept.writer()));
    let door = events::OpenDoor {
        listener: door,
        tls: certificates.http.clone(),
        ready,
    };
    events.spawn(&mut tasks, door, &stops, troubles.clone());
    certificates.spawn(&mut tasks, stop.clone());
    keda.spawn(&mut tasks, port, &stop);
    tasks.spawn("lag", lag.run(stop.clone()));
    tasks.spawn("jobs", run_jobs(launcher.clone(), stop));
    // Another replica takes these turns once the end is announced.
    let watch = Watch::new(Kinds::ScaledJobs, cluster, scope, sender.clone(), troubles);
    tasks.spawn("objects", run_watch(watch, leaving.clone()));
    tasks.spawn(
        "ended jobs",
        forward_ended(launcher, sender, leaving.clone()),
    );
    let done = candidate.done();
    candidate.spawn(&mut tasks);
    tasks.spawn("turns", async move {
        let ended = run_turns(shared, changes, leaving).await;
        // Turns under way when the stop came are over: another may lead.
        done.cancel();
        ended
    });
    let delay = config.shutdown_delay;
    let ended = tasks
        .finish(&mut signals, delay, config.drain_timeout)
        .await;
    kept.close();
    ended
}

/// Whose objects are acted on.
fn scope(config: &Config, own_namespace: &str) -> Scope {
    match (config.all_namespaces, config.namespaces.is_empty()) {
        (true, _) => Scope::All,
        (false, true) => Scope::Namespaces(vec![own_namespace.to_owned()]),
        (false, false) => Scope::Namespaces(config.namespaces.clone()),
    }
}

/// What reads the Secrets and ConfigMaps that objects refer to.
fn lookup(
    cluster: &Cluster,
    config: &Config,
    scope: &Scope,
    own_namespace: &str,
) -> KubernetesLookup {
    let own = (*scope == Scope::All).then(|| own_namespace.to_owned());
    let cluster_namespace = config.cluster_namespace.clone().or(own);
    KubernetesLookup::new(cluster.clone(), cluster_namespace)
}

fn sources(config: &Config, registry: &mut Registry) -> anyhow::Result<Pool> {
    let pool = Pool::new(pool::Settings {
        allow_address: config.allow_address.clone(),
        allow_identity: config.allow_identity.clone(),
        proxy: https_proxy()?,
        allow_loopback: false,
        web_identity_token_file: config::web_identity_token_file(),
        sts_endpoint: None,
    });
    pool.register(registry.sub_registry_with_prefix("source"));
    Ok(pool)
}

/// Binds a door, or says which flag was wrong.
async fn listen(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {flag} {address}"))
}

/// Whether every ScaledJob there was at the start has been read.
fn is_synced(metrics: &Metrics) -> Result<(), &'static str> {
    let is_synced = metrics.is_synced();
    is_synced
        .then_some(())
        .ok_or("the objects have not been read yet")
}

/// Ready once all objects are known that there were at the start.
fn readiness(metrics: &Metrics, events: &events::Events, stops: &Stops) -> Readiness {
    let (synced, startup) = (metrics.clone(), events.startup());
    let (jobs, began) = (events.launcher(), Instant::now());
    let is_ready = move || {
        is_synced(&synced)?;
        startup.is_done()?;
        // One namespace whose lists hang must not keep a rolling update from going on.
        if !jobs.is_settled() && began.elapsed() < LONGEST_START {
            return Err("the Jobs of EventJobs have not been read yet");
        }
        Ok(())
    };
    until_the_end(is_ready, stops)
}

/// Ready while `is_ready` says so, and until the end is announced.
fn until_the_end(
    is_ready: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static,
    stops: &Stops,
) -> Readiness {
    let stops = stops.clone();
    Arc::new(move || {
        if stops.is_ending() {
            return Err("stopping");
        }
        is_ready()
    })
}

/// The health port, until the process is gone: nobody waits for its end.
async fn serve_health(
    listener: TcpListener,
    registry: Registry,
    ready: Readiness,
    troubles: WatchTroubles,
) -> anyhow::Result<()> {
    let health = Health {
        registry: Arc::new(registry),
        ready,
        troubles: Arc::new(move || troubles.lines()),
    };
    health::serve(listener, health, CancellationToken::new()).await;
    Ok(())
}

/// The loop, as a task.
async fn run_turns(
    shared: TurnPorts,
    changes: mpsc::Receiver<Change>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    controller::run(shared, changes, stop).await;
    Ok(())
}

/// The watch of objects, as a task.
async fn run_watch(watch: Watch, stop: CancellationToken) -> anyhow::Result<()> {
    watch.run(stop.cancelled()).await;
    Ok(())
}

/// The watch of Jobs, as a task.
async fn run_jobs(launcher: Arc<Kubernetes>, stop: CancellationToken) -> anyhow::Result<()> {
    launcher.run(stop.cancelled()).await;
    Ok(())
}

/// Tells the loop about Jobs that finished or went away.
async fn forward_ended(
    launcher: Arc<Kubernetes>,
    changes: mpsc::Sender<Change>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            ended = launcher.ended() => ended,
        };
        for id in ended {
            if changes.send(Change::JobFinished(id)).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// The cluster to work in, and the namespace that is ours by default.
async fn connect(target: &ClusterTarget) -> anyhow::Result<(Cluster, String)> {
    let options = kube::config::KubeConfigOptions {
        context: target.context.clone(),
        ..Default::default()
    };
    let kube_config = match &target.kubeconfig {
        Some(file) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(file)
                .with_context(|| format!("--kubeconfig {} cannot be read", file.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await
        }
        None if target.context.is_some() => kube::Config::from_kubeconfig(&options).await,
        None => {
            return of(kube::Config::infer().await.context(
                "no cluster to work in: give --kubeconfig or KUBECONFIG, or run in a Pod with a ServiceAccount; \
                 `slipway local` needs no cluster",
            )?);
        }
    };
    of(kube_config.context("the kubeconfig cannot be used")?)
}

fn of(mut config: kube::Config) -> anyhow::Result<(Cluster, String)> {
    // A kubeconfig's own `proxy-url` stays. kube reads the environment too, but holds NO_PROXY against the proxy itself,
    // and in a Pod reads neither.
    let proxy = https_proxy()?;
    let of_environment = proxy.as_ref().map(|proxy| proxy.uri().authority());
    let written = config.proxy_url.as_ref().map(http::Uri::authority);
    if written.is_none() || written == of_environment {
        let proxy = proxy.filter(|proxy| proxy.takes(&config.cluster_url));
        config.proxy_url = proxy.map(|proxy| proxy.uri().clone());
    }
    let namespace = config.default_namespace.clone();
    let client = cluster::client(config).context("the kubeconfig's credentials cannot be used")?;
    Ok((Cluster::new(client), namespace))
}

/// The proxy that the environment asks for.
fn https_proxy() -> anyhow::Result<Option<HttpsProxy>> {
    config::https_proxy()
        .map(|(proxy, except)| HttpsProxy::parse(&proxy, &except))
        .transpose()
        .map_err(|right| anyhow::anyhow!("HTTPS_PROXY {right}"))
}

/// The wall clock: the one place that reads it for the rest of the program.
#[expect(
    clippy::disallowed_methods,
    reason = "this room hands the time to the others"
)]
pub(crate) fn clock() -> Timestamp {
    Timestamp::now()
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    first: Option<SignalKind>,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            first: None,
        })
    }

    /// The next of either.
    pub(crate) async fn next(&mut self) {
        let next = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        self.first.get_or_insert(next);
    }

    /// The first that came, if one did.
    pub(crate) fn first(&self) -> Option<SignalKind> {
        self.first
    }
}

/// Every task of the process.
pub(crate) struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    /// Those whose end nobody waits for.
    beside: JoinSet<(&'static str, anyhow::Result<()>)>,
    stops: Stops,
}

impl Tasks {
    /// None yet; `stops` is what they stop on.
    pub(crate) fn new(stops: Stops) -> Self {
        Self {
            set: JoinSet::new(),
            beside: JoinSet::new(),
            stops,
        }
    }

    /// Starts a task under a name.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Starts a task under a name that goes on until all others have ended, and is dropped then.
    pub(crate) fn spawn_beside(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.beside.spawn(async move { (name, task.await) });
    }

    /// Waits for a signal, announces the end, stops every task after `delay`, and waits for their end.
    ///
    /// # Errors
    ///
    /// The name of a task that failed, or ended before it was told to.
    pub(crate) async fn finish(
        mut self,
        signals: &mut Signals,
        delay: Duration,
        drain_timeout: Duration,
    ) -> anyhow::Result<()> {
        let closing = self.stops.closing.clone();
        tokio::select! {
            () = signals.next() => info!("stopping; a second signal ends at once"),
            () = closing.cancelled() => {}
            ended = self.next_end() => {
                let name = ended?;
                if !closing.is_cancelled() {
                    bail!("the task {name:?} ended before it was told to");
                }
            }
        }
        self.stops.announced.cancel();
        let served = async {
            // Those that lead end now, the others later.
            let end = tokio::time::Instant::now() + delay;
            while let Ok(ended) = tokio::time::timeout_at(end, self.next_end()).await {
                ended?;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            () = signals.next() => {
                warn!("stopped by a second signal; turns under way were cut off");
                return Ok(());
            }
            () = closing.cancelled() => {}
            served = served => served?,
        }
        closing.cancel();
        tokio::select! {
            () = signals.next() => warn!("stopped by a second signal; turns under way were cut off"),
            () = tokio::time::sleep(drain_timeout) => warn!("turns under way took longer than --drain-timeout"),
            drained = self.drain() => drained?,
        }
        Ok(())
    }

    /// The next task that ends, by its name; for ever when none is left.
    async fn next_end(&mut self) -> anyhow::Result<&'static str> {
        let ended = tokio::select! {
            Some(ended) = self.set.join_next() => ended,
            Some(ended) = self.beside.join_next() => ended,
            else => std::future::pending().await,
        };
        let (name, result) = ended.context("a task panicked")?;
        result.with_context(|| format!("the task {name:?} failed"))?;
        Ok(name)
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.set.join_next().await {
            let (name, result) = ended.context("a task panicked")?;
            result.with_context(|| format!("the task {name:?} failed while stopping"))?;
        }
        Ok(())
    }
}
