//! Whom the built binary is to AWS, and that nobody hears its secrets.

use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{cluster, decision, scaled_job};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;

/// Credentials in another account of moto's: its queues are seen by who assumed a role there, and by nobody else.
async fn assumed(role: &str) -> Credentials {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new("eu-west-1"))
        .endpoint_url(servers::moto_endpoint())
        .credentials_provider(Credentials::new("own", "own", None, None, "tests"))
        .build();
    let answer = aws_sdk_sts::Client::from_conf(config)
        .assume_role()
        .role_arn(role)
        .role_session_name("tests")
        .send()
        .await
        .unwrap();
    let given = answer.credentials.unwrap();
    let (id, secret, token) = (
        given.access_key_id,
        given.secret_access_key,
        given.session_token,
    );
    Credentials::new(id, secret, Some(token), None, "tests")
}

fn authentication(name: &str, pod_identity: &Value) -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": name},
        "spec": {"podIdentity": pod_identity},
    })
}

/// On a queue at another endpoint, with another authentication.
fn at(endpoint: &str, queue_url: &str, name: &str, authentication: &str) -> Value {
    let mut manifest = scaled_job(name, queue_url, &json!({}));
    let trigger = &mut manifest["spec"]["triggers"][0];
    trigger["metadata"]["awsEndpoint"] = json!(endpoint);
    trigger["authenticationRef"]["name"] = json!(authentication);
    manifest
}

#[tokio::test]
async fn roles_are_assumed_as_the_authentication_says() {
    let cluster = Cluster::new("roles").await;
    let moto = servers::moto_endpoint();
    let own_role = "arn:aws:iam::222222222222:role/queue-reader";
    let workload_role = "arn:aws:iam::333333333333:role/worker";
    let rows = [
        (
            "reader",
            own_role,
            json!({"provider": "aws", "roleArn": own_role}),
        ),
        (
            "workload",
            workload_role,
            json!({"provider": "aws", "identityOwner": "workload"}),
        ),
        ("eks", workload_role, json!({"provider": "aws-eks"})),
    ];
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "worker", "annotations": {"eks.amazonaws.com/role-arn": workload_role}},
    });
    cluster.create_core("serviceaccounts", account).await;
    for (name, role, pod_identity) in &rows {
        let queue = Queue::at(&moto, assumed(role).await, name).await;
        queue.send(25).await;
        cluster.create(authentication(name, pod_identity)).await;
        let mut manifest = at(&moto, &queue.url, name, name);
        manifest["spec"]["jobTargetRef"]["template"]["spec"]["serviceAccountName"] =
            json!("worker");
        cluster.create(manifest).await;
        if *name == "reader" {
            // Our own account has no such queue: without the role it is not found.
            cluster
                .create(authentication("own", &json!({"provider": "aws"})))
                .await;
            cluster
                .create(at(&moto, &queue.url, "without", "own"))
                .await;
        }
    }
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIAOWNCANARY"),
        ("AWS_SECRET_ACCESS_KEY", "own-canary"),
        ("AWS_ENDPOINT_URL_STS", moto.as_str()),
    ];
    let kubeconfig = servers::kubeconfig();
    let slipway = Slipway::run(&kubeconfig, &cluster.namespace, &[], &environment).await;
    for (name, ..) in &rows {
        let status = decision(&cluster, name).await;
        assert_eq!(status["backlog"], 25, "{name}: {status}");
        cluster.await_jobs_of(name, 3).await;
    }
    await_until("not found", Duration::from_secs(20), async || {
        let error = cluster.trigger_errors("without").await;
        error.contains("SQS knows no queue").then_some(())
    })
    .await;
    assert_silent(&cluster, &slipway, &["OWNCANARY", "own-canary"]).await;
    cluster.remove().await;
}

/// Looks for secrets in everything that anybody can look at.
async fn assert_silent(cluster: &Cluster, slipway: &Slipway, secrets: &[&str]) {
    let shown = [
        slipway.log(),
        slipway.get("/metrics").await.unwrap(),
        cluster.everything_shown().await,
    ];
    for secret in secrets {
        for text in &shown {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// A door before ElasticMQ that lets one access key through, and answers everybody else as SQS does.
struct Door {
    endpoint: String,
    key: watch::Sender<&'static str>,
    _server: JoinSet<()>,
}

impl Door {
    async fn new(key: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (key, right) = watch::channel(key);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut visitors = JoinSet::new();
            while let Ok((visitor, _)) = listener.accept().await {
                visitors.spawn(answer(visitor, right.clone()));
            }
        });
        Self {
            endpoint,
            key,
            _server: server,
        }
    }
}

/// One request, then the connection is closed, so that each request shows its key.
async fn answer(mut visitor: TcpStream, right: watch::Receiver<&'static str>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        if visitor.read_exact(&mut byte).await.is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let shown = format!("Credential={}/", *right.borrow());
    if !text.contains(&shown) {
        let body = r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#;
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        // The visitor may be gone.
        drop(visitor.write_all(answer.as_bytes()).await);
        return;
    }
    let upstream = servers::sqs_endpoint();
    let mut upstream = TcpStream::connect(upstream.trim_start_matches("http://"))
        .await
        .unwrap();
    let closing = text.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    upstream.write_all(closing.as_bytes()).await.unwrap();
    drop(copy_bidirectional(&mut visitor, &mut upstream).await);
}

#[tokio::test]
async fn a_rotated_key_is_read_again_and_no_secret_is_ever_shown() {
    let cluster = cluster("rotated").await;
    let queue = Queue::new("rotated").await;
    queue.send(10).await;
    let door = Door::new("AKIAFIRSTCANARY").await;
    cluster
        .rotate(
            "aws",
            &[("id", "AKIAFIRSTCANARY"), ("secret", "first-canary")],
        )
        .await;
    cluster
        .create(at(&door.endpoint, &queue.url, "orders", "aws"))
        .await;
    // Secrets in other places: SASL, and where they do not belong.
    let secrets = [
        ("user", "canary-user"),
        ("password", "canary-password"),
        ("sasl", "canary-mechanism"),
    ];
    cluster.secret("kafka", &secrets).await;
    let reference =
        |parameter: &str, key: &str| json!({"parameter": parameter, "name": "kafka", "key": key});
    for (name, references) in [
        (
            "sasl",
            json!([
                reference("username", "user"),
                reference("password", "password")
            ]),
        ),
        ("misplaced", json!([reference("sasl", "sasl")])),
    ] {
        cluster
            .create(json!({
                "apiVersion": "slipway.dev/v1alpha1", "kind": "TriggerAuthentication",
                "metadata": {"name": name}, "spec": {"secretTargetRef": references},
            }))
            .await;
        let mut trigger = json!({"type": "kafka", "authenticationRef": {"name": name}, "metadata": {
            "bootstrapServers": servers::named("TEST_KAFKA_SASL_BROKERS"),
            "topic": "orders", "consumerGroup": "orders",
        }});
        if name == "sasl" {
            trigger["metadata"]["sasl"] = json!("plaintext");
        }
        let changes = json!({"spec": {"triggers": [trigger]}});
        cluster.create(scaled_job(name, &queue.url, &changes)).await;
    }
    let kubeconfig = servers::kubeconfig();
    let trace = [("SLIPWAY_LOG", "trace")];
    let slipway = Slipway::run(&kubeconfig, &cluster.namespace, &[], &trace).await;
    cluster.await_jobs_of("orders", 1).await;

    // The key is withdrawn: the object says so, without the key.
    door.key.send_replace("AKIASECONDCANARY");
    await_until("not accepted", Duration::from_secs(20), async || {
        (cluster.condition("orders", "Ready").await.0 == "False").then_some(())
    })
    .await;
    let error = cluster.trigger_errors("orders").await;
    assert!(error.contains("credentials were not accepted"), "{error}");
    for name in ["sasl", "misplaced"] {
        await_until("refused", Duration::from_secs(20), async || {
            (cluster.condition(name, "Ready").await.0 == "False").then_some(())
        })
        .await;
    }

    // The new key is in the Secret: no restart, no edit.
    cluster
        .rotate(
            "aws",
            &[("id", "AKIASECONDCANARY"), ("secret", "second-canary")],
        )
        .await;
    await_until("accepted again", Duration::from_secs(50), async || {
        (cluster.condition("orders", "Ready").await.0 == "True").then_some(())
    })
    .await;
    let token = std::fs::read_to_string(&kubeconfig).unwrap();
    let (_, token) = token.split_once("token: ").unwrap();
    let token = token.lines().next().unwrap();
    let secrets = ["CANARY", "canary-", "-canary", token];
    assert_silent(&cluster, &slipway, &secrets).await;
    cluster.remove().await;
}
