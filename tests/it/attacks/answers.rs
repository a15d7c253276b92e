//! Answers without end: what is read of them has a limit, and they are no number.
#![expect(clippy::unwrap_used, reason = "what fails on the way ends the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use slipway::cluster::{self, Call, Cluster};
use slipway::resource::SourceSpec;
use slipway::resource::aws::AwsIdentity;
use slipway::resource::external::{Scaler as ScalerSpec, ScalerEndpoint, ScalerMetadata};
use slipway::resource::sqs::Queue;
use slipway::source::Error;
use slipway::source::pool::{Pool, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::controller;
use crate::kafka::security::with_token;
use crate::kafka::{local_pool, spec};
use crate::support::await_until;
use crate::support::process::Slipway;
use crate::support::queue::Queue as RealQueue;
use crate::support::scaler::{Says, Scaler};
use crate::support::servers;

/// What is sent at most. Far more than sockets hold by themselves.
const OFFERED: usize = 256 << 20;
/// What may have been taken when nobody reads more than a little: both sockets' buffers are full. Source: the kernel's
/// largest for each is 6 MiB by default.
const TAKEN: usize = 64 << 20;

/// Answers every request with this head, and spaces without end; counts what is taken.
pub(super) async fn endless(listener: TcpListener, head: &'static str, sent: Arc<AtomicUsize>) {
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        if matches!(stream.read(&mut request).await, Ok(0) | Err(_)) {
            continue;
        }
        let head = format!("{head}\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut next = head.as_str();
        while sent.load(Ordering::Relaxed) < OFFERED
            && stream.write_all(next.as_bytes()).await.is_ok()
        {
            sent.fetch_add(next.len(), Ordering::Relaxed);
            next = &chunk;
        }
    }
}

/// Reads a queue whose SQS, or whose STS, answers so.
async fn read(head: &'static str, is_sts: bool) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let token = std::env::temp_dir().join(format!("slipway-endless-{}", std::process::id()));
    std::fs::write(&token, "token").unwrap();
    let pool = Pool::new(Settings {
        allow_address: vec!["127.0.0.1".to_owned()],
        allow_identity: vec!["127.0.0.1".to_owned()],
        proxy: None,
        allow_loopback: true,
        sts_endpoint: Some(endpoint.clone()),
        web_identity_token_file: Some(token),
    });
    let identity = if is_sts {
        AwsIdentity::Role {
            arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
            external_id: None,
            web_identity: true,
        }
    } else {
        AwsIdentity::Keys {
            access_key_id: SecretString::from("test"),
            secret_access_key: SecretString::from("test"),
            session_token: None,
        }
    };
    let spec = SourceSpec::Sqs(Queue {
        queue_url: format!("{endpoint}/1/orders"),
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint).filter(|_| !is_sts),
        in_flight: true,
        delayed: false,
        identity,
    });
    let source = pool.connect(&spec).unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let error = tokio::select! {
        result = source.read(Duration::ZERO) => result.unwrap_err(),
        () = endless(listener, head, sent.clone()) => unreachable!("serves for ever"),
    };
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < TAKEN, "{head}: {sent} bytes of its answer");
    error
}

#[tokio::test]
async fn a_queue_without_end_is_left_at_its_limit() {
    for (head, reason) in [
        ("HTTP/1.1 200 OK", "BadAnswer"),
        ("HTTP/1.1 400 Bad Request", "BadAnswer"),
        ("HTTP/1.1 503 Service Unavailable", "Unreachable"),
    ] {
        let error = read(head, false).await;
        assert_eq!(error.reason(), reason, "{head}: {error}");
        assert!(error.to_string().contains("65536 bytes"), "{error}");
    }
}

#[tokio::test]
async fn so_is_the_service_that_gives_credentials() {
    let error = read("HTTP/1.1 200 OK", true).await;
    assert_eq!(error.reason(), "Unreachable", "{error}");
}

#[tokio::test]
async fn so_is_a_token_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
    // It asks for a token before anything else.
    let broker = servers::named("TEST_KAFKA_SASL_BROKERS");
    let asked = with_token(&broker, &endpoint);
    let source = local_pool().connect(&asked).unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let error = tokio::select! {
        result = source.read(Duration::ZERO) => result.unwrap_err(),
        () = endless(listener, "HTTP/1.1 200 OK", sent.clone()) => unreachable!("serves for ever"),
    };
    assert!(
        error.to_string().contains("more than 65536 bytes"),
        "{error}"
    );
    let sent = sent.load(Ordering::Relaxed);
    assert!(0 < sent && sent < TAKEN, "{sent} bytes of its answer");
}

#[tokio::test]
async fn so_is_the_service_that_gives_a_container_its_credentials() {
    let cluster = controller::cluster("endless-keys").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = format!("http://{}/v1/credentials", listener.local_addr().unwrap());
    let queue = RealQueue::new("endless-keys").await;
    let mut orders = controller::scaled_job("orders", &queue.url, &json!({}));
    let trigger = &mut orders["spec"]["triggers"][0];
    trigger["metadata"]["identityOwner"] = json!("operator");
    trigger.as_object_mut().unwrap().remove("authenticationRef");
    cluster.create(orders).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let mut serving = JoinSet::new();
    serving.spawn(endless(listener, "HTTP/1.1 200 OK", sent.clone()));
    let environment = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.as_str())];
    let kubeconfig = servers::kubeconfig();
    let slipway = Slipway::run(&kubeconfig, &cluster.namespace, &[], &environment).await;
    let soon = Duration::from_mins(1);
    await_until("its trouble is told", soon, async || {
        let error = cluster.trigger_errors("orders").await;
        (!error.is_empty() && sent.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    let before = sent.load(Ordering::Relaxed);
    assert!(before < TAKEN, "{before} bytes of its answer");
    let (resident, _) = slipway.memory();
    assert!(resident < 256, "{resident} MiB");
    cluster.remove().await;
}

#[tokio::test]
async fn so_is_the_api_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let config = kube::Config::new(server.parse().unwrap());
    let cluster = Cluster::new(cluster::client(config).unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let answer = tokio::select! {
        answer = cluster.send(Call::get("/api/v1/namespaces")) => answer,
        () = endless(listener, "HTTP/1.1 200 OK", sent.clone()) => unreachable!("serves for ever"),
    };
    let Err(error) = answer else {
        panic!("it is longer than an answer may be")
    };
    assert!(
        error.to_string().contains("more than 67108864 bytes"),
        "{error}"
    );
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < (64 << 20) + TAKEN, "{sent} bytes of its answer");
}

#[tokio::test]
async fn an_external_scaler_may_say_so_much_and_no_more() {
    let ask = async |name: &str| {
        let scaler = Scaler::start(Says {
            specs: vec![(name.to_owned(), 1, 0.0)],
            ..Says::waiting(3, 1)
        });
        let address = scaler.address();
        let (host, port) = address.rsplit_once(':').unwrap();
        let pool = Pool::new(Settings {
            allow_loopback: true,
            ..Settings::default()
        });
        let spec = SourceSpec::External(ScalerSpec {
            endpoint: ScalerEndpoint {
                host: host.to_owned(),
                port: port.parse().unwrap(),
                tls: None,
            },
            object: slipway::resource::ObjectId::new("shop", "resize"),
            metadata: ScalerMetadata::default(),
            pushes: false,
        });
        pool.connect(&spec).unwrap().read(Duration::ZERO).await
    };
    assert!(ask("orders").await.is_ok());
    let error = ask(&"x".repeat(70_000)).await.unwrap_err();
    assert_eq!(error.reason(), "BadAnswer", "{error}");
    assert!(error.to_string().contains("65536"), "{error}");
}

/// Answers every request as a broker whose answer has 90 MB; tells the most that one connection took of it.
async fn endless_broker(listener: TcpListener, most: Arc<AtomicUsize>) {
    let part = vec![0; 0x10000];
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        if matches!(stream.read(&mut request).await, Ok(0) | Err(_)) {
            continue;
        }
        drop(stream.write_all(&90_000_000_u32.to_be_bytes()).await);
        let mut sent = 0;
        while sent < 90_000_000 && stream.write_all(&part).await.is_ok() {
            sent += part.len();
            most.fetch_max(sent, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_broker_may_say_so_much_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let most = Arc::new(AtomicUsize::new(0));
    let source = local_pool()
        .connect(&spec(&address, "workers", "orders"))
        .unwrap();
    let error = tokio::select! {
        result = source.read(Duration::ZERO) => result.unwrap_err(),
        () = endless_broker(listener, most.clone()) => unreachable!("serves for ever"),
    };
    assert_eq!(error.reason(), "Unreachable", "{error}");
    let most = most.load(Ordering::Relaxed);
    assert!(0 < most && most < TAKEN, "{most} bytes of its answer");
}
