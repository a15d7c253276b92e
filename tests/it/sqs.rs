//! Reading SQS: depths on ElasticMQ, faults from a server of ours.
#![expect(clippy::unwrap_used, reason = "what fails on the way ends the test")]
#![expect(clippy::float_cmp, reason = "counts of messages are exact")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::future::join_all;
use secrecy::SecretString;
use slipway::resource::SourceSpec;
use slipway::resource::aws::AwsIdentity;
use slipway::resource::sqs::Queue;
use slipway::source::pool::{Live, Pool, Settings};
use slipway::source::sqs::KIND;
use slipway::source::{Error, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{await_until, servers};

mod identity;

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn depths_are_what_is_in_the_queue() {
    for (name, messages) in [("none", 0), ("one", 1), ("some", 25), ("many", 1000)] {
        let queue_url = fill(&servers::sqs_endpoint(), name, messages, None).await;
        let spec = queue(&queue_url, &servers::sqs_endpoint());
        let source = local_pool().connect(&spec).unwrap();
        assert_eq!(waiting(&source).await, f64::from(messages), "{name}");
    }
}

#[tokio::test]
async fn held_and_delayed_messages_count_when_asked_for_and_share_one_poll() {
    let endpoint = servers::sqs_endpoint();
    let queue_url = fill(&endpoint, "states", 5, None).await;
    fill_url(&endpoint, &queue_url, 3, Some(600)).await;
    let held = client(&endpoint)
        .receive_message()
        .queue_url(&queue_url)
        .max_number_of_messages(2)
        .visibility_timeout(600)
        .send()
        .await
        .unwrap();
    assert_eq!(held.messages().len(), 2);
    let pool = local_pool();
    for (in_flight, delayed, expect) in [
        (false, false, 3.0),
        (true, false, 5.0),
        (false, true, 6.0),
        (true, true, 8.0),
    ] {
        let spec = with(&queue(&queue_url, &endpoint), |queue| {
            queue.in_flight = in_flight;
            queue.delayed = delayed;
        });
        let source = pool.connect(&spec).unwrap();
        let taken = source.read(MINUTE).await.unwrap();
        assert_eq!(taken.reading.waiting(), expect, "{in_flight} {delayed}");
    }
}

#[tokio::test]
async fn a_missing_queue_does_not_exist() {
    for endpoint in [servers::sqs_endpoint(), servers::moto_endpoint()] {
        let queue_url = format!("{endpoint}/000000000000/{}", unique("missing"));
        let source = local_pool().connect(&queue(&queue_url, &endpoint)).unwrap();
        let error = source.read(NOW).await.unwrap_err();
        assert_eq!(error.reason(), "NotFound", "{error}");
    }
}

#[tokio::test]
async fn a_dead_endpoint_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = read_error(&endpoint).await;
    assert_eq!(error.reason(), "Unreachable", "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_silent_endpoint_is_unreachable_within_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let begin = std::time::Instant::now();
    let error = read_error(&endpoint).await;
    assert_eq!(error.reason(), "Unreachable", "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn no_unusable_answer_is_zero() {
    let missing = r#"{"Attributes":{"ApproximateNumberOfMessages":"7"}}"#;
    let negative = r#"{"Attributes":{"ApproximateNumberOfMessages":"-7","ApproximateNumberOfMessagesNotVisible":"0"}}"#;
    let words = r#"{"Attributes":{"ApproximateNumberOfMessages":"few","ApproximateNumberOfMessagesNotVisible":"0"}}"#;
    let huge = r#"{"Attributes":{"ApproximateNumberOfMessages":"9223372036854775808","ApproximateNumberOfMessagesNotVisible":"0"}}"#;
    let denied = r#"{"__type":"com.amazonaws.sqs#AccessDenied","message":"User: arn:aws:iam::1:user/x is not authorized"}"#;
    for (status, body, reason) in [
        (200, missing, "BadAnswer"),
        (200, negative, "BadAnswer"),
        (200, words, "BadAnswer"),
        (200, huge, "BadAnswer"),
        (200, "{}", "BadAnswer"),
        (200, "<html>hello</html>", "BadAnswer"),
        (403, denied, "Forbidden"),
        (
            400,
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}"#,
            "NotFound",
        ),
        (
            403,
            r#"{"__type":"com.amazonaws.sqs#RequestThrottled"}"#,
            "Throttled",
        ),
        (429, "", "Throttled"),
        (500, r#"{"__type":"InternalFailure"}"#, "Unreachable"),
        (502, "<html>bad gateway</html>", "Unreachable"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let error = tokio::select! {
            error = read_error(&endpoint) => error,
            () = answer_always(&listener, status, body) => unreachable!("serves for ever"),
        };
        assert_eq!(error.reason(), reason, "{status} {body}: {error}");
        if reason == "Forbidden" {
            assert!(
                error.to_string().contains("sqs:GetQueueAttributes"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn five_hundred_triggers_on_a_queue_are_one_call_for_each_freshness() {
    let endpoint = servers::sqs_endpoint();
    let queue_url = fill(&endpoint, "shared", 3, None).await;
    let counted = Counted::before(&endpoint).await;
    let pool = local_pool();
    let triggers: Vec<Arc<dyn Source>> = (0..500)
        .map(|number| {
            let spec = with(&queue(&queue_url, &counted.endpoint), |queue| {
                queue.in_flight = number % 2 == 0;
            });
            pool.connect(&spec).unwrap()
        })
        .collect();
    let all = async {
        for round in 1..=2 {
            // The first asks for something new, all at once; the second time it is still fresh for nearly everybody.
            let answers = join_all(triggers.iter().map(|trigger| trigger.read(NOW))).await;
            let first = answers[0].as_ref().unwrap().at;
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.as_ref().unwrap().at == first)
            );
            let later = join_all(triggers.iter().map(|trigger| trigger.read(MINUTE))).await;
            assert!(
                later
                    .iter()
                    .all(|answer| answer.as_ref().unwrap().at == first)
            );
            assert_eq!(counted.requests.load(Ordering::SeqCst), round);
            assert_eq!(pool.metrics().calls(KIND), round as u64);
        }
    };
    tokio::select! {
        () = all => {}
        () = counted.forward() => unreachable!("forwards for ever"),
    }
    let one = Live {
        logins: 1,
        clients: 1,
        polls: 1,
    };
    assert_eq!(pool.live(), one);
}

#[tokio::test]
async fn nothing_stays_when_sources_come_and_go() {
    let pool = local_pool();
    for number in 0..1000 {
        let queue_url = format!("{}/000000000000/queue-{number}", servers::sqs_endpoint());
        let spec = with(&queue(&queue_url, &servers::sqs_endpoint()), |queue| {
            queue.region = format!("eu-west-{}", number % 7);
        });
        let source = pool.connect(&spec).unwrap();
        assert_eq!(pool.live().polls, 1);
        assert_eq!(pool.metrics().live(KIND), 1);
        drop(source);
    }
    assert_eq!(pool.live(), Live::default());
    assert_eq!(pool.metrics().live(KIND), 0);
}

async fn read_error(endpoint: &str) -> Error {
    let queue_url = format!("{endpoint}/000000000000/orders");
    let source = local_pool().connect(&queue(&queue_url, endpoint)).unwrap();
    source.read(NOW).await.unwrap_err()
}

async fn waiting(source: &Arc<dyn Source>) -> f64 {
    source.read(NOW).await.unwrap().reading.waiting()
}

fn local_pool() -> Pool {
    Pool::new(Settings {
        allow_loopback: true,
        ..Settings::default()
    })
}

fn queue(queue_url: &str, endpoint: &str) -> SourceSpec {
    SourceSpec::Sqs(Queue {
        queue_url: queue_url.to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        in_flight: true,
        delayed: false,
        identity: keys("test", "test"),
    })
}

fn with(spec: &SourceSpec, change: impl FnOnce(&mut Queue)) -> SourceSpec {
    let SourceSpec::Sqs(mut queue) = spec.clone() else {
        unreachable!("only queues here")
    };
    change(&mut queue);
    SourceSpec::Sqs(queue)
}

fn keys(id: &str, secret: &str) -> AwsIdentity {
    AwsIdentity::Keys {
        access_key_id: SecretString::from(id),
        secret_access_key: SecretString::from(secret),
        session_token: None,
    }
}

fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("{name}-{}-{number}", std::process::id())
}

fn client(endpoint: &str) -> aws_sdk_sqs::Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .http_client(http)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}

/// A new queue with messages in it; its URL.
async fn fill(endpoint: &str, name: &str, messages: u32, delay: Option<i32>) -> String {
    let made = client(endpoint)
        .create_queue()
        .queue_name(unique(name))
        .send()
        .await
        .unwrap();
    let queue_url = made.queue_url().unwrap().to_owned();
    fill_url(endpoint, &queue_url, messages, delay).await;
    queue_url
}

async fn fill_url(endpoint: &str, queue_url: &str, messages: u32, delay: Option<i32>) {
    let client = client(endpoint);
    let ids: Vec<u32> = (0..messages).collect();
    for batch in ids.chunks(10) {
        let entries = batch.iter().map(|id| {
            SendMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .message_body(id.to_string())
                .set_delay_seconds(delay)
                .build()
                .unwrap()
        });
        let sent = client
            .send_message_batch()
            .queue_url(queue_url)
            .set_entries(Some(entries.collect()))
            .send()
            .await
            .unwrap();
        assert!(sent.failed().is_empty());
    }
    // ElasticMQ counts a moment after it has accepted.
    await_until(
        "messages are counted",
        Duration::from_secs(10),
        async || {
            let names = [
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesDelayed",
            ];
            let answer = client
                .get_queue_attributes()
                .queue_url(queue_url)
                .set_attribute_names(Some(names.map(Into::into).to_vec()))
                .send()
                .await
                .ok()?;
            let total: u32 = answer
                .attributes()?
                .values()
                .map(|n| n.parse::<u32>().unwrap())
                .sum();
            (total >= messages).then_some(())
        },
    )
    .await;
}

/// A server that gives the same answer to everybody.
async fn answer_always(listener: &TcpListener, status: u16, body: &str) {
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let _read = connection.read(&mut request).await.unwrap();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        connection.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// A proxy before a real server that counts the requests going through.
struct Counted {
    listener: TcpListener,
    behind: String,
    endpoint: String,
    requests: AtomicUsize,
}

impl Counted {
    async fn before(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            behind: endpoint.strip_prefix("http://").unwrap().to_owned(),
            listener,
            requests: AtomicUsize::new(0),
        }
    }

    async fn forward(&self) {
        let mut open = futures::stream::FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => open.push(self.pipe(accepted.unwrap().0)),
                Some(()) = futures::StreamExt::next(&mut open) => {}
            }
        }
    }

    async fn pipe(&self, client: TcpStream) {
        let server = TcpStream::connect(&self.behind).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let requests = async {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                let text = String::from_utf8_lossy(&bytes[..count]).to_lowercase();
                let seen = text.matches("amazonsqs.getqueueattributes").count();
                self.requests.fetch_add(seen, Ordering::SeqCst);
                to_server.write_all(&bytes[..count]).await.unwrap();
            }
        };
        let answers = tokio::io::copy(&mut from_server, &mut to_client);
        tokio::select! {
            () = requests => {}
            _ended = answers => {}
        }
    }
}
