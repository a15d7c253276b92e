//! Who may send, from outside: what each way in asks for, and what it never takes.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;

use self::world::{CANARY, Pages, Sender, decide, now, secrets};
use super::*;
use crate::resource::event_job::SecretKey;
use crate::resource::event_job::signature::HmacScheme;

mod bearer;
mod issuers;
mod many;
mod schemes;
mod shared;
mod signed;
mod topics;
mod world;

/// One row of a table.
struct Row {
    what: &'static str,
    auth: Vec<Auth>,
    sender: Sender,
}

fn row(what: &'static str, auth: &Auth, sender: Sender) -> Row {
    Row {
        what,
        auth: vec![auth.clone()],
        sender,
    }
}

fn authenticator(pages: Pages, trust: Trust) -> Authenticator {
    Authenticator::trusting(Arc::new(secrets()), Arc::new(pages), now, trust)
}

fn keys(names: &[&str]) -> Vec<SecretKey> {
    let key = |key: &&str| SecretKey {
        name: String::from("hook"),
        key: (*key).to_owned(),
    };
    names.iter().map(key).collect()
}

fn api_key(names: &[&str]) -> Auth {
    Auth::ApiKey {
        header: String::from("x-api-key"),
        keys: keys(names),
    }
}

fn known(scheme: &str) -> HmacScheme {
    HmacScheme::known(scheme).unwrap()
}

fn fault(field: &str, cause: FaultCause) -> SenderVerdict {
    SenderVerdict::Refused(SenderFault::new(field, cause))
}

fn hmac(scheme: HmacScheme, names: &[&str]) -> Auth {
    Auth::Hmac {
        scheme,
        keys: keys(names),
    }
}

async fn check(authenticator: &Authenticator, rows: &[Row], expected: &SenderVerdict) {
    for row in rows {
        let verdict = decide(authenticator, &row.auth, &row.sender).await;
        assert_eq!(verdict, *expected, "{}", row.what);
    }
}

#[tokio::test]
async fn forty_forgeries_and_more_are_refused_beside_the_good_ones() {
    let world = signed::world();
    let issuer = bearer::TestIssuer::new();
    issuer.publish(&world.pages);
    let good = [shared::good(), issuer.good(), signed::SignedWorld::good()].concat();
    let forged = [
        shared::forged(),
        bearer::TestIssuer::forged(),
        signed::SignedWorld::forged(),
    ]
    .concat();
    let authenticator = authenticator(world.pages, world.trust);
    check(&authenticator, &good, &SenderVerdict::Passed).await;
    for row in &forged {
        let verdict = decide(&authenticator, &row.auth, &row.sender).await;
        let is_refused = matches!(verdict, SenderVerdict::Refused(_));
        assert!(is_refused, "{}: {verdict:?}", row.what);
    }
    let distinct: BTreeSet<_> = forged.iter().map(|row| row.what).collect();
    assert_eq!(distinct.len(), forged.len(), "a row stands there twice");
    assert!(forged.len() >= 90, "{}", forged.len());
}

impl Clone for Row {
    fn clone(&self) -> Self {
        Self {
            what: self.what,
            auth: self.auth.clone(),
            sender: self.sender.clone(),
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_lets_nobody_in_and_refuses_nobody() {
    let sender = Sender::new("{}")
        .header("x-api-key", "canary-current-key")
        .header("authorization", "Basic Y2FuYXJ5LXVzZXI6");
    let basic = |secret: &str| Auth::Basic {
        secret: secret.to_owned(),
    };
    let elsewhere = |name: &str| Auth::ApiKey {
        header: String::from("x-api-key"),
        keys: vec![SecretKey {
            name: name.to_owned(),
            key: String::from("key"),
        }],
    };
    let authenticator = authenticator(Pages::default(), Trust::only([]));
    for (auth, why) in [
        (
            api_key(&["empty"]),
            "key `empty` of Secret production/hook is empty",
        ),
        (
            api_key(&["blank"]),
            "key `blank` of Secret production/hook is empty",
        ),
        (
            api_key(&["absent"]),
            "Secret production/hook has no key `absent` that is text",
        ),
        (
            elsewhere("nowhere"),
            "Secret production/nowhere is not there",
        ),
        (elsewhere("unreadable"), "Secret production/unreadable"),
        (
            basic("half"),
            "key `password` of Secret production/half is empty",
        ),
        (
            basic("hook"),
            "Secret production/hook has no key `username` that is text",
        ),
    ] {
        let verdict = decide(&authenticator, std::slice::from_ref(&auth), &sender).await;
        let SenderVerdict::Unavailable(told) = &verdict else {
            panic!("{why}: {verdict:?}");
        };
        assert!(told.starts_with(why), "{told}");
        // One way in that works is enough.
        let auth = [auth, api_key(&["current"])];
        let verdict = decide(&authenticator, &auth, &sender).await;
        assert_eq!(verdict, SenderVerdict::Passed, "{why}");
    }
}

#[tokio::test]
async fn nothing_signed_with_a_key_that_is_none_gets_in() {
    let authenticator = authenticator(Pages::default(), Trust::only([]));
    for row in shared::troubled() {
        let verdict = decide(&authenticator, &row.auth, &row.sender).await;
        let is_trouble = matches!(verdict, SenderVerdict::Unavailable(_));
        assert!(is_trouble, "{}: {verdict:?}", row.what);
    }
}

#[tokio::test]
async fn a_sender_without_credentials_is_refused_before_its_body_is_read() {
    let authenticator = authenticator(Pages::default(), Trust::only([]));
    let sns = Auth::Sns {
        topic_arns: vec![String::from("arn")],
    };
    for auth in [
        api_key(&["absent"]),
        hmac(known("StandardWebhooks"), &["absent"]),
        hmac(known("GitHub"), &["absent"]),
        sns,
    ] {
        let headers = HeaderMap::new();
        let auth = [auth];
        let verdict = authenticator.with_headers("production", &auth, &headers);
        let verdict = verdict.await;
        let is_missing = matches!(
            &verdict,
            SenderVerdict::Refused(fault) if fault.cause == FaultCause::Missing
        );
        assert!(is_missing, "{auth:?}: {verdict:?}");
    }
    let everybody = [Auth::None];
    let headers = HeaderMap::new();
    let verdict = authenticator.with_headers("production", &everybody, &headers);
    assert_eq!(verdict.await, SenderVerdict::Passed);
}

#[tokio::test]
async fn a_key_of_another_namespace_is_no_key() {
    let sender = Sender::new("").header("x-api-key", "canary-of-another-namespace");
    let authenticator = authenticator(Pages::default(), Trust::only([]));
    let auth = [api_key(&["current"])];
    let verdict = |namespace| authenticator.with_headers(namespace, &auth, &sender.headers);
    assert_eq!(
        verdict("production").await,
        fault("x-api-key", FaultCause::Wrong)
    );
    assert_eq!(verdict("elsewhere").await, SenderVerdict::Passed);
}

#[tokio::test]
async fn no_secret_is_in_what_is_told() {
    let world = signed::world();
    let issuer = bearer::TestIssuer::new();
    issuer.publish(&world.pages);
    let rows = [
        shared::forged(),
        shared::troubled(),
        bearer::TestIssuer::forged(),
        signed::SignedWorld::forged(),
    ]
    .concat();
    let authenticator = authenticator(world.pages, world.trust);
    for row in &rows {
        let verdict = decide(&authenticator, &row.auth, &row.sender).await;
        let told = format!("{verdict:?} {:?}", row.auth);
        assert!(!told.contains(CANARY), "{}: {told}", row.what);
    }
    let key = secrecy::SecretString::from(CANARY);
    assert_eq!(key.expose_secret(), CANARY, "the canary lives");
}

#[test]
fn the_way_in_that_leads_further_counts() {
    let trouble = || SenderVerdict::Unavailable(String::new());
    let missing = || fault("a", FaultCause::Missing);
    let late = || fault("b", FaultCause::Clock(400));
    for (left, right, expected) in [
        (missing(), SenderVerdict::Passed, SenderVerdict::Passed),
        (trouble(), SenderVerdict::Passed, SenderVerdict::Passed),
        (
            SenderVerdict::NeedsBody,
            trouble(),
            SenderVerdict::NeedsBody,
        ),
        (missing(), trouble(), trouble()),
        (trouble(), missing(), trouble()),
        (missing(), late(), late()),
        (late(), missing(), late()),
    ] {
        assert_eq!(left.or(right), expected);
    }
}
