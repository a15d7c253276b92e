//! An issuer's public keys (RFC 7517), and what each may prove.
//!
//! The key says which algorithm is right, never the token: a token's `alg` only
//! picks among those that its key allows. Shared keys (`oct`) are nobody's public
//! keys and are passed over.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

/// Keys of one document that are looked at. Source: our own bound.
const MOST_KEYS: usize = 64;
/// Keys that one token is held against when it names none. Source: our own bound.
const MOST_TRIED: usize = 8;

/// A signature algorithm of RFC 7518 or RFC 8037. There is no `none` here, and nothing with a shared key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// Reads `alg`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}

/// A public key.
struct PublicKey {
    id: Option<String>,
    /// `alg`; without it, whatever the type of key allows.
    only: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Point(Algorithm, &'static dyn VerificationAlgorithm, Vec<u8>),
}

/// What a set of keys says of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureCheck {
    /// Made by one of them.
    Right,
    /// Not made by the one that is named.
    Wrong,
    /// Perhaps made by a key that is not among them.
    UnknownKey,
}

/// The keys of one document.
pub(super) struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// Reads a JWK Set. Keys that prove nothing here are passed over.
    ///
    /// # Errors
    ///
    /// It is none, or has no key of use.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(document)
            .map_err(|_| String::from("what it publishes is not JSON"))?;
        let keys = value.get("keys").and_then(Value::as_array).ok_or_else(|| {
            String::from("what it publishes is not a JWK Set (an object with `keys`)")
        })?;
        let keys: Vec<PublicKey> = keys
            .iter()
            .take(MOST_KEYS)
            .filter_map(PublicKey::parse)
            .collect();
        if keys.is_empty() {
            return Err(String::from(
                "none of the keys it publishes can verify RS, PS, ES or EdDSA signatures",
            ));
        }
        Ok(Self(keys))
    }

    /// Looks for the key that made a signature.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> SignatureCheck {
        let mut tried = 0;
        for key in &self.0 {
            let is_meant = id.is_none() || key.id.as_deref() == id;
            if !is_meant || tried == MOST_TRIED {
                continue;
            }
            tried += 1;
            if key.verifies(algorithm, message, signature) {
                return SignatureCheck::Right;
            }
        }
        if id.is_some() && tried > 0 {
            SignatureCheck::Wrong
        } else {
            SignatureCheck::UnknownKey
        }
    }
}

impl PublicKey {
    fn parse(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        // A key for something else is not for this, whatever else it could do.
        if value.get("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = value.get("key_ops") {
            let operations = operations.as_array()?;
            if !operations.iter().any(|operation| operation == "verify") {
                return None;
            }
        }
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa {
                n: bytes("n")?,
                e: bytes("e")?,
            },
            ("EC", Some("P-256")) => Material::Point(
                Algorithm::Es256,
                &ECDSA_P256_SHA256_FIXED,
                point(&bytes("x")?, &bytes("y")?, 32)?,
            ),
            ("EC", Some("P-384")) => Material::Point(
                Algorithm::Es384,
                &ECDSA_P384_SHA384_FIXED,
                point(&bytes("x")?, &bytes("y")?, 48)?,
            ),
            ("OKP", Some("Ed25519")) => {
                let x = bytes("x").filter(|x| x.len() == 32)?;
                Material::Point(Algorithm::EdDsa, &ED25519, x)
            }
            _ => return None,
        };
        let only = match value.get("alg") {
            Some(named) => Some(Algorithm::named(named.as_str()?)?),
            None => None,
        };
        let id = match value.get("kid") {
            Some(id) => Some(id.as_str()?.to_owned()),
            None => None,
        };
        Some(Self { id, only, material })
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if self.only.is_some_and(|only| only != algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa { n, e } => algorithm.rsa().is_some_and(|parameters| {
                let key = RsaPublicKeyComponents {
                    n: n.as_slice(),
                    e: e.as_slice(),
                };
                key.verify(parameters, message, signature).is_ok()
            }),
            Material::Point(own, verification, point) => {
                *own == algorithm
                    && UnparsedPublicKey::new(*verification, point)
                        .verify(message, signature)
                        .is_ok()
            }
        }
    }
}

/// An uncompressed point, as SEC 1 §2.3.3 writes it.
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat())
}
