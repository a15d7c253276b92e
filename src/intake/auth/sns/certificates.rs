//! SNS's certificates: fetched once, held against the authorities that we believe at every use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;
use webpki::{EndEntityCert, KeyUsage};

use crate::intake::auth::SenderVerdict;
use crate::intake::auth::fault::{FaultCause, SenderFault};
use crate::intake::fetch::Fetch;
use crate::intake::fetch::trust::Trust;

use super::address::Address;
use super::message::Message;

/// SNS serves its certificate without the one that signed it, so those are here: Amazon RSA 2048 M01 to M04, valid until
/// August 2030. They are only links to an authority that is believed anyway. Source: amazontrust.com, the "Amazon Trust
/// Services" repository; each is signed by Amazon Root CA 1.
const AMAZON: &[u8] = include_bytes!("amazon.pem");

/// Certificates that are remembered. Each region has one, and another in rotation.
const MOST: usize = 128;
/// Certificates in one document that are looked at.
const MOST_LINKS: usize = 8;
/// Calls at once: strangers can make up addresses at SNS's hosts.
const AT_ONCE: usize = 4;
/// How long an address that gave nothing is not asked again.
const PAUSE: Duration = Duration::from_secs(30);

/// What signs certificates: the algorithms that the CA/Browser Forum's rules leave.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
];

/// What came of the last read of an address, and when that was.
type CertificateRead = (Instant, Result<Certificate, String>);

/// Certificates by address.
pub(super) struct Certificates {
    fetch: Arc<dyn Fetch>,
    trust: Trust,
    known: Mutex<HashMap<Url, CertificateRead>>,
    calls: Semaphore,
}

/// A certificate that was found where SNS has its own. Nothing of it is proved.
#[derive(Clone)]
pub(super) struct Certificate {
    trust: Trust,
    names: Arc<[String]>,
    /// Its own first.
    chain: Arc<[CertificateDer<'static>]>,
}

impl Certificates {
    /// None is known yet.
    pub(super) fn new(fetch: Arc<dyn Fetch>, trust: Trust) -> Self {
        Self {
            fetch,
            trust,
            known: Mutex::new(HashMap::new()),
            calls: Semaphore::new(AT_ONCE),
        }
    }

    /// The certificate at an address of SNS's.
    ///
    /// # Errors
    ///
    /// It cannot be read now.
    pub(super) async fn get(&self, address: &Address) -> Result<Certificate, String> {
        if let Some(known) = self.known(&address.url) {
            return known;
        }
        let Ok(_call) = self.calls.acquire().await else {
            return Err(String::from("certificates are not read any more"));
        };
        // Others may have read it meanwhile.
        if let Some(known) = self.known(&address.url) {
            return known;
        }
        let result = self.read(address).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            // Failures go first: strangers can cause any number of them.
            let first = known
                .iter()
                .min_by_key(|(_, (at, result))| (result.is_ok(), *at));
            if let Some(url) = first.map(|(url, _)| url.clone()) {
                known.remove(&url);
            }
        }
        known.insert(address.url.clone(), (Instant::now(), result.clone()));
        result
    }

    fn known(&self, url: &Url) -> Option<Result<Certificate, String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, result) = known.get(url)?;
        (result.is_ok() || at.elapsed() < PAUSE).then(|| result.clone())
    }

    async fn read(&self, address: &Address) -> Result<Certificate, String> {
        let document = self
            .fetch
            .get(&address.url)
            .await
            .map_err(|why| format!("SNS's certificate cannot be read: {why}"))?;
        let chain: Vec<CertificateDer<'static>> = links(&document).take(MOST_LINKS).collect();
        if chain.is_empty() {
            return Err(String::from(
                "SNS's certificate cannot be read: what is at its address is no certificate",
            ));
        }
        Ok(Certificate {
            trust: self.trust.clone(),
            names: address.names.clone().into(),
            chain: chain.into(),
        })
    }
}

impl Certificate {
    /// Whether this certificate is SNS's at this time, and signed the message.
    pub(super) fn verdict(&self, message: &Message, now: Timestamp) -> SenderVerdict {
        let refused = || SenderVerdict::Refused(SenderFault::new("$.Signature", FaultCause::Wrong));
        let Some((own, given)) = self.chain.split_first() else {
            return refused();
        };
        let Ok(certificate) = EndEntityCert::try_from(own) else {
            return refused();
        };
        if !self.is_named(&certificate) || !has_signed(&certificate, message) {
            return refused();
        }
        match self.believe(&certificate, given, now) {
            Ok(()) => SenderVerdict::Passed,
            // Ours to mend, whatever it is: the operator must hear of it, and nobody gets in.
            Err(webpki::Error::UnknownIssuer) => SenderVerdict::Unavailable(format!(
                "no authority that this machine believes has signed SNS's certificate ({})",
                self.names.join(" or ")
            )),
            Err(_) => refused(),
        }
    }

    fn is_named(&self, certificate: &EndEntityCert<'_>) -> bool {
        self.names.iter().any(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
        })
    }

    fn believe(
        &self,
        certificate: &EndEntityCert<'_>,
        given: &[CertificateDer<'static>],
        now: Timestamp,
    ) -> Result<(), webpki::Error> {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let links: Vec<CertificateDer<'_>> = given.iter().cloned().chain(links(AMAZON)).collect();
        certificate
            .verify_for_usage(
                ALGORITHMS,
                &self.trust.store().roots,
                &links,
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                KeyUsage::server_auth(),
                None,
                None,
            )
            .map(|_path| ())
    }
}

fn has_signed(certificate: &EndEntityCert<'_>, message: &Message) -> bool {
    certificate
        .verify_signature(
            webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            message.signed.as_bytes(),
            &message.signature,
        )
        .is_ok()
}

fn links(document: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(document).filter_map(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_to_amazons_authority_are_certificates() {
        let found: Vec<_> = links(AMAZON).collect();
        assert_eq!(found.len(), 4);
        for link in &found {
            assert!(EndEntityCert::try_from(link).is_ok());
        }
    }
}
