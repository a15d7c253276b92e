//! What takes events in a cluster: the door, the EventJobs behind it, the Jobs they become.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::address::Rules;
use crate::app::cron_jobs::CronJobs;
use crate::app::occurrences::SeenOccurrences;
use crate::app::{Tasks, admin, clock, https_proxy, run_watch};
use crate::board::Board;
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Scope};
use crate::config::{self, Config};
use crate::controller::event_jobs::look::Looker;
use crate::controller::event_jobs::outcomes::Outcomes;
use crate::controller::event_jobs::{self, EventJobs, Startup};
use crate::controller::lead::Lead;
use crate::controller::metrics::Metrics;
use crate::controller::recording::Recorded;
use crate::controller::scheduling::SchedulePorts;
use crate::controller::status_writer::StatusWriter;
use crate::controller::watch::troubles::WatchTroubles;
use crate::controller::watch::{Kinds, Watch};
use crate::controller::{WAITING_CHANGES, admission};
use crate::history::{SharedHistory, SubjectKind};
use crate::intake::auth::Authenticator;
use crate::intake::fetch::https::Https;
use crate::intake::fetch::trust::Trust;
use crate::intake::webhook::{self, Deliveries, Webhook};
use crate::launch::delivered::Owners;
use crate::launch::kubernetes::delivered::{Delivered, metrics as ledger};
use crate::lookup::Lookup;
use crate::serve::Stops;
use crate::serve::events::{self, DoorLimits};
use crate::serve::health::Readiness;
use crate::serve::tls::ServerTls;
use crate::source::eventbridge::Occurrences;

/// Where events come in.
pub(super) struct OpenDoor {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) ready: Readiness,
}

/// All of it, built and not started.
pub(super) struct Events {
    cluster: Cluster,
    scope: Scope,
    launcher: Arc<Delivered>,
    event_jobs: EventJobs,
    webhook: Arc<Webhook>,
    /// Where EventJobs are shown, if they are.
    board: Option<Arc<Board>>,
    /// Those that are handed over in place, where that is wanted.
    cron_jobs: Option<CronJobs>,
}

/// What it shares with all that is not about events.
pub(super) struct BesideEvents {
    /// Who looks after the Jobs of events.
    pub(super) lead: Arc<dyn Lead>,
    /// Where answers are written down.
    pub(super) history: Arc<SharedHistory>,
    /// What EventJobs refer to.
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Events {
    /// Builds it; nothing is spawned.
    pub(super) fn new(
        cluster: &Cluster,
        scope: &Scope,
        beside: BesideEvents,
        config: &Config,
        controller: &Metrics,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let BesideEvents {
            lead,
            history,
            lookup,
        } = beside;
        let cron_jobs = config.cron_jobs_in_place.then(|| {
            let (lead, lookup) = (lead.clone(), lookup.clone());
            let history = history.clone();
            CronJobs::new(cluster, scope, lead, config, lookup, history, controller)
        });
        let launcher = Arc::new(Delivered::new(
            cluster.clone(),
            scope.clone(),
            Owners::EventJobs,
            config.ledger_grace,
        ));
        ledger::Metrics::new(&launcher).register(registry);
        let catalog = Arc::new(Catalog::default());
        let outcomes = Outcomes::new(Owners::EventJobs, clock, controller.launches());
        outcomes.register(registry);
        let outcomes = Arc::new(outcomes);
        let record = Arc::new(Recorded::new(
            SubjectKind::EventJob,
            outcomes.clone(),
            history,
            clock,
        ));
        let metrics = webhook::metrics::Metrics::default();
        metrics.register(registry.sub_registry_with_prefix("webhook"));
        let rules = Rules::new(config.allow_address.clone(), false).through(https_proxy()?);
        let trust = Trust::native();
        let fetch = Arc::new(Https::new(rules, trust.clone()));
        let authenticator = Authenticator::trusting(lookup.clone(), fetch, clock, trust);
        let deliveries = Arc::new(Deliveries::new(
            launcher.clone(),
            launcher.clone(),
            config.ledger_grace,
            clock,
        ));
        let webhook = Webhook::new(
            catalog.clone(),
            authenticator,
            deliveries.clone(),
            Arc::new(Looker::new(cluster.clone(), scope.clone())),
            metrics,
            record.clone(),
        );
        let ports = admission::Ports {
            holder: launcher.holder().to_owned(),
            grace: config.ledger_grace,
            jobs: launcher.clone(),
            gates: launcher.clone(),
            reruns: launcher.clone(),
            ledger: launcher.clone(),
            schedules: SchedulePorts {
                deliveries,
                schedules: launcher.clone(),
                record,
                rush: Arc::default(),
            },
            clock,
        };
        Ok(Self {
            cluster: cluster.clone(),
            scope: scope.clone(),
            event_jobs: EventJobs {
                kind: Owners::EventJobs,
                launcher: launcher.clone(),
                ports: Arc::new(ports),
                catalog,
                outcomes,
                writer: Arc::new(StatusWriter::event_jobs(
                    cluster.clone(),
                    config::instance(),
                )),
                series: controller.jobs(),
                lookup,
                panics: controller.panics(),
                lead,
                startup: Arc::default(),
                clock,
            },
            launcher,
            webhook: Arc::new(webhook),
            board: None,
            cron_jobs,
        })
    }

    /// What has seen the Jobs of EventJobs.
    pub(super) fn launcher(&self) -> Arc<Delivered> {
        self.launcher.clone()
    }

    /// What has seen the Jobs of CronJobs in place, where there are such.
    pub(super) fn launcher_of_cron_jobs(&self) -> Option<Arc<Delivered>> {
        self.cron_jobs.as_ref().map(CronJobs::launcher)
    }

    /// EventJobs, and CronJobs in place, are shown there.
    pub(super) fn shown_on(&mut self, board: Arc<Board>) {
        self.board = Some(board);
    }

    /// Whether the EventJobs that were there at the start are served.
    pub(super) fn startup(&self) -> Arc<Startup> {
        self.event_jobs.startup.clone()
    }

    /// The Jobs of EventJobs, counted.
    pub(super) fn occurrences(&self) -> Arc<dyn Occurrences> {
        Arc::new(SeenOccurrences {
            jobs: self.launcher.clone(),
            grace: self.event_jobs.ports.grace,
            catalog: self.event_jobs.catalog.clone(),
            clock,
        })
    }

    /// Starts its tasks.
    pub(super) fn spawn(
        self,
        tasks: &mut Tasks,
        door: OpenDoor,
        stops: &Stops,
        troubles: WatchTroubles,
    ) {
        if let Some(cron_jobs) = self.cron_jobs {
            cron_jobs.spawn(tasks, stops, troubles.clone(), self.board.clone());
        }
        let stop = &stops.closing;
        tasks.spawn("events", {
            let (webhook, stops) = (self.webhook.clone(), stops.clone());
            let limits = DoorLimits::of_this_process();
            let OpenDoor {
                listener,
                tls,
                ready,
            } = door;
            async move { Ok(events::serve(listener, webhook, tls, limits, ready, stops).await?) }
        });
        tasks.spawn("jobs of events", run_delivered(self.launcher, stop.clone()));
        let (sender, changes) = mpsc::channel(WAITING_CHANGES);
        let watch = Watch::new(Kinds::EventJobs, self.cluster, self.scope, sender, troubles);
        tasks.spawn("watch of event jobs", run_watch(watch, stop.clone()));
        let changes = match self.board {
            Some(board) => admin::tapped(tasks, Kinds::EventJobs, board, changes),
            None => changes,
        };
        let stop = stop.clone();
        tasks.spawn("event jobs", async move {
            event_jobs::run(self.event_jobs, changes, stop).await;
            Ok(())
        });
    }
}

/// The watch of Jobs that were made of events or due times, as a task.
pub(super) async fn run_delivered(
    launcher: Arc<Delivered>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    launcher.run(stop.cancelled()).await;
    Ok(())
}
