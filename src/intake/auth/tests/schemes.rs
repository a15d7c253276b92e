//! Every sender's way to sign, as its own documentation says it, and what is told of each mistake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA512, Key, sign};
use serde_json::{Value, json};

use super::shared::{TEXT, hex, tag};
use super::world::{NOW, Sender, decide};
use super::*;
use crate::resource::event_job;

const BODY: &str = r#"{"id": "évt_1"}"#;

/// As an EventJob has it.
pub(super) fn scheme(written: &Value) -> HmacScheme {
    let mut hmac = written.clone();
    hmac["secretKeyRefs"] = json!([{"name": "hook", "key": "text"}]);
    let written = json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "EventJob",
        "metadata": {"name": "signed", "namespace": "production"},
        "spec": {
            "source": {"webhook": {"format": "JSON", "auth": [{"hmac": hmac}]}},
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}],
            }}}},
        },
    });
    match &event_job::parse(&written).unwrap().auth() {
        [Auth::Hmac { scheme, .. }] => scheme.clone(),
        auth => panic!("{auth:?}"),
    }
}

/// One sender: what is written of it, and the headers that it sends.
struct SignedRow {
    written: Value,
    headers: Vec<(&'static str, String)>,
}

fn signed(written: Value, headers: &[(&'static str, String)]) -> SignedRow {
    SignedRow {
        written,
        headers: headers.to_vec(),
    }
}

fn named(scheme: &str, headers: &[(&'static str, String)]) -> SignedRow {
    signed(json!({ "scheme": scheme }), headers)
}

fn hex_of(text: &str) -> String {
    hex(&tag(TEXT, text))
}

fn base64_of(text: &str) -> String {
    STANDARD.encode(tag(TEXT, text))
}

/// Those that have a name.
fn named_senders() -> Vec<SignedRow> {
    let body = hex_of(BODY);
    let time = NOW.to_string();
    let dotted = hex_of(&format!("{time}.{BODY}"));
    let slack = hex_of(&format!("v0:{time}:{BODY}"));
    let paddle = hex_of(&format!("{time}:{BODY}"));
    let zendesk_time = "2026-11-28T12:01:00Z";
    vec![
        named(
            "GitHub",
            &[("x-hub-signature-256", format!("sha256={body}"))],
        ),
        named(
            "Bitbucket",
            &[("x-hub-signature", format!("sha256={body}"))],
        ),
        named("Jira", &[("x-hub-signature", format!("sha256={body}"))]),
        named(
            "Stripe",
            &[(
                "stripe-signature",
                format!("t={time},v1={dotted},v0={body}"),
            )],
        ),
        named(
            "Calendly",
            &[(
                "calendly-webhook-signature",
                format!("t={time},v1={dotted}"),
            )],
        ),
        named(
            "Slack",
            &[
                ("x-slack-signature", format!("v0={slack}")),
                ("x-slack-request-timestamp", time.clone()),
            ],
        ),
        named(
            "Zoom",
            &[
                ("x-zm-signature", format!("v0={slack}")),
                ("x-zm-request-timestamp", time.clone()),
            ],
        ),
        named(
            "Paddle",
            &[(
                "paddle-signature",
                format!("ts={time};h1={body};h1={paddle}"),
            )],
        ),
        named("CircleCI", &[("circleci-signature", format!("v1={body}"))]),
        named("Gitea", &[("x-gitea-signature", body.clone())]),
        named("Linear", &[("linear-signature", body.clone())]),
        named("Sentry", &[("sentry-hook-signature", body.to_uppercase())]),
        named("Shopify", &[("x-shopify-hmac-sha256", base64_of(BODY))]),
        named(
            "Typeform",
            &[("typeform-signature", format!("sha256={}", base64_of(BODY)))],
        ),
        named(
            "Zendesk",
            &[
                (
                    "x-zendesk-webhook-signature",
                    base64_of(&format!("{zendesk_time}{BODY}")),
                ),
                (
                    "x-zendesk-webhook-signature-timestamp",
                    zendesk_time.to_owned(),
                ),
            ],
        ),
    ]
}

/// Those that are described.
fn described_senders() -> Vec<SignedRow> {
    let body = hex_of(BODY);
    let time = NOW.to_string();
    let colon = hex_of(&format!("{time}:{BODY}"));
    let long = hex(sign(&Key::new(HMAC_SHA512, TEXT), BODY.as_bytes()).as_ref());
    let generic = |header: &str, more: Value| {
        let mut written = json!({"scheme": "Generic", "signatureHeader": header});
        let more = more.as_object().cloned().unwrap_or_default();
        written.as_object_mut().unwrap().extend(more);
        written
    };
    vec![
        signed(
            generic(
                "X-Grafana-Alerting-Signature",
                json!({"timestampHeader": "X-Time", "signedText": "{timestamp}:{body}"}),
            ),
            &[
                ("x-grafana-alerting-signature", colon),
                ("x-time", time.clone()),
            ],
        ),
        signed(
            generic(
                "X-Signature",
                json!({"algorithm": "SHA512", "encoding": "Hex"}),
            ),
            &[("x-signature", long)],
        ),
        signed(
            generic("X-Signatures", json!({"signaturePrefix": "v1="})),
            &[("x-signatures", format!("v1={},v1={body}", "0".repeat(64)))],
        ),
        signed(
            generic(
                "X-Sig",
                json!({
                    "signatureField": "s", "timestampField": "t", "timestampUnit": "Milliseconds",
                    "signedText": "{{{header:X-Id}}}.{timestamp}.{body}",
                }),
            ),
            &[
                (
                    "x-sig",
                    format!(
                        "t={time}000,s={}",
                        hex_of(&format!("{{a.b}}.{time}000.{BODY}"))
                    ),
                ),
                ("x-id", "a.b".to_owned()),
            ],
        ),
    ]
}

async fn verdict(row: &SignedRow, headers: &[(&'static str, String)], body: &str) -> SenderVerdict {
    let authenticator = authenticator(Pages::default(), Trust::only([]));
    let sender = headers
        .iter()
        .fold(Sender::new(body), |sender, (name, value)| {
            sender.header(name, value)
        });
    let auth = [hmac(scheme(&row.written), &["text"])];
    decide(&authenticator, &auth, &sender).await
}

#[tokio::test]
async fn senders_that_are_known_and_those_that_are_described_get_in() {
    for row in named_senders().into_iter().chain(described_senders()) {
        let written = &row.written;
        assert_eq!(
            verdict(&row, &row.headers, BODY).await,
            SenderVerdict::Passed,
            "{written}"
        );
        let other = verdict(&row, &row.headers, r#"{"id": "evt_2"}"#).await;
        assert!(other.is_refused(), "{written}: {other:?}");
        for without in 0..row.headers.len() {
            let mut headers = row.headers.clone();
            let (name, _) = headers.remove(without);
            let verdict = verdict(&row, &headers, BODY).await;
            assert_eq!(verdict, fault(name, FaultCause::Missing), "{written}");
        }
    }
}

#[tokio::test]
async fn the_owner_hears_what_is_wrong_with_a_signature() {
    let time = NOW.to_string();
    let old = (NOW - 312).to_string();
    let ahead = (NOW + 312).to_string();
    let right = |time: &str| format!("t={time},v1={}", hex_of(&format!("{time}.{BODY}")));
    let stripe = named("Stripe", &[]);
    for (value, cause) in [
        (right(&time), None),
        (right(&old), Some(FaultCause::Clock(312))),
        (right(&ahead), Some(FaultCause::Clock(-312))),
        (
            format!("{},t={time}", right(&time)),
            Some(FaultCause::Malformed),
        ),
        (format!("t={time}"), Some(FaultCause::Malformed)),
        (format!("v1={}", hex_of(BODY)), Some(FaultCause::Malformed)),
        (
            format!("t={time},v1={}", hex_of(BODY)),
            Some(FaultCause::Wrong),
        ),
        (
            format!("t={time}{}", format!(",v1={}", hex_of(BODY)).repeat(9)),
            Some(FaultCause::Malformed),
        ),
    ] {
        let expected = cause.map_or(SenderVerdict::Passed, |cause| {
            fault("stripe-signature", cause)
        });
        let headers = [("stripe-signature", value)];
        let verdict = verdict(&stripe, &headers, BODY).await;
        assert_eq!(verdict, expected, "{headers:?}");
    }
    let github = named("Bitbucket", &[]);
    let sha1 = [("x-hub-signature", format!("sha1={}", "0".repeat(40)))];
    assert_eq!(
        verdict(&github, &sha1, BODY).await,
        fault("x-hub-signature", FaultCause::BrokenHash)
    );
    // Nobody could tell where such a header ends.
    let webhooks = named("StandardWebhooks", &[]);
    let headers = [
        ("webhook-id", "a.b".to_owned()),
        ("webhook-timestamp", time.clone()),
        ("webhook-signature", format!("v1,{}", base64_of(BODY))),
    ];
    assert_eq!(
        verdict(&webhooks, &headers, BODY).await,
        fault("webhook-id", FaultCause::Malformed)
    );
}

#[test]
fn a_tolerance_of_its_own_and_what_makes_no_sense() {
    let written = json!({"scheme": "Slack", "tolerance": "1h"});
    let timestamp = scheme(&written).timestamp.unwrap();
    assert_eq!(timestamp.tolerance, std::time::Duration::from_hours(1));
}
