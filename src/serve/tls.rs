//! TLS of a port: certificates from files, read again when these change.
//!
//! Connections are accepted with what is in force at that moment; open ones keep what they
//! began with, and none is dropped for a new certificate. Files that cannot be used leave
//! what is in force as it is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use std::{fmt, fs, io};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::{EndEntityCert, KeyUsage};

pub mod metrics;

/// What is spoken over TLS: clients of gRPC insist on hearing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProtocol {
    /// HTTP/2.
    Grpc,
    /// HTTP/1.1.
    Http,
}

/// Where the certificates lie, as PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// `--grpc-tls-cert`, `--http-tls-cert`: our chain.
    pub certificate: PathBuf,
    /// `--grpc-tls-key`: its key.
    pub key: PathBuf,
    /// `--grpc-client-ca`: whose certificates callers need; callers need none where there is none.
    pub client_ca: Option<PathBuf>,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// Which.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file without what it should hold.
    #[error("{file} holds no {expected} in PEM")]
    Empty {
        /// Which.
        file: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// Certificates and key that do not work together, or an authority that is none.
    #[error("{file} cannot be used")]
    Unusable {
        /// Which.
        file: String,
        /// What rustls says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The certificates in force.
pub struct ServerTls {
    files: TlsFiles,
    protocol: TlsProtocol,
    in_force: RwLock<InForce>,
}

struct InForce {
    /// What the files held when they were last looked at, right or wrong.
    seen: PemContents,
    config: Arc<ServerConfig>,
    ends_at: Option<u64>,
}

/// The bytes of the files.
#[derive(PartialEq, Eq)]
struct PemContents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`Error`] with the file that cannot be used.
    pub fn read(files: TlsFiles, protocol: TlsProtocol) -> Result<Self, Error> {
        let seen = PemContents::read(&files)?;
        let config = seen.config(&files, protocol)?;
        let ends_at = seen.ends_at();
        Ok(Self {
            files,
            protocol,
            in_force: RwLock::new(InForce {
                seen,
                config,
                ends_at,
            }),
        })
    }

    /// When the first certificate of the chain in force ends; `None` when it does not say so in a way that is understood.
    /// Unit: seconds since 1970.
    pub fn ends_at(&self) -> Option<u64> {
        let in_force = self.in_force.read();
        in_force.unwrap_or_else(PoisonError::into_inner).ends_at
    }

    /// Looks at the files again: whether there is something new in force.
    ///
    /// # Errors
    ///
    /// [`Error`] when the files have changed to something that cannot be used, once for each such change; or cannot
    /// be read. What was in force stays so.
    pub fn look_again(&self) -> Result<bool, Error> {
        let contents = PemContents::read(&self.files)?;
        let is_known = self
            .in_force
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .seen
            == contents;
        if is_known {
            return Ok(false);
        }
        let config = contents.config(&self.files, self.protocol);
        let ends_at = contents.ends_at();
        let mut in_force = self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        in_force.seen = contents;
        in_force.config = config?;
        in_force.ends_at = ends_at;
        Ok(true)
    }

    /// The peer's stream.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = {
            let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&in_force.config)
        };
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl fmt::Debug for ServerTls {
    /// Where, and nothing of what.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tls").field(&self.files).finish()
    }
}

impl PemContents {
    fn read(files: &TlsFiles) -> Result<Self, Error> {
        let client_ca = files.client_ca.as_deref().map(read).transpose()?;
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca,
        })
    }

    fn config(&self, files: &TlsFiles, protocol: TlsProtocol) -> Result<Arc<ServerConfig>, Error> {
        let chain = certificates(&self.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| Error::Empty {
            file: files.key.display().to_string(),
            expected: "private key",
        })?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&files.certificate, error))?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(authorities), Some(file)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(authorities, file)? {
                    roots
                        .add(authority)
                        .map_err(|error| unusable(file, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .map_err(|error| unusable(file, error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| unusable(&files.certificate, error))?;
        config.alpn_protocols = match protocol {
            TlsProtocol::Grpc => vec![b"h2".to_vec()],
            TlsProtocol::Http => vec![b"http/1.1".to_vec()],
        };
        Ok(Arc::new(config))
    }

    fn ends_at(&self) -> Option<u64> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate);
        chain.filter_map(|link| ends_at(&link.ok()?)).min()
    }
}

/// When a certificate ends. It is asked whether it is valid at the end of time, and says until when it is: that is the first
/// thing that is looked at, before who signed it.
fn ends_at(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    // The last second of the year 9999, the latest that a certificate can name. Source: RFC 5280, section 4.1.2.5.
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(253_402_300_799));
    let usage = KeyUsage::server_auth();
    match certificate
        .verify_for_usage(&[], &[], &[], end_of_time, usage, None, None)
        .err()?
    {
        webpki::Error::CertExpired { not_after, .. } => Some(not_after.as_secs()),
        _ => None,
    }
}

fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.map_err(|error| unusable(file, error))?;
    if found.is_empty() {
        return Err(Error::Empty {
            file: file.display().to_string(),
            expected: "certificate",
        });
    }
    Ok(found)
}

fn unusable(file: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unusable {
        file: file.display().to_string(),
        source: Box::new(source),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|source| Error::Unreadable {
        file: file.display().to_string(),
        source,
    })
}
