//! A small world for these tests: Secrets in documents, pages by address, keys that sign.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use url::Url;

use super::super::*;
use crate::intake::auth::shared::SharedAuths;
use crate::lookup::files::Files;
use crate::resource::{document, event_job};

/// 2026-11-28T12:00:00Z.
pub(super) const NOW: i64 = 1_795_867_200;

/// Every secret of this world has it.
pub(super) const CANARY: &str = "canary";

pub(super) const SIGNING: &[u8] = b"canary-signing-key-of-32-bytes!!";
pub(super) const SIGNING_BEFORE: &[u8] = b"canary-signing-key-before-it-was";

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// Pages by address. What is not there cannot be read.
#[derive(Default)]
pub(super) struct Pages {
    pages: Mutex<HashMap<String, Result<Vec<u8>, String>>>,
    asked: AtomicUsize,
}

impl Pages {
    pub(super) fn set(&self, url: &str, page: Result<Vec<u8>, String>) {
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Fetch for Pages {
    fn get<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            // Whoever asks beside us gets his turn.
            tokio::task::yield_now().await;
            let pages = self.pages.lock().unwrap();
            let absent = || Err(String::from("issuer.example: answered 404"));
            pages.get(url.as_str()).cloned().unwrap_or_else(absent)
        })
    }
}

/// Secrets of namespace `production`.
pub(super) fn secrets() -> Files {
    let signing = STANDARD.encode(SIGNING);
    let before = STANDARD.encode(SIGNING_BEFORE);
    let text = format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: hook, namespace: production}}
stringData:
  current: canary-current-key
  previous: "canary-previous-key\n"
  signing: whsec_{signing}
  before: {before}
  text: canary-text-key
  text-from-file: "canary-text-key\r\n"
  not-base64: "whsec_canary***"
  nothing: "whsec_"
  empty: ""
  blank: " \n"
---
apiVersion: v1
kind: Secret
metadata: {{name: door, namespace: production}}
type: kubernetes.io/basic-auth
stringData: {{username: canary-user, password: "canary:pass:wörd"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: half, namespace: production}}
type: kubernetes.io/basic-auth
stringData: {{username: canary-user, password: ""}}
---
apiVersion: v1
kind: Secret
metadata: {{name: unreadable, namespace: production}}
data: {{key: "not base64!"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: hook, namespace: elsewhere}}
stringData: {{current: canary-of-another-namespace}}
"#
    );
    let (documents, misread) = document::read(&text);
    assert!(misread.is_empty());
    Files::new(&documents)
}

/// A request.
#[derive(Default, Clone)]
pub(super) struct Sender {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Sender {
    pub(super) fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.headers.append(name, value);
        self
    }
}

/// The ways in of a shared door with an EventJob for each list.
pub(super) fn shared(lists: &[&[Auth]]) -> SharedAuths {
    let event_job = |auth: &&[Auth]| {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob",
            "metadata": {"name": "a", "namespace": "production"},
            "spec": {
                "source": {"webhook": {"auth": [{"none": {}}]}},
                "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}],
                }}}},
            },
        });
        let mut event_job = event_job::parse(&object).unwrap();
        let event_job::EventSource::Webhook(webhook) = &mut event_job.source else {
            panic!("no webhook");
        };
        webhook.auth = auth.to_vec();
        Arc::new(event_job)
    };
    SharedAuths::new(&lists.iter().map(event_job).collect::<Vec<_>>())
}

/// What the door does: headers first, the body only when it is asked for.
pub(super) async fn decide(
    authenticator: &Authenticator,
    auth: &[Auth],
    sender: &Sender,
) -> SenderVerdict {
    let first = authenticator
        .with_headers("production", auth, &sender.headers)
        .await;
    // A shared door says the same; tokens are asked about by tests of their own, which count what is fetched.
    if !auth.iter().any(|one| matches!(one, Auth::Jwt { .. })) {
        let shared = shared(&[auth]);
        let verdicts = authenticator
            .with_headers_of_all("production", &shared, &sender.headers)
            .await;
        let kind = std::mem::discriminant;
        assert_eq!(kind(&verdicts[0]), kind(&first), "{verdicts:?}, {first:?}");
    }
    if first != SenderVerdict::NeedsBody {
        return first;
    }
    let second = authenticator.with_body("production", auth, &sender.headers, &sender.body);
    let second = second.await;
    assert_ne!(second, SenderVerdict::NeedsBody);
    second
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One of two RSA keys that are made for these tests only, PKCS #8.
pub(super) fn rsa(second: bool) -> (RsaKeyPair, &'static [u8]) {
    let der: &[u8] = if second {
        include_bytes!("rsa-two.der")
    } else {
        include_bytes!("rsa-one.der")
    };
    (RsaKeyPair::from_pkcs8(der).unwrap(), der)
}

pub(super) fn rsa_sign(
    second: bool,
    encoding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Vec<u8> {
    let (key, _) = rsa(second);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
}

pub(super) fn rsa_jwk(second: bool, id: &str) -> Value {
    let (key, _) = rsa(second);
    let public: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
    json!({"kty": "RSA", "kid": id, "n": base64url(public.n), "e": base64url(public.e)})
}

pub(super) fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

/// An issuer's other keys.
pub(super) struct Curves {
    pub(super) p256: EcdsaKeyPair,
    pub(super) p384: EcdsaKeyPair,
    pub(super) ed25519: Ed25519KeyPair,
}

impl Curves {
    pub(super) fn generate() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            p256: elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed25519: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(),
        }
    }

    pub(super) fn jwks(&self) -> Vec<Value> {
        let point = |curve: &str, id: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({"kty": "EC", "crv": curve, "kid": id, "x": base64url(x), "y": base64url(y)})
        };
        let x = base64url(self.ed25519.public_key());
        vec![
            point("P-256", "p256", self.p256.public_key().as_ref()),
            point("P-384", "p384", self.p384.public_key().as_ref()),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x}),
        ]
    }
}
