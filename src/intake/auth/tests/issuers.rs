//! When issuers are asked for their keys, and what is done while they are silent. Time is tokio's, and stands still.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::bearer::{TestIssuer, bearer, publish, right, silence, way};
use super::world::{Pages, decide, now, rsa_jwk, secrets};
use super::{Authenticator, FaultCause, Fetch, SenderVerdict, Trust, fault};

struct IssuerBench {
    pages: Arc<Pages>,
    authenticator: Authenticator,
}

impl IssuerBench {
    fn new() -> Self {
        let pages = Arc::new(Pages::default());
        let fetch = Arc::clone(&pages) as Arc<dyn Fetch>;
        let lookup = Arc::new(secrets());
        Self {
            pages,
            authenticator: Authenticator::trusting(lookup, fetch, now, Trust::only([])),
        }
    }

    async fn verdict(&self) -> SenderVerdict {
        decide(&self.authenticator, &[way()], &bearer(&right())).await
    }

    /// One request, and how often it made us ask.
    async fn asks(&self, expected: &SenderVerdict, times: usize) {
        let before = self.pages.asked();
        assert_eq!(self.verdict().await, *expected);
        assert_eq!(self.pages.asked() - before, times);
    }
}

fn silent() -> SenderVerdict {
    SenderVerdict::Unavailable(String::from(
        "the issuer's keys cannot be read: issuer.example: answered 500",
    ))
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_and_again_after_ten_minutes() {
    let asked = IssuerBench::new();
    TestIssuer::new().publish(&asked.pages);
    let many = join_all((0..100).map(|_| asked.verdict())).await;
    assert!(many.iter().all(|verdict| *verdict == SenderVerdict::Passed));
    assert_eq!(asked.pages.asked(), 1);
    pass(Duration::from_secs(599)).await;
    asked.asks(&SenderVerdict::Passed, 0).await;
    pass(Duration::from_secs(2)).await;
    asked.asks(&SenderVerdict::Passed, 1).await;
    asked.asks(&SenderVerdict::Passed, 0).await;
}

#[tokio::test(start_paused = true)]
async fn old_keys_serve_for_a_day_while_their_issuer_is_silent() {
    let asked = IssuerBench::new();
    TestIssuer::new().publish(&asked.pages);
    asked.asks(&SenderVerdict::Passed, 1).await;
    silence(&asked.pages);
    pass(Duration::from_mins(11)).await;
    asked.asks(&SenderVerdict::Passed, 1).await;
    asked.asks(&SenderVerdict::Passed, 0).await;
    pass(Duration::from_secs(30)).await;
    asked.asks(&SenderVerdict::Passed, 1).await;
    pass(Duration::from_hours(24)).await;
    asked.asks(&silent(), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_issuer_is_asked_again_after_five_seconds() {
    let asked = IssuerBench::new();
    silence(&asked.pages);
    asked.asks(&silent(), 1).await;
    asked.asks(&silent(), 0).await;
    pass(Duration::from_secs(5)).await;
    TestIssuer::new().publish(&asked.pages);
    asked.asks(&SenderVerdict::Passed, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_unknown_ones_do_not_hammer() {
    let asked = IssuerBench::new();
    publish(&asked.pages, &[rsa_jwk(true, "before")]);
    asked
        .asks(&fault("authorization", FaultCause::Wrong), 1)
        .await;
    // The issuer signs with a new key a moment after we asked; strangers ask for others all the time.
    publish(
        &asked.pages,
        &[rsa_jwk(true, "before"), rsa_jwk(false, "rs")],
    );
    asked
        .asks(&fault("authorization", FaultCause::Wrong), 0)
        .await;
    pass(Duration::from_secs(30)).await;
    asked.asks(&SenderVerdict::Passed, 1).await;
    asked.asks(&SenderVerdict::Passed, 0).await;
    // And the key before is gone as soon as its issuer takes it back.
    publish(&asked.pages, &[rsa_jwk(true, "after")]);
    pass(Duration::from_mins(11)).await;
    asked
        .asks(&fault("authorization", FaultCause::Wrong), 1)
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_of_a_silent_issuer_cannot_be_judged() {
    let asked = IssuerBench::new();
    publish(&asked.pages, &[rsa_jwk(true, "before")]);
    asked
        .asks(&fault("authorization", FaultCause::Wrong), 1)
        .await;
    silence(&asked.pages);
    pass(Duration::from_secs(30)).await;
    let verdict = SenderVerdict::Unavailable(String::from(
        "the issuer's newest keys cannot be read: issuer.example: answered 500",
    ));
    asked.asks(&verdict, 1).await;
    asked.asks(&verdict, 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_set_of_keys_is_the_issuers_trouble() {
    let asked = IssuerBench::new();
    for (keys, why) in [
        (
            vec![],
            "none of the keys it publishes can verify RS, PS, ES or EdDSA signatures",
        ),
        (
            vec![json!({"kty": "oct", "k": "AAAA"})],
            "none of the keys it publishes can verify RS, PS, ES or EdDSA signatures",
        ),
    ] {
        publish(&asked.pages, &keys);
        let told = format!("the issuer's keys cannot be read: issuer.example: {why}");
        asked.asks(&SenderVerdict::Unavailable(told), 1).await;
        pass(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_goes_away_does_not_keep_the_keys_from_others() {
    let asked = IssuerBench::new();
    TestIssuer::new().publish(&asked.pages);
    let auth = [way()];
    let sender = bearer(&right());
    {
        let mut gone = Box::pin(decide(&asked.authenticator, &auth, &sender));
        assert!(futures::poll!(&mut gone).is_pending());
    }
    assert_eq!(asked.pages.asked(), 1);
    asked.asks(&SenderVerdict::Passed, 0).await;
}
