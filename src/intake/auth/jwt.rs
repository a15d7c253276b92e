//! A bearer token (RFC 7519): what it claims, and whose signature it bears.
//!
//! Claims are looked at before the signature, because that costs nothing and a
//! token that would be refused anyway shall make nobody fetch keys. Nothing in the
//! token says where keys are: `jku`, `x5u`, `jwk` and `x5c` are not read.
//!
//! No library does this here. `jsonwebtoken` has had no ring since version 10: it would bring
//! aws-lc or a second set of crypto crates (`rsa`, `p256`, `p384`, `ed25519-dalek`), and
//! version 9 takes an `exp` of the wrong type for none (CVE-2026-25537). Signatures are ring's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::{Map, Value};
use url::Url;

use super::SenderVerdict;
use super::fault::{FaultCause, SenderFault};
use super::headers::authorization;
use super::jwk::{Algorithm, KeySet, SignatureCheck};
use super::jwks::Issuers;

/// How far clocks may differ. Unit: seconds. Source: RFC 7519 §4.1.4, "a few minutes" at most.
const LEEWAY: f64 = 60.0;

/// What a token must say.
#[derive(Clone, Copy)]
pub(super) struct ExpectedClaims<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    pub(super) jwks_url: &'a Url,
}

/// A token that has been taken apart. Nothing of it is proved.
struct Token<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// `jwt`: claims, then signature.
pub(super) async fn verify(
    issuers: &Issuers,
    headers: &HeaderMap,
    expected: ExpectedClaims<'_>,
    now: Timestamp,
) -> SenderVerdict {
    let refused = |cause| SenderVerdict::Refused(SenderFault::new(AUTHORIZATION.as_str(), cause));
    let Some(token) = authorization(headers, "bearer").and_then(Token::parse) else {
        return SenderVerdict::refused(headers, AUTHORIZATION.as_str());
    };
    if !token.claims_are_right(expected, now) {
        return refused(token.age(now).map_or(FaultCause::Wrong, FaultCause::Clock));
    }
    let keys = match issuers.keys(expected.jwks_url).await {
        Ok(keys) => keys,
        Err(why) => return SenderVerdict::Unavailable(why),
    };
    match token.signer(&keys) {
        SignatureCheck::Right => return SenderVerdict::Passed,
        SignatureCheck::Wrong => return refused(FaultCause::Wrong),
        SignatureCheck::UnknownKey => {}
    }
    // The issuer may have begun to sign with a new key since.
    match issuers.newer(expected.jwks_url).await {
        Ok(Some(keys)) if token.signer(&keys) == SignatureCheck::Right => SenderVerdict::Passed,
        Ok(_) => refused(FaultCause::Wrong),
        Err(why) => SenderVerdict::Unavailable(why),
    }
}

impl<'a> Token<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Map<String, Value> = part(header)?;
        // An extension that must be understood (RFC 7515 §4.1.11): we understand none.
        if header.contains_key("crit") {
            return None;
        }
        let key_id = match header.get("kid") {
            Some(id) => Some(id.as_str()?.to_owned()),
            None => None,
        };
        Some(Self {
            algorithm: Algorithm::named(header.get("alg")?.as_str()?)?,
            key_id,
            claims: part(claims)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// `exp`, `iss` and `aud` must be there; a claim of the wrong type is not the same as none.
    fn claims_are_right(&self, expected: ExpectedClaims<'_>, now: Timestamp) -> bool {
        let now = now.as_duration().as_secs_f64();
        let time = |name: &str| match self.claims.get(name) {
            None => Some(None),
            Some(value) => value.as_f64().map(Some),
        };
        let (Some(Some(expires)), Some(not_before), Some(issued_at)) =
            (time("exp"), time("nbf"), time("iat"))
        else {
            return false;
        };
        let issuer = self.claims.get("iss").and_then(Value::as_str);
        let is_meant_for_us = match self.claims.get("aud") {
            Some(Value::String(audience)) => audience == expected.audience,
            Some(Value::Array(audiences)) => {
                audiences.iter().all(Value::is_string)
                    && audiences
                        .iter()
                        .any(|audience| audience == expected.audience)
            }
            _ => false,
        };
        expires > now - LEEWAY
            && not_before.is_none_or(|start| start <= now + LEEWAY)
            && issued_at.is_none_or(|start| start <= now + LEEWAY)
            && issuer == Some(expected.issuer)
            && is_meant_for_us
    }

    /// How many seconds ago it expired, if it did.
    fn age(&self, now: Timestamp) -> Option<i64> {
        let age = now.as_second() - self.claims.get("exp")?.as_i64()?;
        (age > 0).then_some(age)
    }

    fn signer(&self, keys: &KeySet) -> SignatureCheck {
        keys.verify(
            self.key_id.as_deref(),
            self.algorithm,
            self.signed.as_bytes(),
            &self.signature,
        )
    }
}

/// A JSON object in base64url.
fn part(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
