//! CronJobs that are handed over in place: what EventJobs with a schedule have, for them.
//!
//! They have a catalog of their own: nobody posts events to them, and one may have the name of an EventJob.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::app::events::run_delivered;
use crate::app::{Tasks, admin, clock, run_watch};
use crate::board::Board;
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Scope};
use crate::config::{self, Config};
use crate::controller::event_jobs::outcomes::Outcomes;
use crate::controller::event_jobs::{self, EventJobs};
use crate::controller::lead::Lead;
use crate::controller::metrics::Metrics;
use crate::controller::recording::Recorded;
use crate::controller::scheduling::SchedulePorts;
use crate::controller::status_writer::StatusWriter;
use crate::controller::watch::troubles::WatchTroubles;
use crate::controller::watch::{Kinds, Watch};
use crate::controller::{WAITING_CHANGES, admission};
use crate::cycle::delivery::Deliveries;
use crate::history::{SharedHistory, SubjectKind};
use crate::launch::delivered::Owners;
use crate::launch::kubernetes::delivered::Delivered;
use crate::lookup::Lookup;
use crate::serve::Stops;

/// All of it, built and not started.
pub(super) struct CronJobs {
    cluster: Cluster,
    scope: Scope,
    launcher: Arc<Delivered>,
    controller: EventJobs,
}

impl CronJobs {
    /// Builds it; nothing is spawned.
    pub(super) fn new(
        cluster: &Cluster,
        scope: &Scope,
        lead: Arc<dyn Lead>,
        config: &Config,
        lookup: Arc<dyn Lookup>,
        history: Arc<SharedHistory>,
        metrics: &Metrics,
    ) -> Self {
        let grace = config.ledger_grace;
        let owners = Owners::CronJobs;
        let launcher = Delivered::new(cluster.clone(), scope.clone(), owners, grace);
        let launcher = Arc::new(launcher);
        let outcomes = Arc::new(Outcomes::new(owners, clock, metrics.launches()));
        let record = Recorded::new(SubjectKind::CronJob, outcomes.clone(), history, clock);
        let deliveries = Deliveries::new(launcher.clone(), launcher.clone(), grace, clock);
        let ports = admission::Ports {
            holder: launcher.holder().to_owned(),
            grace,
            jobs: launcher.clone(),
            gates: launcher.clone(),
            reruns: launcher.clone(),
            ledger: launcher.clone(),
            schedules: SchedulePorts {
                deliveries: Arc::new(deliveries),
                schedules: launcher.clone(),
                record: Arc::new(record),
                rush: Arc::default(),
            },
            clock,
        };
        let writer = StatusWriter::cron_jobs(cluster.clone(), config::instance());
        Self {
            cluster: cluster.clone(),
            scope: scope.clone(),
            controller: EventJobs {
                kind: owners,
                launcher: launcher.clone(),
                ports: Arc::new(ports),
                catalog: Arc::new(Catalog::default()),
                outcomes,
                writer: Arc::new(writer),
                series: metrics.jobs(),
                lookup,
                panics: metrics.panics(),
                lead,
                startup: Arc::default(),
                clock,
            },
            launcher,
        }
    }

    /// What has seen their Jobs.
    pub(super) fn launcher(&self) -> Arc<Delivered> {
        self.launcher.clone()
    }

    /// Starts its tasks. They are shown on the board, if there is one.
    pub(super) fn spawn(
        self,
        tasks: &mut Tasks,
        stops: &Stops,
        troubles: WatchTroubles,
        board: Option<Arc<Board>>,
    ) {
        let stop = &stops.closing;
        tasks.spawn(
            "jobs of cron jobs",
            run_delivered(self.launcher, stop.clone()),
        );
        let (sender, changes) = mpsc::channel(WAITING_CHANGES);
        let watch = Watch::new(Kinds::CronJobs, self.cluster, self.scope, sender, troubles);
        tasks.spawn("watch of cron jobs", run_watch(watch, stop.clone()));
        let changes = match board {
            Some(board) => admin::tapped(tasks, Kinds::CronJobs, board, changes),
            None => changes,
        };
        let stop = stop.clone();
        tasks.spawn("cron jobs", async move {
            event_jobs::run(self.controller, changes, stop).await;
            Ok(())
        });
    }
}
