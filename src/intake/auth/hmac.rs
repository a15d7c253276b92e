//! Signatures over the body with a shared key: Standard Webhooks, GitHub's, and others like them. HMAC-SHA256 always.
//!
//! The bytes as they came are signed, not what a parser makes of them. Headers
//! are looked at first: without a well-formed signature and a fresh timestamp, no
//! body is worth reading.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use jiff::Timestamp;
use ring::hmac::{Context, HMAC_SHA256, Key};
use secrecy::{ExposeSecret as _, SecretString};

use crate::resource::event_job::{HmacScheme, SecretKey};

use super::SenderVerdict;
use super::compare::tags_equal;
use super::headers::only;
use super::secrets::Secrets;

/// How far the sender's time may be from ours. Unit: seconds. Source: Standard Webhooks 1.0, as Stripe's.
const TOLERANCE: i64 = 300;
/// Signatures in one header: rotation needs two. Source: our own bound.
const MOST_SIGNATURES: usize = 8;

/// Senders differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signature as headers state it.
#[derive(PartialEq)]
pub(super) struct Claimed<'a> {
    /// Any of them may be right.
    signatures: Vec<[u8; 32]>,
    /// What is signed before the body.
    before: Vec<&'a str>,
}

/// What the headers state, if they are well-formed and their time is ours.
pub(super) fn claimed<'a>(
    scheme: &HmacScheme,
    headers: &'a HeaderMap,
    now: Timestamp,
) -> Option<Claimed<'a>> {
    match scheme {
        HmacScheme::StandardWebhooks => {
            let id = only(headers, "webhook-id").filter(|id| !id.contains('.'))?;
            let timestamp = fresh(only(headers, "webhook-timestamp")?, now)?;
            let signatures = standard(only(headers, "webhook-signature")?)?;
            Some(Claimed {
                signatures,
                before: vec![id, ".", timestamp, "."],
            })
        }
        HmacScheme::GitHub => {
            let signature = only(headers, "x-hub-signature-256")?.strip_prefix("sha256=")?;
            Some(Claimed {
                signatures: vec![hexadecimal(signature)?],
                before: Vec::new(),
            })
        }
        HmacScheme::Generic {
            signature_header,
            timestamp_header,
        } => {
            let signatures = vec![generic(only(headers, signature_header)?)?];
            let before = match timestamp_header {
                Some(header) => vec![fresh(only(headers, header)?, now)?, "."],
                None => Vec::new(),
            };
            Some(Claimed { signatures, before })
        }
    }
}

/// `hmac`: every stated signature against every key.
pub(super) async fn verify(
    secrets: Secrets<'_>,
    scheme: &HmacScheme,
    keys: &[SecretKey],
    claimed: &Claimed<'_>,
    body: &[u8],
) -> SenderVerdict {
    let keys = secrets.keys(keys).await;
    let mut trouble = keys.trouble;
    let mut passed = false;
    for key in &keys.present {
        match bytes(scheme, key) {
            Some(bytes) => passed |= signed(&bytes, claimed, body),
            None => {
                trouble = Some(String::from(
                    "a key for Standard Webhooks is not base64 (with or without `whsec_` before it)",
                ));
            }
        }
    }
    SenderVerdict::of(passed, trouble)
}

fn signed(key: &[u8], claimed: &Claimed<'_>, body: &[u8]) -> bool {
    let mut context = Context::with_key(&Key::new(HMAC_SHA256, key));
    for part in &claimed.before {
        context.update(part.as_bytes());
    }
    context.update(body);
    let tag = context.sign();
    let mut right = false;
    for signature in &claimed.signatures {
        right |= tags_equal(signature, tag.as_ref());
    }
    right
}

/// The key itself. `None` when the Secret holds something else, or nothing.
fn bytes(scheme: &HmacScheme, key: &SecretString) -> Option<Vec<u8>> {
    match scheme {
        HmacScheme::StandardWebhooks => {
            let text = key.expose_secret();
            let text = text.strip_prefix("whsec_").unwrap_or(text);
            BASE64.decode(text).ok().filter(|bytes| !bytes.is_empty())
        }
        HmacScheme::GitHub | HmacScheme::Generic { .. } => Some(key.expose_secret().into()),
    }
}

/// The timestamp, if it is Unix seconds and close to ours.
fn fresh(text: &str, now: Timestamp) -> Option<&str> {
    let digits = text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = digits.then(|| text.parse().ok())??;
    ((now.as_second() - seconds).abs() <= TOLERANCE).then_some(text)
}

/// `v1,BASE64`, several with spaces between them. Versions that we do not know are passed over.
fn standard(text: &str) -> Option<Vec<[u8; 32]>> {
    let stated: Vec<&str> = text.split(' ').filter(|one| !one.is_empty()).collect();
    if stated.len() > MOST_SIGNATURES {
        return None;
    }
    let signatures: Vec<[u8; 32]> = stated
        .iter()
        .filter_map(|one| base64(one.strip_prefix("v1,")?))
        .collect();
    (!signatures.is_empty()).then_some(signatures)
}

/// Hexadecimal or base64, perhaps with `algorithm=` before it. Base64 ends in `=` too, so the whole is tried first.
fn generic(text: &str) -> Option<[u8; 32]> {
    either(text).or_else(|| {
        let (algorithm, signature) = text.split_once('=')?;
        let is_name = !algorithm.is_empty()
            && algorithm.len() <= 20
            && algorithm
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        is_name.then(|| either(signature))?
    })
}

fn either(text: &str) -> Option<[u8; 32]> {
    hexadecimal(text).or_else(|| base64(text))
}

fn base64(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let value = digit(pair[0])? * 16 + digit(pair[1])?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
