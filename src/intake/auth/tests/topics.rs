//! SNS's certificates and confirmations: how often they are read, and what becomes of those that cannot be.

use std::sync::Arc;

use serde_json::json;

use super::signed::{
    TOPIC, but, certificate_url, notification, post, sign, subscribe_url, way, world,
};
use super::world::{Pages, decide, now, secrets};
use super::{Authenticator, Fetch, SenderVerdict, Trust, authenticator};

#[tokio::test]
async fn a_certificate_that_cannot_be_judged_is_our_trouble() {
    let world = world();
    world
        .pages
        .set(&certificate_url("empty"), Ok(b"<html>".to_vec()));
    let authenticator = authenticator(world.pages, world.trust);
    for (name, why) in [
        ("stranger", "no authority that this machine believes"),
        (
            "absent",
            "SNS's certificate cannot be read: issuer.example: answered 404",
        ),
        (
            "empty",
            "SNS's certificate cannot be read: what is at its address is no certificate",
        ),
    ] {
        let message = sign(&but("SigningCertURL", json!(certificate_url(name))));
        let verdict = decide(&authenticator, &[way()], &post(&message)).await;
        let SenderVerdict::Unavailable(told) = verdict else {
            panic!("{name}: {verdict:?}");
        };
        assert!(told.starts_with(why), "{told}");
    }
}

#[tokio::test]
async fn a_certificate_is_fetched_once() {
    let world = world();
    let pages = Arc::new(world.pages);
    let authenticator = Authenticator::trusting(
        Arc::new(secrets()),
        Arc::clone(&pages) as Arc<dyn Fetch>,
        now,
        world.trust,
    );
    let good = post(&sign(&notification()));
    let absent = post(&sign(&but(
        "SigningCertURL",
        json!(certificate_url("absent")),
    )));
    let auth = [way()];
    for sender in [&good, &absent] {
        let before = pages.asked();
        let asked = (0..50).map(|_| decide(&authenticator, &auth, sender));
        let verdicts = futures::future::join_all(asked).await;
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]));
        // Those who came while the first was being read have begun to read too.
        let asked = pages.asked() - before;
        assert!((1..=4).contains(&asked), "{asked}");
        decide(&authenticator, &auth, sender).await;
        assert_eq!(pages.asked() - before, asked);
    }
}

#[tokio::test]
async fn a_topic_is_confirmed_only_at_snss_address_for_it() {
    let pages = Pages::default();
    pages.set(
        &subscribe_url(TOPIC),
        Ok(b"<ConfirmSubscriptionResponse/>".to_vec()),
    );
    let other = "arn:aws:sns:eu-west-1:666:orders";
    pages.set(&subscribe_url(other), Ok(Vec::new()));
    let authenticator = authenticator(pages, Trust::only([]));
    let confirm = async |url: &str| authenticator.confirm(TOPIC, url).await;
    assert_eq!(confirm(&subscribe_url(TOPIC)).await, SenderVerdict::Passed);
    for url in [
        subscribe_url(other),
        subscribe_url(TOPIC).replace("amazonaws.com", "amazonaws.com.evil.example"),
        subscribe_url(TOPIC).replace("ConfirmSubscription", "DeleteTopic"),
    ] {
        let verdict = confirm(&url).await;
        assert!(verdict.is_refused(), "{url}: {verdict:?}");
    }
    let other_token = subscribe_url(TOPIC) + "2";
    let verdict = confirm(&other_token).await;
    assert_eq!(
        verdict,
        SenderVerdict::Unavailable(String::from(
            "the subscription is not confirmed: issuer.example: answered 404"
        ))
    );
}
