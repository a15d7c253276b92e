//! Who we are to a broker, and whom we take it for: passwords, tokens, certificates, addresses.
#![expect(clippy::unwrap_used, reason = "what fails on the way ends the test")]
#![expect(clippy::float_cmp, reason = "counts of messages are exact")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use slipway::resource::SourceSpec;
use slipway::resource::aws::AwsIdentity;
use slipway::resource::kafka::{Credentials, KafkaTls, Sasl};
use slipway::source::pool::{Pool, Settings};

use super::{lag, read_error, spec, topic, unique, with};
use crate::support::servers;

#[tokio::test]
async fn passwords_are_accepted_or_refused_over_every_mechanism() {
    let broker = servers::kafka_brokers();
    let topic = topic(&broker, 1).await;
    let sasl = servers::named("TEST_KAFKA_SASL_BROKERS");
    for mechanism in [Sasl::Plain, Sasl::ScramSha256, Sasl::ScramSha512] {
        let right = with(&spec(&sasl, &unique("group"), &topic), |group| {
            group.cluster.sasl = mechanism(admin_user("admin-secret"));
        });
        assert_eq!(lag(&right).await, 1.0);
        let wrong = with(&right, |group| {
            group.cluster.sasl = mechanism(admin_user("canary-guess"));
        });
        let error = read_error(&wrong).await;
        assert_eq!(error.reason(), "Forbidden", "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn certificates_are_verified_unless_told_otherwise() {
    let topic = topic(&servers::kafka_brokers(), 1).await;
    let ca = std::fs::read_to_string(servers::named("TEST_KAFKA_CA")).unwrap();
    let trusting = KafkaTls {
        ca: Some(SecretString::from(ca)),
        ..KafkaTls::default()
    };
    let careless = KafkaTls {
        skip_verification: true,
        ..KafkaTls::default()
    };
    let tls = servers::named("TEST_KAFKA_SSL_BROKERS");
    let over = |settings: &KafkaTls| {
        with(&spec(&tls, &unique("group"), &topic), |group| {
            group.cluster.tls = Some(settings.clone());
        })
    };
    assert_eq!(lag(&over(&trusting)).await, 1.0);
    assert_eq!(lag(&over(&careless)).await, 1.0);
    let error = read_error(&over(&KafkaTls::default())).await;
    assert_eq!(error.reason(), "Invalid", "{error}");
    assert!(
        error.to_string().contains("certificate verify failed"),
        "{error}"
    );
    let both = with(
        &spec(
            &servers::named("TEST_KAFKA_SASL_SSL_BROKERS"),
            &unique("group"),
            &topic,
        ),
        |group| {
            group.cluster.tls = Some(trusting.clone());
            group.cluster.sasl = Sasl::ScramSha512(admin_user("admin-secret"));
        },
    );
    assert_eq!(lag(&both).await, 1.0);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_without_being_shown() {
    let broken = with(&spec("127.0.0.1:9", "group", "orders"), |group| {
        group.cluster.tls = Some(KafkaTls {
            client: Some((
                SecretString::from("canary-cert"),
                SecretString::from("canary-key"),
            )),
            ..KafkaTls::default()
        });
    });
    let error = read_error(&broken).await;
    assert_eq!(error.reason(), "Invalid", "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn what_cannot_work_is_refused_when_connecting() {
    let kerberos = with(&spec("kafka.example:9092", "group", "orders"), |group| {
        group.cluster.sasl = Sasl::Gssapi;
    });
    let msk = with(&spec("kafka.example:9098", "group", "orders"), |group| {
        group.cluster.tls = Some(KafkaTls::default());
        group.cluster.sasl = Sasl::MskIam {
            region: "eu-west-1".to_owned(),
            identity: AwsIdentity::Own,
        };
    });
    let pool = Pool::new(Settings::default());
    for (spec, words) in [
        (kerberos, "no Kerberos"),
        (msk, "--allow-identity"),
        (spec("127.0.0.1:9092", "group", "orders"), "--allow-address"),
        (spec("[::1]:9092", "group", "orders"), "--allow-address"),
        (spec("kafka.example", "group", "orders"), "host:port"),
    ] {
        let error = pool.connect(&spec).err().unwrap();
        assert_eq!(error.reason(), "Invalid");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(
        pool.connect(&spec("kafka.example:9092", "group", "orders"))
            .is_ok()
    );
}

#[tokio::test]
async fn a_token_is_asked_for_and_used() {
    let (endpoint, requests) =
        token_server(200, r#"{"access_token":"abc.def.ghi","expires_in":300}"#);
    let broker = servers::named("TEST_KAFKA_SASL_BROKERS");
    let error = read_error(&with_token(&broker, &endpoint)).await;
    // The broker has no OAUTHBEARER: that it says so shows that there was a token to try.
    assert_eq!(error.reason(), "Forbidden", "{error}");
    assert!(error.to_string().contains("OAUTHBEARER"), "{error}");
    let request = requests.recv().unwrap();
    assert!(
        request.contains("grant_type=client_credentials&scope=one+two"),
        "{request}"
    );
    // `user:p%40ss`, base64: names and passwords are form-encoded first (RFC 6749, 2.3.1).
    assert!(request.contains("Basic dXNlcjpwJTQwc3M="), "{request}");
}

#[tokio::test]
async fn a_token_server_that_refuses_is_a_refusal() {
    for (status, body, reason) in [
        (401, "{}", "Forbidden"),
        (500, "{}", "Unreachable"),
        (200, "no json", "Unreachable"),
        (200, r#"{"token":"x"}"#, "Unreachable"),
    ] {
        let (endpoint, requests) = token_server(status, body);
        let begin = Instant::now();
        let error = read_error(&with_token("127.0.0.1:9", &endpoint)).await;
        assert_eq!(error.reason(), reason, "{status} {body}: {error}");
        assert!(!error.to_string().contains("p@ss"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        drop(requests);
    }
}

/// Gives everybody the same answer, from a thread that ends with the process; what it was asked.
fn token_server(status: u16, body: &'static str) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut text = String::new();
            let mut bytes = [0; 4096];
            // The header and the body may come apart.
            while !text.contains("client_credentials") {
                let count = connection.read(&mut bytes).unwrap();
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            connection.write_all(answer.as_bytes()).unwrap();
            if asked.send(text).is_err() {
                return;
            }
        }
    });
    (endpoint, requests)
}

pub(crate) fn with_token(broker: &str, endpoint: &str) -> SourceSpec {
    with(&spec(broker, "group", "orders"), |group| {
        group.cluster.sasl = Sasl::OauthBearer {
            credentials: Credentials {
                username: SecretString::from("user"),
                password: SecretString::from("p@ss"),
            },
            token_endpoint: endpoint.to_owned(),
            scopes: vec!["one".to_owned(), "two".to_owned()],
            extensions: BTreeMap::new(),
        };
    })
}

fn admin_user(password: &str) -> Credentials {
    Credentials {
        username: SecretString::from("admin"),
        password: SecretString::from(password),
    }
}
