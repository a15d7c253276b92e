//! What SNS signs: a topic, an authority of our own, and certificates of every kind.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_RSA_SHA256, date_time_ymd,
};
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};

use super::world::{NOW, Pages, Sender, rsa, rsa_sign};
use super::{Row, row};
use crate::intake::fetch::trust::Trust;
use crate::resource::event_job::Auth;
use jiff::Timestamp;

pub(super) const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:orders";
const HOST: &str = "https://sns.eu-west-1.amazonaws.com";

pub(super) struct SignedWorld {
    pub(super) pages: Pages,
    pub(super) trust: Trust,
}

/// The name as SNS's certificates have theirs: 32 hexadecimal digits.
pub(super) fn certificate_url(name: &str) -> String {
    let digits = name
        .bytes()
        .fold(0_u128, |digits, byte| digits << 8 | u128::from(byte));
    format!("{HOST}/SimpleNotificationService-{digits:032x}.pem")
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of the first or the second RSA key.
fn certificate(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    second: bool,
    change: impl FnOnce(&mut CertificateParams),
) -> String {
    let der = PrivatePkcs8KeyDer::from(rsa(second).1);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    params.signed_by(&key, issuer).unwrap().pem()
}

pub(super) fn world() -> SignedWorld {
    let authority = authority("believed");
    let stranger = self::authority("unknown");
    let pages = Pages::default();
    let put = |name: &str, pem: String| pages.set(&certificate_url(name), Ok(pem.into_bytes()));
    let keep = |_: &mut CertificateParams| ();
    put(
        "one",
        certificate(&authority, "sns.amazonaws.com", false, keep),
    );
    put(
        "region",
        certificate(&authority, "sns.eu-west-1.amazonaws.com", false, keep),
    );
    put(
        "signing",
        certificate(
            &authority,
            "sns-signing.eu-west-1.amazonaws.com",
            false,
            keep,
        ),
    );
    put(
        "two",
        certificate(&authority, "sns.amazonaws.com", true, keep),
    );
    put(
        "elsewhere",
        certificate(&authority, "sns.us-east-1.amazonaws.com", false, keep),
    );
    put("evil", certificate(&authority, "evil.example", false, keep));
    put(
        "stranger",
        certificate(&stranger, "sns.amazonaws.com", false, keep),
    );
    put(
        "client",
        certificate(&authority, "sns.amazonaws.com", false, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
    );
    put(
        "old",
        certificate(&authority, "sns.amazonaws.com", false, |params| {
            params.not_after = date_time_ymd(2026, 11, 27);
        }),
    );
    put(
        "early",
        certificate(&authority, "sns.amazonaws.com", false, |params| {
            params.not_before = date_time_ymd(2026, 11, 29);
        }),
    );
    put("authority", authority.pem());
    let link = {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "link");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &authority).unwrap()
    };
    let linked = certificate(&link, "sns.amazonaws.com", false, keep);
    put("linked", format!("{linked}{}", link.pem()));
    SignedWorld {
        pages,
        trust: Trust::only([authority.der().to_vec()]),
    }
}

pub(super) fn notification() -> Value {
    json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "canary",
        "Message": "{\"id\": \"canary\"}",
        "Timestamp": at(0),
        "SignatureVersion": "2",
        "SigningCertURL": certificate_url("one"),
    })
}

fn confirmation() -> Value {
    json!({
        "Type": "SubscriptionConfirmation",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "canary",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe",
        "SubscribeURL": subscribe_url(TOPIC),
        "Timestamp": at(0),
        "SignatureVersion": "2",
        "SigningCertURL": certificate_url("one"),
    })
}

pub(super) fn subscribe_url(topic: &str) -> String {
    format!("{HOST}/?Action=ConfirmSubscription&TopicArn={topic}&Token=canary")
}

fn at(seconds: i64) -> String {
    Timestamp::from_second(NOW + seconds).unwrap().to_string()
}

pub(super) fn but(field: &str, value: Value) -> Value {
    let mut message = notification();
    message[field] = value;
    message
}

/// Signs as SNS does, by the order its documentation gives.
fn sign_with(message: &Value, second: bool, encoding: &'static dyn RsaEncoding) -> Value {
    let fields: &[&str] = if message["Type"] == "Notification" {
        &[
            "Message",
            "MessageId",
            "Subject",
            "Timestamp",
            "TopicArn",
            "Type",
        ]
    } else {
        &[
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ]
    };
    let mut text = String::new();
    for field in fields {
        if let Some(value) = message[field].as_str() {
            for line in [field, value] {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let mut message = message.clone();
    message["Signature"] = json!(STANDARD.encode(rsa_sign(second, encoding, text.as_bytes())));
    message
}

pub(super) fn sign(message: &Value) -> Value {
    sign_with(message, false, &RSA_PKCS1_SHA256)
}

/// Posts as SNS does.
pub(super) fn post(message: &Value) -> Sender {
    Sender::new(message.to_string())
        .header("x-amz-sns-message-type", message["Type"].as_str().unwrap())
        .header("x-amz-sns-topic-arn", message["TopicArn"].as_str().unwrap())
}

pub(super) fn way() -> Auth {
    Auth::Sns {
        topic_arns: vec![
            String::from("arn:aws:sns:eu-west-1:123456789012:other"),
            TOPIC.to_owned(),
        ],
    }
}

/// Signed, and then changed.
fn after(field: &str, value: Value) -> Sender {
    let mut message = sign(&notification());
    message[field] = value;
    post(&message)
}

impl SignedWorld {
    pub(super) fn good() -> Vec<Row> {
        let way = &way();
        let signed = |message: &Value| post(&sign(message));
        let mut unsubscribed = confirmation();
        unsubscribed["Type"] = json!("UnsubscribeConfirmation");
        let mut plain = notification();
        plain.as_object_mut().unwrap().remove("Subject");
        let mut lambda = sign(&notification());
        lambda["UnsubscribeURL"] = json!("https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe");
        vec![
            row("a notification", way, signed(&notification())),
            row("one without subject", way, signed(&plain)),
            row("one with fields that are not signed", way, post(&lambda)),
            row("a confirmation", way, signed(&confirmation())),
            row("an end", way, signed(&unsubscribed)),
            row(
                "an hour ago",
                way,
                signed(&but("Timestamp", json!(at(-3600)))),
            ),
            row(
                "a certificate by region",
                way,
                signed(&but("SigningCertURL", json!(certificate_url("region")))),
            ),
            row(
                "a certificate for signing",
                way,
                signed(&but("SigningCertURL", json!(certificate_url("signing")))),
            ),
            row(
                "a certificate with a link",
                way,
                signed(&but("SigningCertURL", json!(certificate_url("linked")))),
            ),
            row(
                "the certificate after rotation",
                way,
                post(&sign_with(
                    &but("SigningCertURL", json!(certificate_url("two"))),
                    true,
                    &RSA_PKCS1_SHA256,
                )),
            ),
        ]
    }

    #[expect(clippy::too_many_lines, reason = "a table of rows")]
    pub(super) fn forged() -> Vec<Row> {
        let way = &way();
        let signed = |message: &Value| post(&sign(message));
        let mut rows = vec![
            row(
                "SNS without headers",
                way,
                Sender::new(sign(&notification()).to_string()),
            ),
            row("a message without body", way, {
                let mut sender = signed(&notification());
                sender.body.clear();
                sender
            }),
            row("a message that is no JSON", way, {
                let mut sender = signed(&notification());
                sender.body.push(b'}');
                sender
            }),
            row(
                "raw delivery",
                way,
                signed(&notification()).header("x-amz-sns-rawdelivery", "true"),
            ),
            row(
                "a topic that is not listed",
                way,
                signed(&but("TopicArn", json!("arn:aws:sns:eu-west-1:666:orders"))),
            ),
            row("a listed topic in the header alone", way, {
                let message = sign(&but("TopicArn", json!("arn:aws:sns:eu-west-1:666:orders")));
                let mut sender = post(&message);
                sender
                    .headers
                    .insert("x-amz-sns-topic-arn", TOPIC.parse().unwrap());
                sender
            }),
            row("another listed topic in the header", way, {
                let mut sender = signed(&notification());
                sender.headers.insert(
                    "x-amz-sns-topic-arn",
                    "arn:aws:sns:eu-west-1:123456789012:other".parse().unwrap(),
                );
                sender
            }),
            row("another type in the header", way, {
                let mut sender = signed(&notification());
                sender.headers.insert(
                    "x-amz-sns-message-type",
                    "SubscriptionConfirmation".parse().unwrap(),
                );
                sender
            }),
            row(
                "two topics in the headers",
                way,
                signed(&notification()).header("x-amz-sns-topic-arn", TOPIC),
            ),
            row(
                "a message of two hours ago",
                way,
                signed(&but("Timestamp", json!(at(-7200)))),
            ),
            row(
                "a message of tomorrow",
                way,
                signed(&but("Timestamp", json!(at(86_400)))),
            ),
            row(
                "SNS's other key",
                way,
                post(&sign_with(&notification(), true, &RSA_PKCS1_SHA256)),
            ),
            row(
                "another hash",
                way,
                post(&sign_with(&notification(), false, &RSA_PKCS1_SHA512)),
            ),
            row(
                "version 1",
                way,
                signed(&but("SignatureVersion", json!("1"))),
            ),
            row("an unsigned subject", way, {
                let mut plain = notification();
                plain.as_object_mut().unwrap().remove("Subject");
                let mut message = sign(&plain);
                message["Subject"] = json!("new");
                post(&message)
            }),
            row("a field that comes twice", way, {
                let mut sender = signed(&notification());
                let text = String::from_utf8(sender.body).unwrap();
                sender.body = text.replacen('{', r#"{"Message":"other","#, 1).into_bytes();
                sender
            }),
            row("a line between two fields", way, {
                let message = but("Message", json!("a\nMessageId\nb"));
                let mut message = sign(&message);
                message["Message"] = json!("a");
                message["MessageId"] = json!("b\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324");
                post(&message)
            }),
        ];
        for (what, field, value) in [
            ("another message", "Message", json!("{\"id\": 2}")),
            ("another message id", "MessageId", json!("another")),
            ("another time", "Timestamp", json!(at(1))),
            ("another type", "Type", json!("UnsubscribeConfirmation")),
            ("an empty signature", "Signature", json!("")),
            (
                "a signature of zeroes",
                "Signature",
                json!(STANDARD.encode([0; 256])),
            ),
            ("a signature that is no base64", "Signature", json!("~")),
            ("a version that is a number", "SignatureVersion", json!(2)),
            (
                "the certificate of another key",
                "SigningCertURL",
                json!(certificate_url("two")),
            ),
            (
                "an authority's own certificate",
                "SigningCertURL",
                json!(certificate_url("authority")),
            ),
            (
                "a certificate of another name",
                "SigningCertURL",
                json!(certificate_url("evil")),
            ),
            (
                "a certificate of another region",
                "SigningCertURL",
                json!(certificate_url("elsewhere")),
            ),
            (
                "a certificate that has run out",
                "SigningCertURL",
                json!(certificate_url("old")),
            ),
            (
                "a certificate that is not valid yet",
                "SigningCertURL",
                json!(certificate_url("early")),
            ),
            (
                "a certificate for clients",
                "SigningCertURL",
                json!(certificate_url("client")),
            ),
            (
                "a certificate over http",
                "SigningCertURL",
                json!(certificate_url("one").replace("https", "http")),
            ),
            (
                "a certificate at another host",
                "SigningCertURL",
                json!("https://evil.example/one.pem"),
            ),
            (
                "a certificate at a host that looks like it",
                "SigningCertURL",
                json!("https://sns.eu-west-1.amazonaws.com.evil.example/one.pem"),
            ),
            (
                "a certificate behind a user",
                "SigningCertURL",
                json!("https://sns.eu-west-1.amazonaws.com@evil.example/one.pem"),
            ),
            (
                "a certificate in a bucket",
                "SigningCertURL",
                json!("https://sns.s3.amazonaws.com/one.pem"),
            ),
        ] {
            rows.push(row(what, way, after(field, value)));
        }
        rows
    }
}
