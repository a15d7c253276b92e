//! What takes events in a cluster: the door, the EventJobs behind it, the Jobs they become.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::address::Rules;
use crate::app::occurrences::Seen;
use crate::app::{Tasks, clock};
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Scope};
use crate::config::{self, Config};
use crate::controller::event_jobs::journal::Journal;
use crate::controller::event_jobs::look::Looker;
use crate::controller::event_jobs::metrics::Metrics;
use crate::controller::event_jobs::writer::Writer;
use crate::controller::event_jobs::{self, Desk};
use crate::controller::lead::Lead;
use crate::controller::watch::{Kinds, Watch};
use crate::controller::{WAITING_CHANGES, admission};
use crate::intake::auth::Authenticator;
use crate::intake::fetch::https::Https;
use crate::intake::fetch::trust::Trust;
use crate::intake::webhook::{self, Deliveries, Webhook};
use crate::launch::kubernetes::delivered::Delivered;
use crate::lookup::Lookup;
use crate::serve::events::{self, DoorLimits};
use crate::source::eventbridge::Occurrences;

/// All of it, built and not started.
pub(super) struct Events {
    cluster: Cluster,
    scope: Scope,
    launcher: Arc<Delivered>,
    grace: Duration,
    catalog: Arc<Catalog>,
    journal: Arc<Journal>,
    webhook: Arc<Webhook>,
    lead: Arc<dyn Lead>,
    metrics: Metrics,
}

impl Events {
    /// Builds it; nothing is spawned.
    pub(super) fn new(
        cluster: &Cluster,
        scope: &Scope,
        lead: Arc<dyn Lead>,
        config: &Config,
        lookup: Arc<dyn Lookup>,
        registry: &mut Registry,
    ) -> Self {
        let launcher = Arc::new(Delivered::new(
            cluster.clone(),
            scope.clone(),
            config.ledger_grace,
        ));
        let catalog = Arc::new(Catalog::default());
        let journal = Arc::new(Journal::new(clock));
        let event_jobs_metrics = Metrics::default();
        event_jobs_metrics.register(registry.sub_registry_with_prefix("event_jobs"));
        let metrics = webhook::metrics::Metrics::default();
        metrics.register(registry.sub_registry_with_prefix("webhook"));
        let rules = Rules::new(config.allow_address.clone(), false);
        let trust = Trust::native();
        let fetch = Arc::new(Https::new(rules, trust.clone()));
        let authenticator = Authenticator::trusting(lookup, fetch, clock, trust);
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
            journal.clone(),
        );
        Self {
            cluster: cluster.clone(),
            scope: scope.clone(),
            launcher,
            grace: config.ledger_grace,
            catalog,
            journal,
            webhook: Arc::new(webhook),
            lead,
            metrics: event_jobs_metrics,
        }
    }

    /// Which EventJobs there are.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// The Jobs of EventJobs, counted.
    pub(super) fn occurrences(&self) -> Arc<dyn Occurrences> {
        Arc::new(Seen {
            jobs: self.launcher.clone(),
            grace: self.grace,
            catalog: self.catalog.clone(),
            clock,
        })
    }

    /// Starts its tasks.
    pub(super) fn spawn(self, tasks: &mut Tasks, door: TcpListener, stop: &CancellationToken) {
        let is_leader: Arc<dyn Fn() -> bool + Send + Sync> = {
            let lead = self.lead;
            Arc::new(move || lead.is_held())
        };
        tasks.spawn("events", {
            let (webhook, stop) = (self.webhook.clone(), stop.clone());
            async move { Ok(events::serve(door, webhook, DoorLimits::of_this_process(), stop).await?) }
        });
        tasks.spawn("jobs of events", {
            let (launcher, stop) = (self.launcher.clone(), stop.clone());
            async move {
                launcher.run(stop.cancelled()).await;
                Ok(())
            }
        });
        let (sender, changes) = mpsc::channel(WAITING_CHANGES);
        tasks.spawn("event jobs", {
            let cluster = self.cluster.clone();
            let watch = Watch::new(Kinds::EventJobs, cluster, self.scope.clone(), sender);
            let stop = stop.clone();
            async move {
                watch.run(stop.cancelled()).await;
                Ok(())
            }
        });
        let desk = Desk {
            launcher: self.launcher.clone(),
            jobs: self.launcher.clone(),
            catalog: self.catalog.clone(),
            journal: self.journal.clone(),
            writer: Writer::new(self.cluster, config::instance()),
            metrics: self.metrics,
            is_leader: is_leader.clone(),
            clock,
        };
        tasks.spawn("statuses of event jobs", {
            let stop = stop.clone();
            async move {
                event_jobs::run(desk, changes, stop).await;
                Ok(())
            }
        });
        tasks.spawn("admission", {
            let (launcher, catalog, stop) = (self.launcher, self.catalog, stop.clone());
            let (journal, grace) = (self.journal, self.grace);
            async move {
                let looked_after = |id: &_| journal.touch(id);
                let ports = admission::Ports {
                    holder: launcher.holder().to_owned(),
                    grace,
                    jobs: launcher.clone(),
                    gates: launcher.clone(),
                    ledger: launcher,
                };
                admission::run(ports, catalog, move || is_leader(), looked_after, stop).await;
                Ok(())
            }
        });
    }
}
