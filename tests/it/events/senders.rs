//! Senders with ways of their own: signatures, headers that choose, lists, forms, handshakes; and what the owner hears of
//! those who are refused.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{KEY, await_status, cluster, event_job, slipway};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::http::{Heard, post};
use crate::support::process::Slipway;

fn hex_of(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let tag = mac.finalize().into_bytes();
    tag.iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[expect(clippy::disallowed_methods, reason = "a sender tells the time")]
fn unix_seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// An EventJob for JSON that is signed so.
fn signed(name: &str, scheme: &str, spec: &Value) -> Value {
    let keys = json!([{"name": "hook", "key": "current"}]);
    let auth = json!([{"hmac": {"scheme": scheme, "secretKeyRefs": keys}}]);
    let mut object = event_job(
        name,
        &json!({
            "source": {"webhook": {"format": "JSON", "auth": auth}},
            "pattern": null,
            "idFrom": [{"path": "$.id"}],
            "bind": {"env": null},
        }),
    );
    super::merge(&mut object["spec"], spec);
    object
}

async fn ask(
    slipway: &Slipway,
    cluster: &Cluster,
    name: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Heard {
    let path = format!("/events/{}/{name}", cluster.namespace);
    await_until(
        "the EventJob is ready",
        Duration::from_secs(30),
        async || {
            let heard = post(slipway.http(), &path, headers, body).await?;
            (heard.status != 503).then_some(heard)
        },
    )
    .await
}

#[tokio::test]
async fn stripe_and_slack_are_known_and_told_apart_from_strangers() {
    let cluster = cluster("senders").await;
    let bind = json!({"bind": {"env": [
        {"name": "TARGET", "template": "receipts/{$.customer}/{$.id}.pdf"},
    ]}});
    cluster.create(signed("stripe", "Stripe", &bind)).await;
    let chosen = json!({
        "match": {"headers": {"x-kind": ["command"]}},
        "source": {"webhook": {"split": true}},
    });
    cluster.create(signed("slack", "Slack", &chosen)).await;
    let slipway = slipway(&cluster, &[]).await;
    let now = unix_seconds();

    let body = r#"{"id":"evt_1","customer":"../c"}"#;
    let stripe = |time: i64| format!("t={time},v1={}", hex_of(&format!("{time}.{body}")));
    let heard = ask(
        &slipway,
        &cluster,
        "stripe",
        &[("stripe-signature", &stripe(now))],
        body,
    )
    .await;
    assert_eq!((heard.status, heard.text("result")), (200, "Created"));
    let jobs = cluster.jobs().await;
    let job = serde_json::to_value(&jobs[0]).unwrap();
    assert!(job.to_string().contains("receipts/../c/evt_1.pdf"), "{job}");

    // The sender hears one word for every cause, and the owner which one it was.
    let late = stripe(now - 400);
    let heard = ask(
        &slipway,
        &cluster,
        "stripe",
        &[("stripe-signature", &late)],
        body,
    )
    .await;
    assert_eq!(heard.status, 401);
    assert!(!heard.body.to_string().contains("clock"), "{heard:?}");
    await_status(&cluster, "stripe", "the cause", |status| {
        let refusal = &status["lastRefusal"];
        let message = refusal["message"].as_str().unwrap_or_default();
        refusal["field"] == "stripe-signature"
            && refusal["reason"] == "Unauthorized"
            && refusal["count"] == 1
            && message.starts_with("is 40")
            && message.ends_with("s behind our clock")
    })
    .await;

    let slack = async |kind: &str, content: &str, body: &str| {
        let time = now.to_string();
        let signature = format!("v0={}", hex_of(&format!("v0:{time}:{body}")));
        let headers = [
            ("x-slack-signature", signature.as_str()),
            ("x-slack-request-timestamp", &time),
            ("x-kind", kind),
            ("content-type", content),
        ];
        ask(&slipway, &cluster, "slack", &headers, body).await
    };
    let json = "application/json";
    let challenge = r#"{"type":"url_verification","challenge":"c-1"}"#;
    let heard = slack("command", json, challenge).await;
    assert_eq!((heard.status, heard.text("challenge")), (200, "c-1"));
    let heard = slack("ping", json, r#"[{"id":"a"}]"#).await;
    assert_eq!(heard.body["results"][0]["result"], "Filtered", "{heard:?}");
    assert_eq!(heard.body["results"][0]["field"], "header x-kind");
    let heard = slack("command", json, r#"[{"id":"a"},{"id":"b"},{"id":"a"}]"#).await;
    let results: Vec<&str> = (0..3)
        .filter_map(|index| heard.body["results"][index]["result"].as_str())
        .collect();
    assert_eq!(results, ["Created", "Created", "Duplicate"], "{heard:?}");
    let form = "application/x-www-form-urlencoded";
    let heard = slack("command", form, "id=b&text=x").await;
    assert_eq!(heard.body["results"][0]["result"], "Duplicate", "{heard:?}");
    cluster.remove().await;
}
