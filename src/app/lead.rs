//! Which of several replicas takes turns over counted triggers, and looks after the Jobs of events.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::app::{Tasks, clock};
use crate::cluster::{Cluster, Scope, boot};
use crate::config::{self, Config};
use crate::controller::lead::{Always, Lead};
use crate::controller::lease::{Lease, Times};
use crate::launch::kubernetes::new_holder;

/// The Lease's name.
const LEASE: &str = "slipway";

/// A candidate, and how it is told to let go.
pub(super) struct Candidate {
    lease: Arc<Lease>,
    leads_anyway: bool,
    done: CancellationToken,
}

impl Candidate {
    /// Builds it; nothing is spawned.
    pub(super) fn new(
        cluster: &Cluster,
        scope: &Scope,
        own_namespace: &str,
        config: &Config,
        registry: &mut Registry,
    ) -> Self {
        let lease = Lease::new(
            cluster.clone(),
            home(scope, own_namespace),
            LEASE,
            format!("{}-{}", config::instance(), new_holder()),
            Times::default(),
            Arc::new(boot::now),
            clock,
        );
        lease.register(registry);
        Self {
            lease: Arc::new(lease),
            leads_anyway: config.lead,
            done: CancellationToken::new(),
        }
    }

    /// Who asks whether it leads.
    pub(super) fn lead(&self) -> Arc<dyn Lead> {
        if self.leads_anyway {
            Arc::new(Always)
        } else {
            self.lease.clone()
        }
    }

    /// To be cancelled when nothing is done in the Lease's name any more: it is let go then, and not before.
    pub(super) fn done(&self) -> CancellationToken {
        self.done.clone()
    }

    /// Starts its task.
    pub(super) fn spawn(self, tasks: &mut Tasks) {
        tasks.spawn("lease", async move {
            self.lease.run(self.done).await;
            Ok(())
        });
    }
}

/// Where the Lease lies: in the first of the namespaces that are ours to look after, so that it needs no right elsewhere,
/// and two installations that share a namespace share a leader.
fn home(scope: &Scope, own_namespace: &str) -> String {
    match scope {
        Scope::Namespaces(names) => names
            .first()
            .map_or(own_namespace, String::as_str)
            .to_owned(),
        Scope::All => own_namespace.to_owned(),
    }
}
