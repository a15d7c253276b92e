//! What takes events in a cluster: the door, the EventJobs behind it, the Jobs they become.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::address::Rules;
use crate::app::occurrences::SeenOccurrences;
use crate::app::{Tasks, clock, https_proxy};
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Scope};
use crate::config::{self, Config};
use crate::controller::event_jobs::look::Looker;
use crate::controller::event_jobs::outcomes::Outcomes;
use crate::controller::event_jobs::{self, EventJobs, Startup};
use crate::controller::lead::Lead;
use crate::controller::metrics::Metrics;
use crate::controller::status_writer::StatusWriter;
use crate::controller::watch::troubles::WatchTroubles;
use crate::controller::watch::{Kinds, Watch};
use crate::controller::{WAITING_CHANGES, admission};
use crate::intake::auth::Authenticator;
use crate::intake::fetch::https::Https;
use crate::intake::fetch::trust::Trust;
use crate::intake::webhook::{self, Deliveries, Webhook};
use crate::launch::kubernetes::delivered::Delivered;
use crate::lookup::Lookup;
use crate::serve::Stops;
use crate::serve::events::{self, DoorLimits};
use crate::serve::health::Readiness;
use crate::source::eventbridge::Occurrences;

/// All of it, built and not started.
pub(super) struct Events {
    cluster: Cluster,
    scope: Scope,
    launcher: Arc<Delivered>,
    event_jobs: EventJobs,
    webhook: Arc<Webhook>,
}

impl Events {
    /// Builds it; nothing is spawned.
    pub(super) fn new(
        cluster: &Cluster,
        scope: &Scope,
        lead: Arc<dyn Lead>,
        config: &Config,
        lookup: Arc<dyn Lookup>,
        controller: &Metrics,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let launcher = Arc::new(Delivered::new(
            cluster.clone(),
            scope.clone(),
            config.ledger_grace,
        ));
        let catalog = Arc::new(Catalog::default());
        let outcomes = Outcomes::new(clock);
        outcomes.register(registry);
        let outcomes = Arc::new(outcomes);
        let metrics = webhook::metrics::Metrics::default();
        metrics.register(registry.sub_registry_with_prefix("webhook"));
        let rules = Rules::new(config.allow_address.clone(), false).through(https_proxy()?);
        let trust = Trust::native();
        let fetch = Arc::new(Https::new(rules, trust.clone()));
        let authenticator = Authenticator::trusting(lookup.clone(), fetch, clock, trust);
        let deliveries = Deliveries::new(
            launcher.clone(),
            launcher.clone(),
            config.ledger_grace,
            clock,
        );
        let webhook = Webhook::new(
            catalog.clone(),
            authenticator,
            deliveries,
            Arc::new(Looker::new(cluster.clone(), scope.clone())),
            metrics,
            outcomes.clone(),
        );
        let ports = admission::Ports {
            holder: launcher.holder().to_owned(),
            grace: config.ledger_grace,
            jobs: launcher.clone(),
            gates: launcher.clone(),
            ledger: launcher.clone(),
        };
        Ok(Self {
            cluster: cluster.clone(),
            scope: scope.clone(),
            event_jobs: EventJobs {
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
        })
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
        door: TcpListener,
        ready: Readiness,
        stops: &Stops,
        troubles: WatchTroubles,
    ) {
        let stop = &stops.closing;
        tasks.spawn("events", {
            let (webhook, stops) = (self.webhook.clone(), stops.clone());
            let limits = DoorLimits::of_this_process();
            async move { Ok(events::serve(door, webhook, limits, ready, stops).await?) }
        });
        tasks.spawn("jobs of events", {
            let (launcher, stop) = (self.launcher, stop.clone());
            async move {
                launcher.run(stop.cancelled()).await;
                Ok(())
            }
        });
        let (sender, changes) = mpsc::channel(WAITING_CHANGES);
        tasks.spawn("watch of event jobs", {
            let watch = Watch::new(Kinds::EventJobs, self.cluster, self.scope, sender, troubles);
            let stop = stop.clone();
            async move {
                watch.run(stop.cancelled()).await;
                Ok(())
            }
        });
        let stop = stop.clone();
        tasks.spawn("event jobs", async move {
            event_jobs::run(self.event_jobs, changes, stop).await;
            Ok(())
        });
    }
}
