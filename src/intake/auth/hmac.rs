//! Signatures over the body with a shared key, as `resource::event_job::signature` describes them.
//!
//! The bytes as they came are signed, not what a parser makes of them. Headers
//! are looked at first: without a well-formed signature and a fresh timestamp, no
//! body is worth reading.

use http::HeaderMap;
use jiff::Timestamp;
use ring::hmac::{Context, HMAC_SHA256, HMAC_SHA512, Key};
use secrecy::{ExposeSecret as _, SecretString};

use crate::resource::base64_text;
use crate::resource::event_job::SecretKey;
use crate::resource::event_job::signature::{
    HmacAlgorithm, HmacScheme, SignatureEncoding, SignedPart, SignedTimestamp, TimestampPlace,
    TimestampUnit,
};

use super::SenderVerdict;
use super::compare::tags_equal;
use super::fault::{FaultCause, SenderFault};
use super::headers::only;
use super::secrets::Secrets;

/// Parts of one header: rotation needs two signatures, and a time stands beside them. Source: our own bound.
const MOST_PARTS: usize = 16;
/// Signatures that are tried. Source: our own bound.
const MOST_SIGNATURES: usize = 8;

/// A signature as headers state it.
#[derive(Debug, PartialEq)]
pub(super) struct Claimed<'a> {
    /// Any of them may be right.
    signatures: Vec<Vec<u8>>,
    /// What is signed: texts, and the body where there is none.
    signed: Vec<Option<&'a str>>,
}

/// What the headers state.
///
/// # Errors
///
/// They are not well-formed, or their time is not ours.
pub(super) fn claimed<'a>(
    scheme: &'a HmacScheme,
    headers: &'a HeaderMap,
    now: Timestamp,
) -> Result<Claimed<'a>, SenderFault> {
    let header = &scheme.signature_header;
    let fault = |cause| SenderFault::new(header, cause);
    let parts = parts(scheme, stated(headers, header)?).ok_or(fault(FaultCause::Malformed))?;
    let timestamp = match &scheme.timestamp {
        Some(signed) => Some(timestamp(signed, header, &parts, headers, now)?),
        None => None,
    };
    let signatures = signatures(scheme, &parts).map_err(fault)?;
    let mut signed = Vec::with_capacity(scheme.signed.len());
    for (index, part) in scheme.signed.iter().enumerate() {
        signed.push(match part {
            SignedPart::Text(text) => Some(text.as_str()),
            SignedPart::Timestamp => timestamp,
            SignedPart::Body => None,
            SignedPart::Header(name) => {
                let value = stated(headers, name)?;
                // Where it ends must be told by what follows it.
                if let Some(SignedPart::Text(next)) = scheme.signed.get(index + 1)
                    && value.contains(next.as_str())
                {
                    return Err(SenderFault::new(name, FaultCause::Malformed));
                }
                Some(value)
            }
        });
    }
    Ok(Claimed { signatures, signed })
}

/// A header that must come once.
fn stated<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, SenderFault> {
    only(headers, name).ok_or_else(|| SenderFault::absent(headers, name))
}

/// The parts of a signature's header.
fn parts<'a>(scheme: &HmacScheme, text: &'a str) -> Option<Vec<&'a str>> {
    let parts = text.split(scheme.separators).filter(|one| !one.is_empty());
    let parts: Vec<&str> = parts.take(MOST_PARTS + 1).collect();
    (parts.len() <= MOST_PARTS).then_some(parts)
}

/// The sender's time as it is written, if it is close to ours.
fn timestamp<'a>(
    signed: &SignedTimestamp,
    signature_header: &str,
    parts: &[&'a str],
    headers: &'a HeaderMap,
    now: Timestamp,
) -> Result<&'a str, SenderFault> {
    let (field, text) = match &signed.place {
        TimestampPlace::Header(name) => (name.as_str(), Some(stated(headers, name)?)),
        TimestampPlace::Part(prefix) => {
            let mut found = parts.iter().filter_map(|part| part.strip_prefix(&**prefix));
            // Of two, nobody knows which one is signed.
            let one = found.next().filter(|_| found.next().is_none());
            (signature_header, one)
        }
    };
    let fault = |cause| SenderFault::new(field, cause);
    let text = text.ok_or_else(|| fault(FaultCause::Malformed))?;
    let time = time_of(text, signed.unit).ok_or_else(|| fault(FaultCause::Malformed))?;
    let behind = now.duration_since(time);
    if behind.unsigned_abs() > signed.tolerance {
        return Err(fault(FaultCause::Clock(behind.as_secs())));
    }
    Ok(text)
}

fn time_of(text: &str, unit: TimestampUnit) -> Option<Timestamp> {
    let number = || {
        let digits = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok())?
    };
    match unit {
        TimestampUnit::Seconds => Timestamp::from_second(number()?).ok(),
        TimestampUnit::Milliseconds => Timestamp::from_millisecond(number()?).ok(),
        TimestampUnit::Rfc3339 => text.parse().ok(),
    }
}

/// The signatures of a header. Parts that are none of this scheme's, as other versions, are passed over.
fn signatures(scheme: &HmacScheme, parts: &[&str]) -> Result<Vec<Vec<u8>>, FaultCause> {
    let signature = |part: &&str| match &scheme.prefix {
        Some(prefix) => decoded(scheme, part.strip_prefix(&**prefix)?),
        None => decoded(scheme, part).or_else(|| decoded(scheme, after_algorithm(part)?)),
    };
    let found: Vec<_> = parts.iter().filter_map(signature).collect();
    let is_sha1 = |part: &&str| {
        let text = after_algorithm(part).unwrap_or(part);
        part.starts_with("sha1=") || bytes_of_hex(text).is_some_and(|bytes| bytes.len() == 20)
    };
    match found.len() {
        0 if parts.iter().any(is_sha1) => Err(FaultCause::BrokenHash),
        1..=MOST_SIGNATURES => Ok(found),
        _ => Err(FaultCause::Malformed),
    }
}

/// What stands behind `algorithm=`. Base64 ends in `=` too, so the whole is tried first.
fn after_algorithm(text: &str) -> Option<&str> {
    let (algorithm, signature) = text.split_once('=')?;
    let is_name = !algorithm.is_empty()
        && algorithm.len() <= 20
        && algorithm
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_name.then_some(signature)
}

fn decoded(scheme: &HmacScheme, text: &str) -> Option<Vec<u8>> {
    let length = match scheme.algorithm {
        HmacAlgorithm::Sha256 => 32,
        HmacAlgorithm::Sha512 => 64,
    };
    let hex = || bytes_of_hex(text).filter(|bytes| bytes.len() == length);
    let base64 = || base64_text::decode(text).filter(|bytes| bytes.len() == length);
    match scheme.encoding {
        Some(SignatureEncoding::Hex) => hex(),
        Some(SignatureEncoding::Base64) => base64(),
        None => hex().or_else(base64),
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
            Some(bytes) => passed |= is_signed(scheme, &bytes, claimed, body),
            None => {
                trouble = Some(String::from(
                    "a key for Standard Webhooks is not base64 (with or without `whsec_` before it)",
                ));
            }
        }
    }
    let fault = || SenderFault::new(&scheme.signature_header, FaultCause::Wrong);
    SenderVerdict::of(passed, trouble, fault)
}

fn is_signed(scheme: &HmacScheme, key: &[u8], claimed: &Claimed<'_>, body: &[u8]) -> bool {
    let algorithm = match scheme.algorithm {
        HmacAlgorithm::Sha256 => HMAC_SHA256,
        HmacAlgorithm::Sha512 => HMAC_SHA512,
    };
    let mut context = Context::with_key(&Key::new(algorithm, key));
    for part in &claimed.signed {
        context.update(part.map_or(body, str::as_bytes));
    }
    let tag = context.sign();
    let mut right = false;
    for signature in &claimed.signatures {
        right |= tags_equal(signature, tag.as_ref());
    }
    right
}

/// The key itself. `None` when the Secret holds something else, or nothing.
fn bytes(scheme: &HmacScheme, key: &SecretString) -> Option<Vec<u8>> {
    let text = key.expose_secret();
    if !scheme.is_key_base64 {
        return Some(text.into());
    }
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    base64_text::decode(text).filter(|bytes| !bytes.is_empty())
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests;
