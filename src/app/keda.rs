//! What answers KEDA: the service, its port, the files that it reads again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::{Tasks, WrongSettings};
use crate::cluster::Scope;
use crate::config::{self, Config};
use crate::lookup::Lookup;
use crate::resource::connection::{self, Connection};
use crate::serve::keda::connections::Connections;
use crate::serve::keda::metrics::Metrics;
use crate::serve::keda::references::References;
use crate::serve::keda::server::tls::{self, ServerTls, TlsFiles};
use crate::serve::keda::server::{self, RpcLimits};
use crate::serve::keda::{self, Ages, Parts};
use crate::serve::within_descriptors;
use crate::source::Connect;

/// Files are looked at again this often: a mounted Secret itself takes a minute to change.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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
        let tls = read_tls(config)?.map(Arc::new);
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
            let (tls, connections) = (self.tls.clone(), self.connections);
            let (file, stop) = (self.file, stop.clone());
            async move {
                look_again(tls, &connections, file, stop).await;
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

/// Looks at the files again and again, until `stop`; what is wrong with them is told, and changes nothing.
async fn look_again(
    tls: Option<Arc<ServerTls>>,
    connections: &Connections,
    mut file: Option<(PathBuf, String)>,
    stop: CancellationToken,
) {
    // A file that stays wrong is told of once.
    let mut told = [String::new(), String::new()];
    let mut tell = |which: usize, trouble: String| {
        if told[which] != trouble && !trouble.is_empty() {
            warn!("{trouble}; what was in force stays so");
        }
        told[which] = trouble;
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        match tls.as_ref().map(|tls| tls.look_again()) {
            None | Some(Ok(false)) => tell(0, String::new()),
            Some(Ok(true)) => info!("the port for KEDA has new certificates"),
            Some(Err(error)) => tell(0, wrong_tls(&error)),
        }
        let Some((path, before)) = &mut file else {
            continue;
        };
        match read(path) {
            Ok(text) if text == *before => tell(1, String::new()),
            Ok(text) => {
                match parse(path, &text) {
                    Ok(found) => {
                        info!(connections = found.len(), "the connections have changed");
                        connections.set(found);
                    }
                    Err(error) => tell(1, error.to_string()),
                }
                *before = text;
            }
            Err(error) => tell(1, error.to_string()),
        }
    }
}

/// What the TLS flags name, if they do.
fn read_tls(config: &Config) -> Result<Option<ServerTls>, WrongSettings> {
    let (Some(certificate), Some(key)) = (&config.grpc_tls_cert, &config.grpc_tls_key) else {
        return Ok(None);
    };
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_ca: config.grpc_client_ca.clone(),
    };
    let tls = ServerTls::read(files).map_err(|error| WrongSettings(wrong_tls(&error)));
    tls.map(Some)
}

fn wrong_tls(error: &tls::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("TLS of --grpc: {error}{}", cause.unwrap_or_default())
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
