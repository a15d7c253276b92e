//! The certificates of the ports that have TLS: read from files, and again when these change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::{Tasks, WrongSettings};
use crate::config::Config;
use crate::serve::tls::metrics::Metrics;
use crate::serve::tls::{self, ServerTls, TlsFiles, TlsProtocol};

/// Files are looked at again this often: a mounted Secret itself takes a minute to change.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Those that were asked for.
pub(super) struct PortCertificates {
    /// Of `--http`.
    pub(super) http: Option<Arc<ServerTls>>,
    /// Of `--grpc`.
    pub(super) grpc: Option<Arc<ServerTls>>,
    metrics: Metrics,
}

/// A trouble that is told of once while it lasts.
#[derive(Debug, Default)]
pub(super) struct FileTrouble(String);

impl FileTrouble {
    pub(super) fn tell(&mut self, trouble: String) {
        if self.0 != trouble {
            warn!("{trouble}; what was in force stays so");
        }
        self.0 = trouble;
    }

    pub(super) fn is_over(&mut self) {
        self.0.clear();
    }
}

impl PortCertificates {
    /// Reads them; nothing is spawned.
    ///
    /// # Errors
    ///
    /// [`WrongSettings`] for a file that cannot be used.
    pub(super) fn read(config: &Config, registry: &mut Registry) -> Result<Self, WrongSettings> {
        let metrics = Metrics::default();
        metrics.register(registry);
        let client_ca = config.grpc_client_ca.clone();
        let grpc = (config.grpc_tls_cert.clone(), config.grpc_tls_key.clone());
        let http = (config.http_tls_cert.clone(), config.http_tls_key.clone());
        let certificates = Self {
            http: read("http", http, None, TlsProtocol::Http)?,
            grpc: read("grpc", grpc, client_ca, TlsProtocol::Grpc)?,
            metrics,
        };
        for (port, tls) in certificates.ports() {
            certificates.metrics.in_force(port, tls.ends_at());
        }
        Ok(certificates)
    }

    /// Starts the task that looks at the files again.
    pub(super) fn spawn(self, tasks: &mut Tasks, stop: CancellationToken) {
        tasks.spawn("certificates", async move {
            self.look_again(stop).await;
            Ok(())
        });
    }

    /// Looks at the files again and again, until `stop`; what is wrong with them is told, and changes nothing.
    async fn look_again(&self, stop: CancellationToken) {
        let mut ports: Vec<_> = self
            .ports()
            .map(|(port, tls)| (port, tls, FileTrouble::default()))
            .collect();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            for (port, tls, trouble) in &mut ports {
                match tls.look_again() {
                    Ok(false) => trouble.is_over(),
                    Ok(true) => {
                        self.metrics.in_force(port, tls.ends_at());
                        info!("--{port} has new certificates");
                    }
                    Err(error) => trouble.tell(wrong(port, &error)),
                }
            }
        }
    }

    fn ports(&self) -> impl Iterator<Item = (&'static str, &ServerTls)> {
        let ports = [("http", &self.http), ("grpc", &self.grpc)];
        ports
            .into_iter()
            .filter_map(|(port, tls)| Some((port, tls.as_deref()?)))
    }
}

/// What the flags of a port name, if they do.
fn read(
    port: &str,
    (certificate, key): (Option<PathBuf>, Option<PathBuf>),
    client_ca: Option<PathBuf>,
    protocol: TlsProtocol,
) -> Result<Option<Arc<ServerTls>>, WrongSettings> {
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Ok(None);
    };
    let files = TlsFiles {
        certificate,
        key,
        client_ca,
    };
    let tls = ServerTls::read(files, protocol);
    let tls = tls.map_err(|error| WrongSettings(wrong(port, &error)))?;
    Ok(Some(Arc::new(tls)))
}

fn wrong(port: &str, error: &tls::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("TLS of --{port}: {error}{}", cause.unwrap_or_default())
}
