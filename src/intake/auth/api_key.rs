//! A key in a header, and HTTP Basic: what a sender knows is what a Secret holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret as _, SecretString};

use crate::resource::event_job::SecretKey;

use super::SenderVerdict;
use super::compare::Comparer;
use super::fault::{FaultCause, SenderFault};
use super::headers::{authorization, only};
use super::secrets::Secrets;

/// `apiKey`: the header's value against every key.
pub(super) async fn api_key(
    secrets: Secrets<'_>,
    comparer: &Comparer,
    headers: &HeaderMap,
    header: &str,
    keys: &[SecretKey],
) -> SenderVerdict {
    let Some(presented) = only(headers, header) else {
        return SenderVerdict::refused(headers, header);
    };
    let keys = secrets.keys(keys).await;
    let mut passed = false;
    for key in &keys.present {
        passed |= comparer.equal(presented.as_bytes(), key.expose_secret().as_bytes());
    }
    SenderVerdict::of(passed, keys.trouble, || {
        SenderFault::new(header, FaultCause::Wrong)
    })
}

/// `basic`: RFC 7617 against a Secret of type `kubernetes.io/basic-auth`.
pub(super) async fn basic(
    secrets: Secrets<'_>,
    comparer: &Comparer,
    headers: &HeaderMap,
    secret: &str,
) -> SenderVerdict {
    let Some((username, password)) = authorization(headers, "basic").and_then(user_and_password)
    else {
        return SenderVerdict::refused(headers, AUTHORIZATION.as_str());
    };
    let stored = async {
        let data = secrets.data(secret).await?;
        Ok((
            secrets.value(secret, &data, "username")?,
            secrets.value(secret, &data, "password")?,
        ))
    };
    match stored.await {
        Ok((stored_username, stored_password)) => {
            let equal = |presented: &str, stored: &SecretString| {
                comparer.equal(presented.as_bytes(), stored.expose_secret().as_bytes())
            };
            let username = equal(&username, &stored_username);
            let password = equal(&password, &stored_password);
            SenderVerdict::of(username & password, None, || {
                SenderFault::new(AUTHORIZATION.as_str(), FaultCause::Wrong)
            })
        }
        Err(why) => SenderVerdict::Unavailable(why),
    }
}

/// Splits at the first colon: a user's name has none, a password may (RFC 7617 §2).
pub(super) fn user_and_password(credentials: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    if text.chars().any(char::is_control) {
        return None;
    }
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}
