//! Reads small public documents over https: keys of issuers, SNS certificates, confirmations.

use futures::future::BoxFuture;
use url::Url;

/// The port: one GET.
pub trait Fetch: Send + Sync {
    /// The body of a 2xx answer, at most 64 KiB. No redirect is followed.
    ///
    /// # Errors
    ///
    /// What happened, in words that name the host and no more of the address.
    fn get<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<u8>, String>>;
}

pub mod https;
pub mod trust;
