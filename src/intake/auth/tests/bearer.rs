//! Bearer tokens: an issuer with keys of every kind, and what others make of its tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use serde_json::{Value, json};

use super::world::{Curves, NOW, Pages, Sender, base64url, elliptic, rsa_jwk, rsa_sign};
use super::{Row, row};
use crate::resource::event_job::Auth;

const KEYS: &str = "https://issuer.example/keys";
const SHARED: &[u8] = b"a key that is published by mistake";

pub(super) struct TestIssuer {
    curves: Curves,
}

pub(super) fn way() -> Auth {
    Auth::Jwt {
        issuer: String::from("https://issuer.example/"),
        audience: String::from("slipway"),
        jwks_url: KEYS.parse().unwrap(),
    }
}

fn claims() -> Value {
    json!({"iss": "https://issuer.example/", "aud": "slipway", "exp": NOW + 600, "iat": NOW, "nbf": NOW, "sub": "canary"})
}

/// The claims with one of them changed, or taken out.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        base64url(header.to_string()),
        base64url(claims.to_string())
    )
}

fn rsa(header: &Value, claims: &Value, second: bool, encoding: &'static dyn RsaEncoding) -> String {
    let text = unsigned(header, claims);
    let signature = rsa_sign(second, encoding, text.as_bytes());
    format!("{text}.{}", base64url(signature))
}

/// A token of the first key, right but for its claims.
pub(super) fn token(claims: &Value) -> String {
    rsa(
        &json!({"alg": "RS256", "kid": "rs"}),
        claims,
        false,
        &RSA_PKCS1_SHA256,
    )
}

/// A token of the first key, right but for its header.
fn headed(header: &Value) -> String {
    rsa(header, &claims(), false, &RSA_PKCS1_SHA256)
}

pub(super) fn right() -> String {
    token(&claims())
}

pub(super) fn bearer(token: &str) -> Sender {
    Sender::new("").header("authorization", format!("Bearer {token}"))
}

impl TestIssuer {
    pub(super) fn new() -> Self {
        Self {
            curves: Curves::generate(),
        }
    }

    pub(super) fn publish(&self, pages: &Pages) {
        let mut first = rsa_jwk(false, "rs");
        first["alg"] = json!("RS256");
        first["use"] = json!("sig");
        let mut for_encryption = rsa_jwk(false, "enc");
        for_encryption["use"] = json!("enc");
        let mut to_sign = rsa_jwk(false, "ops");
        to_sign["key_ops"] = json!(["sign"]);
        let shared = json!({"kty": "oct", "kid": "oct", "k": base64url(SHARED), "alg": "HS256"});
        let mut keys = vec![
            shared,
            for_encryption,
            to_sign,
            first,
            rsa_jwk(true, "any"),
            json!("no key at all"),
        ];
        keys.extend(self.curves.jwks());
        publish(pages, &keys);
    }

    fn elliptic(&self, header: &Value) -> String {
        let text = unsigned(header, &claims());
        let random = SystemRandom::new();
        let bytes = text.as_bytes();
        let signature = match header["alg"].as_str() {
            Some("ES384") => self
                .curves
                .p384
                .sign(&random, bytes)
                .unwrap()
                .as_ref()
                .to_vec(),
            Some("ES256") => self
                .curves
                .p256
                .sign(&random, bytes)
                .unwrap()
                .as_ref()
                .to_vec(),
            _ => self.curves.ed25519.sign(bytes).as_ref().to_vec(),
        };
        format!("{text}.{}", base64url(signature))
    }

    pub(super) fn good(&self) -> Vec<Row> {
        let way = way();
        let any = |algorithm: &str, encoding| {
            let header = json!({"alg": algorithm, "kid": "any"});
            bearer(&rsa(&header, &claims(), true, encoding))
        };
        let curve = |algorithm: &str, id: &str| {
            bearer(&self.elliptic(&json!({"alg": algorithm, "kid": id})))
        };
        vec![
            row("RS256", &way, bearer(&right())),
            row(
                "RS256 of a key for any",
                &way,
                any("RS256", &RSA_PKCS1_SHA256),
            ),
            row("RS384", &way, any("RS384", &RSA_PKCS1_SHA384)),
            row("RS512", &way, any("RS512", &RSA_PKCS1_SHA512)),
            row("PS256", &way, any("PS256", &RSA_PSS_SHA256)),
            row("PS384", &way, any("PS384", &RSA_PSS_SHA384)),
            row("PS512", &way, any("PS512", &RSA_PSS_SHA512)),
            row("ES256", &way, curve("ES256", "p256")),
            row("ES384", &way, curve("ES384", "p384")),
            row("EdDSA", &way, curve("EdDSA", "ed")),
            row("no kid", &way, bearer(&headed(&json!({"alg": "RS256"})))),
            row(
                "several audiences",
                &way,
                bearer(&token(&but("aud", json!(["other", "slipway"])))),
            ),
            row(
                "nothing but what is required",
                &way,
                bearer(&token(&json!({
                    "iss": "https://issuer.example/", "aud": "slipway", "exp": NOW + 1,
                }))),
            ),
            row(
                "a clock a minute behind",
                &way,
                bearer(&token(&but("nbf", json!(NOW + 60)))),
            ),
            row(
                "out for half a minute",
                &way,
                bearer(&token(&but("exp", json!(NOW - 30)))),
            ),
        ]
    }

    pub(super) fn forged() -> Vec<Row> {
        let way = &way();
        let mut rows = Self::forged_signatures(way);
        for (what, name, value) in [
            ("no exp", "exp", Value::Null),
            ("an exp that is text", "exp", json!((NOW + 600).to_string())),
            ("an exp that is a list", "exp", json!([NOW + 600])),
            ("an exp long ago", "exp", json!(NOW - 61)),
            ("an nbf to come", "nbf", json!(NOW + 61)),
            ("an nbf that is text", "nbf", json!("0")),
            ("an iat to come", "iat", json!(NOW + 61)),
            ("an iat that is a truth", "iat", json!(true)),
            ("no iss", "iss", Value::Null),
            ("another iss", "iss", json!("https://issuer.example")),
            (
                "an iss that is a list",
                "iss",
                json!(["https://issuer.example/"]),
            ),
            ("no aud", "aud", Value::Null),
            ("another aud", "aud", json!("slipway2")),
            ("no aud among several", "aud", json!(["other", "another"])),
            ("an aud that is a number", "aud", json!(1)),
            ("an aud beside a number", "aud", json!(["slipway", 1])),
            ("an aud in an object", "aud", json!({"slipway": "slipway"})),
            ("an empty list of aud", "aud", json!([])),
        ] {
            rows.push(row(what, way, bearer(&token(&but(name, value)))));
        }
        rows.push(row(
            "claims that are no object",
            way,
            bearer(&token(&json!([]))),
        ));
        rows
    }

    #[expect(clippy::too_many_lines, reason = "a table of rows")]
    fn forged_signatures(way: &Auth) -> Vec<Row> {
        let right = right();
        let signature = right.rsplit_once('.').unwrap().1;
        let none = |algorithm: &str| {
            let text = unsigned(&json!({"alg": algorithm, "kid": "rs"}), &claims());
            bearer(&format!("{text}."))
        };
        let shared = |key: &[u8], id: &str| {
            let text = unsigned(&json!({"alg": "HS256", "kid": id}), &claims());
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
            bearer(&format!("{text}.{}", base64url(tag)))
        };
        let public_key = rsa_jwk(false, "rs").to_string();
        let signed_by_another =
            |header: &Value| bearer(&rsa(header, &claims(), true, &RSA_PKCS1_SHA256));
        let stranger = elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let strange_text = unsigned(&json!({"alg": "ES256", "kid": "p256"}), &claims());
        let strange = stranger
            .sign(&SystemRandom::new(), strange_text.as_bytes())
            .unwrap();
        let own_key = json!({"alg": "RS256", "kid": "rs", "jwk": rsa_jwk(true, "rs")});
        let own_address = json!({"alg": "RS256", "kid": "rs", "jku": "https://evil.example/keys", "x5u": "https://evil.example/x"});
        let changed = format!(
            "{}.{signature}",
            unsigned(
                &json!({"alg": "RS256", "kid": "rs"}),
                &but("sub", json!("admin"))
            )
        );
        let padded = right.replacen('.', "=.", 1);
        let text = unsigned(&json!({"alg": "RS256", "kid": "rs"}), &claims());
        let plain = STANDARD.encode(rsa_sign(false, &RSA_PKCS1_SHA256, text.as_bytes()));
        let plain_url = URL_SAFE.encode(rsa_sign(false, &RSA_PKCS1_SHA256, text.as_bytes()));
        let bits = elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let long_header = json!({"alg": "RS256", "kid": "rs", "x": "x".repeat(9 * 1024)});
        vec![
            row("no token", way, Sender::new("")),
            row("an empty token", way, bearer("")),
            row("alg none", way, none("none")),
            row("alg None", way, none("None")),
            row("no signature", way, none("RS256")),
            row(
                "alg HS256 with the public key",
                way,
                shared(public_key.as_bytes(), "rs"),
            ),
            row(
                "alg HS256 with a published shared key",
                way,
                shared(SHARED, "oct"),
            ),
            row("no alg", way, bearer(&headed(&json!({"kid": "rs"})))),
            row(
                "an alg that is a list",
                way,
                bearer(&headed(&json!({"alg": ["RS256"], "kid": "rs"}))),
            ),
            row(
                "an alg in lower case",
                way,
                bearer(&headed(&json!({"alg": "rs256", "kid": "rs"}))),
            ),
            row(
                "an alg that the key does not allow",
                way,
                bearer(&rsa(
                    &json!({"alg": "RS512", "kid": "rs"}),
                    &claims(),
                    false,
                    &RSA_PKCS1_SHA512,
                )),
            ),
            row(
                "PS256 of a key for RS256",
                way,
                bearer(&rsa(
                    &json!({"alg": "PS256", "kid": "rs"}),
                    &claims(),
                    false,
                    &RSA_PSS_SHA256,
                )),
            ),
            row(
                "an alg of another kind of key",
                way,
                bearer(&headed(&json!({"alg": "ES256", "kid": "rs"}))),
            ),
            row(
                "a kid of another key",
                way,
                bearer(&headed(&json!({"alg": "RS256", "kid": "any"}))),
            ),
            row(
                "an unknown kid",
                way,
                bearer(&headed(&json!({"alg": "RS256", "kid": "new"}))),
            ),
            row(
                "a kid that is a number",
                way,
                bearer(&headed(&json!({"alg": "RS256", "kid": 1}))),
            ),
            row(
                "a key for encryption",
                way,
                bearer(&headed(&json!({"alg": "RS256", "kid": "enc"}))),
            ),
            row(
                "a key that is not for verifying",
                way,
                bearer(&headed(&json!({"alg": "RS256", "kid": "ops"}))),
            ),
            row(
                "a critical extension",
                way,
                bearer(&headed(
                    &json!({"alg": "RS256", "kid": "rs", "crit": ["b64"], "b64": true}),
                )),
            ),
            row(
                "another RSA key",
                way,
                signed_by_another(&json!({"alg": "RS256", "kid": "rs"})),
            ),
            row(
                "another elliptic key",
                way,
                bearer(&format!("{strange_text}.{}", base64url(strange))),
            ),
            row(
                "a key of its own in the header",
                way,
                signed_by_another(&own_key),
            ),
            row(
                "an address of its own in the header",
                way,
                signed_by_another(&own_address),
            ),
            row("changed claims", way, bearer(&changed)),
            row("a cut signature", way, bearer(&right[..right.len() - 4])),
            row("a longer signature", way, bearer(&format!("{right}AAAA"))),
            row("padding", way, bearer(&padded)),
            row(
                "a signature in base64",
                way,
                bearer(&format!("{text}.{plain}")),
            ),
            row(
                "a padded signature",
                way,
                bearer(&format!("{text}.{plain_url}")),
            ),
            row(
                "an elliptic signature of zeroes",
                way,
                bearer(&format!("{strange_text}.{}", base64url([0; 64]))),
            ),
            row(
                "a signature by nobody's curve",
                way,
                bearer(&format!(
                    "{strange_text}.{}",
                    base64url(bits.sign(&SystemRandom::new(), b"other").unwrap())
                )),
            ),
            row("five parts", way, bearer(&format!("{right}.x.y"))),
            row("two parts", way, bearer(&text)),
            row("a token of 9 KiB", way, bearer(&headed(&long_header))),
            row(
                "a token in Basic",
                way,
                Sender::new("").header("authorization", format!("Basic {right}")),
            ),
            row(
                "a token without its scheme",
                way,
                Sender::new("").header("authorization", &right),
            ),
            row(
                "two tokens",
                way,
                bearer(&right).header("authorization", format!("Bearer {right}")),
            ),
            row(
                "a header that is no JSON",
                way,
                bearer(&right.replacen("eyJ", "aaa", 1)),
            ),
        ]
    }
}

pub(super) fn publish(pages: &Pages, keys: &[Value]) {
    pages.set(KEYS, Ok(json!({"keys": keys}).to_string().into_bytes()));
}

pub(super) fn silence(pages: &Pages) {
    pages.set(KEYS, Err(String::from("issuer.example: answered 500")));
}
