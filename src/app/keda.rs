//! What answers KEDA: the service, its port, the files that it reads again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::app::certificates::{FileTrouble, LOOK_AGAIN};
use crate::app::{Tasks, WrongSettings};
use crate::cluster::Scope;
use crate::config::{self, Config};
use crate::lookup::Lookup;
use crate::resource::connection::{self, Connection};
use crate::serve::keda::connections::Connections;
use crate::serve::keda::metrics::Metrics;
use crate::serve::keda::references::References;
use crate::serve::keda::server::{self, RpcLimits};
use crate::serve::keda::{self, Ages, Parts};
use crate::serve::tls::ServerTls;
use crate::serve::within_descriptors;
use crate::source::Connect;

/// All of it, built and not started.
pub(super) struct KedaServer {
    service: Arc<keda::Keda>,
    tls: Option<Arc<ServerTls>>,
    connections: Arc<Connections>,
    /// `--connections`, and what it held.
    file: Option<(PathBuf, String)>,
}

impl KedaServer {
    /// Builds it; nothing is spawned.
    ///
    /// # Errors
    ///
    /// [`WrongSettings`] for a file that cannot be read or is wrong.
    pub(super) fn new(
        config: &Config,
        scope: &Scope,
        own_namespace: &str,
        sources: Arc<dyn Connect>,
        lookup: Arc<dyn Lookup>,
        tls: Option<Arc<ServerTls>>,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        let mut file = None;
        if let Some(path) = &config.connections {
            let text = read(path)?;
            connections = parse(path, &text)?;
            file = Some((path.clone(), text));
        }
        let connections = Arc::new(Connections::new(connections));
        let metrics = Metrics::default();
        metrics.register(registry.sub_registry_with_prefix("keda"));
        let scope = match scope {
            Scope::All => None,
            Scope::Namespaces(names) => Some(names.clone()),
        };
        let service = keda::Keda::new(Parts {
            sources,
            references: References {
                lookup,
                own_namespace: own_namespace.to_owned(),
                environment: Arc::new(config::secret),
                scope,
            },
            connections: connections.clone(),
            allow_address: config.allow_address.clone(),
            ages: Ages {
                freshness: config.reading_freshness,
                most: config.reading_max_age,
            },
            most_triggers: keda::MOST,
            most_streams: server::STREAMS,
            metrics,
        });
        Ok(Self {
            service: Arc::new(service),
            tls,
            connections,
            file,
        })
    }

    /// Starts its tasks.
    pub(super) fn spawn(self, tasks: &mut Tasks, port: TcpListener, stop: &CancellationToken) {
        tasks.spawn("streams of keda", {
            let (service, stop) = (self.service.clone(), stop.clone());
            async move {
                service.run(stop).await;
                Ok(())
            }
        });
        tasks.spawn("files of keda", {
            let (connections, file, stop) = (self.connections, self.file, stop.clone());
            async move {
                match file {
                    Some(file) => look_again(&connections, file, stop).await,
                    None => stop.cancelled().await,
                }
                Ok(())
            }
        });
        tasks.spawn("keda", {
            let (tls, stop) = (self.tls, stop.clone());
            let mut limits = RpcLimits::default();
            limits.connections = within_descriptors(limits.connections, 8);
            async move {
                server::serve(port, self.service, tls, limits, stop).await?;
                Ok(())
            }
        });
    }
}

/// Looks at the file again and again, until `stop`; what is wrong with it is told, and changes nothing.
async fn look_again(
    connections: &Connections,
    (path, mut before): (PathBuf, String),
    stop: CancellationToken,
) {
    let mut trouble = FileTrouble::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        match read(&path) {
            Ok(text) if text == before => trouble.is_over(),
            Ok(text) => {
                match parse(&path, &text) {
                    Ok(found) => {
                        info!(connections = found.len(), "the connections have changed");
                        connections.set(found);
                    }
                    Err(error) => trouble.tell(error.to_string()),
                }
                before = text;
            }
            Err(error) => trouble.tell(error.to_string()),
        }
    }
}

fn read(path: &Path) -> Result<String, WrongSettings> {
    std::fs::read_to_string(path).map_err(|error| {
        let name = path.display();
        WrongSettings(format!("--connections {name} cannot be read: {error}"))
    })
}

fn parse(path: &Path, text: &str) -> Result<Vec<Connection>, WrongSettings> {
    connection::parse(text).map_err(|mistakes| {
        let name = path.display();
        let told = mistakes.iter().map(|mistake| format!("{name}:{mistake}"));
        let told = told.collect::<Vec<_>>().join("\n");
        WrongSettings(format!("--connections: {told}"))
    })
}
