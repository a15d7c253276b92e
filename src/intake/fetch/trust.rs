//! Whose certificates are believed: the roots of this machine, or those that were handed in.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// Authorities whose certificates are believed. A clone shares what was read.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

struct Inner {
    /// `None`: those of the machine.
    given: Option<Vec<CertificateDer<'static>>>,
    /// Read when somebody first asks: most processes never do, and the file is large.
    store: OnceLock<Arc<RootCertStore>>,
}

impl Trust {
    /// The machine's own roots, read when they are first needed. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    pub fn native() -> Self {
        Self::of(None)
    }

    /// These authorities and no others, as DER. What is no certificate is left out.
    pub fn only(authorities: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let given = authorities.into_iter().map(CertificateDer::from).collect();
        Self::of(Some(given))
    }

    fn of(given: Option<Vec<CertificateDer<'static>>>) -> Self {
        Self(Arc::new(Inner {
            given,
            store: OnceLock::new(),
        }))
    }

    /// The authorities.
    pub(in crate::intake) fn store(&self) -> &Arc<RootCertStore> {
        self.0.store.get_or_init(|| {
            let certificates = match &self.0.given {
                Some(given) => given.clone(),
                // Files that cannot be read leave fewer authorities; with none at all, nothing is believed.
                None => rustls_native_certs::load_native_certs().certs,
            };
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(certificates);
            Arc::new(store)
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.0.given.is_some() {
            "given"
        } else {
            "native"
        };
        write!(formatter, "Trust({whose})")
    }
}
